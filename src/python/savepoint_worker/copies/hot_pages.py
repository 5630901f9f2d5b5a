"""Pages that every cell writes to, copied ahead of the next one.

After a fork two processes share each page until one of them writes to it. A cell that does nothing writes to a thousand
pages all over the interpreter (each object that is looked at is counted), and to copy them one by one, as they are
written to, takes longer than the cell. They are the same ones each time. So a worker finds out which they are, and
after each snapshot has them copied while nobody waits: the frozen copy does so from above, the worker from below.

What is known lies in memory that a worker shares with its copies: it is found out after they were made.

Only what was mapped before any code of the user's ran is taken into account. Elsewhere something else may be mapped by
now, such as a file, which would count as changed.
"""

from __future__ import annotations

import ctypes
import errno
import os
from array import array
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from .. import interrupts
from ..link import wait_readable
from .shared import own_memory

if TYPE_CHECKING:
    from ..worker import Worker

#: Linux: madvise(2), and process_madvise(2), which has this number on all processors.
MADV_POPULATE_WRITE = 23
SYS_PROCESS_MADVISE = 440
PAGE = 4096
#: In /proc/self/pagemap: there, of nobody else, and not of a file or shared.
_STATE = 1 << 63 | 1 << 61 | 1 << 56
_OURS_ALONE = 1 << 63 | 1 << 56
#: After so many looks it is known: what most of them saw.
LOOKS = 3
#: More cannot be what each cell writes to: then a look is not believed.
PAGES_MAX = 2048
#: Ranges that are copied in one step; it takes a fraction of a millisecond.
STEP = 128
#: So long after a copy was made nobody waits for what it led to, and the processor is free for what it can do ahead.
COPY_AFTER_S = 0.02
#: Mappings that are larger hold data.
MAPPING_BYTES_MAX = 64 << 20
#: A look is taken when a cell has run since the copy was made, which is asked for so often.
PAUSE_S = 0.005
ASKED_MAX = 200

_libc = ctypes.CDLL(None, use_errno=True)
#: What was mapped before the user's code: text of /proc/self/maps.
_mapped = b""


def note_mappings() -> None:
    """To be called before a worker is forked: what is mapped now is the interpreter's."""
    global _mapped
    try:
        with open("/proc/self/maps", "rb") as file:
            _mapped = file.read()
    except OSError:
        _mapped = b""


def prepare_next(worker: Worker, snapshot: str) -> None:
    """In a worker that made a copy: have copied what its next cell will write to, and find out what that is."""
    snapshots, loop, pages = worker.snapshots, worker.loop, worker.snapshots.pages
    if worker.request is None:
        loop.call_soon(pages.copy_at_rest, loop, worker.is_wanted)
    ended = interrupts.latest_ended()

    def has_run() -> bool:
        return snapshot in snapshots.limits and interrupts.latest_ended() != ended

    pages.has_run = has_run
    pages.look_later(loop, has_run, worker.is_wanted)


