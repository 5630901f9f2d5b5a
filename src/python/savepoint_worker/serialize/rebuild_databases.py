"""What a checkpoint's bytes call to make database connections. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from .verdict import Unloadable


def open_connection(path: str, kind: type[sqlite3.Connection], settings: dict[str, Any]) -> sqlite3.Connection:
    if not os.path.isfile(path):
        raise Unloadable(f"its database {path} is not there")
    return _set(sqlite3.connect(path, factory=kind), settings)


def connection_from_image(image: bytes, kind: type[sqlite3.Connection], settings: dict[str, Any]) -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", factory=kind)
    if image and not hasattr(made, "deserialize"):
        raise Unloadable("the sqlite3 of this Python cannot load the image of a database; 3.11 can")
    if image:
        made.deserialize(image)
    return _set(made, settings)


def connection_from_script(script: str, kind: type[sqlite3.Connection], settings: dict[str, Any]) -> sqlite3.Connection:
    made = sqlite3.connect(":memory:", factory=kind)
    made.executescript(script)
    return _set(made, settings)


def cursor(connection: sqlite3.Connection, kind: type[sqlite3.Cursor], arraysize: int) -> sqlite3.Cursor:
    made = connection.cursor(kind)
    made.arraysize = arraysize
    return made


def _set(made: sqlite3.Connection, settings: dict[str, Any]) -> sqlite3.Connection:
    for name, value in settings.items():
        setattr(made, name, value)
    return made
