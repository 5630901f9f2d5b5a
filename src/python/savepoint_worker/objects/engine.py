"""The worker's side of the engine: copies by the ids of their snapshots, taken, put back and dropped on command."""

from __future__ import annotations

import _signal
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from savepoint.errors import SavepointError

from .. import interrupts
from ..cells import execution
from ..reporting import safe_text

if TYPE_CHECKING:
    from ..effects.ledger import Mark
    from ..worker import Worker
    from .snapshot import Copy


# The functions of `signal` turn each number into an enum, which takes longer than all the rest.
_SIGNALS = tuple(map(int, signal.valid_signals()))


class _Held(NamedTuple):
    copy: Copy
    #: In which it was taken.
    request: Any
    #: Names of the comms that there were.
    comms: frozenset[str]
    #: Where the record of what is done outside of the process stood.
    mark: Mark | None
    #: Those that were blocked.
    signals: set[int]


class Held:
    """The copies that a worker holds. They end with it."""

    def __init__(self) -> None:
        self._copies: dict[str, _Held] = {}

    def __contains__(self, snapshot: str) -> bool:
        return snapshot in self._copies

    def __len__(self) -> int:
        return len(self._copies)

    def forget(self, snapshot: str) -> None:
        """Nobody will go back to it."""
        self._copies.pop(snapshot, None)

    def take(self, worker: Worker, permit: dict[str, Any], why: str) -> None:
        """Copy what the user's variables hold, and tell the gateway (`taken`). Main thread only.

        Raises SavepointError('snapshot_failed') if there was no room for it; the gateway was told.
        """
        # Of a module that loads more than this one needs to know.
        from ..copies.snapshot import recorder_for

        snapshot = permit["snapshot"]
        event: dict[str, Any] = {"kind": "taken", "snapshot": snapshot, "pid": 0, "ms": 0.0, "mode": "objects"}
        event["why"] = why
        recorder = recorder_for(worker, permit)
        mark = recorder.mark(permit.get("record")) if recorder is not None else None
        try:
            with _undisturbed() as signals:
                copy = _copy(worker)
        except Exception as error:
            reason = str(error) if isinstance(error, MemoryError) and str(error) else _described(error)
            worker.link.send({**event, "error": reason})
            message = f"The variables could not be copied: {reason}. Free memory, and try again."
            raise SavepointError("snapshot_failed", message, {"snapshot": snapshot}) from None
        self._copies[snapshot] = _Held(copy, worker.request, frozenset(_comms(worker)), mark, signals)
        if recorder is not None and permit.get("record"):
            recorder.record()
        worker.link.send({**event, "ms": copy.ms, "limits": copy.limits})

    @interrupts.held
    def put_back(self, worker: Worker, snapshot: str, keep: bool) -> None:
        """Put a copy back, and say so (`put_back`); with `keep` it can be put back again."""
        event: dict[str, Any] = {"kind": "put_back", "snapshot": snapshot, "ms": 0.0, "effects": [], "limits": []}
        found = self._copies.get(snapshot)
        if found is None:
            worker.link.send({**event, "error": "the copy is gone"})
            return
        started = time.perf_counter()
        try:
            with _undisturbed(found.signals):
                event["limits"] = [*found.copy.put_back(), NOT_LOOKED_AT]
        except Exception as error:
            worker.link.send({**event, "error": _described(error)})
            return
        _close_comms(worker, found.comms)
        _show_widgets(worker)
        if found.request is None or found.request is not worker.request:
            # What a rollback did to the names is told in its own report, not as the next cell's doing.
            execution.watch_of(worker.kernel).changes()
        if worker.recorder is not None and found.mark is not None:
            event["effects"], limits = worker.recorder.undo(found.mark)
            event["limits"] += limits
        if not keep:
            self.forget(snapshot)
        worker.link.send({**event, "ms": (time.perf_counter() - started) * 1000})


#: What this engine never sees, whatever it is: said each time, since nobody can tell whether it changed.
NOT_LOOKED_AT = "what C libraries and IPython keep for themselves, which the engine 'objects' does not look at"


@contextmanager
def _undisturbed(blocked: set[int] | None = None) -> Iterator[set[int]]:
    """What a signal handler of the user's raises is raised before the block, or behind it.

    Gives the signals that were blocked. `blocked`: those that are to be blocked afterwards.
    """
    before = _signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield before
    finally:
        _signal.pthread_sigmask(signal.SIG_SETMASK, before if blocked is None else blocked)


def _copy(worker: Worker) -> Copy:
    # Loaded by who needs it: it knows many types.
    from .snapshot import Copy

    shell, kernel = worker.shell, worker.kernel
    hidden = getattr(shell, "user_ns_hidden", {})
    app = kernel.parent
    ours = (shell, kernel, worker, worker.loop, worker.outlet, app, app.stdout, app.stderr, hidden)
    return Copy(shell, shell.user_ns, (*ours, *_own_modules()), (app.stdout, app.stderr))


def _own_modules() -> list[Any]:
    return [module for name, module in list(sys.modules.items()) if name.partition(".")[0] == "savepoint_worker"]


def _comms(worker: Worker) -> dict[str, Any]:
    manager = getattr(worker.kernel, "comm_manager", None)
    comms = getattr(manager, "comms", None)
    return comms if isinstance(comms, dict) else {}


def _close_comms(worker: Worker, before: frozenset[str]) -> None:
    """Comms that were opened since belong to objects that are no more; what clients have of them is closed."""
    for name, comm in list(_comms(worker).items()):
        if name not in before:
            try:
                comm.close()
            except Exception as error:
                worker.log("warn", f"A comm could not be closed after a rollback: {_described(error)}")


def _show_widgets(worker: Worker) -> None:
    """Widgets show in clients what they are now."""
    module = sys.modules.get("ipywidgets.widgets.widget")
    for widget in list(getattr(module, "_instances", {}).values()):
        try:
            if widget.comm is not None:
                widget.send_state()
        except Exception as error:
            worker.log("warn", f"A widget could not be shown after a rollback: {_described(error)}")


def _described(error: BaseException) -> str:
    return f"{type(error).__name__}: {safe_text(error)}"
