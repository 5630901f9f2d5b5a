"""A worker that is shared until it is somebody's: built in the zygote, and run there with cells that do nothing.

Whatever Python finds out when code runs for the first few times (which instruction suits, where a name stands, what a
function of C is at) it writes beside that code. Found out here it is found out for all workers, on pages that they
share; each of them would write it, and have the pages to itself.
"""

from __future__ import annotations

import asyncio
import contextvars
import json
import signal
import socket
from typing import TYPE_CHECKING, Any

from . import interrupts
from .birth import WorkerSpec
from .link import Frame, Link, encode_frame

if TYPE_CHECKING:
    from .worker import Worker

#: CPython settles after eight runs, and after some more where it was mistaken.
CELLS = 24
_SPEC = WorkerSpec("", "", "", None, {}, None, None, -1)
_WELCOME = {"kind": "welcome", "generation": 0, "session": "rehearsal", "execution_count": 1, "woken": None}
_CONTENT = {
    "code": "pass",
    "silent": False,
    "store_history": False,
    "user_expressions": {},
    "allow_stdin": True,
    "stop_on_error": True,
}


def rehearse(worker: Worker) -> None:
    """Let `worker` serve cells. Nothing of that is left in the kernel; nothing of the user's is called."""
    worker.spec = _SPEC
    ours, theirs = socket.socketpair()
    events = worker.shell.events
    callbacks, events.callbacks = events.callbacks, {name: [] for name in events.callbacks}
    link = Link(theirs)
    before = signal.getsignal(signal.SIGINT)
    try:
        ours.settimeout(1)
        for number in range(1, CELLS + 1):
            for piece in _request(number):
                ours.sendall(piece)
        worker.rehearse(link, Frame(dict(_WELCOME), []), _until_served(worker))
        # Nobody has asked for anything yet.
        for context in filter(None, (contextvars.copy_context(), worker.context)):
            context.run(worker.kernel.set_parent, [b""], {})
    finally:
        events.callbacks = callbacks
        # Each request puts the worker's own handler back.
        signal.signal(signal.SIGINT, before)
        link.close()
        ours.close()


async def _until_served(worker: Worker) -> None:
    while interrupts.latest_ended() != CELLS:
        await asyncio.sleep(0)


def _request(number: int) -> list[Any]:
    header = {
        "msg_id": f"rehearsal_{number}",
        "msg_type": "execute_request",
        "username": "",
        "session": "rehearsal",
        "date": "2000-01-01T00:00:00.000000Z",
        "version": "5.4",
    }
    parts = tuple(json.dumps(part).encode() for part in (header, {}, _CONTENT))
    envelope = {"kind": "request", "seq": number, "type": "execute_request", "execution_count": 1}
    return encode_frame(envelope, parts)
