"""Transactions that span cells: begin, savepoint, roll back, release, commit."""

from __future__ import annotations

import pickle
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from . import leaving, process
from .errors import SavepointError

if TYPE_CHECKING:
    from savepoint_worker.moments import Woken


def begin(
    name: str | None = None,
    policy: str = "explicit",
    engine: str = "auto",
    on_disconnect: str = "keep",
    timeout_s: float | None = None,
) -> dict[str, Any]:
    """Open a transaction and return its record. From here on, `rollback()` brings this state back.

    After a later rollback the rest of the cell that called this is not run again: its frames are left (`finally` blocks
    run). `on_disconnect` ("keep", "rollback" or "commit"): what becomes of it when the client of this cell goes away,
    as far as that can be seen. After `timeout_s` seconds it is rolled back; a cell that runs then is interrupted.
    Raises SavepointError: `unknown_policy`, `unknown_engine`, `engine_unavailable`, `name_invalid`, `bad_request`,
    `too_deep`, `snapshot_refused`, `snapshot_failed`, or `not_available` outside of the main thread.
    """
    worker = process.worker()
    arguments = {
        "name": name,
        "policy": policy,
        "engine": engine,
        "on_disconnect": on_disconnect,
        "timeout_s": timeout_s,
        "block": False,
    }
    answer = worker.ask("begin", arguments)
    assert answer.permit is not None
    if worker.take(answer.permit) is not None:
        process.leave_cell()
    for text in answer.result.get("warnings", ()):
        warnings.warn(text, stacklevel=2)
    # What the copy cost is known only now.
    record: dict[str, Any] = status()["transactions"][-1]
    return record


def savepoint(name: str) -> bool:
    """Set a savepoint of that name in the innermost transaction, for `rollback(to=name)`. Returns False.

    In a `with` block it is `tx.savepoint(name)`: execution comes back here, and it then returns True. Elsewhere the
    cell that is running when it is rolled back to ends there. The same name again hides the older one until `release`.
    Raises SavepointError: `no_transaction`, `name_invalid`, `engine_unavailable`, `snapshot_refused` and
    `snapshot_failed`.
    """
    return set_savepoint(name) is not None


def rollback(to: str | None = None) -> NoReturn:
    """Bring back the state at the begin of the innermost transaction, and end it. Does not return: the cell ends here.

    `to` a savepoint, the transaction stays open, and so does the savepoint. Raises SavepointError (`no_transaction`,
    `unknown_savepoint`) when refused; then nothing was done.
    """
    request_rollback(transaction=None, to=to)


def release(name: str) -> dict[str, Any]:
    """Forget the savepoint and those set after it, and keep the state. Returns the transaction's record.

    Raises SavepointError: `no_transaction`, `unknown_savepoint`, `name_invalid`.
    """
    record: dict[str, Any] = process.worker().ask("release", {"name": name}).result
    return record


def commit() -> dict[str, Any]:
    """Keep the state, end the innermost transaction, and return its record. Raises SavepointError (`no_transaction`).

    One that was begun with `rollback_always` is rolled back instead, and the cell ends here.
    """
    return request_commit()


def request_commit(message: bool = False) -> dict[str, Any]:
    """Commit the innermost transaction. `message`: if that rolls it back, a line about it is printed."""
    result: dict[str, Any] = process.worker().ask("commit", {"transaction": None, "message": message}).result
    if result.get("put_back"):
        leaving.leave(result)
    return result


def set_savepoint(name: str, transaction: str | None = None) -> Woken | None:
    """Set a savepoint. None; where execution came back to it, why. If its cell is over, what runs is left instead."""
    worker = process.worker()
    answer = worker.ask("savepoint", {"transaction": transaction, "name": name})
    assert answer.permit is not None
    woken = worker.take(answer.permit)
    if woken is not None and not woken.resume:
        process.leave_cell()
    return woken


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
    pickled = _pickled(value)
    result = worker.ask("rollback", arguments, b"", pickled).result
    if isinstance(result, dict) and result.get("put_back"):
        leaving.leave(result, pickled)
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
