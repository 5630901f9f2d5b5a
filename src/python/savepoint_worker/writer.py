"""The processes that write a checkpoint, so that the kernel is held up for one fork only.

The worker forks a *writer*, which tells the gateway how it went. The writer never runs code of the user's: it forks a
*serializer* for that, and watches it. A serializer that dies, or that is stuck in some `__reduce__`, has left word
which variable it was at; the next one leaves that variable alone. Neither ever writes to a file of the user's: the
first thing that the writer does is to make all inherited descriptors read-only or dead.
"""

from __future__ import annotations

import gc
import json
import os
import signal
import stat
import sys
import time
from typing import TYPE_CHECKING, Any, NoReturn

from . import checkpoints, own_limits
from .copies.freeze import Descriptor, open_descriptors
from .copies.snapshot import fork_quietly
from .link import Link, wait_readable
from .processes.lifeline import die_with_parent
from .serialize import process, session, surroundings
from .serialize.progress import NOTHING, Progress, Seen
from .serialize.saving import allow_depth
from .serialize.verdict import reason_of

if TYPE_CHECKING:
    from .worker import Worker

#: How long a serializer may go without writing anything before its variable is given up.
STALL_TIMEOUT_S = 60.0
#: After this time the checkpoint is given up; somewhat before the gateway does so.
WRITE_TIMEOUT_S = 590.0
#: Variables that may end or hold up a serializer before the checkpoint is given up.
CULPRITS_MAX = 50
WATCH_INTERVAL_S = 0.05
#: How often the gateway is told how far it is.
TELL_INTERVAL_S = 0.5
NICENESS = 5
OOM_SCORE = "500"
_IGNORED = (signal.SIGINT, signal.SIGHUP, signal.SIGTSTP, signal.SIGQUIT, signal.SIGPIPE)


class WriteFailed(Exception):
    """There is no checkpoint; the text says why."""


def be_writer(worker: Worker, command: dict[str, Any], before_fork: dict[str, Any]) -> NoReturn:
    """In a process that was forked to save the worker that it was; ends it. `before_fork`: see `process.before_fork`."""
    began = time.perf_counter()
    link = None
    try:
        own_limits.lift()
        _become_harmless()
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        link = Link.dial(worker.spec.link_path, "writer", worker.spec.kernel, command["token"])
        shell = worker.shell
        history = [(number, text) for number, text in enumerate(shell.history_manager.input_hist_raw) if text]
        baseline = process.baseline(worker.spec.env)
        whole = bool(command.get("whole_session"))
        extras = checkpoints.Extras(baseline, before_fork, history, shell.execution_count, whole)
        target = checkpoints.Target(command["path"], command["pack"], command.get("known"))
        job = Job(shell.user_ns, target, tuple(command["exclude"]), extras, shell)
        job.checkpoint = command["checkpoint"]
        manifest = write_watched(job, link)
        event = {"kind": "written", "checkpoint": job.checkpoint, "ms": (time.perf_counter() - began) * 1000}
        link.send(event, json.dumps(manifest).encode())
    except BaseException as error:
        # This process must not return into the code that its original was called from, whatever happens.
        if link is not None:
            event = {"kind": "write_failed", "checkpoint": command["checkpoint"], "reason": reason_of(error)}
            _send_last(link, event)
        os._exit(1)
    os._exit(0)


def _send_last(link: Link, event: dict[str, Any]) -> None:
    try:
        link.send(event)
    except OSError:
        # Nobody listens any more.
        return


def _become_harmless() -> None:
    """Let nothing that happens here reach the outside, and let the kernel go first."""
    gc.disable()
    sys.settrace(None)
    sys.setprofile(None)
    for number in signal.valid_signals():
        if number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        elif callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    cut_off()
    os.nice(NICENESS)
    try:
        with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
            file.write(OOM_SCORE)
    except OSError:
        # Where that is not allowed, the system chooses by size.
        return


def cut_off(kept: frozenset[int] = frozenset()) -> None:
    """Make every descriptor of this process but those in `kept` read-only, with a position of its own, or dead."""
    dead = os.open(os.devnull, os.O_RDWR)
    for descriptor in open_descriptors():
        if descriptor.number != dead and descriptor.number not in kept:
            _cut_off(descriptor, dead)
    os.close(dead)


def _cut_off(descriptor: Descriptor, dead: int) -> None:
    number, mode = descriptor.number, descriptor.mode
    if stat.S_ISDIR(mode) or (stat.S_ISCHR(mode) and not os.isatty(number)):
        return
    if stat.S_ISSOCK(mode):
        surroundings.note_socket(number)
    inheritable = os.get_inheritable(number)
    replacement = dead
    if stat.S_ISREG(mode):
        try:
            replacement = os.open(f"/proc/self/fd/{number}", os.O_RDONLY)
            os.lseek(replacement, os.lseek(number, 0, os.SEEK_CUR), os.SEEK_SET)
        except OSError:
            # It may not be read. Then nothing is to be had from it.
            replacement = dead
    os.dup2(replacement, number, inheritable)
    if replacement != dead:
        os.close(replacement)


