"""What clients may ask of the user's variables: `list`, `get`, `set`, `delete`, `changes`.

Values that are set are JSON, and so plain data. What a name is decides whether it may be written, then the way of
merging decides; the first line that fits holds:

    the name                                          source "user"    source "engine"
    no identifier, or a keyword                       refused          refused
    the engine's: `_`, `In`, `_i5`, `__name__`, ...   refused          written
    given by IPython and not taken: `exit`, `open`    refused          written
    any other                                         by the merge     by the merge

    merge          the name is new    the name is there
    "overwrite"    set                set
    "preserve"     set                kept
    "smart"        set                a dictionary takes in the keys of a dictionary, as a new one; other plain data
                                      is replaced; functions, modules, classes and all other objects are kept

Only values of these types, and of no type derived from them, are plain data: None, bool, int, float, str, list, tuple
and dict. Code of the user's runs only for a `repr`; a client's interrupt stops it.
"""

from __future__ import annotations

import json
import keyword
import reprlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from savepoint.errors import SavepointError

from .cells import execution
from .reporting import safe_text
from .serialize.namespace import is_engines
from .serialize.verdict import type_name

if TYPE_CHECKING:
    from .cells.changes import Changes
    from .worker import Worker

#: Names in one request, and variables in one answer.
NAMES_MAX = 1000
PREVIEW_CHARACTERS_MAX = 200
MERGES = ("overwrite", "preserve", "smart")
SOURCES = ("user", "engine")
_DATA = frozenset({type(None), bool, int, float, str, list, tuple, dict})

Arguments = dict[str, Any]


def perform(worker: Worker, op: str, content: memoryview) -> dict[str, Any]:
    """Do what the `data` of a comm_msg asks for; the result. Raises SavepointError."""
    try:
        arguments = json.loads(bytes(content))["data"]
    except (ValueError, RecursionError) as error:
        raise _bad_request("The request is no JSON that Python can read.") from error
    try:
        return _OPS[op](worker, arguments)
    except KeyboardInterrupt:
        raise SavepointError("cancelled", "The request was interrupted.", {}) from None


def _list(worker: Worker, arguments: Arguments) -> dict[str, Any]:
    limit = arguments.get("limit", NAMES_MAX)
    if type(limit) is not int or not 1 <= limit <= NAMES_MAX:
        raise _bad_request(f"limit must be a whole number from 1 to {NAMES_MAX}.")
    namespace, hidden = worker.shell.user_ns, worker.shell.user_ns_hidden
    names = [name for name in _texts(namespace) if not is_engines(name, namespace[name], hidden)]
    items = [{"name": name, **_facts(namespace[name])} for name in names[:limit]]
    return {"items": items, "total_count": len(names)}


def _get(worker: Worker, arguments: Arguments) -> dict[str, Any]:
    namespace = worker.shell.user_ns
    names = _names(arguments)
    found = [name for name in names if name in namespace]
    return {
        "items": [
            {"name": name, **_facts(namespace[name]), "preview": preview(namespace[name])}
            for name in found
            if name in namespace  # A repr may have removed it.
        ],
        "missing": [name for name in names if name not in namespace],
    }


def _set(worker: Worker, arguments: Arguments) -> dict[str, Any]:
    values = arguments.get("values")
    if type(values) is not dict or len(values) > NAMES_MAX:
        raise _bad_request(f"values must be an object with at most {NAMES_MAX} names.")
    merge = _one_of(MERGES, arguments, "merge")
    source = _one_of(SOURCES, arguments, "source")
    before = _settled(worker)
    report = update(worker.shell.user_ns, worker.shell.user_ns_hidden, values, merge, source)
    return {**report, "changes": before().report()}


