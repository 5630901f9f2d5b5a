"""Frames of a worker that its gateway has not acknowledged yet: in memory, later on disk.

Whoever calls anything here but `take` from several threads has a lock for it. User code shares this process, so a signal
handler of the user's may raise in any of these lines: each step is one call of a function of C, or changes nothing until
its last line.
"""

from __future__ import annotations

from collections import deque
from itertools import count, starmap
from typing import TypeAlias

from .link import Bytes, Queued
from .spool import BLOCK_BYTES, Block, Spool

#: A frame takes more memory than its bytes.
FRAME_BYTES = 512
_ONCE = ((),)

#: A frame, or a block of them, and the number of the (last) frame.
Kept: TypeAlias = "tuple[Queued | Block, int]"


class Retained:
    """What may have to be sent again, in order; the first frame of all has number 1."""

    def __init__(self, queue: deque[Queued], spool: Spool) -> None:
        self._queue = queue
        self._spool = spool
        self._kept: deque[Kept] = deque()
        self._numbers = count(1)
        #: Number of the last frame that was forgotten, and of the last that is safe.
        self.forgotten = 0
        self.safe = 0
        #: Bytes in memory, about.
        self.memory = 0

    @property
    def made(self) -> int:
        """Number of the last frame. May be asked for while another thread takes one over or forgets some."""
        try:
            return self._kept[-1][1]
        except IndexError:
            return self.forgotten

    def take(self) -> None:
        """Take over the first frame of the queue, all bytes of which are counted as sent."""
        buffers, sent = self._queue[0]
        if len(buffers) > 1:
            # Whoever owns them may change them from now on.
            buffers[:] = map(_lasting, buffers)
        # The one comes with the other, or not at all.
        self._kept.extend(zip(starmap(self._queue.popleft, _ONCE), self._numbers))
        self.memory += sum(sent) + FRAME_BYTES

    def forget(self) -> None:
        """Forget what is safe."""
        while self._kept and self._kept[0][1] <= self.safe:
            self.forgotten = self._kept[0][1]
            frame, _ = self._kept.popleft()
            if type(frame) is tuple:
                self.memory -= sum(frame[1]) + FRAME_BYTES

    def cut(self, frames: int) -> None:
        """Forget the first `frames` frames. Raises OSError."""
        self.safe = frames
        self.forget()
        if not self._kept:
            return
        block, last = self._kept[0]
        if type(block) is Block and last - block.frames < frames:
            self._kept[0] = (block.after(frames - (last - block.frames)), last)
            self.forgotten = frames

    def behind(self, frame: int) -> list[Kept]:
        """Everything behind the frame of this number."""
        return [each for each in self._kept if each[1] > frame]

    def save_memory(self) -> None:
        """Write what is in memory to the spool, as far as that has room."""
        kept = deque(self._kept)
        stored: list[Kept] = []
        present = 0
        while kept and type(block := kept[0][0]) is Block:
            present += block.length
            stored.append(kept.popleft())
        try:
            while kept:
                frames = _some(kept)
                block = self._spool.put(frames, present)
                present += block.length
                stored.append((block, kept[len(frames) - 1][1]))
                for _ in frames:
                    kept.popleft()
        except (OSError, MemoryError):
            # It is full, or the disk is, or no file may be so large. What is in memory stays there.
            pass
        self._kept = deque((*stored, *kept))
        self.memory = sum(sum(frame[1]) + FRAME_BYTES for frame, _ in kept if type(frame) is tuple)

    def descriptors(self) -> frozenset[int]:
        """Those of the spool."""
        return frozenset(block.descriptor() for block, _ in list(self._kept) if type(block) is Block)

    def clear(self) -> None:
        """Forget everything."""
        self._kept = deque()


def _lasting(buffer: Bytes) -> Bytes:
    """The same bytes, which nobody can change."""
    if type(buffer) is bytes or (type(buffer) is memoryview and type(buffer.obj) is bytes):
        return buffer
    return bytes(buffer)


def _some(kept: deque[Kept]) -> list[list[Bytes]]:
    """The first of these frames, as many as make a block."""
    frames: list[list[Bytes]] = []
    size = 0
    for frame, _ in kept:
        assert type(frame) is tuple
        size += sum(frame[1])
        if frames and size > BLOCK_BYTES:
            break
        frames.append(frame[0])
    return frames
