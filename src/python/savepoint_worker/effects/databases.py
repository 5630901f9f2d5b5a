"""Databases of sqlite: C code writes them, so that only their opening is noted, and sqlite itself copies them.

To open and close such a file by other means would let go of the locks that this process has on it, and to write it by
other means would go past those of other processes.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from .copies import State, state_of
from .paths import followed

if TYPE_CHECKING:
    from .ledger import Entry
    from .recorder import Recorder

HEADER = b"SQLite format 3\0"
#: Files that sqlite makes beside a database, by what their names end in.
BESIDE = ("-journal", "-wal", "-shm")
#: How long others who write to a database are waited for.
LOCKED_S = 2.0


def opened(recorder: Recorder, database: Any) -> None:
    """A database is about to be opened."""
    try:
        text = os.fsdecode(database)
    except TypeError:
        return
    if text.startswith("file:"):
        # An address. What follows the path may hold keys, and is not told.
        text, _, query = text[len("file:") :].partition("?")
        if "mode=memory" in query or "mode=ro" in query:
            return
        text = unquote(text[1 + text[2:].find("/") + 1 :] if text.startswith("//") else text)
    if text not in ("", ":memory:"):
        path = followed(text)
        if path is not None and path not in recorder.seen:
            _note(recorder, path)


def is_held(path: str, descriptor: int) -> bool:
    """Is what is open there for reading and writing a database?"""
    return not path.endswith(BESIDE) and os.pread(descriptor, len(HEADER), 0) == HEADER


def note_held(recorder: Recorder, path: str, why: str) -> None:
    """One that was open when the recording began. `why`, if not empty, forbids to copy it."""
    _note(recorder, path, why)


def _note(recorder: Recorder, path: str, why: str = "") -> None:
    assert recorder.places is not None and recorder.ledger is not None
    state, wal = state_of(path), state_of(path + "-wal")
    kept = recorder.places.is_kept(path)
    entry: Entry = {"do": "database", "path": path, "kept": kept, "copy": 0}
    if state is None:
        for each in (path, *(path + ending for ending in BESIDE)):
            if state_of(each) is None:
                recorder.note({"do": "made", "path": each, "kept": kept, "of": path}, each)
    elif not state.is_regular():
        return
    else:
        entry["state"], entry["wal"] = state.values, wal and wal.values
        if kept:
            _copy(recorder, path, state.size + (wal.size if wal else 0), entry, why)
    recorder.note(entry, f"database {path}")


def _copy(recorder: Recorder, path: str, size: int, entry: Entry, why: str) -> None:
    why = why or recorder.refuses(size)
    if not why and "sqlite3" not in sys.modules:
        why = "it is open in a library that is not Python's sqlite3"
    if why:
        entry["why"] = why
        return
    import sqlite3

    number, target = recorder.new_copy(size)
    try:
        _transfer(f"file:{quote(path)}?mode=ro", target)
        entry["copy"] = number
    except sqlite3.Error as error:
        entry["why"] = str(error)


def put_back(path: str, copy: str) -> str:
    """Make a database what it was. Why that was not possible; empty if it was."""
    import sqlite3

    try:
        _transfer(copy, path)
    except sqlite3.Error as error:
        return str(error)
    return ""


def _transfer(source: str, target: str) -> None:
    import sqlite3

    connections = []
    deadline = time.monotonic() + LOCKED_S

    def look(*_: int) -> None:
        # A backup tries again for ever.
        if time.monotonic() > deadline:
            raise sqlite3.OperationalError("database is locked")

    try:
        for each in (source, target):
            connections.append(sqlite3.connect(each, timeout=LOCKED_S / 4, uri=each.startswith("file:")))
        connections[0].backup(connections[1], progress=look, sleep=0.02)
    finally:
        for connection in connections:
            connection.close()


def is_untouched(entry: Entry, now: State | None, wal: State | None) -> bool:
    """Was nothing written to a database since it was noted?"""
    if "state" not in entry:
        return now is None
    before = State(entry["state"])
    if now is None or not before.is_untouched(now):
        return False
    return _size(State(entry["wal"]) if entry["wal"] else None) == _size(wal)


def _size(state: State | None) -> int:
    return 0 if state is None else state.size
