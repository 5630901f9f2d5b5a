"""What the process that serializes tells the one that watches it: which variable it is at, and how far it is.

It lies in memory that both see, since the first one may be killed, or hang, in code of the user's.
"""

from __future__ import annotations

import mmap
import struct
from typing import NamedTuple

_FORMAT = struct.Struct("<qQQQ")
NOTHING = -1


class Seen(NamedTuple):
    """What can be seen of the work."""

    #: The present variable, or NOTHING.
    index: int
    #: Changes with each step.
    steps: int
    done_bytes: int
    #: 0: not known yet.
    total_bytes: int


class Progress:
    """Where the work is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FORMAT.size)
        self._index = NOTHING
        self._steps = 0
        self._done = 0
        self._total = 0
        self._show()

    def begin(self, index: int) -> None:
        """Go on to the variable with this index; NOTHING: to what is not the user's code."""
        self._index = index
        self.tick()

    def tick(self, done_bytes: int = 0) -> None:
        """Something was done, and so many bytes written, or found to be there."""
        self._steps += 1
        self._done += done_bytes
        self._show()

    def expect(self, total_bytes: int) -> None:
        """So many bytes there will be."""
        self._total = total_bytes
        self.tick()

    def seen(self) -> Seen:
        """For the watching process."""
        return Seen(*_FORMAT.unpack_from(self._memory))

    def _show(self) -> None:
        _FORMAT.pack_into(self._memory, 0, self._index, self._steps, self._done, self._total)
