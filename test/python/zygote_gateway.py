"""A small gateway for tests with a real zygote: forks workers, has copies frozen, wakes and discards them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import fake_gateway
from fake_gateway import PACKAGES, TIMEOUT_S, FakeGateway, Frame, Link, LinkClosed, Reply

PYTHONS = [path for path in os.environ.get("SAVEPOINT_TEST_PYTHONS", "").split(":") if path] or [sys.executable]

#: What cells of the tests use. The user's own interface to it is another package's business.
PRELUDE = """
import os, sys, time, subprocess, socket, signal
from savepoint_worker.worker import Worker
_worker = Worker.current()
def begin(block=True):
    asked = {'name': None, 'policy': 'explicit', 'engine': 'auto', 'block': block}
    return _worker.take(_worker.ask('begin', asked).permit)
def rollback():
    _worker.ask('rollback', {'transaction': None})
"""


class ZygoteGateway:
    """One zygote, and the gateway's end of its link. Use as a context manager."""

    def __init__(
        self,
        python: str = PYTHONS[0],
        arguments: list[str] | None = None,
        rendezvous: str | None = None,
        linger: float = 0,
        prepare: Callable[[str], list[str]] = lambda _: [],
        orphan_s: float = 0,
    ) -> None:
        """`prepare` gets the zygote's working folder before it starts, and returns further options for it.

        With `orphan_s` it is told its settings over the link.
        """
        self.folder = tempfile.TemporaryDirectory(prefix="savepoint-test-")
        self.rendezvous = rendezvous
        self.outputs = [self._fifo("stdout"), self._fifo("stderr")]
        self.log = open(os.path.join(self.folder.name, "log"), "w+b")
        self._names = itertools.count(1)
        self._workers: list[WorkerEnd] = []
        os.mkdir(os.path.join(self.folder.name, "run"))
        self._listen("run/link")
        options = ["--link", self.path, "--token", "zt", "--kernel", "k1", "--kernel-args", json.dumps(arguments or [])]
        options += prepare(self.folder.name)
        self.settings: dict[str, Any] | None = None
        if orphan_s:
            self.settings = {"kind": "settings", "kernel": "k1", "arguments": arguments or [], "orphan_s": orphan_s}
            self.settings |= {"rendezvous": None, "linger_s": 0}
            options += ["--settings-follow", "--starter", str(os.getpid())]
        if rendezvous is not None:
            options += ["--rendezvous", rendezvous, "--linger", str(linger)]
        environment = {**os.environ, "IPYTHONDIR": os.path.join(self.folder.name, "ipython"), "PYTHONPATH": PACKAGES}
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [python, os.path.join(PACKAGES, "start_worker.py"), "zygote", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.log,
            env=environment,
            cwd=self.folder.name,
        )
        self._welcome_zygote()

    def _fifo(self, name: str) -> int:
        path = os.path.join(self.folder.name, name)
        os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    def _listen(self, name: str) -> None:
        self.path = os.path.join(self.folder.name, name)
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(self.path)
        self._server.listen()
        self._server.settimeout(TIMEOUT_S)

    def _welcome_zygote(self) -> None:
        self.link, self.hello = self.accept("the zygote")
        if self.settings is not None:
            self.link.send(self.settings)
        try:
            frame = self.link.receive(TIMEOUT_S)
        except (LinkClosed, TimeoutError) as error:
            raise AssertionError(f"The zygote does not get ready: {error!r}. {self.whats_there()}") from None
        self.ready, self.info = frame.envelope, json.loads(bytes(frame.parts[0]))
        self.ready_ms = (time.perf_counter() - self.started) * 1000

    def stop_listening(self) -> None:
        """Let nobody dial in any more."""
        self._server.close()
        if os.path.exists(self.path):
            os.unlink(self.path)

    def die(self) -> None:
        """Be gone, as after SIGKILL, with every link."""
        self.stop_listening()
        self.link.close()
        for worker in self._workers:
            worker.link.close()

    def come_back(self) -> tuple[dict[str, Any], dict[str, Link]]:
        """Listen again, until the zygote and its workers are there: its inventory, and the workers' links by token."""
        self._listen("run/link")
        inventory, links = None, {}
        while inventory is None or len(links) < sum(len(place["workers"]) for place in inventory["places"]):
            wanted = "the zygote" if inventory is None else f"all workers of {inventory['places']}"
            link, hello = self.accept(f"{wanted} beside {sorted(links)}")
            if hello["role"] == "zygote":
                self.link, self.hello = link, hello
                inventory = link.receive(TIMEOUT_S).envelope
            else:
                if "resumed" in hello:
                    link.send({"kind": "resume", "frames": hello["resumed"]["sent"]})
                links[hello["token"]] = link
        return inventory, links

    def succeed(self) -> None:
        """Lose the link, and take up the zygote as a gateway that starts after this one."""
        self._server.close()
        self.link.close()
        self._listen(self.name())
        assert self.rendezvous is not None
        _wait_until(lambda: os.path.exists(self.rendezvous or ""), "The zygote does not linger.")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.rendezvous)
            Link(connection).send({"kind": "adopt", "link": self.path, "token": "zt2"})
        self._welcome_zygote()

    def accept(self, awaited: str = "a process") -> tuple[Link, dict[str, Any]]:
        """The next process that dials in, and its `hello`. `awaited` is for the message when none does."""
        said = "nobody dialled in"
        try:
            connection, _ = self._server.accept()
            said = "who dialled in said no hello"
            link = Link(connection)
            return link, link.receive(TIMEOUT_S).envelope
        except (TimeoutError, LinkClosed) as error:
            raise AssertionError(f"Waiting for {awaited}, {said}: {error!r}. {self.whats_there()}") from None

    def whats_there(self) -> str:
        """The processes that are there, and what they said, for a test that waited in vain."""
        pids = (self.process.pid, *descendants(self.process.pid))
        family = ", ".join(f"{pid} ({state(pid) or 'gone'}, {_waits_in(pid)})" for pid in pids)
        return f"There are, the zygote first: {family}. They said: {self.last_words().strip() or 'nothing'}"

    def fork(self, prelude: bool = True, **options: Any) -> WorkerEnd:
        """A new worker that was welcomed, and has run the prelude."""
        token = f"t{next(self._names)}"
        stdout, stderr = (os.path.join(self.folder.name, name) for name in ("stdout", "stderr"))
        command = {
            "kernel": "k1",
            "token": token,
            "env": {},
            "cwd": self.folder.name,
            "stdout": stdout,
            "stderr": stderr,
        }
        self.link.send({"kind": "fork", **command, **options})
        worker = WorkerEnd(self, *self.accept(f"the new worker {token}"))
        self._workers.append(worker)
        assert worker.hello["token"] == token and worker.hello["role"] == "worker", worker.hello
        worker.welcome(worker.link)
        if prelude:
            assert worker.execute(PRELUDE).content["status"] == "ok", self.last_words()
        return worker

    def wait_for(self, kind: str, timeout: float = TIMEOUT_S, **facts: Any) -> Frame:
        """The next event of the zygote's of a kind with these facts; others are dropped."""
        deadline = time.monotonic() + timeout
        while True:
            try:
                frame = self.link.receive(max(0.001, deadline - time.monotonic()))
            except (LinkClosed, TimeoutError) as error:
                raise AssertionError(f"Waiting for {kind} {facts}: {error!r}. {self.whats_there()}") from None
            if frame.envelope["kind"] == kind and all(frame.envelope.get(k) == v for k, v in facts.items()):
                return frame

    def name(self) -> str:
        """A name for a snapshot that was not used before."""
        return f"s{next(self._names)}"

    def output(self) -> str:
        """What was written to descriptors 1 and 2 of workers since the last call."""
        chunks = []
        for descriptor in self.outputs:
            try:
                while chunk := os.read(descriptor, 65536):
                    chunks.append(chunk)
            except BlockingIOError:
                continue
        return b"".join(chunks).decode(errors="replace")

    def last_words(self) -> str:
        """What zygote and workers have to say when something went wrong."""
        self.log.seek(0)
        return self.log.read().decode(errors="replace") + self.output()

    def __enter__(self) -> ZygoteGateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all and give everything back."""
        if self.rendezvous is not None and not self.link.closed:
            # Without a word it would wait for another gateway.
            with suppress(LinkClosed):
                self.link.send({"kind": "stop", "linger": False})
        self.link.close()
        self._server.close()
        for worker in self._workers:
            worker.close()
        if self.settings is not None:
            self.end_orphans()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for descriptor in self.outputs:
            os.close(descriptor)
        self.log.close()
        self.folder.cleanup()


    def end_orphans(self) -> None:
        """End what would wait for another gateway."""
        for pid in (*descendants(self.process.pid), self.process.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


class WorkerEnd(FakeGateway):
    """The gateway's end of one worker's link, over all generations."""

    def __init__(self, gateway: ZygoteGateway, link: Link, hello: dict[str, Any]) -> None:
        self.gateway = gateway
        self.link = link
        self.hello = hello
        self.pid = hello["pid"]
        self.generation = 1
        self.execution_count = 1
        self._seq = itertools.count(1)
        #: Snapshots by name: pid of each.
        self.frozen: dict[str, int] = {}
        #: The snapshot that the latest `begin` took.
        self.latest = ""
        self.limits: list[str] = []
        self.tokens: dict[str, str] = {}

    def last_words(self) -> str:
        return self.gateway.last_words()

    def close(self) -> None:
        """Hang up."""
        self.link.close()

    # ---------------------------------------------------------------------------------------------- snapshots

    def permit(self) -> dict[str, str]:
        """The right to freeze a copy."""
        name = self.latest = self.gateway.name()
        self.tokens[name] = f"token-{name}"
        return {"snapshot": name, "token": self.tokens[name]}

    def snapshot(self) -> Frame:
        """Have a copy frozen between two cells; the event that says so."""
        permit = self.permit()
        self.link.send({"kind": "snapshot", "permit": permit})
        return self._note(self.wait_for("taken", snapshot=permit["snapshot"]))

    def _note(self, taken: Frame) -> Frame:
        if "error" not in taken.envelope:
            self.frozen[taken.envelope["snapshot"]] = taken.envelope["pid"]
        return taken

    def discard(self, *names: str) -> None:
        """End snapshots, wait until they are gone, and let the worker forget them."""
        self.gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": list(names)})
        left = set(names)
        while left:
            gone = self.gateway.wait_for("snapshot_gone").envelope["snapshot"]
            if gone in left:
                left.remove(gone)
                self.frozen.pop(gone)
                self.link.send({"kind": "forget", "snapshot": gone})

    def ask_to_hand_over(self, name: str) -> list[str]:
        """Have the worker hand over to a snapshot; its limits."""
        self.link.send({"kind": "hand_over", "snapshot": name})
        return list(self.wait_for("handed_over", snapshot=name).envelope["limits"])

    def wake(self, name: str, resume: bool = True, **reason: Any) -> None:
        """Put a snapshot in the place of the worker, which is ended if it lives."""
        old = self.pid
        self.link.close()
        self.gateway.link.send({"kind": "wake", "kernel": "k1", "snapshot": name})
        self.gateway.link.send({"kind": "kill", "pid": old, "signal": signal.SIGKILL})
        self.link, self.hello = self.gateway.accept(f"the woken copy {name}")
        assert self.hello["token"] == self.tokens[name], self.hello
        self.pid = self.hello["pid"]
        assert self.pid == self.frozen.pop(name)
        self.generation += 1
        woken = {"reason": "requested", "resume": resume, "inputs": [], **reason}
        self.welcome(self.link, self.generation, woken)

    def roll_back(self, name: str | None = None, resume: bool = True, orderly: bool = True) -> None:
        """Go back to a snapshot: the latest, if none is named."""
        name = name or self.latest
        if orderly:
            self.limits = self.ask_to_hand_over(name)
        self.wake(name, resume)

    # --------------------------------------------------------------------------------------------- operations

    def reply(self, seq: int, on_event: Callable[[Frame], None] | None = None) -> Reply:
        """The reply to a request, whichever generation gives it; what the cell asks for is granted on the way."""
        events: list[Frame] = []
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            try:
                frame = self.link.receive(max(0.001, deadline - time.monotonic()))
            except (TimeoutError, LinkClosed) as error:
                raise AssertionError(f"{error}\n{self.last_words()}\n{[e.envelope for e in events]}") from error
            envelope = frame.envelope
            if envelope["kind"] == "reply" and envelope["seq"] == seq:
                return Reply(frame, events)
            events.append(frame)
            if envelope["kind"] == "taken":
                self._note(frame)
            elif envelope["kind"] == "ask":
                self._grant(envelope)
            if on_event is not None:
                on_event(frame)

    def interrupt(self) -> None:
        """SIGINT until the worker has noticed it, as the gateway does. Events that come before are dropped."""
        for _ in range(40):
            os.kill(self.pid, signal.SIGINT)
            try:
                while self.link.receive(0.05).envelope["kind"] != "interrupted":
                    pass
            except TimeoutError:
                continue
            return
        raise AssertionError(f"The worker does not notice interrupts.\n{self.last_words()}")

    def _grant(self, ask: dict[str, Any]) -> None:
        if ask["op"] == "begin":
            self.link.send({"kind": "answer", "id": ask["id"], "ok": True, "result": {}, "permit": self.permit()})
        elif ask["op"] == "rollback":
            self.roll_back()
        else:
            self.link.send({"kind": "answer", "id": ask["id"], "ok": True, "result": {}})

    def run(self, code: str, **options: Any) -> str:
        """Run a cell that has to succeed; what it printed in the generation that ended it."""
        reply = self.execute(code, **options)
        if reply.content["status"] != "ok":
            raise AssertionError("\n".join(reply.content.get("traceback", [str(reply.content)])) + self.last_words())
        return reply.text()


def _wait_until(condition: Callable[[], bool], message: str, timeout: float = TIMEOUT_S) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(message)
        time.sleep(0.01)


def descendants(pid: int) -> list[int]:
    """All processes below `pid`, ended but unreaped ones included."""
    found, unseen = [], [pid]
    parents = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                parents[int(name)] = int(file.read().rpartition(b")")[2].split()[1])
        except OSError:
            continue
    while unseen:
        parent = unseen.pop()
        below = [child for child, its_parent in parents.items() if its_parent == parent]
        found += below
        unseen += below
    return found


def alive(pid: int) -> bool:
    """Is there such a process, and has it not ended?"""
    return state(pid) not in ("", "Z", "X")


def state(pid: int) -> str:
    """State of a process as the system's letter, "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def wait_until(condition: Callable[[], bool], message: str, timeout: float = TIMEOUT_S) -> None:
    """Wait for something that nobody announces. Fails with `message`."""
    _wait_until(condition, message, timeout)


def _waits_in(pid: int) -> str:
    """Where in the system a process waits, as far as that can be known."""
    try:
        with open(f"/proc/{pid}/wchan", encoding="ascii", errors="replace") as file:
            return file.read() or "runs"
    except OSError:
        return "unknown"


__all__ = ["PYTHONS", "WorkerEnd", "ZygoteGateway", "alive", "descendants", "fake_gateway", "state", "wait_until"]
