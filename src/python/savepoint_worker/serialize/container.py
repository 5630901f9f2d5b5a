"""A file of the first format: magic, u32 length of the manifest, manifest (JSON, padded with spaces), sections back to back.

The manifest says where each section lies. What comes after the last section is no part of it: the gateway appends a MAC
over all that precedes, and lets nobody open a file whose MAC is not right. The CRC of a section only tells which one a
faulty disk has changed.
"""

from __future__ import annotations

import json
import mmap
import os
import struct
import zlib
from typing import Any

from savepoint.errors import SavepointError

MAGIC = b"SVPT1\n\0\0"
FORMAT_VERSION = 1
_LENGTH = struct.Struct(">I")
HEAD_BYTES = len(MAGIC) + _LENGTH.size
MANIFEST_BYTES_MAX = 256 * 1024 * 1024
#: What is written or read at once, so that somebody who watches sees progress.
CHUNK_BYTES = 16 * 1024 * 1024
#: From this size on memory gets pages of its own, large ones where the system has them: they are cheaper to fork.
LARGE_BYTES = 2 * 1024 * 1024


class Buffer(bytearray):
    """Memory of a loaded array; its type tells it from a bytearray of the user's."""


class Reader:
    """Reads a file that the gateway has verified."""

    def __init__(self, path: str) -> None:
        """Raises SavepointError (`damaged_checkpoint`, `format_unsupported`) or OSError."""
        self._file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            self.manifest = self._read_manifest()
            self._sections = {section["name"]: section for section in self.manifest["sections"]}
        except BaseException:
            os.close(self._file)
            raise

    def close(self) -> None:
        """Done."""
        os.close(self._file)

    def sections(self, prefix: str) -> list[dict[str, Any]]:
        """What the manifest says of the sections whose names begin with `prefix`, in the order of the file."""
        return [place for name, place in self._sections.items() if name.startswith(prefix)]

    def section(self, name: str) -> Section:
        """A section, to be read and then verified. Raises SavepointError (`damaged_checkpoint`)."""
        place = self._sections.get(name)
        if place is None:
            raise damaged(f"The section {name} is not there.")
        return Section(self._file, place)

    def contents(self, name: str) -> bytes:
        """All of a section. Raises SavepointError (`damaged_checkpoint`)."""
        section = self.section(name)
        contents = section.take(section.length)
        section.verify()
        return contents

    def _read_manifest(self) -> dict[str, Any]:
        head = os.pread(self._file, HEAD_BYTES, 0)
        if head[: len(MAGIC)] != MAGIC:
            if head[:4] == MAGIC[:4]:
                message = "The checkpoint is of a later release. Use that one to restore it."
                raise SavepointError("format_unsupported", message)
            raise damaged("The file is no checkpoint.")
        if len(head) < HEAD_BYTES:
            raise damaged("The file ends in its first bytes.")
        (length,) = _LENGTH.unpack_from(head, len(MAGIC))
        text = os.pread(self._file, min(length, MANIFEST_BYTES_MAX), HEAD_BYTES)
        try:
            manifest = json.loads(text)
        except ValueError:
            raise damaged("The list of contents cannot be read.") from None
        if not isinstance(manifest, dict) or not isinstance(manifest.get("sections"), list):
            raise damaged("The list of contents is none.")
        if manifest.get("format_version") != FORMAT_VERSION:
            raise SavepointError(
                "format_unsupported",
                f"The checkpoint has format {manifest.get('format_version')}; this release reads {FORMAT_VERSION}.",
            )
        return manifest


class Section:
    """One section, read from its beginning to its end. What was read may be trusted only after `verify`."""

    def __init__(self, file: int, place: dict[str, Any]) -> None:
        self._file = file
        self._name = place["name"]
        self._offset = place["offset"]
        self._end = place["offset"] + place["length"]
        self._expected = place["crc32"]
        self._crc = 0
        self.length: int = place["length"]

    def verify(self) -> None:
        """Raises SavepointError (`damaged_checkpoint`) unless all was read, and was what had been written."""
        if self._offset != self._end or self._crc != self._expected:
            raise damaged(f"The section {self._name} is not as it was written.")

    def take(self, length: int) -> bytes:
        """The next bytes. Raises SavepointError (`damaged_checkpoint`) if there are not so many."""
        taken = bytearray(self._check(length))
        self._fill(memoryview(taken))
        return bytes(taken)

    def take_memory(self, length: int) -> memoryview:
        """The next bytes in memory of their own that can be changed, for an array to live in."""
        view = own_memory(self._check(length))
        self._fill(view)
        return view

    def _check(self, length: int) -> int:
        if length > self._end - self._offset:
            raise damaged("A section ends too early.")
        return length

    def _fill(self, view: memoryview) -> None:
        while view:
            count = os.preadv(self._file, [view[:CHUNK_BYTES]], self._offset)
            if count == 0:
                raise damaged("The file ends too early.")
            self._crc = zlib.crc32(view[:count], self._crc)
            self._offset += count
            view = view[count:]


def own_memory(length: int) -> memoryview:
    """Memory that can be changed, for an array to live in; large pages where it pays."""
    if length < LARGE_BYTES:
        return memoryview(Buffer(length))
    pages = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            pages.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            # A system without them; then they are just pages.
            pass
    return memoryview(pages)


def damaged(what: str) -> SavepointError:
    """The error for a file that cannot be used; `what` is wrong with it."""
    return SavepointError("damaged_checkpoint", f"{what} Restore another checkpoint.")
