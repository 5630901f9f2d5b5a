"""What becomes of open descriptors in a copy of a worker that is to stay invisible.

A forked copy shares every open description with the process that goes on. Left alone it would keep ports bound, pipes
without an end of file and locks held, and would find the offsets of its files moved by the other. So in the copy

* pipes, sockets, terminals and the kernel's event objects are replaced by one dead socketpair end: reading it is the
  end of the file, writing it is EPIPE, and the numbers stay taken, so that what comes back on waking finds its place
  (see `events` for those that are made anew then). A server that waits for connections would be woken by that for
  ever: it gets a listening socket that nobody knows;
* regular files are opened once more at the same offset, which shares neither offset nor lock (see `locks`);
* directories, memory files, devices and the worker's own FIFOs on descriptors 1 and 2 stay.

`plan` decides and touches nothing, `survey` looks at this process, `freeze` performs.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterable
from typing import Literal, NamedTuple

from . import events
from .events import Event
from .locks import Lock, held
from .shared import Saved

Action = Literal["keep", "end", "reopen"]
Kind = Literal["own", "stream", "event", "file", "other"]

# Kernel objects that wait, or that hold something open; the ones not named here (graphics, BPF) are only handles.
EVENT_KINDS = ("eventpoll", "eventfd", "timerfd", "signalfd", "inotify", "fanotify", "pidfd", "io_uring", "userfaultfd")
FLAGS_KEPT = os.O_ACCMODE | os.O_APPEND | os.O_NONBLOCK | os.O_DSYNC | os.O_SYNC | os.O_DIRECT | os.O_NOATIME
# Major numbers of pseudo-terminals (Documentation/admin-guide/devices.txt): the old and the new masters and slaves.
PTY_MAJORS = frozenset((2, 3, *range(128, 144)))
PTMX = (5, 2)


class Descriptor(NamedTuple):
    """One entry of /proc/self/fd."""

    number: int
    mode: int
    device: int
    inode: int
    rdev: int
    #: The text of the symbolic link, for example "socket:[123]" or a path.
    target: str
    #: As F_GETFL gives them.
    flags: int


class Step(NamedTuple):
    """What is to be done with one descriptor, with all that has to be known of it."""

    number: int
    action: Action
    inheritable: bool
    descriptor: Descriptor
    #: Of a stream: what tells it from others. "" for everything else.
    identity: str
    #: Of a pidfd: process and when that was started. None for everything else.
    process: tuple[int, str] | None
    #: How an event object is made anew. None for everything else, and for one with which that cannot be done.
    event: Event | None = None
    #: Of a file: the locks that this process has on it.
    locks: tuple[Lock, ...] = ()


class Original(NamedTuple):
    """What a copy has to know of the process that it was taken of, beside what is open there."""

    #: Descriptors that are no business of the user's.
    own: frozenset[int]
    #: Names of threads that the user had, none of which is in the copy.
    threads: tuple[str, ...]
    #: When the copy was taken, as the event loop counts time.
    at: float


class Frozen(NamedTuple):
    """What a frozen copy has to remember about its descriptors until it is woken."""

    #: Identity of every stream that was cut off, by number: only the same one may be put back there.
    streams: dict[int, str]
    #: Process ids (and their start times) behind pidfds, by number.
    pidfds: dict[int, tuple[int, str]]
    #: Event objects that are made anew.
    events: list[Event]
    #: What could not be separated from the process that goes on, in words.
    limits: list[str]
    #: Contents of memory that both of them have mapped.
    shared: list[Saved]
    #: Locks on files, which the process that goes on has.
    locks: list[Lock]


def survey(kept: frozenset[int], fifos: frozenset[tuple[int, int]]) -> list[Step]:
    """What to do with this process's descriptors: all but those in `kept` and the FIFOs (device, inode) `fifos`."""
    descriptors = open_descriptors()
    steps = []
    for descriptor, (number, action) in zip(descriptors, plan(descriptors, kept, fifos)):
        if action == "keep":
            continue
        kind, target, inheritable = kind_of(descriptor, fifos), descriptor.target, os.get_inheritable(number)
        identity = identity_of(descriptor) if kind == "stream" else ""
        process = _process_of(number) if "[pidfd]" in target else None
        event = events.describe(number, target, inheritable, descriptor.flags) if kind == "event" else None
        locks = tuple(held(number, target)) if kind == "file" else ()
        steps.append(Step(number, action, inheritable, descriptor, identity, process, event, locks))
    return steps


def plan(
    descriptors: Iterable[Descriptor], kept: frozenset[int], fifos: frozenset[tuple[int, int]]
) -> list[tuple[int, Action]]:
    """What to do with each descriptor, in their order."""
    actions: dict[Kind, Action] = {"own": "keep", "stream": "end", "event": "end", "file": "reopen", "other": "keep"}
    return [(each.number, "keep" if each.number in kept else actions[kind_of(each, fifos)]) for each in descriptors]


def freeze(steps: list[Step], own: frozenset[int] = frozenset()) -> Frozen:
    """Cut this process off. `own`: connections of ours. Raises OSError if there is no descriptor left to do it with."""
    limits = []
    dead, other = socket.socketpair()
    other.close()
    sockets = (step for step in steps if stat.S_ISSOCK(step.descriptor.mode) and step.number not in own)
    listening = {step.number for step in sockets if _listens(step)}
    with dead:
        for step in steps:
            if step.number in listening:
                _deafen(step)
            elif step.action == "end":
                os.dup2(dead.fileno(), step.number, inheritable=step.inheritable)
                limits += _unrevivable(step)
            elif step.action == "reopen":
                limits += _reopen(step)
    streams = {step.number: step.identity for step in steps if step.identity}
    pidfds = {step.number: step.process for step in steps if step.process is not None}
    revivable = [step.event for step in steps if step.event is not None]
    return Frozen(streams, pidfds, revivable, limits, [], [lock for step in steps for lock in step.locks])


