"""Leaving running code after a rollback for which no other process took the place of this one (engine `objects`)."""

from __future__ import annotations

from typing import Any, NoReturn

from . import process


class LeaveBlock(BaseException):
    """Raised where a block is rolled back from within, to get to its `with` line; there it becomes RolledBack."""

    def __init__(self, result: dict[str, Any], value: bytes) -> None:
        super().__init__("The block was rolled back.")
        #: The block's transaction.
        self.transaction: str = result["transaction"]
        self.effects: list[dict[str, Any]] = result["effects"]
        self.limits: list[str] = result["limits"]
        self.value = value


def leave(result: dict[str, Any], value: bytes = b"") -> NoReturn:
    """End the block that was rolled back, or the whole cell if there is none that still runs."""
    if result["resume"]:
        raise LeaveBlock(result, value)
    process.leave_cell()
