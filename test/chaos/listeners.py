"""Clients by WebSocket, in both framings, that come back by themselves as JupyterLab does: same session, growing pauses."""

from __future__ import annotations

import contextlib
import json
import random
import threading
import time
import uuid
from collections import Counter
from typing import Any

import websocket

from cells import answer_of
from ledger import Said, said
from service import PATIENCE_S, Service

V1 = "v1.kernel.websocket.jupyter.org"
PAUSE_S_MAX = 1.0
#: After so many failed attempts pauses grow no more.
ATTEMPTS_COUNTED = 10


class Gone(Exception):
    """The kernel is not there any more."""


class SocketClient:
    """One session of one kernel, on one thread. Everything that came is in `told`, in its order, twice if it came twice."""

    def __init__(self, service: Service, kernel_id: str, v1: bool, answers: bool = False, query: str = "") -> None:
        self.session = uuid.uuid4().hex
        self.told: list[Said] = []
        self.seen: Counter[str] = Counter()
        #: Number of the connection; 0: none so far.
        self.epoch = 0
        self.lost: str | None = None
        self.refused: Counter[str] = Counter()
        self.closes: Counter[str] = Counter()
        self._service, self._kernel, self._v1, self._answers, self._query = service, kernel_id, v1, answers, query
        #: Content and metadata of replies to cells, by the request.
        self.replies: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
        self._questions: dict[str, dict[str, Any]] = {}
        self._socket: websocket.WebSocket | None = None
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._thread.start()

    def wait_until(self, holds: Any, within_s: float) -> bool:
        """Wait until `holds()` does. Raises Gone when the kernel is."""
        deadline = time.monotonic() + within_s
        with self._changed:
            while not holds():
                if self.lost:
                    raise Gone(self.lost)
                if not self._changed.wait(min(1.0, max(0.0, deadline - time.monotonic()))) and time.monotonic() > deadline:
                    return False
            return True

    def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell", **more: Any) -> tuple[str, int]:
        """Send as soon as there is a connection; msg_id, and the epoch in which it was sent. It may be lost on the way."""
        if not self.wait_until(lambda: self._socket is not None, PATIENCE_S):
            raise Gone(f"no connection within {PATIENCE_S} s; refused with {dict(self.refused)}")
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session, "username": "c", "version": "5.3"}
        header["date"] = "2030-01-01T00:00:00.000Z"
        message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": channel, **more}
        with self._changed:
            connection, epoch = self._socket, self.epoch
        if connection is not None:
            try:
                if self._v1:
                    connection.send_binary(_encode(message))
                else:
                    connection.send(json.dumps(message))
            except (OSError, websocket.WebSocketException):
                pass  # As in a browser: the listener notices, and what was sent is lost.
        return msg_id, epoch

    def forget(self) -> None:
        """Drop what was heard; it has been checked."""
        with self._changed:
            self.told, self.seen, self.replies = [], Counter(), {}

    def close(self) -> None:
        self._closed = True
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError, websocket.WebSocketException):
                connection.close(timeout=1)

    def _live(self) -> None:
        attempt = 0
        chance = random.Random(self.session)
        while not self._closed and self.lost is None:
            try:
                connection = self._connect()
            except websocket.WebSocketBadStatusException as refused:
                self.refused[str(refused.status_code)] += 1
                if refused.status_code == 404:
                    self._lose("404: the gateway does not know the kernel")
                connection = None
            except (OSError, websocket.WebSocketException):
                connection = None
            if connection is None:
                attempt = min(attempt + 1, ATTEMPTS_COUNTED)
                time.sleep(chance.uniform(0, min(PAUSE_S_MAX, 0.05 * 2**attempt)))
                continue
            attempt = 0
            with self._changed:
                self._socket, self.epoch = connection, self.epoch + 1
                questions = list(self._questions.values())
                self._changed.notify_all()
            # An answer may have been lost with the connection; a kernel that has had it asks no more.
            for question in questions:
                self._answer(question)
            self._hear(connection)
            with self._changed:
                self._socket = None
                self._changed.notify_all()

    def _connect(self) -> websocket.WebSocket:
        url = self._service.url.replace("http", "ws", 1)
        url += f"/api/kernels/{self._kernel}/channels?session_id={self.session}{self._query}"
        headers = {"Authorization": f"token {self._service.token}"}
        protocols = [V1] if self._v1 else None
        connection = websocket.create_connection(url, header=headers, subprotocols=protocols, timeout=PATIENCE_S)
        connection.settimeout(None)
        return connection

    def _hear(self, connection: websocket.WebSocket) -> None:
        while not self._closed:
            try:
                opcode, data = connection.recv_data()
            except (OSError, websocket.WebSocketException, AttributeError):
                return
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                code = int.from_bytes(data[:2], "big") if len(data) >= 2 else 0
                self.closes[str(code)] += 1
                if code == 1000 and not self._closed:
                    self._lose("closed with 1000: JupyterLab would not come back")
                return
            message = _decode(data) if opcode == websocket.ABNF.OPCODE_BINARY and self._v1 else json.loads(data)
            each = said(message, message["channel"])
            with self._changed:
                self.told.append(each)
                self.seen[each.id] += 1
                if each.type == "input_request":
                    self._questions[each.parent] = message
                elif each.type == "execute_reply":
                    self._questions.pop(each.parent, None)
                    self.replies[each.parent] = (message["content"], message["metadata"])
                self._changed.notify_all()
            if each.type == "input_request":
                self._answer(message)

    def _answer(self, question: dict[str, Any]) -> None:
        if self._answers:
            content = {"value": answer_of(question["content"]["prompt"]), "status": "ok"}
            self.send("input_reply", content, "stdin", parent_header=question["header"])

    def _lose(self, why: str) -> None:
        with self._changed:
            self.lost = why
            self._changed.notify_all()


def journal_of(service: Service, kernel_id: str, within_s: float = PATIENCE_S) -> tuple[list[Said], Any]:
    """All that the journal has, as a new session reads it by `replay=all`, and the client, to ask more with."""
    reader = SocketClient(service, kernel_id, True, query="&replay=all")
    probe, _ = reader.send("kernel_info_request", {})
    if not reader.wait_until(lambda: any(each.parent == probe and each.text == "idle" for each in reader.told), within_s):
        raise Gone(f"the kernel did not answer within {within_s} s")
    return [each for each in reader.told if each.channel == "iopub"], reader


def _encode(message: dict[str, Any]) -> bytes:
    names = ("header", "parent_header", "metadata", "content")
    parts = [message["channel"].encode(), *(json.dumps(message[name]).encode() for name in names)]
    offsets, at = [], 8 * (len(parts) + 2)
    for part in [*parts, b""]:
        offsets.append(at)
        at += len(part)
    return b"".join(number.to_bytes(8, "little") for number in (len(offsets), *offsets)) + b"".join(parts)


def _decode(frame: bytes) -> dict[str, Any]:
    count = int.from_bytes(frame[:8], "little")
    offsets = [int.from_bytes(frame[8 * (n + 1) : 8 * (n + 2)], "little") for n in range(count)]
    parts = [frame[start:end] for start, end in zip(offsets, offsets[1:], strict=False)]
    header, parent, metadata, content = (json.loads(part) for part in parts[1:5])
    return {"channel": parts[0].decode(), "header": header, "parent_header": parent, "metadata": metadata, "content": content}
