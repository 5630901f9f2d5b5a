"""Taking back what was noted, from the last entry to the first."""

from __future__ import annotations

import os
import posix
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import databases, processes
from .copies import State, copy_content, open_unseen, state_of, words_for
from .handles import reopen
from .ledger import Entry, Ledger, Mark
from .paths import Places
from .report import Report, Undone

if TYPE_CHECKING:
    from .recorder import Recorder

#: How long the process that noted all this is waited for: what it still writes must not come after what is put back.
END_TIMEOUT_S = 5.0
PAUSE_S = 0.0002
#: linux/sched.h: it has begun to end, and runs no code of the user's.
PF_EXITING = 4


def copy_path(folder: str, number: int) -> str:
    """Where a copy is kept."""
    return os.path.join(folder, str(number))


def undo(ledger: Ledger, mark: Mark, recorder: Recorder) -> Undone:
    """Take back what was noted behind a mark, and forget it. What became of it, for clients."""
    places = recorder.places
    assert places is not None
    entries = list(ledger.since(mark))
    report = Report(entries, places, ledger.missed)
    if entries and not _has_ended(ledger.writer):
        report.limit("the process that was rolled back had not ended when files were put back")
    if recorder.wishes.end_processes:
        report.ended = processes.end(entries, ledger.writer)
    report.look(recorder.marked_ns)
    undoing = _Undoing(places, recorder.folder, report)
    for entry in entries:
        if entry["do"] == "same":
            undoing.stood_for[tuple(entry["was"])] = tuple(entry["now"])
    for entry in reversed(entries):
        step = _STEPS.get(entry["do"])
        if step is not None:
            undoing.take_back(step, entry)
    reopen(undoing.replaced)
    ledger.cut(mark)
    for was, now in {**undoing.stood_for, **undoing.made_for}.items():
        # Entries in front of the mark speak of what was there.
        ledger.append({"do": "same", "was": was, "now": now})
    # Only now: if this process dies before, another one may want to undo the same again.
    _remove_copies(recorder.folder, entries)
    return report.undone()


def _remove_copies(folder: str, entries: list[Entry]) -> None:
    for entry in entries:
        if entry.get("copy"):
            with suppress(OSError):
                posix.unlink(copy_path(folder, entry["copy"]))


