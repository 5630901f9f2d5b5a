"""A Jupyter server's connection to a gateway, with the real class, and a browser that writes what it gets to stdout.

    python jupyter_server_peer.py URL KERNEL_ID CLASS FRAMING

CLASS is the module and name of the connection class; FRAMING is the subprotocol that the browser chose, or nothing.
Each line on stdin is sent to the gateway (hex, a binary frame, if FRAMING is given); each line on stdout is a frame:
`text` or `binary`, its length, and for what is short its hex.
"""

import asyncio
import importlib
import sys

from jupyter_server.gateway.gateway_client import GatewayClient
from tornado.websocket import WebSocketHandler
from traitlets import Any
from traitlets.config import LoggingConfigurable

SHORT = 100_000


class Browser(WebSocketHandler):
    selected_subprotocol = None

    def __init__(self, framing: str) -> None:
        # There is no request behind this one.
        self.selected_subprotocol = framing or None

    def set_nodelay(self, value: bool) -> None:
        pass

    def write_message(self, message: "str | bytes", binary: bool = False) -> "asyncio.Future[None]":
        data = message.encode() if isinstance(message, str) else message
        print("binary" if binary else "text", len(data), data.hex() if len(data) < SHORT else "-", flush=True)
        written = asyncio.get_running_loop().create_future()
        written.set_result(None)
        return written

    def close(self, code: "int | None" = None, reason: "str | None" = None) -> None:
        print("closed", code, "-", flush=True)


class Kernel(LoggingConfigurable):
    kernel_id = Any()


async def main(url: str, kernel_id: str, name: str, framing: str = "") -> None:
    GatewayClient.instance(url=url, gateway_retry_interval=0.1, gateway_retry_interval_max=0.2)
    module, _, attribute = name.rpartition(".")
    connection_class = getattr(importlib.import_module(module), attribute)
    kernel = Kernel(kernel_id=kernel_id)
    connection = connection_class(parent=kernel, websocket_handler=Browser(framing), kernel_info_timeout=60)
    connection.session.session = "a-session"
    await connection.connect()
    lines = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        text = line.decode().strip()
        connection.handle_incoming_message(bytes.fromhex(text) if framing else text)
    connection.disconnect()
    await asyncio.sleep(0.1)


asyncio.run(main(*sys.argv[1:]))
