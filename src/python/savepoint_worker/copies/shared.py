"""Memory that is mapped as shared and writable, which a fork does not copy: `mmap.mmap(-1, n)`, locks of multiprocessing.

A frozen copy sees every later change of it. So it keeps the contents, and puts them back when it is woken; where another
process maps the same memory, which is what it is for, it belongs to the world outside, and is named instead.

The list of mappings takes milliseconds to read. It is read only if there are more objects of the kinds that make such
memory than when there was none: each holds a reference to its class, and counting those takes no time. What C code maps
by itself is not found.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
from typing import Any, NamedTuple

from ..processes import children

BYTES_MAX = 256 * 1024 * 1024
_SYNCHRONIZE = "multiprocessing.synchronize"
_MAKERS = (("mmap", "mmap"), *((_SYNCHRONIZE, name) for name in ("Lock", "RLock", "Semaphore", "BoundedSemaphore")))
#: Files that are memory: System V segments, memfd, POSIX shared memory, and none at all.
_MEMORY = ("/dev/zero (deleted)", "/dev/shm/", "/memfd:", "/SYSV")


#: Addresses of what all copies of a worker are to have in common.
_OURS: set[int] = set()


def own_memory(size: int) -> mmap.mmap:
    """Shared memory for the worker itself, which no rollback touches, and which stays for as long as the process."""
    memory = mmap.mmap(-1, size)
    _OURS.add(ctypes.addressof(ctypes.c_char.from_buffer(memory)))
    return memory


class Range(NamedTuple):
    """One mapping."""

    address: int
    size: int
    #: Device and inode, which tell the memory itself.
    memory: str
    name: str


class Saved(NamedTuple):
    """What a copy keeps of one."""

    range: Range
    contents: bytes


class Shared:
    """Notices such memory in this process."""

    def __init__(self) -> None:
        #: References to the makers' classes when there was none of it.
        self._without: tuple[int, ...] = ()

    def find(self) -> tuple[list[Range], list[str]]:
        """What is this process's alone, and words for the rest; at once, where there cannot be any."""
        references = tuple(map(_references, _MAKERS))
        if not any(references) or references == self._without:
            return [], []
        mapped = [each for each in _mapped("self") if each.address not in _OURS]
        if not mapped:
            self._without = references
            return [], []
        pids = [pid for pid in children.children_of(os.getpid()) if pid not in children.hidden()]
        others = frozenset(each.memory for pid in pids for each in _mapped(str(pid)))
        ranges, limits, left = [], [], BYTES_MAX
        for each in mapped:
            left -= each.size
            if each.memory in others:
                limits.append(f"memory that is shared with another process ({each.name})")
            elif left < 0:
                limits.append(f"shared memory beyond {BYTES_MAX // 1024**2} MiB ({each.name})")
            else:
                ranges.append(each)
        return ranges, limits


def save(ranges: list[Range]) -> list[Saved]:
    """Their contents. To be called in the copy, while the other process waits."""
    return [Saved(each, ctypes.string_at(each.address, each.size)) for each in ranges]


def put_back(saved: list[Saved], apart: bool) -> None:
    """Let that memory be as it was. `apart`: the process that it was shared with goes on, and keeps its own."""
    for (address, size, _, name), contents in saved:
        if apart and not _separate(address, size):
            raise OSError(f"shared memory could not be separated ({name})")
        ctypes.memmove(address, contents, size)


def _separate(address: int, size: int) -> bool:
    """Map other memory there: shared with the children to come, and with nobody else."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (*[ctypes.c_void_p, ctypes.c_size_t], *[ctypes.c_int] * 3, ctypes.c_long)
    fixed = 0x10
    flags = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | fixed
    return bool(libc.mmap(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0) == address)


def _references(maker: tuple[str, str]) -> int:
    module: Any = sys.modules.get(maker[0])
    kind = getattr(module, maker[1], None)
    return 0 if kind is None else sys.getrefcount(kind)


def _mapped(process: str) -> list[Range]:
    """Ranges of memory that a process has mapped shared and writable."""
    try:
        with open(f"/proc/{process}/maps", "rb") as file:
            lines = [line for line in file if b" rw-s " in line]
    except OSError:
        return []
    found = []
    for line in lines:
        place, _, _, device, inode, *name = line.decode(errors="replace").split(maxsplit=5)
        text = name[0].strip() if name else ""
        if text.startswith(_MEMORY):
            begin, end = (int(each, 16) for each in place.split("-"))
            found.append(Range(begin, end - begin, f"{device} {inode}", text))
    return found
