"""What the zygote does with frozen copies: it wakes them, has them copied once more, and lets them go.

A copy that is woken takes the place of the worker that it was taken of, or, with `as`, becomes the worker of another
kernel. What may become that must not be the child of a worker: it would be hidden from the zygote, and its end with it.
So whatever is meant for another kernel is forked twice, and is the zygote's child from the beginning.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from .processes import custodian
from .wards import Child, Duplicate, Snapshot, Wards

Tell = Callable[[dict[str, Any]], None]


def wake(wards: Wards, command: dict[str, Any], tell: Tell) -> None:
    """Wake a copy, as a worker of its own kernel or of the one in `as`; whose it is to be is told if it is gone."""
    identity = command.get("as")
    kernel = command["kernel"] if identity is None else identity["kernel"]
    gone = {"kind": "snapshot_gone", "kernel": kernel, "snapshot": command["snapshot"]}
    snapshot = wards.take(command["kernel"], command["snapshot"])
    if snapshot is None or snapshot.discarded:
        if snapshot is not None:
            wards.forget(snapshot)
        tell(gone)
        return
    ours, theirs = custodian.pair()
    message = {"kind": "wake"} if identity is None else {"kind": "wake", "as": identity}
    try:
        for streams, descriptors in snapshot.handed:
            custodian.send(snapshot.end, {"kind": "hand_over", "streams": streams}, descriptors)
        custodian.send(snapshot.end, message, [theirs.fileno()])
    except OSError:
        ours.close()
        tell(gone)
        return
    finally:
        theirs.close()
        wards.forget(snapshot)
    wards.adopt(snapshot.pid, Child(kernel, ours, snapshot.token if identity is None else identity["token"]))
    if identity is not None:
        # If it ends before it has said who it is, this tells what that was to be.
        tell({"kind": "forked", "kernel": kernel, "token": identity["token"], "pid": snapshot.pid})


def copy(wards: Wards, command: dict[str, Any], tell: Tell) -> None:
    """Have a frozen copy make another one of itself, to be known by `name`; `hear` reports it."""
    kernel, snapshot, name = command["kernel"], command["snapshot"], command["name"]
    found = wards.snapshots.get((kernel, snapshot))
    if found is None or found.discarded:
        _refuse(kernel, snapshot, name, "the snapshot is gone", tell)
        return
    try:
        ours, theirs = custodian.pair()
    except OSError as error:
        _refuse(kernel, snapshot, name, str(error), tell)
        return
    try:
        custodian.send(found.end, {"kind": "copy"}, [theirs.fileno()], socket.MSG_DONTWAIT)
    except OSError as error:
        ours.close()
        _refuse(kernel, snapshot, name, str(error), tell)
        return
    finally:
        theirs.close()
    wards.expect(Duplicate(kernel, snapshot, name, ours, found.token))


def hear(wards: Wards, duplicate: Duplicate, tell: Tell) -> None:
    """Take in what a copy on its way says: that it is there, or why it is not."""
    if duplicate.fileno() < 0:
        return
    try:
        received = custodian.receive(duplicate.end, socket.MSG_DONTWAIT)
        message, descriptors = received or ({"kind": "failed", "reason": "the snapshot is gone"}, [])
        custodian.close_all(descriptors)
        pid = message["pid"] if message["kind"] == "copied" else 0
        reason = None if pid else str(message["reason"])
    except BlockingIOError:
        return
    except (OSError, ValueError, KeyError) as error:
        pid, reason = 0, str(error)
    kernel, snapshot, name = duplicate.kernel, duplicate.snapshot, duplicate.name
    if reason is not None:
        wards.forget(duplicate)
        _refuse(kernel, snapshot, name, reason, tell)
        return
    wards.keep(Snapshot(kernel, name, pid, wards.release(duplicate), duplicate.token))
    tell({"kind": "copied", "kernel": kernel, "snapshot": snapshot, "name": name, "pid": pid})


def discard(wards: Wards, command: dict[str, Any]) -> None:
    """End copies; unknown ones are ignored."""
    for name in command["snapshots"]:
        snapshot = wards.snapshots.get((command["kernel"], name))
        if snapshot is not None:
            # It reads this as the end, and hangs up in turn when it is gone: then it is reported.
            snapshot.end.shutdown(socket.SHUT_WR)
            snapshot.discarded = True


def _refuse(kernel: str, snapshot: str, name: str, reason: str, tell: Tell) -> None:
    tell({"kind": "copied", "kernel": kernel, "snapshot": snapshot, "name": name, "pid": 0, "error": reason})
