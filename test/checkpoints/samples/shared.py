"""Objects that a rollback has to bring back, too: one list of them serves both."""

from __future__ import annotations

from rows import groups as rollback_groups
from sample import shared

#: About a process's own things, which no other process can have.
_OF_ITS_PROCESS = ("Escapes", "Processes, pipes, sockets")

GROUPS = [shared(group) for group in rollback_groups() if not group.name.startswith(_OF_ITS_PROCESS)]
