"""What a checkpoint's bytes call to make things of pyarrow. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import os
from typing import Any

from .verdict import Unloadable


def reader(schema: Any, batches: list[Any]) -> Any:
    import pyarrow

    return pyarrow.RecordBatchReader.from_batches(schema, batches)


def file(path: str, position: int) -> Any:
    import pyarrow

    if not os.path.isfile(path):
        raise Unloadable(f"its file {path} is not there")
    made = pyarrow.OSFile(path, "rb")
    made.seek(position)
    return made


def buffer_reader(contents: Any, position: int) -> Any:
    import pyarrow

    made = pyarrow.BufferReader(contents)
    made.seek(position)
    return made


def parquet_file(path: str) -> Any:
    import pyarrow.parquet

    if not os.path.isfile(path):
        raise Unloadable(f"its file {path} is not there")
    return pyarrow.parquet.ParquetFile(path)
