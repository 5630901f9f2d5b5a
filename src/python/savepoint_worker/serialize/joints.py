"""Taking the marks out of a stream that lie in it by count, and putting them back.

Pickle closes and opens a list again after each thousand elements (`e(`, APPENDS and MARK), and a dict so, too (`u(`).
Put one element in front, and each of these pairs lies one element further on: all chunks of a long list would change.
So such pairs of bytes, whatever they mean where they are, are taken out before the stream is cut (but for those in large
strings), and where they were is written down beside it: for each the number of bytes since the one before it, a u32 BE.
"""

from __future__ import annotations

import struct
from itertools import accumulate

#: Taken out in this order, and put back in the reverse one.
PAIRS = (b"e(", b"u(")
_NUMBER_BYTES = 4


class Remover:
    """Takes one pair out of bytes that come piece by piece."""

    def __init__(self, pair: bytes) -> None:
        self._pair = pair
        #: A piece may end in the middle of a pair.
        self._held = b""
        #: Bytes since the last pair.
        self._since = 0
        self._found: list[int] = []

    def feed(self, data: bytes) -> bytes:
        """What is left of the next piece."""
        if self._held:
            data = self._held + data
            self._held = b""
        if data.endswith(self._pair[:1]):
            self._held, data = data[-1:], data[:-1]
        parts = data.split(self._pair)
        if len(parts) > 1:
            lengths = list(map(len, parts))
            lengths[0] += self._since
            self._since = lengths.pop()
            self._found += lengths
            return b"".join(parts)
        self._since += len(data)
        return data

    def skip(self, length: int) -> None:
        """So many bytes come of which nothing is taken out. Only after `finish`."""
        self._since += length

    def finish(self) -> bytes:
        """What is left at the end, or before something that is skipped."""
        rest, self._held = self._held, b""
        self._since += len(rest)
        return rest

    def table(self) -> bytes:
        """Where the pairs were."""
        return struct.pack(f">{len(self._found)}I", *self._found)


def put_back(data: bytes, pair: bytes, table: bytes) -> bytes:
    """The bytes as they were; `data` may end early. Raises struct.error for what is no table."""
    lengths = struct.unpack(f">{len(table) // _NUMBER_BYTES}I", table)
    ends = [0, *accumulate(lengths)]
    # A pair belongs to what is in front of it.
    whole = [(begin, end) for begin, end in zip(ends, ends[1:]) if end <= len(data)]
    pieces = [data[begin:end] for begin, end in whole]
    return pair.join([*pieces, data[ends[len(pieces)] :]])
