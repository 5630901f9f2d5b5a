"""Imports of other threads around a fork: waited for, and where they take too long, undone in the copy.

A thread that imports holds the lock of the module. In a copy of the process it would hold it for ever, and whoever
imports that module there would wait for ever. Python looks after its one global lock at a fork, and not after these.
"""

from __future__ import annotations

import sys
import threading
import time
from importlib import _bootstrap  # type: ignore[attr-defined]
from typing import Any

#: How long a fork waits for imports of other threads.
SETTLE_S = 0.5
PAUSE_S = 0.001


def settle() -> None:
    """Wait, for at most half a second, until no other thread is in the middle of an import."""
    deadline = time.monotonic() + SETTLE_S
    while _held_elsewhere() and time.monotonic() < deadline:
        time.sleep(PAUSE_S)


def repair() -> None:
    """In a copy of the process: forget modules whose import was cut off, so that they can be imported anew.

    Locks that nobody holds are forgotten, too: who was about to take one may have left it so that it wakes nobody.
    """
    for name, _ in _held_elsewhere():
        if getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False):
            sys.modules.pop(name, None)
    here = threading.get_ident()
    for name, reference in list(_bootstrap._module_locks.items()):
        lock = reference()
        if lock is not None and lock.owner != here:
            del _bootstrap._module_locks[name]
    # Who waits for whom, to find deadlocks; this thread waits for nobody.
    _bootstrap._blocking_on.clear()


def _held_elsewhere() -> list[tuple[str, Any]]:
    here = threading.get_ident()
    held = []
    for name, reference in list(_bootstrap._module_locks.items()):
        lock = reference()
        if lock is not None and lock.owner not in (None, here):
            held.append((name, lock))
    return held
