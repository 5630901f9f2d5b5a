"""What this process asks the gateway for, on behalf of the user's code."""

from __future__ import annotations

import itertools
import json
import os
import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from savepoint.errors import SavepointError

from . import interrupts
from .link import Frame

if TYPE_CHECKING:
    from .worker import Worker

#: Asks that may take long, and may be interrupted.
LASTING = frozenset({"checkpoint", "restore", "branch", "diff"})


class WentBack(BaseException):
    """A restore in the middle of a cell failed, and this process is the copy from before: the cell goes on with `error`."""

    def __init__(self, error: SavepointError) -> None:
        super().__init__(error)
        self.error = error


class Answer(NamedTuple):
    """What the gateway answered to an `ask`; `permit` allows to freeze a copy of this process."""

    result: Any
    permit: dict[str, str] | None


class Asks:
    """The questions of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._numbers = itertools.count(1)

    def ask(self, op: str, args: dict[str, Any], *parts: bytes) -> Answer:
        """Ask the gateway for an operation, and wait until it is done.

        Raises SavepointError with the gateway's code if it refuses, `not_available` outside of the main thread, and
        `bad_request` for arguments that are no JSON.
        A rollback that is granted does not return: another process goes on from its beginning.
        """
        if threading.current_thread() is not threading.main_thread():
            raise SavepointError("not_available", "Only the kernel's main thread can ask for this.", {"op": op})
        try:
            # What is no JSON would be taken for damage of the connection.
            json.dumps(args, allow_nan=False)
        except (TypeError, ValueError, RecursionError) as error:
            message = f"{op} was given something that cannot be sent: {str(error)[:200]}. Give text and numbers."
            raise SavepointError("bad_request", message, {"op": op}) from None
        self._worker.flush_streams()
        identity = f"ask-{os.getpid()}-{next(self._numbers)}"
        parent = self._worker.kernel.get_parent("shell").get("header", {}).get("msg_id")
        question = {"kind": "ask", "id": identity, "op": op, "parent": parent, "args": args}
        # Only what may last is interruptible: who is interrupted would not learn whether it was done.
        try:
            frame = self._question(identity, question, parts) if op in LASTING else self._ask(identity, question, parts)
        except WentBack as back:
            raise back.error from None
        answer = frame.envelope
        if not answer["ok"]:
            interrupts.deliver()
            error = answer["error"]
            raise SavepointError(error["code"], error["message"], error.get("details", {}))
        if answer.get("permit") is None:
            interrupts.deliver()
        return Answer(answer.get("result"), answer.get("permit"))

    def _question(self, identity: str, question: dict[str, Any], parts: tuple[bytes, ...]) -> Frame:
        with self._worker.inbox.expect(identity) as expected:
            self._worker.link.send(question, *parts)
            interrupts.deliver()
            return expected.wait()

    @interrupts.held
    def _ask(self, identity: str, question: dict[str, Any], parts: tuple[bytes, ...]) -> Frame:
        return self._question(identity, question, parts)
