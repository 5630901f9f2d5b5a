"""How errors reach the client, also those that resist: no text, no repr, no stack left, a broken `sys.stdout`.

IPython decides what is shown; here is what it is shown with. The methods are replaced on the shell's instance, since
its class has to stay ipykernel's own.
"""

from __future__ import annotations

import builtins
import os
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple

from . import own_limits
from .cells.module_files import note_cells, note_module_files

#: Where the files of the worker and of the `savepoint` module are.
_HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS = (os.path.join(_HOME, "savepoint_worker", ""), os.path.join(_HOME, "savepoint", ""))

_GROUP: Any = getattr(builtins, "BaseExceptionGroup", ())


class Shown(NamedTuple):
    """The last error that was published."""

    ename: str
    evalue: str


class _Here(threading.local):
    """What was shown in one thread; subshells have threads of their own, and each cell its own errors."""

    #: The last error published since this was set to None.
    shown: Shown | None = None
    #: Its traceback.
    lines: Sequence[str] = ()
    #: It was raised while a result was made presentable.
    in_result = False


class LeaveCell(BaseException):
    """Raised inside a cell to leave it silently: its frames are unwound, `finally` blocks run, nothing is reported."""


class Reporter:
    """Publishes errors for one shell."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._show: Callable[..., None] = shell.showtraceback
        self._format: Callable[..., dict[str, Any]] | None = getattr(shell, "_format_exception_for_storage", None)
        self._here = _Here()
        shell.showtraceback = self.show
        shell._showtraceback = self.publish
        if self._format is not None:
            shell._format_exception_for_storage = self.format

    def cell_begins(self) -> None:
        """A cell is about to run in this thread."""
        self._here.shown, self._here.lines, self._here.in_result = None, (), False

    @property
    def shown(self) -> Shown | None:
        """The last error that this thread has published since its cell began."""
        return self._here.shown

    @property
    def lines(self) -> list[str]:
        """The traceback of that error."""
        return list(self._here.lines)

    @property
    def result_failed(self) -> bool:
        """Was it raised while a result was made presentable?"""
        # `run_cell`, called by a cell, takes it back.
        return self._here.in_result and getattr(self._shell, "_last_traceback_during_displayhook", True)

    def show(self, exc_tuple: Any = None, *arguments: Any, **options: Any) -> None:
        """Show the exception that is being handled, or the one given, as IPython does."""
        with own_limits.Spare():
            self._tell(exc_tuple, *arguments, **options)

    def _tell(self, exc_tuple: Any, *arguments: Any, **options: Any) -> None:
        error: BaseException | None = exc_tuple[1] if exc_tuple is not None else sys.exc_info()[1]
        if isinstance(error, LeaveCell):
            return
        if error is not None and _holds_group(error):
            # IPython would print it to stderr, where no client takes it for an error.
            self.publish(type(error), error, _plain_traceback(error))
            return
        if error is not None:
            _leave_out_ours(error.__traceback__)
        here = self._here
        before, here.shown = here.shown, None
        note_module_files()
        note_cells(getattr(self._shell.compile, "_filename_map", None))
        try:
            self._show(exc_tuple, *arguments, **options)
        except Exception:
            # A class with a broken repr, or no stack left to format it.
            if here.shown is None and error is not None:
                self.publish(type(error), error, [f"{type(error).__name__}: {safe_text(error)}"])
        here.shown = here.shown or before

    def publish(self, etype: type[BaseException], evalue: object, stb: list[str]) -> None:
        """Publish an error with the lines of its traceback, for the cell at work."""
        shell = self._shell
        hook = shell.displayhook
        here = self._here
        here.shown, here.lines = Shown(etype.__name__, safe_text(evalue)), stb
        shell.kernel.parent.outlet.flush()
        if getattr(hook, "msg", None) is not None:
            # It was raised while a result was made presentable, and makes the cell fail.
            here.in_result = shell._last_traceback_during_displayhook = True
        shell._last_traceback = stb
        session = shell.kernel.session
        if session.link is None:
            # A start-up file in the zygote, or a process that the user forked.
            print("\n".join(stb), file=sys.__stderr__)
            return
        content = {"ename": here.shown.ename, "evalue": here.shown.evalue, "traceback": stb}
        session.send(hook.pub_socket, "error", content, hook.parent_header)

    def format(self, exception: BaseException, *arguments: Any, **options: Any) -> dict[str, Any]:
        """What IPython keeps of an exception."""
        assert self._format is not None
        if isinstance(exception, LeaveCell):
            return {"ename": type(exception).__name__, "evalue": "", "traceback": []}
        try:
            return self._format(exception, *arguments, **options)
        except Exception:
            return {"ename": type(exception).__name__, "evalue": safe_text(exception), "traceback": self.lines}


def safe_text(value: object) -> str:
    """`str(value)`, or words about why there is none."""
    try:
        return str(value)
    except BaseException as error:
        return f"<{type(value).__name__}: its text could not be had ({type(error).__name__})>"


def _holds_group(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, _GROUP):
            return True
        cause = cause.__context__
    return False


def _leave_out_ours(frames: TracebackType | None) -> None:
    """End a traceback at the user's line: that an interrupt or a rollback was raised in a file of ours is no news."""
    last = None
    while frames is not None:
        if not frames.tb_frame.f_code.co_filename.startswith(OURS):
            last = frames
        frames = frames.tb_next
    if last is not None:
        last.tb_next = None


def _plain_traceback(error: BaseException) -> list[str]:
    # The frames of IPython that lead to the user's code say nothing.
    frames: TracebackType | None = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.endswith("interactiveshell.py"):
        frames = frames.tb_next
    try:
        return [line.rstrip("\n") for line in traceback.format_exception(type(error), error, frames)]
    except Exception:
        return [f"{type(error).__name__}: {safe_text(error)}"]