def _has_ended(pid: int) -> bool:
    """Wait until none of a process's threads will run any more. To free its memory may take much longer."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while pid not in (0, posix.getpid()) and not _is_ending(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_S)
    return True


def _is_ending(pid: int) -> bool:
    try:
        return all(_flags(f"/proc/{pid}/task/{each}/stat") & PF_EXITING for each in posix.listdir(f"/proc/{pid}/task"))
    except FileNotFoundError:
        return True


def _flags(path: str) -> int:
    """Flags of a thread (proc_pid_stat(5), field 9); those of one that is gone are those of one that ends."""
    try:
        with open(path, "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[6])
    except (FileNotFoundError, ProcessLookupError):
        return PF_EXITING


class NotUndone(Exception):
    """Why an entry could not be taken back, in words for the user."""


class _Undoing:
    """One run."""

    def __init__(self, places: Places, folder: str, report: Report) -> None:
        self.places = places
        self.folder = folder
        self.report = report
        #: Paths of files that were put in the place of others, by the identity of these.
        self.replaced: dict[tuple[int, ...], str] = {}
        #: What was made when something was undone before, and what is made here: by what it stands for.
        self.stood_for: dict[tuple[int, ...], tuple[int, ...]] = {}
        self.made_for: dict[tuple[int, ...], tuple[int, ...]] = {}

    def take_back(self, step: Callable[[_Undoing, Entry], None], entry: Entry) -> None:
        """Take back one entry, or note why that was not done."""
        if not entry["kept"] and not (entry["do"] == "renamed" and self.places.is_kept(entry["old"])):
            self.report.left(entry)
            return
        try:
            step(self, entry)
        except NotUndone as why:
            self.report.left(entry, str(why))
        except OSError as error:
            self.report.left(entry, f"not put back ({words_for(error)})")

    def made(self, entry: Entry) -> None:
        """Remove what was not there."""
        state = state_of(entry["path"])
        if state is not None and state.is_folder():
            raise NotUndone("a folder has come in its place")
        if state is not None:
            posix.unlink(entry["path"])

    def saved(self, entry: Entry) -> None:
        """Put a file back, byte for byte."""
        path, before, now = entry["path"], State(entry["state"]), state_of(entry["path"])
        if now is not None and before.is_untouched(now):
            return
        if not entry["copy"]:
            raise NotUndone(_why(entry))
        if now is not None and now.is_folder():
            raise NotUndone("a folder has come in its place")
        if before.links > 1 and (now is None or not self._is_same(before, now)):
            now = self._link_again(path, before) or now
        source = open_unseen(copy_path(self.folder, entry["copy"]))
        try:
            if now is not None and self._is_same(before, now):
                # Whoever has it open goes on with the same file.
                _rewrite(path, before, now, source)
            else:
                _put_in_place(path, before, source)
                self.replaced[before.identity] = path
                self._take_for(before, path)
        finally:
            posix.close(source)

    def held(self, entry: Entry) -> None:
        """Put back a file that was open all the time."""
        if entry["copy"] or entry.get("why"):
            self.saved(entry)
            return
        path, before, now = entry["path"], State(entry["state"]), state_of(entry["path"])
        if now is None or not self._is_same(before, now):
            raise NotUndone("another file has come in its place")
        if now.size < before.size:
            raise NotUndone("it was cut short, and was too large to be copied")
        if not before.is_untouched(now):
            posix.truncate(path, before.size)
            _set_marks(path, before)

    def renamed(self, entry: Entry) -> None:
        """Give it its former name."""
        was, old, new = State(entry["state"]), state_of(entry["old"]), state_of(entry["path"])
        if old is not None and self._is_same(was, old):
            # It was not renamed, after all.
            return
        if new is None or not self._is_same(was, new):
            raise NotUndone("another file has come in its place")
        posix.rename(entry["path"], entry["old"])

    def unlinked(self, entry: Entry) -> None:
        """Make a symbolic link."""
        before, now = State(entry["state"]), state_of(entry["path"])
        if now is not None and now.is_link() and posix.readlink(entry["path"]) == entry["to"]:
            return
        if now is not None:
            self.made(entry)
        posix.symlink(entry["to"], entry["path"])
        self._take_for(before, entry["path"])

    def made_folder(self, entry: Entry) -> None:
        """Remove an empty folder."""
        state = state_of(entry["path"])
        if state is not None and state.is_folder():
            try:
                posix.rmdir(entry["path"])
            except OSError as error:
                raise NotUndone("not removed, as it holds files that Python did not write") from error

    def unmade(self, entry: Entry) -> None:
        """Make a folder."""
        if state_of(entry["path"]) is None:
            posix.mkdir(entry["path"])
            _set_marks(entry["path"], State(entry["state"]))
            self._take_for(State(entry["state"]), entry["path"])

    def touched(self, entry: Entry) -> None:
        """Set mode, owner and times."""
        before, now = State(entry["state"]), state_of(entry["path"])
        if now is not None and now.is_folder() == before.is_folder() and not now.is_link():
            _set_marks(entry["path"], before, now)

    def _link_again(self, path: str, before: State) -> State | None:
        """If a file is there still, under another name that was noted, too, give it this one back."""
        for other in self.report.paths():
            state = state_of(other)
            if state is not None and self._is_same(before, state):
                draft = _draft_of(path)
                posix.link(other, draft)
                posix.rename(draft, path)
                return state_of(path)
        return None

    def _is_same(self, before: State, now: State) -> bool:
        """Is it the same file, or what was put in its place here?"""
        # The number of one that is gone may be given to another of another kind.
        was = before.identity
        stand_in = self.made_for.get(was) or self.stood_for.get(was)
        return now.kind == before.kind and now.identity in (was, stand_in)

    def _take_for(self, before: State, path: str) -> None:
        """What is at `path` now stands for what was there before."""
        now = state_of(path)
        if now is not None:
            self._stands_for(before.identity, now.identity)

    def _stands_for(self, was: tuple[int, ...], now: tuple[int, ...]) -> None:
        # A number may be that of something old and, given away again, of something new: these are kept apart.
        for each, stand_in in self.stood_for.items():
            if stand_in == was:
                self.made_for[each] = now
        self.made_for[was] = now

    def database(self, entry: Entry) -> None:
        """Have sqlite put a database back."""
        path = entry["path"]
        if databases.is_untouched(entry, state_of(path), state_of(path + "-wal")) or "state" not in entry:
            return
        if not entry["copy"]:
            raise NotUndone(_why(entry))
        why = databases.put_back(path, copy_path(self.folder, entry["copy"]))
        if why:
            raise NotUndone(f"not put back ({why})")


_STEPS: dict[str, Callable[[_Undoing, Entry], None]] = {
    "made": _Undoing.made,
    "saved": _Undoing.saved,
    "held": _Undoing.held,
    "renamed": _Undoing.renamed,
    "unlinked": _Undoing.unlinked,
    "made folder": _Undoing.made_folder,
    "unmade": _Undoing.unmade,
    "touched": _Undoing.touched,
    "database": _Undoing.database,
}


def _why(entry: Entry) -> str:
    why: str = entry.get("why", "")
    return f"not copied before it was changed ({why})" if why else "not copied before it was changed"


def _rewrite(path: str, before: State, now: State, source: int) -> None:
    try:
        target = posix.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except PermissionError:
        posix.chmod(path, 0o600)
        target = posix.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        copy_content(source, target)
        _set_marks(target, before, now)
    finally:
        posix.close(target)


def _put_in_place(path: str, before: State, source: int) -> None:
    """Put a whole file where there is none, or another one. Nobody sees it half written."""
    draft = _draft_of(path)
    target = posix.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        copy_content(source, target)
        _set_marks(target, before)
        posix.rename(draft, path)
    except BaseException:
        posix.unlink(draft)
        raise
    finally:
        posix.close(target)


def _draft_of(path: str) -> str:
    return f"{path}.{posix.getpid()}.savepoint"


def _set_marks(place: Any, before: State, now: State | None = None) -> None:
    """Set owner, mode and times of a file by its path or descriptor, in this order: each resets the next."""
    now = now or State.of(posix.stat(place))
    if now.owner != before.owner:
        posix.chown(place, *before.owner)
    # To write to a file takes the bits of another user's identity away.
    posix.chmod(place, before.mode & 0o7777)
    posix.utime(place, ns=before.times)
