"""`sys.stdout` and `sys.stderr` of a worker: ordered, attributed to the cell that wrote, cheap, and soon at the client.

Both streams share one `Outlet`, so what is written to one after the other arrives in that order. Text is sent

* at once, when it ends a line and nothing was sent in the last 5 ms, or when 64 Ki characters have gathered;
* with the next write after 5 ms;
* by `flush`, which runs before every display, prompt and reply, and as user code says: then clients are shown it at once;
* by a helper thread, within some 8 ms, when the writer falls silent in mid-cell.

What else is published may wait in the same way when much follows, so that it is sent in one go.

The helper exists only while there is something to wait for, and ends before a fork: a worker at rest has one thread.

A process that the user forks has no link. There, as in the zygote, text goes to file descriptors 1 and 2.
"""

from __future__ import annotations

import contextvars
import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby
from json.encoder import encode_basestring_ascii
from time import monotonic
from typing import Any

import ipykernel.iostream
from jupyter_client.session import extract_header

from .. import interrupts
from ..link import Bytes, Link, encode_frame
from ..presence import start_thread, starts
from .session import without_halves

SILENCE_S = 0.005
GATHERED_CHARACTERS_MAX = 64 * 1024
#: What is published besides text waits for more until there is so much of it.
HELD_BYTES_MAX = 64 * 1024
#: One character takes at most 12 bytes as JSON, so a frame's text stays below 1 MiB.
FRAME_CHARACTERS_MAX = 87_000
HELPER_PERIOD_S = 0.004
HELPER_SILENT_PERIODS = 12
#: A forked process that ends without flushing loses at most the end of a line, as with the streams of Python.
RAW_CHARACTERS_MAX = 8192


