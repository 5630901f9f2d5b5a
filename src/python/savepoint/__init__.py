"""Transactions and checkpoints for code that runs in a Savepoint kernel.

    import savepoint

    try:
        with savepoint.transaction():
            clean_up(data)                     # an error in here leaves no trace in the kernel's state
    except savepoint.RolledBack as rolled_back:
        print(rolled_back.evalue)

    outcome = savepoint.attempt(fit, data)     # never raises what `fit` raises

    savepoint.checkpoint("clean")              # durable: survives the kernel
    savepoint.restore("clean")

Outside of a kernel every function raises SavepointError with code "not_in_kernel".
"""

from __future__ import annotations

from .attempts import Outcome, attempt
from .blocks import Transaction, transaction
from .durable import Checkpoint, Difference, Timeline, checkpoint, checkpoints, diff, restore
from .errors import LostVariableError, RolledBack, SavepointError
from .forks import fork
from .guards import guard, redo, snapshots, undo
from .handlers import register_handler, unregister_handler
from .questions import await_input
from .transactions import begin, commit, release, rollback, savepoint, status

__all__ = [
    "Checkpoint",
    "Difference",
    "LostVariableError",
    "Outcome",
    "RolledBack",
    "SavepointError",
    "Timeline",
    "Transaction",
    "attempt",
    "await_input",
    "begin",
    "checkpoint",
    "checkpoints",
    "commit",
    "diff",
    "fork",
    "guard",
    "redo",
    "register_handler",
    "release",
    "restore",
    "rollback",
    "savepoint",
    "snapshots",
    "status",
    "transaction",
    "undo",
    "unregister_handler",
]
