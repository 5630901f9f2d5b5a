"""Checkpoints: durable saves of the kernel's variables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from . import process
from .errors import SavepointError
from .records import Checkpoint, Difference, Timeline

__all__ = ["Checkpoint", "Difference", "Timeline", "checkpoint", "checkpoints", "diff", "restore"]


def checkpoint(
    name: str | None = None, note: str | None = None, exclude: Iterable[str] = (), wait: bool = True
) -> Checkpoint:
    """Save the variables durably, except those whose names match a pattern in `exclude` (`*` and `?` as in file names).

    Returns when the checkpoint is stored; with `wait` false as soon as it is being written. What cannot be saved is
    named in `lost`.
    Raises SavepointError: `name_invalid`, `snapshot_failed`, `storage_failed`, `quota_exceeded`, `cancelled`, `timeout`.
    """
    patterns = [exclude] if isinstance(exclude, str) else list(exclude)
    return request_checkpoint({"name": name, "note": note, "exclude": patterns, "wait": wait})


def checkpoints(limit: int = 100, branch: str | None = None) -> Timeline:
    """The checkpoints that this kernel can restore, newest first, at most `limit` of them (1 to 1000).

    The list is shown as the tree that they are.
    """
    listed = process.worker().ask("checkpoints", {"limit": limit, "branch": branch}).result
    found = [Checkpoint.of(record) for record in listed["items"]]
    return Timeline(found, listed.get("head"), listed.get("total_count"))


def restore(checkpoint: str | Checkpoint, mode: str = "clear", names: Iterable[str] | None = None) -> NoReturn:
    """Bring back the variables of a checkpoint (itself, its id, or the newest of that name). The cell ends here.

    `mode` "clear" removes the present variables first, "merge" keeps those that the checkpoint does not have; `names`
    chooses some of its variables. Variables that could not be saved raise LostVariableError when they are touched.
    Raises SavepointError: `unknown_checkpoint`, `damaged_checkpoint`, `transaction_open`, `restore_failed`.
    """
    request_restore(checkpoint, mode, names)
    process.leave_cell()


def diff(a: str | Checkpoint, b: str | Checkpoint | None = None) -> Difference:
    """What `b` (default: the present) has that the checkpoint `a` has not, and the other way round.

    Each is a checkpoint, its id, or the newest of that name. Raises SavepointError: `unknown_checkpoint`,
    `damaged_checkpoint`, `snapshot_failed`.
    """
    arguments = {"from": meant(a), "to": None if b is None else meant(b)}
    return Difference.of(process.worker().ask("diff", arguments).result)


def request_checkpoint(arguments: dict[str, Any]) -> Checkpoint:
    """Save as `checkpoint` does; with `progress` true the cell shows how far a long one is."""
    return Checkpoint.of(process.worker().ask("checkpoint", arguments).result)


def request_restore(checkpoint: str | Checkpoint, mode: str, names: Iterable[str] | None) -> dict[str, Any]:
    """Restore, and say what came of it: `{"checkpoint_id", "restored", "lost", "warnings", "restore_ms"}`."""
    if mode not in ("clear", "merge"):
        raise SavepointError("bad_request", f"There is no mode {mode!r}. Use 'clear' or 'merge'.", {"mode": mode})
    chosen = [names] if isinstance(names, str) else list(names) if names is not None else None
    arguments = {"checkpoint": meant(checkpoint), "mode": mode, "names": chosen}
    result: dict[str, Any] = process.worker().ask("restore", arguments).result
    return result


def request_branch(checkpoint: str | Checkpoint, name: str) -> dict[str, Any]:
    """Restore, and let later checkpoints go to the branch of that name; the same as of a restore, and `branch`."""
    arguments = {"checkpoint": meant(checkpoint), "name": name}
    result: dict[str, Any] = process.worker().ask("branch", arguments).result
    return result


def meant(checkpoint: str | Checkpoint) -> str:
    """The name or id of what a caller gave. Raises SavepointError (`bad_request`)."""
    wanted = checkpoint.checkpoint_id if isinstance(checkpoint, Checkpoint) else checkpoint
    if isinstance(wanted, str):
        return wanted
    message = f"A checkpoint is named by its id, its name or itself, not by {type(wanted).__name__}."
    raise SavepointError("bad_request", message)
