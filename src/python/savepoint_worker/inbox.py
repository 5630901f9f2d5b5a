"""Frames from the gateway, and whoever waits for one of them.

Normally the event loop reads the link. While user code holds the main thread nobody runs the loop, so whoever waits
for an answer (`input()` in a cell or in a thread, an `ask`) reads the link itself. Any number of readers may do so:
each takes what has come under one lock, hands every frame to the one that it is for, and wakes that one. What is for
nobody in particular is a command for the worker, which performs it at the next moment that is safe.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from . import interrupts
from .link import BadFrame, Frame, Link, LinkClosed, wait_readable
from .presence import start_thread, starts

ANSWERS = frozenset({"input", "answer"})
URGENT = frozenset({"debug"})


class Expected:
    """The wait for the one frame that answers a question. Made by `Inbox.expect`."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._wakes, self._waker = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._in_main = threading.current_thread() is threading.main_thread()
        self.frame: Frame | None = None

    def wait(self, deadline: float | None = None) -> Frame:
        """The answer. Commands that come first are performed meanwhile if this is the main thread.

        `deadline` is on the monotonic clock. Raises TimeoutError, and whatever signal handlers raise.
        """
        while self.frame is None:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise TimeoutError("The gateway did not answer in time.")
            link = self._inbox.link.fileno()
            ready = wait_readable([link, self._wakes], remaining)
            if self._wakes in ready:
                os.read(self._wakes, 512)
            self._inbox.pump()
            if self._in_main and self._inbox.commands:
                self._inbox.on_commands_while_waiting()
            interrupts.deliver()
        return self.frame

    def wake(self) -> None:
        """Let the waiter look again."""
        try:
            os.write(self._waker, b"\0")
        except BlockingIOError:
            # The pipe is full of wake-ups already.
            pass

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._wakes)
        os.close(self._waker)


class Promised:
    """The wait of a coroutine for the frame that answers a question. Made by `Inbox.promise`."""

    _in_main = False

    def __init__(self, identity: str, loop: asyncio.AbstractEventLoop) -> None:
        self.identity = identity
        self.frame: Frame | None = None
        #: Resolved with the frame, or with None in a copy of the process that was woken: nobody was asked there.
        self.arrived: asyncio.Future[Frame | None] = loop.create_future()
        self._loop = loop

    def wake(self) -> None:
        """Let the coroutine go on. Safe from any thread."""
        self._loop.call_soon_threadsafe(self._resolve)

    def close(self) -> None:
        """Let the coroutine go on without an answer."""
        self.wake()

    def _resolve(self) -> None:
        if not self.arrived.done():
            self.arrived.set_result(self.frame)


