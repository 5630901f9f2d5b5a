"""ipykernel's debugger with another transport."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .adapter import Quiet, Starter, Stream

PACKAGE = Path(__file__).resolve().parents[1]


class NoDebugger(Exception):
    """debugpy is there but cannot be used."""


def build(
    kernel: Any,
    on_event: Callable[[dict[str, Any]], None],
    on_lost: Callable[[], None],
    log: Callable[[str, str], None],
) -> Any:
    """An ipykernel `Debugger` of the kernel's `debugger_class`. Call it where the event loop runs. Raises NoDebugger.

    `on_event` is given each event of the adapter; `on_lost` is called when the adapter is gone.
    """
    with Quiet():
        from ipykernel import debugger as theirs
    if not theirs._is_debugpy_available:
        raise NoDebugger("debugpy cannot be imported.")
    base: Any = kernel.debugger_class
    if (base.__module__, base.__name__) == (theirs.__name__, theirs.Debugger.__name__):
        # The kernel has the class of a module that was imported while debugpy was hidden.
        base = theirs.Debugger

    class Debugger(base):
        """One request at a time goes to the adapter: the answers say not to which one they belong."""

        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            self._turn = asyncio.Lock()

        async def _forward_message(self, msg: dict[str, Any]) -> Any:
            async with self._turn:
                return await super()._forward_message(msg)

        def start(self) -> Any:
            _make_private(theirs.get_tmp_directory())
            return super().start()

    made: list[Any] = []
    stream = Stream(lambda text: made[0].tcp_client.receive_dap_frame(text), on_lost)
    made.append(
        Debugger(
            logging.getLogger("savepoint.debugger"),
            stream,
            on_event,
            stream,
            Starter(lambda: made[0].debugpy_client, log),
            [*kernel._kernel_modules, *_machinery()],
            kernel.debug_just_my_code,
            kernel.filter_internal_frames,
        )
    )
    return made[0]


def _machinery() -> list[str]:
    """Patterns for files that no step leads into: what runs a cell, whether it was imported at the start or later."""
    packages = [PACKAGE, *(Path(str(sys.modules[name].__file__)).parent for name in ("IPython", "ipykernel"))]
    return [f"{package}/**" for package in packages]


def _make_private(folder: str) -> None:
    """Make the folder for the texts of cells. Raises PermissionError if somebody else has made it first."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    status = os.lstat(folder)
    if status.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to somebody else, who could read and change what is debugged.")
