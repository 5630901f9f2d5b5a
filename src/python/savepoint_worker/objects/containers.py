"""Containers and buffers of the standard library."""

from __future__ import annotations

import array
import collections
import io
import types
from itertools import chain
from typing import TYPE_CHECKING, Any

from .kinds import MISSING, Kind, atoms, hold, is_same, register

if TYPE_CHECKING:
    from .walk import Walk

_WHOLE = slice(None)


def _save_list(obj: Any, walk: Walk) -> Any:
    copy = list.copy(obj)
    walk.push(copy)
    return copy


def _put_back_list(obj: Any, copy: list[Any]) -> None:
    if list.__len__(obj) != len(copy) or not is_same(list.__iter__(obj), copy):
        hold(list.copy(obj))
        list.__setitem__(obj, _WHOLE, copy)


def _save_dict(obj: Any, walk: Walk) -> Any:
    copy = dict.copy(obj)
    walk.push(list(copy.values()))
    walk.push(list(copy))
    return copy


def put_back_dict(obj: Any, copy: dict[Any, Any]) -> None:
    """Give a dict, or an instance of a subclass, the items of `copy`, in their order. No key is hashed anew."""
    if is_same_dict(obj, copy):
        return
    hold(dict.copy(obj))
    dict.clear(obj)
    dict.update(obj, copy)


def is_same_dict(obj: Any, copy: dict[Any, Any]) -> bool:
    """Has a dict the very keys and values that it had, in their order?"""
    try:
        return (
            dict.__len__(obj) == len(copy)
            and is_same(dict.__iter__(obj), copy)
            and is_same(dict.values(obj), copy.values())
        )
    except RuntimeError:
        # A thread changes it.
        return False


def _save_default(obj: Any, walk: Walk) -> Any:
    factory = _factory.__get__(obj)
    walk.push([factory])
    return factory, _save_dict(obj, walk)


def _put_back_default(obj: Any, state: Any) -> None:
    factory, copy = state
    _factory.__set__(obj, factory)
    put_back_dict(obj, copy)


_factory: Any = collections.defaultdict.__dict__["default_factory"]


def _save_ordered(obj: Any, walk: Walk) -> Any:
    items = list(_ordered.items(obj))
    walk.push([value for _, value in items])
    walk.push([key for key, _ in items])
    return items


def _put_back_ordered(obj: Any, items: list[tuple[Any, Any]]) -> None:
    present = list(_ordered.items(obj))
    if len(present) == len(items) and is_same(chain.from_iterable(present), chain.from_iterable(items)):
        return
    hold(present)
    _ordered.clear(obj)
    for key, value in items:
        _ordered.__setitem__(obj, key, value)


_ordered: Any = collections.OrderedDict


def _save_set(obj: Any, walk: Walk) -> Any:
    copy = set.copy(obj)
    items = tuple(set.__iter__(obj))
    walk.push(items)
    return copy, items


def _put_back_set(obj: Any, state: Any) -> None:
    copy, items = state
    try:
        if set.__len__(obj) == len(items) and is_same(set.__iter__(obj), items):
            return
    except RuntimeError:
        pass
    hold(set.copy(obj))
    set.clear(obj)
    # From a set: then no item is hashed anew.
    set.update(obj, copy)


def _save_deque(obj: Any, walk: Walk) -> Any:
    items = tuple(collections.deque.__iter__(obj))
    walk.push(items)
    return items


def _put_back_deque(obj: Any, items: tuple[Any, ...]) -> None:
    present = tuple(collections.deque.__iter__(obj))
    if len(present) != len(items) or not is_same(present, items):
        hold(present)
        collections.deque.clear(obj)
        collections.deque.extend(obj, items)


def _save_bytearray(obj: Any, walk: Walk) -> Any:
    return _buffer(walk, bytearray.__len__(obj), lambda: bytes(obj))


