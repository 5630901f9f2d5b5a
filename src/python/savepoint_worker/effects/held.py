"""Files that can be written to already when a recording begins: no event tells of what is written to them.

A small one is copied. Of a larger one that is only added to, it is enough to know how long it was.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from ..copies.freeze import open_descriptors
from . import databases
from .copies import State, copy_to, words_for
from .paths import followed

if TYPE_CHECKING:
    from .recorder import Recorder

#: Copies delay the begin, so only what is small is copied; all of them together, too.
COPIED_BYTES_MAX = 16 * 1024 * 1024
TOO_LARGE = "it was open for writing when the transaction began, and is too large"
# User code may put its own in its place.
_fstat, _lseek = os.fstat, os.lseek


def note_all(recorder: Recorder) -> None:
    """Note each file below the working folder that is open for writing."""
    found = _found(recorder)
    bases = {path for path, (descriptor, flags, _) in found.items() if _is_database(path, descriptor, flags)}
    beside = {path + ending for path in bases for ending in databases.BESIDE}
    room = COPIED_BYTES_MAX
    for path, (descriptor, flags, state) in found.items():
        if path in bases:
            databases.note_held(recorder, path, TOO_LARGE if state.size > room else "")
            room -= state.size
        elif path not in beside:
            room -= _note(recorder, path, state, descriptor, flags, room)


def _found(recorder: Recorder) -> dict[str, tuple[int, int, State]]:
    """Such files: a descriptor of each, how it was opened, and its state."""
    found: dict[str, tuple[int, int, State]] = {}
    assert recorder.places is not None
    for each in open_descriptors():
        if each.flags & os.O_ACCMODE == os.O_RDONLY or each.flags & os.O_PATH or not each.target.startswith("/"):
            continue
        path = followed(each.number)
        if path is None or path in found or recorder.places.is_ours(path) or not recorder.places.is_kept(path):
            continue
        state = State.of(_fstat(each.number))
        if state.is_regular():
            found[path] = each.number, each.flags, state
    return found


def _is_database(path: str, descriptor: int, flags: int) -> bool:
    return flags & os.O_ACCMODE == os.O_RDWR and databases.is_held(path, descriptor)


def _note(recorder: Recorder, path: str, state: State, descriptor: int, flags: int, room: int) -> int:
    """Note one; the bytes that were copied."""
    entry: dict[str, Any] = {"do": "held", "path": path, "state": state.values, "copy": 0, "kept": True}
    if state.size <= room:
        number, target = recorder.new_copy(state.size)
        try:
            copy_to(path, target)
            entry["copy"] = number
        except OSError as error:
            entry["why"] = words_for(error)
    elif not flags & os.O_APPEND and _lseek(descriptor, 0, os.SEEK_CUR) < state.size:
        entry["why"] = TOO_LARGE
    recorder.note(entry)
    return state.size if entry.get("copy") else 0
