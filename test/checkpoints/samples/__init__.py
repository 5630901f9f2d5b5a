"""What the table has, a module for each library or part of the standard library."""

from __future__ import annotations

from importlib import import_module

from sample import Group

#: In the order in which the table shows them.
MODULES = ("awkward", "arrays", "frames", "learning", "plots", "others", "shared")


def groups() -> list[Group]:
    """All groups, in order."""
    return [group for name in MODULES for group in import_module(f"samples.{name}").GROUPS]
