"""Threads of this process that C code has started: who owns them.

A library's pool of threads has no name of its own more often than not. But each thread began in code of that library,
and the address of that code is the deepest one on the thread's stack; the system says where the stack is.
"""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from typing import NamedTuple

#: How much of a stack is looked at, in bytes; threads that wait for work need far less.
STACK_BYTES = 32_768
#: What stands between a library and its threads, and below every thread.
_BETWEEN = re.compile(r"(libc|libstdc\+\+|libpthread|libgcc_s|libm|ld-linux[-\w]*|ld-musl[-\w]*|linux-vdso)[.-]")
_TASKS = "/proc/self/task"
#: Start, end, writable, executable, file.
_LINE = re.compile(r"^(\w+)-(\w+) .(.)(.). \w+ \S+ \d+ *(.*)$", re.MULTILINE)


class Native(NamedTuple):
    """One thread. `name`: the system's for it; "" if it has none of its own.

    `library`: the file that its first code is in, without folder; "" if that cannot be told, as while it is running.
    """

    name: str
    library: str


class Region(NamedTuple):
    """One line of /proc/self/maps."""

    start: int
    end: int
    executable: bool
    writable: bool
    path: str


_known: dict[int, Native] = {}


def tasks() -> list[int]:
    """Ids of all threads of this process, the main thread's first."""
    main = os.getpid()
    # A list: what one thread is worth looking at is decided by its length.
    return sorted(map(int, os.listdir(_TASKS)), key=lambda task: task != main)


def look(wanted: list[int]) -> list[Native]:
    """The threads of these ids, those that have ended left out. What was found once is remembered."""
    for gone in _known.keys() - set(wanted):
        del _known[gone]
    regions: list[Region] = []
    starts: list[int] = []
    found = []
    for task in wanted:
        native = _known.get(task)
        if native is None:
            if not regions:
                regions = read_regions()
                starts = [region.start for region in regions]
            native = _identify(task, regions, starts)
            if native is None:
                continue
            if native.library:
                _known[task] = native
        found.append(native)
    return found


def read_regions() -> list[Region]:
    """What is mapped into this process, in the order of addresses."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = _LINE.findall(file.read())
    return [
        Region(int(start, 16), int(end, 16), executable == "x", writable == "w", path)
        for start, end, writable, executable, path in lines
    ]


def _identify(task: int, regions: list[Region], starts: list[int]) -> Native | None:
    folder = f"{_TASKS}/{task}/"
    try:
        name = _read(folder + "comm")
        # A thread begins with the name of the one that started it.
        name = "" if name == _read("/proc/self/comm") else name
    except OSError:
        return None
    try:
        pointer = int(_read(folder + "syscall").split()[-2], 16)
    except (OSError, IndexError, ValueError):
        # It runs at this moment, or the system does not tell.
        return Native(name, "")
    return Native(name, _owner(pointer, regions, starts))


def _owner(pointer: int, regions: list[Region], starts: list[int]) -> str:
    at = bisect_right(starts, pointer) - 1
    if at < 0 or pointer >= regions[at].end:
        return ""
    try:
        words = _memory(pointer, min(regions[at].end - pointer, STACK_BYTES))
    except OSError:
        # It has ended since, and its stack is gone.
        return ""
    for word in reversed(words):
        index = bisect_right(starts, word) - 1
        if index >= 0 and word < regions[index].end and regions[index].executable:
            file = os.path.basename(regions[index].path)
            if file and not file.startswith("[") and not _BETWEEN.match(file):
                return file
    return ""


def _memory(address: int, size: int) -> array[int]:
    """This process's own memory; read as a file, so that what is not there any more is an error and no fault."""
    descriptor = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        content = os.pread(descriptor, size - size % 8, address - address % 8)
    finally:
        os.close(descriptor)
    return array("Q", content[: len(content) - len(content) % 8])


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read().strip()
