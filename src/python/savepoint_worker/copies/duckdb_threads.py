"""DuckDB's threads, which are ended before a fork and started again behind it, through its own settings.

A copy could use a connection without them, but would crash as soon as it closed one, since that waits for them.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from typing import Any

THREADS = re.compile("duckdb")
#: With the least that each may be.
_SETTINGS = {"threads": 1, "async_threads": 0}
_PRESENT = "select name, value from duckdb_settings() where name in ('threads', 'async_threads')"


def pause(namespace: dict[str, Any]) -> Iterator[list[Callable[[], None]]]:
    """End threads step by step: those of connections that are variables, then those of the default one.

    After each step, what starts these threads again. Whether a step is needed at all is the caller's to see.
    """
    module: Any = sys.modules.get("duckdb")
    if module is not None:
        kind = module.DuckDBPyConnection
        yield _pause([value for value in list(namespace.values()) if isinstance(value, kind)])
        # If there is none it is made.
        yield _pause([module.default_connection()])


def _pause(connections: list[Any]) -> list[Callable[[], None]]:
    resumes: list[Callable[[], None]] = []
    for each in connections:
        try:
            # A connection of our own to the same database: results that are being fetched stay what they are.
            cursor = each.cursor()
            before = {name: int(value) for name, value in cursor.execute(_PRESENT).fetchall()}
        except Exception:
            # It is closed.
            continue
        changed = {name: value for name, value in before.items() if value > _SETTINGS[name]}
        if changed:
            resumes.append(_Resume(cursor, changed))
            _set(cursor, {name: _SETTINGS[name] for name in changed})
    return resumes


class _Resume:
    def __init__(self, cursor: Any, settings: dict[str, int]) -> None:
        self._cursor = cursor
        self._settings = settings

    def __call__(self) -> None:
        _set(self._cursor, self._settings)


def _set(cursor: Any, settings: dict[str, int]) -> None:
    for name, value in settings.items():
        try:
            cursor.execute(f"set {name} = {value}")
        except Exception:
            # The database is being used in a way that does not allow it; then the threads are found, and named.
            continue
