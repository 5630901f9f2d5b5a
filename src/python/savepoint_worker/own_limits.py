"""Limits that a worker puts on itself, before any code of the user's runs in it.

They are for what code can be told as an error of its own: `MemoryError`, or `OSError` (EFBIG) for a file. All of them
are soft: our own writers of checkpoints lift them, and code that means to can, too. What has to hold whatever the code
does is held from outside, by control groups or by a watch.

Of memory it is the data of one process that is limited (RLIMIT_DATA), not its address space: libraries reserve far more
address space than they use. Untouched pages of an array and the stacks of threads count. What the zygote has loaded
before does not: it is the same for all kernels.
"""

from __future__ import annotations

import ctypes
import gc
import os
import resource
import time
from typing import Any

#: Of glibc; other C libraries give back what was freed by themselves.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)

#: Stacks of threads that libraries start, one for each processor, are no data of the user's.
STACK_BYTES = 16 * 1024 * 1024
PROCESSORS_FREE = 8
#: What a kernel has beside the data of its worker: pages that its copies hold, tables of the system. Code is told by an
#: error before the kernel is ended for it.
ASIDE_BYTES = 64 * 1024 * 1024
#: What is kept back to tell of an error with.
SPARE_BYTES = 16 * 1024 * 1024
#: Containers that have become old are worth a collection that takes this long for each of them. To look at one takes some
#: 65 ns, so that is where they may be more than a fifteenth of all; Python collects by itself where they are a quarter.
COLLECTION_S_PER_OLD = 1e-6
#: What the latest collection took: as good as counting what there is, which would take memory.
_collection_s = 0.0
#: So much more than in a cell may be taken now, where none runs; 0: one does, or there is no limit.
_relaxed_by = 0
#: How exposed processes are when memory runs out: zygote and gateway have 0, writers of checkpoints 500. Of a worker and
#: its newest frozen copy the larger one goes, and if they are about as large (to 4 % of all memory there is) the copy. So a
#: worker that has grown goes, and its state comes back from the copy; one that has only changed what it had goes on.
WORKER, FROZEN = 300, 340


def put_on(limits: dict[str, Any]) -> None:
    """Put on what the gateway says: `memory_bytes`, `file_bytes`, `cores`; what is absent is not limited."""
    memory, file, cores = limits.get("memory_bytes"), limits.get("file_bytes"), limits.get("cores")
    if memory:
        stacks = max(0, (os.cpu_count() or 1) - PROCESSORS_FREE) * STACK_BYTES
        aside = min(memory // 4, ASIDE_BYTES)
        _soften(resource.RLIMIT_DATA, max(_data_bytes() + memory - aside + stacks - SPARE_BYTES, SPARE_BYTES))
    if file:
        # Python ignores SIGXFSZ, so that writing further fails with EFBIG.
        _soften(resource.RLIMIT_FSIZE, file)
    if cores:
        _confine(cores)


class Spare:
    """`with Spare():` some memory more, for what we do about a cell that has taken all that there was."""

    def __enter__(self) -> None:
        self._more = _move(SPARE_BYTES)

    def __exit__(self, *_: object) -> None:
        _move(-self._more)


def relax() -> None:
    """No cell runs: what the worker does by itself has the spare memory, too."""
    global _relaxed_by
    if _relaxed_by == 0:
        _relaxed_by = _move(SPARE_BYTES)


def tighten() -> None:
    """A cell begins."""
    global _relaxed_by
    _move(-_relaxed_by)
    _relaxed_by = 0


def give_back() -> None:
    """Before a copy is made where the limit is not far: collect garbage, and let the system have what was freed.

    A copy would keep both. And a collection writes to each container there is, so that all pages which they share with
    a copy exist twice from then on: one that Python will soon make by itself had better come before the copy.
    """
    global _collection_s
    soft, _ = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY or _resident_bytes() <= soft // 2:
        return
    if gc.isenabled() and _become_old() * COLLECTION_S_PER_OLD > _collection_s:
        began = time.perf_counter()
        gc.collect()
        _collection_s = time.perf_counter() - began
    if _trim is not None:
        _trim(0)


def _become_old() -> int:
    """How many containers have become old since all were looked at, at most."""
    young, middle, _ = gc.get_threshold()
    return gc.get_count()[2] * young * middle


def lift() -> None:
    """In a process of ours that was forked from a worker: work without its limits."""
    for which in (resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
        _, hard = resource.getrlimit(which)
        resource.setrlimit(which, (hard, hard))


def expose(score: int) -> None:
    """Have the system end this process before others if memory runs out: the more, the higher `score` (to 1000)."""
    try:
        descriptor = os.open("/proc/self/oom_score_adj", os.O_WRONLY | os.O_CLOEXEC)
    except OSError:
        # There is no such file in some containers.
        return
    try:
        os.write(descriptor, b"%d" % score)
    except OSError:
        # What started us was more exposed already, and may not be protected.
        pass
    finally:
        os.close(descriptor)


def _soften(which: int, most: int) -> None:
    _, hard = resource.getrlimit(which)
    resource.setrlimit(which, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))


def _move(by: int) -> int:
    """Move the limit of data, if there is one; by how much it was moved.

    Never to what it once was: cells of subshells end, and fail, while others have moved it as well.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        return 0
    _soften(resource.RLIMIT_DATA, max(0, soft + by))
    return resource.getrlimit(resource.RLIMIT_DATA)[0] - soft


def _data_bytes() -> int:
    """What the process has of what RLIMIT_DATA counts."""
    return _memory_bytes(5)


def _resident_bytes() -> int:
    return _memory_bytes(1)


def _memory_bytes(field: int) -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[field]) * resource.getpagesize()


def _confine(cores: int) -> None:
    """Run on so many processors only, which are others in each process."""
    allowed = sorted(os.sched_getaffinity(0))
    if cores < len(allowed):
        first = os.getpid() % len(allowed)
        os.sched_setaffinity(0, [allowed[(first + i) % len(allowed)] for i in range(cores)])
