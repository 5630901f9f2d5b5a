"""A thin client for gateways on raw sockets, so that the server is measured and not the client.

The WebSocket masks with zeros, which costs nothing, compresses nothing, and speaks both of Jupyter's encodings.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import select
import socket
import struct
import time
import urllib.parse
import uuid
from collections.abc import Sequence
from typing import Any

V1 = "v1.kernel.websocket.jupyter.org"
LEGACY = ""
Key = tuple[str, str]
"""A channel and a message type; the type `busy` or `idle` stands for that status on iopub."""

REPLY: Key = ("shell", "execute_reply")
IDLE: Key = ("iopub", "idle")

now = time.perf_counter


class Timeout(Exception):
    """What was waited for did not come."""


class Rest:
    """JSON requests over one connection, which is kept."""

    def __init__(self, base: str, token: str) -> None:
        url = urllib.parse.urlsplit(base)
        self.host, self.port = url.hostname or "127.0.0.1", url.port or 80
        self.prefix, self.token = url.path.rstrip("/"), token
        self._connection: http.client.HTTPConnection | None = None

    def __call__(self, method: str, path: str, body: Any = None, timeout: float = 60) -> tuple[int, Any]:
        text = json.dumps(body) if body is not None else None
        headers = {"Authorization": f"token {self.token}", "Content-Type": "application/json"}
        for attempt in (0, 1):
            is_new = self._connection is None
            connection = self._connection or self._connect(timeout)
            try:
                connection.request(method, self.prefix + path, text, headers)
                answer = connection.getresponse()
                data = answer.read()
            except (http.client.HTTPException, ConnectionError):
                # A kept connection may have been closed meanwhile; a POST is never sent twice.
                self.close()
                if is_new or attempt or method == "POST":
                    raise
                continue
            is_json = answer.getheader("Content-Type", "").startswith("application/json")
            return answer.status, json.loads(data) if data and is_json else data
        raise ConnectionError("the gateway closes every connection")

    def _connect(self, timeout: float) -> http.client.HTTPConnection:
        connection = self._connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        connection.connect()
        connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None


class Message:
    """A received message. `t` is when it was there."""

    __slots__ = ("t", "channel", "header", "parent", "buffers", "_content")

    def __init__(self, v1: bool, t: float, opcode: int, data: bytes) -> None:
        self.t = t
        if v1:
            (count,) = struct.unpack_from("<Q", data)
            at = struct.unpack_from(f"<{count}Q", data, 8)
            parts = [data[at[i] : at[i + 1]] for i in range(count - 1)]
            self.channel = parts[0].decode()
            self.header, self.parent = json.loads(parts[1]), json.loads(parts[2]) or {}
            self._content, self.buffers = parts[4], parts[5:]
            return
        self.buffers = []
        if opcode == 2:
            (count,) = struct.unpack_from("!I", data)
            at = (*struct.unpack_from(f"!{count}I", data, 4), len(data))
            self.buffers = [data[at[i] : at[i + 1]] for i in range(1, count)]
            data = data[at[0] : at[1]]
        message = json.loads(data)
        self.channel, self.header = message["channel"], message["header"]
        self.parent, self._content = message["parent_header"] or {}, message["content"]

    @property
    def content(self) -> dict[str, Any]:
        if isinstance(self._content, bytes):
            self._content = json.loads(self._content)
        return self._content

    @property
    def type(self) -> str:
        return self.header["msg_type"]

    @property
    def key(self) -> Key:
        return self.channel, self.content["execution_state"] if self.type == "status" else self.type


class WebSocket:
    """One client of one kernel."""

    def __init__(self, rest: Rest, kernel_id: str, protocol: str = V1, timeout: float = 30) -> None:
        self.session, self._sent = uuid.uuid4().hex, 0
        self.acknowledges_at_once = False
        """Hides that a server waits for acknowledgements with its small packets."""
        self.messages: list[Message] = []
        self._fragments: tuple[int, list[bytes]] = (0, [])
        self.socket = socket.create_connection((rest.host, rest.port), timeout=timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        path = f"{rest.prefix}/api/kernels/{kernel_id}/channels?session_id={self.session}"
        request = [
            f"GET {path} HTTP/1.1",
            f"Host: {rest.host}:{rest.port}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            f"Authorization: token {rest.token}",
            *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
        ]
        self.socket.sendall(("\r\n".join(request) + "\r\n\r\n").encode())
        self._buffer = bytearray()
        while b"\r\n\r\n" not in self._buffer:
            data = self.socket.recv(65536)
            if not data:
                raise ConnectionError("closed while it was opened")
            self._buffer += data
        head, _, left = bytes(self._buffer).partition(b"\r\n\r\n")
        first, *headers = head.decode().split("\r\n")
        if first.split(" ")[1] != "101":
            raise ConnectionError(first)
        named = dict(header.lower().split(": ", 1) for header in headers if ": " in header)
        self.v1 = named.get("sec-websocket-protocol") == V1
        self._buffer = bytearray(left)

    def close(self) -> None:
        try:
            self.socket.sendall(b"\x88\x80\0\0\0\0")
        except OSError:
            pass
        self.socket.close()

    def send(self, channel: str, msg_type: str, content: dict[str, Any], buffers: Sequence[bytes] = ()) -> str:
        self._sent += 1
        msg_id = f"{self.session}_{self._sent}"
        date = "2026-01-01T00:00:00.000000Z"
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session, "username": "bench"}
        header |= {"date": date, "version": "5.4"}
        if self.v1:
            parts = [channel.encode(), *(json.dumps(part).encode() for part in (header, {}, {}, content)), *buffers]
            at = [8 * (len(parts) + 2)]
            for part in parts:
                at.append(at[-1] + len(part))
            self._frame(struct.pack(f"<{len(at) + 1}Q", len(at), *at) + b"".join(parts), 2)
            return msg_id
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel}
        text = json.dumps(message).encode()
        if not buffers:
            self._frame(text, 1)
            return msg_id
        parts = [text, *buffers]
        at = [4 * (len(parts) + 1)]
        for part in parts[:-1]:
            at.append(at[-1] + len(part))
        self._frame(struct.pack(f"!{len(parts) + 1}I", len(parts), *at) + b"".join(parts), 2)
        return msg_id

    def execute(self, code: str) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        return self.send("shell", "execute_request", {**content, "allow_stdin": False, "stop_on_error": True})

    def fill(self) -> None:
        """Read what is there, at least something."""
        data = self.socket.recv(1 << 20)
        if self.acknowledges_at_once:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not data:
            raise ConnectionError("closed")
        self._buffer += data
        self._take_frames()

    def receive(self, timeout: float) -> Message:
        end = now() + timeout
        while not self.messages:
            left = end - now()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                raise Timeout
            self.fill()
        return self.messages.pop(0)

    def until(
        self, msg_id: str, wanted: Sequence[Key], timeout: float = 30, keep: list[Message] | None = None
    ) -> dict[Key, Message]:
        """The first message of each kind that belongs to a request; `keep` gets all others of it."""
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
                continue
            key = message.key
            if key in wanted and key not in got:
                got[key] = message
            elif keep is not None:
                keep.append(message)
        return got

    def run(self, code: str, timeout: float = 60, keep: list[Message] | None = None) -> tuple[Message, Message]:
        got = self.until(self.execute(code), [REPLY, IDLE], timeout, keep)
        return got[REPLY], got[IDLE]

    def ready(self, timeout: float = 60) -> None:
        """Until the kernel answers; a request that comes too early may be lost."""
        end = now() + timeout
        while now() < end:
            try:
                self.until(self.send("shell", "kernel_info_request", {}), [("shell", "kernel_info_reply"), IDLE], 0.5)
                return
            except Timeout:
                continue
        raise Timeout("the kernel did not get ready")

    def drain(self, quiet: float = 0.0) -> list[Message]:
        """What comes until nothing has come for a while, in seconds."""
        came = []
        try:
            while True:
                came.append(self.receive(quiet))
        except Timeout:
            return came

    def _frame(self, payload: bytes, opcode: int) -> None:
        size = len(payload)
        if size < 126:
            length = bytes([0x80 | size])
        elif size < 65536:
            length = b"\xfe" + struct.pack("!H", size)
        else:
            length = b"\xff" + struct.pack("!Q", size)
        head = bytes([0x80 | opcode]) + length + b"\0\0\0\0"
        if size < 65536:
            self.socket.sendall(head + payload)
        else:
            self.socket.sendall(head)
            self.socket.sendall(payload)

    def _take_frames(self) -> None:
        buffer, at, t = self._buffer, 0, now()
        while len(buffer) - at >= 2:
            opcode, size = buffer[at] & 15, buffer[at + 1] & 127
            head = {126: 4, 127: 10}.get(size, 2)
            if len(buffer) - at < head:
                break
            if head == 4:
                (size,) = struct.unpack_from("!H", buffer, at + 2)
            elif head == 10:
                (size,) = struct.unpack_from("!Q", buffer, at + 2)
            if len(buffer) - at < head + size:
                break
            payload = bytes(memoryview(buffer)[at + head : at + head + size])
            is_last = buffer[at] & 128
            at += head + size
            if opcode == 9:
                self._frame(payload, 10)
            elif opcode == 8:
                raise ConnectionError(f"the server closed the WebSocket: {payload[:60]!r}")
            elif opcode in (0, 1, 2):
                if opcode:
                    self._fragments = (opcode, [payload])
                else:
                    self._fragments[1].append(payload)
                if is_last:
                    kind, pieces = self._fragments
                    self.messages.append(Message(self.v1, t, kind, b"".join(pieces)))
        if at:
            del buffer[:at]
