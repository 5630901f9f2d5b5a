"""Processes that are nobody's child: forked twice, so that the zygote, who adopts what has lost its parent, has them.

A frozen copy of a worker is that worker's child, which hides it and reaps it. What becomes the worker of another kernel
lives on when that one has ended, and its end is reported by the zygote; so it has to be the zygote's child.

Only processes of one thread are forked here, which were a fork of a worker before: all that Python and libraries do
after a fork has been done. So the system's own fork will do, which touches no memory that would then be copied.
"""

from __future__ import annotations

import ctypes
import os
import socket

from ..processes import custodian
from .freeze import separate

# Opened once, before the first fork. The interpreter's lock is kept meanwhile: there is nobody else to have it.
_fork_of_system = ctypes.PyDLL(None, use_errno=True).fork
_waitpid = os.waitpid


def _fork() -> int:
    pid: int = _fork_of_system()
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid


def step_aside() -> None:
    """In a fork that is to be nobody's child: returns in a fork of it, while it ends. Raises OSError."""
    if _fork() != 0:
        os._exit(0)


def copy(end: socket.socket, copys_end: int) -> bool:
    """In a frozen copy: make another one, which is to be woken by the zygote's end of `copys_end`.

    False here; True in the copy, where `end` is its own from now on, and which has said that it is there. What fails is
    told over `copys_end`, or is known by its being closed.
    """
    try:
        pid = _fork()
    except OSError as error:
        _fail(copys_end, error)
        os.close(copys_end)
        return False
    if pid != 0:
        os.close(copys_end)
        _waitpid(pid, 0)
        return False
    try:
        step_aside()
        os.dup2(copys_end, end.fileno(), inheritable=False)
        separate()
    except OSError as error:
        _fail(copys_end, error)
        os._exit(1)
    os.close(copys_end)
    custodian.send(end, {"kind": "copied", "pid": os.getpid()})
    return True


def _fail(copys_end: int, error: OSError) -> None:
    with socket.socket(fileno=os.dup(copys_end)) as connection:
        custodian.send(connection, {"kind": "failed", "reason": str(error)})