def _put_back_bytearray(obj: Any, content: list[bytes]) -> None:
    bytearray.__setitem__(obj, _WHOLE, content[0])


def _save_array(obj: Any, walk: Walk) -> Any:
    return _buffer(walk, array.array.__len__(obj) * obj.itemsize, lambda: array.array.__copy__(obj))


def _put_back_array(obj: Any, content: list[Any]) -> None:
    array.array.__setitem__(obj, _WHOLE, content[0])


def _buffer(walk: Walk, size: int, read: Any) -> list[Any]:
    content: list[Any] = []
    walk.buffer(size, lambda: content.append(read()))
    return content


def _save_bytes_io(obj: Any, walk: Walk) -> Any:
    if obj.closed:
        return b"", -1
    return io.BytesIO.getvalue(obj), io.BytesIO.tell(obj)


def _put_back_bytes_io(obj: Any, state: tuple[bytes, int]) -> None:
    value, position = state
    if position < 0:
        io.BytesIO.close(obj)
        return
    if obj.closed or len(io.BytesIO.getvalue(obj)) != len(value):
        io.BytesIO.__init__(obj, value)
    elif io.BytesIO.getvalue(obj) != value:
        # Who looks at its buffer goes on to see it.
        io.BytesIO.getbuffer(obj)[:] = value
    io.BytesIO.seek(obj, position)


def _save_string_io(obj: Any, walk: Walk) -> Any:
    # Value, newline, position; its attributes are saved as those of any other instance.
    return None if obj.closed else io.StringIO.__getstate__(obj)  # type: ignore[attr-defined]


def _put_back_string_io(obj: Any, state: Any) -> None:
    if state is None:
        io.StringIO.close(obj)
        return
    value, newline, position = state[:3]
    if obj.closed or io.StringIO.getvalue(obj) != value:
        io.StringIO.__init__(obj, value, newline)
    io.StringIO.seek(obj, position)


def _save_cell(obj: Any, walk: Walk) -> Any:
    try:
        content = obj.cell_contents
    except ValueError:
        return MISSING
    walk.push([content])
    return content


def _put_back_cell(obj: Any, content: Any) -> None:
    try:
        present = obj.cell_contents
    except ValueError:
        present = MISSING
    if present is content:
        return
    hold(present)
    if content is MISSING:
        del obj.cell_contents
    else:
        obj.cell_contents = content


def _save_tuple(obj: Any, walk: Walk) -> None:
    walk.push(list(tuple.__iter__(obj)))


def _save_frozenset(obj: Any, walk: Walk) -> None:
    walk.push(list(frozenset.__iter__(obj)))


register(Kind(_save_list, _put_back_list, links=True), list)
register(Kind(_save_dict, put_back_dict, links=True), dict)
register(Kind(_save_default, _put_back_default, links=True), collections.defaultdict)
register(Kind(_save_ordered, _put_back_ordered, links=True), collections.OrderedDict)
register(Kind(_save_set, _put_back_set, links=True), set)
register(Kind(_save_deque, _put_back_deque, links=True), collections.deque)
register(Kind(_save_bytearray, _put_back_bytearray, links=True), bytearray)
register(Kind(_save_array, _put_back_array, links=True), array.array)
register(Kind(_save_bytes_io, _put_back_bytes_io, links=True), io.BytesIO)
register(Kind(_save_string_io, _put_back_string_io, links=True), io.StringIO)
register(Kind(_save_cell, _put_back_cell, links=True), types.CellType)
register(Kind(_save_tuple), tuple)
register(Kind(_save_frozenset), frozenset)
atoms(
    int, float, complex, bool, str, bytes, type(None), type(...), type(NotImplemented), range, types.CodeType,
    types.WrapperDescriptorType, types.MethodDescriptorType, types.ClassMethodDescriptorType,
    types.GetSetDescriptorType, types.MemberDescriptorType, object,
)  # fmt: skip
