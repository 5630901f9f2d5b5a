"""Whether a thread of ours still exists, told without its help.

A thread that sets a flag and takes it back at its end leaves it set if it dies between two lines, or before its first:
where memory has run out, both happen. What a thread was given as an argument is gone with it in any case.
"""

from __future__ import annotations

import _thread
import weakref
from collections.abc import Callable
from typing import Any

# Debuggers put their own in its place.
_start_thread = _thread.start_new_thread


class _Given:
    __slots__ = ("__weakref__",)


def start_thread(run: Callable[..., object], *arguments: Any) -> Callable[[], object]:
    """Start a thread of ours: `run(given, *arguments)`, which must not hand `given` on.

    Returns what tells whether the thread still exists: not None. Raises RuntimeError if there is no room for it.
    """
    given = _Given()
    _start_thread(run, (given, *arguments))
    return weakref.ref(given)


def starts() -> object:
    """What is told of a thread that is just being started."""
    return starts
