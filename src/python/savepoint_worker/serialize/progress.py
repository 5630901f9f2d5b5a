"""What the process that serializes tells the one that watches it: which variable it is at, and that it moves on.

It lies in memory that both see, since the first one may be killed, or hang, in code of the user's.
"""

from __future__ import annotations

import mmap
import struct

_FORMAT = struct.Struct("<qQ")
NOTHING = -1


class Progress:
    """Where the work is."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _FORMAT.size)
        self._index = NOTHING
        self._steps = 0
        self._show()

    def begin(self, index: int) -> None:
        """Go on to the variable with this index; NOTHING: to what is not the user's code."""
        self._index = index
        self.tick()

    def tick(self) -> None:
        """Something was done."""
        self._steps += 1
        self._show()

    def seen(self) -> tuple[int, int]:
        """Index of the present variable, and a number that changes with each step. For the watching process."""
        index, steps = _FORMAT.unpack_from(self._memory)
        return index, steps

    def _show(self) -> None:
        _FORMAT.pack_into(self._memory, 0, self._index, self._steps)