def _listens(step: Step) -> bool:
    with socket.socket(fileno=os.dup(step.number)) as duplicate:
        return duplicate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) != 0


def _deafen(step: Step) -> None:
    with socket.socket(socket.AF_UNIX) as deaf:
        # The system chooses the name (unix(7), "Autobind feature").
        deaf.bind("")
        deaf.listen()
        deaf.setblocking(not step.descriptor.flags & os.O_NONBLOCK)
        os.dup2(deaf.fileno(), step.number, inheritable=step.inheritable)


def _unrevivable(step: Step) -> list[str]:
    if step.identity or step.process is not None or step.event is not None:
        return []
    kind = step.descriptor.target.removeprefix("anon_inode:").strip("[]")
    return [f"descriptor {step.number} ({kind}), which hears of nothing after a rollback"]


def words_for(number: int, identity: str) -> str:
    """What a person may know a stream by."""
    kinds = {stat.S_IFIFO: "pipe", stat.S_IFSOCK: "socket", stat.S_IFCHR: "terminal"}
    return f"descriptor {number} ({kinds.get(int(identity.partition(':')[0], 8), 'stream')})"


def separate() -> None:
    """In a copy of a frozen copy: open its files once more, so that the two have positions of their own. Raises OSError."""
    for step in survey(frozenset(), frozenset()):
        if step.action == "reopen":
            # What cannot be done was told when the first copy was frozen.
            _reopen(step)


def kind_of(descriptor: Descriptor, fifos: frozenset[tuple[int, int]]) -> Kind:
    """Sorts a descriptor; `fifos` are the (device, inode) of the worker's own output pipes."""
    mode, target = descriptor.mode, descriptor.target
    if descriptor.flags & os.O_PATH:
        # It stands for a place in the tree and has nothing open.
        return "other"
    if stat.S_ISFIFO(mode):
        return "own" if (descriptor.device, descriptor.inode) in fifos else "stream"
    if stat.S_ISSOCK(mode):
        return "stream"
    if stat.S_ISCHR(mode):
        major = os.major(descriptor.rdev)
        return "stream" if major in PTY_MAJORS or (major, os.minor(descriptor.rdev)) == PTMX else "other"
    if not target.startswith("/"):
        return "event" if any(name in target for name in EVENT_KINDS) else "other"
    if stat.S_ISREG(mode):
        # A memory file is shared memory: it has no name to be opened by, and its offset means nothing to a mapping.
        return "other" if target.startswith("/memfd:") else "file"
    return "other"


def open_descriptors() -> list[Descriptor]:
    """All open descriptors of this process, lowest first."""
    found = []
    for number in sorted(map(int, os.listdir("/proc/self/fd"))):
        try:
            status = os.fstat(number)
            target = os.readlink(f"/proc/self/fd/{number}")
            flags = fcntl.fcntl(number, fcntl.F_GETFL)
        except OSError:
            # The descriptor of the listing itself, or one that another thread has closed since.
            continue
        entry = Descriptor(number, status.st_mode, status.st_dev, status.st_ino, status.st_rdev, target, flags)
        found.append(entry)
    return found


def identity_of(descriptor: Descriptor) -> str:
    """Tells one stream from any other that is or was open, as far as the system can tell."""
    number = descriptor.inode
    if (os.major(descriptor.rdev), os.minor(descriptor.rdev)) == PTMX and stat.S_ISCHR(descriptor.mode):
        # All masters of pseudo-terminals share the inode of /dev/ptmx.
        number = int(_fdinfo(descriptor.number).get("tty-index", -1))
    return f"{stat.S_IFMT(descriptor.mode):o}:{descriptor.device}:{number}:{descriptor.flags & os.O_ACCMODE}"


def start_time(pid: int) -> str:
    """When a process was started, in ticks since boot: tells it from a later one of its pid. "" if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""


def _process_of(pidfd: int) -> tuple[int, str] | None:
    pid = int(_fdinfo(pidfd).get("Pid", -1))
    # 0 and less: it has ended, or is in another namespace.
    return (pid, start_time(pid)) if pid > 0 else None


def _reopen(step: Step) -> list[str]:
    """Open a file once more in its place. What could not be done, in words."""
    number, path = step.number, f"/proc/self/fd/{step.number}"
    flags = step.descriptor.flags & FLAGS_KEPT
    try:
        offset = os.lseek(number, 0, os.SEEK_CUR)
        try:
            fresh = os.open(path, flags)
        except PermissionError:
            # Only the owner of a file may read it without leaving a trace.
            if not flags & os.O_NOATIME:
                raise
            fresh = os.open(path, flags & ~os.O_NOATIME)
        try:
            os.lseek(fresh, offset, os.SEEK_SET)
            os.dup2(fresh, number, inheritable=step.inheritable)
        finally:
            os.close(fresh)
    except OSError as error:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise
        reason = errno.errorcode.get(error.errno or 0, "an error")
        return [f"{step.descriptor.target}: its position is not rolled back ({reason} on opening it again)"]
    return []


def _fdinfo(number: int) -> dict[str, str]:
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        lines = file.read().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
