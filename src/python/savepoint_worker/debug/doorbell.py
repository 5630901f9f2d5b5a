"""A signal that makes the link be read while user code holds the main thread.

The handler runs between any two bytecodes, wherever the main thread is, so it does the least that helps: it starts a
thread that reads once what has come. SIGURG is ignored by whoever has no handler for it, so that a process which the
user put in the worker's place is not ended by it.
"""

from __future__ import annotations

import _signal
import _thread
import signal
from collections.abc import Callable
from types import FrameType

# Debuggers put their own in its place.
_start_thread = _thread.start_new_thread


def install(read: Callable[[], None]) -> None:
    """From now on `read` is called, in a thread of its own, whenever the bell rings. Main thread only."""

    def on_ring(number: int, frame: FrameType | None) -> None:
        try:
            _start_thread(read, ())
        except RuntimeError:
            # There is no room for another thread; the gateway does not wait for ever.
            pass

    _signal.signal(signal.SIGURG, on_ring)
    # What user code waits for in C goes on.
    signal.siginterrupt(signal.SIGURG, False)
