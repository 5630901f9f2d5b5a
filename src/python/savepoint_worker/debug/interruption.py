"""An interrupt of a cell that stands at a breakpoint.

The main thread is in debugpy's code then, which waits for the person. Raised there, KeyboardInterrupt costs a thread
its breakpoints up to CPython 3.11 (a trace function that raises is removed; `cells` puts it back), and is
swallowed from 3.12 on, where debugpy does not trace but monitors. So there the breakpoints are muted, the thread is let
go, and it is interrupted as soon as it is back in the code of the user.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Any

MONITORS = sys.version_info >= (3, 12)
RETRY_S = 0.001
RETRIES_MAX = 2000
#: Modules whose code debugpy calls to wait; no cell of the user's stands in them on the way to debugpy.
_WAITING = ("threading",)
_DEBUGPY = ("pydevd", "_pydevd", "_pydev_bundle", "debugpy")


class Interruption:
    """Interrupts on their way into a process that is debugged. `take` belongs to the main thread, the rest to ours."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._retries = 0
        self._muted = False

    def take(self, frame: FrameType | None) -> bool:
        """In the handler of SIGINT: True if the interrupt is seen to here and must not be raised now."""
        if not MONITORS:
            return False
        if _is_debugpys(frame):
            if self._retries >= RETRIES_MAX:
                return False
            self._loop.call_soon_threadsafe(self._let_go)
            return True
        if self._muted:
            self._loop.call_soon_threadsafe(self._unmute)
        return False

    def _let_go(self) -> None:
        self._retries += 1
        if not self._muted:
            self._muted = True
            _mute()
        let_all_run()
        self._loop.call_later(RETRY_S, os.kill, os.getpid(), signal.SIGINT)

    def _unmute(self) -> None:
        self._retries = 0
        if self._muted:
            self._muted = False
            _unmute()


def _is_debugpys(frame: FrameType | None) -> bool:
    """Is this debugpy's own code, or what that calls to wait? What it evaluates for the person is not."""
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        if module.startswith(_DEBUGPY):
            return True
        if module not in _WAITING:
            return False
        frame = frame.f_back
    return False


def let_all_run() -> None:
    """Let every thread that is stopped go on."""
    from _pydevd_bundle.pydevd_api import PyDevdAPI

    PyDevdAPI().request_resume_thread("*")


def _mute() -> None:
    monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
    events = monitoring.events
    for event in (events.PY_START, events.PY_RESUME, events.LINE, events.JUMP, events.PY_RETURN):
        monitoring.register_callback(monitoring.DEBUGGER_ID, event, None)


def _unmute() -> None:
    from _pydevd_sys_monitoring import pydevd_sys_monitoring

    pydevd_sys_monitoring.update_monitor_events()
    pydevd_sys_monitoring.restart_events()
