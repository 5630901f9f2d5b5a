"""The connection between a browser's WebSocket at the Jupyter server and the kernel's WebSocket at the gateway.

Frames pass through as they are: both sides speak the framing that the browser chose, v1 unless it is an old one.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import Any

from jupyter_server.gateway.connections import GatewayWebSocketConnection
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.utils import url_path_join
from tornado.escape import url_escape
from tornado.httpclient import HTTPRequest
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, websocket_connect
from traitlets import Int, Unicode

V1 = "v1.kernel.websocket.jupyter.org"
# By this name the gateway knows that binary frames arrive.
USER_AGENT = "savepoint-gateway-client/0.1.0"
# The kernel has ended, or a newer connection of the same session has taken over: there is nothing to come back to.
ENDED = 1000
WAITING_MAX = 1000
PING_S = 30


class Connection(GatewayWebSocketConnection):
    """What `ServerApp.kernel_websocket_connection_class` is set to."""

    kernel_ws_protocol = Unicode(
        None,
        allow_none=True,
        config=True,
        help="The framing between browser, server and gateway: none given is what the browser prefers, '' the legacy one.",
    )
    max_message_size = Int(512 * 1024 * 1024, config=True, help="Bytes of one message of the gateway.")

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # What the browser sends while there is no connection to the gateway.
        self._waiting: deque[str | bytes] = deque()
        self._relaying: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Called once, when the browser's WebSocket is open."""
        # Otherwise small messages wait until the browser has acknowledged the ones before.
        self.websocket_handler.set_nodelay(True)
        self._relaying = asyncio.ensure_future(self._relay())

    def disconnect(self) -> None:
        """The browser's WebSocket has closed."""
        self.disconnected = True
        if self.ws is not None:
            self.ws.close()
        elif self._relaying is not None:
            self._relaying.cancel()

    def handle_incoming_message(self, message: str | bytes) -> None:  # type: ignore[override]
        """A frame of the browser's."""
        if self.ws is not None:
            try:
                self.ws.write_message(message, binary=isinstance(message, bytes))
                return
            except WebSocketClosedError:
                pass
        if len(self._waiting) >= WAITING_MAX:
            self.log.warning("A message for kernel %s is dropped: the gateway cannot be reached.", self.kernel_id)
            return
        self._waiting.append(message)

    async def _relay(self) -> None:
        """Until either side ends; a connection that breaks is made again as often as Jupyter's settings allow."""
        settings = GatewayClient.instance()
        failures = 0
        while not self.disconnected:
            code = None
            try:
                code = await self._relay_once()
                failures = 0
            except Exception as error:
                self.log.error("The connection to the gateway for kernel %s failed: %s", self.kernel_id, error)
            self.ws = None
            if self.disconnected:
                return
            if code == ENDED:
                self.websocket_handler.close(ENDED, "The kernel has ended.")
                return
            if failures >= settings.gateway_retry_max:
                self.log.error("The gateway cannot be reached for kernel %s.", self.kernel_id)
                self.websocket_handler.close(1011, "The gateway cannot be reached.")
                return
            pause_s = min(settings.gateway_retry_interval * 2**failures, settings.gateway_retry_interval_max)
            failures += 1
            self.log.warning("Lost the connection to the gateway for kernel %s; trying again.", self.kernel_id)
            # Not all connections of a server in the same moment.
            await asyncio.sleep(pause_s + random.uniform(0.1, 1))  # noqa: S311

    async def _relay_once(self) -> int | None:
        """The code with which the gateway closed. Raises if it cannot be reached."""
        connection = await self._open()
        if self.disconnected:
            connection.close()
            return None
        self.ws = connection
        while self._waiting:
            message = self._waiting.popleft()
            connection.write_message(message, binary=isinstance(message, bytes))
        while (received := await connection.read_message()) is not None:
            try:
                # A browser that reads slowly is waited for, and then the gateway waits for us.
                await self.websocket_handler.write_message(received, binary=isinstance(received, bytes))
            except WebSocketClosedError:
                connection.close()
                return None
        return connection.close_code

    async def _open(self) -> WebSocketClientConnection:
        settings = GatewayClient.instance()
        url = url_path_join(
            settings.ws_url or "", settings.kernels_endpoint, url_escape(self.kernel_id), "channels"
        )
        if self.session_id:
            url += f"?session_id={url_escape(self.session_id)}"
        arguments: dict[str, Any] = settings.load_connection_args()
        # The dictionary of headers may be the settings' own.
        arguments["headers"] = {**(arguments.get("headers") or {}), "User-Agent": USER_AGENT}
        framing = self.websocket_handler.selected_subprotocol
        connection = await websocket_connect(
            HTTPRequest(url, **arguments),
            subprotocols=[framing] if framing else None,
            max_message_size=self.max_message_size,
            ping_interval=PING_S,
        )
        if connection.selected_subprotocol != framing:
            connection.close()
            raise ValueError(
                "this gateway does not speak the framing that the browser chose; "
                "start the server with --Connection.kernel_ws_protocol=''"
            )
        return connection
