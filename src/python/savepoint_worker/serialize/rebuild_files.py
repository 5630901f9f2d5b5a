"""What a checkpoint's bytes call to open files. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from .verdict import Unloadable

#: What must not happen to a file because a checkpoint is loaded.
_HARMFUL = os.O_TRUNC | os.O_EXCL | os.O_CREAT


def open_file(path: str, opening: dict[str, Any], position: int) -> Any:
    """The file at `path`, as it is now, at the position where it was."""
    if not os.path.isfile(path):
        raise Unloadable(f"its file {path} is not there")
    writes = any(letter in opening["mode"] for letter in "wxa+")
    if writes and "encoding" not in opening and os.path.getsize(path) < position:
        raise Unloadable(f"its file {path} is shorter than it was")
    try:
        made = _open(path, opening)
        if "a" not in opening["mode"]:
            made.seek(position)
    except (OSError, ValueError) as error:
        raise Unloadable(f"its file {path} cannot be opened as it was: {error}") from None
    return made


def closed_file(path: Any, opening: dict[str, Any]) -> Any:
    """A file that was closed already: nothing is opened."""
    made = _open(os.devnull, {**opening, "mode": opening["mode"].replace("x", "w")})
    buffer = getattr(made, "buffer", made)
    getattr(buffer, "raw", buffer).name = path
    made.close()
    return made


def temporary_file(contents: bytes, opening: dict[str, Any], position: int) -> Any:
    """A temporary file without a name, with the same contents."""
    arguments = {key: value for key, value in opening.items() if key in ("buffering", "encoding", "errors")}
    mode = opening["mode"]
    made = tempfile.TemporaryFile(mode if "w" in mode or "+" in mode else mode + "+", **arguments)
    os.pwrite(made.fileno(), contents, 0)
    made.seek(position)
    return made


def _open(path: str, opening: dict[str, Any]) -> Any:
    arguments = {key: value for key, value in opening.items() if key in ("buffering", "encoding", "errors")}
    if "encoding" in opening and opening["line_buffering"]:
        arguments["buffering"] = 1
    made = open(path, opening["mode"], opener=lambda name, flags: os.open(name, flags & ~_HARMFUL), **arguments)
    if opening.get("shown_mode"):
        made.mode = opening["shown_mode"]
    return made
