"""What of an event loop has to be replaced in a fork."""

from __future__ import annotations

import os
import socket
from typing import Any


def renew_pipe(loop: Any) -> None:
    """Give an event loop, whose own it shares with the process that this one was forked from, a self-pipe."""
    ends = socket.socketpair()
    for end, place in zip(ends, (loop._ssock, loop._csock)):
        with end:
            # The flag belongs to the open description, so it is set before the number is.
            end.setblocking(False)
            os.dup2(end.fileno(), place.fileno(), inheritable=False)
