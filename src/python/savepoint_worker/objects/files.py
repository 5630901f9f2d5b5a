"""Open files and databases. Of a file that is only read the position is all that changes; it is put back.

What was written to files is not this engine's: of those that can be written, it says whether somebody did.
"""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any

from .kinds import NOTHING, Kind, name_of, register

if TYPE_CHECKING:
    from .walk import Walk


def _words(obj: Any) -> str:
    name = getattr(obj, "name", None)
    return f"file {name!r}" if isinstance(name, (str, bytes)) else name_of(type(obj))


def _has_descriptor(obj: Any) -> bool:
    try:
        return bool(obj.fileno() >= 0)
    except (OSError, ValueError):
        # It stands on memory, which is put back.
        return False


def _save_file(obj: Any, walk: Walk) -> Any:
    if obj.closed:
        return NOTHING
    words = _words(obj)
    if not obj.seekable():
        walk.name(obj, words)
        return NOTHING
    written = obj.writable() and _has_descriptor(obj)
    if written:
        walk.name(obj, f"what is written to {words}", looked_at=True)
    return words, written, obj.tell()


def _put_back_file(obj: Any, state: Any) -> str | None:
    words, written, position = state
    if obj.closed:
        return f"{words}, which was closed,"
    moved = obj.tell() != position
    # From the end, so that nothing is left of what was read ahead: what it stands on may have moved.
    obj.seek(0, 2)
    obj.seek(position)
    return f"what was written to {words}" if written and moved else None


def _is_in_memory(connection: Any) -> bool:
    databases = [row[1:] for row in connection.execute("pragma database_list")]
    return all(name == "main" and not file for name, file in databases)


def _save_database(obj: Any, walk: Walk) -> Any:
    error = sys.modules["sqlite3"].Error
    try:
        if _is_in_memory(obj) and not obj.in_transaction and sys.version_info >= (3, 11):
            return obj.serialize(), None
        walk.name(obj, looked_at=True)
        return None, (obj.total_changes, obj.in_transaction)
    except error:
        # It was closed, or belongs to another thread.
        walk.name(obj)
        return NOTHING


def _put_back_database(obj: Any, state: Any) -> str | None:
    content, changes = state
    if content is None:
        return None if changes == (obj.total_changes, obj.in_transaction) else name_of(type(obj))
    if obj.in_transaction:
        obj.rollback()
    if obj.serialize() != content:
        obj.deserialize(content)
    return None


def layer(obj: Any) -> int:
    """How many others a file may stand on; 0 for what is no file."""
    kind = type(obj)
    if not issubclass(kind, io.IOBase) or issubclass(kind, (io.BytesIO, io.StringIO)):
        return 0
    return 3 if issubclass(kind, io.TextIOBase) else 2 if issubclass(kind, io.BufferedIOBase) else 1


def descriptors(records: list[Any]) -> set[int]:
    """Those of the file objects in the records of a walk."""
    found = set()
    for _, obj, _ in records:
        if issubclass(type(obj), io.IOBase):
            try:
                found.add(obj.fileno())
            except (OSError, ValueError):
                # It has none, or is closed: then it has been named.
                continue
    return found


register(
    Kind(_save_file, _put_back_file, links=True), io.TextIOWrapper, io.BufferedReader, io.BufferedWriter,
    io.BufferedRandom, io.FileIO,
)  # fmt: skip
register(Kind(_save_database, _put_back_database, links=True), "sqlite3.Connection")
