"""What a manifest says of the variables in it."""

from __future__ import annotations

import platform
import types
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from ..serialize import anchors, process
from ..serialize.verdict import VERDICTS, Kept


class Extras(NamedTuple):
    """What is saved besides the variables."""

    baseline: process.Baseline
    #: Parts of the process's state that were taken before any fork.
    before_fork: dict[str, Any]
    #: Texts of the cells so far, [number, text].
    history: list[tuple[int, str]]
    execution_count: int
    #: Whether `Out` is saved, too: for another process in the same session.
    results: bool = False


def describe(variables: dict[str, Any], objects: Iterable[Kept], extras: Extras) -> dict[str, Any]:
    """What the manifests of both formats say of a checkpoint as a whole."""
    return {
        "python_version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "created_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "namespace_size": len(variables),
        "function_count": sum(issubclass(type(value), types.FunctionType) for value in variables.values()),
        "class_count": sum(issubclass(type(value), type) for value in variables.values()),
        "execution_count": extras.execution_count,
        "verdicts": _counts(objects),
        "anchors": list(anchors.CONTAINER_NAMES),
    }


def _counts(objects: Iterable[Kept]) -> dict[str, int]:
    counts = dict.fromkeys(VERDICTS, 0)
    for each in objects:
        counts[each.verdict] += 1
    return counts


def imports(variables: dict[str, Any]) -> Iterator[dict[str, str | None]]:
    """The modules that the user has imported under a name of his own, with their versions."""
    for name, value in variables.items():
        if type(value) is types.ModuleType:
            # Not asked of the module itself: some compute it, or fail to.
            version = vars(value).get("__version__")
            yield {"name": name, "module": value.__name__, "version": version if isinstance(version, str) else None}
