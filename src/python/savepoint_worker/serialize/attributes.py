"""Attributes of modules, and of libraries' classes, that the user's cells have assigned: `pandas.DataFrame.show = show`.

What a library changes in itself is its own affair, and comes back when it is imported. What the user changes does not.
It is found in the text of the cells, wherever a name with dots is assigned or `setattr` is called; what is done in
another way, by the code of a file say, is not seen. Each such attribute is kept like a variable named after its place,
so that what it shares with other variables stays shared.
"""

from __future__ import annotations

import importlib
import re
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any

from .verdict import Unloadable

_ASSIGNED = re.compile(
    r"^[ \t]*([^\W\d]\w*(?:\.[^\W\d]\w*)+)[ \t]*(?:=(?!=)|[-+*/%&|^@]=|//=|\*\*=|<<=|>>=|:[^=\n]+=(?!=))", re.MULTILINE
)
_SET = re.compile(r"\bsetattr\([ \t]*([^\W\d]\w*(?:\.[^\W\d]\w*)*)[ \t]*,[ \t]*[rbu]?['\"](\w+)['\"]")
#: What is not the user's to keep: the process's own, and what cells are run with.
_NOT = frozenset(["__main__", "builtins", "sys", "os", "savepoint", "savepoint_worker", "IPython", "ipykernel"])
#: Between a module and what is in it; no name of the user's can have it.
_SEPARATOR = ":"
_MISSING = object()


def assigned(texts: Iterable[str], namespace: dict[str, Any]) -> dict[str, Any]:
    """Attributes that these cells have assigned and that are there, by their names in a checkpoint."""
    found: dict[str, Any] = {}
    for path in dict.fromkeys(_paths(texts)):
        place = _place(path.split("."), namespace)
        if place is not None:
            found.setdefault(*place)
    return found


def put_back(name: str, value: Any) -> None:
    """Assign the attribute. Raises whatever importing its module or assigning it raises."""
    module, _, path = name.partition(_SEPARATOR)
    holder: Any = importlib.import_module(module)
    *steps, last = path.split(".")
    for step in steps:
        holder = getattr(holder, step, _MISSING)
        if holder is _MISSING:
            raise Unloadable(f"there is no {path} in this version of {module}")
    setattr(holder, last, value)


def _paths(texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if "." in text and "=" in text or "setattr" in text:
            yield from _ASSIGNED.findall(text)
            yield from (f"{holder}.{name}" for holder, name in _SET.findall(text))


def _place(path: list[str], namespace: dict[str, Any]) -> tuple[str, Any] | None:
    """The name in a checkpoint of what the user calls by this path, and its value."""
    root, *steps = path
    holder = namespace.get(root, _MISSING)
    module, names = "", []
    for step in steps:
        if type(holder) is types.ModuleType:
            module, names = vars(holder).get("__name__", ""), []
        elif not issubclass(type(holder), type):
            return None
        elif not names:
            # Where the user takes it from is the place that other versions have, too; here only its own is known.
            module, names = holder.__module__, holder.__qualname__.split(".")
        # Nothing is asked of it that could run code of anybody's.
        inside = vars(holder) if type(holder) is types.ModuleType else type.__dict__["__dict__"].__get__(holder)
        holder = inside.get(step, _MISSING)
        names.append(step)
    top = module.partition(".")[0] if isinstance(module, str) else "__main__"
    if holder is _MISSING or type(holder) is types.ModuleType or top in _NOT or module not in sys.modules:
        return None
    return f"{module}{_SEPARATOR}{'.'.join(names)}", holder
