"""Memory and what points at it: memoryviews, mapped memory, ctypes."""

from __future__ import annotations

import array
import ctypes
import gc
import io
import mmap
import re
import sys
from typing import Any

from .. import rebuild_memory
from ..handlers import register
from ..verdict import REBUILT, Unsaveable

#: What `repr` of mapped memory says; nothing else tells.
_SHOWN = re.compile(r"access=(\w+), length=(\d+), pos=(\d+), offset=(\d+)")
_MAPS_LINE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) (....) ([0-9a-f]+) \S+ \d+\s*(.*)")


class _Buffer(ctypes.Structure):
    """Py_buffer, of which only the address is read."""

    _fields_ = [
        ("buf", ctypes.c_void_p), ("obj", ctypes.py_object), ("len", ctypes.c_ssize_t),
        ("itemsize", ctypes.c_ssize_t), ("readonly", ctypes.c_int), ("ndim", ctypes.c_int),
        ("format", ctypes.c_char_p), ("shape", ctypes.c_void_p), ("strides", ctypes.c_void_p),
        ("suboffsets", ctypes.c_void_p), ("internal", ctypes.c_void_p),
    ]  # fmt: skip


_FULL_READ_ONLY = 0x011C
# Not `ctypes.pythonapi`, whose functions the whole process shares, with the types that others gave them.
_python = ctypes.PyDLL(None)


def address_of(exporter: Any) -> int:
    """Where the memory of an object begins. Raises BufferError if it shows none."""
    buffer = _Buffer()
    _python.PyObject_GetBuffer(ctypes.py_object(exporter), ctypes.byref(buffer), _FULL_READ_ONLY)
    try:
        return buffer.buf or 0
    finally:
        _python.PyBuffer_Release(ctypes.byref(buffer))


@register("builtins.memoryview")
def memory(pickler: Any, value: memoryview) -> Any:
    """A view of memory that is kept itself."""
    exporter = value.obj
    if type(exporter).__name__ == "_BytesIOBuffer":
        (exporter,) = (each for each in gc.get_referents(exporter) if isinstance(each, io.BytesIO))
        whole = exporter.getbuffer()
    elif isinstance(exporter, _exporters()):
        whole = memoryview(exporter)
    else:
        raise Unsaveable("a memoryview of this object cannot be saved; keep the object", value)
    if not whole.c_contiguous or not (value.c_contiguous or value.ndim == 1):
        raise Unsaveable("a memoryview of a part of an object in several dimensions cannot be saved", value)
    offset = address_of(value) - address_of(whole) if value.nbytes else 0
    if value.c_contiguous:
        arguments = (exporter, offset, value.nbytes, value.format, value.shape, value.readonly)
        return rebuild_memory.memory, arguments
    (length,), (stride,) = value.shape, value.strides
    arguments = (exporter, offset, value.itemsize, value.format, length, stride, value.readonly)
    return rebuild_memory.strided_memory, arguments


def _exporters() -> tuple[type, ...]:
    numpy = sys.modules.get("numpy")
    more = (numpy.ndarray,) if numpy is not None else ()
    return (bytes, bytearray, array.array, mmap.mmap, ctypes.Array, ctypes.Structure, *more)


@register("mmap.mmap", subclasses=False)
def mapped(pickler: Any, value: mmap.mmap) -> Any:
    """Mapped memory: that of a file by its path, other memory with its contents."""
    shown = _SHOWN.search(mmap.mmap.__repr__(value))
    if shown is None:
        return rebuild_memory.closed_map, ()
    access, length, position, offset = shown[1], int(shown[2]), int(shown[3]), int(shown[4])
    protection, path = _mapping(address_of(value))
    if not path or path.endswith(" (deleted)"):
        return rebuild_memory.anonymous_map, (value[:], access, position, protection[3:] == "s")
    contents = value[:] if protection[3:] == "p" and "w" in protection else None
    return rebuild_memory.file_map, (path, access, length, position, offset, protection, contents)


def _mapping(address: int) -> tuple[str, str]:
    """How and from where the memory at an address is mapped."""
    with open("/proc/self/maps", encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            found = _MAPS_LINE.match(line)
            if found is not None and int(found[1], 16) <= address < int(found[2], 16):
                return found[3], found[5].rstrip("\n") if found[5].startswith("/") else ""
    raise Unsaveable("it is not known where its memory comes from")


# ----------------------------------------------------------------------------------------------------------- ctypes


def reduce_ctypes_class(pickler: Any, value: Any) -> Any:
    """A class made by ctypes, or None if it is one that can be imported or is not made of others."""
    kind = type(value).__name__
    if kind == "PyCArrayType" and "_length_" in vars(value) and "_type_" in vars(value):
        return rebuild_memory.array_class, (value._type_, value._length_)
    if kind == "PyCPointerType" and value.__name__.startswith("LP_"):
        return ctypes.POINTER, (value._type_,)
    if kind == "PyCFuncPtrType":
        raise Unsaveable("the type of a function in C cannot be saved", value)
    if kind in ("PyCStructType", "UnionType"):
        contents = {
            name: item
            for name, item in vars(value).items()
            if type(item).__name__ != "CField" and name not in ("__dict__", "__weakref__")
        }
        return rebuild_memory.structure_class, (value.__name__, value.__bases__, contents)
    return None


@register("_ctypes._Pointer", rank=REBUILT)
def pointer(pickler: Any, value: Any) -> Any:
    """One that points to an object of ctypes; or nowhere."""
    if not value:
        return type(value), ()
    address = ctypes.addressof(value.contents)
    for each in (value._objects or {}).values():
        if type(each) is value._type_ and ctypes.addressof(each) == address:
            return rebuild_memory.pointer, (type(value), each)
    raise Unsaveable("a pointer means nothing in another process", value)
