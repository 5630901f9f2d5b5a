"""The connection between the zygote and one of its workers, and that between the zygote and a frozen snapshot.

Both are SOCK_SEQPACKET socketpairs: one message is one JSON object and the descriptors that go with it. To the zygote:

    {"kind": "snapshot", "snapshot", "token", "pid"}       [wake end]     keep this: the copy is frozen
    {"kind": "hand_over", "snapshot", "streams": {n: id}}  [descriptors]  for that snapshot, when it is woken
    {"kind": "status", "n", "pid"}                                        how is that process?

From it:

    {"kind": "status", "n", "state": "ended" | "running" | "unknown", "status"}     to a worker
    {"kind": "hand_over", "streams": {n: id}}              [descriptors]            to a snapshot
    {"kind": "wake"}                                       [custodian connection]   to a snapshot
    {"kind": "wake", "as": {kernel, ...}}                  [custodian connection]   to a snapshot, as another kernel's
    {"kind": "copy"}                                       [its end]                to a snapshot: make another one

Before that, a copy tells the worker that it was made by {"kind": "frozen", "limits", "pid"} or {"kind": "failed",
"reason"}. A copy of a frozen copy says {"kind": "copied", "pid"} or "failed" over the end that it was given.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from array import array
from typing import Any, NamedTuple

from ..link import wait_readable

DESCRIPTORS_A_MESSAGE_MAX = 200
MESSAGE_BYTES_MAX = 64 * 1024
ANSWER_TIMEOUT_S = 5.0
_RIGHTS_BYTES = socket.CMSG_SPACE(DESCRIPTORS_A_MESSAGE_MAX * array("i").itemsize)


class CustodianGone(OSError):
    """The zygote is no more."""


class Status(NamedTuple):
    """What the zygote knows about a process: `status` is as os.waitpid gives it, and only of one that ended."""

    state: str
    status: int = 0


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a new connection."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for end in ends:
        # The user may have set a default timeout for all sockets.
        end.setblocking(True)
    return ends


def send(
    connection: socket.socket, message: dict[str, Any], descriptors: list[int] | None = None, flags: int = 0
) -> None:
    """Send one message. Raises OSError."""
    # socket.send_fds and recv_fds ignore their flags in several versions of CPython.
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", descriptors))] if descriptors else []
    connection.sendmsg([json.dumps(message).encode()], rights, flags)


def receive(connection: socket.socket, flags: int = 0) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, None at the end. Raises OSError, and ValueError for what is no message."""
    data, rights, _, _ = connection.recvmsg(MESSAGE_BYTES_MAX, _RIGHTS_BYTES, flags | socket.MSG_CMSG_CLOEXEC)
    received = array("i")
    for level, kind, payload in rights:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(payload[: len(payload) - len(payload) % received.itemsize])
    descriptors = list(received)
    if not data:
        close_all(descriptors)
        return None
    try:
        message = json.loads(data)
        if type(message) is not dict or type(message.get("kind")) is not str:
            raise ValueError("A message is no object with a kind.")
    except (ValueError, RecursionError):
        close_all(descriptors)
        raise ValueError("Bytes on the custodian's connection are no message.") from None
    return message, descriptors


def close_all(descriptors: list[int]) -> None:
    """Close descriptors that have found no place."""
    for descriptor in descriptors:
        os.close(descriptor)


class Custodian:
    """The zygote, as a worker sees it. Safe from any thread."""

    def __init__(self, descriptor: int) -> None:
        self._connection = socket.socket(fileno=descriptor)
        # The user may have set a default timeout for all sockets.
        self._connection.setblocking(True)
        # Re-entered when a signal handler asks while an answer is awaited.
        self._lock = threading.RLock()
        self._asked = 0
        self._answers: dict[int, Status] = {}

    def fileno(self) -> int:
        """The descriptor of the connection."""
        return self._connection.fileno()

    def detach(self) -> int:
        """Give the descriptor away; this object is of no use afterwards."""
        return self._connection.detach()

    def register(self, permit: dict[str, str], pid: int, wake_end: socket.socket) -> None:
        """Give a frozen copy into the zygote's care. Raises CustodianGone."""
        named = {"snapshot": permit["snapshot"], "token": permit["token"]}
        self._send({"kind": "snapshot", **named, "pid": pid}, [wake_end.fileno()])

    def hand_over(self, snapshot: str, streams: dict[int, str]) -> None:
        """Give open streams (number and identity) to a frozen copy, for when it is woken. Raises CustodianGone."""
        numbers = sorted(streams)
        for start in range(0, len(numbers), DESCRIPTORS_A_MESSAGE_MAX):
            batch = numbers[start : start + DESCRIPTORS_A_MESSAGE_MAX]
            named = {str(number): streams[number] for number in batch}
            self._send({"kind": "hand_over", "snapshot": snapshot, "streams": named}, batch)

    def status(self, pid: int) -> Status:
        """What the zygote knows about a process. Raises CustodianGone, also when there is no answer in time."""
        with self._lock:
            self._asked += 1
            number = self._asked
            self._send({"kind": "status", "n": number, "pid": pid}, [])
            deadline = time.monotonic() + ANSWER_TIMEOUT_S
            while number not in self._answers:
                self._receive_answer(deadline - time.monotonic())
            status = self._answers.pop(number)
            # Answers to questions that were interrupted are not asked for any more.
            self._answers = {n: answer for n, answer in self._answers.items() if n < number}
            return status

    def _receive_answer(self, timeout_s: float) -> None:
        if timeout_s <= 0 or not wait_readable([self.fileno()], timeout_s):
            raise CustodianGone("The zygote does not answer.")
        try:
            received = receive(self._connection)
        except (OSError, ValueError) as error:
            raise CustodianGone("The zygote does not answer.") from error
        if received is None:
            raise CustodianGone("The zygote is gone.")
        message, descriptors = received
        close_all(descriptors)
        self._answers[message.get("n", 0)] = Status(message.get("state", "unknown"), message.get("status", 0))

    def _send(self, message: dict[str, Any], descriptors: list[int]) -> None:
        try:
            with self._lock:
                send(self._connection, message, descriptors)
        except OSError as error:
            raise CustodianGone(error.errno, "The zygote is gone.") from error
