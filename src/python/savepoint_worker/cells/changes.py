"""What becomes of the user's names: which are added, bound anew and removed from one reply to the next.

A name is changed when it is bound to another object. What happens inside of an object is not seen. Nothing of the
user's is held for this, or `del` would free nothing before the end of its cell: only addresses are noted. Where an
object went, another one may lie at once, as after `for i in range(2): x += 1.0`. So of the names that a cell's own text
mentions, which are few, more is noted than the address.
"""

from __future__ import annotations

import ctypes
import re
import sys
import weakref
from collections.abc import Iterable
from typing import Any, NamedTuple

from ..serialize.namespace import is_engines

#: Names that one list of changes holds; what is beyond is counted in a warning.
NAMES_MAX = 1000
#: How far a cell's text is searched for names: data that was pasted into a cell has none.
TEXT_CHARACTERS_MAX = 65_536

_NAME = re.compile(r"[^\W\d]\w*")
#: To hold one of these for the length of a cell keeps neither memory nor a destructor waiting.
_PLAIN = frozenset({int, float, complex, bool, type(None)})
_SIZED = frozenset({list, dict, tuple, str, bytes})
_ITEMS_AT = tuple.__basicsize__
_ADDRESS_BYTES = ctypes.sizeof(ctypes.c_void_p)
#: Addresses that are compared at once: few of them differ, so that is narrowed down.
_STRIDES = (512, 64, 8)


class Changes(NamedTuple):
    """Names in the order of the namespace; those that the engine keeps for itself are left out."""

    added: list[str]
    changed: list[str]
    removed: list[str]

    def report(self) -> dict[str, list[str]]:
        """As clients see it, at most `NAMES_MAX` of each."""
        return {
            "added": self.added[:NAMES_MAX],
            "changed": self.changed[:NAMES_MAX],
            "removed": self.removed[:NAMES_MAX],
        }

    def warnings(self) -> list[str]:
        """Words about what the report leaves out."""
        if max(map(len, self)) <= NAMES_MAX:
            return []
        return [
            f"Of {len(names)} names {kind}, the first {NAMES_MAX} are listed."
            for kind, names in self._asdict().items()
            if len(names) > NAMES_MAX
        ]


class Watch:
    """Follows a namespace, from the moment at which it is made. `hidden` holds what the engine put there."""

    def __init__(self, namespace: dict[str, Any], hidden: dict[str, Any]) -> None:
        self.namespace = namespace
        self._hidden = hidden
        self._marks: dict[str, Any] = {}
        self._names, self._name_addresses, self._addresses = self._look()

    def cell_begins(self, code: str) -> None:
        """Look closer at the names that the text of a cell mentions."""
        namespace = self.namespace
        mentioned = set(_NAME.findall(code, 0, TEXT_CHARACTERS_MAX))
        self._marks = {name: _mark(namespace[name]) for name in mentioned if name in namespace}

    def changes(self) -> Changes:
        """What is different from the last time."""
        before, addresses_before = self._names, self._addresses
        names, name_addresses, addresses = self._look()
        if name_addresses.startswith(self._name_addresses):
            added: Iterable[str] = names[len(before) :]
            removed: Iterable[str] = ()
            changed = [before[at] for at in _differing(addresses_before, addresses)]
        else:
            added, removed, changed = _compare(before, addresses_before, names, addresses)
        self._names, self._name_addresses, self._addresses = names, name_addresses, addresses
        marks, self._marks = self._marks, {}
        for name, mark in marks.items():
            if name in self.namespace and not _fits(mark, self.namespace[name]) and name not in changed:
                changed.append(name)
        return Changes(self._users(added), self._users(changed), self._users(removed))

    def _look(self) -> tuple[tuple[str, ...], bytes, bytes]:
        names = tuple(self.namespace)
        return names, _addresses(names), _addresses(tuple(self.namespace.values()))

    def _users(self, names: Iterable[str]) -> list[str]:
        namespace, hidden = self.namespace, self._hidden
        return [name for name in names if type(name) is str and not is_engines(name, namespace.get(name), hidden)]


def _addresses_at_once(values: tuple[Any, ...]) -> bytes:
    """Where the values lie. Asking for each `id` would take ten times as long."""
    return ctypes.string_at(id(values) + _ITEMS_AT, len(values) * _ADDRESS_BYTES)


def _addresses_one_by_one(values: tuple[Any, ...]) -> bytes:
    return b"".join(id(value).to_bytes(_ADDRESS_BYTES, "little") for value in values)


# Where a tuple is laid out in another way than in the CPythons that we know, its items are asked one by one.
_PROBE = (_PLAIN, Changes, _SIZED)
_addresses = (
    _addresses_at_once if _addresses_at_once(_PROBE) == _addresses_one_by_one(_PROBE) else _addresses_one_by_one
)


def _differing(before: bytes, now: bytes) -> list[int]:
    """At which of the places that there were before another object is now."""
    if now.startswith(before):
        return []
    begins, outer = [0], len(before)
    for stride in _STRIDES:
        width = stride * _ADDRESS_BYTES
        begins = [
            at
            for begin in begins
            for at in range(begin, min(begin + outer, len(before)), width)
            if not now.startswith(before[at : at + width], at)
        ]
        outer = width
    old, new = memoryview(before).cast("N"), memoryview(now).cast("N")
    firsts = [begin // _ADDRESS_BYTES for begin in begins]
    return [at for first in firsts for at in range(first, min(first + stride, len(old))) if old[at] != new[at]]


def _compare(
    names_before: tuple[str, ...], before: bytes, names_now: tuple[str, ...], now: bytes
) -> tuple[list[str], list[str], list[str]]:
    """Added, removed and changed names where something was removed: a name that was bound again is at the end then."""
    old = dict(zip(names_before, memoryview(before).cast("N")))
    new = dict(zip(names_now, memoryview(now).cast("N")))
    added = [name for name in names_now if name not in old]
    removed = [name for name in names_before if name not in new]
    changed, remaining = [], iter(names_before)
    for name in names_now:
        if name in old and (name not in remaining or old[name] != new[name]):
            changed.append(name)
    return added, removed, changed


def _mark(value: Any) -> Any:
    """What tells `value` from another object at the same address, as well as that can be had without holding it."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind in _SIZED:
        # Not held: it may be large.
        return kind, len(value)
    if _is_array(kind):
        return kind, 0
    try:
        return weakref.ref(value)
    except TypeError:
        return kind, 0


def _is_array(kind: type) -> bool:
    """Whether that is a kind of array of numpy: no array can be resized while there is a weak reference to it."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and getattr(numpy, "ndarray", None) in kind.__mro__


def _fits(mark: Any, value: Any) -> bool:
    if type(mark) is weakref.ref:
        return mark() is value
    if type(mark) is tuple:
        kind, length = mark
        # A list or a dictionary may have grown where it is.
        return type(value) is kind and (kind is list or kind is dict or kind not in _SIZED or len(value) == length)
    return mark is value