class Outlet:
    """Where both streams go: what waits to be sent, and who sends it."""

    def __init__(self) -> None:
        #: None in the zygote and in processes forked by the user.
        self.link: Link | None = None
        #: Told of all that is sent, while a cell runs: the stream's name and the text.
        self.listener: Callable[[str, str], None] | None = None
        # Flat, [name, header, text, name, header, text, ...]: a tuple per write would keep the garbage collector busy.
        self.pending: list[Any] = []
        #: Characters in `pending`, or a little more.
        self.size = 0
        #: Bytes of the publications that wait in the link.
        self.held = 0
        #: Stream and header of text that was sent and may wait at the gateway for more.
        self.waiting: tuple[str, dict[str, Any]] | None = None
        self.helper_runs = False
        self.sent_at = 0.0
        self._lock = threading.RLock()
        #: The thread that sends. What it has taken is pending no more, and may not be overtaken.
        self._flusher = 0
        self._helper_lock = threading.Lock()
        self._helper_task = 0
        self._helper_exists: Callable[[], object] = lambda: None
        self._helper_stops = threading.Event()
        os.register_at_fork(before=self.quiesce, after_in_child=self._forget)

    def attach(self, link: Link) -> None:
        """Send over `link` from now on; what was written before is sent there too."""
        self._lock = threading.RLock()
        self._flusher = 0
        self.held = 0
        self.link = link

    def put(self, name: str, parent: dict[str, Any], text: str) -> None:
        """Take what was written to the stream `name` while `parent` (a header) was at work."""
        self.pending += (name, parent, text)
        self.size += len(text)
        if self.size >= GATHERED_CHARACTERS_MAX or text.endswith("\n") and monotonic() - self.sent_at >= SILENCE_S:
            self.flush()
        elif not self.helper_runs:
            self.start_helper()

    @interrupts.held
    def publish(self, envelope: dict[str, Any], *parts: Bytes) -> None:
        """Send a publication behind what was written; one that closely follows another may wait for a moment.

        The caller delivers the interrupt that may have come meanwhile.
        """
        if self.pending or self._flusher:
            self._drain()
        link = self.link
        if link is None:
            return
        buffers = encode_frame(envelope, parts)
        link.hold(buffers)
        # The sum may be wrong where threads meet; what is counted is sent in any case.
        self.held += len(buffers[0])
        # More than one buffer: these are not copies, and whoever owns them may change them afterwards.
        if len(buffers) > 1 or self.held >= HELD_BYTES_MAX or monotonic() - self.sent_at >= SILENCE_S:
            self._drain()
        elif not self.helper_runs:
            self.start_helper()

    def flush(self) -> None:
        """Send all that is pending, and wait for what another thread is sending. Safe anywhere, in signal handlers too."""
        if self.pending or self.held or self._flusher:
            self._drain()
            interrupts.deliver()

    def show(self) -> None:
        """As `flush`; clients are shown at once what was written, since user code has asked for it."""
        if self.pending or self.held or self._flusher:
            self._drain(flushed=True)
            interrupts.deliver()
        elif self.waiting is not None and monotonic() - self.sent_at < SILENCE_S:
            self._show_sent(*self.waiting)
            interrupts.deliver()

    @interrupts.held
    def _show_sent(self, name: str, parent: dict[str, Any]) -> None:
        link, self.waiting = self.link, None
        if link is not None:
            link.send({"kind": "stream", "name": name, "parent": parent.get("msg_id"), "flushed": True}, b"")

    @interrupts.held
    def _drain(self, flushed: bool = False) -> None:
        if self._flusher == threading.get_ident():
            # A signal handler or a finalizer prints while this thread is sending: the loop below takes it along.
            return
        with self._lock:
            self._flusher = threading.get_ident()
            try:
                while self.pending:
                    self._send_pending(flushed)
                if self.held and self.link is not None:
                    self.held = 0
                    self.link.flush()
                self.size = 0
                self.sent_at = monotonic()
            finally:
                self._flusher = 0

    def _send_pending(self, flushed: bool) -> None:
        # Other threads may add to it meanwhile; what is counted here is there, and stays in front. What there is no
        # memory for stays pending.
        items = self.pending[:]
        names, parents, texts = items[0::3], items[1::3], items[2::3]
        if names.count(names[0]) == len(names) == parents.count(parents[0]):
            text = "".join(texts)
            del self.pending[: len(items)]
            self.send(names[0], parents[0], text, flushed)
            return
        keys = [(name, parent.get("msg_id")) for name, parent in zip(names, parents, strict=True)]
        for _, group in groupby(range(len(keys)), key=keys.__getitem__):
            first, *rest = group
            text = "".join(texts[first : first + 1 + len(rest)])
            del self.pending[: 3 * (1 + len(rest))]
            self.send(names[first], parents[first], text, flushed)

    def send(self, name: str, parent: dict[str, Any], text: str, flushed: bool = False) -> None:
        """Send `text` as frames of kind `stream`, now. Without a link it goes to the file descriptor."""
        link = self.link
        if link is None:
            write_raw(name, text)
            return
        if self.listener is not None:
            self.listener(name, text)
        envelope = {"kind": "stream", "name": name, "parent": parent.get("msg_id")}
        if flushed:
            envelope["flushed"] = True
        self.waiting = None if flushed else (name, parent)
        for start in range(0, len(text), FRAME_CHARACTERS_MAX):
            escaped = without_halves(encode_basestring_ascii(text[start : start + FRAME_CHARACTERS_MAX])[1:-1])
            link.send(envelope, escaped.encode("ascii"))

    # -------------------------------------------------------------------------------------------------- helper

    def start_helper(self) -> None:
        """See to it that what is pending is sent although nothing more may be written."""
        if self.link is None:
            return
        with self._helper_lock:
            if not self.helper_runs:
                self._helper_stops = threading.Event()
                self._helper_exists = starts
                self.helper_runs = True
                try:
                    self._helper_exists = start_thread(self._help, self._helper_stops)
                except (RuntimeError, MemoryError):
                    # No more threads to be had; the text waits for the next write or the end of the cell.
                    self.helper_runs = False

    def _help(self, _given: object, stops: threading.Event) -> None:
        self._helper_task = threading.get_native_id()
        silent = 0
        while not stops.wait(HELPER_PERIOD_S):
            if self.pending or self.held:
                silent = 0
                try:
                    self.flush()
                except OSError:
                    break
                except MemoryError:
                    # It is still pending.
                    pass
                continue
            silent += 1
            if silent >= HELPER_SILENT_PERIODS:
                with self._helper_lock:
                    if not (self.pending or self.held):
                        self.helper_runs = False
                        return
        with self._helper_lock:
            self.helper_runs = False

    def quiesce(self) -> None:
        """End the helper thread and wait until it is gone, so that a fork finds one thread less."""
        while self.helper_runs and self._helper_exists() is not None:
            self._helper_stops.set()
            time.sleep(0.00005)
        self.helper_runs = False
        task, self._helper_task = self._helper_task, 0
        # The thread still exists for an instant after its last line; CPython counts threads after a fork, and warns.
        deadline = monotonic() + 0.01
        while task and os.path.exists(f"/proc/self/task/{task}") and monotonic() < deadline:
            time.sleep(0.00005)

    def _forget(self) -> None:
        """In a forked process: there is no link, and what was pending is the parent's to send."""
        self.link = self.listener = self.waiting = None
        self.pending.clear()
        self.size = self.held = 0
        self._lock = threading.RLock()
        self._flusher = 0
        self._helper_lock = threading.Lock()
        self.helper_runs = False


