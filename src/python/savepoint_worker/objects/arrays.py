"""Arrays of numpy: the bytes of each buffer are copied once, by whoever owns them; views stay views."""

from __future__ import annotations

import array
import mmap
import sys
import warnings
from typing import TYPE_CHECKING, Any

from .code import FROZEN
from .kinds import NOTHING, Kind, atoms_named, hold, register
from .states import attributes

if TYPE_CHECKING:
    from .walk import Walk

#: They know their bytes themselves, or those never change.
_OWNERS = (bytes, bytearray, array.array, mmap.mmap)


def is_plain_scalar(kind: type) -> bool:
    """Is it a type of numpy's scalars that never change?"""
    numpy = sys.modules.get("numpy")
    generic, void = getattr(numpy, "generic", None), getattr(numpy, "void", None)
    return isinstance(generic, type) and issubclass(kind, generic) and not issubclass(kind, void)  # type: ignore[arg-type]


def _owner_of(value: Any, ndarray: type) -> Any:
    """Who holds the bytes that an array shows: an array, or something else."""
    while issubclass(type(value), ndarray) and value.base is not None:
        value = value.base
    while type(value) is memoryview:
        value = value.obj
    return value


def _save_array(obj: Any, walk: Walk) -> Any:
    import numpy

    ndarray = numpy.ndarray
    plain = ndarray.view(obj, ndarray)
    base = obj.base
    if base is not None:
        walk.push([base])
    if plain.dtype.names is not None:
        walk.push([plain.dtype])
    if plain.dtype.hasobject:
        walk.push(plain.ravel().tolist())
    content: list[Any] = []
    owner = _owner_of(obj, ndarray)
    if owner is obj or not (issubclass(type(owner), (ndarray, *_OWNERS)) or _is_readonly_view(plain, owner)):
        first, end = _range_of(plain)
        walk.groups.range(first, end)
        walk.buffer(plain.nbytes, lambda: content.append(ndarray.copy(plain, "K")))
    interface = _interface(plain)
    return content, interface, plain.flags.writeable


def _is_readonly_view(plain: Any, owner: Any) -> bool:
    return owner is not None and not plain.flags.writeable


def _interface(plain: Any) -> tuple[Any, ...]:
    return plain.__array_interface__["data"][0], plain.shape, plain.strides, plain.dtype


def _range_of(plain: Any) -> tuple[int, int]:
    first = end = plain.__array_interface__["data"][0]
    if plain.size == 0:
        return first, first
    for length, stride in zip(plain.shape, plain.strides):
        if stride < 0:
            first += (length - 1) * stride
        else:
            end += (length - 1) * stride
    return first, end + plain.itemsize


def _put_back_array(obj: Any, state: Any) -> str | None:
    import numpy

    content, interface, writeable = state
    ndarray = numpy.ndarray
    words = None
    plain = ndarray.view(obj, ndarray)
    if _interface(plain) != interface or plain.dtype is not interface[3]:
        del plain
        words = _reshape(obj, interface, ndarray)
        plain = ndarray.view(obj, ndarray)
    if content and words is None:
        if not obj.flags.writeable:
            ndarray.setflags(obj, write=True)
        target = ndarray.view(obj, ndarray)
        if target.dtype.hasobject:
            hold(target.copy())
        target[...] = content[0]
    if obj.flags.writeable != writeable:
        ndarray.setflags(obj, write=writeable)
    return words


def _reshape(obj: Any, interface: tuple[Any, ...], ndarray: Any) -> str | None:
    """Give an array the shape, the strides and the type that it had."""
    address, shape, strides, dtype = interface
    with warnings.catch_warnings():
        # To set these in place is frowned upon; but who did so before wants it undone in place.
        warnings.simplefilter("ignore")
        size = dtype.itemsize
        for length in shape:
            size *= length
        if obj.dtype is not dtype:
            if obj.nbytes == size and obj.flags.c_contiguous:
                ndarray.shape.__set__(obj, (obj.size,))
            ndarray.dtype.__set__(obj, dtype)
        if obj.nbytes != size:
            if obj.base is not None:
                return "the size of a view"
            ndarray.resize(obj, shape, refcheck=False)
        if obj.shape != shape or obj.strides != strides:
            if obj.shape != shape:
                ndarray.shape.__set__(obj, shape)
            if obj.strides != strides:
                ndarray.strides.__set__(obj, strides)
    return None


def _save_record(obj: Any, walk: Walk) -> Any:
    # One that belongs to an array shows that array's bytes.
    if obj.base is not None:
        walk.push([obj.base])
    if obj.dtype.names is None or (obj.base is not None and not obj.dtype.hasobject):
        return NOTHING
    return obj.copy()


def _put_back_record(obj: Any, saved: Any) -> None:
    for name in obj.dtype.names:
        obj[name] = saved[name]


def _save_dtype(obj: Any, walk: Walk) -> Any:
    walk.push([obj.metadata and dict(obj.metadata)])
    return NOTHING if obj.names is None else obj.names


def _put_back_dtype(obj: Any, names: tuple[str, ...]) -> None:
    if obj.names != names:
        obj.names = names


def _save_bits(obj: Any, walk: Walk) -> Any:
    walk.push([getattr(obj, "seed_seq", None)])
    return obj.state


def _put_back_bits(obj: Any, state: Any) -> None:
    obj.state = state


def _save_random_state(obj: Any, walk: Walk) -> Any:
    walk.push([obj._bit_generator])
    return obj.get_state(legacy=False)


def _put_back_random_state(obj: Any, state: Any) -> None:
    obj.set_state(state)


def _save_seed(obj: Any, walk: Walk) -> Any:
    return obj.n_children_spawned


def _put_back_seed(obj: Any, spawned: int) -> str | None:
    return None if obj.n_children_spawned == spawned else "the count of children of a SeedSequence"


register(Kind(_save_array, _put_back_array, links=True), "numpy.ndarray")
register(Kind(_save_dtype, _put_back_dtype), "numpy.dtypes.VoidDType", "numpy.dtype[void]")
register(Kind(_save_record, _put_back_record, links=True), "numpy.void")
register(attributes("_bit_generator", frozen=True), "numpy.random._generator.Generator")
register(Kind(_save_random_state, _put_back_random_state, links=True), "numpy.random.mtrand.RandomState")
register(
    Kind(_save_bits, _put_back_bits, links=True), "numpy.random._pcg64.PCG64", "numpy.random._pcg64.PCG64DXSM",
    "numpy.random._mt19937.MT19937", "numpy.random._philox.Philox", "numpy.random._sfc64.SFC64",
)  # fmt: skip
register(Kind(_save_seed, _put_back_seed), "numpy.random.bit_generator.SeedSequence")
register(FROZEN, "numpy.flatiter", "numpy.vectorize")
atoms_named(
    "numpy.dtype", "numpy.ufunc", "numpy._ArrayFunctionDispatcher", "numpy.flagsobj", "numpy._core.multiarray.flagsobj",
)  # fmt: skip
