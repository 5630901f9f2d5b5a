"""What is noted of a file before it is changed: how to put it back, and a copy where that takes one.

Each entry is the exact inverse of one step, so that undoing them from the last to the first leads back. A file that was
noted since the last mark need not be noted again, unless what is called by its name has become another one.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from .copies import State, copy_to, state_of, words_for
from .paths import followed, located

if TYPE_CHECKING:
    from .recorder import Recorder
#: Behind the name of what had its mode, owner or times set.
TOUCHED = "\0touched"


def written(recorder: Recorder, path: Any, creates: bool = False) -> None:
    """A file is opened to be written to, or cut short."""
    found = followed(path)
    if found is None or not _is_news(recorder, found):
        return
    state = state_of(found)
    if state is None:
        if creates:
            _note(recorder, {"do": "made", "path": found}, found)
    elif state.is_regular():
        _save(recorder, found, state)


def appears(recorder: Recorder, path: Any, folder: int) -> None:
    """A link comes to be where there is nothing."""
    found = located(path, folder)
    if found is not None and _is_news(recorder, found) and state_of(found) is None:
        # With no key: what is written there is written to a file that has another name as well.
        _note(recorder, {"do": "made", "path": found}, None)


def removed(recorder: Recorder, path: Any, folder: int) -> None:
    """A file or a symbolic link is removed."""
    found = located(path, folder)
    if found is not None and _is_news(recorder, found):
        _keep(recorder, found, state_of(found))


def renamed(recorder: Recorder, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
    """What has one name gets another, perhaps in place of something else."""
    old, new = located(source, source_folder), located(target, target_folder)
    if old is None or new is None or old == new:
        return
    state, replaced = state_of(old), state_of(new)
    if state is None:
        return
    if _is_ours(recorder, new) or (replaced is not None and replaced.identity == state.identity):
        # Two names of one file stay as they are.
        return
    if replaced is not None and not replaced.is_folder() and _is_news(recorder, new):
        _keep(recorder, new, replaced)
    elif replaced is not None and replaced.is_folder():
        _note(recorder, {"do": "unmade", "path": new, "state": replaced.values}, None)
    entry = {"do": "renamed", "path": new, "old": old, "state": state.values, "fresh": replaced is None}
    _note(recorder, entry, None)
    for each in (old, new):
        _forget(recorder, each)


def folder_made(recorder: Recorder, path: Any, folder: int) -> None:
    """A folder is made."""
    found = located(path, folder)
    if found is not None and not _is_ours(recorder, found) and state_of(found) is None:
        _note(recorder, {"do": "made folder", "path": found}, None)
        _forget(recorder, found)


def folder_removed(recorder: Recorder, path: Any, folder: int) -> None:
    """An empty folder is removed."""
    found = located(path, folder)
    state = None if found is None else state_of(found)
    if found is None or state is None or not state.is_folder() or _is_ours(recorder, found):
        return
    _note(recorder, {"do": "unmade", "path": found, "state": state.values}, None)
    _forget(recorder, found)


def touched(recorder: Recorder, path: Any, folder: int) -> None:
    """Mode, owner or times of something are set."""
    found = followed(path, folder)
    state = None if found is None else state_of(found)
    if found is None or state is None or not _is_news(recorder, found):
        return
    if state.is_regular() or state.is_folder():
        _note(recorder, {"do": "touched", "path": found, "state": state.values}, found + TOUCHED)


def _is_news(recorder: Recorder, path: str) -> bool:
    return path not in recorder.seen and not _is_ours(recorder, path)


def _is_ours(recorder: Recorder, path: str) -> bool:
    assert recorder.places is not None
    return recorder.places.is_ours(path)


def _keep(recorder: Recorder, path: str, state: State | None) -> None:
    if state is None:
        return
    if state.is_link():
        entry = {"do": "unlinked", "path": path, "to": os.readlink(path), "state": state.values}
        _note(recorder, entry, path)
    elif state.is_regular():
        _save(recorder, path, state)


def _save(recorder: Recorder, path: str, state: State) -> None:
    """Note a file with a copy of it, or with the reason why there is none."""
    assert recorder.places is not None and recorder.ledger is not None
    entry: dict[str, Any] = {"do": "saved", "path": path, "state": state.values, "copy": 0}
    if recorder.places.is_kept(path):
        why = recorder.refuses(state.size)
        if why:
            entry["why"] = why
        else:
            try:
                number, target = recorder.new_copy(state.size)
                copy_to(path, target)
                entry["copy"] = number
            except OSError as error:
                entry["why"] = words_for(error)
    _note(recorder, entry, path)


def _note(recorder: Recorder, entry: dict[str, Any], key: str | None) -> None:
    assert recorder.places is not None
    entry["kept"] = recorder.places.is_kept(entry["path"])
    recorder.note(entry, key)


def _forget(recorder: Recorder, path: str) -> None:
    """What has this name, or is below it, is something else from now on."""
    names, below = (path, path + TOUCHED), path + "/"
    recorder.seen.difference_update([each for each in recorder.seen if each in names or each.startswith(below)])
