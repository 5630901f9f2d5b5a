"""What a checkpoint's bytes call to make arrays. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import os
from typing import Any

from .verdict import Unloadable


def view(root: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any, writeable: bool) -> Any:
    """The array that lies `offset` bytes into the memory of `root`."""
    import numpy

    flat = _in_order_of_memory(numpy.asarray(root))
    if root.dtype.hasobject:
        # Objects have no bytes that one may look at.
        flat = flat[offset // root.dtype.itemsize :]
        made = numpy.lib.stride_tricks.as_strided(flat, shape, strides)
    else:
        made = numpy.ndarray(shape, dtype, flat.view(numpy.uint8), offset, strides)
    if not writeable:
        made.flags.writeable = False
    return made


def _in_order_of_memory(root: Any) -> Any:
    """All items of an array, as they lie in memory, without a copy."""
    order = sorted(range(root.ndim), key=lambda axis: -abs(root.strides[axis]))
    if root.flags.c_contiguous:
        return root.reshape(-1)
    return root.transpose(order).reshape(-1)


def over(exporter: Any, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], dtype: Any) -> Any:
    """An array over the memory of a bytearray or the like."""
    import numpy

    return numpy.ndarray(shape, dtype, exporter, offset, strides)


def permuted(contiguous: Any, order: list[int]) -> Any:
    """The array of which `contiguous` is the transposed one."""
    inverse = sorted(range(len(order)), key=order.__getitem__)
    return contiguous.transpose(inverse)


def plain(contents: Any) -> Any:
    return contents


def memmap(path: str, dtype: Any, mode: str, offset: int, shape: tuple[int, ...], order: str) -> Any:
    """An array in a file, which is opened as it is and never truncated."""
    import numpy

    if not os.path.isfile(path):
        raise Unloadable(f"its file {path} is not there")
    try:
        return numpy.memmap(path, dtype, "r+" if mode == "w+" else mode, offset, shape, order)  # type: ignore[call-overload]
    except (OSError, ValueError) as error:
        raise Unloadable(f"its file {path} cannot be opened as it was: {error}") from None


def owner(memory: Any, dtype: Any, shape: tuple[int, ...], order: str) -> Any:
    """An array over memory of its own."""
    import numpy

    return numpy.ndarray(shape, dtype, memory, order=order)  # type: ignore[call-overload]


def of_class(contents: Any, kind: Any) -> Any:
    return contents.view(kind)


def instance(kind: Any) -> Any:
    return object.__new__(kind)


def set_state(made: Any, state: dict[str, Any]) -> None:
    vars(made).update(state)


def from_function(function: Any, nin: int, nout: int, identity: Any) -> Any:
    import numpy

    return numpy.frompyfunc(function, nin, nout, identity=identity)
