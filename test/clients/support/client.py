"""A client that remembers every message in the order of arrival, on jupyter_client's channels.

Tests ask for what must have arrived (`wait_for`), or for a whole cell (`execute`), and look at the record afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

from . import subject

Message = dict[str, Any]
PATIENCE_S = 60.0
"""How long a test waits for a message that must come. Generous, since a loaded machine is no failure."""

REPLIES = {"shell", "control"}
SHUTDOWN_S = 60.0
"""How long a manager lets a kernel end by itself: half of what is usual may cut its end short."""


class Cell:
    """One request, and what has come for it so far."""

    def __init__(self, client: Client, msg_id: str, channel: str) -> None:
        self.client = client
        self.msg_id = msg_id
        self.channel = channel

    @property
    def messages(self) -> list[Message]:
        return [m for m in self.client.messages if m["parent_header"].get("msg_id") == self.msg_id]

    def on(self, channel: str, *types: str) -> list[Message]:
        """Messages of this request on a channel, of these types (all without any)."""
        return [m for m in self.messages if m["channel"] == channel and (not types or m["msg_type"] in types)]

    @property
    def states(self) -> list[str]:
        return [m["content"]["execution_state"] for m in self.on("iopub", "status")]

    @property
    def replies(self) -> list[Message]:
        return self.on(self.channel)

    @property
    def is_done(self) -> bool:
        return bool(self.replies) and "idle" in self.states

    @property
    def reply(self) -> Message:
        return self.replies[0]

    @property
    def content(self) -> dict[str, Any]:
        return self.reply["content"]

    @property
    def status(self) -> str:
        return self.content["status"]

    @property
    def ours(self) -> dict[str, Any]:
        """What the reply says about our own matters."""
        return self.reply["metadata"]["savepoint"]

    @property
    def outputs(self) -> list[Message]:
        """What a notebook would show, in order."""
        shown = ("stream", "display_data", "update_display_data", "execute_result", "error", "clear_output")
        return self.on("iopub", *shown)

    def stream(self, name: str) -> str:
        return "".join(m["content"]["text"] for m in self.on("iopub", "stream") if m["content"]["name"] == name)

    @property
    def stdout(self) -> str:
        return self.stream("stdout")

    @property
    def stderr(self) -> str:
        return self.stream("stderr")

    @property
    def result(self) -> str | None:
        """The text of the cell's value."""
        values = self.on("iopub", "execute_result")
        return values[0]["content"]["data"]["text/plain"] if values else None

    def wait(self, timeout: float = PATIENCE_S) -> Cell:
        """Wait for reply and idle."""
        self.client.wait_until(lambda: self.is_done, timeout, f"reply and idle of {self.msg_id}")
        return self

    def wait_for(self, channel: str, msg_type: str, timeout: float = PATIENCE_S, count: int = 1) -> Message:
        """Wait for the `count`th message of that type for this request."""
        self.client.wait_until(lambda: len(self.on(channel, msg_type)) >= count, timeout, f"{channel} {msg_type}")
        return self.on(channel, msg_type)[count - 1]

    def wait_for_output(self, text: str, timeout: float = PATIENCE_S) -> None:
        """Wait until stdout holds `text`."""
        self.client.wait_until(lambda: text in self.stdout, timeout, f"output {text!r}")

    def answer(self, value: str, request: int = 1) -> None:
        """Answer this cell's `request`th input request."""
        question = self.wait_for("stdin", "input_request", count=request)
        self.client.send("stdin", "input_reply", {"value": value}, parent=question)


