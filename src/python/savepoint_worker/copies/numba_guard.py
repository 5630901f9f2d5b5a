"""numba's guard against forks: it ends a process in which GNU's OpenMP runs after a fork.

Here that is safe, since the runtime's threads are ended before the fork (see `openmp`). The guard is one number in the
memory of numba's module: the process that has started the threads. In a copy it is made that of the copy.
"""

from __future__ import annotations

import ctypes
import os
import re
import sys
from array import array

from . import natives

_MODULE = "numba.np.ufunc.omppool"
_FILE = re.compile(r"/omppool\.[^/]*\.so$")
#: Where the number is; None: not looked for yet, or not there.
_address: int | None = None


def is_safe() -> bool:
    """False if numba would end a copy of this process, and that cannot be changed."""
    global _address
    if _MODULE not in sys.modules:
        return True
    if _address is None:
        _address = _find(os.getpid())
        # Without such a number no thread was started yet.
        return _address is not None or not _started()
    return True


def adopt(former: int) -> None:
    """In a copy of the process `former`: have started the threads oneself."""
    if _address is not None:
        started_by = ctypes.c_int32.from_address(_address)
        if started_by.value == former:
            started_by.value = os.getpid()


def _started() -> bool:
    parallel = sys.modules.get("numba.np.ufunc.parallel")
    return bool(getattr(parallel, "_is_initialized", True))


def _find(pid: int) -> int | None:
    """The only place in the module's own data that holds that number."""
    found = []
    descriptor = os.open("/proc/self/mem", os.O_RDONLY)
    try:
        for region in _data_regions():
            words = array("i", os.pread(descriptor, region.end - region.start, region.start))
            found += [region.start + 4 * index for index, word in enumerate(words) if word == pid]
    finally:
        os.close(descriptor)
    return found[0] if len(found) == 1 else None


def _data_regions() -> list[natives.Region]:
    """What the module can write to: the end of its file's mapping, and what follows without a file."""
    regions = natives.read_regions()
    found = []
    for index, region in enumerate(regions):
        if region.writable and _FILE.search(region.path):
            found.append(region)
            following = regions[index + 1] if index + 1 < len(regions) else region
            if following.start == region.end and following.writable and not following.path:
                found.append(following)
    return found
