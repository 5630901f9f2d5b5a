"""`with savepoint.transaction():` a block that leaves no trace when it fails.

With the engine `fork`, entering the block freezes a copy of the process. When the block is rolled back, that copy is woken: it finds itself
in `__enter__`, with everything as it was there, and raises RolledBack. So the code that follows the block's failure
runs in another process than the block did, and what it is to know about the failure is carried over. With the engine
`objects` there is no other process: what the variables hold is put back, and the block is left by an exception.
"""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from . import carrying, process
from .errors import RolledBack, SavepointError
from .leaving import LeaveBlock
from .transactions import request_rollback, set_savepoint

if TYPE_CHECKING:
    from savepoint_worker.moments import Woken

ON_FAILURE = ("rollback_on_failure", "commit_on_success")
ALWAYS = ("rollback_always", "dry_run")
#: What the gateway says when the block's transaction has been ended inside it.
ENDED = ("no_transaction", "unknown_transaction")


def transaction(name: str | None = None, policy: str = "rollback_on_failure", engine: str = "auto") -> Transaction:
    """A block whose effects on the kernel's state are undone if it fails, in sync and async code.

    Policies: `rollback_on_failure` (also `commit_on_success`), and `rollback_always` (also `dry_run`). A block that was
    rolled back raises RolledBack at its `with` line, whatever was raised inside. Raises SavepointError:
    `unknown_policy`, and on entering what `begin` raises.
    """
    return Transaction(name, policy, engine)


class Transaction:
    """One block. `id`, `name` and `engine` (what is really used) are those of its transaction.

    `value` is what the latest `rollback(to=..., value=...)` carried back to a savepoint of it, else None.
    """

    def __init__(self, name: str | None, policy: str, engine: str) -> None:
        if policy not in ON_FAILURE and policy not in ALWAYS:
            known = ", ".join(ON_FAILURE + ALWAYS)
            raise SavepointError(
                "unknown_policy", f"A block has no policy {policy!r:.100}. Use one of {known}.", {"policy": f"{policy!r:.100}"}
            )
        self.id: str | None = None
        self.name = name
        self.policy = policy
        self.engine = engine
        self.value: object = None
        #: The code in the block has ended its transaction itself.
        self.ended = False
        #: What was raised at the `with` line, in the copy that was woken.
        self.rolled_back: RolledBack | None = None

    def __enter__(self) -> Transaction:
        if self.id is not None:
            raise SavepointError("transaction_open", "This block was entered before. Make a new one for each `with`.")
        worker = process.worker()
        arguments = {"name": self.name, "policy": self.policy, "engine": self.engine, "block": True}
        answer = worker.ask("begin", arguments)
        self.id = answer.result["id"]
        self.engine = answer.result["engine"]
        assert answer.permit is not None
        try:
            woken = worker.take(answer.permit)
        except SavepointError:
            self.id = None
            raise
        if woken is not None:
            self._go_on(woken)
        if answer.permit["snapshot"] in getattr(worker, "held", ()):
            self.engine = "objects"
        return self

    def savepoint(self, name: str) -> bool:
        """Set a savepoint at this line. Returns False; True when execution has come back here by `rollback(to=name)`.

        It stays: one may come back as often as one likes. What was counted since is forgotten with everything else, so
        a loop of tries has to carry what it learned as the rollback's `value`, which is then in `self.value`.
        Raises SavepointError: `name_invalid`, `engine_unavailable`, `snapshot_refused`, `snapshot_failed`, and
        `unknown_transaction` if the code in the block has ended its transaction itself.
        """
        woken = set_savepoint(name, self._opened())
        if woken is None:
            return False
        self.value = carrying.value_of(woken.parts[1]) if len(woken.parts) > 1 else None
        return True

    def rollback(self, to: str | None = None, value: object = None) -> NoReturn:
        """Roll this block back: RolledBack, with `value` (pickled), is raised at its `with` line. Does not return.

        `to` a savepoint, nothing is raised: execution goes on where that was set, and the block stays open.
        Raises SavepointError if that is refused; then nothing was done.
        """
        request_rollback(self._opened(), to, value)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._succeeded()
        elif isinstance(error, LeaveBlock):
            if error.transaction == self.id:
                self._leave(error)
        elif process.is_leaving(error):
            self._left()
        else:
            self._failed(error, trace)

    def _succeeded(self) -> None:
        if self.policy in ALWAYS:
            try:
                request_rollback(self._opened())
            except LeaveBlock as leaving:
                self._leave(leaving)
        self._commit()

    def _left(self) -> None:
        """The cell ends here without failing, as after a rollback to a `begin` in the block."""
        if self.policy in ON_FAILURE:
            self._commit()

    def _commit(self) -> None:
        try:
            process.worker().ask("commit", {"transaction": self._opened()})
        except SavepointError as refused:
            self._ended_inside(refused)

    def _failed(self, error: BaseException, trace: TracebackType | None) -> None:
        """Roll back and do not return; or return, if the code in the block has ended its transaction itself."""
        arguments = {
            "transaction": self._opened(),
            "to": None,
            "reason": "interrupt" if isinstance(error, KeyboardInterrupt) else "error",
            "ename": type(error).__name__,
            "evalue": carrying.text_of(error),
            "traceback": traceback.format_exception(type(error), error, trace),
            "message": False,
        }
        try:
            result = process.worker().ask("rollback", arguments, carrying.pack(error), b"").result
        except SavepointError as refused:
            self._ended_inside(refused)
            return
        told = {name: arguments[name] for name in ("reason", "ename", "evalue", "traceback")}
        self.rolled_back = RolledBack(**told, original=error, effects=result["effects"], limits=result["limits"])
        raise self.rolled_back from error

    def _leave(self, leaving: LeaveBlock) -> NoReturn:
        """Without another process: tell the code around the block that it was rolled back from within."""
        value = carrying.value_of(leaving.value)
        self.rolled_back = RolledBack("requested", value=value, effects=leaving.effects, limits=leaving.limits)
        raise self.rolled_back from None

    def _ended_inside(self, refused: SavepointError) -> None:
        """The code in the block has ended its transaction itself; any other refusal is raised."""
        if refused.code not in ENDED:
            raise refused
        self.ended = True

    def _opened(self) -> str:
        if self.id is None:
            raise SavepointError("no_transaction", "The block has not been entered. Use it in a `with` statement.")
        return self.id

    def _go_on(self, woken: Woken) -> NoReturn:
        """In the copy that was woken: tell the code around the block what happened."""
        if not woken.resume:
            process.leave_cell()
        reason = woken.reason
        packed, value = (*woken.parts, b"", b"")[:2]
        original = carrying.unpack(packed)
        self.rolled_back = RolledBack(
            reason["reason"],
            reason.get("ename"),
            reason.get("evalue"),
            reason.get("traceback"),
            original,
            carrying.value_of(value),
            effects=reason.get("effects"),
            limits=reason.get("limits"),
        )
        raise self.rolled_back from original
