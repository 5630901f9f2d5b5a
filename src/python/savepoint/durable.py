"""Checkpoints: durable saves of the kernel's variables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, NoReturn

from . import process
from .errors import SavepointError


@dataclass(frozen=True)
class Checkpoint:
    """A saved state. Sizes are in bytes, durations (`pause_ms`, `write_ms`) in milliseconds.

    `verdicts` counts the variables by how faithfully they are kept (exact, equal, rebuilt, replayed, lost), and `lost`
    names those that are not, with the reason.
    """

    checkpoint_id: str
    name: str | None = None
    note: str | None = None
    state: str = "stored"
    parent_id: str | None = None
    branch: str | None = None
    kernel_id: str | None = None
    created_at: str | None = None
    execution_count: int | None = None
    namespace_size: int | None = None
    function_count: int | None = None
    class_count: int | None = None
    checkpoint_size: int | None = None
    written_bytes: int | None = None
    data: Any = None
    format_version: int | None = None
    python_version: str | None = None
    pause_ms: float | None = None
    write_ms: float | None = None
    verdicts: dict[str, int] = field(default_factory=dict)
    lost: list[dict[str, str]] = field(default_factory=list)
    in_transaction: bool = False

    @classmethod
    def of(cls, record: dict[str, Any]) -> Checkpoint:
        """The checkpoint that a record describes; what this version does not know of it is left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in record.items() if key in known})


def checkpoint(
    name: str | None = None, note: str | None = None, exclude: Iterable[str] = (), wait: bool = True
) -> Checkpoint:
    """Save the variables durably, except those whose names match a pattern in `exclude` (`*` and `?` as in file names).

    Returns when the checkpoint is stored; with `wait` false as soon as it is being written. What cannot be saved is
    named in `lost`.
    Raises SavepointError: `name_invalid`, `snapshot_failed`, `storage_failed`, `timeout`.
    """
    patterns = [exclude] if isinstance(exclude, str) else list(exclude)
    arguments = {"name": name, "note": note, "exclude": patterns, "wait": wait}
    return Checkpoint.of(process.worker().ask("checkpoint", arguments).result)


def checkpoints(limit: int = 100) -> list[Checkpoint]:
    """The checkpoints of this kernel, newest first, at most `limit` of them (1 to 1000)."""
    listed = process.worker().ask("checkpoints", {"limit": limit}).result
    return [Checkpoint.of(record) for record in listed["items"]]


def restore(checkpoint: str | Checkpoint, mode: str = "clear", names: Iterable[str] | None = None) -> NoReturn:
    """Bring back the variables of a checkpoint (itself, its id, or the newest of that name). The cell ends here.

    `mode` "clear" removes the present variables first, "merge" keeps those that the checkpoint does not have; `names`
    chooses some of its variables. Variables that could not be saved raise LostVariableError when they are touched.
    Raises SavepointError: `unknown_checkpoint`, `damaged_checkpoint`, `transaction_open`, `restore_failed`.
    """
    request_restore(checkpoint, mode, names)
    process.leave_cell()


def request_restore(checkpoint: str | Checkpoint, mode: str, names: Iterable[str] | None) -> dict[str, Any]:
    """Restore, and say what came of it: `{"checkpoint_id", "restored", "lost", "warnings", "restore_ms"}`."""
    if mode not in ("clear", "merge"):
        raise SavepointError("bad_request", f"There is no mode {mode!r}. Use 'clear' or 'merge'.", {"mode": mode})
    wanted = checkpoint.checkpoint_id if isinstance(checkpoint, Checkpoint) else checkpoint
    chosen = [names] if isinstance(names, str) else list(names) if names is not None else None
    arguments = {"checkpoint": wanted, "mode": mode, "names": chosen}
    result: dict[str, Any] = process.worker().ask("restore", arguments).result
    return result
