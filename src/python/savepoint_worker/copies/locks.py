"""Locks on files (flock, fcntl), which a frozen copy must not hold, taken again when it is woken.

A lock belongs to a process or to an open file, and both are others in a copy. /proc/self/fdinfo lists them
(proc_pid_fdinfo(5)). The worker that gives way holds them until it ends, which may be an instant later, so they are
waited for; one that somebody else took meanwhile is named.
"""

from __future__ import annotations

import fcntl
import os
import re
import struct
import time
from collections.abc import Iterable
from typing import NamedTuple

PATIENCE_S = 2.0
_PAUSE_S = 0.002
_LINE = re.compile(
    r"^lock:\s*\d+: (FLOCK|POSIX|OFDLCK)\s+\S+\s+(READ|WRITE)\s+\S+ \S+ (\d+) (\d+|EOF)$", re.MULTILINE
)
#: struct flock of 64-bit Linux: type, whence, start, length, process.
_FLOCK = "hhqqi4x"
_OFD_SETLK = getattr(fcntl, "F_OFD_SETLK", 37)


class Lock(NamedTuple):
    """One lock that this process has."""

    number: int
    target: str
    kind: str
    exclusive: bool
    start: int
    #: 0: to the end of the file, however long that becomes.
    length: int


def held(number: int, target: str) -> list[Lock]:
    """The locks that this process has on an open file."""
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        text = file.read()
    return [
        Lock(number, target, kind, mode == "WRITE", int(start), 0 if end == "EOF" else int(end) - int(start) + 1)
        for kind, mode, start, end in _LINE.findall(text)
    ]


def take_again(locks: Iterable[Lock]) -> list[str]:
    """Have them again. Words for those that could not be had."""
    deadline = time.monotonic() + PATIENCE_S
    limits = []
    for lock in locks:
        while (error := _taken(lock)) is not None:
            if not isinstance(error, (BlockingIOError, PermissionError)) or time.monotonic() > deadline:
                limits.append(f"the lock on {lock.target}, which could not be had again ({error.strerror})")
                break
            time.sleep(_PAUSE_S)
    return limits


def release(locks: Iterable[Lock]) -> None:
    """Let go of them. Raises OSError."""
    for lock in locks:
        _apply(lock, fcntl.F_UNLCK)


def _taken(lock: Lock) -> OSError | None:
    try:
        _apply(lock, fcntl.F_WRLCK if lock.exclusive else fcntl.F_RDLCK)
    except OSError as error:
        return error
    return None


def _apply(lock: Lock, kind: int) -> None:
    if lock.kind == "FLOCK":
        operations = {fcntl.F_WRLCK: fcntl.LOCK_EX, fcntl.F_RDLCK: fcntl.LOCK_SH, fcntl.F_UNLCK: fcntl.LOCK_UN}
        fcntl.flock(lock.number, operations[kind] | fcntl.LOCK_NB)
        return
    command = fcntl.F_SETLK if lock.kind == "POSIX" else _OFD_SETLK
    fcntl.fcntl(lock.number, command, struct.pack(_FLOCK, kind, os.SEEK_SET, lock.start, lock.length, 0))
