"""Ending debugpy, which is not made to be ended: afterwards the process can be copied, and debugged again."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ipykernel import compiler

#: Where pydevd puts functions of its own; the real ones stay beside them under this prefix.
PATCHED = ("os", "_posixsubprocess", "subprocess", "multiprocessing.util")
ORIGINAL = "original_"


class Hooks:
    """What importing debugpy changes in `sys`, as it was before."""

    def __init__(self) -> None:
        self._breakpoint = sys.breakpointhook

    def restore(self) -> None:
        """Let `breakpoint()` be what it was."""
        sys.breakpointhook = self._breakpoint


def end(hooks: Hooks, in_main: Callable[[Callable[[], None]], Any]) -> None:
    """End debugpy in this process: threads that are stopped go on, breakpoints are gone, its adapter ends by itself.

    Not in the main thread. `in_main` calls a function there, as soon as that is free.
    """
    pydevd = sys.modules.get("pydevd")
    if pydevd is not None:
        _let_go()
        pydevd.stoptrace()
        for name in PATCHED:
            _unpatch(sys.modules.get(name))
        for thread in threading.enumerate():
            # What it was doing when the session ended, such as standing at a breakpoint, is nothing to the next one.
            if getattr(thread, "additional_info", None) is not None:
                thread.additional_info = None  # type: ignore[attr-defined]
        from debugpy.server import api

        # It refuses to start a second time in one process, as the first would still be there.
        api.listen.called = False
    hooks.restore()
    # A thread's trace function can be taken away by nobody else before CPython 3.12.
    in_main(stop_tracing)


def remove_texts() -> None:
    """Remove the texts of cells that clients had stored for debugpy; the next session stores them anew."""
    # The folder is only ever made for this, and belongs to this kernel alone.
    shutil.rmtree(compiler.get_tmp_directory(), ignore_errors=True)


def stop_tracing() -> None:
    """Take pydevd's trace function from this thread; one of the user's own stays."""
    if type(sys.gettrace()).__module__.startswith(("_pydevd", "pydevd")):
        sys.settrace(None)


def _let_go() -> None:
    """Let all threads that are stopped go on."""
    from _pydevd_bundle.pydevd_api import PyDevdAPI
    from _pydevd_bundle.pydevd_constants import get_global_debugger

    debugger = get_global_debugger()
    if debugger is not None:
        PyDevdAPI().request_disconnect(debugger, resume_threads=True)


def _unpatch(module: ModuleType | None) -> None:
    if module is None:
        return
    for name in [name for name in vars(module) if name.startswith(ORIGINAL)]:
        setattr(module, name.removeprefix(ORIGINAL), vars(module)[name])
        delattr(module, name)
