"""The worker's end of the link: frames over one unix socket, both ways.

One frame is

    u32 BE  N = length of all that follows
    u32 BE  E = length of the envelope
    E bytes envelope: a JSON object (UTF-8) with "kind" and, if there are parts, "parts": [length, ...]
    then the parts, back to back; 4 + E + sum(parts) == N

What the envelopes say is written down in `src/link/protocol.ts`; the vectors in `test/vectors/link` bind both sides.

User code shares this process, so a signal handler of the user's may raise in any of these lines, and a finalizer may
print while a frame is half written. Therefore

* the count of sent bytes is stored by C code in the same step that sends them, and an exception that arrives in
  mid-frame is held back until the frame is whole;
* whoever sends while the same thread is already sending only queues its frame behind the one on its way.
"""

from __future__ import annotations

import json
import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .inbox import Inbox

Bytes = bytes | bytearray | memoryview
#: A frame on its way: its buffers, and how many bytes of them each call has sent so far.
Queued = tuple[list[Bytes], list[int]]

#: How a worker ends that no gateway wants any more.
EXIT_LINK_LOST = 70
FRAME_BYTES_MAX = 2**31 - 1
ENVELOPE_BYTES_MAX = 64 * 1024 * 1024
READ_BYTES = 256 * 1024
LARGE_BYTES = 256 * 1024
# The kernel takes at most IOV_MAX (1024) buffers in one call.
BUFFERS_A_CALL_MAX = 512

_encode = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_scan = json.JSONDecoder().scan_once


class LinkClosed(OSError):
    """The other side is gone; nothing can be sent or received any more."""


class BadFrame(ValueError):
    """Bytes that are no frame. Nothing tells where the next one begins, so the connection is lost."""


class Frame(NamedTuple):
    """An envelope, and the raw parts that belong to it."""

    envelope: dict[str, Any]
    parts: list[memoryview]


