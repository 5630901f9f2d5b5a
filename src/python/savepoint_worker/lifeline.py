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
    """End at once when `parent`, a process above this one, ends.

    The system only tells about the present parent, and a woken worker is at first the child of the worker whose place
    it takes. Until that one has ended and `parent` has adopted this process, a signal stands guard.
    """
    if os.getppid() == parent:
        _follow(parent)
        return

    def on_change(_number: int, _frame: FrameType | None) -> None:
        _follow(parent)

    # It stays for good: the signal may still come after it was seen that there is no need for it any more.
    signal.signal(PARENT_CHANGED, on_change)
    _call(PR_SET_PDEATHSIG, PARENT_CHANGED)
    if os.getppid() == parent:
        # It was adopted while the guard was being set up, and perhaps no signal will come.
        _follow(parent)


def _follow(parent: int) -> None:
    _call(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def _call(option: int, value: int) -> None:
    if _prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
