"""Stand-ins for a kernel's sockets and for the threads that serve them elsewhere.

Third parties hand them to `session.send`, look at a few of their attributes, or put frames that they made themselves
on them. None of them is a socket: what is sent to one becomes a frame on the link.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any

#: Signature, header, parent header, metadata, content.
FRAMES_MIN = 5


class Channel:
    """Stands for a socket of a Jupyter kernel: `shell`, `control`, `stdin` or `iopub`."""

    def __init__(self, name: str, session: Any = None) -> None:
        self.name = name
        self.session = session
        self.closed = False
        #: The link's descriptor, for event loops of graphical toolkits that watch for the next request.
        self.fileno: Callable[[], int] = lambda: -1
        self.waits: Callable[[], bool] = lambda: False

    @property
    def io_thread(self) -> Channel:
        """What serves this socket."""
        return self

    @property
    def socket(self) -> Channel:
        """The socket of this stream or thread."""
        return self

    background_socket = socket

    @property
    def io_loop(self) -> Any:
        """The one event loop of the kernel."""
        return _loop()

    def getsockopt(self, option: int) -> int:
        """What a toolkit's event loop asks for: the descriptor to watch. Other options are 0."""
        import zmq

        return self.fileno() if option == zmq.FD else 0

    get = getsockopt

    def setsockopt(self, option: int, value: Any) -> None:
        """The options of the real sockets are the gateway's."""

    set = setsockopt

    def flush(self, *_: Any, **__: Any) -> int:
        """Whether a request waits: then a toolkit's event loop has to give way."""
        return int(self.waits())

    def send_multipart(self, msg_parts: Sequence[Any], *_: Any, **__: Any) -> None:
        """Send a message in the form in which it goes over a socket: topic or identities, signature, four parts.

        Raises ValueError for frames that are no message.
        """
        session = self.session
        if session is None:
            raise NotImplementedError(
                "This kernel has no ZeroMQ sockets of its own; send messages with kernel.session."
            )
        _, frames = session.feed_identities([bytes(part) for part in msg_parts], copy=True)
        if len(frames) < FRAMES_MIN:
            raise ValueError(f"A message has at least {FRAMES_MIN} frames after its delimiter, not {len(frames)}.")
        # Whoever has made the frames has the key; the gateway signs anew.
        header, parent, metadata, content = (session.unpack(frame) for frame in frames[1:FRAMES_MIN])
        message = {"header": header, "parent_header": parent, "metadata": metadata, "content": content}
        session.send(self, message, buffers=frames[FRAMES_MIN:])

    def close(self, *_: Any, **__: Any) -> None:
        """The socket is the gateway's; closing the stand-in changes nothing."""

    # -------------------------------------------------------------------------------------- what a thread would do

    #: There is no thread: `OutStream` and others then do at once what they would have left to it.
    thread: threading.Thread | None = None

    def schedule(self, f: Callable[[], Any]) -> None:
        """Call `f`, now: there is no other thread to call it in."""
        f()

    def start(self) -> None:
        """There is no thread to start."""

    def stop(self) -> None:
        """There is no thread to stop."""


class ControlThread:
    """Stands for the thread that serves control requests elsewhere; here the gateway does that."""

    name = "Control"
    daemon = True

    @property
    def io_loop(self) -> Any:
        """The one event loop of the kernel."""
        return _loop()

    @property
    def ident(self) -> int | None:
        """The main thread's: what is put on the loop runs there."""
        return threading.main_thread().ident

    def is_alive(self) -> bool:
        """As long as the kernel is."""
        return True


def _loop() -> Any:
    from .kernel import WorkerKernel

    kernel = WorkerKernel._instance
    return getattr(kernel, "io_loop", None)
