"""Checkpoints of one folder, for tests: where a process writes one, and what it restores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from savepoint_worker import checkpoints
from savepoint_worker.serialize import manifest


def target(path: str | Path, known: str | None = None) -> checkpoints.Target:
    """Manifest and pack of a checkpoint."""
    return checkpoints.Target(str(path), f"{path}.pack", known)


def stored(path: str | Path) -> Any:
    """The checkpoint in a folder whose packs nobody has made a list of."""
    packs = sorted(map(str, Path(path).parent.glob("*.pack")))
    return checkpoints.Version2(manifest.read(str(path)), packs, b"")


def restore(path: str | Path, namespace: dict[str, Any], mode: str = "merge", names: Any = None) -> Any:
    """What a restore reports."""
    return checkpoints.restore_stored(stored(path), namespace, mode, names)
