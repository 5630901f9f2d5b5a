"""The beginning of a value as text, of types that can be shown without running code of the user's."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

CHARACTERS_MAX = 80
_ITEMS_MAX = 6
_DEPTH_MAX = 2
_BITS_MAX = 256
_BRACKETS = {list: "[]", tuple: "()", set: "{}", frozenset: "{}"}


def preview(value: Any) -> str | None:
    """At most CHARACTERS_MAX characters; None for what only its own code could show."""
    text = _text(value, _DEPTH_MAX) or _shape(value)
    # Half a surrogate pair is no text that a file could hold.
    return None if text is None else _cut(text).encode("utf-8", "replace").decode()


def _text(value: Any, depth: int) -> str | None:
    kind = type(value)
    if kind in (type(None), bool, float, complex, type(...)):
        return repr(value)
    if kind is int:
        bits = value.bit_length()
        return repr(value) if bits <= _BITS_MAX else f"int of {bits} bits"
    if kind in (str, bytes):
        return _cut(repr(value[:CHARACTERS_MAX]))
    if kind in (list, tuple, set, frozenset):
        inside = _join((_inner(item, depth) for item in islice(value, _ITEMS_MAX)), len(value), depth)
        return inside.join(_BRACKETS[kind]) if value or kind in (list, tuple) else f"{kind.__name__}()"
    if kind is dict:
        items = islice(value.items(), _ITEMS_MAX)
        pairs = (f"{_inner(key, depth)}: {_inner(item, depth)}" for key, item in items)
        return "{" + _join(pairs, len(value), depth) + "}"
    if kind is types.FunctionType:
        return f"def {value.__code__.co_name}({', '.join(value.__code__.co_varnames[: value.__code__.co_argcount])})"
    if kind is types.ModuleType:
        name = vars(value).get("__name__")
        return f"module {name}" if type(name) is str else None
    return None


def _inner(value: Any, depth: int) -> str:
    return _text(value, depth - 1) or f"<{type.__dict__['__name__'].__get__(type(value))}>"  # type: ignore[attr-defined]


def _join(texts: Iterator[str], count: int, depth: int) -> str:
    if depth <= 0 and count:
        return "..."
    return ", ".join([*texts, *(["..."] if count > _ITEMS_MAX else [])])


def _cut(text: str) -> str:
    return text if len(text) <= CHARACTERS_MAX else text[: CHARACTERS_MAX - 3] + "..."


def _shape(value: Any) -> str | None:
    """Arrays and tables of the best known libraries, by their own exact types."""
    for module, name, show in _SHAPES:
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and type(value) is kind:
            try:
                return show(value)
            except Exception:
                # It is of that type and not in order; then there is nothing to show.
                return None
    return None


def _array(value: Any) -> str:
    return f"array {'x'.join(map(str, value.shape)) or 'scalar'} of {value.dtype.str}"


def _frame(value: Any) -> str:
    rows, columns = value.shape
    return f"DataFrame {rows}x{columns}: {_names(value.columns[:_ITEMS_MAX])}"


def _series(value: Any) -> str:
    return f"Series of {len(value)}"


def _names(names: Iterable[Any]) -> str:
    return ", ".join(_inner(name, 1) if type(name) is not str else name for name in names)


_SHAPES: list[tuple[str, str, Callable[[Any], str]]] = [
    ("numpy", "ndarray", _array),
    ("pandas", "DataFrame", _frame),
    ("pandas", "Series", _series),
    ("polars", "DataFrame", _frame),
    ("polars", "Series", _series),
]
