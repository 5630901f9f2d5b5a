"""What a zygote cares for: workers and frozen copies, each of one kernel."""

from __future__ import annotations

import select
import socket
from typing import Any, NamedTuple, TypeAlias

from .processes.custodian import close_all


class Child(NamedTuple):
    """A worker: `kernel` is whose, `connection` leads to it, `token` is what it dials in with."""

    kernel: str
    connection: socket.socket
    token: str = ""

    def fileno(self) -> int:
        """The descriptor of the connection; -1 once closed."""
        return self.connection.fileno()

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


class Snapshot:
    """A frozen copy: `end` wakes it, and hangs up when it is gone."""

    def __init__(self, kernel: str, name: str, pid: int, end: socket.socket, token: str = "") -> None:
        self.kernel = kernel
        #: What it dials in with if it is woken as its own kernel's.
        self.token = token
        self.name = name
        self.pid = pid
        self.end = end
        #: What the present worker handed over for it: names of streams, and the descriptors.
        self.handed: list[tuple[dict[str, str], list[int]]] = []
        self.discarded = False

    def fileno(self) -> int:
        """The descriptor of the wake end; -1 once closed."""
        return self.end.fileno()

    def close(self) -> None:
        """Let go of it: if it was not woken, it ends."""
        self.end.close()
        for _, descriptors in self.handed:
            close_all(descriptors)
        self.handed.clear()


class Duplicate(NamedTuple):
    """A copy of the frozen copy `snapshot` that is on its way: `end` will wake it, and hears that it is there."""

    kernel: str
    snapshot: str
    name: str
    end: socket.socket
    token: str = ""

    def fileno(self) -> int:
        """The descriptor of its wake end; -1 once closed."""
        return self.end.fileno()

    def close(self) -> None:
        """Let go of it: it ends."""
        self.end.close()


Ward: TypeAlias = "Child | Snapshot | Duplicate"


class Wards:
    """All of them, and who of them has something to say."""

    def __init__(self) -> None:
        self.workers: dict[int, Child] = {}
        #: By kernel and name: kernels number theirs alike.
        self.snapshots: dict[tuple[str, str], Snapshot] = {}
        self.duplicates: set[Duplicate] = set()
        #: Process groups that workers of each kernel were made leaders of; what their children inherit.
        self.groups: dict[str, set[int]] = {}
        # Kept from round to round: to register a thousand connections takes longer than to serve one of them. And poll
        # keeps nothing in the operating system that a fork would share, as epoll does, and knows no highest number.
        self.poll = select.poll()
        self._watched: dict[int, Ward] = {}

    def adopt(self, pid: int, child: Child) -> None:
        """Take a worker into care."""
        # The number may have been that of another kernel's worker, whose group is gone then.
        for groups in self.groups.values():
            groups.discard(pid)
        self.groups.setdefault(child.kernel, set()).add(pid)
        self.workers[pid] = child
        self._watch(child, select.POLLIN)

    def keep(self, snapshot: Snapshot) -> None:
        """Take a frozen copy into care."""
        former = self.take(snapshot.kernel, snapshot.name)
        if former is not None:
            self.forget(former)
        self.snapshots[snapshot.kernel, snapshot.name] = snapshot
        # Nothing but the end is ever heard from it.
        self._watch(snapshot, 0)

    def expect(self, duplicate: Duplicate) -> None:
        """Listen for a copy that is on its way."""
        self.duplicates.add(duplicate)
        self._watch(duplicate, select.POLLIN)

    def release(self, duplicate: Duplicate) -> socket.socket:
        """It is there: its wake end, which is the caller's from then on."""
        self.duplicates.discard(duplicate)
        self._ignore(duplicate)
        return duplicate.end

    def take(self, kernel: str, name: str) -> Snapshot | None:
        """The snapshot of that name, which is the caller's from then on."""
        return self.snapshots.pop((kernel, name), None)

    def forget(self, ward: Ward) -> None:
        """Hang up, and listen no more."""
        if isinstance(ward, Duplicate):
            self.duplicates.discard(ward)
        self._ignore(ward)
        ward.close()

    def let_go(self, kernel: str) -> tuple[set[int], set[int]]:
        """Hang up on everything of a kernel; its process groups, and the pids of workers and copies."""
        pids = {pid for pid, child in self.workers.items() if child.kernel == kernel}
        for pid in pids:
            self.forget(self.workers.pop(pid))
        for snapshot in [each for each in self.snapshots.values() if each.kernel == kernel]:
            self.take(kernel, snapshot.name)
            self.forget(snapshot)
            pids.add(snapshot.pid)
        # They are in a group of that kernel.
        for duplicate in [each for each in self.duplicates if each.kernel == kernel]:
            self.forget(duplicate)
        return self.groups.pop(kernel, set()), pids

    def abandon(self) -> None:
        """In a forked child: close everything."""
        for ward in (*self.workers.values(), *self.snapshots.values(), *self.duplicates):
            ward.close()
        self.__init__()  # type: ignore[misc]

    def among(self, numbers: set[int]) -> list[Ward]:
        """Those whose descriptors are among these."""
        return [self._watched[number] for number in numbers if number in self._watched]

    def speaking(self) -> list[Ward]:
        """Those that have something to say at this moment."""
        return self.among({number for number, _ in self.poll.poll(0)})

    def _ignore(self, ward: Ward) -> None:
        number = ward.fileno()
        if number >= 0:
            self._watched.pop(number, None)
            self.poll.unregister(number)

    def _watch(self, ward: Ward, events: int) -> None:
        self._watched[ward.fileno()] = ward
        self.poll.register(ward.fileno(), events)

    def inventory(self) -> dict[str, Any]:
        """What there is of each kernel, for the event `inventory`."""
        places: dict[str, dict[str, Any]] = {}

        def place(kernel: str) -> dict[str, Any]:
            return places.setdefault(kernel, {"kernel": kernel, "workers": [], "snapshots": []})

        for pid, child in self.workers.items():
            place(child.kernel)["workers"].append({"pid": pid, "token": child.token})
        for snapshot in self.snapshots.values():
            if not snapshot.discarded:
                place(snapshot.kernel)["snapshots"].append(snapshot.name)
        return {"places": list(places.values())}
