"""Objects of the standard library that a rollback has to bring back, too: one list of them serves both."""

from __future__ import annotations

from rows import groups as rollback_groups
from sample import shared

GROUPS = [
    shared(group)
    for group in rollback_groups()
    if not group.package and not group.name.startswith(("Escapes", "Processes, pipes, sockets", "Pillow", "ipywidgets"))
]
