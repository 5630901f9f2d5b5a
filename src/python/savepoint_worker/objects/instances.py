"""Instances of classes: their class, their `__dict__`, their slots, and what their solid base has in C."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import layout
from .containers import put_back_dict
from .kinds import ATOM, MISSING, NOTHING, Kind, hold

if TYPE_CHECKING:
    from .walk import Walk

_set_class = object.__dict__["__class__"].__set__


def instance_kind(kind: type, base: Kind | None) -> Kind:
    """What to do with instances of a class; `base`: with what they are in C, None if that is nothing."""
    get_dict, slots = layout.dict_of(kind), layout.slots_of(kind)
    if base is ATOM:
        base = None
    if base is not None and get_dict is None and not slots and not layout.is_heap_type(kind):
        return base
    if base is None and get_dict is not None and not slots:
        return _plain(kind, get_dict)
    if base is None and get_dict is None and not slots and not layout.is_heap_type(kind):
        return ATOM

    def save(obj: Any, walk: Walk) -> Any:
        attributes = get_dict(obj) if get_dict is not None else None
        copy = None
        if type(attributes) is dict:
            walk.mark(attributes)
            copy = attributes.copy()
            walk.push(list(copy.values()))
        values = [_read(slot, obj) for slot in slots]
        walk.push(values)
        in_c = base.save(obj, walk) if base is not None else NOTHING
        return attributes, copy, values, in_c

    def put_back(obj: Any, state: Any) -> str | None:
        attributes, copy, values, in_c = state
        if type(obj) is not kind:
            _set_class(obj, kind)
        if copy is not None and get_dict is not None:
            _put_back_attributes(obj, get_dict(obj), attributes, copy)
        for slot, value in zip(slots, values):
            _write(slot, obj, value)
        if base is not None and base.put_back is not None and in_c is not NOTHING:
            return base.put_back(obj, in_c)
        return None

    return Kind(save, put_back, links=base is None or base.links or get_dict is not None or bool(slots))


def _plain(kind: type, get_dict: Any) -> Kind:
    """Most instances: all that they have is in their `__dict__`."""

    def save(obj: Any, walk: Walk) -> Any:
        attributes = get_dict(obj)
        if type(attributes) is not dict:
            walk.push([attributes])
            return attributes, None
        walk.mark(attributes)
        copy = attributes.copy()
        walk.push(list(copy.values()))
        return attributes, copy

    def put_back(obj: Any, state: Any) -> str | None:
        attributes, copy = state
        if type(obj) is not kind:
            _set_class(obj, kind)
        _put_back_attributes(obj, get_dict(obj), attributes, copy)
        return None

    return Kind(save, put_back, links=True)


def _put_back_attributes(obj: Any, present: Any, attributes: Any, copy: dict[str, Any] | None) -> None:
    if present is not attributes:
        hold(present)
        layout.set_dict(obj, attributes)
    if copy is not None:
        put_back_dict(attributes, copy)


def _read(slot: Any, obj: Any) -> Any:
    try:
        return slot.__get__(obj)
    except AttributeError:
        return MISSING


def _write(slot: Any, obj: Any, value: Any) -> None:
    present = _read(slot, obj)
    if present is value:
        return
    hold(present)
    if value is MISSING:
        slot.__delete__(obj)
    else:
        slot.__set__(obj, value)
