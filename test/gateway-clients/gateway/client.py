"""Plain requests, and a WebSocket in the legacy framing that remembers what came."""

from __future__ import annotations

import json
import uuid
from typing import Any, NamedTuple

import requests
import websocket

from .server import PATIENCE_S, Running


class Answer(NamedTuple):
    status: int
    body: Any
    headers: Any


class Rest:
    """Requests with a token; by default to the gateway that all tests share."""

    def __init__(self, url: str | None = None, token: str | None = None) -> None:
        self.url = url or Running.url
        self.token = Running.token if token is None else token

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Answer:
        answer = requests.request(
            method,
            f"{self.url}{path}",
            json=body,
            headers={"Authorization": f"token {self.token}", **headers},
            timeout=PATIENCE_S,
        )
        is_json = answer.headers.get("Content-Type", "").startswith("application/json")
        return Answer(answer.status_code, answer.json() if is_json else answer.text, answer.headers)

    def start_kernel(self, **body: object) -> str:
        """The id of a new kernel."""
        answer = self.ask("POST", "/api/kernels", body)
        assert answer.status == 201, answer
        return str(answer.body["id"])

    def channels(self, kernel_id: str, session_id: str | None = None) -> Channels:
        return Channels(self, kernel_id, session_id or uuid.uuid4().hex)


class Channels:
    """One WebSocket to one kernel."""

    def __init__(self, rest: Rest, kernel_id: str, session_id: str) -> None:
        self.session_id = session_id
        self.messages: list[dict[str, Any]] = []
        url = rest.url.replace("http", "ws", 1)
        self._socket = websocket.create_connection(
            f"{url}/api/kernels/{kernel_id}/channels?session_id={session_id}",
            header={"Authorization": f"token {rest.token}"},
            timeout=PATIENCE_S,
            # It goes through the text character by character, and decoding it finds what is wrong as well.
            skip_utf8_validation=True,
        )

    def send(self, msg_type: str, content: dict[str, Any], channel: str = "shell") -> str:
        """Send a request; its msg_id."""
        msg_id = uuid.uuid4().hex
        header = {"msg_id": msg_id, "msg_type": msg_type, "session": self.session_id, "username": "test", "version": "5.3"}
        message = {"channel": channel, "header": header, "parent_header": {}, "metadata": {}, "content": content}
        self._socket.send(json.dumps(message))
        return msg_id

    def receive(self) -> dict[str, Any]:
        """The next message."""
        message = json.loads(self._socket.recv())
        self.messages.append(message)
        return dict(message)

    def try_receive(self) -> bool:
        """Read the next message of a connection that has ended; False: there is none."""
        try:
            self.receive()
        except (OSError, ValueError, websocket.WebSocketException):
            return False
        return True

    def until(self, msg_type: str, parent: str | None = None, **content: object) -> dict[str, Any]:
        """Read on up to a message of that type, that parent and that content."""
        while True:
            message = self.receive()
            if message["msg_type"] != msg_type or (parent and message["parent_header"].get("msg_id") != parent):
                continue
            if all(message["content"].get(key) == value for key, value in content.items()):
                return message

    def execute(self, code: str) -> list[dict[str, Any]]:
        """Run a cell; what was published for it, up to its idle."""
        began = len(self.messages)
        msg_id = self.send("execute_request", {"code": code, "silent": False})
        self.until("status", msg_id, execution_state="idle")
        return [each for each in self.messages[began:] if each["parent_header"].get("msg_id") == msg_id]

    def text(self, code: str) -> str:
        """What a cell prints on standard output."""
        streams = [each for each in self.execute(code) if each["msg_type"] == "stream"]
        return "".join(each["content"]["text"] for each in streams if each["content"]["name"] == "stdout")

    def close(self) -> None:
        self._socket.close()
