"""The zygote: a warm, single-threaded Python process that workers are forked from, and that cares for what they leave.

It is the parent, sooner or later, of every process of its kernels: it forks workers, adopts whatever loses its parent,
reports each end to the gateway, remembers how children of the user's ended, and holds the wake ends of frozen
snapshots. It runs no code of the user's. Kernels that share it know nothing of each other: whatever concerns a process
carries the name of its kernel, and one kernel's end touches nothing of another's. The first worker is forked as soon as
everything is built; the zygote of a single kernel warms itself up for later ones when it is quiet.

Nothing here may be left open in a worker, and no worker may start on top of the zygote's stack: `serve` *returns* in
the forked child, with what the worker is to be.
"""

from __future__ import annotations

import _signal
import os
import resource
import select
import signal
import socket
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from . import frozen_copies
from .birth import WorkerSpec
from .link import BadFrame, Frame, Link, LinkClosed
from .orphanhood import Orphanhood
from .processes import children, custodian, lifeline
from .processes.custodian import close_all
from .processes.endings import Ending, end_descendants
from .wards import Child, Duplicate, Snapshot, Ward, Wards

STATUSES_MAX = 10_000
#: A zygote that has a worker and heard nothing for so long warms itself up.
QUIET_MS = 1000
IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# How one round of serving ends in the zygote itself.
LINK_LOST, STOPPED, STOPPED_TO_LINGER = "link lost", "stopped", "stopped to linger"


class Options(NamedTuple):
    """What the gateway asks of a zygote."""

    link: str
    token: str
    kernel: str
    #: Where a gateway that comes after this one finds the zygote, and how long it is waited for.
    rendezvous: str | None
    linger_s: float
    #: So long it and all below it go on without a gateway, and look for one at `link`.
    orphan_s: float = 0
    spool_bytes_max: int = 1 << 30


