"""Processes that were started while effects are noted: which they are, and ending them."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import _posixsubprocess

from ..copies.freeze import start_time
from ..processes.children import children_of

if TYPE_CHECKING:
    from .ledger import Entry
    from .recorder import Recorder

#: Bound of a search among the processes below another one.
DESCENDANTS_MAX = 10_000

_kill, _killpg, _getpgid = os.kill, os.killpg, os.getpgid
_fork_exec: Callable[..., int] = _posixsubprocess.fork_exec
_recorder: Recorder | None = None


def follow(recorder: Recorder) -> None:
    """From now on note the pid of each program that is started: no event tells of it, or of multiprocessing's."""
    global _recorder
    _recorder = recorder
    if _posixsubprocess.fork_exec is _fork_exec:
        _posixsubprocess.fork_exec = _noted_fork_exec
        if hasattr(subprocess, "_fork_exec"):
            subprocess._fork_exec = _noted_fork_exec


def _noted_fork_exec(*arguments: Any) -> int:
    pid = _fork_exec(*arguments)
    recorder = _recorder
    if recorder is not None and recorder.is_listening():
        with recorder.at_work():
            recorder.note({"do": "pid", "pid": pid, "started": start_time(pid)})
            recorder.note_once("process", _name_of(arguments))
    return pid


def _name_of(arguments: tuple[Any, ...]) -> str:
    # What comes first is the list of arguments; the name as it was told of by Popen is noted already.
    try:
        return os.path.basename(os.fsdecode(arguments[0][0]))
    except (TypeError, IndexError):
        return "?"


def note_present(recorder: Recorder) -> None:
    """Note those that are there already, which are not to be ended."""
    recorder.note({"do": "spared", "pids": [[pid, start_time(pid)] for pid in descendants(os.getpid())]})


def note_all(recorder: Recorder) -> None:
    """In the process that is rolled back: note all that it leaves behind, in whatever session that is."""
    for pid in descendants(os.getpid()):
        recorder.note({"do": "pid", "pid": pid, "started": start_time(pid)})


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    found: list[int] = []
    unseen = [pid]
    while unseen and len(found) < DESCENDANTS_MAX:
        below = children_of(unseen.pop())
        found += below
        unseen += below
    return found


def end(entries: list[Entry], writer: int) -> int:
    """End what was started by `writer` while these entries were noted, with its process groups; how many there were."""
    spared = {(pid, started) for each in entries if each["do"] == "spared" for pid, started in each["pids"]}
    spared |= {(each["pid"], each["started"]) for each in entries if each["do"] == "own"}
    started = {(each["pid"], each["started"]) for each in entries if each["do"] == "pid"}
    started |= {(pid, start_time(pid)) for pid in _in_session(writer)}
    ended = 0
    for pid, since in started - spared:
        if pid in (os.getpid(), writer) or not since or start_time(pid) != since:
            continue
        try:
            # One that leads a group takes it along.
            (_killpg if _getpgid(pid) == pid else _kill)(pid, signal.SIGKILL)
            ended += 1
        except (ProcessLookupError, PermissionError):
            continue
    return ended


def _in_session(leader: int) -> list[int]:
    """Processes of a worker's session: its children, unless they left it, whoever their parent is now."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split()[3]) == leader:
                    found.append(int(name))
        except (OSError, IndexError, ValueError):
            continue
    return found
