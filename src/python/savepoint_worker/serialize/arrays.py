"""NumPy arrays and what is made of them.

Two arrays over one memory still share it after a load: a view is kept as its place in the array that it looks into.
Plain pickle makes copies. The exception are pandas' blocks: pandas counts who shares a block's memory, the count is not
part of a pickle, and without it writing to one frame would change the other. Their arrays are kept one by one.
"""

from __future__ import annotations

import array
import os
import sys
from typing import Any

from . import rebuild, rebuild_arrays
from .handlers import register
from .verdict import EQUAL, EXACT, Unsaveable


@register("numpy.ndarray", rank=EXACT, subclasses=False)
def ndarray(pickler: Any, value: Any) -> Any:
    """Arrays by their memory; views by their place in it."""
    root = _root(value)
    if root is value:
        return _owner(pickler, value)
    if value.size == 0:
        return NotImplemented
    writeable = bool(value.flags.writeable)
    if _has_plain_layout(root) and (not value.dtype.hasobject or value.dtype == root.dtype):
        offset = _address(value) - _address(root)
        return rebuild_arrays.view, (root, offset, value.shape, value.strides, value.dtype, writeable)
    pickler.rate(EQUAL)
    pickler.note("it no longer shares memory with the array that it is a view of")
    return NotImplemented


def _root(value: Any) -> Any:
    """The array at the end of the chain of views."""
    import numpy

    while True:
        base = value.base
        if type(base).__name__ == "DummyArray":
            # `as_strided` puts this between an array and its view.
            base = base.base
        if not isinstance(base, numpy.ndarray):
            return value
        value = base


def _owner(pickler: Any, value: Any) -> Any:
    """An array that is no view of another one."""
    exporter = value.base.obj if isinstance(value.base, memoryview) else value.base
    # An exporter that nobody but this array refers to is only the memory of it.
    if type(exporter) in (bytearray, array.array) and value.size and sys.getrefcount(exporter) > _REFERENCES_TO_OWN:
        offset = _address(value) - _address_of_buffer(exporter)
        return rebuild_arrays.over, (exporter, offset, value.shape, value.strides, value.dtype)
    if exporter is not None and type(exporter) is not bytes:
        # Its memory is somebody else's; the copy has its own.
        pickler.rate(EQUAL)
    if value.flags.forc or not value.flags.owndata or value.dtype.hasobject:
        return NotImplemented
    # Its axes lie in another order in memory (`copy` of a transposed array of three axes). Pickle would change that.
    order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
    return rebuild_arrays.permuted, (_Alone(value.transpose(order)), order)


def _has_plain_layout(root: Any) -> bool:
    """Will the array lie in memory after a load as it does now?"""
    return bool(root.flags.forc or (root.flags.owndata and not root.dtype.hasobject))


def _address(value: Any) -> int:
    address: int = value.__array_interface__["data"][0]
    return address


def _address_of_buffer(exporter: Any) -> int:
    import numpy

    return _address(numpy.frombuffer(exporter, numpy.uint8))


def _references_to_own() -> int:
    exporter = bytearray(1)
    base = memoryview(exporter)
    count = sys.getrefcount(exporter)
    del base
    return count


#: What `sys.getrefcount` says in `_owner` of an exporter that only one memoryview and a local variable know.
_REFERENCES_TO_OWN = _references_to_own()


class _Alone:
    """An array that is kept without regard to what shares its memory."""

    def __init__(self, value: Any) -> None:
        self.value = value


@register(f"{_Alone.__module__}.{_Alone.__qualname__}", rank=EXACT)
def _alone(pickler: Any, value: _Alone) -> Any:
    return value.value.__reduce_ex__(5)


@register("pandas._libs.internals.Block", rank=EQUAL)
def pandas_block(pickler: Any, value: Any) -> Any:
    """Part of a DataFrame or Series; see above."""
    import numpy

    make, arguments, *rest = value.__reduce_ex__(5)
    if arguments and type(arguments[0]) is numpy.ndarray:
        arguments = (_Alone(arguments[0]), *arguments[1:])
    return (make, arguments, *rest)


@register("numpy.memmap", subclasses=False)
def memmap(pickler: Any, value: Any) -> Any:
    """An array in a file is opened again; the file has to be there, and its contents are those that it has then."""
    import numpy

    path = getattr(value, "filename", None)
    if isinstance(value.base, numpy.ndarray) or path is None or value.mode == "c":
        pickler.note("it is no longer connected with its file; the contents are kept")
        return rebuild_arrays.plain, (numpy.array(value),)
    order = "F" if value.flags.f_contiguous and not value.flags.c_contiguous else "C"
    arguments = (os.path.abspath(path), value.dtype, value.mode, value.offset, value.shape, order)
    return rebuild_arrays.memmap, arguments


@register("builtins.memoryview")
def memory(pickler: Any, value: memoryview) -> Any:
    """A view of memory that is kept itself."""
    exporter = value.obj
    numpy = sys.modules.get("numpy")
    known = (bytes, bytearray, array.array, getattr(numpy, "ndarray", bytes))
    if not value.c_contiguous or type(exporter) not in known:
        raise Unsaveable("a memoryview of this object cannot be saved; keep the object")
    whole = memoryview(exporter)
    if value.nbytes == whole.nbytes:
        offset = 0
    elif numpy is not None and value.nbytes and whole.c_contiguous:
        offset = _address(numpy.frombuffer(value, numpy.uint8)) - _address(numpy.frombuffer(whole, numpy.uint8))
    else:
        raise Unsaveable("a memoryview of a part of an object cannot be saved; keep the object")
    return rebuild.memory, (exporter, offset, value.nbytes, value.format, value.shape, value.readonly)
