"""Where a zygote without a gateway waits for the next one, which is spared a cold start that way."""

from __future__ import annotations

import os
import socket
import struct
import time
from typing import NamedTuple

from .link import BadFrame, FrameReader, wait_readable

INVITATION_TIMEOUT_S = 1.0
INVITATION_BYTES_MAX = 64 * 1024


class Invitation(NamedTuple):
    """A gateway's wish to be served at its link."""

    link: str
    token: str


class Rendezvous:
    """A unix socket at `path`, for this user alone. Raises OSError if it cannot be made."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX)
        # A zygote that was killed may have left its socket there, and one that lives is not needed any more.
        _unlink(path)
        umask = os.umask(0o177)
        try:
            self._socket.bind(path)
        finally:
            os.umask(umask)
        self._inode = os.stat(path).st_ino
        self._socket.listen()

    def __enter__(self) -> Rendezvous:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if os.stat(self._path).st_ino == self._inode:
                _unlink(self._path)
        except FileNotFoundError:
            # Somebody cleaned up.
            pass
        self._socket.close()

    def wait(self, timeout_s: float) -> Invitation | None:
        """The first invitation that makes sense, None if there is none in time."""
        deadline = time.monotonic() + timeout_s
        while (remaining := deadline - time.monotonic()) > 0:
            if wait_readable([self._socket.fileno()], remaining):
                connection, _ = self._socket.accept()
                with connection:
                    invitation = _invitation(connection)
                if invitation is not None:
                    return invitation
        return None


def _invitation(connection: socket.socket) -> Invitation | None:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    if struct.unpack("3i", credentials)[1] not in (os.getuid(), 0):
        return None
    reader, received = FrameReader(), 0
    connection.settimeout(INVITATION_TIMEOUT_S)
    try:
        while received <= INVITATION_BYTES_MAX and (chunk := connection.recv(4096)):
            received += len(chunk)
            for frame in reader.push(chunk):
                envelope = frame.envelope
                link, token = envelope.get("link"), envelope.get("token")
                if envelope["kind"] == "adopt" and isinstance(link, str) and isinstance(token, str):
                    return Invitation(link, token)
                return None
    except (OSError, BadFrame):
        # Who cannot say what he wants is not waited for.
        pass
    return None


def _unlink(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        # Nothing was there.
        pass
