"""Which variables share objects, and so have to be saved and loaded together.

What two variables share must be one object again after a load. But what is loaded together is lost together, and much
is shared that does not matter: strings, classes that can be imported, numpy's dtypes. So only objects that can be told
apart from a copy count.
"""

from __future__ import annotations

import io
import pickle
import sys
import types
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

from .handlers import is_exact
from .pickler import memoized

#: Cannot be told from an equal one, or are found by name. What is in a tuple counts for itself.
_INDIFFERENT: frozenset[type] = frozenset(
    [str, bytes, int, float, complex, bool, tuple, frozenset, range, slice, type(None), type(...), type(NotImplemented)]
    + [types.ModuleType, types.CodeType, types.BuiltinFunctionType, types.MethodType, types.MethodDescriptorType]
)
#: Of these nothing can be shared that matters, nor are they made of anything.
PLAIN: frozenset[type] = frozenset([str, bytes, int, float, complex, bool, type(None)])
#: Cannot be referred to weakly.
_NEVER_WEAK: frozenset[type] = frozenset([dict, list, bytearray]) | _INDIFFERENT
#: Of the types that `handlers` knows as exact, these can be changed.
_CHANGEABLE = frozenset(
    ["array.array", "io.BytesIO", "io.StringIO", "_io.BytesIO", "_io.StringIO"]
    + ["random.Random", "types.SimpleNamespace"]
    + [f"collections.{name}" for name in ("Counter", "OrderedDict", "defaultdict", "deque")]
    + ["numpy.random._generator.Generator"]
)


def shareable(objects: Iterable[Any], written_by_value: set[int], ignored: set[int]) -> list[int]:
    """Ids of those objects, written by one variable, that another variable could refer to as well.

    An object that only one other refers to is not among them: who shares it shares also the one that refers to it.
    """
    return [
        id(value)
        # The iterable must hold a reference to each object, and hand it on without another one.
        for value in objects
        if (
            sys.getrefcount(value) > _REFERENCES_TO_OWNED
            or (type(value) not in _NEVER_WEAK and _is_weakly_referenced(value))
        )
        and _matters(value, written_by_value)
        and id(value) not in ignored
    ]


def _is_weakly_referenced(value: Any) -> bool:
    return weakref.getweakrefcount(value) > 0


def _matters(value: Any, written_by_value: set[int]) -> bool:
    kind = type(value)
    if kind in _INDIFFERENT:
        return False
    if issubclass(kind, (type, types.FunctionType)):
        return id(value) in written_by_value
    return not is_exact(kind) or f"{kind.__module__}.{kind.__qualname__}" in _CHANGEABLE


class Groups:
    """Names that belong together, found one after the other."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}
        self._owners: dict[int, str] = {}

    def add(self, name: str, ids: Iterable[int]) -> None:
        """A variable and the objects that it could share; with those that it does share it becomes one group."""
        self._parents[name] = name
        for identity in ids:
            owner = self._owners.setdefault(identity, name)
            if owner != name:
                self._parents[self._first_of(owner)] = self._first_of(name)

    def __iter__(self) -> Iterator[list[str]]:
        """The groups, each in the order in which its names were added."""
        members: dict[str, list[str]] = {}
        for name in self._parents:
            members.setdefault(self._first_of(name), []).append(name)
        return iter(members.values())

    def _first_of(self, name: str) -> str:
        while self._parents[name] != name:
            self._parents[name] = name = self._parents[self._parents[name]]
        return name


def _references_to_owned() -> int:
    """What `sys.getrefcount` says, in the loop of `shareable`, of an object that only one other object refers to."""
    pickler = pickle.Pickler(io.BytesIO(), protocol=5)
    pickler.dump([{_MARK: 0}])
    return max(
        sys.getrefcount(value)
        for value in memoized(pickler)
        if (
            type(value) is dict
            and _MARK in value
        )
    )  # fmt: skip


_MARK = "the only one of its kind"
_REFERENCES_TO_OWNED = _references_to_owned()
