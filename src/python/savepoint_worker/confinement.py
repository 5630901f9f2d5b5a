"""In a sandbox: what no namespace keeps in, since the gateway knows its processes by their numbers.

Processes of the same user outside could be signalled. Landlock (Linux 6.12) forbids that, and connections to sockets
without a file besides. Where the system has no such thing, the sandbox is as tight as its namespaces are.
"""

from __future__ import annotations

import ctypes
import os

# The same on every architecture.
CREATE_RULESET, RESTRICT_SELF = 444, 446
VERSION = 1
ABI_OF_SCOPES = 6
ABSTRACT_SOCKETS, SIGNALS = 1, 2


class _Ruleset(ctypes.Structure):
    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


def confine() -> bool:
    """Keep signals of this process and of all that come from it among them. False: the system cannot."""
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    if syscall(CREATE_RULESET, None, ctypes.c_size_t(0), VERSION) < ABI_OF_SCOPES:
        return False
    rules = _Ruleset(0, 0, ABSTRACT_SOCKETS | SIGNALS)
    ruleset = syscall(CREATE_RULESET, ctypes.byref(rules), ctypes.c_size_t(ctypes.sizeof(rules)), 0)
    if ruleset < 0:
        return False
    try:
        return bool(syscall(RESTRICT_SELF, ruleset, 0) == 0)
    finally:
        os.close(ruleset)
