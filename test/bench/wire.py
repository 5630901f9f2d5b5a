"""A thin Jupyter client on raw ZeroMQ sockets, so that the kernel is measured and not the client.

Kernels are launched by jupyter_client's KernelManager, as users of every kernel do. Messages are signed and sent here;
their JSON is parsed only when it is looked at.
"""

from __future__ import annotations

import ast
import hashlib
import hmac
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# The kernelspec of this checkout's build, where `savepoint` is asked for; the environment is private to this run.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))
import support.subject  # noqa: E402, F401

PEERS = os.path.join(os.environ.get("SAVEPOINT_BENCH_HOME", os.path.expanduser("~/.cache/savepoint-bench")), "share")
os.environ["JUPYTER_PATH"] = os.pathsep.join(path for path in (os.environ.get("JUPYTER_PATH"), PEERS) if path)

import zmq  # noqa: E402
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager  # noqa: E402
from jupyter_client.manager import KernelManager  # noqa: E402

DELIMITER = b"<IDS|MSG>"
Key = tuple[str, str]
"""A channel and a message type; the type `busy` or `idle` stands for that status on iopub."""

now = time.perf_counter


class Timeout(Exception):
    """What was waited for did not come."""


class Message:
    """A received message. `t` is when it was there."""

    __slots__ = ("channel", "t", "frames", "_start", "_parsed")

    def __init__(self, channel: str, frames: list[bytes], t: float) -> None:
        self.channel, self.frames, self.t = channel, frames, t
        self._start = frames.index(DELIMITER)
        self._parsed: dict[int, Any] = {}

    def _part(self, offset: int) -> Any:
        if offset not in self._parsed:
            self._parsed[offset] = json.loads(self.frames[self._start + offset]) or {}
        return self._parsed[offset]

    @property
    def header(self) -> dict[str, Any]:
        return self._part(2)

    @property
    def parent(self) -> dict[str, Any]:
        return self._part(3)

    @property
    def content(self) -> dict[str, Any]:
        return self._part(5)

    @property
    def type(self) -> str:
        return self.header["msg_type"]

    @property
    def buffers(self) -> list[bytes]:
        return self.frames[self._start + 6 :]


