"""The connection to debugpy's adapter, in the shape of the ZeroMQ objects that ipykernel's debugger expects.

ipykernel reaches the adapter through a ZMQ socket of type STREAM, and has the kernel itself run the code that starts
debugpy. Here a plain socket does the first, and the debugger's own thread the second, so that it also works while a
cell runs.
"""

from __future__ import annotations

import asyncio
import codecs
import os
import socket
from collections.abc import Callable
from typing import Any

import zmq

HOST = "127.0.0.1"
CONNECT_TIMEOUT_S = 10.0
READ_BYTES = 256 * 1024
#: debugpy writes two lines to stderr, into the user's cell, if this is not set when it is imported.
QUIET = "PYDEVD_DISABLE_FILE_VALIDATION"


class Stream:
    """Both the stream and its socket."""

    def __init__(self, on_text: Callable[[str], None], on_lost: Callable[[], None]) -> None:
        self.socket = self
        self._on_text = on_text
        self._on_lost = on_lost
        self._connection: socket.socket | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def bind_to_random_port(self, address: str) -> None:
        """The adapter chooses its port itself, see `Starter`."""

    def unbind(self, address: str) -> None:
        """Nothing was bound."""

    def getsockopt(self, option: int) -> bytes:
        """The endpoint, whose port is not known yet, or an identity, which means nothing here."""
        return f"tcp://{HOST}:0".encode() if option == zmq.LAST_ENDPOINT else b"adapter"

    def connect(self, endpoint: str) -> None:
        """Connect to the adapter at `tcp://host:port`. Raises OSError."""
        self.close()
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._connection = socket.create_connection((host, int(port)), CONNECT_TIMEOUT_S)
        self._decoder.reset()
        asyncio.get_running_loop().add_reader(self._connection.fileno(), self._on_readable)

    def disconnect(self, endpoint: str) -> None:
        """Hang up."""
        self.close()

    def send_multipart(self, frames: tuple[bytes, bytes]) -> None:
        """Send the second frame. Raises OSError."""
        if self._connection is None:
            raise ConnectionError("The debugger is not connected to its adapter.")
        self._connection.sendall(frames[1])

    def close(self) -> None:
        """Hang up; once is enough."""
        connection, self._connection = self._connection, None
        if connection is not None:
            asyncio.get_running_loop().remove_reader(connection.fileno())
            connection.close()

    def _on_readable(self) -> None:
        assert self._connection is not None
        try:
            data = self._connection.recv(READ_BYTES)
        except OSError:
            data = b""
        if data:
            self._on_text(self._decoder.decode(data))
        else:
            self.close()
            self._on_lost()


class Starter:
    """Stands for the session over which ipykernel has a cell start debugpy: starts it right here.

    `client` is what has to know the adapter's port.
    """

    def __init__(self, client: Callable[[], Any], log: Callable[[str, str], None]) -> None:
        self._client = client
        self._log = log
        self._status = "error"

    def send(self, *_: Any) -> None:
        """Start debugpy and its adapter."""
        import debugpy
        import pydevd

        # Done at the import, but undone at the end of each session.
        pydevd.install_breakpointhook()
        try:
            _, port = debugpy.listen((HOST, 0))
        except Exception as error:
            self._log("error", f"debugpy could not be started: {type(error).__name__}: {error}")
            return
        self._client().debugpy_port = str(port)
        self._status = "ok"

    def recv(self, *_: Any, **__: Any) -> tuple[None, dict[str, Any]]:
        """How that went."""
        return None, {"content": {"status": self._status}}


class Quiet:
    """While debugpy is imported it must not write to the user's stderr."""

    def __enter__(self) -> None:
        self._before = os.environ.get(QUIET)
        os.environ[QUIET] = "1"

    def __exit__(self, *_: object) -> None:
        if self._before is None:
            os.environ.pop(QUIET, None)
        else:
            os.environ[QUIET] = self._before
