"""Open files: kept as path, mode and position, and opened again without changing the file.

Pickle cannot, and others truncate a file that was open for writing when they load it. In the process that writes a
checkpoint every descriptor is read-only, so asking a file for its position can never write what is still buffered.
"""

from __future__ import annotations

import io
import os
import stat
from typing import Any

from .. import rebuild_files
from ..handlers import register
from ..verdict import Unsaveable

#: A temporary file without a name is kept with its contents up to this size.
TEMPORARY_BYTES_MAX = 64 * 1024 * 1024


@register("_io.TextIOWrapper", "_io.BufferedReader", "_io.BufferedWriter", "_io.BufferedRandom", "_io.FileIO")
def file(pickler: Any, value: Any) -> Any:
    """A file on disk, open or closed."""
    opening = _opening(value)
    if value.closed:
        return rebuild_files.closed_file, (_path_of_closed(value), opening)
    try:
        descriptor = value.fileno()
        status = os.fstat(descriptor)
    except (OSError, io.UnsupportedOperation):
        raise Unsaveable("this stream is not a file on disk") from None
    if not stat.S_ISREG(status.st_mode):
        raise Unsaveable("an open pipe, terminal or device cannot be saved")
    path = os.readlink(f"/proc/self/fd/{descriptor}")
    position = _position(value)
    if status.st_nlink == 0:
        if status.st_size > TEMPORARY_BYTES_MAX:
            raise Unsaveable("its file has been deleted, and is too large to be kept")
        return rebuild_files.temporary_file, (_contents(descriptor, status.st_size), opening, position)
    return rebuild_files.open_file, (path, opening, position)


@register("tempfile._TemporaryFileWrapper", "tempfile.SpooledTemporaryFile", "tempfile.TemporaryDirectory")
def named_temporary_file(pickler: Any, value: Any) -> Any:
    """These delete what they stand for when their process ends."""
    raise Unsaveable("it is deleted together with the process that made it")


def _opening(value: Any) -> dict[str, Any]:
    """How the file was opened."""
    buffer = value.buffer if isinstance(value, io.TextIOWrapper) else value
    raw = getattr(buffer, "raw", buffer)
    mode = getattr(raw, "mode", "rb")
    if isinstance(value, io.TextIOWrapper):
        return {
            "mode": mode.replace("b", ""),
            "encoding": value.encoding,
            "errors": value.errors,
            "line_buffering": value.line_buffering,
            "shown_mode": getattr(value, "mode", None),
        }
    return {"mode": mode, "buffering": 0 if buffer is raw else -1}


def _position(value: Any) -> int:
    try:
        position: int = value.tell()
    except OSError as error:
        if "telling position disabled" in str(error):
            raise Unsaveable("its position is not known while it is read line by line; read on to its end") from None
        raise Unsaveable("it holds text that is not written yet; flush() it first") from None
    return position


def _path_of_closed(value: Any) -> Any:
    try:
        return value.name
    except (AttributeError, ValueError):
        return ""


def _contents(descriptor: int, size: int) -> bytes:
    # Opened anew, since it may be open for writing only; and no position of the user's is moved.
    with open(f"/proc/self/fd/{descriptor}", "rb") as again:
        return again.read(size)
