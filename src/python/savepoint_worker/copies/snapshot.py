"""Frozen copies of a worker: taking them, forgetting them, and leaving in favour of one.

A snapshot is a fork in which the *child* waits. The parent goes on with its pid, threads and connections; the copy
cuts itself off (see `freeze`) and waits for the zygote, whom it is given to. If the user has anything open, the parent
is held up until that is done: otherwise a port that he closes would still be bound, and a file that is read on would
move in the copy as well.

A copy touches as little memory as it can, because each page that it writes to is copied while somebody waits. So the
parent looks at the descriptors beforehand, and signals are not ignored one by one but blocked in one call: what has
come meanwhile is thrown away on waking.
"""

from __future__ import annotations

import _signal
import asyncio
import errno
import os
import signal
import socket
import sys
import threading
import time
import warnings
from typing import TYPE_CHECKING, Any

from .. import own_limits
from ..effects.own_fork import own_fork
from ..link import wait_readable
from ..processes import children, custodian
from ..processes.custodian import Custodian
from . import duplicate, imports, probe, shared, surroundings, timers, wake
from .freeze import Original, Step, freeze, identity_of, kind_of, open_descriptors, survey
from .hot_pages import HotPages, prepare_next
from .probe import Found
from .shared import Range, Shared

if TYPE_CHECKING:
    from ..effects.recorder import Recorder
    from ..moments import Woken
    from ..worker import Worker

# Debuggers put their own in its place.
_fork = os.fork

FREEZE_TIMEOUT_S = 10.0
REAP_AGAIN_S = 0.02
#: How the names of threads begin that are not the user's, or that a woken copy starts anew.
OUR_THREADS = ("Savepoint-", "subshell-", "asyncio-waitpid-")
# The functions of `signal` turn each number into an enum, which takes longer than all the rest.
ALL_SIGNALS = tuple(map(int, signal.valid_signals()))


class Snapshots:
    """What a worker knows of its frozen copies and other hidden children, and its connection to the zygote."""

    def __init__(self, custodian_fd: int) -> None:
        self.custodian = Custodian(custodian_fd)
        #: The zygote, which adopts what a worker leaves behind.
        self.zygote = os.getppid()
        #: For each snapshot what could not be separated from the worker, in words.
        self.limits: dict[str, list[str]] = {}
        #: For each snapshot number and identity of what is handed over to it, if it is still open then.
        self.streams: dict[str, dict[int, str]] = {}
        self.shared = Shared()
        self._pids: dict[str, int] = {}
        #: Whether files were open, as far as is known, when the latest copy was taken.
        self.has_files = True
        #: What the next cell will write to in any case.
        self.pages = HotPages()

    def add(self, snapshot: str, pid: int, limits: list[str]) -> None:
        """Remember a copy that was frozen just now, and that is a child of this process."""
        children.hide(pid)
        self._pids[snapshot] = pid
        self.limits[snapshot] = limits

    def add_child(self, pid: int) -> None:
        """Hide another child of ours, such as a checkpoint's writer, and reap it when it has ended."""
        children.hide(pid)
        children.reap_all()

    def forget(self, snapshot: str) -> None:
        """A snapshot is gone, or as good as gone: it hangs up an instant before it can be reaped."""
        self.limits.pop(snapshot, None)
        self.streams.pop(snapshot, None)
        pid = self._pids.pop(snapshot, None)
        children.reap_all()
        if pid in children.hidden():
            try:
                asyncio.get_running_loop().call_later(REAP_AGAIN_S, children.reap_all)
            except RuntimeError:
                # No loop is at hand: it is reaped when the next copy is taken or forgotten.
                pass

    def begin_anew(self) -> None:
        """In a woken copy: other processes are siblings here, and the custodian's connection is a new one."""
        self._pids.clear()
        self.custodian = Custodian(self.custodian.detach())


class NoMemory(Exception):
    """There was no memory for a copy, and another engine may be used instead. Nobody was told."""


class NotFrozen(OSError):
    """No copy could be made, and nothing is left of the attempt."""


