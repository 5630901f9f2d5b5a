"""What a checkpoint's bytes call to make memoryviews, mapped memory and ctypes. As in `rebuild`, names and arguments
never change."""

from __future__ import annotations

import ctypes
import io
import mmap
import os
from typing import Any

from .verdict import Unloadable


def memory(exporter: Any, offset: int, nbytes: int, format: str, shape: tuple[int, ...], readonly: bool) -> memoryview:
    """A memoryview of a part of `exporter`."""
    view = _bytes_of(exporter)[offset : offset + nbytes]
    view = view.toreadonly() if readonly else view
    if format == "B" and len(shape) == 1:
        return view
    return view.cast(format, shape)  # type: ignore[call-overload, no-any-return]


def strided_memory(
    exporter: Any, offset: int, itemsize: int, format: str, length: int, stride: int, readonly: bool
) -> memoryview:
    """A memoryview of every so-manieth item."""
    whole = _bytes_of(exporter)
    step = stride // itemsize
    last = offset + (length - 1) * stride
    first, end = min(offset, last), max(offset, last) + itemsize
    view = whole[first:end]
    view = view.toreadonly() if readonly else view
    return (view if format == "B" else view.cast(format))[::step]  # type: ignore[call-overload, no-any-return]


def _bytes_of(exporter: Any) -> memoryview:
    whole = exporter.getbuffer() if isinstance(exporter, io.BytesIO) else memoryview(exporter)
    return whole if whole.format == "B" and whole.ndim == 1 else whole.cast("B")


def closed_map() -> mmap.mmap:
    made = mmap.mmap(-1, 1)
    made.close()
    return made


def anonymous_map(contents: bytes, access: str, position: int, is_shared: bool) -> mmap.mmap:
    """Memory without a file, with the same contents."""
    made = mmap.mmap(-1, len(contents), flags=mmap.MAP_SHARED if is_shared else mmap.MAP_PRIVATE)
    made[:] = contents
    if access == "ACCESS_READ":
        made.close()
        raise Unloadable("memory without a file that was mapped for reading cannot be made")
    made.seek(position)
    return made


def file_map(
    path: str, access: str, length: int, position: int, offset: int, protection: str, contents: bytes | None
) -> mmap.mmap:
    """A file mapped as before; it is opened as it is, and never truncated. Private changes are `contents`."""
    writes = "w" in protection and protection[3:] == "s"
    try:
        descriptor = os.open(path, (os.O_RDWR if writes else os.O_RDONLY) | os.O_CLOEXEC)
    except OSError as error:
        raise Unloadable(f"its file {path} cannot be opened: {error.strerror}") from None
    try:
        if os.fstat(descriptor).st_size < offset + length:
            raise Unloadable(f"its file {path} is shorter than it was")
        if access != "ACCESS_DEFAULT":
            made = mmap.mmap(descriptor, length, access=getattr(mmap, access), offset=offset)
        else:
            flags = mmap.MAP_SHARED if protection[3:] == "s" else mmap.MAP_PRIVATE
            wanted = (mmap.PROT_READ if "r" in protection else 0) | (mmap.PROT_WRITE if "w" in protection else 0)
            made = mmap.mmap(descriptor, length, flags, wanted, offset=offset)
    finally:
        os.close(descriptor)
    if contents is not None:
        made[:] = contents
    made.seek(position)
    return made


def array_class(kind: Any, length: int) -> Any:
    return kind * length


def structure_class(name: str, bases: tuple[type, ...], contents: dict[str, Any]) -> Any:
    # The types of such classes have no names by which they could be found.
    return type(bases[0])(name, bases, contents)


def pointer(kind: Any, target: Any) -> Any:
    return kind(target) if issubclass(kind, ctypes._Pointer) else ctypes.pointer(target)
