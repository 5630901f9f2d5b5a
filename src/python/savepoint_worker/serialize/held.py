"""Pickled streams that wait until it is known whether they are final: in memory, and beyond a limit in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

#: What is kept in memory of all streams together.
MEMORY_BYTES_MAX = 256 * 1024 * 1024
#: Smaller writes are put together.
_PIECE_BYTES_MIN = 4096
_JOINED_BYTES = 64 * 1024
#: A single write of so many bytes is a large string, which lies in the stream as it is.
DATA_BYTES_MIN = 1024 * 1024
#: What is read at once.
PIECE_BYTES = 1024 * 1024


class Hold:
    """Where the streams of one save are."""

    def __init__(self, folder: str | None) -> None:
        """`folder`: where there is room for a file that nobody sees; None: nowhere."""
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._end = 0
        self._held = 0

    def keep(self, data: bytes) -> bytes | tuple[int, int]:
        """The data itself, or where in the file it is."""
        if self._held + len(data) <= MEMORY_BYTES_MAX or self._folder is None:
            self._held += len(data)
            return data
        try:
            if self._file is None:
                # It has no name, and ends with this process.
                self._file = tempfile.TemporaryFile(dir=self._folder)
            self._file.seek(self._end)
            self._file.write(data)
        except OSError:
            # No room there either. That will be told when the checkpoint itself is written.
            return data
        place = self._end, len(data)
        self._end += len(data)
        return place

    def read(self, place: tuple[int, int]) -> Iterator[bytes]:
        """What is in the file. Raises OSError."""
        assert self._file is not None
        offset, length = place
        while length:
            self._file.seek(offset)
            data = self._file.read(min(length, PIECE_BYTES))
            if not data:
                raise OSError("what was put aside is not there any more")
            yield data
            offset, length = offset + len(data), length - len(data)

    def release(self, length: int) -> None:
        """So much is no longer held in memory."""
        self._held -= length


class Stream:
    """One stream."""

    # There may be as many of them as variables.
    __slots__ = ("_hold", "_pieces", "_small", "length")

    def __init__(self, hold: Hold) -> None:
        self._hold = hold
        self._pieces: list[bytes | tuple[int, int]] = []
        self._small: bytes | bytearray = b""
        self.length = 0

    def append(self, data: bytes) -> None:
        """The next bytes."""
        self.length += len(data)
        if len(data) < _PIECE_BYTES_MIN:
            # Most streams are one such write, which need not be copied.
            if not self._small:
                self._small = data
            elif type(self._small) is bytearray:
                self._small += data
            else:
                self._small = bytearray(self._small + data)
            if len(self._small) < _JOINED_BYTES:
                return
            data = b""
        if self._small:
            self._pieces.append(self._hold.keep(bytes(self._small)))
            self._small = b""
        if data:
            self._pieces.append(self._hold.keep(data))

    def pieces(self) -> Iterator[tuple[bytes, bool]]:
        """All of it, piece by piece: is it from a large string? Raises OSError."""
        for piece in self._pieces:
            if isinstance(piece, tuple):
                yield from ((data, piece[1] >= DATA_BYTES_MIN) for data in self._hold.read(piece))
            else:
                yield piece, len(piece) >= DATA_BYTES_MIN
        yield bytes(self._small), False

    def drop(self) -> None:
        """It is not needed any more."""
        self._hold.release(sum(len(piece) for piece in self._pieces if not isinstance(piece, tuple)))
        self._pieces.clear()
        self._small = b""
