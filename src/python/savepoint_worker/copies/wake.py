"""How a frozen copy waits, and how it becomes a worker when it is woken.

The order of `come_back` matters: first the descriptors that the event loop and the connections stand on, then what the
interpreter believes about loop and signals, and only then the gateway, which may send work at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import lasting
from ..link import Link
from ..loops import renew_pipe
from ..processes import children, custodian, lifeline
from . import duplicate, events, imports, locks, shared
from .freeze import Frozen, Original, start_time
from .identity import Identity, assume, left_behind, rebase_timers
from .locks import Lock

if TYPE_CHECKING:
    from ..effects.recorder import Recorder
    from ..moments import Woken
    from ..worker import Worker

WELCOME_TIMEOUT_S = 30.0


class Waking(NamedTuple):
    """What a copy is woken with: the descriptor of its connection to the zygote, and whose worker it is to be."""

    connection: int
    #: None: that of its own kernel.
    identity: Identity | None


def wait(end: socket.socket, frozen: Frozen) -> Waking:
    """Block until this copy, or a copy of it, is woken. If nobody wants it, it ends."""
    while True:
        received = custodian.receive(end)
        if received is None:
            os._exit(0)
        message, descriptors = received
        match message["kind"]:
            case "wake":
                identity = message.get("as")
                return Waking(descriptors[0], None if identity is None else Identity(**identity))
            case "copy":
                duplicate.copy(end, descriptors[0])
            case _:
                _put_back(message["streams"], descriptors, frozen)


def _put_back(streams: dict[str, str], descriptors: list[int], frozen: Frozen) -> None:
    """Put streams of the old worker in the places that they had here; others came into being later, and are closed."""
    for (number, identity), descriptor in zip(streams.items(), descriptors):
        place = int(number)
        if frozen.streams.get(place) == identity:
            os.dup2(descriptor, place, inheritable=os.get_inheritable(place))
    custodian.close_all(descriptors)


def come_back(worker: Worker, permit: dict[str, Any], waking: Waking, frozen: Frozen, original: Original) -> Woken:
    """Be a worker again: in contact with zygote and gateway, with a live event loop. Raises OSError, TimeoutError.

    All signals are blocked here.
    """
    # An interrupt that came while this copy was frozen was meant for the other process.
    while signal.sigtimedwait(signal.valid_signals(), 0) is not None:
        pass
    # A process group of its own, as every worker has.
    os.setsid()
    lifeline.die_with_parent(worker.snapshots.zygote)
    os.dup2(waking.connection, worker.snapshots.custodian.fileno(), inheritable=False)
    os.close(waking.connection)
    worker.snapshots.begin_anew()
    token = permit["token"]
    if waking.identity is not None:
        assume(worker, waking.identity)
        rebase_timers(worker.loop, original.at)
        token = waking.identity.token
    children.outlive(worker.snapshots.custodian)
    _reopen_pidfds(frozen)
    events.revive(frozen.events)
    shared.put_back(frozen.shared, apart=waking.identity is not None)
    if waking.identity is not None:
        frozen.limits.extend(f"the lock on {lock.target}" for lock in frozen.locks)
    _renew_loop(worker.loop)
    imports.repair()
    link = lasting.dial(worker.spec, token, patient=True)
    woken = worker.come_back(link, link.receive(WELCOME_TIMEOUT_S))
    if waking.identity is not None:
        link.send({"kind": "left_behind", "limits": left_behind(frozen, original)})
    children.restart_waiters()
    # The worker that has them is ended when the gateway sends for this one.
    held = frozen.locks if waking.identity is None else []
    if woken.reason.get("undo"):
        _undo(worker.recorder, link, permit["snapshot"], woken, held)
    else:
        if worker.recorder is not None:
            worker.recorder.resume()
        locks.take_again(held)
    return woken


def _undo(recorder: Recorder | None, link: Link, snapshot: str, woken: Woken, held: list[Lock]) -> None:
    """Take back what was done outside of the process since this copy was frozen, and say what that was."""
    effects: list[dict[str, Any]] = []
    limits: list[str] = []
    if recorder is not None:
        try:
            effects, limits = recorder.undo()
        except Exception as error:
            limits = [f"files, which could not be put back ({type(error).__name__}: {error})"]
    # After the files: whoever closes one lets go of all locks that its process has there.
    limits = [*limits, *locks.take_again(held)]
    link.send({"kind": "undone", "snapshot": snapshot, "effects": effects, "limits": limits})
    woken.reason["effects"] = effects
    woken.reason["limits"] = [*woken.reason.get("limits", ()), *limits]


def _renew_loop(loop: Any) -> None:
    """Give the event loop a self-pipe, and make it the running loop of this process, too."""
    renew_pipe(loop)
    if asyncio._get_running_loop() is None:
        # The C implementation compares process ids and finds that the loop runs in another process.
        asyncio._set_running_loop(None)
        asyncio._set_running_loop(loop)
    asyncio.set_event_loop(loop)


def _reopen_pidfds(frozen: Frozen) -> None:
    """Watch the same processes as before. One that is gone stays a dead end, which reads as ended."""
    for number, (pid, started) in frozen.pidfds.items():
        try:
            fresh = os.pidfd_open(pid)
        except OSError:
            continue
        if start_time(pid) == started:
            os.dup2(fresh, number, inheritable=os.get_inheritable(number))
        os.close(fresh)
