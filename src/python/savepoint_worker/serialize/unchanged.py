"""Which memory is as it was at an earlier save, told by page frames, without a look at the bytes.

A *reference* is a fork of the worker from the time of the earlier save, which has slept ever since. It shares each page
of private memory with the worker until one of them writes there; the one that writes gets another frame. So where two
processes have the same frame at the same address, they see the same bytes, and a process that sleeps sees those of
its birth. It does not matter who wrote, or how: a store in C code, through a view, or by the system on behalf of a
call is seen like any other, and so is memory that was given back and mapped anew.

That holds for anonymous private memory alone: the frames of files, of shared memory and of devices stay the same while
the bytes in them change. What is swapped out, or on its way, is not decided here. A page that neither process has was
never written to: both read zeros. Two things that nobody can rely on are not seen: what the hardware reads into memory
while the process forks, on Linux before 6.3, and memory that was given back with MADV_FREE and is looked at, but not
written to, afterwards.

At both ends of a range lie others' bytes in the same page, so there the bytes themselves are compared.

Frames are shown to processes with CAP_SYS_ADMIN only; to all others they are zero, and there is no `Unchanged`.
"""

from __future__ import annotations

import bisect
import ctypes
import mmap
import os
from array import array
from collections.abc import Iterator

PAGE = mmap.PAGESIZE
_ENTRY = 8
#: So many pages are compared at once: 256 MiB of memory, 512 KiB of entries.
_WINDOW = 65536
#: What the highest byte of an entry of /proc/PID/pagemap may be: there, and not of a file, shared, swapped out or of
#: one process alone; or not there at all.
_DECIDABLE = bytes((0x80, 0x00))
_PRESENT = 1 << 63
_FRAME = (1 << 55) - 1
#: Mappings without a file that are not plain memory have other names, such as [vvar].
_MEMORY = (b"", b"[heap]", b"[stack]")

