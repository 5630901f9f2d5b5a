"""A worker's link that outlives the gateway: what was sent is kept until it is safe, and sent again to the next one.

Every frame counts: 1 for the first behind `hello`. It is kept (`retained`) until the gateway acknowledges it. When the
connection breaks, whoever sends only adds to what is kept, and whoever reads waits. A thread, which exists only then,
dials the same socket again, says how far each side had come (`hello` with `resumed`), and sends what the gateway does
not have. Commands with a number (`n`) that were here already are dropped.

The descriptor of the link keeps its number all the time, since event loops and waiters know it by that. While there is
no gateway it is one end of a pair of sockets of our own, so that nobody finds it readable.
"""

from __future__ import annotations

import _thread
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from .link import BUFFERS_A_CALL_MAX, EXIT_LINK_LOST, Bytes, Frame, Link, encode_frame, unsent
from .retained import Retained
from .spool import Block, Spool

if TYPE_CHECKING:
    from .birth import WorkerSpec
    from .inbox import Inbox

#: What is kept in memory at most: while the gateway is away, and while it is only late.
AWAY_BYTES_MAX = 8 * 1024 * 1024
LATE_BYTES_MAX = 64 * 1024 * 1024
#: After so much was sent it is looked whether it was acknowledged.
LOOK_BYTES = 256 * 1024
#: How long to wait before the next attempt to find a gateway.
REDIAL_S_MIN = 0.05
REDIAL_S_MAX = 0.25
#: How long a gateway may take to answer a `hello`.
ANSWER_TIMEOUT_S = 30.0
#: How long the one who waits for room sleeps.
ROOM_S = 0.02
#: How often who waits for a frame looks at the connection anew.
SLICE_S = 0.25
POLL_S = 0.001

# Debuggers put their own in its place.
_start_thread = _thread.start_new_thread


def dial(spec: WorkerSpec, token: str, patient: bool) -> Link:
    """The link of the worker `spec`, this process's from now on. `patient`: a gateway that is away is waited for.

    Raises OSError if there is none.
    """
    if not spec.orphan_s:
        return Link.dial(spec.link_path, "worker", spec.kernel, token)
    deadline = time.monotonic() + spec.orphan_s
    while True:
        try:
            link = LastingLink(_connect(spec.link_path), spec, token)
            link.introduce()
            link.survives = patient
            return link
        except OSError:
            if not patient or time.monotonic() > deadline:
                raise
        time.sleep(REDIAL_S_MAX)


