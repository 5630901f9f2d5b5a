"""SIGINT for a handler of the user's own: each interrupt once.

The gateway repeats the signal of an interrupt that was not noticed, and only the worker's handler knows how to notice
one. So a handler that user code puts in its place, with `signal.signal`, is called through it, and looks to whoever asks
`signal.getsignal` as if it stood there itself. What sets handlers in C is not seen, and hears each repetition.
"""

from __future__ import annotations

import functools
import os
import signal
from types import FrameType
from typing import Any

from . import interrupts


class _Relay:
    """Stands where the user's handler would."""

    def __init__(self, handler: Any) -> None:
        self.handler = handler
        self._pid = os.getpid()

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        # A process that the user has forked hears nothing from the gateway.
        if os.getpid() != self._pid or interrupts.notice():
            return self.handler(number, frame)
        return None


def install() -> None:
    """From now on handlers for SIGINT that user code sets hear of each interrupt once. Calling it twice is the same."""
    if getattr(signal.signal, "_savepoint_relays", False):
        return
    put, get = signal.signal, signal.getsignal

    @functools.wraps(put)
    def put_relayed(signalnum: Any, handler: Any) -> Any:
        relayed = signalnum == signal.SIGINT and callable(handler) and not interrupts.is_ours(handler)
        return _behind(put(signalnum, _Relay(handler) if relayed else handler))

    @functools.wraps(get)
    def get_relayed(signalnum: Any) -> Any:
        return _behind(get(signalnum))

    put_relayed._savepoint_relays = True  # type: ignore[attr-defined]
    signal.signal, signal.getsignal = put_relayed, get_relayed


def _behind(handler: Any) -> Any:
    return handler.handler if isinstance(handler, _Relay) else handler