#: A page that is written to so as to see that this is noticed. It has to be older than the reference.
_probe = mmap.mmap(-1, PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
_probe[0] = 1
_probe_address = ctypes.addressof(ctypes.c_char.from_buffer(_probe))
#: Whether that was seen here, or in a process that this one is a fork of.
_is_noticed = False


def born(pid: int) -> int | None:
    """When a process began, in the system's ticks; tells it from a later one that has the same pid. None: it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            # The second field is the name, which can hold anything.
            return int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return None


class Unchanged:
    """Compares the memory of this process with that of a sleeping reference."""

    def __init__(self, files: list[int], memory: tuple[_Ranges, _Ranges]) -> None:
        self._reference, self._own, self._bytes = files
        self._memory = memory

    @classmethod
    def open(cls, reference_pid: int, reference_born: int | None = None) -> Unchanged | None:
        """Compare with this process, which has to sleep from its birth on for as long as this is used.

        `reference_born`: what `born` has said of it; then another process that has its pid is not taken for it. None
        where frames cannot be seen, or if the process is gone or no fork of this one's origin. Then only the bytes tell.
        """
        files: list[int] = []
        try:
            for path in (f"{reference_pid}/pagemap", "self/pagemap", f"{reference_pid}/mem"):
                files.append(os.open(f"/proc/{path}", os.O_RDONLY | os.O_CLOEXEC))
            memory = _private_memory(str(reference_pid)), _private_memory("self")
            # The files stay those of one process, whoever gets its pid; so this is asked after opening them.
            if reference_born in (None, born(reference_pid)) and _is_seen(files[0], files[1]):
                return cls(files, memory)
        except OSError:
            # It is gone, or not to be looked at.
            pass
        for file in files:
            os.close(file)
        return None

    def close(self) -> None:
        """Done."""
        for file in (self._reference, self._own, self._bytes):
            os.close(file)

    def same(self, address: int, length: int) -> bool:
        """Whether these bytes are certainly what they are in the reference. False: they may be others."""
        return all(self.pieces(address, length, max(length, 1)))

    def pieces(self, address: int, length: int, step: int) -> list[bool]:
        """The same of each `step` bytes, the last piece being what is left; one look for all of them."""
        if not all(ranges.hold(address, length) for ranges in self._memory):
            return [False] * -(-length // step)
        found = [True] * -(-length // step)
        for page in self._changed_pages(address // PAGE, -(-(address + length) // PAGE)):
            first, end = max(page * PAGE - address, 0), min((page + 1) * PAGE - address, length)
            if end - first == PAGE or not self._has_bytes(address + first, end - first):
                found[first // step : (end - 1) // step + 1] = [False] * ((end - 1) // step + 1 - first // step)
        return found

    def _has_bytes(self, address: int, length: int) -> bool:
        """Whether the reference has the same bytes there."""
        try:
            return os.pread(self._bytes, length, address) == ctypes.string_at(address, length)
        except OSError:
            return False

    def _changed_pages(self, first: int, end: int) -> Iterator[int]:
        """Numbers of the pages of which it is not certain that they are the same."""
        for start in range(first, end, _WINDOW):
            count = min(_WINDOW, end - start)
            # Memory can be moved while it is looked at, so that a frame may come to be another page's.
            looks = [_entries(file, start, count) for file in (self._own, self._reference, self._own)]
            if len(looks[0]) != count * _ENTRY or len(looks[1]) != count * _ENTRY:
                yield from range(start, start + count)
            elif not (looks[0] == looks[1] == looks[2]) or looks[0][7::8].translate(None, _DECIDABLE):
                yield from (start + index for index in _different(looks))


class _Ranges:
    """Ranges of addresses, none of which touches another."""

    def __init__(self, ranges: list[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in ranges]
        self._ends = [end for _, end in ranges]

    def hold(self, address: int, length: int) -> bool:
        """Whether one range has all of this in it."""
        at = bisect.bisect_right(self._starts, address) - 1
        return at >= 0 and address + length <= self._ends[at]


def _different(looks: list[bytes]) -> Iterator[int]:
    """Where entries differ, or do not decide. A row of pages of which none is in question is passed over at once."""
    row = 64
    for start in range(0, len(looks[0]) // _ENTRY, row):
        own, reference, again = (look[start * _ENTRY : (start + row) * _ENTRY] for look in looks)
        if own == reference == again and not own[7::8].translate(None, _DECIDABLE):
            continue
        kinds = own[7::8]
        for index, (one, other, third) in enumerate(zip(array("Q", own), array("Q", reference), array("Q", again))):
            if one != other or one != third or kinds[index] not in _DECIDABLE:
                yield start + index


def _entries(file: int, page: int, count: int) -> bytes:
    """What a pagemap says of so many pages; nothing if its process has ended."""
    return os.pread(file, count * _ENTRY, page * _ENTRY)


def _private_memory(process: str) -> _Ranges:
    """Where a process has private memory that is of no file. Raises OSError."""
    found: list[tuple[int, int]] = []
    with open(f"/proc/{process}/maps", "rb") as file:
        for line in file:
            fields = line.split(None, 5)
            name = fields[5].strip() if len(fields) > 5 else b""
            if fields[1][3:4] != b"p" or fields[4] != b"0" or not (name in _MEMORY or name.startswith(b"[anon:")):
                continue
            start, end = (int(part, 16) for part in fields[0].split(b"-"))
            if found and found[-1][1] == start:
                start = found.pop()[0]
            found.append((start, end))
    return _Ranges(found)


def _is_seen(reference: int, own: int) -> bool:
    """Whether frames are shown, and what is written here gets another one than the reference has."""
    global _is_noticed
    page = _probe_address // PAGE

    def frames() -> tuple[int, int]:
        one, other = (int.from_bytes(_entries(file, page, 1), "little") for file in (own, reference))
        return (one & _FRAME if one & _PRESENT else 0), (other & _FRAME if other & _PRESENT else 0)

    mine, its = frames()
    if not mine or not its:
        return False
    if not _is_noticed and mine == its:
        _probe[0] = 2
        mine, its = frames()
        _is_noticed = mine != its and bool(mine)
    return _is_noticed
