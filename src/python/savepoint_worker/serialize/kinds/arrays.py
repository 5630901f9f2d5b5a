"""NumPy arrays and what is made of them.

Two arrays over one memory still share it after a load: a view is kept as its place in the array that it looks into.
Plain pickle makes copies. The exception are pandas' blocks: pandas counts who shares a block's memory, the count is not
part of a pickle, and without it writing to one frame would change the other. Their arrays are kept one by one.
"""

from __future__ import annotations

import array
import gc
import os
import pickle
import sys
from typing import Any

from .. import rebuild_arrays
from ..handlers import register
from ..verdict import EQUAL, EXACT, REBUILT


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
    if exporter is not None and type(exporter) not in (bytes, bytearray, memoryview):
        # Its memory is somebody else's; the copy has its own.
        pickler.rate(EQUAL)
        if value.flags.writeable and type(exporter).__name__ not in _MEMORY_OF_ARRAYS:
            pickler.note(f"an array no longer shares its memory with a {type(exporter).__name__}")
    if value.dtype.hasobject or value.dtype.itemsize == 0 or value.size == 0:
        return NotImplemented
    if value.flags.forc:
        return _bytes_of(value)
    if not value.flags.owndata:
        return NotImplemented
    # Its axes lie in another order in memory (`copy` of a transposed array of three axes). Pickle would change that.
    order = sorted(range(value.ndim), key=lambda axis: -value.strides[axis])
    return rebuild_arrays.permuted, (_Alone(value.transpose(order)), order)


def _bytes_of(value: Any) -> Any:
    """Its memory as it is. Pickle's own way makes a view of another array, which code that looks at `base` can see."""
    import numpy

    in_order = value if value.flags.c_contiguous else value.T
    flat = in_order.reshape(-1).view(numpy.uint8)
    order = "C" if value.flags.c_contiguous else "F"
    return rebuild_arrays.owner, (pickle.PickleBuffer(flat), value.dtype, value.shape, order)


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


#: Holders of memory that nobody looks at but through the array.
_MEMORY_OF_ARRAYS = ("PyCapsule", "_memory_holder", "Buffer", "ForeignBuffer", "PyArrowBuffer")


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


def reduce_subclass(pickler: Any, value: Any) -> Any:
    """An array of a class that says nothing of how it is pickled: numpy would forget its attributes."""
    import numpy

    state = dict(vars(value)) if hasattr(value, "__dict__") else {}
    return rebuild_arrays.of_class, (value.view(numpy.ndarray), type(value)), state, None, None, rebuild_arrays.set_state


@register("numpy.polynomial._polybase.ABCPolyBase", rank=EQUAL)
def polynomial(pickler: Any, value: Any) -> Any:
    """With its own arrays; its `__getstate__` makes copies."""
    return rebuild_arrays.instance, (type(value),), dict(vars(value)), None, None, rebuild_arrays.set_state


@register("numpy.ufunc", rank=EXACT)
def ufunc(pickler: Any, value: Any) -> Any:
    """One that was made of a Python function by `frompyfunc`; the others have names."""
    if not value.__name__.endswith(" (vectorized)"):
        return NotImplemented
    functions = [each for each in gc.get_referents(value) if callable(each)]
    if len(functions) != 1:
        return NotImplemented
    pickler.rate(REBUILT, 2)
    return rebuild_arrays.from_function, (functions[0], value.nin, value.nout, value.identity)
