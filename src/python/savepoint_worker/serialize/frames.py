"""A pickle without its frames, and a loader's source that is as fast as with them.

Frames (PEP 3154) lie every 64 KiB, counted from the beginning, so that one more element in a list would change all
bytes that follow: nothing would be recognised as stored already. They only tell a reader how much to read at once. A
reader that has the whole stream is told that it is one frame.
"""

from __future__ import annotations

import pickle
import struct
from typing import Any

_PROTO = pickle.PROTO[0]
_FRAME = pickle.FRAME[0]
_LENGTH = struct.Struct("<Q")
_FRAME_HEAD_BYTES = 1 + _LENGTH.size
_PREAMBLE = pickle.PROTO + b"\5"
#: C's pickler leaves the head of a frame away that has no more bytes than this (FRAME_SIZE_MIN).
_UNFRAMED_BYTES_MAX = 3


class Unframer:
    """Takes what C's pickler writes, write by write, and takes the frames' heads out."""

    def __init__(self) -> None:
        self._payload = False

    def begin(self) -> None:
        """Another pickle begins."""
        self._payload = False

    def strip(self, data: bytes) -> bytes:
        """One write without heads. A large string is written by itself, and what it holds is no head."""
        if self._payload:
            self._payload = False
            return data
        start = len(_PREAMBLE) if data[0] == _PROTO else 0
        if data[start : start + 1] != pickle.FRAME:
            # What is more than the smallest frame announces a large string.
            self._payload = len(data) - start > _UNFRAMED_BYTES_MAX
            return data
        end = start + _FRAME_HEAD_BYTES
        (length,) = _LENGTH.unpack_from(data, start + 1)
        self._payload = len(data) > end + length
        return data[:start] + data[end:] if start else data[end:]


class Source:
    """What the unpickler reads from: one stream, then the next."""

    def begin(self, stream: bytes) -> None:
        """Read this from now on."""
        framed = len(stream) > len(_PREAMBLE) and stream[len(_PREAMBLE)] == _FRAME
        if framed or not stream.startswith(_PREAMBLE):
            self._views = [memoryview(stream)]
        else:
            rest = memoryview(stream)[len(_PREAMBLE) :]
            self._views = [rest, memoryview(_PREAMBLE + pickle.FRAME + _LENGTH.pack(len(rest)))]

    def read(self, length: int) -> memoryview:
        """The next bytes."""
        while self._views and not self._views[-1]:
            self._views.pop()
        if not self._views:
            return memoryview(b"")
        taken, self._views[-1] = self._views[-1][:length], self._views[-1][length:]
        return taken

    def readinto(self, target: Any) -> int:
        """Fill `target` with the next bytes; how many there were."""
        view = memoryview(target).cast("B")
        piece = self.read(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def readline(self) -> bytes:
        """The next line."""
        line = bytearray()
        while not line.endswith(b"\n") and (piece := self.read(1)):
            line += piece
        return bytes(line)
