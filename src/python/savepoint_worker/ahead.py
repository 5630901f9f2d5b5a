"""The next cell, which the gateway hands over while one runs: it is begun right behind the reply of the first.

Only where nothing can come between the two: the first ended well, nothing waits beside it, and no subshell or debugger
is at work. What is not begun is forgotten, and the gateway hands it over again.

What C code and child processes print carries no name. So a mark in both pipes says where the output of the first cell
ends; the gateway reads the pipes whenever it likes.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from . import interrupts

if TYPE_CHECKING:
    from .link import Frame
    from .requests import Request
    from .worker import Worker

# User code may put its own in their place.
_open, _write, _close = os.open, os.write, os.close


class Ahead:
    """The cell that is begun behind a reply."""

    def __init__(self, frame: Frame, pipes: list[int]) -> None:
        self._frame = frame
        self._pipes = pipes
        #: Not empty: it waits for its turn.
        self._queued: list[None] = []

    @property
    def seq(self) -> int:
        """The request's."""
        seq: int = self._frame.envelope["seq"]
        return seq

    def forget(self) -> None:
        """It is not begun after all."""
        self._close()
        interrupts.begin_request(-1)

    @interrupts.held
    def begin(self, waiting: Any) -> None:
        """Mark where the output of the former ends, and put the cell into `waiting`, a deque, once."""
        mark = self._frame.envelope["mark"].encode()
        try:
            for pipe in self._pipes:
                _write(pipe, mark)
            self._close()
        finally:
            if not self._queued:
                # Both in one step of C code, between which no signal handler can raise.
                self._queued.extend(map(waiting.append, (self._frame,)))

    def _close(self) -> None:
        while self._pipes:
            _close(self._pipes.pop())


def following(worker: Worker, request: Request) -> Ahead | None:
    """What may be begun behind the reply to `request`, which is `ok` and not sent yet. It counts as taken from here on."""
    inbox = worker.inbox
    inbox.pump()
    frame, inbox.ahead = inbox.ahead, None
    if frame is None or frame.envelope["behind"] != request.seq or "mark" not in frame.envelope:
        return None
    if worker.debugger is not None or worker.subshells or worker.shell.exit_now:
        return None
    if inbox.commands or worker.besides.waiting or worker.besides.begun:
        return None
    pipes: list[int] = []
    try:
        for path in (worker.spec.stdout, worker.spec.stderr):
            if path is None:
                raise FileNotFoundError
            # Open for both, so that it does not depend on a reader.
            pipes.append(_open(path, os.O_RDWR | os.O_CLOEXEC))
    except OSError:
        # There are no descriptors left, or somebody removed the folder.
        for pipe in pipes:
            _close(pipe)
        return None
    interrupts.begin_request(1)
    return Ahead(frame, pipes)