class HotPages:
    """What is known of them, to a worker and to all copies of it."""

    def __init__(self) -> None:
        self._is_possible = PAGE == os.sysconf("SC_PAGE_SIZE")
        self._ranges: list[tuple[int, int]] | None = None
        #: Whether a cell has run since the latest copy was made, which is still there.
        self.has_run: Callable[[], bool] = lambda: False
        # How many looks were taken. Then for each of them, and at last for what is known, the number of ranges, and
        # these as C wants them: address, length.
        self._shared = memoryview(own_memory(8 * (1 + (LOOKS + 1) * (1 + 2 * PAGES_MAX)))).cast("Q")

    def __len__(self) -> int:
        """How many ranges are known."""
        return self._shared[_place(LOOKS)] if self._is_known() else 0

    def look(self) -> None:
        """See which pages this process has written to since its latest copy was made."""
        if self._is_known() or not self._is_possible:
            return
        try:
            pages = self._written()
        except OSError:
            self._is_possible = False
            return
        if 0 < len(pages) <= PAGES_MAX:
            looks = self._shared[0]
            self._put(looks, pages)
            if looks + 1 == LOOKS:
                seen = Counter(page for look in range(LOOKS) for page in self.pages(look))
                self._put(LOOKS, {page for page, times in seen.items() if times > LOOKS // 2})
            # Last: another copy may be reading.
            self._shared[0] = looks + 1

    def look_before_fork(self) -> None:
        """Take a look while there is something to see, if that is still wanted."""
        if self.has_run():
            self.look()
        self.has_run = lambda: False

    def look_later(self, loop: Any, has_run: Callable[[], bool], is_wanted: Callable[[], bool], asked: int = 0) -> None:
        """Take a look when a cell `has_run`, and nothing else is wanted."""
        if self._is_known() or not self._is_possible or asked > ASKED_MAX or self.has_run is not has_run:
            return
        if asked and has_run() and not is_wanted():
            self.look()
            self.has_run = lambda: False
        else:
            loop.call_later(PAUSE_S, self.look_later, loop, has_run, is_wanted, asked + 1)

    def copy_downwards(self, end: int) -> None:
        """In a frozen copy: copy those that are still shared, until something comes on its connection `end`."""
        pause = COPY_AFTER_S
        for start in reversed(range(0, len(self) or 1, STEP)):
            if wait_readable([end], pause) or not self._copy(start):
                return
            pause = 0.0

    def copy_at_rest(self, loop: Any, is_wanted: Callable[[], bool], start: int = 0) -> None:
        """The same from the other end, step by step in an event loop, where others have their turn in between."""
        if start < len(self) and not is_wanted() and self._copy(start):
            loop.call_soon(self.copy_at_rest, loop, is_wanted, start + STEP)

    def _copy(self, start: int) -> bool:
        """Copy those of `STEP` ranges. False if that cannot be done here."""
        if not self._is_possible or not len(self):
            return False
        first = _place(LOOKS) + 1 + 2 * start
        count = min(STEP, len(self) - start)
        ranges = array("L", self._shared[first : first + 2 * count])
        address, _ = ranges.buffer_info()
        try:
            process = os.pidfd_open(os.getpid())
        except (OSError, AttributeError):
            self._is_possible = False
            return False
        try:
            arguments = (process, ctypes.c_void_p(address), ctypes.c_size_t(count), MADV_POPULATE_WRITE, 0)
            done = _libc.syscall(SYS_PROCESS_MADVISE, *arguments)
        finally:
            os.close(process)
        # Linux before 6.13 does not do this for a list of ranges. Other errors are of a range that is not mapped any more.
        self._is_possible = done >= 0 or ctypes.get_errno() not in (errno.EINVAL, errno.ENOSYS, errno.EPERM)
        return self._is_possible

    def pages(self, look: int = LOOKS) -> set[int]:
        """Addresses of the pages that are known, or that a look saw."""
        first = _place(look) + 1
        parts = self._shared[first : first + 2 * self._shared[first - 1]].tolist()
        return {page for at, size in zip(parts[::2], parts[1::2]) for page in range(at, at + size, PAGE)}

    def _put(self, look: int, pages: set[int]) -> None:
        runs = _runs(sorted(pages))
        place = _place(look)
        parts = array("Q", (len(runs), *(part for run in runs for part in run)))
        self._shared[place : place + len(parts)] = memoryview(parts)

    def _is_known(self) -> bool:
        return self._shared[0] >= LOOKS

    def _written(self) -> set[int]:
        if self._ranges is None:
            # The heap may have grown; it has its place to itself.
            with open("/proc/self/maps", "rb") as file:
                heap = [line for line in file if line.endswith(b"[heap]\n")]
            self._ranges = _private_ranges(_mapped + b"".join(heap))
        pages: set[int] = set()
        with open("/proc/self/pagemap", "rb", buffering=0) as file:
            for start, end in self._ranges:
                entries = array("Q", os.pread(file.fileno(), (end - start) // PAGE * 8, start // PAGE * 8))
                pages.update(start + i * PAGE for i, entry in enumerate(entries) if entry & _STATE == _OURS_ALONE)
        return pages


def _place(look: int) -> int:
    """Where what a look saw begins; that of `LOOKS` is what is known."""
    return 1 + look * (1 + 2 * PAGES_MAX)


def _private_ranges(mapped: bytes) -> list[tuple[int, int]]:
    found = []
    for line in mapped.splitlines():
        fields = line.split(None, 5)
        start, end = (int(part, 16) for part in fields[0].split(b"-"))
        if fields[1] == b"rw-p" and end - start <= MAPPING_BYTES_MAX:
            found.append((start, end))
    return found


def _runs(pages: list[int]) -> list[tuple[int, int]]:
    """Address and length of each row of neighbours."""
    if not pages:
        return []
    gaps = [index for index, (one, other) in enumerate(pairwise(pages), 1) if other - one > PAGE]
    return [(pages[start], pages[end - 1] + PAGE - pages[start]) for start, end in pairwise((0, *gaps, len(pages)))]
