"""Bytes that come piece by piece -> chunks cut where their content says so."""

from __future__ import annotations

from . import chunks
from .joints import PAIRS, Remover
from .packs import PackWriter, pays

#: Chunks are hashed and written in batches of this size.
BATCH_BYTES = 4 * 1024 * 1024


class Cutter:
    """Cuts one stream; holds little of it."""

    def __init__(self, pack: PackWriter) -> None:
        self._pack = pack
        self._rest = bytearray()
        self._removers = [Remover(pair) for pair in PAIRS]
        self._where = chunks.OBJECTS
        self._compress: bool | None = None
        #: Digests of the chunks so far, and their bytes.
        self.digests: list[bytes] = []
        self.size = 0

    def feed(self, data: bytes, is_data: bool = False) -> None:
        """The next bytes; `is_data`: they are from a large string. Raises OSError."""
        where = chunks.DATA if is_data else chunks.OBJECTS
        if where is not self._where:
            # Large strings have chunks of their own, which are found again wherever the string is.
            self.finish()
            self._where, self._compress = where, None
        view = memoryview(data)
        for begin in range(0, len(view), BATCH_BYTES):
            # What is whole already is not copied.
            piece = data if len(data) <= BATCH_BYTES else bytes(view[begin : begin + BATCH_BYTES])
            self._keep(piece, len(PAIRS) if is_data else 0)
            if is_data:
                for remover in self._removers:
                    remover.skip(len(piece))
            if len(self._rest) >= BATCH_BYTES:
                self._cut(last=False)

    def finish(self) -> None:
        """No more bytes come, or none of that kind. Raises OSError."""
        for number, remover in enumerate(self._removers):
            self._keep(remover.finish(), number + 1)
        self._cut(last=True)

    def tables(self) -> dict[str, bytes]:
        """What was taken out, by pair."""
        tables = {pair.decode(): remover.table() for pair, remover in zip(PAIRS, self._removers)}
        return {pair: table for pair, table in tables.items() if table}

    def _keep(self, data: bytes, first: int) -> None:
        for remover in self._removers[first:]:
            data = remover.feed(data)
        self.size += len(data)
        self._rest += data

    def _cut(self, last: bool) -> None:
        rest, begin, batch = self._rest, 0, []
        while len(rest) - begin > (0 if last else self._where.max):
            end = chunks.next_cut(rest, begin, self._where)
            batch.append(bytes(memoryview(rest)[begin:end]))
            begin = end
        del rest[:begin]
        if batch:
            if self._compress is None:
                self._compress = pays(batch[0])
            self.digests += self._pack.add(batch, self._compress)