# --------------------------------------------------------------------------------------------------- the serializer


class Job:
    """What is to be written, and where."""

    def __init__(
        self,
        namespace: dict[str, Any],
        target: checkpoints.Target,
        exclude: tuple[str, ...],
        extras: checkpoints.Extras,
        shell: Any = None,
    ) -> None:
        #: What the gateway calls it.
        self.checkpoint = ""
        self.namespace = namespace
        self.target = target
        self.exclude = exclude
        self.extras = extras
        self.shell = shell

    def names(self) -> list[str]:
        """Names of the variables, in the order in which they are written."""
        return list(checkpoints.what_is_saved(self.namespace, self.exclude, self.extras, self.shell)[0])


def write_watched(job: Job, link: Link | None, stall_timeout_s: float = STALL_TIMEOUT_S) -> dict[str, Any]:
    """Write a checkpoint in a process of its own; the manifest. Raises WriteFailed.

    Variables that end that process, or hold it up for longer than `stall_timeout_s`, are lost, and the others are
    written by another process. Ends when `link` does.
    """
    names = job.names()
    skipped: dict[str, str] = {}
    deadline = time.monotonic() + WRITE_TIMEOUT_S
    while len(skipped) <= CULPRITS_MAX:
        progress = Progress()
        what = _Watch(job, progress, skipped, names).until_end(link, stall_timeout_s, deadline)
        if what is None:
            return checkpoints.read_back(job.target)
        index = progress.seen().index
        if index == NOTHING:
            raise WriteFailed(f"the process that wrote it {what}")
        skipped[names[index]] = f"the process that saved it {what}"
    raise WriteFailed(f"too many variables cannot be saved; the last one is {names[index]}")


class _Watch:
    """One serializer, watched."""

    def __init__(self, job: Job, progress: Progress, skipped: dict[str, str], names: list[str]) -> None:
        self._progress = progress
        self._checkpoint = job.checkpoint
        self._names = names
        self._report, report = os.pipe()
        parent = os.getpid()
        self._pid = fork_quietly(alone=False)
        if self._pid == 0:
            os.close(self._report)
            _be_serializer(job, progress, skipped, report, parent)
        os.close(report)

    def until_end(self, link: Link | None, stall_timeout_s: float, deadline: float) -> str | None:
        """None if all was written, else what happened. Raises WriteFailed."""
        try:
            status = self._wait(link, stall_timeout_s, deadline)
            if status is None:
                return f"made no progress for {stall_timeout_s:g} s"
            text = os.read(self._report, 65536) if wait_readable([self._report], 0) else b""
            if text == b"done":
                return None
            if text:
                raise WriteFailed(text.decode())
            return _end_of(status)
        finally:
            os.close(self._report)

    def _wait(self, link: Link | None, stall_timeout_s: float, deadline: float) -> int | None:
        """The status with which it ended; None if it had to be ended."""
        steps, since = -1, time.monotonic()
        told = since
        watched = [self._report] if link is None else [self._report, link.fileno()]
        while True:
            readable = wait_readable(watched, WATCH_INTERVAL_S)
            pid, status = os.waitpid(self._pid, 0 if self._report in readable else os.WNOHANG)
            if pid == self._pid:
                return status
            now = time.monotonic()
            seen = self._progress.seen()
            if seen.steps != steps:
                steps, since = seen.steps, now
            if link is not None and now - told >= TELL_INTERVAL_S:
                told = now
                self._tell(link, seen)
            gone = link is not None and link.fileno() in readable
            if gone or now > deadline or now - since > stall_timeout_s:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                if gone or now > deadline:
                    raise WriteFailed("the gateway is gone" if gone else "it took too long")
                return None


    def _tell(self, link: Link, seen: Seen) -> None:
        variable = self._names[seen.index] if seen.index != NOTHING else None
        event = {"kind": "writing", "checkpoint": self._checkpoint, "done_bytes": seen.done_bytes}
        try:
            link.send({**event, "total_bytes": seen.total_bytes or None, "variable": variable})
        except OSError:
            # The gateway is gone, or wants no more of it: that is seen in a moment.
            return


def _be_serializer(job: Job, progress: Progress, skipped: dict[str, str], report: int, parent: int) -> NoReturn:
    try:
        die_with_parent(parent)
        surroundings.be_expendable()
        allow_depth()
        checkpoints.write(job.namespace, job.target, job.exclude, job.extras, job.shell, progress, skipped)
        os.write(report, b"done")
    except BaseException as error:
        # As in the writer: there is nowhere to return to.
        os.write(report, reason_of(error).encode())
        os._exit(1)
    os._exit(0)


def _end_of(status: int) -> str:
    if os.WIFSIGNALED(status):
        return f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return f"ended with exit code {os.WEXITSTATUS(status)}"
