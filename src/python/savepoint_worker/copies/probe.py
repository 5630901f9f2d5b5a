"""Looks, before a copy is taken, at what runs in this process, and says in which mode it can be brought back.

* `child`: the copy takes the worker's place when it is woken. It has none of the other threads, which does not matter
  to most libraries; what can be put in order for it is put in order (`openmp`, `revival`).
* `transplant`: a library would wait in the copy for threads that are not there. The copy only hands its variables to a
  fresh worker.

The usual process has one thread, or those of libraries that look after themselves: then this costs next to nothing. It
is done for every copy.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import duckdb_threads, natives, numba_guard, openmp, revival
from .natives import Native
from .revival import NOBODY, Company

if TYPE_CHECKING:
    from ..worker import Worker

Mode = Literal["child", "transplant"]

#: Libraries whose calls would hang or crash in a copy for want of their threads, by the files that these began in.
HANGS = {"polars": re.compile("polars"), "duckdb": duckdb_threads.THREADS}
#: Threads that wait for work from this one, and that a copy has again when it needs them.
QUIET = re.compile(
    r"openblas|libmkl|libgomp|libomp|libiomp5|workqueue|omppool|tbbpool|libtbb|libjemalloc|pocketfft"
)
#: Those that go on by themselves at times, and that a copy does without all the same.
HARMLESS = re.compile(r"libarrow|libpython|python3?(\.\d+)?$")
QUIET_NAMES = ("jemalloc_bg_thd",)
HARMLESS_NAMES = ("polars-ooc-",)
_ALL_THERE = "Nothing runs here that a copy would miss."


class Found(NamedTuple):
    """What was found, and what follows from it."""

    mode: Mode
    #: A sentence.
    why: str
    #: What a rollback to this copy leaves behind, in words.
    limits: tuple[str, ...] = ()
    #: There is one thread.
    alone: bool = False
    #: All other threads wait for work from this one.
    quiet: bool = True
    #: Code of the user's could change the state from here on without a cell.
    live: bool = False
    company: Company = NOBODY
    #: Libraries that would wait for their threads in a copy.
    waiting: frozenset[str] = frozenset()
    #: The process that was looked at.
    pid: int = 0
    #: What starts again what was ended for the fork; and what the process itself has yet to start.
    resumes: tuple[Callable[[], None], ...] = ()
    asleep: tuple[Callable[[], None], ...] = ()

    def told(self) -> dict[str, Any]:
        """For the event `taken`."""
        hangs, limits = sorted(self.waiting), list(self.limits)
        return {"mode": self.mode, "why": self.why, "live": self.live, "hangs": hangs, "limits": limits}


_ALONE = Found("child", _ALL_THERE, alone=True)
_ALONE_WITH_TASKS = _ALONE._replace(live=True)
#: Libraries whose threads were left behind by the process that this one is a copy of.
_orphaned: set[str] = set()
#: What that process had and this one is to have again.
_missed: Company = NOBODY
_asleep: tuple[Callable[[], None], ...] = ()


def look(worker: Worker) -> Found:
    """What runs in this process besides the main thread. Ends threads that can be ended and come back by themselves."""
    live = _has_tasks(worker)
    if len(natives.tasks()) == 1 and not (_orphaned or _asleep) and _missed is NOBODY:
        return _ALONE_WITH_TASKS if live else _ALONE
    paused = openmp.pause()
    company = revival.look(frozenset(each.thread for each in worker.subshells.all())).joined(_missed)
    threads, resumes = _native_threads(worker, company)
    orphaned = _orphaned if numba_guard.is_safe() else {*_orphaned, "numba"}
    found = judge(threads, company, paused, frozenset(orphaned))
    return found._replace(live=live or found.live, pid=os.getpid(), resumes=tuple(resumes), asleep=_asleep)


def _native_threads(worker: Worker, company: Company) -> tuple[list[Native], list[Callable[[], None]]]:
    """Threads that are not Python's, without DuckDB's where those can be ended; and what starts these again."""
    python = revival.native_ids()
    resumes: list[Callable[[], None]] = []
    threads = natives.look([task for task in natives.tasks()[1:] if task not in python])
    # A thread of the user's may be in the middle of a query, which would be waited for.
    steps = iter(()) if company.others else duckdb_threads.pause(worker.shell.user_ns)
    while any(duckdb_threads.THREADS.search(each.library) for each in threads):
        step = next(steps, None)
        if step is None:
            break
        resumes += step
        threads = natives.look([task for task in natives.tasks()[1:] if task not in python])
    return threads, resumes


def judge(threads: list[Native], company: Company, paused: bool, orphaned: frozenset[str]) -> Found:
    """What follows from the threads that were found. Touches nothing."""
    waiting = set(orphaned)
    unknown: set[str] = set()
    present = bool(company.served or company.others)
    quiet = not present
    for each in threads:
        if each.name.startswith(QUIET_NAMES) or QUIET.search(each.library):
            continue
        quiet = False
        if each.name.startswith(HARMLESS_NAMES):
            continue
        libraries = [name for name, pattern in HANGS.items() if pattern.search(f"{each.name} {each.library}")]
        waiting.update(libraries)
        # Without library and name it is one that is running, as OpenBLAS's do for a moment after their work.
        if not (libraries or HARMLESS.search(each.library)) and (each.library or each.name):
            unknown.add(each.library or each.name)
    limits = company.limits()
    limits += [f"threads of {name}: calls that need them may hang" for name in sorted(unknown)]
    if not paused:
        limits.append("threads of OpenMP, which was at work: calls that need them may hang")
    rest: dict[str, Any] = {"quiet": quiet, "live": present, "company": company}
    if waiting:
        why = f"Calls of {', '.join(sorted(waiting))} would miss their threads in a copy."
        return Found("transplant", why, tuple(limits), waiting=frozenset(waiting), **rest)
    return Found("child", "Threads are left behind, see limits." if limits else _ALL_THERE, tuple(limits), **rest)


def go_on(found: Found) -> None:
    """Behind the fork, in the process that was looked at: start again what was ended for it."""
    if os.getpid() == found.pid:
        for resume in found.resumes:
            resume()


def leave_behind(found: Found) -> None:
    """In a copy that was woken: remember what the process had that this one is a copy of."""
    global _missed, _asleep
    _asleep = found.resumes + found.asleep
    _orphaned.update(found.waiting)
    numba_guard.adopt(found.pid)
    _missed = found.company


def make_up() -> list[str]:
    """In a copy that was woken: have again what can be had. What did not work, in words."""
    global _missed, _asleep
    for resume in _asleep:
        resume()
    missed, _missed, _asleep = _missed, NOBODY, ()
    return revival.revive(missed)


def orphaned() -> list[str]:
    """Libraries whose threads were left behind by the process that this one is a copy of."""
    return sorted(_orphaned)


def _has_tasks(worker: Worker) -> bool:
    """Has the user tasks in the event loop, which run between two cells?"""
    return any(task is not worker._server and not task.done() for task in asyncio.all_tasks(worker.loop))
