"""What a checkpoint's bytes call to make generators, threads, futures and the like. As in `rebuild`, names and arguments
never change."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import threading
from typing import Any


def begun(function: Any, positional: list[Any], named: dict[str, Any], name: str, qualname: str) -> Any:
    """A generator or coroutine at its beginning: its function is called, which runs nothing of it yet."""
    made = function(*positional, **named)
    made.__name__, made.__qualname__ = name, qualname
    return made


def ended(kind: str, name: str, qualname: str) -> Any:
    """A generator or coroutine at its end."""

    def generator() -> Any:
        yield

    async def coroutine() -> None:
        return

    made: Any = coroutine() if kind == "coroutine" else generator()
    made.close()
    made.__name__, made.__qualname__ = name, qualname
    return made


def thread(kind: type, began: bool) -> Any:
    """A thread that was not started, or one that has ended."""
    made = kind.__new__(kind)
    threading.Thread.__init__(made)
    if began:
        made._started.set()
        made._is_stopped = True
        if hasattr(made, "_handle"):
            made._handle._set_done()
    return made


def set_thread(made: Any, state: dict[str, Any]) -> None:
    vars(made).update(state)


def future(loop: Any, state: str, outcome: Any) -> Any:
    made = asyncio.Future(loop=loop)
    if state == "cancelled":
        made.cancel()
    elif state == "failed":
        made.set_exception(outcome)
        # Whoever made it has been told already, or will look.
        made._log_traceback = False  # type: ignore[attr-defined]
    elif state == "done":
        made.set_result(outcome)
    return made


def concurrent_future(state: str, outcome: Any) -> Any:
    from concurrent.futures import Future

    made: Future[Any] = Future()
    if state == "cancelled":
        made.cancel()
        made.set_running_or_notify_cancel()
    else:
        made.set_running_or_notify_cancel()
        if state == "failed":
            made.set_exception(outcome)
        else:
            made.set_result(outcome)
    return made


def event_loop(closed: bool, debug: bool) -> Any:
    made = asyncio.new_event_loop()
    made.set_debug(debug)
    if closed:
        made.close()
    return made


def process() -> Any:
    made = subprocess.Popen.__new__(subprocess.Popen)
    made.stdin = made.stdout = made.stderr = None
    made._waitpid_lock = threading.Lock()  # type: ignore[attr-defined]
    return made


def set_process(made: Any, state: dict[str, Any]) -> None:
    vars(made).update(state)


def idle_socket(
    family: int, kind: int, proto: int, closed: bool, timeout: float | None, options: list[tuple[int, int, int]]
) -> Any:
    made = socket.socket(family, kind, proto)
    for level, name, value in options:
        made.setsockopt(level, name, value)
    made.settimeout(timeout)
    if closed:
        made.close()
    return made
