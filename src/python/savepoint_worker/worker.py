"""The life of one worker: from the fork to its end, over any number of rollbacks.

A worker serves one request after the other, in one task of one event loop; background tasks of the user run between
them and while a cell awaits. Which request comes next, and what is queued, is the gateway's business.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import selectors
import signal
import sys
import threading
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, NoReturn

from . import commands, ending, interrupts, lasting, lease, moments, own_handlers, requests
from .asks import Answer, Asks
from .besides import Besides
from .birth import WorkerSpec, enter
from .cells.warmth import Warmth
from .debug import doorbell, facts
from .inbox import Inbox
from .ipython import history
from .ipython.build import become_worker
from .ipython.kernel import WorkerKernel
from .ipython.session import pack
from .link import EXIT_LINK_LOST, BadFrame, Frame, Link, LinkClosed, wait_readable
from .loops import renew_pipe
from .moments import Woken
from .objects.engine import Held
from .reporting import safe_text
from .subshells import Subshells

if TYPE_CHECKING:
    from .debug.thread import DebuggerThread
    from .effects.recorder import Recorder

#: How long the one who answers the bell looks for what was announced.
RING_S = 0.2

_current: Worker | None = None


class Worker:
    """The worker of this process."""

    #: Both are given to it at its birth.
    spec: WorkerSpec
    link: Link

    def __init__(self, kernel: WorkerKernel) -> None:
        """Make what any worker of this kernel has, whichever process it is going to be."""
        self.kernel = kernel
        self.shell = kernel.shell
        self.outlet = kernel.parent.outlet
        self.inbox = Inbox()
        self.generation = 0
        self.loop: Any = asyncio.SelectorEventLoop(selectors.PollSelector())
        #: Snapshots and other children of ours, hidden from the user's `os.wait`.
        self.snapshots: Any = None
        #: What is done outside of the process while a transaction is open; None as long as none was.
        self.recorder: Recorder | None = None
        #: Copies of what the variables hold.
        self.held = Held()
        #: The request that is being served.
        self.request: requests.Request | None = None
        #: Comm messages beside that request.
        self.besides = Besides(self, self)
        #: Threads that serve requests beside the main one.
        self.subshells = Subshells(self)
        #: The context that all requests share; None where a task cannot be given one.
        self.context = contextvars.copy_context() if sys.version_info >= (3, 11) else None
        #: The thread of the debugger, while there is one.
        self.debugger: DebuggerThread | None = None
        self.warmth = Warmth(self.loop, self.shell, lambda: self.request is not None)
        self._requests: asyncio.Queue[Frame] = asyncio.Queue()
        self._asks = Asks(self)
        #: Serves requests.
        self._server: asyncio.Task[None] | None = None
        self._wire()

    @staticmethod
    def current() -> Worker | None:
        """The worker of this process; None in a process that is none, such as one that the user forked."""
        return _current

    # --------------------------------------------------------------------------------------------- birth and end

    @classmethod
    def main(cls, spec: WorkerSpec, kernel: WorkerKernel, prepared: Worker | None = None) -> NoReturn:
        """Be a worker in this process, which was just forked, until it ends. `prepared`: all but what is its own."""
        try:
            interrupts.install()
            doorbell.install(_read_link)
            enter(spec)
            link = lasting.dial(spec, spec.token, patient=not spec.ready)
            worker = prepared or cls(kernel)
            worker.spec, worker.link = spec, link
            if prepared is not None:
                renew_pipe(worker.loop)
            if spec.ready:
                # However long that takes; when the gateway is gone, the link says so.
                leased = link.receive()
                # It is somebody's now, and may have been told more in the same breath.
                link.survives = True
                lease.apply(worker, leased)
            elif spec.connection_file is not None:
                lease.rename(worker, spec.connection_file)
            worker._begin(lease.welcome(link))
            worker._run()
        except (LinkClosed, BadFrame, TimeoutError):
            _lose_link()
        except BaseException:
            import traceback

            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
        os._exit(0)

    def _wire(self) -> None:
        """Connect what stays connected, through forks as well."""
        own_handlers.install()
        interrupts.held(Link.send)
        history.connect(self)
        self.kernel.session.on_reply = self._on_reply
        self.inbox.on_commands = self._schedule_commands
        self.inbox.on_beside = self.besides.add
        self.inbox.on_subshell = self.subshells.hear
        self.inbox.on_lost = _lose_link
        self.inbox.on_wake = self._wake_loops
        self.inbox.on_commands_while_waiting = self._perform_while_waiting
        self.inbox.on_urgent = self._start_debugger
        for channel in (self.kernel.shell_stream, self.kernel.stdin_socket, self.kernel.iopub_socket):
            channel.fileno = lambda: self.link.fileno()
            channel.waits = self._request_waits

    def _begin(self, welcome: Frame) -> None:
        """Take up work as the gateway's `welcome` says."""
        if self.spec.custodian_fd >= 0:
            from .copies import snapshot

            self.snapshots = snapshot.Snapshots(self.spec.custodian_fd)
        beside_link = os.path.join(os.path.dirname(os.path.abspath(self.spec.link_path)), "interrupts")
        interrupts.watch(self._request_waits, self._acknowledge_interrupt, self.spec.interrupts or beside_link)
        signal.set_wakeup_fd(self.loop._csock.fileno(), warn_on_full_buffer=False)
        self._take_up(welcome)
        if self.kernel.can_debug:
            self.link.send({"kind": "debug_info"}, pack(facts.info()))

    def _take_up(self, welcome: Frame) -> None:
        global _current
        _current = self
        envelope = welcome.envelope
        self.generation = envelope["generation"]
        become_worker(self.kernel, envelope["session"])
        self._set_execution_count(envelope["execution_count"])
        self.kernel.worker = self
        asyncio.set_event_loop(self.loop)
        self._connect(self.link)

    def rehearse(self, link: Link, welcome: Frame, work: Coroutine[Any, Any, None]) -> None:
        """In the zygote: be a worker for as long as `work` takes, then be nobody again."""
        global _current
        self.link = link
        self._take_up(welcome)
        self._serve_in_task()
        self.loop.run_until_complete(work)
        _current = None
        asyncio.set_event_loop(None)
        self.loop.remove_reader(link.fileno())
        self.kernel.worker = self.kernel.session.link = self.outlet.link = None
        self.kernel.watch = self.kernel.latest_changes = None

    def _connect(self, link: Link) -> None:
        self.link = link
        link.on_abandoned = self._abandoned
        self.inbox.reset(link)
        self.outlet.attach(link)
        self.kernel.session.link = link
        self.loop.add_reader(link.fileno(), self._on_readable)
        # What came together with the welcome has been read already.
        self.loop.call_soon(self._on_readable)

    def _run(self) -> None:
        server = self._serve_in_task()
        while not (self.shell.exit_now or server.done()):
            try:
                self.loop.run_forever()
            except LinkClosed:
                raise
            except BaseException as error:
                # A background task of the user's raised it, or a signal handler; that does not end the kernel.
                if not isinstance(error, (KeyboardInterrupt, SystemExit)):
                    self.log("warn", f"Something raised in the event loop: {type(error).__name__}: {safe_text(error)}")
        if server.done():
            server.result()
        ending.end(self)

    def _serve_in_task(self) -> asyncio.Task[None]:
        if self._server is None:
            # The task is kept here: the loop itself only holds tasks weakly.
            options: dict[str, Any] = {} if self.context is None else {"context": self.context}
            self._server = self.loop.create_task(self._serve(), name="savepoint-requests", **options)
        return self._server

    async def _serve(self) -> None:
        from tornado.ioloop import IOLoop

        self.kernel.io_loop = self.kernel.parent.io_loop = IOLoop.current()
        while True:
            try:
                frame = await self._requests.get()
                if frame.envelope["kind"] == "request":
                    await requests.serve(self, frame)
                    if self._requests._queue:  # type: ignore[attr-defined]
                        # The user's tasks progress between two cells, however closely they follow.
                        await asyncio.sleep(0)
                else:
                    self._perform(frame)
            except asyncio.CancelledError:
                # Somebody cancelled all the tasks that he could find, or a cell ended before its cancellation came.
                if sys.version_info >= (3, 11):
                    task = asyncio.current_task()
                    while task is not None and task.cancelling():
                        task.uncancel()

    # -------------------------------------------------------------------------------------------------- the link

    def _on_readable(self) -> None:
        self.inbox.pump()
        self._perform_commands()

    def _wake_loops(self) -> None:
        self.loop.call_soon_threadsafe(self._on_readable)
        self.subshells.wake()

    def _request_waits(self) -> bool:
        return bool(wait_readable([self.link.fileno()], 0))

    def _acknowledge_interrupt(self) -> None:
        link = self.outlet.link
        # A process that the user forked has the handler, too, but nobody to tell.
        if link is not None:
            try:
                link.send({"kind": "interrupted"})
            except LinkClosed:
                # The loop finds out by itself.
                pass

    def _schedule_commands(self) -> None:
        if threading.get_ident() == threading.main_thread().ident:
            self.loop.call_soon(self._perform_commands)
        else:
            self.loop.call_soon_threadsafe(self._perform_commands)

    def _perform_commands(self) -> None:
        """In the loop: queue what has to wait for its turn, do the rest."""
        while self.inbox.commands:
            frame = self.inbox.commands.popleft()
            if frame.envelope["kind"] in ("request", "snapshot", "put_back", "restore", "namespace"):
                self._requests.put_nowait(frame)
            else:
                self._perform(frame)
        if self.besides.waiting:
            self.besides.serve_waiting()

    @interrupts.held
    def _perform_while_waiting(self) -> None:
        """In the user's code, which waits: do what is not for later."""
        later = []
        while self.inbox.commands:
            frame = self.inbox.commands.popleft()
            if frame.envelope["kind"] in ("request", "snapshot"):
                later.append(frame)
            else:
                self._perform(frame)
        self.inbox.commands.extendleft(reversed(later))

    def _start_debugger(self, frame: Frame) -> None:
        """In whatever thread has read this."""
        from .debug.thread import DebuggerThread

        self.debugger = DebuggerThread(self, frame.envelope["token"])
        self.debugger.start()

    def _perform(self, frame: Frame) -> None:
        try:
            commands.perform(self, frame)
        except Exception as error:
            self.log(
                "error", f"The command {frame.envelope['kind']} failed: {type(error).__name__}: {safe_text(error)}"
            )

    # --------------------------------------------------------------------------------------- what others call

    def will_serve(self, seq: int) -> bool:
        """Does the request `seq` wait here for its turn?"""
        waiting = (*self.inbox.commands, *self._requests._queue)  # type: ignore[attr-defined]
        return any(frame.envelope.get("seq") == seq for frame in waiting)

    def is_wanted(self) -> bool:
        """Is a request being served, or does anything wait here for its turn?"""
        return bool(self.request or self.inbox.commands or self._requests._queue)  # type: ignore[attr-defined]

    def log(self, level: str, text: str) -> None:
        """Put a line into the gateway's log."""
        self.link.send({"kind": "log", "level": level, "text": text})

    def flush_streams(self) -> None:
        """Send what was written so far, whatever `sys.stdout` and `sys.stderr` are now."""
        # Here nobody waits for it to be shown.
        self.outlet.waiting = None
        for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
            try:
                stream.flush()  # type: ignore[union-attr]
            except Exception:
                # A stream of the user's own may be closed or broken; that is no reason not to reply.
                pass
        self.outlet.flush()

    def attribute_streams(self, header: dict[str, Any]) -> None:
        """Attribute output to `header`, also where the user put his own stream in front of ours."""
        app = self.kernel.parent
        for stream, present in ((app.stdout, sys.stdout), (app.stderr, sys.stderr)):
            if stream is not present:
                stream.parent_header = header

    def ask(self, op: str, args: dict[str, Any], *parts: bytes) -> Answer:
        """Ask the gateway for an operation, and wait until it is done; see `Asks.ask`."""
        return self._asks.ask(op, args, *parts)

    def take(self, permit: dict[str, str]) -> Woken | None:
        """Freeze a copy of this process; see `moments.take`."""
        return moments.take(self, permit)

    def come_back(self, link: Link, welcome: Frame) -> Woken:
        """Take up work in a copy of the process that was woken; see `moments.come_back`."""
        global _current
        _current = self
        return moments.come_back(self, link, welcome)

    def leave_fork(self, status: int) -> None:
        """End this process if it is one that the user's cell forked, and that came to the end of the cell."""
        if _current is not self:
            self.flush_streams()
            os._exit(status)

    # ------------------------------------------------------------------------------------------------- internal

    def _abandoned(self) -> None:
        ending.end_abandoned(EXIT_LINK_LOST)

    def _set_execution_count(self, number: int) -> None:
        # To set a trait costs more than to look at it, and mostly it is counted right already.
        if self.shell.execution_count != number:
            self.shell.execution_count = number
        history.pad(self.shell, number)

    def _on_reply(self, msg_id: str | None, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        if self.request is not None and self.request.msg_id == msg_id:
            requests.reply(self, self.request, content, metadata)
        elif self.subshells:
            found = self.subshells.request_of(msg_id)
            if found is not None:
                requests.reply(self, found[0], content, metadata, found[1].besides)


def _lose_link() -> NoReturn:
    """Without a gateway there is nobody to work for, and nobody to tell."""
    os._exit(EXIT_LINK_LOST)


def _read_link() -> None:
    """In a thread of its own: take what has come, while the main thread is busy with user code."""
    if _current is not None:
        # What was sent before the bell rang may still be on its way.
        wait_readable([_current.link.fileno()], RING_S)
        _current.inbox.pump()


def _forget_worker() -> None:
    """In a forked process, whoever forked it: the link is the parent's to read and to write."""
    global _current
    if _current is not None:
        _current.kernel.session.link = None
        _current.loop.remove_reader(_current.link.fileno())
        _current = None


os.register_at_fork(after_in_child=_forget_worker)
