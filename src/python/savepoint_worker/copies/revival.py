"""The user's Python threads at a fork: which of them a woken copy can have again, and which are left behind.

Threads of pools, of a logging listener and of tqdm only serve an object, and a copy can have others in their place.
A thread that runs code of the user's own cannot be begun again in the middle: it is named.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import BrokenExecutor, Future, thread
from typing import Any, NamedTuple

from . import pools

#: Names of threads that serve other threads here, and end with them.
_HELPERS = ("QueueFeederThread", "QueueManagerThread", "asyncio-waitpid-", "waitpid-")


class Company(NamedTuple):
    """The Python threads beside the main one."""

    #: Those that a copy can have again.
    served: tuple[threading.Thread, ...] = ()
    #: Those that it cannot.
    others: tuple[threading.Thread, ...] = ()
    #: What threads of executors were at.
    at_work: tuple[Future[Any], ...] = ()

    def joined(self, other: Company) -> Company:
        """Those of both."""
        if other is NOBODY:
            return self
        return Company(self.served + other.served, self.others + other.others, self.at_work + other.at_work)

    def limits(self) -> list[str]:
        """What a rollback leaves behind, in words."""
        return [f"thread '{each.name}': it does not run in the state that is brought back" for each in self.others]


NOBODY = Company()


def look(ours: frozenset[threading.Thread]) -> Company:
    """Who else runs in this process; `ours` are threads that the worker looks after itself."""
    # Without its lock: whoever holds that may be waiting for us.
    threads = [each for each in list(threading._active.values()) if each not in ours]  # type: ignore[attr-defined]
    main = threading.main_thread()
    present = [each for each in threads if each is not main and not each.name.startswith(_HELPERS)]
    if not present:
        return NOBODY
    served, others = [], []
    for each in present:
        (served if _kind(each) else others).append(each)
    at_work = pools.work_in_progress(each for each in served if _kind(each) == "executor")
    return Company(tuple(served), tuple(others), tuple(at_work))


def revive(company: Company) -> list[str]:
    """In a woken copy: put everything in order that threads served. What did not work, in words."""
    failed: list[str] = []
    done: set[int] = set()
    pools.fail(company.at_work)
    for each in company.served:
        kind = _kind(each)
        for served, restart in _served(kind, each) if kind else ():
            if id(served) not in done:
                done.add(id(served))
                try:
                    restart(served)
                except Exception as error:
                    failed.append(f"{type(served).__name__}: {type(error).__name__}: {error}")
    return failed


def _kind(each: threading.Thread) -> str | None:
    target = getattr(each, "_target", None)
    module, name = type(each).__module__, type(each).__name__
    if target is thread._worker:
        return "executor"
    if name == "_ExecutorManagerThread":
        return "loky" if module.partition(".")[0] in ("loky", "joblib") else "processes"
    if getattr(target, "__module__", None) == "multiprocessing.pool":
        return "pool"
    if module == "tqdm._monitor":
        return "tqdm"
    listener = getattr(target, "__self__", None)
    handlers: Any = sys.modules.get("logging.handlers")
    if handlers is not None and isinstance(listener, handlers.QueueListener):
        return "listener"
    return None


def _served(kind: str, each: Any) -> Iterable[tuple[Any, Callable[[Any], None]]]:
    """What a thread served, and what brings that back."""
    match kind:
        case "executor":
            executor = each._args[0]()
            return [(executor, pools.restart_executor)] if executor is not None else []
        case "processes":
            executor = each.executor_reference()
            return [(executor, pools.restart_process_executor)] if executor is not None else []
        case "loky":
            executor = each.executor_reference()
            return [(executor, _give_up_loky)] if executor is not None else []
        case "pool":
            return [(pool, pools.restart_pool) for pool in pools.pools()]
        case "tqdm":
            return [(each, _forget_monitor)]
        case _:
            return [(each._target.__self__, _restart_listener)]


def _give_up_loky(executor: Any) -> None:
    """Its processes are another worker's: who holds it is told, and the next one that is asked for is a new one."""
    pools.fail([item.future for item in list(executor._pending_work_items.values())])
    executor._flags.broken = BrokenExecutor(pools.LEFT_BEHIND)
    executor._flags.shutdown = True
    executor._executor_manager_thread = executor._executor_manager_thread_wakeup = None
    for name in ("loky.reusable_executor", "joblib.externals.loky.reusable_executor"):
        module = sys.modules.get(name)
        # Newer versions keep one for each thread, older ones one for all.
        for holder, attribute in ((getattr(module, "_executor_storage", None), "executor"), (module, "_executor")):
            if getattr(holder, attribute, None) is executor:
                setattr(holder, attribute, None)


def _forget_monitor(monitor: Any) -> None:
    """The next bar starts another one."""
    bars: Any = sys.modules["tqdm.std"].tqdm
    if bars.monitor is monitor:
        bars.monitor = None


def _restart_listener(listener: Any) -> None:
    # It waited there; nobody is to wake it in the place of another.
    condition = getattr(listener.queue, "not_empty", None)
    if condition is not None:
        condition._waiters.clear()
    listener.start()


def native_ids() -> set[int]:
    """The system's ids of all threads that Python has started."""
    return {each.native_id or 0 for each in list(threading._active.values())}  # type: ignore[attr-defined]
