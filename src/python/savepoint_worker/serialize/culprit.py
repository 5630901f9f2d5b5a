"""Which object it is, deep in a variable, that cannot be saved."""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from .verdict import Unsaveable, reason_of, type_name

DEPTH_MAX = 12
#: The search pickles parts of the variable again, so it is not to take long.
SECONDS_MAX = 1.0
CHILDREN_MAX = 1000
PATH_LENGTH_MAX = 100


def path_to_culprit(value: Any, probe: Callable[[Any], None], error: BaseException) -> str:
    """Why `value` could not be saved: where in it, and what was raised. `probe` tries to save a part, and raises."""
    deadline = time.monotonic() + SECONDS_MAX
    path, culprit = "", value
    for _ in range(DEPTH_MAX):
        if isinstance(error, Unsaveable) and error.value is culprit:
            break
        found = _failing_child(culprit, probe, deadline)
        if found is None:
            break
        step, culprit, error = found
        path += step
    if not path or len(path) > PATH_LENGTH_MAX:
        return reason_of(error)
    return f"in {path.lstrip('.')} ({type_name(culprit)}): {reason_of(error)}"


def _failing_child(value: Any, probe: Callable[[Any], None], deadline: float) -> tuple[str, Any, BaseException] | None:
    for number, (step, child) in enumerate(_children(value)):
        if number >= CHILDREN_MAX or time.monotonic() > deadline:
            return None
        try:
            probe(child)
        except BaseException as error:
            return step, child, error
    return None


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    """Parts of an object, and how to get at each from it. Runs no code of the user's."""
    if type(value) is dict:
        for key, item in list(value.items()):
            yield f"[{key!r}]" if type(key) in (str, int, bytes) else f"[{type_name(key)}]", item
    elif type(value) in (list, tuple):
        for index, item in enumerate(list(value)):
            yield f"[{index}]", item
    elif type(value) in (set, frozenset):
        for item in list(value):
            yield "{…}", item
    elif type(value) is types.FunctionType:
        for name, cell in zip(value.__code__.co_freevars, value.__closure__ or ()):
            yield f".{name}", _contents(cell)
    else:
        for name, item in list(_attributes(value).items()):
            yield f".{name}", item


def _contents(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return None


def _attributes(value: Any) -> dict[str, Any]:
    try:
        found = object.__getattribute__(value, "__dict__")
    except (AttributeError, TypeError):
        # It has slots only, or is a class.
        return {}
    return found if type(found) is dict else {}