class OutStream(ipykernel.iostream.OutStream):
    """One of the two streams. An ipykernel OutStream by name and manner, without its threads and sockets."""

    def __init__(self, outlet: Outlet, name: str) -> None:
        # The parent's constructor would want an I/O thread and redirect file descriptors.
        io.TextIOBase.__init__(self)
        self.name = name
        self.topic: Any = b"stream." + name.encode()
        self.echo = None
        self.session: Any = None
        self.pub_thread: Any = outlet
        self._outlet = outlet
        #: Closed, or with hooks.
        self._special = False
        self._raw: list[str] = []
        self._parent_header: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("parent_header")
        self._parent_header.set({})
        self._parent_header_global: dict[str, Any] = {}
        self._isatty = False
        self._should_watch = False
        self._exc = None
        self._local = threading.local()
        self.speed_up()

    def fileno(self) -> int:
        """The descriptor that C code and child processes write to: the gateway reads it, too."""
        return 1 if self.name == "stdout" else 2

    def write(self, string: str) -> int:  # type: ignore[override]
        """Take text for the cell at work. Raises TypeError for anything else, ValueError on a closed stream."""
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self.pub_thread is None:
            raise ValueError("I/O operation on closed file")
        if self._outlet.link is None:
            self._write_raw(string)
        elif self._hooks:
            self._send_through_hooks(self.parent_header, string)
        else:
            # The text that it has, not the one that a subclass of str would show.
            self._outlet.put(self.name, self.parent_header, str.__str__(string))
        return len(string)

    def speed_up(self) -> None:
        """Put a quicker `write` in front of the one above; it leaves what is not plain to that one."""
        outlet, name, special = self._outlet, self.name, type(self).write
        extend, get_parent = outlet.pending.extend, self._parent_header.get

        def write(string: str) -> int:
            # A print is two calls of this, so every lookup counts.
            if type(string) is not str or self._special or outlet.link is None:
                return special(self, string)
            try:
                parent = get_parent()
            except LookupError:
                parent = self._parent_header_global
            extend((name, parent, string))
            outlet.size = size = outlet.size + len(string)
            if size >= GATHERED_CHARACTERS_MAX or string[-1:] == "\n" and monotonic() - outlet.sent_at >= SILENCE_S:
                outlet.flush()
            elif not outlet.helper_runs:
                outlet.start_helper()
            return len(string)

        self.write = write  # type: ignore[method-assign]

    def writelines(self, sequence: Iterable[str]) -> None:  # type: ignore[override]
        """Write each string of `sequence`."""
        for string in sequence:
            self.write(string)

    def flush(self) -> None:
        """Send what was written so far, to either stream."""
        if self._raw:
            texts, self._raw = self._raw, []
            write_raw(self.name, "".join(texts))
        self._outlet.show()

    def close(self) -> None:
        """Send what was written; later writes raise ValueError."""
        self.flush()
        self.pub_thread = None
        self._special = True

    @property
    def _flush_pending(self) -> bool:
        return self.name in self._outlet.pending[0::3]

    def _is_master_process(self) -> bool:
        return self._outlet.link is not None

    def set_parent(self, parent: dict[str, Any]) -> None:
        """Attribute what is written from now on to `parent`, here and wherever nothing else was set."""
        # Only what was sent under one parent object is merged, so one object per request keeps messages few.
        self.parent_header = extract_header(parent)

    def set_thread_parent(self, parent: dict[str, Any]) -> contextvars.Token[dict[str, Any]]:
        """Attribute what this thread or task writes to `parent`; the token undoes it in `reset_thread_parent`."""
        return self._parent_header.set(extract_header(parent))

    def reset_thread_parent(self, token: contextvars.Token[dict[str, Any]]) -> None:
        """Undo the `set_thread_parent` that returned `token`."""
        self._parent_header.reset(token)

    def register_hook(self, hook: Callable[[Any], Any]) -> None:
        """Pass what this thread writes, as messages, through `hook`, which may change or swallow them."""
        self._special = True
        super().register_hook(hook)

    def _send_through_hooks(self, parent: dict[str, Any], text: str) -> None:
        self._outlet.flush()
        message = self.session.msg("stream", {"name": self.name, "text": text}, parent=parent)
        for hook in list(self._hooks):
            message = hook(message)
            if message is None:
                return
        content = message["content"]
        self._outlet.send(content["name"], extract_header(message["parent_header"]), content["text"])

    def _write_raw(self, text: str) -> None:
        self._raw.append(text)
        if text.endswith("\n") or len(text) >= RAW_CHARACTERS_MAX or len(self._raw) >= RAW_CHARACTERS_MAX:
            self.flush()


# Programs recognise a notebook by where its streams come from.
OutStream.__module__ = ipykernel.iostream.OutStream.__module__


def write_raw(name: str, text: str) -> None:
    """Write `text` to the file descriptor of the stream `name`; a descriptor that the user closed swallows it."""
    data = memoryview(text.encode("utf-8", "backslashreplace"))
    try:
        while data:
            data = data[os.write(1 if name == "stdout" else 2, data) :]
    except OSError:
        pass
