"""The guard: undoing cells, and the frozen copies that make it possible."""

from __future__ import annotations

from typing import Any, NoReturn

from . import process
from .errors import SavepointError


def undo(n: int = 1) -> NoReturn:
    """Bring back the state before the last `n` cells. Does not return: the cell ends here.

    A cell that only holds this is not counted itself. Raises SavepointError when refused, with nothing done:
    `nothing_to_undo`, `transaction_open`, `bad_request`, or `not_available` if the guard is off.
    """
    request_steps("undo", n)


def redo(n: int = 1) -> NoReturn:
    """Take back the last `n` undone steps. Does not return: the cell ends here. Raises SavepointError like `undo`."""
    request_steps("redo", n)


def snapshots() -> list[dict[str, Any]]:
    """The frozen copies of this kernel, oldest first."""
    items: list[dict[str, Any]] = process.worker().ask("snapshots", {}).result["items"]
    return items


def guard(on: bool | None = None) -> dict[str, Any]:
    """Turn the guard on or off, and return how it is: `{"guard": True, "undo_depth": 2, "redo_depth": 0}`."""
    state: dict[str, Any] = process.worker().ask("guard", {"on": on}).result
    return state


def request_steps(op: str, n: int, message: bool = False) -> NoReturn:
    """Undo or redo `n` steps because the code says so; `message`: a line about it is printed."""
    process.worker().ask(op, {"n": n, "message": message})
    raise SavepointError("internal", f"The {op} was answered, but this process goes on. Restart the kernel.")
