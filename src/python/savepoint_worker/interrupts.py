"""SIGINT, aimed: into the user's code, and never into ours.

A handler runs in the main thread between any two bytecodes, so a flag that says "user code is running" is always a
moment late at one of its ends. This handler looks at the interrupted stack instead. User code runs below `drive`; if
the interrupted frame is deeper than that, KeyboardInterrupt is raised right there, otherwise the interrupt is noted
and taken up by `drive` itself. Functions marked `@held` (a frame half written, a buffer half taken) are not torn
either: their callers call `deliver` afterwards.

An interrupt that finds no cell at work is forgotten, unless the gateway's request is already waiting in the socket:
then it was meant for that cell, and stops it before its first line.

The gateway repeats a signal that was not noticed in time. Which interrupt a signal is, and for which request, stands
in a file (`src/worker/interrupter.ts`): a repetition of one that was noticed, and one for a request that has ended
meanwhile, are ignored. A signal of anybody else finds the file as it was, and counts.
"""

from __future__ import annotations

import _signal
import asyncio
import os
import signal
import sys
import threading
import types
from collections.abc import Callable, Coroutine, Generator
from types import CodeType, FrameType
from typing import Any, NamedTuple, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

#: Room for the same line twice.
NOTE_BYTES_MAX = 1024
NOTE_TRIES = 5
# User code may put its own in their place.
_open, _pread, _close = os.open, os.pread, os.close

_held: set[CodeType] = set()


class Note(NamedTuple):
    """What the gateway says of the interrupt that it sent last."""

    number: int
    times: int
    seq: int


class _State:
    """What the handler knows; one per process."""

    def __init__(self) -> None:
        #: Requests that were taken from the link and are not answered yet.
        self.requests = 0
        #: The link is being read; what it holds is not counted yet.
        self.reading = False
        #: An interrupt that waits for the next moment at which it may be raised.
        self.pending = False
        #: Seq of the request that it is meant for; None: of whichever is at work.
        self.meant_for: int | None = None
        #: Where the gateway notes which interrupt it sends.
        self.notes: str | None = None
        #: The note that the last signal came with.
        self.noticed: Note | None = None
        #: Seq of the request that ended last.
        self.ended: int | None = None
        #: The task whose cell is suspended in an await, if one is.
        self.suspended: asyncio.Task[Any] | None = None
        #: How often a cell was suspended, to tell one suspension from the next.
        self.suspensions = 0
        #: An interrupt came since that task was suspended: it is being cancelled.
        self.cancelling = False
        #: Called whenever an interrupt was noticed.
        self.acknowledge: Callable[[], None] = lambda: None
        #: Says whether an interrupt hits a debugger, which then sees to it.
        self.give_way: Callable[[FrameType | None], bool] = lambda frame: False
        #: Says whether a frame waits in the link's socket.
        self.request_waits: Callable[[], bool] = lambda: False


_state = _State()


def held(function: F) -> F:
    """Mark a function that an interrupt must not leave half done."""
    _held.add(function.__code__)
    return function


