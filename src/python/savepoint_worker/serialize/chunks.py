"""Content -> chunks, each named by the SHA-256 of its bytes, so that what did not change is not stored again.

Memory of arrays is cut at fixed distances from its beginning: a changed element changes one chunk. A pickled stream
moves as a whole when something in it grows, so it is cut where its content says so: a few chunks after such a place
the cuts are where they were before. All of it is done by C code, byte by byte nothing is done in Python.
"""

from __future__ import annotations

import hashlib
import itertools
import zlib
from collections.abc import Iterator
from typing import NamedTuple

#: Raw bytes of a chunk, at most.
CHUNK_BYTES = 256 * 1024
DIGEST_BYTES = 32
#: What separates the pieces of a stream, the rarest first: an object with attributes, a dict, a list, anything that
#: others may refer to (MEMOIZE), numbers; then what separates the parts of texts and of anything else.
_SEPARATORS = (b")\x81\x94", b"}\x94", b"]\x94", b"\x94", b"G", b"M", b"K", b"J", b"\n", b" ", b"\0", b"e")
#: So many pieces let their content decide where to cut, and so many do not take long.
_PIECES_MIN = 64
_PIECES_MAX = 1500
#: Pieces that are looked at together to tell one place from another.
_CONTEXT_MAX = 8
#: The checksum of an empty piece, so that it is chosen last.
_SEED = 0xFFFFFFFF


class Range(NamedTuple):
    """Somewhere between these distances from the previous cut is the next one."""

    min: int
    max: int


#: For pickled objects; and for large strings, of which most are data in a format of their own.
OBJECTS = Range(16 * 1024, 64 * 1024)
DATA = Range(128 * 1024, 160 * 1024)


def digest_of(chunk: bytes | memoryview) -> bytes:
    """The name of a chunk."""
    return hashlib.sha256(chunk).digest()


def fixed(length: int) -> Iterator[tuple[int, int]]:
    """Where the chunks of memory of that length begin and end."""
    return ((begin, min(begin + CHUNK_BYTES, length)) for begin in range(0, length, CHUNK_BYTES))


def next_cut(data: bytes | bytearray, start: int, where: Range = OBJECTS) -> int:
    """Where to cut what was cut at `start`; needs `where.max` bytes from there on, or all that come."""
    if len(data) - start <= where.max:
        return len(data)
    window = bytes(memoryview(data)[start + where.min : start + where.max])
    separator = _separator(window)
    if separator is None:
        return start + where.max
    count = window.count(separator)
    if count > _PIECES_MAX:
        window = window[: len(window) * _PIECES_MAX // count]
    # The first piece begins anywhere, the last one goes on behind the window.
    first, *pieces = window.split(separator)
    pieces = pieces[:-1]
    if not pieces:
        return start + where.min + len(first) + len(separator)
    chosen = _choose(pieces)
    behind = len(first) + sum(map(len, pieces[: chosen + 1])) + (chosen + 2) * len(separator)
    return start + where.min + behind


def _choose(pieces: list[bytes]) -> int:
    """One of the pieces: the same whatever others are there, as long as it and those behind it are."""
    sums = list(map(zlib.crc32, pieces, itertools.repeat(_SEED)))
    least = min(sums)
    # Pieces that are the same are told apart by what comes behind them.
    for distance in range(1, min(_CONTEXT_MAX, len(pieces))):
        if sums.count(least) == 1:
            break
        sums = list(map(zlib.crc32, pieces[distance:], sums))
        least = min(sums)
    return sums.index(least)


def _separator(window: bytes) -> bytes | None:
    """What cuts the window into enough pieces to choose from, if anything does."""
    for separator in _SEPARATORS:
        if window.count(separator) >= _PIECES_MIN:
            return separator
    return next((separator for separator in _SEPARATORS if separator in window), None)
