"""When is noted what: the recorder of a process, which is handed on to its copies.

A begin or a savepoint takes a mark (`mark`) before the process is forked. Then the process that goes on records
(`record`), while the copy stays as it was. When the copy is woken, it undoes what was noted behind its mark (`undo`).
When the last transaction has ended, nothing is recorded any more (`stop`).

An engine that makes no copy of the process takes its mark, records, and undoes in one and the same process.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..birth import undo_folder
from ..copies.freeze import start_time
from . import held, hook, notes, processes, undo
from .ledger import Entry, Ledger, Mark
from .paths import Places, cut
from .report import Undone

if TYPE_CHECKING:
    from ..worker import Worker


TOO_LARGE, TOO_MUCH = "it is too large", "copies of this transaction would be too large"


class Wishes(NamedTuple):
    """How the gateway wants it."""

    #: What may be copied, in bytes: of one file, and in one transaction.
    file_bytes_max: int = 100 * 1024 * 1024
    bytes_max: int = 1024 * 1024 * 1024
    #: Whether processes are ended that were started since.
    end_processes: bool = False

    @classmethod
    def of(cls, asked: dict[str, Any]) -> Wishes:
        """From what it says of a recording."""
        return cls(**{name: asked[name] for name in cls._fields if name in asked})


class Recorder:
    """The recorder of this process."""

    def __init__(self, private: str, folder: str) -> None:
        """`private`: what is in this folder is ours. `folder`: where copies are kept; made when the first one is."""
        global _current
        _current = self
        self.private = private
        self.folder = folder
        self.wishes = Wishes()
        self.ledger: Ledger | None = None
        self.places: Places | None = None
        #: Where the record stood when this process was frozen, or last went on; and when that was.
        self.marked: Mark | None = None
        self.marked_ns = 0
        #: Which of the gateway's recordings it is.
        self.recording = -1
        #: Whether effects are noted. In a frozen copy: whether they were when it was frozen.
        self.on = False
        #: What was noted since the last mark, so that it is noted once.
        self.seen: set[str] = set()
        self._handlers = notes.handlers(self)
        self._begin_anew()

    def _begin_anew(self) -> None:
        """In a copy of the process: a lock that another thread had there is held for ever."""
        self._lock = threading.RLock()
        #: The thread that is at work here. What it does itself is no effect of the user's.
        self._at_work = 0

    # ------------------------------------------------------------------------------------------- when

    def mark(self, asked: Any = None) -> Mark | None:
        """Take a mark, for a moment that one may want to go back to.

        `asked`: what the gateway says of the recording that begins here, None if none does. None if there is nothing
        to mark: then nothing will ever be undone that comes from here.
        """
        if asked is not None and (not self.on or asked["recording"] != self.recording):
            self.recording = asked["recording"]
            if self.ledger is None:
                self.ledger = Ledger()
            self.ledger.begin_epoch()
            self.wishes = Wishes.of(asked)
            self.places = Places(_working_folder(), self.private)
        recorded = self.ledger is not None and (self.on or asked is not None)
        self.marked = self.ledger.mark() if self.ledger is not None and recorded else None
        self.marked_ns = time.time_ns()
        self.seen.clear()
        return self.marked

    def record(self, files: bool = True) -> None:
        """From here on effects are noted, beginning with files that can be written to already. A mark was taken.

        `files`: some may be open; False where it is known that none is.
        """
        if self.ledger is None:
            return
        self.ledger.writer = os.getpid()
        self.on = True
        with self.at_work():
            try:
                if files:
                    held.note_all(self)
                if self.wishes.end_processes:
                    processes.note_present(self)
            except OSError:
                self.note({"do": "failed", "event": "what was open, or running, at the begin"})
        processes.follow(self)
        hook.listen(self._handlers)

    def stop(self, recording: int) -> None:
        """That recording has ended: nothing is noted, and what was noted is forgotten."""
        if recording != self.recording:
            # The next one has begun already.
            return
        self.on = False
        hook.stop()
        self.seen.clear()
        if self.ledger is not None:
            self._remove_copies()
            self.ledger.begin_epoch()

    def _remove_copies(self) -> None:
        if self.ledger is not None and self.ledger.copies:
            shutil.rmtree(self.folder, ignore_errors=True)

    def own(self, pid: int) -> None:
        """A process of ours was forked, which is not to be taken for one of the user's."""
        if self.is_listening() and self.wishes.end_processes:
            with self.at_work():
                self.note({"do": "own", "pid": pid, "started": start_time(pid)})

    def leave(self) -> None:
        """This process is about to be rolled back: note what will be found no more when it has ended."""
        if self.is_listening() and self.wishes.end_processes:
            with self.at_work(), suppress(OSError):
                processes.note_all(self)

    def undo(self, mark: Mark | None = None) -> Undone:
        """Take back what was noted behind a mark, or since this process was frozen, and go on as it was then."""
        mark = mark or self.marked
        hook.stop()
        self.seen.clear()
        try:
            if self.ledger is None or self.places is None or mark is None:
                return Undone([], [])
            if mark.epoch != self.ledger.epoch:
                # The recording that it belongs to has ended.
                self.on = False
                return Undone([], [])
            with self.at_work():
                return undo.undo(self.ledger, mark, self)
        finally:
            if not self.on:
                self._remove_copies()
            self.resume()

    def resume(self) -> None:
        """In a copy that was woken: note effects if that was done when it was frozen."""
        if self.on and self.ledger is not None:
            self.ledger.writer = os.getpid()
            hook.listen(self._handlers)

    # ----------------------------------------------------------------------------------------- noting

    def at_work(self) -> _AtWork:
        """A block in which this thread's own doing is not noted."""
        return _AtWork(self)

    def is_own(self) -> bool:
        """Is it this thread that is at work here, or is it one of ours?"""
        here = threading.get_ident()
        return self._at_work == here or here in _unheard

    def is_listening(self) -> bool:
        """Are effects noted in this process, at this moment?"""
        return self.on and not self.is_own() and hook.is_listening()

    def note_once(self, do: str, target: str) -> None:
        """Note something that has but a name."""
        self.note({"do": do, "target": cut(target)}, f"{do} {target}")

    def note(self, entry: Entry, key: str | None = None) -> None:
        """Write an entry; one with a key only once."""
        if key is not None:
            if key in self.seen:
                return
            self.seen.add(key)
        assert self.ledger is not None
        self.ledger.append(entry)

    def refuses(self, size: int) -> str:
        """Why there can be no copy of so many bytes; empty if there can."""
        assert self.ledger is not None
        if size > self.wishes.file_bytes_max:
            return TOO_LARGE
        return TOO_MUCH if self.ledger.copied_bytes + size > self.wishes.bytes_max else ""

    def new_copy(self, size: int) -> tuple[int, str]:
        """Number and path of the next copy, which is to have so many bytes."""
        assert self.ledger is not None
        os.makedirs(self.folder, 0o700, exist_ok=True)
        self.ledger.copies += 1
        self.ledger.copied_bytes += size
        return self.ledger.copies, undo.copy_path(self.folder, self.ledger.copies)


