"""A worker that gives way to one of its snapshots: it hands over what is open, lets go of the rest, and is ended."""

from __future__ import annotations

import _signal
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn

from .freeze import kind_of, open_descriptors, words_for
from .locks import held, release
from .snapshot import ALL_SIGNALS, open_streams, output_fifos

if TYPE_CHECKING:
    from ..worker import Worker
    from .snapshot import Snapshots

#: How long a worker that handed everything over waits for its end.
END_TIMEOUT_S = 30.0


def hand_over(worker: Worker, snapshot: str) -> NoReturn:
    """Give everything that is open to a snapshot that is about to be woken, say so, and wait to be ended."""
    _signal.pthread_sigmask(signal.SIG_BLOCK, ALL_SIGNALS)
    snapshots: Snapshots = worker.snapshots
    if worker.recorder is not None:
        worker.recorder.leave()
    limits = list(snapshots.limits.get(snapshot, ()))
    known = snapshots.streams.get(snapshot, {})
    try:
        streams = open_streams(worker)
        snapshots.custodian.hand_over(snapshot, streams)
        for number, identity in known.items():
            if streams.get(number) != identity:
                limits.append(f"{words_for(number, identity)}, which was closed since")
        _let_go(worker, [number for number, identity in streams.items() if known.get(number) != identity])
    except OSError as error:
        limits.append(f"open pipes and sockets: {error}")
    worker.link.send({"kind": "handed_over", "snapshot": snapshot, "limits": limits})
    time.sleep(END_TIMEOUT_S)
    os._exit(1)


def _let_go(worker: Worker, newer: list[int]) -> None:
    """Release ports and locks that were taken since. The end of this process is not waited for, and frees memory first."""
    dead, other = socket.socketpair()
    other.close()
    with dead:
        for number in newer:
            os.dup2(dead.fileno(), number)
    fifos = output_fifos(worker)
    for each in open_descriptors():
        if kind_of(each, fifos) == "file":
            release(held(each.number, each.target))
