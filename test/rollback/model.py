"""What a kernel has to do, as plain Python: a namespace, a stack of transactions, and copies made by `copy.deepcopy`.

Nothing here knows of processes. A step is data (`Step`); `Model.take` does it and says what the kernel has to answer.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any, NamedTuple

NAMES = "abcdef"
DEPTH_MAX = 32

# Run here and in the kernel: two states are the same if they look the same, shared parts included.
CANONICAL = '''
def canonical(names):
    seen = {}
    def show(value):
        if not isinstance(value, (list, dict)):
            return repr(value)
        if id(value) in seen:
            return f"@{seen[id(value)]}"
        seen[id(value)] = len(seen)
        if isinstance(value, list):
            return "[" + ",".join(map(show, value)) + "]"
        return "{" + ",".join(f"{key!r}:{show(each)}" for key, each in value.items()) + "}"
    return ";".join(f"{name}={show(names[name])}" for name in "abcdef" if name in names)
'''


class Step(NamedTuple):
    """One thing that is done to a kernel. What a field is for depends on `kind`; see `Model`."""

    kind: str
    #: The text of a cell, or the name of a savepoint.
    text: str = ""
    #: Of a cell or a transaction.
    policy: str = ""
    #: Which open transaction is meant, counted from the innermost; 0 is that one.
    at: int = 0
    #: How it is asked for: by a comm, a magic or Python.
    by: str = "comm"

    def __str__(self) -> str:
        return "  ".join(str(each) for each in self if each not in ("", 0))


class Expected(NamedTuple):
    #: "ok", "error", or the code with which it is refused.
    status: str
    #: Of a cell with a policy: committed, rolled_back or pending.
    outcome: str | None = None


@dataclass
class Transaction:
    policy: str
    order: int
    begin: dict[str, Any]
    savepoints: list[tuple[str, int, dict[str, Any]]] = field(default_factory=list)


class Refusal(Exception):
    """The step is not legal now; its argument is the code."""


class Model:
    """What the kernel is by now."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = {}
        self.open: list[Transaction] = []
        self.cells = 0
        self._order = 0

    def canonical(self) -> str:
        """The state as text."""
        scope: dict[str, Any] = {}
        exec(CANONICAL, scope)
        return str(scope["canonical"](self.names))

    def take(self, step: Step) -> Expected:
        """Do a step."""
        if step.kind == "cell":
            return self._cell(step)
        if step.kind == "death":
            return self._death(step)
        before = copy.deepcopy(self.__dict__)
        try:
            getattr(self, f"_{step.kind}")(step)
        except Refusal as refusal:
            self.__dict__.update(before)
            if step.by != "comm":
                # It is an error of the cell that asked.
                self._failure(None)
            return Expected(str(refusal))
        return Expected("ok")

    # ------------------------------------------------------------------------------------------------------------ cells
    def _cell(self, step: Step) -> Expected:
        self.cells += 1
        own = self._wrapped(step.policy)
        failed = not self._runs(step.text)
        status = "error" if failed else "ok"
        if failed and self._failure(own):
            return Expected(status, "rolled_back" if own else None)
        if own is None:
            return Expected(status)
        if own.policy in ("rollback_always", "dry_run"):
            self._back_to_begin(own)
            return Expected(status, "rolled_back")
        if own.policy == "explicit":
            return Expected(status, "pending")
        self.open.remove(own)
        return Expected(status, "committed")

    def _death(self, step: Step) -> Expected:
        """A cell whose process ends in the middle of it: a failure like any other."""
        self.cells += 1
        own = self._wrapped(step.policy)
        if not self._failure(own) and own is not None:
            self._back_to_begin(own)
        return Expected("error", "rolled_back" if own else None)

    def _wrapped(self, policy: str) -> Transaction | None:
        if not policy:
            return None
        self.open.append(self._opened(policy))
        return self.open[-1]

    def _runs(self, code: str) -> bool:
        try:
            exec(code, self.names)
        except Exception:
            return False
        finally:
            # Put there by exec, and nothing that could be copied.
            self.names.pop("__builtins__", None)
        return True

    def _failure(self, own: Transaction | None) -> bool:
        """A cell has failed. Whether something was rolled back."""
        for each in self.open:
            if each.policy in ("rollback_on_failure", "commit_on_success"):
                self._back_to_begin(each)
                return True
        return False

    # ----------------------------------------------------------------------------------------------------- transactions
    def _begin(self, step: Step) -> None:
        if len(self.open) >= DEPTH_MAX:
            raise Refusal("too_deep")
        self.open.append(self._opened(step.policy))

    def _commit(self, step: Step) -> None:
        transaction = self._meant(step)
        if transaction.policy == "rollback_always":
            self._back_to_begin(transaction)
        else:
            del self.open[self.open.index(transaction) :]

    def _rollback(self, step: Step) -> None:
        transaction = self._meant(step)
        if not step.text:
            self._back_to_begin(transaction)
            return
        found = self._savepoint_of(transaction, step.text)
        _, order, state = transaction.savepoints[found]
        self._forget_after(order)
        self.names = copy.deepcopy(state)

    def _savepoint(self, step: Step) -> None:
        transaction = self._meant(step)
        transaction.savepoints.append((step.text, self._tick(), copy.deepcopy(self.names)))

    def _release(self, step: Step) -> None:
        transaction = self._meant(step)
        del transaction.savepoints[self._savepoint_of(transaction, step.text) :]

    def _kill(self, step: Step) -> None:
        # Between cells nothing is lost.
        pass

    def _fork(self, step: Step) -> None:
        # A fork has the state, and none of the transactions.
        if step.policy == "join":
            self.open = []

    def _meant(self, step: Step) -> Transaction:
        if not self.open:
            raise Refusal("no_transaction")
        return self.open[len(self.open) - 1 - min(step.at, len(self.open) - 1)]

    def _savepoint_of(self, transaction: Transaction, name: str) -> int:
        for place in reversed(range(len(transaction.savepoints))):
            if transaction.savepoints[place][0] == name:
                return place
        raise Refusal("unknown_savepoint")

    def _opened(self, policy: str) -> Transaction:
        return Transaction(policy, self._tick(), copy.deepcopy(self.names))

    def _tick(self) -> int:
        self._order += 1
        return self._order

    def _back_to_begin(self, transaction: Transaction) -> None:
        self._forget_after(transaction.order - 1)
        self.names = copy.deepcopy(transaction.begin)

    def _forget_after(self, order: int) -> None:
        """What was begun or set later than that is gone."""
        self.open = [each for each in self.open if each.order <= order]
        for each in self.open:
            each.savepoints = [kept for kept in each.savepoints if kept[1] <= order]