class _AtWork:
    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __enter__(self) -> None:
        self._recorder._lock.acquire()
        self._recorder._at_work = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._recorder._at_work = 0
        self._recorder._lock.release()


_current: Recorder | None = None
#: Threads of ours, whatever they do.
_unheard: set[int] = set()


@contextmanager
def unheard() -> Iterator[None]:
    """A block in which nothing that this thread does is an effect of the user's; others are heard meanwhile."""
    here = threading.get_ident()
    _unheard.add(here)
    try:
        yield
    finally:
        _unheard.discard(here)


def of(worker: Worker) -> Recorder:
    """The recorder of a worker. The gateway removes what it keeps when the worker's seat is given up."""
    if worker.recorder is None:
        seat = worker.spec.stdout or worker.spec.link_path
        worker.recorder = Recorder(os.path.dirname(seat), undo_folder(seat))
    return worker.recorder


def forget(worker: Worker) -> None:
    """In a copy that became another kernel's: what the first one records is not its business."""
    global _current
    hook.stop()
    worker.recorder = _current = None


def _after_fork_in_child() -> None:
    # What a copy of the process does is its own affair, until it takes up work.
    hook.stop()
    _unheard.clear()
    if _current is not None:
        _current._begin_anew()


os.register_at_fork(after_in_child=_after_fork_in_child)


def _working_folder() -> str:
    try:
        return os.getcwd()
    except OSError:
        # It was removed. Nothing is below it, then.
        return "/nonexistent"
