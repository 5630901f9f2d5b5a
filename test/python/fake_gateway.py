"""A small gateway for tests: it listens on a unix socket and speaks the link to a real worker, without a zygote."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = str(ROOT / "src" / "python")
sys.path.insert(0, PACKAGES)

from savepoint_worker.link import Frame, Link, LinkClosed  # noqa: E402

PYTHON = os.environ.get("SAVEPOINT_TEST_PYTHON", sys.executable)
#: Nothing is waited for longer; what is right comes much sooner, but on a busy machine.
TIMEOUT_S = 60.0
REPEAT_S = 0.25

# The worker's process forks once, as under a zygote, so that what a fork changes is part of the test.
BIRTH = """
import json, os, sys
sys.path.remove({packages!r}) if {packages!r} in sys.path else None
sys.path.append({packages!r})
from savepoint_worker import birth, worker as workers
from savepoint_worker.ipython import build
kernel = build.build(json.loads(sys.argv[2]))
build.warm_up(kernel)
pid = os.fork()
if pid == 0:
    os.setpgid(0, 0)
    workers.Worker.main(birth.WorkerSpec(**json.loads(sys.argv[1])), kernel)
_, status = os.waitpid(pid, 0)
os._exit(os.waitstatus_to_exitcode(status) & 255)
"""


class Reply:
    """A reply, and what was published before it."""

    def __init__(self, frame: Frame, events: list[Frame]) -> None:
        self.envelope = frame.envelope
        self.content: dict[str, Any] = json.loads(bytes(frame.parts[0]))
        self.metadata: dict[str, Any] = json.loads(bytes(frame.parts[1]))
        self.events = events

    def text(self, name: str = "stdout") -> str:
        """All that was written to a stream."""
        return "".join(
            json.loads(b'"' + bytes(e.parts[0]) + b'"')
            for e in self.events
            if e.envelope["kind"] == "stream" and e.envelope["name"] == name
        )

    def published(self, kind: str) -> list[dict[str, Any]]:
        """Contents of the publications of a type."""
        return [json.loads(bytes(e.parts[0])) for e in self.events if e.envelope.get("type") == kind]


class FakeGateway:
    """One worker and the gateway's end of its link. Use as a context manager."""

    def __init__(
        self,
        arguments: list[str] | None = None,
        env: dict[str, str | None] | None = None,
        pipes: bool = False,
        **spec_too: Any,
    ) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="savepoint-test-")
        path = self.path = os.path.join(self.folder.name, "link.sock")
        self.listen()
        spec = {
            "kernel": "k1",
            "token": "t1",
            "link_path": path,
            "cwd": self.folder.name,
            "env": {"IPYTHONDIR": os.path.join(self.folder.name, "ipython"), **(env or {})},
            "stdout": os.path.join(self.folder.name, "out") if pipes else None,
            "stderr": os.path.join(self.folder.name, "err") if pipes else None,
            "custodian_fd": -1,
            **spec_too,
        }
        environment = {**os.environ, "IPYTHONDIR": os.path.join(self.folder.name, "ipython"), "PYTHONPATH": PACKAGES}
        self.process = subprocess.Popen(
            [PYTHON, "-c", BIRTH.format(packages=PACKAGES), json.dumps(spec), json.dumps(arguments or [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        )
        self._seq = itertools.count(1)
        self._interrupts = itertools.count(1)
        self._noticed = threading.Event()
        self.execution_count = 1
        self.link = self.accept()
        self.welcome(self.link)

    def listen(self) -> None:
        """Let processes dial in."""
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen()
        self._server.settimeout(TIMEOUT_S)

    def accept(self) -> Link:
        """The next process that dials in, after its `hello`."""
        try:
            connection, _ = self._server.accept()
        except TimeoutError:
            there = f"exit code {code}" if (code := self.process.poll()) is not None else "lives"
            self.process.kill()
            said = self.process.communicate()[1].decode(errors="replace").strip()
            raise AssertionError(f"Nobody dialled in within {TIMEOUT_S} s; the worker {there}, and said: {said or 'nothing'}") from None
        link = Link(connection)
        self.hello = link.receive(TIMEOUT_S).envelope
        self.pid: int = self.hello["pid"]
        return link

    def welcome(self, link: Link, generation: int = 1, woken: Any = None, *parts: bytes) -> None:
        """Let the process that dialled in begin."""
        envelope = {"kind": "welcome", "generation": generation, "session": "s1", "woken": woken}
        link.send({**envelope, "execution_count": self.execution_count}, *parts)

    def last_words(self) -> str:
        """What the worker wrote to its standard error. Ends it."""
        self.link.close()
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        return self.process.communicate(timeout=5)[1].decode(errors="replace")

    def __enter__(self) -> FakeGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the worker and give everything back."""
        self.link.close()
        self._server.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            try:
                os.kill(self.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self.folder.cleanup()

    # ------------------------------------------------------------------------------------------------ requests

    def send(self, kind: str, content: Any, *buffers: bytes, metadata: Any = None, **extra: Any) -> int:
        """Send a request; its seq. Its msg_id is `m<seq>`."""
        seq = next(self._seq)
        header = {
            "msg_id": f"m{seq}",
            "session": "client",
            "username": "u",
            "date": "2026-01-01T00:00:00.000000Z",
            "msg_type": kind,
            "version": "5.4",
        }
        parts = [json.dumps(part).encode() for part in (header, metadata or {}, content)]
        self.link.send({"kind": "request", "seq": seq, "type": kind, **extra}, *parts, *buffers)
        return seq

    def send_execute(self, code: str, metadata: Any = None, permit: Any = None, **options: Any) -> int:
        """Send an execute_request; its seq."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": True,
            "stop_on_error": True,
            **options,
        }
        extra = {} if permit is None else {"permit": permit}
        count = self.execution_count
        if content["store_history"] and not content["silent"]:
            self.execution_count += 1
        return self.send("execute_request", content, metadata=metadata, execution_count=count, **extra)

    def events(self, timeout: float = TIMEOUT_S) -> Iterator[Frame]:
        """What the worker sends, as it comes, for at most `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                frame = self.link.receive(max(0.001, deadline - time.monotonic()))
                if frame.envelope["kind"] in ("interrupted", "reply"):
                    self._noticed.set()
                yield frame
            except (TimeoutError, LinkClosed) as error:
                raise AssertionError(f"{error}\nThe worker said: {self.last_words()}") from error

    def reply(self, seq: int, on_event: Callable[[Frame], None] | None = None) -> Reply:
        """The reply to a request, with what came before it."""
        events: list[Frame] = []
        for frame in self.events():
            if frame.envelope["kind"] == "reply" and frame.envelope["seq"] == seq:
                return Reply(frame, events)
            events.append(frame)
            if on_event is not None:
                on_event(frame)
        raise AssertionError

    def execute(self, code: str, **options: Any) -> Reply:
        """Run a cell and wait for its reply."""
        return self.reply(self.send_execute(code, **options))

    def request(self, kind: str, content: Any, *buffers: bytes) -> Reply:
        """Send a request and wait for its reply."""
        return self.reply(self.send(kind, content, *buffers))

    def wait_for(self, kind: str, **facts: Any) -> Frame:
        """The next event of a kind with these facts in its envelope; others are dropped, and text without text."""
        for frame in self.events():
            if frame.envelope["kind"] == "stream" and not frame.parts[0]:
                # It only says that the text before it is to be seen at once.
                continue
            if frame.envelope["kind"] == kind and all(frame.envelope.get(k) == v for k, v in facts.items()):
                return frame
        raise AssertionError

    def interrupt(self) -> None:
        """SIGINT to the worker's process group, as the gateway sends it."""
        os.killpg(self.pid, signal.SIGINT)

    def interrupt_request(self, number: int, times: int, seq: int) -> None:
        """Interrupt number `number`, sent for the `times`th time, meant for the request `seq`."""
        line = f"{number:16} {times:16} {seq:16}\n"
        Path(self.folder.name, "interrupts").write_text(line * 2)
        self.interrupt()

    def interrupt_until_noticed(self, seq: int) -> None:
        """Interrupt the request `seq` as the gateway does: again and again until the worker has noticed it."""
        number, self._noticed = next(self._interrupts), threading.Event()
        threading.Thread(target=self._repeat, args=(number, seq, self._noticed), daemon=True).start()

    def _repeat(self, number: int, seq: int, noticed: threading.Event) -> None:
        for times in range(1, int(TIMEOUT_S / REPEAT_S)):
            try:
                self.interrupt_request(number, times, seq)
            except ProcessLookupError:
                return
            if noticed.wait(REPEAT_S):
                return

    def answer_input(self, frame: Frame, value: str) -> None:
        """Answer an input_request."""
        self.link.send({"kind": "input", "id": frame.envelope["id"]}, json.dumps({"value": value}).encode())

    def ended(self, timeout: float = TIMEOUT_S) -> int:
        """Wait for the worker's end; its exit code."""
        return self.process.wait(timeout)


__all__ = ["FakeGateway", "Frame", "LinkClosed", "Reply", "threading"]