def take(worker: Worker, permit: dict[str, Any]) -> Woken | None:
    """Freeze a copy of this process, and tell the gateway (`taken`). In the copy, once it is woken, why that was done.

    Main thread only. Raises SavepointError('snapshot_failed') if there was no copy to be made, and NoMemory.
    """
    snapshots: Snapshots = worker.snapshots
    event: dict[str, Any] = {"kind": "taken", "snapshot": permit["snapshot"], "pid": 0, "ms": 0.0}
    children.reap_all()
    own_limits.give_back()
    snapshots.pages.look_before_fork()
    started = time.perf_counter()
    # A thread of ours that sends output, or has just found a gateway, would be taken for one of the user's.
    worker.outlet.quiesce()
    worker.link.settle()
    if len(sys._current_frames()) > 1:
        imports.settle()
    # What is undone by a rollback is no business of another kernel's.
    recorder = None if permit.get("apart") else recorder_for(worker, permit)
    if recorder is not None:
        recorder.mark(permit.get("record"))
    # What a signal handler of the user's raises has to be raised before anything is made, or after all is done.
    mask = _signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    try:
        found = probe.look(worker)
        try:
            pid, limits, woken = _take(worker, permit, found)
        finally:
            probe.go_on(found)
        if woken is not None:
            return woken
        if not permit.get("apart"):
            snapshots.add(permit["snapshot"], pid, limits)
        if recorder is not None:
            recorder.own(pid)
            if permit.get("record"):
                # Only here, so that the copy records as it did before.
                recorder.record(snapshots.has_files)
    except OSError as error:
        if error.errno == errno.ENOMEM and permit.get("engine") == "auto":
            raise NoMemory from None
        worker.link.send({**event, "error": str(error)})
        from savepoint import SavepointError

        message = f"The process could not be copied: {error}. Free memory, processes or files, and try again."
        raise SavepointError("snapshot_failed", message, {"snapshot": permit["snapshot"]}) from None
    finally:
        _signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    ms = (time.perf_counter() - started) * 1000
    around = surroundings.facts(worker, snapshots.streams.get(permit["snapshot"], ()))
    worker.link.send({**event, **found.told(), "pid": pid, "ms": ms, **around})
    prepare_next(worker, permit["snapshot"])
    return None


def recorder_for(worker: Worker, permit: dict[str, Any]) -> Recorder | None:
    """What records effects here; None as long as nothing has to be recorded."""
    if worker.recorder is None and permit.get("record"):
        from ..effects import recorder

        return recorder.of(worker)
    return worker.recorder


def _take(worker: Worker, permit: dict[str, Any], found: Found) -> tuple[int, list[str], Woken | None]:
    """Pid of the frozen copy and its limits; in the copy, why it was woken. Raises OSError."""
    if worker.debugger is not None and worker.debugger.attached:
        raise NotFrozen("a debugger is attached; disconnect it first")
    end, copys_end = custodian.pair()
    with end, copys_end:
        kept = worker.link.own() | {copys_end.fileno()}
        # Other threads may open something before the fork; then the copy looks for itself.
        steps = survey(kept | {end.fileno()}, output_fifos(worker)) if found.quiet else None
        worker.snapshots.has_files = steps is None or any(step.action == "reopen" for step in steps)
        own = own_descriptors(worker)
        apart = bool(permit.get("apart"))
        memory = worker.snapshots.shared.find()
        wait = apart or steps is None or any(step.number not in own for step in steps) or any(memory)
        # CPython seeds this generator anew after a fork; a rollback has to bring back the same state.
        random = sys.modules.get("random")
        random_state = random.getstate() if random is not None else None
        running = timers.running()
        original = Original(own, _user_threads(), worker.loop.time())
        pid = fork_quietly(found.alone)
        if pid == 0:
            end.close()
            woken = _be_frozen(worker, permit, copys_end, steps, memory, wait, original)
            probe.leave_behind(found)
            if random is not None:
                random.setstate(random_state)
            timers.start(running)
            return 0, [], woken
        copys_end.close()
        try:
            pid_of_copy, limits = _wait_until_frozen(end) if wait else (pid, [])
            worker.snapshots.custodian.register(permit, pid_of_copy, end)
        except BaseException:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise
        if apart:
            os.waitpid(pid, 0)
    if wait and not apart:
        worker.snapshots.streams[permit["snapshot"]] = open_streams(worker)
    return pid_of_copy, limits, None


