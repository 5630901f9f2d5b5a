"""Where instances of a class keep their state: in a `__dict__`, in slots, and in fields of a C structure.

Of a class that was written in Python the first two are all there is. What is beyond belongs to the class that it is
built upon, its solid base: `list` for a subclass of list, `object` for an ordinary class.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

_POINTER_BYTES = tuple.__itemsize__
_HEAP_TYPE = 1 << 9
_get_bases = type.__dict__["__mro__"].__get__
_get_attributes = type.__dict__["__dict__"].__get__


def mro_of(kind: type) -> tuple[type, ...]:
    """The classes in whose order attributes are looked up, past any metaclass."""
    mro: tuple[type, ...] = _get_bases(kind)
    return mro


def attributes_of(kind: type) -> Any:
    """The attributes of the class itself, past any metaclass."""
    return _get_attributes(kind)


def is_heap_type(kind: type) -> bool:
    """Can attributes of the class be set?"""
    return bool(kind.__flags__ & _HEAP_TYPE)


def adds_nothing_in_c(kind: type) -> bool:
    """Have instances no more than those of the base, but for a `__dict__` and slots?"""
    base = kind.__base__
    if base is None or kind.__itemsize__ != base.__itemsize__:
        return False
    if kind.__basicsize__ == base.__basicsize__:
        return True
    if not is_heap_type(kind):
        return False
    attributes = attributes_of(kind)
    names = ("__dict__", "__weakref__")
    explained = sum(name in attributes for name in names) + len(_own_slots(kind))
    return kind.__basicsize__ - base.__basicsize__ <= explained * _POINTER_BYTES


def _own_slots(kind: type) -> list[Any]:
    attributes = attributes_of(kind)
    if "__slots__" not in attributes:
        return []
    return [value for value in attributes.values() if type(value) is types.MemberDescriptorType]


def slots_of(kind: type) -> list[Any]:
    """Descriptors of all the slots that instances have."""
    return [slot for each in mro_of(kind) for slot in _own_slots(each)]


def dict_of(kind: type) -> Callable[[Any], dict[str, Any]] | None:
    """What gets an instance's `__dict__`, whatever the class made of that name; None if instances have none."""
    for each in mro_of(kind):
        found = attributes_of(each).get("__dict__")
        if type(found) is types.GetSetDescriptorType:
            return found.__get__
        if type(found) is types.MemberDescriptorType:
            return found.__get__
    return None


def set_dict(instance: Any, attributes: dict[str, Any]) -> None:
    """Replace an instance's `__dict__`. Raises what its type raises if that cannot be."""
    for each in mro_of(type(instance)):
        found = attributes_of(each).get("__dict__")
        if type(found) is types.GetSetDescriptorType:
            found.__set__(instance, attributes)
            return
    raise TypeError("it has no dictionary")
