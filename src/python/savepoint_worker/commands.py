"""What the gateway may tell a worker to do between requests, or while user code waits for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from savepoint.errors import SavepointError

from . import ending, interrupts
from .asks import WentBack
from .cells import execution
from .ipython.session import pack
from .link import Frame
from .reporting import safe_text
from .requests import flush

if TYPE_CHECKING:
    from .worker import Worker


def perform(worker: Worker, frame: Frame) -> None:
    """Perform one command; what it leads to is sent as an event."""
    command = _COMMANDS.get(frame.envelope["kind"])
    if command is None:
        worker.log("warn", f"The worker does not know the command {frame.envelope['kind']!r}.")
        return
    command(worker, frame)


def _snapshot(worker: Worker, frame: Frame) -> None:
    # In a copy that was woken this returns, too: to the loop, which waits for requests.
    worker.take(frame.envelope["permit"])


def _hand_over(worker: Worker, frame: Frame) -> None:
    from .copies import giving_way

    flush(worker)
    giving_way.hand_over(worker, frame.envelope["snapshot"])


def _forget(worker: Worker, frame: Frame) -> None:
    snapshot = frame.envelope["snapshot"]
    if snapshot in worker.held:
        worker.held.forget(snapshot)
    else:
        worker.snapshots.forget(snapshot)


def _put_back(worker: Worker, frame: Frame) -> None:
    flush(worker)
    worker.held.put_back(worker, frame.envelope["snapshot"], frame.envelope["keep"])


def _effects(worker: Worker, frame: Frame) -> None:
    # Recording begins with a permit, and ends here.
    if worker.recorder is not None and not frame.envelope["record"]:
        worker.recorder.stop(frame.envelope["recording"])


def _checkpoint(worker: Worker, frame: Frame) -> None:
    began = time.perf_counter()
    from . import writer_fork

    event: dict[str, Any] = {
        "kind": "forked_writer",
        "checkpoint": frame.envelope["checkpoint"],
        "pid": 0,
        "pause_ms": 0.0,
    }
    flush(worker)
    try:
        event["pid"] = writer_fork.fork_writer(worker, frame.envelope)
    except Exception as error:
        event["error"] = f"{type(error).__name__}: {safe_text(error)}"
    event["pause_ms"] = (time.perf_counter() - began) * 1000
    worker.link.send(event)


def _restore(worker: Worker, frame: Frame) -> None:
    from . import checkpoints

    permit = frame.envelope.get("permit")
    if permit is not None:
        flush(worker)
        try:
            woken = worker.take(permit)
        except SavepointError:
            # The gateway was told; what is loaded has no way back then.
            woken = None
        if woken is not None:
            if woken.resume:
                raise WentBack(SavepointError(woken.reason.get("ename", "restore_failed"), woken.reason.get("evalue", "")))
            return
    event: dict[str, Any] = {"kind": "restored", "id": frame.envelope["id"]}
    event |= {"restored": 0, "lost": [], "warnings": [], "ms": 0.0}
    try:
        report = checkpoints.restore_stored(
            _stored(frame),
            worker.shell.user_ns,
            frame.envelope["mode"],
            frame.envelope["names"],
            whole_session=bool(frame.envelope.get("whole_session")),
        )
        # What a restore did is told in its own report, not as the next cell's doing.
        execution.watch_of(worker.kernel).changes()
        event |= {"restored": report.restored, "lost": report.lost, "warnings": report.warnings, "ms": report.ms}
    except BaseException as error:
        code = getattr(error, "code", "restore_failed")
        message = getattr(error, "message", None) or f"{type(error).__name__}: {safe_text(error)}"
        event["error"] = {"code": code, "message": message, "details": getattr(error, "details", {})}
    worker.link.send(event)


def _stored(frame: Frame) -> Any:
    """The checkpoint that a command names."""
    from . import checkpoints

    if frame.envelope.get("format", 1) == 1:
        return checkpoints.Version1(frame.envelope["path"])
    root, places = frame.parts
    return checkpoints.Version2(root, frame.envelope["packs"], places)


def _namespace(worker: Worker, frame: Frame) -> None:
    from . import variables

    event: dict[str, Any] = {"kind": "namespace", "id": frame.envelope["id"]}
    parts: list[bytes] = []
    try:
        parts.append(pack(interrupts.run_sync(variables.perform, worker, frame.envelope["op"], frame.parts[0])))
    except SavepointError as error:
        event["error"] = {"code": error.code, "message": error.message, "details": error.details}
    except BaseException as error:
        message = f"{type(error).__name__}: {safe_text(error)}"
        event["error"] = {"code": "internal", "message": message, "details": {}}
    flush(worker)
    worker.link.send(event, *parts)


def _stop(worker: Worker, frame: Frame) -> None:
    ending.end(worker)


_COMMANDS: dict[str, Callable[[Worker, Frame], None]] = {
    "snapshot": _snapshot,
    "hand_over": _hand_over,
    "forget": _forget,
    "effects": _effects,
    "put_back": _put_back,
    "checkpoint": _checkpoint,
    "restore": _restore,
    "namespace": _namespace,
    "stop": _stop,
}
