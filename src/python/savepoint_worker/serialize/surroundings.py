"""What a process that saves has to know about the one that it was forked from, since the fork itself hides it.

A forked child has no threads but one, so every other one looks as if it had ended; and its sockets are cut off before
anything of the user's is touched.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import Any, NamedTuple

#: Options of a socket that are worth keeping: level and name.
_OPTIONS = (
    (socket.SOL_SOCKET, socket.SO_REUSEADDR),
    (socket.SOL_SOCKET, socket.SO_REUSEPORT),
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
    (socket.SOL_SOCKET, socket.SO_BROADCAST),
    (socket.IPPROTO_TCP, socket.TCP_NODELAY),
)
_UNBOUND = (("0.0.0.0", 0), ("::", 0, 0, 0), "")


class SocketFacts(NamedTuple):
    """What was known of a socket before it was cut off."""

    idle: bool
    options: list[tuple[int, int, int]]


_running: set[int] | None = None
_sockets: dict[int, SocketFacts] = {}
_expendable = False


def note_threads() -> None:
    """Remember which threads run. To be called before the fork."""
    global _running
    _running = {id(thread) for thread in threading.enumerate()}


def may_run(thread: threading.Thread) -> bool:
    """Whether a thread that was started may still be running in the process that was forked."""
    return _running is None or id(thread) in _running


def note_socket(descriptor: int) -> None:
    """Remember what a socket is like. To be called in the forked process, before the descriptor is cut off."""
    try:
        copy = socket.socket(fileno=os.dup(descriptor))
    except OSError:
        return
    with copy:
        _sockets[descriptor] = SocketFacts(_is_idle(copy), list(_options(copy)))


def socket_facts(descriptor: int) -> SocketFacts | None:
    """What was noted of it."""
    return _sockets.get(descriptor)


def be_expendable() -> None:
    """This process ends when all is saved: what an object gives away while it is saved is missed by nobody."""
    global _expendable
    _expendable = True


def is_expendable() -> bool:
    return _expendable


def _is_idle(copy: socket.socket) -> bool:
    """Is it neither connected nor bound?"""
    try:
        if copy.getsockname() not in _UNBOUND:
            return False
        copy.getpeername()
    except OSError:
        return copy.family in (socket.AF_INET, socket.AF_INET6, socket.AF_UNIX)
    return False


def _options(copy: socket.socket) -> Any:
    for level, name in _OPTIONS:
        try:
            value = copy.getsockopt(level, name)
        except OSError:
            continue
        if value:
            yield level, name, 1
