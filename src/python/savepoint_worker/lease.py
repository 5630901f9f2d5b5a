"""A worker that was forked before anybody wanted it becomes that of a kernel."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from . import own_limits
from .birth import put_on
from .link import BadFrame, Frame, Link

if TYPE_CHECKING:
    from .worker import Worker

WELCOME_TIMEOUT_S = 30.0


def apply(worker: Worker, frame: Frame) -> None:
    """Put on what the kernel is to have, and say so. Raises BadFrame for another command than `lease`."""
    command = frame.envelope
    if command["kind"] != "lease":
        raise BadFrame("A worker that waits for a lease was told something else.")
    try:
        put_on(command["env"], command["cwd"])
    except OSError as error:
        # It starts where the gateway is: better than no kernel at all.
        worker.log("warn", f"The kernel cannot work in {command['cwd']}: {error.strerror}.")
    try:
        own_limits.put_on(command.get("limits") or {})
    except (OSError, ValueError) as error:
        worker.log("error", f"The kernel runs without limits of its own: {error}.")
    if command["connection_file"] is not None:
        rename(worker, command["connection_file"])
    worker.link.send({"kind": "leased"})


def welcome(link: Link) -> Frame:
    """The `welcome`, which is waited for. Raises LinkClosed, TimeoutError, and BadFrame for another command."""
    frame = link.receive(WELCOME_TIMEOUT_S)
    if frame.envelope["kind"] != "welcome":
        raise BadFrame("A worker was told something else before its welcome.")
    return frame


def rename(worker: Worker, connection_file: str) -> None:
    """Let those who look for the kernel's id find it: they parse the name of its connection file."""
    worker.kernel.parent.connection_file = connection_file
    if "-f" in sys.argv:
        sys.argv[sys.argv.index("-f") + 1] = connection_file