class LastingLink(Link):
    """The link of a worker whose `orphan_s` is not 0."""

    def __init__(self, connection: socket.socket, spec: WorkerSpec, token: str) -> None:
        super().__init__(connection)
        self._spec = spec
        self._token = token
        #: Does it outlive the gateway by now?
        self.survives = False
        #: What ends this process when no gateway wants it.
        self.on_abandoned: Callable[[], None] = lambda: None
        self._generation = 0
        #: What the descriptor leads to, and who may change that.
        self._inode = os.fstat(connection.fileno()).st_ino
        self._placing = threading.RLock()
        place = os.path.splitext(spec.stdout or os.path.join(os.path.dirname(spec.link_path), "worker"))[0]
        #: It and the queue are those of whoever has `_sending`.
        self._retained = Retained(self._queue, Spool(f"{place}.{os.getpid()}.spool", spec.spool_bytes_max))
        # What waits in the queue is either sent, and then taken over, or taken over at once.
        self._be_sent = self._retained.take  # type: ignore[method-assign]
        #: With so much in memory it is looked whether that is safe by now.
        self._look_at = LOOK_BYTES
        # How the connection is.
        self._away = False
        self._ended = False
        self._deadline = 0.0
        self._quiet: socket.socket | None = None
        self._redialling = threading.Lock()
        #: The thread, as the system numbers it.
        self._redialler = 0
        self._read_by: Inbox | None = None

    def introduce(self) -> None:
        """Say who this is. Raises OSError."""
        _introduce(self._socket, self._spec, self._token, {})

    def close(self) -> None:
        """End the connection, and forget all that was kept."""
        self.survives = False
        self._retained.clear()
        self._queue.clear()
        super().close()

    def be_read(self, reader: Inbox) -> None:
        """See `Link`."""
        self._read_by = reader

    def own(self) -> frozenset[int]:
        """See `Link`."""
        return self._retained.descriptors()

    def settle(self) -> None:
        """See `Link`. As long as the gateway is away the thread is at work."""
        reader = self._read_by
        while self._redialling.locked() or self._away or (reader is not None and reader.is_glancing()):
            time.sleep(POLL_S / 10)
        tasks, self._redialler = [self._redialler], 0
        if reader is not None:
            tasks.append(reader.glancer)
            reader.glancer = 0
        # They still exist for an instant after their last line.
        deadline = time.monotonic() + 0.05
        while any(task and os.path.exists(f"/proc/self/task/{task}") for task in tasks) and time.monotonic() < deadline:
            time.sleep(POLL_S / 10)

    # ------------------------------------------------------------------------------------------------ sending

    def flush(self) -> None:
        """See `Link`. Without a gateway it waits only when there is no room for what is to be kept."""
        super().flush()
        if self._retained.memory > self._look_at and self._sender != threading.get_ident():
            self._look()

    def _keep_queued(self) -> None:
        """In the place of `_send_queued` while there is no gateway."""
        while self._queue:
            buffers, sent = self._queue[0]
            # Nobody else is to send it.
            sent[:] = [sum(memoryview(buffer).nbytes for buffer in buffers)]
            self._be_sent()

    def _look(self) -> None:
        """See whether the gateway has acknowledged what was sent; without one, see to it that there is room."""
        reader = self._read_by
        if not self._away and reader is not None:
            reader.glance()
        if self._retained.memory > (AWAY_BYTES_MAX if self._away else LATE_BYTES_MAX):
            with self._sending:
                self._sender = threading.get_ident()
                try:
                    self._retained.forget()
                    self._retained.save_memory()
                finally:
                    self._sender = 0
        self._look_at = self._retained.memory + LOOK_BYTES
        # Neither the thread that looks for a gateway may wait, nor anybody for whom that waits.
        if self._redialler != threading.get_native_id() and (reader is None or not reader.lock._is_owned()):
            while self._away and self._retained.memory > AWAY_BYTES_MAX:
                time.sleep(ROOM_S)

    # ---------------------------------------------------------------------------------------------- receiving

    def receive(self, timeout: float | None = None) -> Frame:
        """See `Link`. Time without a gateway does not count."""
        if not self.survives:
            return super().receive(timeout)
        left = timeout
        while True:
            try:
                return super().receive(SLICE_S)
            except TimeoutError:
                if left is not None and not self._away:
                    left -= SLICE_S
                    if left <= 0:
                        raise

    def _take(self, frames: list[Frame]) -> None:
        for frame in frames:
            envelope = frame.envelope
            kind, number = envelope["kind"], envelope.get("n")
            if kind == "ack":
                self._retained.safe = max(self._retained.safe, envelope["frames"])
                # Else whoever sends at this moment forgets it with the next frame.
                if self._sending.acquire(blocking=False):
                    try:
                        self._retained.forget()
                    finally:
                        self._sending.release()
                self._look_at = min(self._look_at, self._retained.memory + LOOK_BYTES)
                continue
            if kind == "dismissed":
                self._abandon("the gateway does not know it")
            if number is not None:
                if number <= self.got:
                    continue
                self.got = number
            if kind == "welcome":
                self._generation = envelope["generation"]
            self._received.append(frame)

    def _end_of_stream(self, error: OSError | None) -> None:
        self._break(error)
        self._ended = True

    # ---------------------------------------------------------------------------------------------- the break

    def _break(self, error: OSError | None) -> None:
        if not self.survives or not self._is_ours():
            super()._break(error)
        if not self._away:
            self._deadline = time.monotonic() + self._spec.orphan_s
            self._away = True
            self._send_queued = self._keep_queued  # type: ignore[method-assign]
            self._look_at = 0
        self._start_redialling()

    def _is_ours(self) -> bool:
        """Is the descriptor still the link's? User code may have closed it, and opened something else."""
        try:
            with self._placing:
                return os.fstat(self._socket.fileno()).st_ino == self._inode
        except OSError:
            return False

    def _start_redialling(self) -> None:
        if not self._redialling.locked():
            try:
                _start_thread(self._redial, ())
            except (RuntimeError, MemoryError):
                # There is no room for another thread. Whoever sends or reads comes here again.
                time.sleep(REDIAL_S_MIN)

    def _redial(self) -> None:
        """In a thread of its own: until there is a gateway again that knows this worker."""
        if not self._redialling.acquire(blocking=False):
            return
        try:
            self._redialler = threading.get_native_id()
            pause = REDIAL_S_MIN
            while self._away:
                try:
                    self._read_to_the_end()
                    self._resume()
                except (OSError, ValueError, MemoryError):
                    # Nobody is there yet, or it was gone again at once.
                    if time.monotonic() > self._deadline:
                        self._abandon("no gateway has come back in time")
                    time.sleep(pause)
                    pause = min(pause * 2, REDIAL_S_MAX)
        finally:
            self._redialling.release()
        try:
            if self._away:
                # It went away again within the last few lines.
                self._start_redialling()
            else:
                self.flush()
        except OSError:
            # The loop finds out by itself.
            pass

    def _read_to_the_end(self) -> None:
        """Have everything read that the gateway sent before it went; then leave the descriptor to nobody."""
        while not self._ended:
            if self._read_by is not None:
                self._read_by.pump()
            time.sleep(POLL_S)
        if self._quiet is None:
            ours, theirs = socket.socketpair()
            with theirs:
                self._put_in_place(theirs)
            self._quiet = ours

    def _put_in_place(self, connection: socket.socket) -> None:
        with self._placing:
            if not self._is_ours():
                self._abandon("user code has closed its connection to the gateway")
            os.dup2(connection.fileno(), self._socket.fileno(), inheritable=False)
            self._inode = os.fstat(self._socket.fileno()).st_ino

    def _resume(self) -> None:
        """Find a gateway, and send it what it does not have. Raises OSError, BadFrame."""
        with _connect(self._spec.link_path) as connection:
            sent = self._sent()
            resumed = {"generation": self._generation, "sent": sent, "got": self.got}
            _introduce(connection, self._spec, self._token, resumed)
            fresh = Link(connection)
            answer = fresh.receive(ANSWER_TIMEOUT_S).envelope
            if answer["kind"] == "dismissed":
                self._abandon("the gateway does not know it")
            if answer["kind"] != "resume":
                raise OSError("The gateway said something else than expected.")
            frames = answer["frames"]
            if not self._retained.forgotten <= frames <= sent:
                self._abandon(f"the gateway has {frames} frames, and it keeps {self._retained.forgotten + 1} to {sent}")
            with self._read_by.lock if self._read_by is not None else nullcontext():
                self._exchange(fresh, connection)
        if self._read_by is not None:
            # A wait that has begun before (poll) does not notice that another connection is in the place.
            self._read_by.wake_all()
        self._deadline = time.monotonic() + self._spec.orphan_s
        with self._sending:
            # What a finalizer prints in this thread waits for the rest.
            self._sender = threading.get_ident()
            try:
                self._retained.cut(frames)
                self._send_again(frames)
                del self._send_queued
                self._away = False
            finally:
                self._sender = 0

    def _sent(self) -> int:
        """How many frames there are, those that wait included."""
        # Without the lock: who has it may be waiting for the gateway. A frame that is taken over between the two looks
        # would be in neither, and a gateway that has it would be told that it has too many.
        while True:
            made = self._retained.made
            waiting = len(self._queue)
            if self._retained.made == made:
                return made + waiting

    def _exchange(self, fresh: Link, connection: socket.socket) -> None:
        """Let the descriptor lead to the gateway again."""
        self._put_in_place(connection)
        self._ended = False
        self._reader = fresh._reader
        self._take(list(fresh._received))
        quiet, self._quiet = self._quiet, None
        if quiet is not None:
            quiet.close()

    def _send_again(self, sent: int) -> None:
        """Send all that is kept behind frame `sent`, and what others add meanwhile. Raises OSError."""
        while behind := self._retained.behind(sent):
            for frame, number in behind:
                if type(frame) is Block:
                    for piece in frame.read():
                        self._socket.sendall(piece)
                else:
                    self._send_whole(frame[0])
                sent = number

    def _send_whole(self, buffers: list[Bytes]) -> None:
        done = 0
        while rest := unsent(buffers, done):
            done += self._socket.sendmsg(rest[:BUFFERS_A_CALL_MAX])

    def _abandon(self, why: str) -> None:
        os.write(2, f"This process of a kernel ends: {why}.\n".encode())
        self.on_abandoned()
        os._exit(EXIT_LINK_LOST)


def _connect(path: str) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # The user may have set a default timeout for all sockets.
        connection.setblocking(True)
        connection.connect(path)
    except BaseException:
        connection.close()
        raise
    return connection


def _introduce(connection: socket.socket, spec: WorkerSpec, token: str, resumed: dict[str, Any]) -> None:
    hello = {"kind": "hello", "role": "worker", "kernel": spec.kernel, "token": token, "pid": os.getpid()}
    connection.sendall(b"".join(encode_frame({**hello, "resumed": resumed} if resumed else hello)))
