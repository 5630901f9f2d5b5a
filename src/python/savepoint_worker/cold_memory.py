"""Memory that is hardly ever written to, put into huge pages: a fork copies one entry for each instead of 512.

What is imported, and what is known of Python for completions, is tens of megabytes in ten thousands of pages, and a
fork looks at each of them. Where a huge page is written to after a fork it is a row of small ones again, and only the
one that is written to is copied.

For processes that have memory of their own: a page that is shared with another process would be copied.
"""

from __future__ import annotations

import ctypes
import errno
import os
from array import array
from collections.abc import Iterator
from itertools import islice

#: Linux: madvise(2).
MADV_COLLAPSE = 25
PAGE, HUGE = 4096, 2 << 20
#: Of the pages of a huge one so many must be there: the others would be taken in addition.
PRESENT_MIN = int(0.8 * (HUGE // PAGE))
#: In /proc/self/pagemap: there, and of nobody else.
_OURS_ALONE = 1 << 63 | 1 << 56
#: So many are looked at; each that is made takes about a millisecond.
RANGES_MAX = 512

_madvise = ctypes.CDLL(None, use_errno=True).madvise


def candidates() -> list[int]:
    """Addresses of what could be a huge page each, that which was mapped first at the end."""
    try:
        with open("/proc/self/maps", "rb") as maps:
            return list(islice(_aligned(maps.read()), RANGES_MAX))[::-1]
    except OSError:
        # Nothing depends on it.
        return []


def condense(address: int) -> bool:
    """Make a huge page of what is there, unless it is hardly anything or shared. False where that cannot be done."""
    try:
        with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
            entries = array("Q", os.pread(pagemap.fileno(), HUGE // PAGE * 8, address // PAGE * 8))
    except OSError:
        return False
    if sum(entry & _OURS_ALONE == _OURS_ALONE for entry in entries) < PRESENT_MIN:
        return True
    done: int = _madvise(ctypes.c_void_p(address), ctypes.c_size_t(HUGE), MADV_COLLAPSE)
    # EINVAL is also said of memory that is not to be in huge pages, or not mapped any more.
    return done == 0 or ctypes.get_errno() in (errno.EINVAL, errno.ENOMEM)


def _aligned(maps: bytes) -> Iterator[int]:
    # What was imported first is at the end: the system gives out addresses from above.
    for line in reversed(maps.splitlines()):
        fields = line.split(None, 5)
        if fields[1] == b"rw-p" and (len(fields) < 6 or fields[5] == b"[heap]"):
            start, end = (int(part, 16) for part in fields[0].split(b"-"))
            yield from reversed(range((start + HUGE - 1) // HUGE * HUGE, end // HUGE * HUGE, HUGE))
