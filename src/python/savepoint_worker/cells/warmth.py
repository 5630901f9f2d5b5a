"""Preparing for a worker's first error, and its first completion, while nobody waits for it.

The first traceback of a process takes 40 ms: a lexer has to be compiled and every loaded module looked at. The first
worker of a kernel is forked before that was done, since a start is waited for and most first cells do not fail. It
makes up for it when it has nothing to do, or while a cell runs for longer than a moment, in a thread that ends when it
is done: there is none of ours at rest, and none during a fork. For completion see `quiet`: there is less of a hurry.
"""

from __future__ import annotations

import _thread
import copy
import os
import sys
from collections.abc import Callable
from typing import Any

from .. import cold_memory
from .module_files import note_module_files
from .quiet import Foresight, has_work

#: A cell that is done sooner does not begin it; nor does a rest between two requests that is shorter.
CELL_S = 0.005
REST_S = 0.03
#: A thread that looks at files gives up the interpreter each time, and would wait 5 ms to get it back from a busy cell.
SWITCH_S = 0.0002
#: Without a request for so long, it prepares for completions; who runs a notebook from top to bottom needs none.
QUIET_S = 0.4
#: A loop that is never quiet is left alone at last.
ATTEMPTS_MAX = 50


#: The zygote has prepared for all of its workers.
_inherited = False


class Warmth:
    """Whether this worker is prepared, and what is under way."""

    def __init__(self, loop: Any, shell: Any, is_busy: Callable[[], bool]) -> None:
        self.ready = False
        self._shell = shell
        self._loop = loop
        self._is_busy = is_busy
        #: Held while the thread may go on; released to send it home.
        self._leave: _thread.LockType | None = None
        #: Held by the thread for as long as it lives.
        self._alive = _thread.allocate_lock()
        self._foresight = Foresight(loop, shell.Completer)
        #: A request was served since it was last looked.
        self._served = False
        #: No cell has run, so nothing is the user's.
        self._untouched = True
        self._attempts = 0
        os.register_at_fork(before=self.quiesce)
        if _inherited:
            self.ready = True
            return
        loop.call_later(REST_S, self._rest)
        loop.call_later(QUIET_S, self._foresee)

    def cell_begins(self) -> None:
        """A cell is about to run."""
        self._untouched = False
        if self.ready or self._alive.locked():
            return
        self._leave = _thread.allocate_lock()
        self._leave.acquire()
        self._alive.acquire()
        try:
            _thread.start_new_thread(self._accompany, (self._leave,))
        except RuntimeError:
            # No thread can be had: then the first error takes its time.
            self._alive.release()
            self._leave = None

    def cell_ends(self) -> None:
        """The cell, or another request, is done."""
        self._served = True
        leave, self._leave = self._leave, None
        if leave is not None:
            leave.release()

    def quiesce(self) -> None:
        """Wait until there is no thread of ours: a fork would cut it off in the middle, with its locks held."""
        self.cell_ends()
        self._alive.acquire()
        self._alive.release()

    def _accompany(self, leave: _thread.LockType) -> None:
        try:
            if leave.acquire(timeout=CELL_S):
                return
            interval = sys.getswitchinterval()
            sys.setswitchinterval(SWITCH_S)
            try:
                self._prepare()
            finally:
                sys.setswitchinterval(interval)
        finally:
            self._alive.release()

    def _rest(self) -> None:
        if self.ready:
            return
        if self._is_busy() or self._alive.locked():
            self._loop.call_later(REST_S, self._rest)
        else:
            self._prepare()

    def _foresee(self) -> None:
        if self._served or self._is_busy() or self._alive.locked():
            self._served = False
        else:
            self._attempts += 1
            if self._foresight.prepare():
                if self._untouched:
                    self._foresight.settle()
                self._condense(cold_memory.candidates())
                return
            if self._attempts >= ATTEMPTS_MAX:
                return
        self._loop.call_later(QUIET_S, self._foresee)

    def _condense(self, addresses: list[int]) -> None:
        """All that was loaded is there now: forks are to be quicker. One by one, as a request may come."""
        if self._is_busy() or has_work(self._loop):
            self._loop.call_later(QUIET_S, self._condense, addresses)
        elif addresses and cold_memory.condense(addresses.pop()):
            self._loop.call_soon(self._condense, addresses)

    def _prepare(self) -> None:
        try:
            prepare(self._shell.InteractiveTB)
        except Exception:
            # What fails here fails again, and is reported, when it is really needed.
            pass
        self.ready = True


def prepare_for_workers(shell: Any) -> None:
    """In a zygote whose workers are many, what each of them would spend a second and tens of megabytes on."""
    global _inherited
    prepare(shell.InteractiveTB)
    Foresight(None, shell.Completer).prepare_now()
    note_module_files()
    _inherited = True


def prepare(formatter: Any) -> None:
    """Fill the caches that the first traceback would have to fill; `formatter` is the shell's own."""
    # The shell may need it at this moment, in another thread: what it keeps is kept by a copy, caches are shared.
    formatter = copy.copy(formatter)
    note_module_files()
    try:
        raise ValueError("a first error")
    except ValueError:
        formatter.structured_traceback(*sys.exc_info())
