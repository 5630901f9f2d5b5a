"""Transactions that span cells: begin, roll back, commit."""

from __future__ import annotations

import pickle
from typing import Any, NoReturn

from . import process
from .errors import SavepointError


def begin(name: str | None = None, policy: str = "explicit", engine: str = "auto") -> dict[str, Any]:
    """Open a transaction and return its record. From here on, `rollback()` brings this state back.

    After a later rollback the rest of the cell that called this is not run again: its frames are left (`finally` blocks
    run). Raises SavepointError: `unknown_policy`, `unknown_engine`, `engine_unavailable`, `name_invalid`, `too_deep`,
    `snapshot_refused`, `snapshot_failed`, or `not_available` outside of the main thread.
    """
    worker = process.worker()
    answer = worker.ask("begin", {"name": name, "policy": policy, "engine": engine, "block": False})
    assert answer.permit is not None
    if worker.take(answer.permit) is not None:
        process.leave_cell()
    # What the copy cost is known only now.
    record: dict[str, Any] = status()["transactions"][-1]
    return record


def rollback(to: str | None = None) -> NoReturn:
    """Bring back the state at the begin of the innermost transaction, and end it. Does not return: the cell ends here.

    Raises SavepointError (`no_transaction`) when refused; then nothing was done.
    """
    request_rollback(transaction=None, to=to)


def commit() -> dict[str, Any]:
    """Keep the state, end the innermost transaction, and return its record. Raises SavepointError (`no_transaction`).

    One that was begun with `rollback_always` is rolled back instead, and the cell ends here.
    """
    record: dict[str, Any] = process.worker().ask("commit", {"transaction": None}).result
    return record


def status() -> dict[str, Any]:
    """The open transactions, outermost first: `{"transactions": [...], "undo_depth": 0, "redo_depth": 0}`."""
    answer: dict[str, Any] = process.worker().ask("status", {}).result
    return answer


def request_rollback(
    transaction: str | None, to: str | None = None, value: object = None, message: bool = False
) -> NoReturn:
    """Roll back because the code says so. `value` is carried over; `message`: a line about it is printed."""
    worker = process.worker()
    arguments = {
        "transaction": transaction,
        "to": to,
        "reason": "requested",
        "ename": None,
        "evalue": None,
        "traceback": None,
        "message": message,
    }
    worker.ask("rollback", arguments, b"", _pickled(value))
    raise SavepointError("internal", "The rollback was answered, but this process goes on. Restart the kernel.")


def _pickled(value: object) -> bytes:
    if value is None:
        return b""
    try:
        # By reference what can be found by name, so that it is the same class on the other side.
        return pickle.dumps(value, protocol=5)
    except Exception:
        return _pickled_by_value(value)


def _pickled_by_value(value: object) -> bytes:
    import cloudpickle

    try:
        return bytes(cloudpickle.dumps(value, protocol=5))
    except Exception as error:
        raise SavepointError(
            "bad_request",
            f"The value cannot be carried over: {type(error).__name__}: {error}. Give one that can be pickled.",
        ) from error