class Client:
    """A connected client. `close` it."""

    def __init__(self, kc: BlockingKernelClient) -> None:
        self.kc = kc
        self.messages: list[Message] = []
        kc.start_channels()
        self.channels = {name: getattr(kc, f"{name}_channel").socket for name in ("shell", "iopub", "stdin", "control")}
        self.poller = zmq.Poller()
        for socket in self.channels.values():
            self.poller.register(socket, zmq.POLLIN)

    @classmethod
    def connect(cls, connection_file: str, timeout: float = PATIENCE_S) -> Client:
        """A client of its own identity on a kernel that somebody else started."""
        kc = BlockingKernelClient(connection_file=connection_file)
        kc.load_connection_file()
        # A busy machine may leave an echo for longer than the second that is usual. Heartbeats have tests of their own.
        kc.hb_channel.time_to_dead = 10.0
        client = cls(kc)
        kc.wait_for_ready(timeout)
        return client

    def close(self) -> None:
        self.kc.stop_channels()

    def send(
        self,
        channel: str,
        msg_type: str,
        content: dict[str, Any],
        *,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] | None = None,
        parent: Message | None = None,
    ) -> str:
        """Send any message; returns its id."""
        message = self.kc.session.msg(msg_type, content, parent=parent, metadata=metadata)
        self.kc.session.send(self.channels[channel], message, buffers=list(buffers) if buffers else None)
        return message["header"]["msg_id"]

    def receive(self, timeout: float) -> bool:
        """Record what arrives; False when nothing came within `timeout` seconds."""
        ready = dict(self.poller.poll(max(0.0, timeout) * 1000))
        for name, socket in self.channels.items():
            if socket in ready:
                while True:
                    _, message = self.kc.session.recv(socket, mode=zmq.NOBLOCK)
                    if message is None:
                        break
                    self.messages.append({**message, "channel": name})
        return bool(ready)

    def wait_until(self, condition: Callable[[], Any], timeout: float, what: str) -> Any:
        """Receive until `condition` holds; its value. Raises TimeoutError, which names `what` was waited for."""
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            left = deadline - time.monotonic()
            if left <= 0 or not self.receive(left):
                if not (value := condition()):
                    seen = [(m["channel"], m["msg_type"]) for m in self.messages[-12:]]
                    raise TimeoutError(f"no {what} within {timeout} s; the last messages were {seen}")
        return value

    def wait_for(self, predicate: Callable[[Message], bool], timeout: float = PATIENCE_S, since: int = 0) -> Message:
        """The first recorded message from number `since` on that fulfils the predicate, waited for if need be."""
        return self.wait_until(lambda: next(filter(predicate, self.messages[since:]), None), timeout, "such message")

    def wait_until_received(self) -> None:
        """Wait until the kernel has received all that was sent on the shell channel so far, also while a cell runs."""
        # What is meant for a subshell that there is not is refused on arrival, and messages arrive in order.
        message = self.kc.session.msg("kernel_info_request", {})
        message["header"]["subshell_id"] = "nobody"
        self.kc.session.send(self.channels["shell"], message)
        Cell(self, message["header"]["msg_id"], "shell").wait_for("shell", "kernel_info_reply")

    def wait_for_echo(self) -> None:
        """Wait for an echo of the kernel's heart to what is sent now, and until jupyter_client takes it for beating."""
        # A channel of jupyter_client takes a heart for beating until it has been silent for a second.
        heart = self.kc.connect_hb()
        try:
            heart.send(b"ping")
            if not heart.poll(PATIENCE_S * 1000):
                raise TimeoutError(f"no echo within {PATIENCE_S} s")
            assert heart.recv() == b"ping"
        finally:
            heart.close(0)
        deadline = time.monotonic() + PATIENCE_S
        while not self.kc.hb_channel.is_beating():
            assert time.monotonic() < deadline, "the heart does not beat"
            # There is no event for a beat.
            time.sleep(0.05)

    def request(self, msg_type: str, content: dict[str, Any], channel: str = "shell", **options: Any) -> Cell:
        """Send a request and do not wait."""
        return Cell(self, self.send(channel, msg_type, content, **options), channel)

    def ask(self, msg_type: str, content: dict[str, Any] | None = None, channel: str = "shell") -> dict[str, Any]:
        """Send a request and wait until it is done; the content of its reply."""
        return self.request(msg_type, content or {}, channel).wait().content

    def start(self, code: str, *, metadata: dict[str, Any] | None = None, **content: Any) -> Cell:
        """Send a cell and do not wait. Keywords become fields of the request."""
        fields = {
            "code": code,
            "silent": False,
            "store_history": not content.get("silent", False),
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
            **content,
        }
        return self.request("execute_request", fields, metadata=metadata)

    def execute(self, code: str, *, timeout: float = PATIENCE_S, **options: Any) -> Cell:
        """Run a cell and wait until it is done."""
        return self.start(code, **options).wait(timeout)

    def value(self, expression: str) -> str:
        """The representation of an expression's value in the kernel, asked for without any trace in the history."""
        cell = self.execute("", silent=True, user_expressions={"value": expression})
        answer = cell.content["user_expressions"]["value"]
        if answer["status"] != "ok":
            raise AssertionError(f"{expression}: {answer['ename']}: {answer['evalue']}")
        return answer["data"]["text/plain"]


class Gate:
    """A file that a cell waits for, so that the test says when the cell goes on."""

    def __init__(self) -> None:
        self.path = subject.scratch("gate") / "open"
        #: What the cell says to wait.
        self.code = f"import os, time\nwhile not os.path.exists({str(self.path)!r}): time.sleep(0.01)\n"

    def open(self) -> None:
        self.path.touch()


def connect_when_written(file: Path, kernel: subprocess.Popen[Any]) -> Client:
    """A client, as soon as the kernel has written real ports into its connection file."""
    descriptor = os.pidfd_open(kernel.pid)
    poller = zmq.Poller()
    poller.register(descriptor, zmq.POLLIN)
    try:
        for _ in range(1200):
            # There is no portable event for "that file has changed"; the kernel's end is one, and cuts the wait short.
            if poller.poll(50):
                raise AssertionError(f"the kernel ended: {kernel.communicate()[1]}")
            if file.exists() and (text := file.read_text(encoding="utf-8")) and json.loads(text)["shell_port"]:
                return Client.connect(str(file))
    finally:
        os.close(descriptor)
    raise TimeoutError("no ports were written within 60 s")


def start_kernel(
    *, transport: str = "tcp", argv: list[str] | None = None, **options: Any
) -> tuple[KernelManager, Client]:
    """A new kernel under test and a client on it. End it with `stop_kernel`. Options are those of Popen.

    `argv`, with `{connection_file}` in it, starts another kernel instead.
    """
    manager = KernelManager(kernel_name=subject.KERNEL, transport=transport)
    manager.shutdown_wait_time = SHUTDOWN_S
    if argv is not None:
        manager._kernel_spec = KernelSpec(argv=argv, language="python")
    # What a kernel says about junk that it was sent is not the tests' report.
    log = subject.kernel_log()
    manager.start_kernel(stdout=log, stderr=log, **options)
    kc = manager.client()
    client = Client(kc)
    try:
        kc.wait_for_ready(timeout=60)
    except BaseException:
        stop_kernel(manager, client)
        raise
    return manager, client


def stop_kernel(manager: KernelManager, client: Client | None = None) -> None:
    """End a kernel in whatever state it is."""
    if client is not None:
        client.close()
    if manager.has_kernel:
        manager.shutdown_kernel(now=True)
    manager.cleanup_resources()
