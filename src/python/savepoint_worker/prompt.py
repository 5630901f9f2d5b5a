"""`input` and `getpass` of user code: a request to the client, and the wait for its answer.

Both are replaced for good, not for the length of a cell as elsewhere, since threads and background tasks ask, too.
"""

from __future__ import annotations

import builtins
import getpass
import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from jupyter_client.session import extract_header

from . import interrupts
from .session import pack

if TYPE_CHECKING:
    from .worker import Worker

END_OF_FILE = "\x04"

_numbers = itertools.count(1)


def install(kernel: Any) -> None:
    """Make `input` and `getpass.getpass` those of `kernel`."""
    kernel._sys_raw_input = builtins.input
    kernel._save_getpass = getpass.getpass
    builtins.input = kernel.raw_input
    getpass.getpass = kernel.getpass


def request(worker: Worker, prompt: str, parent: dict[str, Any], password: bool) -> str:
    """Ask the client for a line of text, and wait for it, from whatever thread.

    Raises EOFError if the client ends the input, KeyboardInterrupt if it is interrupted.
    """
    worker.flush_streams()
    # The process id keeps an answer to a copy of this process, which was rolled back since, apart from ours.
    identity = f"input-{os.getpid()}-{next(_numbers)}"
    header = extract_header(parent) if parent else {}
    content = pack({"prompt": prompt, "password": password})
    with worker.inbox.expect(identity) as answer:
        try:
            worker.link.send({"kind": "input_request", "id": identity, "parent": header.get("msg_id")}, content)
            interrupts.deliver()
            frame = answer.wait()
        except KeyboardInterrupt:
            worker.link.send({"kind": "input_abandoned", "id": identity})
            # Raised anew, so that the traceback ends here and not in the depths of the link.
            raise KeyboardInterrupt("Interrupted by user") from None
    value = json.loads(bytes(frame.parts[0])).get("value", "")
    if value == END_OF_FILE:
        raise EOFError
    return str(value)
