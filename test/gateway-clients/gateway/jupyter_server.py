"""A real Jupyter server in front of the gateway, and a browser's WebSocket to it."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any, NamedTuple

import requests
from jupyter_server.services.kernels.connection.base import (
    deserialize_binary_message,
    deserialize_msg_from_ws_v1,
    serialize_msg_to_ws_v1,
)
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, websocket_connect

from .server import CHECKOUT, PATIENCE_S, Running

V1 = "v1.kernel.websocket.jupyter.org"
COMPANION = CHECKOUT / "src" / "python" / "savepoint_gateway_client"
TOKEN = "of-the-jupyter-server"


class Told(NamedTuple):
    channel: str
    type: str
    parent: str
    content: dict[str, Any]
    buffers: list[bytes]


class JupyterServer:
    """`jupyter server --gateway-url`, with the connection class of its own or with ours, which pip has installed."""

    def __init__(self, *, ours: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        self._log = tempfile.TemporaryFile(dir=self._folder.name)
        environment = {**os.environ, "JUPYTER_GATEWAY_AUTH_TOKEN": Running.token}
        arguments = []
        if ours:
            packages = Path(self._folder.name, "packages")
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
            subprocess.run([*pip, packages, COMPANION], check=True, timeout=PATIENCE_S)
            environment["PYTHONPATH"] = str(packages)
            arguments = ["--ServerApp.kernel_websocket_connection_class=savepoint_gateway_client.Connection"]
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "jupyter_server", "--allow-root", f"--gateway-url={Running.url}"),
                *(f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.open_browser=False"),
                *(f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self._folder.name}"),
                *("--ServerApp.jpserver_extensions={}", *arguments),
            ],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self.ask("GET", "/api/kernelspecs")["default"]:
                    return
            except requests.ConnectionError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise AssertionError(f"The Jupyter server did not start:\n{self.log()}") from None
                time.sleep(0.1)

    def ask(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"token {TOKEN}"}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    async def browser(self, kernel_id: str, session_id: str, framing: str | None = V1) -> Browser:
        url = f"{self.url.replace('http', 'ws', 1)}/api/kernels/{kernel_id}/channels?session_id={session_id}"
        request = HTTPRequest(url, headers={"Authorization": f"token {TOKEN}"})
        offered = [framing] if framing else None
        return Browser(await websocket_connect(request, subprotocols=offered, max_message_size=2**28))

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._folder.cleanup()


class Browser:
    """One WebSocket, with jupyter_server's own reading and writing of frames."""

    def __init__(self, connection: WebSocketClientConnection) -> None:
        self.connection = connection
        self.framing = connection.selected_subprotocol

    async def send(self, msg_type: str, content: dict[str, Any], buffers: list[bytes] = []) -> str:  # noqa: B006
        header = {"msg_id": uuid.uuid4().hex, "msg_type": msg_type, "session": "s", "username": "", "version": "5.3"}
        if self.framing == V1:
            parts = [json.dumps(part).encode() for part in (header, {}, {}, content)]
            frame = serialize_msg_to_ws_v1([*parts, *buffers], "shell")
            await self.connection.write_message(frame, binary=True)
        else:
            parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
            await self.connection.write_message(json.dumps(parts))
        return header["msg_id"]

    async def receive(self) -> Told | None:
        frame = await asyncio.wait_for(self.connection.read_message(), PATIENCE_S)
        if frame is None:
            return None
        if self.framing == V1:
            channel, parts = deserialize_msg_from_ws_v1(frame)
            header, parent, _, content = (json.loads(part) for part in parts[:4])
            return Told(channel, header["msg_type"], parent.get("msg_id", ""), content, list(parts[4:]))
        message = json.loads(frame) if isinstance(frame, str) else deserialize_binary_message(frame)
        header, parent = message["header"], message["parent_header"]
        return Told(message["channel"], header["msg_type"], parent.get("msg_id", ""), message["content"], message["buffers"])

    async def execute(self, code: str) -> list[Told]:
        """All that belongs to a cell, up to its reply and its idle."""
        msg_id = await self.send("execute_request", {"code": code, "silent": False})
        told: list[Told] = []
        missing = {"execute_reply", "idle"}
        while missing:
            message = await self.receive()
            assert message is not None, "The connection has ended."
            if message.parent != msg_id:
                continue
            told.append(message)
            missing -= {message.type, message.content.get("execution_state", "")}
        return told


def text_of(told: list[Told], name: str = "stdout") -> str:
    return "".join(each.content["text"] for each in told if each.type == "stream" and each.content["name"] == name)