class Inbox:
    """What has come over the link and was not taken yet."""

    #: Given by `reset`.
    link: Link

    def __init__(self) -> None:
        #: Frames for the worker itself, oldest first.
        self.commands: deque[Frame] = deque()
        #: Called, in whatever thread reads, with each message beside a cell.
        self.on_beside: Callable[[Frame], None] = lambda frame: None
        #: Called, in whatever thread reads, with each frame that names a subshell.
        self.on_subshell: Callable[[Frame], None] = lambda frame: None
        #: Called, in whatever thread reads, when there are new commands.
        self.on_commands: Callable[[], None] = lambda: None
        #: Called, in whatever thread reads, when the link is lost.
        self.on_lost: Callable[[], None] = lambda: None
        #: Called in the main thread when there are commands while user code waits for an answer.
        self.on_commands_while_waiting: Callable[[], None] = lambda: None
        #: Called, in whatever thread reads, for each frame that must not wait for the main thread.
        self.on_urgent: Callable[[Frame], None] = lambda frame: None
        #: Called when every loop is to look at the link anew.
        self.on_wake: Callable[[], None] = lambda: None
        #: The cell that may be begun behind the one that runs.
        self.ahead: Frame | None = None
        #: Held by whoever reads.
        self.lock = threading.RLock()
        self._pumps = False
        #: A thread of `glance` is at work; which was the last, as the system numbers it.
        self.glances = False
        self.glancer = 0
        self._glancer_exists: Callable[[], object] = lambda: None
        self._expected: dict[str, Expected | Promised] = {}

    def reset(self, link: Link) -> None:
        """Begin anew over `link`, in a copy of the process: nobody waits any more, nothing has come."""
        self.link = link
        self.commands.clear()
        self.ahead = None
        self.lock = threading.RLock()
        self._pumps = self.glances = False
        link.be_read(self)
        for expected in self._expected.values():
            expected.close()
        self._expected = {}

    @contextmanager
    def expect(self, identity: str) -> Iterator[Expected]:
        """Make ready to wait for the answer to the question `identity`, which may be asked within the block."""
        expected = Expected(self)
        self._expected[identity] = expected
        try:
            yield expected
        finally:
            # A copy of the process may have emptied the register in between, and closed what was in it.
            if self._expected.pop(identity, None) is expected:
                expected.close()

    def promise(self, identity: str, loop: asyncio.AbstractEventLoop) -> Promised:
        """Make ready for the answer to the question `identity`, which a coroutine in `loop` waits for."""
        promised = self._expected[identity] = Promised(identity, loop)
        return promised

    def forget(self, promised: Promised) -> None:
        """Nobody waits for that answer any more."""
        if self._expected.get(promised.identity) is promised:
            del self._expected[promised.identity]

    def wake_all(self) -> None:
        """Let everybody who waits for the link look at it anew: another connection is in its place."""
        for expected in list(self._expected.values()):
            if isinstance(expected, Expected):
                expected.wake()
        self.on_wake()

    def glance(self) -> None:
        """For who sends much: take what has come, soon, unless somebody is at it, maybe this thread itself."""
        if self._pumps or self.is_glancing():
            return
        if threading.get_ident() != threading.main_thread().ident:
            self._glance()
            return
        # What a signal handler of the user's raises in the main thread would tear apart what has come.
        self._glancer_exists = starts
        self.glances = True
        try:
            self._glancer_exists = start_thread(self._glance_aside)
        except (RuntimeError, MemoryError):
            # There is no room for another thread: the loop reads at last.
            self.glances = False

    def is_glancing(self) -> bool:
        """Does a thread of `glance` exist that is not at its end yet?"""
        if self.glances and self._glancer_exists() is None:
            self.glances = False
        return self.glances

    def _glance_aside(self, _given: object) -> None:
        self.glancer = threading.get_native_id()
        self._glance()

    def _glance(self) -> None:
        try:
            if self.lock.acquire(blocking=False):
                try:
                    self.pump()
                finally:
                    self.lock.release()
        finally:
            self.glances = False

    @interrupts.held
    def pump(self) -> None:
        """Take what has come, without waiting, and hand it out."""
        with self.lock:
            self._pumps = True
            try:
                fresh = self._hand_out()
            finally:
                self._pumps = False
        if fresh:
            for expected in list(self._expected.values()):
                if expected._in_main:
                    expected.wake()
            self.on_commands()

    def _hand_out(self) -> bool:
        """Hand out what has come. Was there anything that the worker is to look at?"""
        requests = 0
        fresh = False
        interrupts.begin_reading()
        try:
            frames = self.link.receive_ready()
        except (LinkClosed, BadFrame):
            self.on_lost()
            return False
        for frame in frames:
            kind = frame.envelope["kind"]
            if kind in ANSWERS:
                expected = self._expected.get(frame.envelope["id"])
                # An answer that nobody waits for any more came too late.
                if expected is not None:
                    expected.frame = frame
                    expected.wake()
            elif "subshell" in frame.envelope:
                self.on_subshell(frame)
            elif "beside" in frame.envelope:
                self.on_beside(frame)
                fresh = True
            elif kind in URGENT:
                self.on_urgent(frame)
            elif "behind" in frame.envelope:
                self.ahead = frame
            elif kind == "withdraw":
                self.ahead = None
            else:
                self.commands.append(frame)
                requests += kind == "request"
                fresh = True
        interrupts.end_reading(requests)
        return fresh
