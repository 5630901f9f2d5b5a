"""What debugpy does not know of cells: that they begin and end."""

from __future__ import annotations

import sys
import threading
from typing import Any

from .interruption import MONITORS, let_all_run

#: debugpy's names for a thread that runs, and for one that is to take no step.
_RUNS = 1
_NO_STEP = -1


def begin() -> None:
    """In the main thread, before a cell, while debugpy is at work."""
    constants: Any = sys.modules.get("_pydevd_bundle.pydevd_constants")
    debugger = constants.get_global_debugger() if constants is not None else None
    if debugger is None:
        return
    if not MONITORS and sys.gettrace() is None:
        # An interrupt was raised in debugpy's own code, which takes the thread for one that still stands there.
        let_all_run()
        debugger.enable_tracing()
    info: Any = getattr(threading.current_thread(), "additional_info", None)
    if info is not None and info.pydev_state == _RUNS and info.pydev_step_cmd != _NO_STEP:
        # The step led over the end of the cell before; this one has nothing to do with it.
        info.pydev_step_cmd = _NO_STEP
        info.update_stepping_info()
