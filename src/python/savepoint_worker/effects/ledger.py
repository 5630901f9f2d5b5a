"""The record of effects: entries in memory that a worker shares with its frozen copies.

An entry is written before the effect happens, and counts once it is whole. The memory has no name and no descriptor:
it outlives the worker, however that ends, for as long as there is a frozen copy that may want to read it, and leaves
nothing behind when there is none.

A *mark* is a place in the record. Each recording is an epoch of its own, so that a mark from an earlier one, whose
entries are gone, means nothing instead of something wrong.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any, NamedTuple

from ..copies.shared import own_memory

#: Room for some 100 000 entries; what is not written to takes no memory.
LEDGER_BYTES_MAX = 16 * 1024 * 1024

Entry = dict[str, Any]


class Mark(NamedTuple):
    """A place in the record."""

    epoch: int
    position: int


class _Field:
    """A number at the head of the memory, each in eight bytes of its own, so that it is never seen half written."""

    def __init__(self, index: int) -> None:
        self._offset = 8 * index

    def __get__(self, ledger: Ledger, _: type) -> int:
        found: int = _NUMBER.unpack_from(ledger._memory, self._offset)[0]
        return found

    def __set__(self, ledger: Ledger, value: int) -> None:
        _NUMBER.pack_into(ledger._memory, self._offset, value)


_NUMBER = struct.Struct("<Q")
_LENGTH = struct.Struct("<I")
_HEAD_BYTES = 64


class Ledger:
    """The record of one kernel's transactions. Writing is for one at a time, which is the caller's to see to."""

    epoch = _Field(0)
    #: Where the next entry goes.
    end = _Field(1)
    #: Copies of files made so far, which are numbered, and their bytes in this epoch.
    copies = _Field(2)
    copied_bytes = _Field(3)
    #: Entries of this epoch for which there was no room.
    missed = _Field(4)
    #: The process that has written last.
    writer = _Field(5)

    def __init__(self, size: int = LEDGER_BYTES_MAX) -> None:
        # Shared with every process that is forked from here, and anonymous.
        self._memory = own_memory(size)
        self.end = _HEAD_BYTES

    def begin_epoch(self) -> None:
        """Forget everything; marks that were taken before are void."""
        self.end = _HEAD_BYTES
        self.copied_bytes = self.missed = 0
        self.epoch += 1

    def mark(self) -> Mark:
        """The present end of the record."""
        return Mark(self.epoch, self.end)

    def append(self, entry: Entry) -> bool:
        """Write an entry; False, and a count, if there is no room for it."""
        data = json.dumps(entry, separators=(",", ":")).encode("ascii")
        start, size = self.end, _LENGTH.size + len(data)
        if start + size > len(self._memory):
            self.missed += 1
            return False
        _LENGTH.pack_into(self._memory, start, len(data))
        self._memory[start + _LENGTH.size : start + size] = data
        self.end = start + size
        return True

    def since(self, mark: Mark) -> Iterator[Entry]:
        """Entries behind a mark, oldest first."""
        if mark.epoch != self.epoch:
            return
        position, end = mark.position, self.end
        while position < end:
            length = _LENGTH.unpack_from(self._memory, position)[0]
            position += _LENGTH.size
            yield json.loads(self._memory[position : position + length])
            position += length

    def cut(self, mark: Mark) -> None:
        """Forget the entries behind a mark."""
        if mark.epoch == self.epoch and mark.position < self.end:
            self.end = mark.position
