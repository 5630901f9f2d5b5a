"""The rows of the table, a module for each library or part of the standard library."""

from __future__ import annotations

from importlib import import_module

from row import Group

#: In the order in which the table shows them.
MODULES = (
    "containers",
    "classes",
    "running",
    "concurrency",
    "streams",
    "text",
    "system",
    "arrays",
    "frames",
    "science",
    "databases",
    "figures",
    "notebooks",
    "escapes_python",
    "escapes_process",
    "escapes_libraries",
)


def groups() -> list[Group]:
    """All groups, in order."""
    return [group for name in MODULES for group in import_module(f"rows.{name}").GROUPS]
