"""The list of groups: a line of JSON for each, in chunks of a few lines.

Which line ends a chunk is decided by the names in it, so that a changed variable changes one chunk, and one that is
added or removed changes one or two.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from typing import Any

from savepoint.errors import SavepointError

from . import chunks, tree
from .manifest import encode
from .packs import PackReader, PackWriter

#: One line in so many ends a chunk.
LINES_A_CHUNK = 16
#: A chunk ends when it has grown to this.
CHUNK_BYTES_MAX = 32 * 1024
#: Chunks of a part that the root names itself.
ROOT_CHUNKS_MAX = 4
BATCH = 256


class Lines:
    """Writes the lines of one part of the manifest."""

    def __init__(self, pack: PackWriter) -> None:
        self._pack = pack
        self._lines: list[bytes] = []
        self._length = 0
        self._batch: list[bytes] = []
        self._digests: list[bytes] = []
        self._size = 0

    def add(self, value: Any, ends: bool) -> None:
        """The next line; `ends`: it is the last one of its chunk. Raises OSError."""
        line = encode(value) + b"\n"
        self._lines.append(line)
        self._length += len(line)
        if ends or self._length >= CHUNK_BYTES_MAX:
            self._end()

    def finish(self) -> tree.Ref:
        """The reference to all lines. Raises OSError."""
        self._end()
        self._flush()
        return tree.refer(self._size, self._digests, self._pack, ROOT_CHUNKS_MAX)

    def _end(self) -> None:
        if self._lines:
            data = b"".join(self._lines)
            self._batch += [data[begin:end] for begin, end in chunks.fixed(len(data))]
            self._size += len(data)
            self._lines, self._length = [], 0
            if len(self._batch) >= BATCH:
                self._flush()

    def _flush(self) -> None:
        self._digests += self._pack.add(self._batch, compress=True)
        self._batch = []


def ends_chunk(name: str) -> bool:
    """Does the line with this name end its chunk?"""
    return zlib.crc32(name.encode("utf-8", "replace")) % LINES_A_CHUNK == 0


def read_lines(
    ref: tree.Ref, packs: PackReader, keep: Callable[[Any], Any] = lambda line: line
) -> tuple[list[Any], list[str]]:
    """The lines of a part, and what is wrong with those that cannot be read. Raises SavepointError for all of them.

    `keep`: what is to be kept of a line; there may be very many.
    """
    lines, wrong = [], []
    data = bytearray()
    for digest in tree.digests_of(ref, packs):
        try:
            data += packs.read(digest)
        except SavepointError as error:
            wrong.append(error.message)
            data += b"\n"
    for line in data.decode("utf-8", "replace").split("\n"):
        try:
            if line:
                lines.append(keep(json.loads(line)))
        except ValueError:
            wrong.append("A line of the manifest cannot be read.")
    return lines, wrong