def _delete(worker: Worker, arguments: Arguments) -> dict[str, Any]:
    namespace, hidden = worker.shell.user_ns, worker.shell.user_ns_hidden
    source = _one_of(SOURCES, arguments, "source")
    report: dict[str, Any] = {"deleted": [], "missing": [], "refused": []}
    before = _settled(worker)
    for name in _names(arguments):
        if name not in namespace:
            report["missing"].append(name)
        elif source == "user" and is_engines(name, namespace[name], hidden):
            report["refused"].append(_refusal(name, "engine_name"))
        else:
            del namespace[name]
            report["deleted"].append(name)
    return {**report, "changes": before().report()}


def _changes(worker: Worker, arguments: Arguments) -> dict[str, Any]:
    if worker.kernel.latest_changes is None:
        return {"execution_count": None, "added": [], "changed": [], "removed": []}
    count, changes = worker.kernel.latest_changes
    return {"execution_count": count, **changes.report()}


_OPS: dict[str, Callable[[Any, Arguments], dict[str, Any]]] = {
    "list": _list,
    "get": _get,
    "set": _set,
    "delete": _delete,
    "changes": _changes,
}


def update(
    namespace: dict[str, Any], hidden: dict[str, Any], values: dict[str, Any], merge: str, source: str
) -> dict[str, Any]:
    """Write `values` into the namespace by the rules above: which names were set, kept and refused."""
    report: dict[str, Any] = {"set": [], "kept": [], "refused": []}
    for name, value in values.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            report["refused"].append(_refusal(name, "no_name"))
        elif is_engines(name, namespace.get(name), hidden) and source == "user":
            report["refused"].append(_refusal(name, "engine_name"))
        elif name in namespace and not _gives_way(namespace[name], merge):
            report["kept"].append(name)
        else:
            if merge == "smart" and type(value) is dict and type(namespace.get(name)) is dict:
                value = {**namespace[name], **value}
            namespace[name] = value
            report["set"].append(name)
    return report


def _gives_way(present: Any, merge: str) -> bool:
    return merge == "overwrite" or (merge == "smart" and type(present) in _DATA)


def _settled(worker: Worker) -> Callable[[], Changes]:
    """What happens from now on is told by what this returns, and not by the next cell's reply."""
    watch = execution.watch_of(worker.kernel)
    # What background tasks did until now is nobody's doing.
    watch.changes()
    return watch.changes


def _facts(value: Any) -> dict[str, Any]:
    try:
        size = sys.getsizeof(value)
    except Exception:
        # A size of the user's own making.
        size = None
    return {"type": type_name(value), "bytes": size}


class _Preview(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = self.maxarray = 10
        self.maxstring = self.maxlong = self.maxother = PREVIEW_CHARACTERS_MAX


def preview(value: Any) -> str:
    """The beginning of a value's `repr`."""
    try:
        text = _Preview().repr(value)
    except Exception as error:
        text = f"<{type_name(value)}: no repr ({type(error).__name__})>"
    text = text if type(text) is str else safe_text(text)
    return text if len(text) <= PREVIEW_CHARACTERS_MAX else text[: PREVIEW_CHARACTERS_MAX - 3] + "..."


def _texts(namespace: dict[str, Any]) -> list[str]:
    return [name for name in list(namespace) if type(name) is str]


def _names(arguments: Arguments) -> list[str]:
    names = arguments.get("names")
    if type(names) is list and len(names) <= NAMES_MAX and all(type(name) is str for name in names):
        return list(dict.fromkeys(names))
    raise _bad_request(f"names must be a list of at most {NAMES_MAX} names.")


def _one_of(allowed: tuple[str, ...], arguments: Arguments, field: str) -> str:
    value = arguments.get(field, allowed[0])
    if value in allowed:
        return str(value)
    raise _bad_request(f"{field} must be one of {', '.join(allowed)}.")


def _refusal(name: str, reason: str) -> dict[str, str]:
    return {"name": name, "reason": reason}


def _bad_request(message: str) -> SavepointError:
    return SavepointError("bad_request", message, {})