class Zygote:
    """The zygote's side of everything."""

    def __init__(self, options: Options) -> None:
        self.options = options
        #: Content of a kernel_info_reply, as JSON.
        self.info = b""
        self.link: Link | None = None
        #: What is to be said of this zygote beside that it is ready.
        self.facts: dict[str, Any] = {}
        self.wards = Wards()
        #: How processes ended, oldest first, as os.waitpid tells it.
        self.statuses: OrderedDict[int, int] = OrderedDict()
        self.orphanhood = Orphanhood(options.orphan_s)
        #: Kernels whose processes are being ended.
        self.endings: dict[str, Ending] = {}
        #: Work for the first quiet moment.
        self.when_quiet: Callable[[], None] | None = None
        self.limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._signals: tuple[socket.socket, socket.socket] | None = None

    # ----------------------------------------------------------------------------------------------- life

    def prepare(self) -> None:
        """Take up the duties of a custodian in this process."""
        lifeline.become_subreaper()
        self._signals = socket.socketpair()
        for end in self._signals:
            end.setblocking(False)
        # The handler does nothing: it is the wakeup descriptor that counts.
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._signals[1].fileno(), warn_on_full_buffer=False)
        # Descriptors of a whole worker pass through here when one takes another's place.
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.limits[1], self.limits[1]))

    def introduce(self, link: Link, info: bytes) -> None:
        """Say over `link` that this zygote is ready; `info` is the content of a kernel_info_reply."""
        import ipykernel
        import IPython

        self.link, self.info = link, info
        versions = {
            "python": sys.version.split()[0],
            "ipython": IPython.__version__,
            "ipykernel": ipykernel.__version__,
        }
        self.facts = {**versions, **self.facts}
        link.send({"kind": "ready", **self.facts}, self.info)

    def serve(self) -> WorkerSpec | str:
        """Serve the gateway. Returns how that ended, or, in a forked child, which worker to be."""
        assert self.link is not None and self._signals is not None
        self.wards.poll.register(self.link, select.POLLIN)
        self.wards.poll.register(self._signals[0], select.POLLIN)
        while True:
            ready = self.wards.poll.poll(self._patience_ms())
            if not ready and self.when_quiet is not None and not self.endings:
                warm, self.when_quiet = self.when_quiet, None
                warm()
                continue
            try:
                ended = self._serve_once({number for number, _ in ready})
                if ended is not None:
                    return ended
            except (LinkClosed, BadFrame):
                if not self.orphanhood.begin():
                    return LINK_LOST
                self.close_link()
            if self.orphanhood.is_over():
                return LINK_LOST
            if self.link is None and self.orphanhood.is_due():
                self._redial()

    def _serve_once(self, numbers: set[int]) -> WorkerSpec | str | None:
        """See to those whose descriptors are `numbers`. Raises LinkClosed, BadFrame."""
        assert self._signals is not None
        wards = self.wards.among(numbers)
        # What workers registered or handed over comes before the news of their end, and before commands.
        self._hear_workers(wards)
        if self._signals[0].fileno() in numbers:
            self._reap()
        for ward in wards:
            if isinstance(ward, Snapshot):
                self._lose(ward)
        if self.endings:
            self._go_on_ending()
        if self.link is not None and self.link.fileno() in numbers:
            frames = self.link.receive_ready()
            self.orphanhood.end()
            return self._obey(frames)
        return None

    def _redial(self) -> None:
        """Look for a gateway, and tell it what there is."""
        options = self.options
        # A worker that has just ended is told of as dead, not as one that will dial in as well.
        self._hear_workers(self.wards.speaking())
        self._reap()
        try:
            link = Link.dial(options.link, "zygote", options.kernel, options.token, {})
            link.send({"kind": "inventory", "ready": self.facts, **self.wards.inventory(), **self.orphanhood.told()}, self.info)
        except OSError:
            # Nobody is there yet.
            return
        self.link = link
        self.orphanhood.meet()
        self.wards.poll.register(link, select.POLLIN)

    def _patience_ms(self) -> float | None:
        if self.endings:
            return max(0.0, min(ending.due for ending in self.endings.values()) - time.monotonic()) * 1000
        if self.orphanhood:
            return self.orphanhood.patience_ms()
        return QUIET_MS if self.when_quiet is not None and self.wards.workers else None

    def become_child(self) -> None:
        """In a forked child: let go of everything that is the zygote's."""
        signal.set_wakeup_fd(-1)
        # The functions of C: Python's own look for an enumeration's member, and each page that they touch is copied.
        for number in (*IGNORED, signal.SIGCHLD):
            _signal.signal(number, _signal.SIG_DFL)
        _signal.signal(signal.SIGINT, _signal.default_int_handler)
        resource.setrlimit(resource.RLIMIT_NOFILE, self.limits)
        if self.link is not None:
            self.link.close()
        for end in self._signals or ():
            end.close()
        self.wards.abandon()
        self.statuses.clear()
        self.endings.clear()

    def end_all(self) -> None:
        """End every process of every kernel."""
        groups: set[int] = set()
        pids: set[int] = set()
        for each in (*self.endings.values(), *(Ending(*self.wards.let_go(kernel)) for kernel in {*self.wards.groups})):
            groups |= each.groups
            pids |= each.pids
        self.endings.clear()
        end_descendants(groups, pids)
        self.statuses.clear()

    def close_link(self) -> None:
        """Hang up on the gateway."""
        if self.link is not None:
            self.wards.poll.unregister(self.link)
            self.link.close()
            self.link = None

    # ------------------------------------------------------------------------------------------- the gateway

    def _obey(self, frames: list[Frame]) -> WorkerSpec | str | None:
        for frame in frames:
            command = frame.envelope
            match command["kind"]:
                case "fork":
                    spec = self._fork(command)
                    if spec is not None:
                        return spec
                case "wake":
                    self._hear_workers(self.wards.speaking())
                    frozen_copies.wake(self.wards, command, self._tell)
                case "copy":
                    self._hear_workers(self.wards.speaking())
                    frozen_copies.copy(self.wards, command, self._tell)
                case "discard":
                    self._hear_workers(self.wards.speaking())
                    frozen_copies.discard(self.wards, command)
                case "end":
                    self._hear_workers(self.wards.speaking())
                    self._end(command["kernel"])
                case "kill":
                    self._kill(command["pid"], command["signal"])
                case "dismissed":
                    return STOPPED
                case "stop":
                    return STOPPED_TO_LINGER if command.get("linger") else STOPPED
        return None

    def _fork(self, command: dict[str, Any]) -> WorkerSpec | None:
        """Fork a worker. None in the zygote; in the worker, what it is to be."""
        answer = {"kernel": command["kernel"], "token": command["token"]}
        try:
            ours, theirs = custodian.pair()
        except OSError as error:
            self._tell({"kind": "fork_failed", **answer, "reason": str(error)})
            return None
        try:
            pid = os.fork()
        except OSError as error:
            ours.close()
            theirs.close()
            self._tell({"kind": "fork_failed", **answer, "reason": str(error)})
            return None
        if pid == 0:
            ours.close()
            return self._worker_spec(command, theirs.detach())
        theirs.close()
        self.wards.adopt(pid, Child(command["kernel"], ours, command["token"]))
        self._tell({"kind": "forked", **answer, "pid": pid})
        return None

    def _worker_spec(self, command: dict[str, Any], custodian_fd: int) -> WorkerSpec:
        return WorkerSpec(
            kernel=command["kernel"],
            token=command["token"],
            link_path=self.options.link,
            cwd=command["cwd"],
            env=command["env"],
            stdout=command["stdout"],
            stderr=command["stderr"],
            interrupts=command.get("interrupts"),
            ready=command.get("ready", False),
            connection_file=command.get("connection_file"),
            limits=command.get("limits"),
            custodian_fd=custodian_fd,
            orphan_s=self.options.orphan_s,
            spool_bytes_max=self.options.spool_bytes_max,
        )

    def _kill(self, pid: int, number: int) -> None:
        # A pid that is reaped already may belong to a stranger by now. Only one process reaps below us, the workers.
        ancestor: int | None = pid
        while ancestor is not None and ancestor > 1:
            ancestor = children.parent_of(ancestor)
            if ancestor == os.getpid():
                os.kill(pid, number)
                return

    def _end(self, kernel: str) -> None:
        """Begin to end everything of a kernel; others are served meanwhile."""
        groups, pids = self.wards.let_go(kernel)
        former = self.endings.get(kernel)
        if former is not None:
            groups, pids = groups | former.groups, pids | former.pids
        # A copy that has just become another kernel's is still in the group of the one that it was taken of.
        self.endings[kernel] = Ending(groups, pids, self.wards.workers)
        self._go_on_ending()

    def _go_on_ending(self) -> None:
        now = time.monotonic()
        for kernel, ending in list(self.endings.items()):
            if ending.due <= now:
                self._reap()
                if ending.go_on(now):
                    del self.endings[kernel]
                    self._tell({"kind": "ended", "kernel": kernel})

    def _tell(self, event: dict[str, Any]) -> None:
        # Without a gateway nobody is told; the next one is shown what there is.
        if self.link is not None:
            self.link.send(event)

    # ----------------------------------------------------------------------------------------- the processes

    def _hear_workers(self, wards: list[Ward]) -> None:
        """Take in everything that the workers among these, and copies on their way, have said so far."""
        for ward in wards:
            if isinstance(ward, Child):
                self._hear(ward)
            elif isinstance(ward, Duplicate):
                frozen_copies.hear(self.wards, ward, self._tell)

    def _hear(self, child: Child) -> None:
        while child.fileno() >= 0:
            try:
                received = custodian.receive(child.connection, socket.MSG_DONTWAIT)
                if received is None:
                    self.wards.forget(child)
                    return
                self._serve_worker(child, *received)
            except BlockingIOError:
                return
            except (OSError, ValueError, KeyError, TypeError):
                # Something else wrote on the worker's descriptor, or nobody is there; its end will be reported.
                self.wards.forget(child)

    def _serve_worker(self, child: Child, message: dict[str, Any], descriptors: list[int]) -> None:
        match message["kind"], descriptors:
            case "snapshot", [end, *rest]:
                close_all(rest)
                name, pid, token = message["snapshot"], message["pid"], message["token"]
                self.wards.keep(Snapshot(child.kernel, name, pid, socket.socket(fileno=end), token))
            case "hand_over", _:
                snapshot = self.wards.snapshots.get((child.kernel, message["snapshot"]))
                if snapshot is None:
                    close_all(descriptors)
                else:
                    snapshot.handed.append((message["streams"], descriptors))
            case "status", _:
                close_all(descriptors)
                answer = {"kind": "status", "n": message["n"], **self._status_of(message["pid"])}
                custodian.send(child.connection, answer, flags=socket.MSG_DONTWAIT)
            case _:
                close_all(descriptors)

    def _status_of(self, pid: int) -> dict[str, Any]:
        status = self.statuses.get(pid)
        if status is not None:
            return {"state": "ended", "status": status}
        # The child of a worker that is just ending will be ours in a moment.
        parent = children.parent_of(pid)
        return {"state": "running" if parent == os.getpid() or parent in self.wards.workers else "unknown"}

    def _reap(self) -> None:
        assert self._signals is not None
        try:
            while self._signals[0].recv(4096):
                pass
        except BlockingIOError:
            pass
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self._bury(pid, status)

    def _bury(self, pid: int, status: int) -> None:
        self.statuses[pid] = status
        if len(self.statuses) > STATUSES_MAX:
            self.statuses.popitem(last=False)
        child = self.wards.workers.pop(pid, None)
        if child is not None:
            self._hear(child)
            self.wards.forget(child)
        for snapshot in list(self.wards.snapshots.values()):
            if snapshot.pid == pid:
                self._lose(snapshot)
        code = os.waitstatus_to_exitcode(status)
        how = {"code": code if code >= 0 else None, "signal": -code if code < 0 else None}
        if child is not None:
            self.orphanhood.remember({"kernel": child.kernel, "token": child.token, "pid": pid, **how})
        self._tell({"kind": "died", "kernel": None if child is None else child.kernel, "pid": pid, **how})

    def _lose(self, snapshot: Snapshot) -> None:
        # One that was woken or replaced meanwhile is not lost.
        if self.wards.snapshots.get((snapshot.kernel, snapshot.name)) is snapshot:
            self.wards.take(snapshot.kernel, snapshot.name)
            self.wards.forget(snapshot)
            self._tell({"kind": "snapshot_gone", "kernel": snapshot.kernel, "snapshot": snapshot.name})
