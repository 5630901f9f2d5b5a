"""Files that changed although nobody noted it: what C code wrote, and other processes."""

from __future__ import annotations

import os
import stat
import time
from collections import deque

from .copies import State, state_of
from .databases import BESIDE
from .ledger import Entry

#: How long is looked at most, and at how many.
LOOK_S = 0.003
ENTRIES_MAX = 1000
NAMED_MAX = 10
#: Notebooks are written by Jupyter's server while cells run.
PASSED_OVER = (".ipynb",)
#: What lies beside it is ours: history and checkpoints, in a data folder that may be below the working folder.
OUR_STORE = "savepoint.sqlite"
SKIPPED = frozenset(("__pycache__", "node_modules"))


class Known:
    """Files that were noted, by their present paths and by what they are."""

    def __init__(self, entries: list[Entry]) -> None:
        self._paths: set[str] = set()
        self._identities: set[tuple[int, ...]] = set()
        for entry in entries:
            path = entry.get("path")
            if path is None:
                continue
            if entry["do"] == "renamed":
                self._move(entry["old"], path)
            elif entry["do"] == "database":
                self._paths.update(path + ending for ending in BESIDE)
            self._paths.add(path)
            if entry.get("state"):
                self._identities.add(State(entry["state"]).identity)
        for path in self._paths:
            state = state_of(path)
            if state is not None:
                self._identities.add(state.identity)

    def _move(self, old: str, new: str) -> None:
        self._paths.update([new + path[len(old) :] for path in self._paths if path.startswith(old + "/")])

    def has(self, path: str, status: os.stat_result) -> bool:
        """Is it one of them?"""
        return path in self._paths or (status.st_dev, status.st_ino) in self._identities


def changed_since(root: str, since_ns: int, known: Known) -> list[str]:
    """Files below `root` that were changed after a time, and that are not `known`.

    As many as can be found in a moment; folders with hidden names are not looked into. File systems may write down a
    time that is some milliseconds too early: what was changed at once may be missed, but nothing is found wrongly.
    """
    deadline = time.monotonic() + LOOK_S
    found: list[str] = []
    unseen = deque([root])
    looked = 0
    while unseen and looked < ENTRIES_MAX and time.monotonic() < deadline:
        try:
            entries = list(os.scandir(unseen.popleft()))
        except OSError:
            continue
        if any(entry.name == OUR_STORE for entry in entries):
            continue
        looked += len(entries)
        for entry in entries:
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                if not entry.name.startswith(".") and entry.name not in SKIPPED:
                    unseen.append(entry.path)
            elif status.st_ctime_ns > since_ns and stat.S_ISREG(status.st_mode):
                if not entry.name.endswith(PASSED_OVER) and not known.has(entry.path, status):
                    found.append(entry.path)
    return sorted(found)


def named(root: str, paths: list[str]) -> str:
    """In words."""
    names = [os.path.relpath(path, root) for path in paths[:NAMED_MAX]]
    more = f" and {len(paths) - NAMED_MAX} more" if len(paths) > NAMED_MAX else ""
    return f"files that C code or other processes have changed ({', '.join(names)}{more})"
