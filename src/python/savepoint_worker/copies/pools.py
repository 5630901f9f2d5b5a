"""Pools of threads and processes in a woken copy, which has none of the threads: put in order in place.

An object that the user holds stays the same object. What waited in it is done; what was at work when the copy was
taken has failed, since only the thread that was left behind knew how far it had come.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Future, thread
from typing import Any

LEFT_BEHIND = "What worked at this was left behind by a rollback. Submit it again."


def work_in_progress(threads: Iterable[threading.Thread]) -> list[Future[Any]]:
    """What threads of executors are at, as far as it can be told. Before the fork: frames are not copied."""
    frames = sys._current_frames()
    found = []
    for each in threads:
        frame = frames.get(each.ident or 0)
        while frame is not None and frame.f_code is not thread._worker.__code__:
            frame = frame.f_back
        item = frame.f_locals.get("work_item") if frame is not None else None
        if item is not None:
            found.append(item.future)
    return found


def fail(futures: Iterable[Future[Any]]) -> None:
    """Give these an end, if nobody else has."""
    for future in futures:
        if not future.done():
            future.set_exception(BrokenExecutor(LEFT_BEHIND))


def restart_executor(executor: Any) -> None:
    """A ThreadPoolExecutor: it starts new threads for what waits in it."""
    waiting = _drain(executor._work_queue)
    # A new queue: the lock of the old one may be that of a thread that was about to take something out.
    executor._work_queue = queue.SimpleQueue()
    executor._shutdown_lock = threading.Lock()
    executor._idle_semaphore = threading.Semaphore(0)
    for dead in executor._threads:
        thread._threads_queues.pop(dead, None)  # type: ignore[attr-defined]
    executor._threads.clear()
    for item in waiting:
        executor._work_queue.put(item)
        if item is not None:
            executor._adjust_thread_count()


def restart_process_executor(executor: Any) -> None:
    """A ProcessPoolExecutor: it starts new processes when it is given something to do."""
    fail([item.future for item in executor._pending_work_items.values()])
    if executor._shutdown_thread:
        return
    type(executor).__init__(
        executor, executor._max_workers, executor._mp_context, executor._initializer, executor._initargs
    )


def restart_pool(pool: Any) -> None:
    """A multiprocessing Pool or ThreadPool: everything in it is made anew."""
    for number, job in list(pool._cache.items()):
        try:
            job._set(None, (False, BrokenExecutor(LEFT_BEHIND)))
        except Exception:
            # A result that comes in pieces takes the news otherwise; nobody can wait for it any more.
            pool._cache.pop(number, None)
    pool._terminate.cancel()
    if pool._state != "RUN":
        return
    base = _pool_class()
    options = (pool._processes, pool._initializer, pool._initargs, pool._maxtasksperchild, pool._ctx)
    base.__init__(pool, *options)


def pools() -> list[Any]:
    """All living pools of multiprocessing; they are known to its list of what is to be done at the end."""
    base = _pool_class()
    util: Any = sys.modules["multiprocessing.util"]
    weak = [getattr(each, "_weakref", None) for each in list(util._finalizer_registry.values())]
    found = [reference() for reference in weak if reference is not None]
    return [each for each in found if isinstance(each, base)]


def _pool_class() -> Any:
    return sys.modules["multiprocessing.pool"].Pool  # type: ignore[attr-defined]


def _drain(waiting: Any) -> list[Any]:
    found = []
    while True:
        try:
            found.append(waiting.get_nowait())
        except queue.Empty:
            return found
