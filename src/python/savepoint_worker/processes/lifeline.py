"""Who dies with whom: the operating system's calls for it, which Python's own modules do not offer."""

from __future__ import annotations

import ctypes
import os
import signal
from types import FrameType

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Opened once, before the first fork: looking up a library is no work for a forked process.
_prctl = ctypes.CDLL(None, use_errno=True).prctl

# Asks a woken worker to look who its parent is. A real-time signal that nobody else is known to use.
PARENT_CHANGED = getattr(signal, "SIGRTMAX", 64) - 3


def become_subreaper() -> None:
    """Become the parent of all descendants whose own parents end. Raises OSError."""
    _call(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(parent: int) -> None:
    """End at once when `parent`, a process above this one, ends. Main thread only. Raises OSError.

    The system only tells about the present parent, and a woken worker is at first the child of the worker whose place
    it takes. Until that one has ended and `parent` has adopted this process, a signal stands guard.
    """
    former = os.getppid()

    def look(_number: int, _frame: FrameType | None) -> None:
        present = os.getppid()
        if present == parent:
            _follow(parent)
        elif present != former:
            os.kill(os.getpid(), signal.SIGKILL)
        # Otherwise it was only a thread of the former one that ended, and another took the child over.

    if former != parent:
        # It stays for good: the signal may still come when it is known that there is no need for it any more.
        signal.signal(PARENT_CHANGED, look)
        _call(PR_SET_PDEATHSIG, PARENT_CHANGED)
    look(0, None)


def _follow(parent: int) -> None:
    # An ending process first gives its children away and then signals each as that has asked. A child that sees its new
    # parent in between, and asks for SIGKILL, gets it at once. All of that happens under one lock, which this call
    # waits for; for the leader of a session it does nothing else.
    try:
        os.setpgid(0, 0)
    except PermissionError:
        pass
    _call(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _call(option: int, value: int) -> None:
    if _prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
