"""Comm messages that are served beside the running cell: while it awaits, or when it polls for them.

The gateway hands them over as soon as they come, each with the seq of the cell that it is beside. They wait here in
their order. When the loop runs while the cell is suspended, each is served in a task of its own; code that holds the
thread can have one served by `kernel.do_one_iteration()`, from whatever thread. The end of the cell gives back what
was not begun, and the gateway lets it take its turn.
"""

from __future__ import annotations

import inspect
import threading
from collections import deque
from collections.abc import Awaitable, Generator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any

from . import interrupts
from .link import Frame
from .requests import Request, flush, guarded

if TYPE_CHECKING:
    from .subshells import Subshell
    from .worker import Worker


class Besides:
    """What waits beside the cell of the main thread (`server` is the worker) or of a subshell, and what was begun."""

    def __init__(self, server: Worker | Subshell, worker: Worker) -> None:
        self._server = server
        self._worker = worker
        #: Frames that were not begun, oldest first. Any thread that reads the link adds to it.
        self.waiting: deque[Frame] = deque()
        #: Seqs of those that were begun and have not ended.
        self.begun: set[int] = set()

    def add(self, frame: Frame) -> None:
        """Take a frame that has come. One that is at work in this copy of the process already is not begun again."""
        if frame.envelope["seq"] not in self.begun:
            self.waiting.append(frame)

    def serve_waiting(self) -> None:
        """In the loop: serve what is beside the suspended cell, give back what came for one that is over."""
        worker, server = self._worker, self._server
        while self.waiting:
            cell = self.waiting[0].envelope["beside"]
            if self._runs(cell):
                context = server.context.copy() if server.context is not None else copy_context()
                for _ in range(len(self.waiting)):
                    # A task copies the context in which it is made.
                    context.run(server.loop.create_task, self._serve_next())
                return
            if server.will_serve(cell):
                return
            frame = self.waiting.popleft()
            worker.link.send({"kind": "returned", "seq": frame.envelope["seq"]})

    def serve_soon(self) -> None:
        """Let the loop call `serve_waiting`. Safe from any thread."""
        self._server.loop.call_soon_threadsafe(self.serve_waiting)

    def poll(self) -> None:
        """Serve one message that has come, here and now; called by user code, in any thread.

        Raises KeyboardInterrupt if its handler was interrupted.
        """
        interrupted = self._poll()
        if interrupted is not None:
            raise interrupted
        interrupts.deliver()

    def leave(self) -> dict[str, list[int]]:
        """At the end of the cell: what is given back, and what goes on, for its reply."""
        returned = []
        while self.waiting:
            returned.append(self.waiting.popleft().envelope["seq"])
        return {"returned": returned, "going_on": list(self.begun)}

    def _runs(self, cell: int) -> bool:
        request = self._server.request
        return request is not None and request.seq == cell and request.open

    async def _serve_next(self) -> None:
        # The cell may have ended in between; then what waited was given back.
        if not self.waiting or not self._runs(self.waiting[0].envelope["beside"]):
            return
        request = Request(self.waiting.popleft())
        self.begun.add(request.seq)
        try:
            await self._finish(request, self._start(request))
        except BaseException as error:
            self._fail(request, error)
        finally:
            self._end(request)

    @interrupts.held
    def _poll(self) -> KeyboardInterrupt | None:
        worker = self._worker
        worker.inbox.pump()
        in_main = threading.current_thread() is threading.main_thread()
        if in_main:
            worker._perform_while_waiting()
        if not self.waiting or not self._runs(self.waiting[0].envelope["beside"]):
            return None
        try:
            frame = self.waiting.popleft()
        except IndexError:
            # Another thread polls, too.
            return None
        request = Request(frame)
        self.begun.add(request.seq)
        context = copy_context()
        try:
            if in_main and not interrupts.is_suspended():
                result = context.run(interrupts.run_sync, self._start, request)
            else:
                result = context.run(self._start, request)
        except BaseException as error:
            self._fail(request, error)
            context.run(self._end, request)
            return error if isinstance(error, KeyboardInterrupt) else None
        if result is None:
            context.run(self._end, request)
        else:
            self._server.loop.call_soon_threadsafe(self._go_on, request, result, context)
        return None

    def _go_on(self, request: Request, result: Awaitable[Any], context: Context) -> None:
        async def go_on() -> None:
            try:
                await self._finish(request, result)
            except BaseException as error:
                self._fail(request, error)
            finally:
                self._end(request)

        context.run(self._server.loop.create_task, go_on())

    def _start(self, request: Request) -> Awaitable[Any] | None:
        """Call the handler; what it returned, if that has to be awaited."""
        kernel, message = self._worker.kernel, request.message
        if type(message["content"]) is not dict:
            return None
        self._set_parent(message)
        handler = kernel.shell_handlers.get(request.type)
        if handler is None:
            return None
        result = handler(kernel.shell_stream, kernel._parent_ident["shell"], message)
        return result if inspect.isawaitable(result) else None

    async def _finish(self, request: Request, result: Awaitable[Any] | None) -> None:
        if result is not None:
            await result

    def _fail(self, request: Request, error: BaseException) -> None:
        self._worker.log("error", f"A {request.type} message could not be handled: {type(error).__name__}.")

    def _end(self, request: Request) -> None:
        worker = self._worker
        flush(worker)
        cell = self._server.request
        if cell is not None:
            # Whatever has no parent of its own (threads, streams of the user's) belongs to the cell again.
            guarded(worker, self._set_parent, cell.message)
        self.begun.discard(request.seq)
        worker.link.send({"kind": "served", "seq": request.seq})

    def _set_parent(self, message: dict[str, Any]) -> None:
        header = message["header"]
        self._worker.kernel.set_parent([str(header.get("session", "")).encode()], message)
        self._worker.attribute_streams(header)


class Iteration:
    """What `kernel.do_one_iteration()` returns: all is done by then; awaited, it lets other tasks go on, too."""

    def __await__(self) -> Generator[None, None, None]:
        yield
