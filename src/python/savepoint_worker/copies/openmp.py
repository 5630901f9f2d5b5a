"""Pools of OpenMP threads, which are ended before a fork and come back by themselves.

In a copy of the process the runtime would wait for threads that are not there: GNU's does. Its own call for that,
`omp_pause_resource_all`, gives the threads up and keeps everything else.
"""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from typing import Any

_SOFT = 1
_RUNTIME = re.compile(r"lib(gomp|omp|iomp5)\b[^/]*$")


class _Loaded(ctypes.Structure):
    """The beginning of `struct dl_phdr_info`."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.c_void_p),
        ("count", ctypes.c_uint16),
        # How many libraries were loaded and unloaded since the start.
        ("loaded", ctypes.c_ulonglong),
        ("unloaded", ctypes.c_ulonglong),
    )


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Loaded), ctypes.c_size_t, ctypes.c_void_p)
# With the interpreter's lock held all the while: whoever loads a library holds it and waits for the loader's.
_iterate = ctypes.PyDLL(None).dl_iterate_phdr
_seen: tuple[int, int] | None = None
_pauses: list[Callable[[int], int]] = []


def pause() -> bool:
    """End the threads of every OpenMP runtime in this process; False if one is at work and could not be paused."""
    _look()
    return all([each(_SOFT) == 0 for each in _pauses])


def _look() -> None:
    """Find the runtimes, if any library was loaded or unloaded since this was done last."""
    global _seen
    present = _counts()
    if present == _seen:
        return
    _seen = present
    _pauses.clear()
    for path in _libraries():
        if _RUNTIME.search(path):
            function = _pause_of(path)
            if function is not None:
                _pauses.append(function)


def _counts() -> tuple[int, int]:
    found = []

    def first(info: Any, _size: int, _data: Any) -> int:
        found.append((info.contents.loaded, info.contents.unloaded))
        return 1

    _iterate(_Callback(first), None)
    return found[0]


def _libraries() -> list[str]:
    found: list[str] = []

    def each(info: Any, _size: int, _data: Any) -> int:
        found.append(os.fsdecode(info.contents.name or b""))
        return 0

    _iterate(_Callback(each), None)
    return found


def _pause_of(path: str) -> Callable[[int], int] | None:
    try:
        library = ctypes.CDLL(path, mode=os.RTLD_NOLOAD | os.RTLD_NOW)
        function: Callable[[int], int] = library.omp_pause_resource_all
    except (OSError, AttributeError):
        # Unloaded meanwhile, or older than OpenMP 5.0.
        return None
    return function
