"""Frames that are kept on disk for a gateway that is away.

They lie back to back in files that have no name any more, so that nothing is left of them whatever happens. A file is
given back when nothing in it is wanted any more.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
from collections.abc import Iterator

from .link import Bytes

#: So much is read and written at once, unless a single frame is larger.
BLOCK_BYTES = 256 * 1024
#: A file takes no more than this, unless a single frame is larger.
FILE_BYTES = 64 * 1024 * 1024


class SpoolFull(OSError):
    """There may be no more in the spool."""


def _file_bytes_max() -> int:
    """How large a file of this process may be (RLIMIT_FSIZE), as far as that matters.

    To find out by writing further would send SIGXFSZ, which user code may have made deadly.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


class _File:
    """A file without a name, and its end."""

    def __init__(self, path: str) -> None:
        self.descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        os.unlink(path)
        self.end = 0
        self._pid = os.getpid()

    def __del__(self, getpid: object = os.getpid) -> None:
        descriptor = getattr(self, "descriptor", -1)
        if descriptor >= 0:
            if os.getpid() == self._pid:
                # A copy of this process may have it open, too, and has no use for it.
                os.ftruncate(descriptor, 0)
            os.close(descriptor)


class Block:
    """Some frames in a file."""

    __slots__ = ("_file", "_offset", "frames", "length")

    def __init__(self, file: _File, offset: int, length: int, frames: int) -> None:
        self._file = file
        self._offset = offset
        self.length = length
        self.frames = frames

    def descriptor(self) -> int:
        """Of the file."""
        return self._file.descriptor

    def read(self) -> Iterator[bytes]:
        """The bytes of all frames, piece by piece. Raises OSError."""
        end = self._offset + self.length
        offset = self._offset
        while offset < end:
            piece = os.pread(self._file.descriptor, min(BLOCK_BYTES, end - offset), offset)
            if not piece:
                raise OSError("The spool is shorter than what was written to it.")
            yield piece
            offset += len(piece)

    def after(self, frames: int) -> Block:
        """What is behind the first `frames` frames. Raises OSError."""
        offset = self._offset
        for _ in range(frames):
            offset += 4 + int.from_bytes(os.pread(self._file.descriptor, 4, offset), "big")
        return Block(self._file, offset, self._offset + self.length - offset, self.frames - frames)


class Spool:
    """Where frames go that are too many for the memory; `path` is that of its files until they are open."""

    def __init__(self, path: str, bytes_max: int) -> None:
        self._path = path
        self._bytes_max = bytes_max
        self._file: _File | None = None

    def put(self, frames: list[list[Bytes]], present: int) -> Block:
        """Write frames, as lists of buffers; `present`: bytes of all blocks that are still wanted. Raises OSError.

        After that nothing has changed.
        """
        buffers = [memoryview(buffer).cast("B") for frame in frames for buffer in frame]
        length = sum(map(len, buffers))
        if present + length > self._bytes_max:
            raise SpoolFull("The spool is full.")
        most = _file_bytes_max()
        if length > most:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        if not present:
            # Nothing in it is wanted any more.
            self._file = None
        if self._file is None or self._file.end and self._file.end + length > min(FILE_BYTES, most):
            self._file = _File(self._path)
        file = self._file
        offset = file.end
        for buffer in [b"".join(buffers)] if length <= BLOCK_BYTES else buffers:
            view = memoryview(buffer)
            while view:
                written = os.pwrite(file.descriptor, view, offset)
                view, offset = view[written:], offset + written
        block = Block(file, file.end, length, len(frames))
        file.end = offset
        return block
