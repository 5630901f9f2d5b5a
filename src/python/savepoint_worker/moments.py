"""Moments that a worker can be brought back to: freezing a copy of it, and being that copy when it is woken."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any, NamedTuple

from savepoint.errors import SavepointError

from . import interrupts
from .copies.surroundings import awake
from .ipython import history
from .link import Frame, Link

if TYPE_CHECKING:
    from .worker import Worker


class Woken(NamedTuple):
    """Why this copy of the process was woken. `resume`: the cell that it was taken in goes on."""

    resume: bool
    reason: dict[str, Any]
    parts: list[bytes]
    #: Allows a copy of this moment, which is to stay one that can be gone back to.
    permit: dict[str, str] | None
    #: The user's comms that clients know; None: they look for themselves.
    comms: list[str] | None


def take(worker: Worker, permit: dict[str, str]) -> Woken | None:
    """Freeze a copy of this process. None here; in the copy, once it is woken, why that was done.

    A copy whose moment is to stay freezes another one when it is woken, before anything else. Raises
    SavepointError('snapshot_failed') if the process could not be copied; the gateway was told.
    """
    woken = _take(worker, permit)
    while woken is not None and woken.permit is not None:
        try:
            again = _take(worker, woken.permit)
        except SavepointError:
            # The gateway was told; it goes on without that way back.
            break
        if again is None:
            break
        woken = again
    if woken is not None:
        _make_up(worker)
    if woken is not None and woken.comms is not None:
        awake(worker, woken.comms)
    interrupts.deliver()
    return woken


@interrupts.held
def _make_up(worker: Worker) -> None:
    """In a copy that was woken: what its original's threads served works again."""
    from .copies import probe

    for failure in probe.make_up():
        worker.log("warn", f"Something that threads had served could not be put in order: {failure}")
    libraries = probe.orphaned()
    if libraries:
        worker.link.send({"kind": "hangs", "libraries": libraries})


@interrupts.held
def _take(worker: Worker, permit: dict[str, str]) -> Woken | None:
    from .copies import snapshot
    from .objects import uncopyable

    worker.flush_streams()
    engine = permit.get("engine")
    why = "It was asked for." if engine == "objects" else uncopyable.reason() if engine == "auto" else None
    if why is None:
        try:
            return snapshot.take(worker, permit)
        except snapshot.NoMemory:
            why = "There was no memory for a copy of the process."
    worker.held.take(worker, permit, why)
    return None


def come_back(worker: Worker, link: Link, welcome: Frame) -> Woken:
    """Take up work in a copy of the process that was woken: all that was connected is connected anew.

    The loop's own descriptors are the caller's to replace, before this is called.
    """
    envelope = welcome.envelope
    reason = envelope["woken"]
    worker.generation = envelope["generation"]
    worker.loop.remove_reader(worker.link.fileno())
    worker.link.close()
    # Threads stay behind; this one's connection is dead here.
    worker.debugger = None
    interrupts.yield_to(None)
    while not worker._requests.empty():
        worker._requests.get_nowait()
    worker.besides.waiting.clear()
    worker.subshells.begin_anew()
    worker._connect(link)
    worker.kernel.session.session = envelope["session"]
    worker.kernel.session.pid = os.getpid()
    interrupts.forget(requests=int(worker.request is not None))
    interrupts.reinstall()
    signal.set_wakeup_fd(worker.loop._csock.fileno(), warn_on_full_buffer=False)
    if worker.request is not None and not reason["resume"]:
        # It was answered by the gateway, or by the process that was rolled back.
        worker.request.open = False
        worker.request.guard = None
    for number, code in reason["inputs"]:
        history.remember_input(worker.shell, number, code)
    worker._set_execution_count(envelope["execution_count"])
    return Woken(reason["resume"], reason, [bytes(part) for part in welcome.parts], reason.get("permit"), reason.get("comms"))