class Client:
    """One Jupyter client on four raw sockets."""

    def __init__(self, info: dict[str, Any]) -> None:
        key = info["key"]
        self.key = key.encode() if isinstance(key, str) else key
        self.session = uuid.uuid4().hex
        self.sent = 0
        self.pending: list[Message] = []
        self.sockets: dict[str, zmq.Socket] = {}
        self.poller = zmq.Poller()
        separator = "-" if info["transport"] == "ipc" else ":"
        for channel in ("shell", "iopub", "stdin", "control"):
            socket = zmq.Context.instance().socket(zmq.SUB if channel == "iopub" else zmq.DEALER)
            socket.linger = 0
            socket.rcvhwm = socket.sndhwm = 0
            socket.setsockopt(zmq.RECONNECT_IVL, 2)
            if channel == "iopub":
                socket.setsockopt(zmq.SUBSCRIBE, b"")
            else:
                socket.setsockopt(zmq.ROUTING_ID, self.session.encode())
            socket.connect(f"{info['transport']}://{info['ip']}{separator}{info[channel + '_port']}")
            self.sockets[channel] = socket
            self.poller.register(socket, zmq.POLLIN)
        self.channels = {socket: channel for channel, socket in self.sockets.items()}

    def close(self) -> None:
        for socket in self.sockets.values():
            socket.close(0)

    def _sign(self, parts: Sequence[bytes]) -> bytes:
        if not self.key:
            return b""
        mac = hmac.new(self.key, digestmod=hashlib.sha256)
        for part in parts:
            mac.update(part)
        return mac.hexdigest().encode()

    def send(
        self,
        channel: str,
        msg_type: str,
        content: dict[str, Any],
        parent: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> str:
        """Send a message; returns its id."""
        self.sent += 1
        msg_id = f"{self.session}_{self.sent}"
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "session": self.session,
            "username": "bench",
            "date": "2026-01-01T00:00:00.000000Z",
            "version": "5.4",
        }
        parts = [json.dumps(part).encode() for part in (header, parent or {}, {}, content)]
        self.sockets[channel].send_multipart([DELIMITER, self._sign(parts), *parts, *buffers], copy=not buffers)
        return msg_id

    def execute(self, code: str, **fields: Any) -> str:
        """Send a cell; returns the message's id."""
        content = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": True,
            **fields,
        }
        return self.send("shell", "execute_request", content)

    def receive(self, timeout: float) -> Message:
        """The next message of any channel. Raises Timeout."""
        if not self.pending:
            ready = self.poller.poll(max(0.0, timeout) * 1000)
            if not ready:
                raise Timeout("nothing came")
            t = now()
            self.pending = [Message(self.channels[socket], socket.recv_multipart(), t) for socket, _ in ready]
        return self.pending.pop(0)

    def until(
        self,
        msg_id: str,
        wanted: Sequence[Key],
        timeout: float = 30,
        keep: list[Message] | None = None,
        strays: list[Message] | None = None,
    ) -> dict[Key, Message]:
        """Receive until each wanted message of this request came.

        Other messages of the same request go to `keep`, those of others to `strays`. Raises Timeout.
        """
        got: dict[Key, Message] = {}
        end = now() + timeout
        while len(got) < len(wanted):
            left = end - now()
            if left <= 0:
                raise Timeout(f"waited {timeout} s for {[key for key in wanted if key not in got]}")
            try:
                message = self.receive(left)
            except Timeout:
                continue
            if message.parent.get("msg_id") != msg_id:
                if strays is not None:
                    strays.append(message)
                continue
            kind = message.content["execution_state"] if message.type == "status" else message.type
            key = (message.channel, kind)
            if key in wanted and key not in got:
                got[key] = message
            elif keep is not None:
                keep.append(message)
        return got

    def run(
        self, code: str, timeout: float = 60, keep: list[Message] | None = None, **fields: Any
    ) -> tuple[Message, Message]:
        """Run a cell to its end; its reply and its idle."""
        msg_id = self.execute(code, **fields)
        got = self.until(msg_id, [("shell", "execute_reply"), ("iopub", "idle")], timeout, keep)
        return got["shell", "execute_reply"], got["iopub", "idle"]

    def value(self, expression: str, timeout: float = 30) -> Any:
        """The value of an expression in the kernel, if it is a literal."""
        keep: list[Message] = []
        self.run(f"print('<<' + repr({expression}) + '>>')", timeout, keep)
        text = "".join(message.content["text"] for message in keep if message.type == "stream")
        return ast.literal_eval(text[text.index("<<") + 2 : text.rindex(">>")])

    def drain(self, quiet: float = 0.05) -> list[Message]:
        """Receive until nothing comes for `quiet` seconds."""
        drained = []
        while True:
            try:
                drained.append(self.receive(quiet))
            except Timeout:
                return drained

    def ready(self, timeout: float = 60) -> dict[str, Any]:
        """Ask for kernel_info until shell and iopub both answer; the reply's content. Raises Timeout."""
        end = now() + timeout
        while now() < end:
            msg_id = self.send("shell", "kernel_info_request", {})
            try:
                got = self.until(msg_id, [("shell", "kernel_info_reply"), ("iopub", "idle")], 0.1)
            except Timeout:
                continue
            return got["shell", "kernel_info_reply"].content
        raise Timeout("the kernel never became ready")


class Kernel:
    """A launched kernel and one client on it. `spec` is a kernelspec's name or folder."""

    def __init__(self, spec: str, wait: bool = True) -> None:
        self.manager = KernelManager(kernel_name=os.path.basename(spec))
        if os.path.isdir(spec):
            self.manager._kernel_spec = KernelSpec.from_resource_dir(spec)
        else:
            self.manager._kernel_spec = KernelSpecManager().get_kernel_spec(spec)
        self.t_start = now()
        self.manager.start_kernel(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.t_spawned = now()
        self.client = Client(self.manager.get_connection_info())
        if wait:
            try:
                self.client.ready()
            except BaseException:
                self.kill()
                raise

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def exit_code(self) -> int | None:
        return self.manager.provisioner.process.poll()

    def roots(self) -> set[int]:
        """The launched process, and the one that runs the code where that is another one's descendant."""
        found = {self.pid}
        try:
            found.add(self.client.value("__import__('os').getpid()", 10))
        except (Timeout, ValueError):
            pass
        return found

    def kill(self) -> None:
        self.client.close()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel(now=True)

    def stop(self) -> None:
        """An orderly end if it comes soon, else by force."""
        try:
            msg_id = self.client.send("control", "shutdown_request", {"restart": False})
            self.client.until(msg_id, [("control", "shutdown_reply")], 3)
        except Timeout:
            pass
        self.kill()
