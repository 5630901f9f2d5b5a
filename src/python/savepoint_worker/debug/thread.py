"""The debugger's thread: its connection to the gateway, its event loop, and its end."""

from __future__ import annotations

import asyncio
import json
import selectors
import threading
from typing import TYPE_CHECKING, Any

from .. import interrupts
from ..effects import recorder
from ..ipython.session import pack
from ..link import BadFrame, Frame, Link, LinkClosed
from ..reporting import safe_text
from . import cells, teardown
from .interruption import Interruption

if TYPE_CHECKING:
    from ..worker import Worker


#: How long the end of the thread before may take.
PREVIOUS_TIMEOUT_S = 5.0


class Lost(Exception):
    """The adapter is gone: what was asked of it is not answered any more."""


class DebuggerThread(threading.Thread):
    """Serves one `debug_request` after the other, until the gateway hangs up."""

    def __init__(self, worker: Worker, token: str) -> None:
        super().__init__(name="Savepoint-debugger", daemon=True)
        # So that debugpy leaves this thread alone.
        self.pydev_do_not_trace = True
        self.is_pydev_daemon_thread = True
        self._worker = worker
        self._token = token
        #: debugpy is at work in this process, or about to be.
        self.attached = False
        self._previous = worker.debugger
        self._hooks: teardown.Hooks
        self._requests: asyncio.Queue[Frame]
        self._serving: asyncio.Task[None]
        self._debugger: Any = None
        self._stopped: asyncio.Task[None]
        self._lost: asyncio.Future[None]
        self._link: Any = None

    def run(self) -> None:
        """Dial in, serve, and leave the process as it was."""
        # It starts a process, and opens connections.
        with recorder.unheard():
            self._run()

    def _run(self) -> None:
        spec = self._worker.spec
        try:
            self._link = Link.dial(spec.link_path, "debugger", spec.kernel, self._token)
        except OSError:
            # The gateway gave up waiting, or is gone.
            return
        if self._previous is not None:
            # It was dismissed, and undoes what it has done.
            self._previous.join(PREVIOUS_TIMEOUT_S)
            self._previous = None
        self._hooks = teardown.Hooks()
        loop: Any = asyncio.SelectorEventLoop(selectors.PollSelector())
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(self._serve())
        except LinkClosed:
            # The worker's own connection will tell the same.
            pass
        finally:
            if self._worker.debugger is self:
                self._worker.debugger = None
            self._link.close()
            loop.close()

    def cell_begins(self) -> None:
        """In the main thread, before each cell."""
        if self.attached:
            cells.begin()

    def fileno(self) -> int:
        """Descriptor of the connection to the gateway; -1 as long as there is none."""
        return -1 if self._link is None else self._link.fileno()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        interrupts.yield_to(Interruption(loop).take)
        self._requests = asyncio.Queue()
        self._lost = loop.create_future()
        self._serving = loop.create_task(self._answer_all())
        loop.add_reader(self._link.fileno(), self._on_readable)
        try:
            await self._serving
        except asyncio.CancelledError:
            # The gateway hung up.
            pass
        finally:
            interrupts.yield_to(None)
            self._end()

    def _on_readable(self) -> None:
        try:
            for frame in self._link.receive_ready():
                self._requests.put_nowait(frame)
        except (LinkClosed, BadFrame):
            asyncio.get_running_loop().remove_reader(self._link.fileno())
            self._serving.cancel()

    async def _answer_all(self) -> None:
        while True:
            frame = await self._requests.get()
            request = json.loads(bytes(frame.parts[0]))
            self.attached = self.attached or request.get("command") == "initialize"
            try:
                content = await self._until_lost(self._answer(request))
            except Exception as error:
                content = _failure(request, f"{type(error).__name__}: {safe_text(error)}")
                self._log("error", f"The debugger failed at {request.get('command')!r}: {content['message']}")
            if self._lost.done() or request.get("command") == "disconnect":
                self._end()
            self.attached = self._debugger is not None and bool(self._debugger.is_started)
            envelope = {"kind": "debug_reply", "seq": frame.envelope["seq"], "attached": self.attached}
            self._link.send(envelope, pack(content))

    async def _until_lost(self, answer: Any) -> dict[str, Any]:
        task = asyncio.ensure_future(answer)
        await asyncio.wait((task, self._lost), return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            task.cancel()
            raise Lost("debugpy's adapter has ended.")
        result: dict[str, Any] = task.result()
        return result

    async def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        from . import requests

        if self._debugger is None:
            self._lost = asyncio.get_running_loop().create_future()
            try:
                self._debugger = requests.build(self._worker.kernel, self._on_event, self._on_lost, self._log)
            except requests.NoDebugger as error:
                self._log("warn", safe_text(error))
                return {}
            self._stopped = asyncio.get_running_loop().create_task(self._announce_stops())
        answer: dict[str, Any] = await self._debugger.process_request(request)
        return answer

    async def _announce_stops(self) -> None:
        # ipykernel holds `stopped` back until it knows which threads have stopped.
        while True:
            await self._debugger.handle_stopped_event()

    def _on_event(self, event: dict[str, Any]) -> None:
        self._link.send({"kind": "debug_event"}, pack(event))

    def _on_lost(self) -> None:
        if not self._lost.done():
            self._lost.set_result(None)

    def _log(self, level: str, text: str) -> None:
        self._link.send({"kind": "log", "level": level, "text": text})

    def _end(self) -> None:
        """Undo everything; what comes next finds a process that was never debugged."""
        debugger, self._debugger = self._debugger, None
        if debugger is None:
            return
        self._stopped.cancel()
        try:
            if debugger.is_started:
                debugger.stop()
        except Exception as error:
            self._worker.log("warn", f"The debugger did not end in order: {type(error).__name__}: {safe_text(error)}")
        teardown.end(self._hooks, self._worker.loop.call_soon_threadsafe)
        teardown.remove_texts()
        self.attached = False


def _failure(request: dict[str, Any], message: str) -> dict[str, Any]:
    return {
        "type": "response",
        "request_seq": request.get("seq"),
        "command": request.get("command"),
        "success": False,
        "message": message,
    }
