"""`input` and `getpass` of user code: a request to the client, and the wait for its answer.

Both stay replaced between cells, since threads and background tasks ask, too. They are put back before each cell: what
a cell has made of `builtins.input` is its own affair, and over with it, as in ipykernel. Nothing in the worker uses it.
"""

from __future__ import annotations

import asyncio
import builtins
import getpass
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from jupyter_client.session import extract_header

from .. import interrupts
from .session import pack

if TYPE_CHECKING:
    from ..link import Frame
    from ..worker import Worker

END_OF_FILE = "\x04"

_numbers = itertools.count(1)


def install(kernel: Any) -> None:
    """Make `input` and `getpass.getpass` those of `kernel`, and remember the real ones."""
    kernel._sys_raw_input = builtins.input
    kernel._save_getpass = getpass.getpass
    put_back(kernel)


def put_back(kernel: Any) -> None:
    """Make `input` and `getpass.getpass` those of `kernel`, whatever user code has made of them."""
    builtins.input = kernel.raw_input
    getpass.getpass = kernel.getpass


def request(worker: Worker, prompt: str, parent: dict[str, Any], password: bool) -> str:
    """Ask the client for a line of text, and wait for it, from whatever thread.

    Raises EOFError if the client ends the input, KeyboardInterrupt if it is interrupted.
    """
    worker.flush_streams()
    identity = _new_identity()
    with worker.inbox.expect(identity) as answer:
        try:
            _ask(worker, identity, prompt, parent, password)
            interrupts.deliver()
            frame = answer.wait()
        except BaseException as error:
            _abandon(worker, identity)
            if isinstance(error, KeyboardInterrupt):
                # Raised anew, so that the traceback ends here and not in the depths of the link.
                raise KeyboardInterrupt("Interrupted by user") from None
            raise
    return _text_of(frame)


async def request_async(worker: Worker, prompt: str, parent: dict[str, Any], password: bool) -> str:
    """Ask the client for a line of text; other tasks of the kernel's loop, in which this has to run, go on meanwhile.

    Raises what `request` raises. In a copy of the process that was woken while somebody waits, it asks anew.
    """
    frame = None
    while frame is None:
        worker.flush_streams()
        identity = _new_identity()
        answer = worker.inbox.promise(identity, asyncio.get_running_loop())
        try:
            _ask(worker, identity, prompt, parent, password)
            frame = await answer.arrived
        except BaseException as error:
            _abandon(worker, identity)
            if isinstance(error, KeyboardInterrupt):
                raise KeyboardInterrupt("Interrupted by user") from None
            raise
        finally:
            worker.inbox.forget(answer)
    return _text_of(frame)


def _new_identity() -> str:
    # The process id keeps an answer to a copy of this process, which was rolled back since, apart from ours.
    return f"input-{os.getpid()}-{next(_numbers)}"


def _ask(worker: Worker, identity: str, prompt: str, parent: dict[str, Any], password: bool) -> None:
    header = extract_header(parent) if parent else {}
    content = pack({"prompt": prompt, "password": password})
    worker.link.send({"kind": "input_request", "id": identity, "parent": header.get("msg_id")}, content)


def _abandon(worker: Worker, identity: str) -> None:
    # A process that the user forked drops coroutines that wait here, but the link is its parent's.
    if worker.kernel.session.link is worker.link:
        worker.link.send({"kind": "input_abandoned", "id": identity})


def _text_of(frame: Frame) -> str:
    """The text in an answer; a client that sends none has answered with an empty line. Raises EOFError."""
    try:
        content = json.loads(str(frame.parts[0], "utf-8", "replace"))
    except (ValueError, RecursionError):
        content = None
    value = content.get("value") if isinstance(content, dict) else None
    if value == END_OF_FILE:
        raise EOFError
    return "" if value is None else str(value)