def _user_threads() -> tuple[str, ...]:
    if len(sys._current_frames()) == 1:
        return ()
    ours = (threading.main_thread(), threading.current_thread())
    others = [each.name for each in threading.enumerate() if each not in ours]
    return tuple(name for name in others if not name.startswith(OUR_THREADS))


def fork_quietly(alone: bool) -> int:
    """os.fork without the warning that CPython 3.12 and later give where there are other threads: our copies know."""
    with own_fork:
        if alone or sys.version_info < (3, 12):
            return _fork()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            return _fork()


def _wait_until_frozen(end: socket.socket) -> tuple[int, list[str]]:
    if not wait_readable([end.fileno()], FREEZE_TIMEOUT_S):
        raise NotFrozen(f"the copy was not ready within {FREEZE_TIMEOUT_S:.0f} s")
    received = custodian.receive(end)
    if received is None:
        raise NotFrozen("the copy ended at once")
    message, _ = received
    if message["kind"] != "frozen":
        raise NotFrozen(message["reason"])
    return message["pid"], message["limits"]


def _be_frozen(
    worker: Worker,
    permit: dict[str, Any],
    end: socket.socket,
    steps: list[Step] | None,
    memory: tuple[list[Range], list[str]],
    awaited: bool,
    original: Original,
) -> Woken:
    """In the copy: cut all ties, wait, and come back when woken. Nothing but a wake-up leaves this function.

    `awaited`: the parent wants to hear that the ties are cut. Otherwise nothing may be said, as nobody would read it.
    `original`: what the parent knows of itself.
    """
    try:
        try:
            if permit.get("apart"):
                duplicate.step_aside()
            if steps is None:
                steps = survey(worker.link.own() | {end.fileno()}, output_fifos(worker))
            frozen = freeze(steps, original.own)
            ranges, limits = memory
            frozen = frozen._replace(shared=shared.save(ranges), limits=[*frozen.limits, *limits])
        except OSError as error:
            if awaited:
                custodian.send(end, {"kind": "failed", "reason": str(error)})
            os._exit(1)
        if awaited:
            custodian.send(end, {"kind": "frozen", "limits": frozen.limits, "pid": os.getpid()})
        worker.snapshots.pages.copy_downwards(end.fileno())
        own_limits.expose(own_limits.FROZEN)
        waking = wake.wait(end, frozen)
        own_limits.expose(own_limits.WORKER)
        return wake.come_back(worker, permit, waking, frozen, original)
    except BaseException as error:
        # There may be nobody to tell, as connections go; the FIFO that children print to is always there.
        os.write(2, f"This snapshot could not be woken: {type(error).__name__}: {error}\n".encode())
        os._exit(1)


def own_descriptors(worker: Worker) -> frozenset[int]:
    """Numbers of the connections that are no business of the user's."""
    loop: Any = worker.loop
    sockets = (worker.link, worker.snapshots.custodian, loop._ssock, loop._csock)
    sockets = (*sockets, *worker.subshells.sockets())
    numbers = {each.fileno() for each in sockets}
    if worker.debugger is not None:
        numbers.add(worker.debugger.fileno())
    return frozenset(numbers)


def output_fifos(worker: Worker) -> frozenset[tuple[int, int]]:
    """Device and inode of the worker's own output pipes, wherever they are open."""
    found = set()
    for path in (worker.spec.stdout, worker.spec.stderr):
        try:
            status = os.stat(path or "")
        except OSError:
            # There is none, or its folder was removed: then the descriptors go the way of other pipes.
            continue
        found.add((status.st_dev, status.st_ino))
    return frozenset(found)


def open_streams(worker: Worker) -> dict[int, str]:
    """Number and identity of every pipe and socket that is not the worker's own."""
    own, fifos = own_descriptors(worker), output_fifos(worker)
    return {
        each.number: identity_of(each)
        for each in open_descriptors()
        if each.number not in own and kind_of(each, fifos) == "stream"
    }
