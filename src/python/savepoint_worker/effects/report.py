"""What clients are told of the effects of something that was rolled back."""

from __future__ import annotations

from typing import Any, NamedTuple

from . import strangers
from .copies import State, state_of
from .databases import is_untouched
from .ledger import Entry
from .paths import Places, cut

EFFECTS_MAX = 1000
LIMITS_MAX = 50
PROGRAMS_NAMED_MAX = 10


class Undone(NamedTuple):
    """Effects, as the protocol has them, and what could not be taken back, in words."""

    effects: list[dict[str, Any]]
    limits: list[str]


class Report:
    """Comes about while entries are undone."""

    def __init__(self, entries: list[Entry], places: Places, missed: int) -> None:
        self._entries = entries
        self._places = places
        self._missed = missed
        #: Processes that were ended, and those that were to be.
        self.ended: int | None = None
        #: Each path, and what was there before; in the order in which they were noted.
        self._before: dict[str, State | str | None] = {}
        self._now: dict[str, State | None] = {}
        self._databases: dict[str, bool] = {}
        self._left: set[str] = set()
        self._limits: dict[str, None] = {}

    def limit(self, text: str) -> None:
        """Something could not be taken back."""
        self._limits[text] = None

    def left(self, entry: Entry, why: str = "") -> None:
        """This entry was not undone; `why`, if it should have been."""
        paths = [entry["path"], entry["old"]] if entry["do"] == "renamed" else [entry["path"]]
        self._left.update(paths)
        if why and any(self._is_changed(path) for path in paths):
            self.limit(f"{self._places.shown(entry['path'])}: {why}")

    def paths(self) -> list[str]:
        """All that were noted."""
        return list(self._before)

    def look(self, since_ns: int) -> None:
        """Look at all files as they are now, before anything is undone; they were noted since then."""
        for entry in self._entries:
            path = entry.get("path")
            if path is None or "of" in entry:
                continue
            if entry["do"] == "database":
                self._databases[path] = True
                if path not in self._before:
                    untouched = is_untouched(entry, state_of(path), state_of(path + "-wal"))
                    self._databases[path] = not untouched
            elif entry["do"] == "renamed":
                self._remember(entry["old"], State(entry["state"]))
                self._remember(path, None)
            else:
                before = State(entry["state"]) if "state" in entry else None
                self._remember(path, entry.get("to", before))
        found = strangers.changed_since(self._places.root, since_ns, strangers.Known(self._entries))
        if found:
            self.limit(strangers.named(self._places.root, found))

    def _remember(self, path: str, before: State | str | None) -> None:
        if path not in self._before:
            self._before[path] = before
            self._now[path] = state_of(path)

    def _is_changed(self, path: str) -> bool:
        if path in self._databases:
            return self._databases[path]
        before, now = self._before[path], self._now[path]
        if isinstance(before, State) and now is not None:
            return not before.is_untouched(now)
        return not (before is None and now is None)

    def undone(self) -> Undone:
        """All of it."""
        effects = [self._effect(path, before) for path, before in self._before.items() if self._is_changed(path)]
        effects += [
            {"kind": "database", "target": self._places.shown(path), "restored": path not in self._left}
            for path, is_changed in self._databases.items()
            if is_changed
        ]
        effects += self._others("process", "process_started")
        effects += self._others("socket", "socket_opened")
        self._limit_others(effects)
        limits = list(self._limits)
        if len(effects) > EFFECTS_MAX:
            limits.append(f"{len(effects) - EFFECTS_MAX} more effects, which are not listed")
        if len(limits) > LIMITS_MAX:
            limits = [*limits[: LIMITS_MAX - 1], f"{len(limits) - LIMITS_MAX + 1} more limits, which are not listed"]
        return Undone(effects[:EFFECTS_MAX], [cut(each) for each in limits])

    def _effect(self, path: str, before: State | str | None) -> dict[str, Any]:
        now = self._now[path]
        state = now if now is not None else before
        shown = self._places.shown(path)
        if isinstance(state, State) and state.is_folder():
            shown += "/"
        kind = "file_removed" if now is None else "file_written"
        return {"kind": kind, "target": shown, "restored": path not in self._left}

    def _others(self, do: str, kind: str) -> list[dict[str, Any]]:
        targets = dict.fromkeys(each["target"] for each in self._entries if each["do"] == do)
        ended = do == "process" and self.ended is not None
        return [{"kind": kind, "target": target, "restored": ended} for target in targets]

    def _limit_others(self, effects: list[dict[str, Any]]) -> None:
        programs = [each["target"] for each in effects if each["kind"] == "process_started"]
        if programs:
            more = ", ..." if len(programs) > PROGRAMS_NAMED_MAX else ""
            self.limit(f"what processes did that were started ({', '.join(programs[:PROGRAMS_NAMED_MAX])}{more})")
        failed = dict.fromkeys(each["event"] for each in self._entries if each["do"] == "failed")
        for event in failed:
            self.limit(f"something that could not be noted ({event})")
        if self._missed:
            self.limit(f"{self._missed} effects for which there was no room in the record")
