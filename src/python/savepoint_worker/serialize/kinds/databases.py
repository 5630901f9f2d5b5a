"""SQLite connections: one in memory is kept with its contents, one to a file is opened again."""

from __future__ import annotations

import os
import sqlite3
from typing import Any

from .. import rebuild_databases
from ..handlers import register
from ..verdict import Unsaveable


@register("sqlite3.Connection")
def connection(pickler: Any, value: sqlite3.Connection) -> Any:
    """A connection with its settings. SQL functions that were added to it cannot be had."""
    try:
        databases = [row[1:] for row in _rows(value, "PRAGMA database_list")]
    except sqlite3.ProgrammingError as error:
        raise Unsaveable(f"the connection cannot be read: {error}") from None
    if {name for name, _ in databases} - {"main", "temp"}:
        raise Unsaveable("a connection with attached databases cannot be saved")
    path = dict(databases)["main"]
    if path and value.in_transaction:
        raise Unsaveable("its transaction is open; commit it first")
    pickler.note("SQL functions and collations that were added to the connection are not kept")
    settings = {name: getattr(value, name) for name in ("isolation_level", "row_factory", "text_factory")}
    if path:
        return rebuild_databases.open_connection, (os.path.abspath(path), type(value), settings)
    if hasattr(value, "serialize"):
        # SQLite has no image of a database in which nothing was ever made.
        image = value.serialize() if _rows(value, "PRAGMA page_count") != [(0,)] else b""
        return rebuild_databases.connection_from_image, (image, type(value), settings)
    return rebuild_databases.connection_from_script, (_dump(value), type(value), settings)


def _rows(value: sqlite3.Connection, sql: str) -> list[tuple[Any, ...]]:
    cursor = value.cursor()
    cursor.row_factory = None
    return cursor.execute(sql).fetchall()


def _dump(value: sqlite3.Connection) -> str:
    row_factory, text_factory = value.row_factory, value.text_factory
    value.row_factory, value.text_factory = None, str
    try:
        return "\n".join(value.iterdump())
    finally:
        value.row_factory, value.text_factory = row_factory, text_factory


@register("sqlite3.Cursor")
def cursor(pickler: Any, value: sqlite3.Cursor) -> Any:
    """A new cursor of the connection."""
    pickler.note("rows that were not fetched yet are not kept")
    return rebuild_databases.cursor, (value.connection, type(value), value.arraysize)