def parse(text: str) -> Any:
    """What `json.loads` makes of `text`, sooner where no white space is around it. Raises what that raises."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else json.loads(text)


def encode_frame(envelope: dict[str, Any], parts: tuple[Bytes, ...] = ()) -> list[Bytes]:
    """Bytes of one frame as a list of buffers for one gathered write; parts are not copied.

    "parts" is no key of `envelope`: it is filled in here. Raises ValueError if a limit of the format is exceeded.
    """
    if not parts:
        text = _encode(envelope).encode()
        size = 4 + len(text)
    else:
        lengths = [memoryview(part).nbytes for part in parts]
        text = _encode({**envelope, "parts": lengths}).encode()
        size = 4 + len(text) + sum(lengths)
    if len(text) > ENVELOPE_BYTES_MAX or size > FRAME_BYTES_MAX:
        raise ValueError(f"A frame of kind {envelope.get('kind')!r} is too long for the link ({size} bytes).")
    head = size.to_bytes(4, "big") + len(text).to_bytes(4, "big") + text
    # Small parts are joined to the head: one buffer is cheaper to send than four.
    if size < 4096:
        return [b"".join((head, *parts))]
    return [head, *(part for part in parts if len(part))]


def decode_body(body: memoryview) -> Frame:
    """The frame whose bytes after the first length are `body`; its parts are views of it. Raises BadFrame."""
    if len(body) < 4:
        raise BadFrame("A frame is shorter than its own head.")
    start = 4 + int.from_bytes(body[:4], "big")
    if start > len(body):
        raise BadFrame("An envelope is longer than its frame.")
    try:
        envelope = parse(str(body[4:start], "utf-8"))
    except (ValueError, RecursionError):
        # The decoder's own message quotes the text, which may be cell output.
        raise BadFrame("An envelope is no JSON.") from None
    if type(envelope) is not dict or type(envelope.get("kind")) is not str:
        raise BadFrame("An envelope is no object with a kind.")
    lengths = envelope.pop("parts", ())
    if type(lengths) is not list and lengths != ():
        raise BadFrame("An envelope does not list the lengths of its parts.")
    parts: list[memoryview] = []
    for length in lengths:
        if type(length) is not int or not 0 <= length <= len(body) - start:
            raise BadFrame("The parts of a frame do not add up to its length.")
        parts.append(body[start : start + length])
        start += length
    if start != len(body):
        raise BadFrame("The parts of a frame do not add up to its length.")
    return Frame(envelope, parts)


class FrameReader:
    """Frames out of a stream of bytes that was chopped anyhow.

    A large frame is given its memory as soon as its length is known, so that what comes can be received right there.
    """

    def __init__(self) -> None:
        #: The beginning of a frame that is not here yet.
        self._rest = b""
        #: The body of a large frame as far as it has come, and how far that is.
        self._large: bytearray | None = None
        self._filled = 0

    def push(self, chunk: bytes) -> list[Frame]:
        """Frames that are whole now that `chunk` has come. Raises BadFrame."""
        if self._large is not None:
            room = len(self._large) - self._filled
            self._large[self._filled : self._filled + len(chunk)] = chunk[:room]
            frames = self.filled(min(room, len(chunk)))
            return frames + self.push(chunk[room:]) if len(chunk) > room else frames
        data = self._rest + chunk if self._rest else chunk
        frames = []
        view = memoryview(data)
        offset = 0
        self._rest = b""
        while len(data) - offset >= 4:
            size = int.from_bytes(view[offset : offset + 4], "big")
            if not 4 <= size <= FRAME_BYTES_MAX:
                raise BadFrame("A frame has a length that no frame can have.")
            if len(data) - offset - 4 < size:
                break
            frames.append(decode_body(view[offset + 4 : offset + 4 + size]))
            offset += 4 + size
        if len(data) - offset >= 4 and size >= LARGE_BYTES:
            self._large = bytearray(size)
            self._filled = len(data) - offset - 4
            self._large[: self._filled] = view[offset + 4 :]
        else:
            self._rest = data[offset:]
        return frames

    def room(self) -> memoryview | None:
        """Where the rest of a large frame belongs, if one is under way; what was put there is told to `filled`."""
        return None if self._large is None else memoryview(self._large)[self._filled :]

    def filled(self, count: int) -> list[Frame]:
        """The large frame, if it is whole now that `count` bytes of `room` have been filled. Raises BadFrame."""
        assert self._large is not None
        self._filled += count
        if self._filled < len(self._large):
            return []
        body, self._large = self._large, None
        return [decode_body(memoryview(body).toreadonly())]


class Link:
    """One connection to the gateway. Sending is thread-safe; reading is for one reader at a time.

    When the gateway is gone, so is this. A worker that outlives it has another kind of link (`lasting`).
    """

    #: Highest number of a command that has come.
    got = 0
    #: Does it outlive the gateway?
    survives = False
    #: What ends this process when no gateway wants it.
    on_abandoned: Callable[[], None] = staticmethod(lambda: None)

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(True)
        self._socket = connection
        self._reader = FrameReader()
        self._received: deque[Frame] = deque()
        self._sending = threading.RLock()
        self._sender = 0
        # What is to be sent.
        self._queue: deque[Queued] = deque()
        self.closed = False

    @classmethod
    def dial(cls, path: str, role: str, kernel: str, token: str, resumed: dict[str, int] | None = None) -> Link:
        """Connect to the gateway's socket at `path` and introduce this process. Raises OSError.

        `resumed`: what is to be said of a process that comes back.
        """
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(path)
            link = cls(connection)
            hello = {"kind": "hello", "role": role, "kernel": kernel, "token": token, "pid": os.getpid()}
            link.send(hello if resumed is None else {**hello, "resumed": resumed})
        except BaseException:
            connection.close()
            raise
        return link

    def fileno(self) -> int:
        """The descriptor, to wait for; -1 once closed."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection. Closing twice is the same as once."""
        self.closed = True
        self._socket.close()

    def be_read(self, reader: Inbox) -> None:
        """From now on `reader` takes what comes."""

    def settle(self) -> None:
        """Wait until no thread of the link's is at work, before a fork. Not in such a thread."""

    def own(self) -> frozenset[int]:
        """Descriptors that the link has beside the connection."""
        return frozenset()

    # ------------------------------------------------------------------------------------------------- sending

    def send(self, envelope: dict[str, Any], *parts: Bytes) -> None:
        """Send one frame, waiting as long as the other side does not read. Raises LinkClosed.

        An exception that a signal handler raises meanwhile comes out of here once the frame is whole.
        """
        self._queue.append((encode_frame(envelope, parts), []))
        self.flush()

    def hold(self, buffers: list[Bytes]) -> None:
        """Let a frame, as `encode_frame` makes it, wait for the next one that is sent, or for `flush`."""
        self._queue.append((buffers, []))

    def send_once(self, frame: Queued) -> None:
        """Send a frame, as (`encode_frame(...)`, []), unless that was done.

        For what must be sent once whatever exceptions signal handlers raise: whoever catches one calls it again.
        """
        if not frame[1] and not any(waiting is frame for waiting in self._queue):
            self._queue.append(frame)
        self.flush()

    def flush(self) -> None:
        """Send what waits; see `send`."""
        if self._sender == threading.get_ident():
            return
        held: BaseException | None = None
        while self._queue:
            try:
                with self._sending:
                    self._sender = threading.get_ident()
                    try:
                        self._send_queued()
                    finally:
                        self._sender = 0
            except LinkClosed:
                raise
            except BaseException as error:
                # A signal handler raised. Nothing is lost: what was sent is counted, and the rest is still queued.
                held = error
        if held is not None:
            raise held

    def _send_queued(self) -> None:
        while self._queue:
            buffers, sent = self._queue[0]
            rest = unsent(buffers, sum(sent)) if sent else buffers
            if not rest:
                self._be_sent()
                continue
            try:
                # `extend` stores the count without returning to Python code in between, where a handler could raise.
                sent.extend(map(self._socket.sendmsg, (rest[:BUFFERS_A_CALL_MAX],)))
            except OSError as error:
                if error.errno is None:
                    # Not the system's: a signal handler raised it (a TimeoutError is an OSError, too).
                    raise
                self._break(error)
                return
            # Most frames are one buffer, and sent at once.
            if len(buffers) == 1 and sent[0] == len(buffers[0]):
                self._be_sent()

    def _be_sent(self) -> None:
        """The first frame of the queue was sent, or is as good as sent."""
        self._queue.popleft()

    def _break(self, error: OSError | None) -> None:
        """The connection is no more, as a sender finds (`error`), or a reader. Raises LinkClosed."""
        self.closed = True
        self._queue.clear()
        if error is None:
            raise LinkClosed("The gateway closed the link.")
        raise LinkClosed(error.errno, "The gateway is gone.") from error

    # ----------------------------------------------------------------------------------------------- receiving

    def receive(self, timeout: float | None = None) -> Frame:
        """The next frame, waiting for it at most `timeout` seconds. Raises LinkClosed, BadFrame, TimeoutError."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self._received:
            remaining = None if deadline is None else deadline - time.monotonic()
            if remaining is not None and remaining <= 0:
                raise TimeoutError("The gateway sent nothing in time.")
            if wait_readable([self.fileno()], remaining):
                self._read_once()
        return self._received.popleft()

    def receive_ready(self) -> list[Frame]:
        """Every frame that can be had without waiting, oldest first. Raises LinkClosed or BadFrame if there is none."""
        try:
            while self._read_once():
                pass
        except (LinkClosed, BadFrame):
            # What came before the end still counts; the next call says that it is over.
            if not self._received:
                raise
        frames = list(self._received)
        self._received.clear()
        return frames

    def _read_once(self) -> bool:
        """Take what has arrived. True if there may be more. Raises LinkClosed at the end of the stream."""
        room = self._reader.room()
        chunk = b""
        try:
            if room is None:
                chunk = self._socket.recv(READ_BYTES, socket.MSG_DONTWAIT)
                count = len(chunk)
            else:
                count = self._socket.recv_into(room, 0, socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            if error.errno is None:
                raise
            self._end_of_stream(error)
            return False
        if not count:
            self._end_of_stream(None)
            return False
        self._take(self._reader.push(chunk) if room is None else self._reader.filled(count))
        return room is not None or count == READ_BYTES

    def _end_of_stream(self, error: OSError | None) -> None:
        """Nothing more will come. Raises LinkClosed."""
        self._break(error)

    def _take(self, frames: list[Frame]) -> None:
        """Keep what has come for whoever asks."""
        self._received.extend(frames)


def wait_readable(descriptors: list[int], timeout: float | None = None) -> list[int]:
    """Which of `descriptors` can be read now or within `timeout` seconds (None: wait for ever).

    Uses poll, which keeps nothing in the operating system that a fork would share.
    """
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)
    return [descriptor for descriptor, _ in poll.poll(None if timeout is None else max(0, int(timeout * 1000 + 0.999)))]


def unsent(buffers: list[Bytes], sent: int) -> list[Bytes]:
    """What remains of `buffers` after their first `sent` bytes."""
    if not sent:
        return buffers
    rest: list[Bytes] = []
    for buffer in buffers:
        view = memoryview(buffer).cast("B")
        if sent >= len(view):
            sent -= len(view)
        else:
            rest.append(view[sent:] if sent else view)
            sent = 0
    return rest
