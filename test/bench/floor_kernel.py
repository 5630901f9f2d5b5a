"""A deliberately minimal kernel: one thread, raw ZeroMQ, exec() and eval(), no IPython.

It is a lower bound (what transport, signing and JSON cost on this machine), not a product.

    python -I -S floor_kernel.py CONNECTION_FILE SITE_PACKAGES
"""

from __future__ import annotations

import sys

# Started without site: only what is needed is imported, and pyzmq is found here.
sys.path.append(sys.argv[2])

import hmac  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import signal  # noqa: E402
import types  # noqa: E402
from typing import Any  # noqa: E402

import zmq  # noqa: E402

DELIMITER = b"<IDS|MSG>"
FLUSH_BYTES = 65536
KINDS = {"shell": zmq.ROUTER, "control": zmq.ROUTER, "stdin": zmq.ROUTER, "iopub": zmq.PUB, "hb": zmq.REP}
INFO = {
    "status": "ok",
    "protocol_version": "5.3",
    "implementation": "floor",
    "implementation_version": "0",
    "banner": "",
    "language_info": {"name": "python", "version": "3", "mimetype": "", "file_extension": ".py"},
}


class Floor:
    """The whole kernel."""

    def __init__(self, connection: dict[str, Any]) -> None:
        self.key = connection["key"].encode()
        self.context = zmq.Context()
        self.sockets: dict[str, zmq.Socket] = {}
        for channel, kind in KINDS.items():
            socket = self.sockets[channel] = self.context.socket(kind)
            socket.linger = 500
            socket.rcvhwm = socket.sndhwm = 0
            socket.bind(f"{connection['transport']}://{connection['ip']}:{connection[channel + '_port']}")
        self.sent = self.count = 0
        self.parent = b"{}"
        self.routing: list[bytes] = []
        self.namespace: dict[str, Any] = {"__name__": "__main__", "input": self.ask}

    def send(self, channel: str, ids: list[bytes], kind: str, content: Any, buffers: list[bytes] | tuple = ()) -> None:
        self.sent += 1
        header = b'{"msg_id":"f%d","msg_type":"%s","session":"floor","username":"k",' % (self.sent, kind.encode())
        header += b'"date":"2026-01-01T00:00:00Z","version":"5.4"}'
        parts = [header, self.parent, b"{}", json.dumps(content).encode()]
        self.sockets[channel].send_multipart([*ids, DELIMITER, self.sign(parts), *parts, *buffers])

    def publish(self, kind: str, content: Any, buffers: list[bytes] | tuple = ()) -> None:
        self.send("iopub", [kind.encode()], kind, content, buffers)

    def sign(self, parts: list[bytes]) -> bytes:
        return hmac.new(self.key, b"".join(parts), "sha256").hexdigest().encode()

    def ask(self, prompt: str = "") -> str:
        sys.stdout.flush()
        self.send("stdin", self.routing, "input_request", {"prompt": prompt, "password": False})
        frames = self.sockets["stdin"].recv_multipart()
        return json.loads(frames[frames.index(DELIMITER) + 5])["value"]

    def serve(self) -> None:
        poller = zmq.Poller()
        for channel in ("shell", "control", "hb"):
            poller.register(self.sockets[channel], zmq.POLLIN)
        while True:
            for socket, _ in poller.poll():
                frames = socket.recv_multipart()
                if socket is self.sockets["hb"]:
                    socket.send_multipart(frames)
                else:
                    self.handle("shell" if socket is self.sockets["shell"] else "control", frames)

    def handle(self, channel: str, frames: list[bytes]) -> None:
        start = frames.index(DELIMITER)
        if not hmac.compare_digest(self.sign(frames[start + 2 : start + 6]), frames[start + 1]):
            return
        self.routing, self.parent = frames[:start], frames[start + 2]
        kind = json.loads(self.parent)["msg_type"]
        self.publish("status", {"execution_state": "busy"})
        if kind == "execute_request":
            self.send(channel, self.routing, "execute_reply", self.execute(json.loads(frames[start + 5])["code"]))
        elif kind == "kernel_info_request":
            self.send(channel, self.routing, "kernel_info_reply", INFO)
        elif kind == "comm_msg":
            self.publish("comm_msg", json.loads(frames[start + 5]), frames[start + 6 :])
        elif kind == "comm_info_request":
            self.send(channel, self.routing, "comm_info_reply", {"status": "ok", "comms": {}})
        elif kind == "shutdown_request":
            self.send(channel, self.routing, "shutdown_reply", {"status": "ok", "restart": False})
            self.publish("status", {"execution_state": "idle"})
            self.context.destroy(linger=200)
            os._exit(0)
        self.publish("status", {"execution_state": "idle"})

    def execute(self, source: str) -> dict[str, Any]:
        self.count += 1
        self.publish("execute_input", {"code": source, "execution_count": self.count})
        reply: dict[str, Any] = {"status": "ok", "user_expressions": {}, "payload": []}
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            self.run(source)
        except BaseException as error:
            failure = {"ename": type(error).__name__, "evalue": str(error), "traceback": []}
            reply = {"status": "error", **failure}
            self.publish("error", failure)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.stdout.flush()
        sys.stderr.flush()
        return {**reply, "execution_count": self.count}

    def run(self, source: str) -> None:
        try:
            code = compile(source, "<cell>", "eval")
        except SyntaxError:
            exec(compile(source, "<cell>", "exec"), self.namespace)
            return
        value = eval(code, self.namespace)
        if value is not None:
            data = {"text/plain": repr(value)}
            self.publish("execute_result", {"data": data, "metadata": {}, "execution_count": self.count})


class Stream(io.TextIOBase):
    """stdout or stderr: sent in large pieces and at the end of a cell."""

    def __init__(self, kernel: Floor, name: str) -> None:
        self.kernel, self.name = kernel, name
        self.buffer: list[str] = []
        self.size = 0

    def write(self, text: str) -> int:
        self.buffer.append(text)
        self.size += len(text)
        if self.size > FLUSH_BYTES:
            self.flush()
        return len(text)

    def flush(self) -> None:
        if self.buffer:
            self.kernel.publish("stream", {"name": self.name, "text": "".join(self.buffer)})
            self.buffer, self.size = [], 0


def main() -> None:
    # The benchmark's echo is answered by the kernel itself; the module that its code imports only has to be there.
    comm = types.ModuleType("comm")
    comm.get_comm_manager = lambda: types.SimpleNamespace(register_target=lambda *_: None)
    sys.modules["comm"] = comm
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(sys.argv[1], encoding="utf-8") as file:
        kernel = Floor(json.load(file))
    sys.stdout, sys.stderr = Stream(kernel, "stdout"), Stream(kernel, "stderr")
    kernel.serve()


if __name__ == "__main__":
    main()
