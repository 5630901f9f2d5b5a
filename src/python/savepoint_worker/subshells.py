"""Subshells: threads that serve requests of their own beside the main thread.

Each has an event loop, one task that serves its requests one after another, and a context that they share, just as the
main thread has. Every loop reads the link, so that what is for a subshell is read although user code holds the main
thread. If all threads are held, nobody reads; for a subshell that is to be made then, the gateway rings
(`debug.doorbell`).

A copy of the process has none of these threads. The gateway has them opened anew in one that is woken.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import os
import selectors
import socket
import sys
import threading
import time
from _thread import start_new_thread
from typing import TYPE_CHECKING, Any

from . import requests
from .besides import Besides
from .link import Frame, LinkClosed

if TYPE_CHECKING:
    from .worker import Worker

#: How often it is looked whether a thread has ended: at first, and in the long run.
END_POLL_S = 0.0005
END_POLL_MAX_S = 0.05


class Subshell:
    """One thread and what it serves."""

    def __init__(self, worker: Worker, identity: str) -> None:
        self.id = identity
        self.worker = worker
        self.loop: Any = asyncio.SelectorEventLoop(selectors.PollSelector())
        self.context = contextvars.copy_context() if sys.version_info >= (3, 11) else None
        #: The request that is being served.
        self.request: requests.Request | None = None
        self.besides = Besides(self, worker)
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self.thread = threading.Thread(target=self._run, name=f"subshell-{identity}", daemon=True)

    def put(self, frame: Frame | None) -> None:
        """Take what has come for it, from whatever thread; None: end after that."""
        if frame is not None and "beside" in frame.envelope:
            self.besides.add(frame)
            self._call(self.besides.serve_waiting)
        else:
            self._call(self._frames.put_nowait, frame)

    def look(self) -> None:
        """Read what has come, in its own thread."""
        self._call(self.worker.inbox.pump)

    def will_serve(self, seq: int) -> bool:
        """Does the request `seq` wait here for its turn?"""
        waiting = tuple(self._frames._queue)  # type: ignore[attr-defined]
        return any(frame is not None and frame.envelope.get("seq") == seq for frame in waiting)

    def sockets(self) -> tuple[socket.socket, ...]:
        """The connections of its loop."""
        return (self.loop._ssock, self.loop._csock)

    def abandon(self) -> None:
        """In a copy of the process, which has no such thread: give the descriptors back."""
        self.loop._thread_id = None
        try:
            self.loop.close()
        except Exception:
            # The thread was cut off in the middle of something. What stays open is two ends of nothing.
            pass

    def _call(self, function: Any, *arguments: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # It has ended.
            pass

    def _run(self) -> None:
        worker = self.worker
        asyncio.set_event_loop(self.loop)
        self.loop.add_reader(worker.link.fileno(), worker.inbox.pump)
        options: dict[str, Any] = {} if self.context is None else {"context": self.context}
        server = self.loop.create_task(self._serve(), name=f"savepoint-subshell-{self.id}", **options)
        while not server.done():
            try:
                self.loop.run_until_complete(server)
            except BaseException:
                # A background task of the user's raised SystemExit: that ends the task, not the subshell.
                continue
        self.loop.remove_reader(worker.link.fileno())
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()

    async def _serve(self) -> None:
        while True:
            try:
                frame = await self._frames.get()
                if frame is None:
                    return
                await serve(self, frame)
            except asyncio.CancelledError:
                if sys.version_info >= (3, 11):
                    task = asyncio.current_task()
                    while task is not None and task.cancelling():
                        task.uncancel()


async def serve(subshell: Subshell, frame: Frame) -> None:
    """Serve the request in `frame` in this thread, and answer it."""
    worker = subshell.worker
    request = subshell.request = requests.Request(frame)
    if subshell.besides.waiting:
        subshell.loop.call_soon(subshell.besides.serve_waiting)
    try:
        try:
            await _handle(worker, request)
        except BaseException as error:
            requests.fail(worker, request, error, subshell.besides)
        requests.answer_at_last(worker, request, subshell.besides)
    finally:
        subshell.request = None


async def _handle(worker: Worker, request: requests.Request) -> None:
    kernel, message = worker.kernel, request.message
    header = message["header"]
    kernel.set_parent([str(header.get("session", "")).encode()], message)
    if type(message["content"]) is not dict:
        error = ValueError("The content of the request is no JSON object.")
        requests.reply(worker, request, requests.error_content(error), {})
        return
    handler = kernel.shell_handlers.get(request.type)
    if handler is None:
        return
    if request.execution_count is not None:
        # One counter for all shells: another cell may have ended since the gateway chose the number.
        worker._set_execution_count(max(request.execution_count, worker.shell.execution_count))
    result = handler(kernel.shell_stream, kernel._parent_ident["shell"], message)
    if inspect.isawaitable(result):
        await result


class Subshells:
    """The subshells of a worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._by_id: dict[str, Subshell] = {}
        #: Those that are ending.
        self._ending: set[Subshell] = set()

    def __bool__(self) -> bool:
        return bool(self._by_id or self._ending)

    def ids(self) -> list[str]:
        """Ids of those that take requests."""
        return list(self._by_id)

    def all(self) -> list[Subshell]:
        """Those that there are, and those that are ending."""
        return [*self._by_id.values(), *self._ending]

    def current(self) -> Subshell | None:
        """The one whose thread this is."""
        here = threading.current_thread()
        return next((each for each in self.all() if each.thread is here), None)

    def hear(self, frame: Frame) -> None:
        """Take a frame that names a subshell, in whatever thread it was read."""
        identity, kind = frame.envelope["subshell"], frame.envelope["kind"]
        if kind == "subshell_open":
            subshell = self._by_id[identity] = Subshell(self._worker, identity)
            subshell.thread.start()
        elif kind == "subshell_close":
            closing = self._by_id.pop(identity, None)
            if closing is not None:
                self._ending.add(closing)
                closing.put(None)
                start_new_thread(self._wait_for_end, (closing,))
        elif identity in self._by_id:
            self._by_id[identity].put(frame)

    def request_of(self, msg_id: str | None) -> tuple[requests.Request, Subshell] | None:
        """The request with this id that one of them is serving."""
        for subshell in self.all():
            if subshell.request is not None and subshell.request.msg_id == msg_id:
                return subshell.request, subshell
        return None

    def wake(self) -> None:
        """Let all of them look at the link."""
        for subshell in self.all():
            subshell.look()

    def sockets(self) -> list[socket.socket]:
        """The connections of their loops."""
        return [each for subshell in self.all() for each in subshell.sockets()]

    def begin_anew(self) -> None:
        """In a woken copy, which has none of the threads."""
        for subshell in self.all():
            subshell.abandon()
        if self:
            # Threads that were cut off may have held them.
            history = self._worker.shell.history_manager
            history.db_input_cache_lock = threading.Lock()
            history.db_output_cache_lock = threading.Lock()
        self._by_id.clear()
        self._ending.clear()

    def _wait_for_end(self, closing: Subshell) -> None:
        # `join` would make this thread one that `threading` knows and counts.
        pause = END_POLL_S
        while closing.thread.is_alive():
            time.sleep(pause)
            pause = min(pause * 2, END_POLL_MAX_S)
        self._ending.discard(closing)
        try:
            self._worker.link.send({"kind": "subshell_closed", "subshell": closing.id})
        except LinkClosed:
            pass


def describe(worker: Worker) -> str:
    """What `%subshell` prints: who runs this, and who else there is."""
    here = worker.subshells.current()
    in_main = threading.current_thread() is threading.main_thread()
    lines = (
        f"subshell id: {here.id if here is not None else None if in_main else 'unknown'}",
        f"thread id: {threading.get_ident()}",
        f"main thread id: {threading.main_thread().ident}",
        f"pid: {os.getpid()}",
        f"thread count: {threading.active_count()}",
        f"subshell list: {worker.subshells.ids()}",
    )
    return "\n".join(lines)
