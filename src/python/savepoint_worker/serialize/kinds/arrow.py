"""pyarrow: readers and files, which pickle cannot take, and memory that others can write to."""

from __future__ import annotations

import os
from typing import Any

from .. import rebuild_arrow, surroundings
from ..handlers import register
from ..verdict import EQUAL, Unsaveable

#: What was read from a reader, so that it is the same when it is saved again; the reader itself is used up.
_taken: dict[int, tuple[Any, list[Any]]] = {}


@register("pyarrow.lib.RecordBatchReader")
def reader(pickler: Any, value: Any) -> Any:
    """The batches that are still to come."""
    if not surroundings.is_expendable():
        raise Unsaveable("its batches can only be seen by reading them", value)
    if id(value) not in _taken:
        _taken[id(value)] = (value, list(value))
    return rebuild_arrow.reader, (value.schema, _taken[id(value)][1])


@register("pyarrow.lib.OSFile")
def file(pickler: Any, value: Any) -> Any:
    """One that is read; to open one for writing would empty it."""
    if value.closed or not value.readable() or value.writable():
        raise Unsaveable("a file of pyarrow that is written, or closed, cannot be saved", value)
    return rebuild_arrow.file, (os.readlink(f"/proc/self/fd/{value.fileno()}"), value.tell())


@register("pyarrow.lib.BufferReader")
def buffer_reader(pickler: Any, value: Any) -> Any:
    """With its bytes and its position."""
    if value.closed:
        raise Unsaveable("a closed file of pyarrow cannot be saved", value)
    position = value.tell()
    value.seek(0)
    contents = value.read_buffer()
    value.seek(position)
    return rebuild_arrow.buffer_reader, (contents, position)


@register("pyarrow.lib.Buffer", rank=EQUAL, tier=0)
def buffer(pickler: Any, value: Any) -> Any:
    """Its bytes."""
    if value.is_mutable:
        pickler.note("a buffer of pyarrow is kept as bytes that do not change")
    return NotImplemented


@register("pyarrow._parquet.ParquetReader", "pyarrow.lib.NativeFile", "pyarrow.lib.MemoryMappedFile")
def other_file(pickler: Any, value: Any) -> Any:
    raise Unsaveable("an open file of pyarrow cannot be saved; open it again", value)


@register("pyarrow.parquet.core.ParquetFile")
def parquet_file(pickler: Any, value: Any) -> Any:
    """Opened again by its path."""
    source = getattr(value, "_source", None)
    path = source if isinstance(source, (str, os.PathLike)) else None
    if path is None:
        raise Unsaveable("where it is read from is not known; open it again", value)
    return rebuild_arrow.parquet_file, (os.path.abspath(path),)
