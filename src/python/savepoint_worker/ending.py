"""The end of a worker that was asked to end."""

from __future__ import annotations

import atexit
import os
import threading
import time
from typing import TYPE_CHECKING, NoReturn

from .debug.teardown import remove_texts
from .processes import children, endings

if TYPE_CHECKING:
    from .worker import Worker

#: How long exit handlers and threads of the user may take.
TIMEOUT_S = 1.0


def end(worker: Worker) -> NoReturn:
    """End this process in order: threads of the user are waited for and exit handlers run, for at most a second."""
    threading.Thread(target=_end_at_last, daemon=True).start()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        worker.flush_streams()
        if worker.debugger is not None:
            remove_texts()
    except BaseException:
        # Nothing that an exit handler does may keep the process alive.
        os._exit(0)
    os._exit(0)


def _end_at_last() -> None:
    time.sleep(TIMEOUT_S)
    os._exit(0)


def end_abandoned(status: int) -> NoReturn:
    """End this process, which no gateway wants any more, with the user's processes below it.

    Frozen copies are the zygote's to end.
    """
    try:
        hidden = children.hidden()
        session = os.getsid(0)
        below = endings.descendants([pid for pid in children.children_of(os.getpid()) if pid not in hidden])
        # What the user moved to a session of its own is meant to stay.
        endings.end([pid for pid in below if _session_of(pid) == session])
    finally:
        os._exit(status)


def _session_of(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1
