"""Asking the person at the client, in code that awaits."""

from __future__ import annotations

import asyncio

from . import process
from .errors import SavepointError


async def await_input(prompt: object = "", *, password: bool = False) -> str:
    """Ask for a line of text as `input` does, while other tasks go on; `password` keeps it from being shown.

    Several may ask at once. Raises EOFError when the client ends the input, KeyboardInterrupt when the cell that waits
    is interrupted, IPython's StdinNotImplementedError when the client cannot answer, and SavepointError `not_available`
    outside the kernel's event loop: there `input` works, in any thread.
    """
    worker = process.worker()
    if _running_loop() is not worker.loop:
        raise SavepointError("not_available", "await_input works in the kernel's event loop. Elsewhere use input().")
    return await worker.kernel.await_input(str(prompt), password)


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