def shielded(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, not to be left half done; an interrupt that comes meanwhile is raised behind it."""

    @held
    def whole(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    def shield(*arguments: Any, **options: Any) -> Any:
        result = whole(*arguments, **options)
        deliver()
        return result

    return shield


def install() -> None:
    """Take over SIGINT in this process. An interrupt that comes before the link is read counts as read with it."""
    global _state
    _state = _State()
    _state.reading = True
    _signal.signal(signal.SIGINT, _on_sigint)


def watch(request_waits: Callable[[], bool], acknowledge: Callable[[], None], notes: str | None) -> None:
    """From now on `request_waits` tells whether a request is waiting to be read; `notes` is the gateway's file.

    `acknowledge` is called when an interrupt was noticed. A signal that comes in the instant before a system call is
    noticed only after that call, and time.sleep(60) is one: the gateway repeats what is not acknowledged.
    """
    _state.notes = notes
    _state.request_waits = request_waits
    _state.acknowledge = acknowledge


def read_notes_of(notes: str) -> None:
    """In a copy that is another kernel's: that kernel's interrupts are noted in another file."""
    _state.notes = notes


def yield_to(give_way: Callable[[FrameType | None], bool] | None) -> None:
    """From now on an interrupt is raised only if `give_way`, asked about the interrupted frame, does not see to it."""
    _state.give_way = give_way or (lambda frame: False)


def reinstall() -> None:
    """Take SIGINT back from whatever the last cell put there. (A cell's own handler lasts as long as the cell.)"""
    # The function of C: Python's own looks for an enumeration's member first, and does not find one.
    if _signal.getsignal(signal.SIGINT) is not _on_sigint:
        _signal.signal(signal.SIGINT, _on_sigint)
        # What has come meanwhile was that handler's.
        _state.noticed = _read_note()


def begin_reading() -> None:
    """The link is read from here to `end_reading`: a request may come out of it, and an interrupt be meant for it."""
    _state.reading = True


def end_reading(requests: int) -> None:
    """That many requests came. An interrupt that comes from now on, until they are answered, is theirs."""
    _state.requests += requests
    _state.reading = False
    if not _state.requests:
        _state.pending = False


def begin_request(count: int) -> None:
    """A request that was taken from the link before, and not counted, is going to be served (1), or is not (-1)."""
    _state.requests += count


def end_request(seq: int) -> None:
    """The request `seq` is answered; an interrupt that came too late is forgotten.

    One of which it is not known what it was meant for stays, if the next request was there already.
    """
    _state.suspended = None
    _state.cancelling = False
    _state.ended = seq
    if _state.meant_for == seq:
        _state.pending = False
    _state.requests = max(0, _state.requests - 1)
    # To ask the link takes as long as much else here; an interrupt that comes behind this line asks by itself.
    if _state.pending and not _state.requests and not _state.request_waits():
        _state.pending = False


def latest_ended() -> int | None:
    """Seq of the request that ended last."""
    return _state.ended


def forget(requests: int) -> None:
    """In a copy of the process, with so many requests under way: what is pending was meant for the other one."""
    _state.noticed = _read_note()
    _state.ended = None
    _state.requests = requests
    _state.reading = False
    _state.pending = False
    _state.cancelling = False


def deliver() -> None:
    """Raise the interrupt that was held back meanwhile, if this is the user's code at work in the main thread."""
    if _state.pending and threading.get_ident() == threading.main_thread().ident:
        frame = sys._getframe(1)
        if _below_drive(frame) and not _is_held(frame):
            _state.pending = False
            raise KeyboardInterrupt


def is_suspended() -> bool:
    """Is the cell suspended, so that whatever runs now is not the cell?"""
    return _state.suspended is not None


def drive(coroutine: Coroutine[Any, Any, Any], task: asyncio.Task[Any]) -> Generator[Any, Any, Any]:
    """Run user code to its end as part of `task`; used as `await run(coroutine)`.

    An interrupt is a KeyboardInterrupt at the line where the code stands or waits.
    """
    error: BaseException | None = None
    try:
        while True:
            if _state.pending:
                _state.pending = False
                error = error or KeyboardInterrupt()
            try:
                waits_for = coroutine.send(None) if error is None else coroutine.throw(error)
            except StopIteration as stop:
                return stop.value
            error = None
            _state.suspensions += 1
            _state.suspended = task
            if _state.pending:
                # It came in the few lines since the cell suspended itself.
                _state.pending = False
                _interrupt_suspended(task)
            try:
                yield waits_for
            except asyncio.CancelledError as cancelled:
                error = KeyboardInterrupt() if _state.cancelling else cancelled
                if _state.cancelling and sys.version_info >= (3, 11):
                    task.uncancel()
            except BaseException as other:
                error = other
            _state.suspended = None
            if _state.cancelling and error is None:
                error = KeyboardInterrupt()
            _state.cancelling = False
    finally:
        _state.suspended = None
        coroutine.close()


@types.coroutine
def run(coroutine: Coroutine[Any, Any, Any]) -> Generator[Any, Any, Any]:
    """Await user code with interrupts aimed at it."""
    task = asyncio.current_task()
    assert task is not None
    return (yield from drive(coroutine, task))


def run_sync(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call user code that does not await (a completer, an inspector, a handler) with interrupts aimed at it."""

    async def call() -> Any:
        return function(*arguments)

    try:
        drive(call(), None).send(None)  # type: ignore[arg-type]
    except StopIteration as stop:
        return stop.value
    raise AssertionError("A function cannot await.")


def notice() -> bool:
    """Called by what stands in for this module's handler: is the signal that has just come to be acted upon?"""
    note = _read_note()
    due = _is_due(note)
    _tell(note)
    return due


def is_ours(handler: object) -> bool:
    """Is this the handler of this module?"""
    return handler is _on_sigint


def _tell(note: Note | None) -> None:
    """Tell the gateway that the interrupt was noticed."""
    # Before it is told, since a repetition may come while it is.
    before, _state.noticed = _state.noticed, note
    try:
        _state.acknowledge()
    except BaseException:
        _state.noticed = before
        raise


def _interrupt_suspended(task: asyncio.Task[Any]) -> None:
    _state.cancelling = True
    task.get_loop().call_soon_threadsafe(_cancel, task, _state.suspensions)


def _cancel(task: asyncio.Task[Any], suspension: int) -> None:
    if _state.suspended is task and _state.suspensions == suspension:
        task.cancel()


def _is_due(note: Note | None) -> bool:
    """Is the signal that has just come, with this note, to interrupt something?"""
    before = _state.noticed
    _state.meant_for = None
    if note is None or note == before:
        # Somebody else sent it, such as the user's own code.
        return True
    if before is not None and note.number == before.number:
        return False
    _state.meant_for = note.seq
    return note.seq != _state.ended


def _read_note() -> Note | None:
    """What the gateway has noted; None if there is nothing, or it cannot be read."""
    if _state.notes is None:
        return None
    try:
        descriptor = _open(_state.notes, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # It may be written at this moment: then the halves differ.
            for _ in range(NOTE_TRIES):
                lines = _pread(descriptor, NOTE_BYTES_MAX, 0).splitlines()
                if len(lines) == 2 and lines[0] == lines[1]:
                    return Note(*map(int, lines[0].split()))
        finally:
            _close(descriptor)
    except (OSError, ValueError, TypeError):
        # No interrupt was sent yet, or there are no descriptors left.
        pass
    return None


def _on_sigint(number: int, frame: FrameType | None) -> None:
    note = _read_note()
    due = _is_due(note)
    if due and _state.suspended is not None and _state.cancelling and (frame is None or _is_ours(frame)):
        # The cancellation has not been delivered since the last interrupt, and here nothing may be raised. As long as
        # this one is not noticed it is repeated, and finds the background code that may hold the loop.
        return
    _tell(note)
    if not due:
        return
    if _state.give_way(frame):
        return
    if _below_drive(frame):
        if not _is_held(frame):
            raise KeyboardInterrupt
        _state.pending = True
    elif _state.suspended is None:
        _state.pending = _state.requests > 0 or _state.reading or _state.request_waits()
    elif not _state.cancelling:
        _interrupt_suspended(_state.suspended)
    else:
        # Again since the cell is being cancelled: some background code holds the loop.
        raise KeyboardInterrupt


def _below_drive(frame: FrameType | None) -> bool:
    """Is `frame` user code, called (however deep) by `drive`? Not `drive` itself."""
    if frame is None or frame.f_code is _DRIVE:
        return False
    while frame is not None:
        if frame.f_code is _DRIVE:
            return True
        frame = frame.f_back
    return False


def _is_held(frame: FrameType | None) -> bool:
    while frame is not None and frame.f_code is not _DRIVE:
        if frame.f_code in _held:
            return True
        frame = frame.f_back
    return False


def _is_ours(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__", "")
    return module.startswith(("savepoint_worker", "asyncio", "selectors"))


_DRIVE = drive.__code__
