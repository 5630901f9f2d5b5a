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
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from . import natives, openmp, revival
from .natives import Native
from .revival import NOBODY, Company

if TYPE_CHECKING:
    from ..worker import Worker

Mode = Literal["child", "transplant"]

#: Libraries whose calls wait in a copy for threads that are not there, by the files that such threads began in.
HANGS = {"polars": re.compile("polars")}
#: Threads that wait for work from this one, and that a copy has again when it needs them.
QUIET = re.compile(r"openblas|libmkl|libgomp|libomp|libiomp5|workqueue|omppool|tbbpool|libtbb|libjemalloc")
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


def look(worker: Worker) -> Found:
    """What runs in this process besides the main thread. Ends threads that can be ended and come back by themselves."""
    live = _has_tasks(worker)
    if len(natives.tasks()) == 1 and not _orphaned and _missed is NOBODY:
        return _ALONE_WITH_TASKS if live else _ALONE
    paused = openmp.pause()
    company = revival.look(frozenset(each.thread for each in worker.subshells.all())).joined(_missed)
    python = revival.native_ids()
    others = [task for task in natives.tasks()[1:] if task not in python]
    found = judge(natives.look(others), company, paused, frozenset(_orphaned))
    return found._replace(live=True) if live else found


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
        if each.name.startswith(HARMLESS_NAMES) or HARMLESS.search(each.library):
            continue
        libraries = [name for name, pattern in HANGS.items() if pattern.search(f"{each.name} {each.library}")]
        waiting.update(libraries)
        # Without library and name it is one that is running, as OpenBLAS's do for a moment after their work.
        if not libraries and (each.library or each.name):
            unknown.add(each.library or each.name)
    limits = company.limits()
    limits += [f"threads of {name}: calls that need them may hang" for name in sorted(unknown)]
    if not paused:
        limits.append("threads of OpenMP, which was at work: calls that need them may hang")
    rest: dict[str, Any] = {"quiet": quiet, "live": present, "company": company}
    if waiting:
        why = f"Calls of {', '.join(sorted(waiting))} would wait in a copy for threads that are not there."
        return Found("transplant", why, tuple(limits), waiting=frozenset(waiting), **rest)
    return Found("child", "Threads are left behind, see limits." if limits else _ALL_THERE, tuple(limits), **rest)


def leave_behind(found: Found) -> None:
    """In a copy that was woken: remember what the process had that this one is a copy of."""
    global _missed
    _orphaned.update(found.waiting)
    _missed = found.company


def make_up() -> list[str]:
    """In a copy that was woken: have again what can be had. What did not work, in words."""
    global _missed
    missed, _missed = _missed, NOBODY
    return revival.revive(missed)


def _has_tasks(worker: Worker) -> bool:
    """Has the user tasks in the event loop, which run between two cells?"""
    return any(task is not worker._server and not task.done() for task in asyncio.all_tasks(worker.loop))
