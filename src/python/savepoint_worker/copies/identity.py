"""A frozen copy that is woken as the worker of another kernel: what of the first kernel's it exchanges for its own.

All of it happens before anything can be printed and before the gateway is spoken to. What the user's code can see of a
kernel's identity is exchanged, too: the name of the connection file, and KERNEL_ID.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any, NamedTuple

from .. import interrupts, lease
from ..birth import open_fifo, put_on

if TYPE_CHECKING:
    from ..worker import Worker
    from .freeze import Frozen, Original

#: What streams are called, by their type in the system.
STREAM_NAMES = {stat.S_IFSOCK: "socket", stat.S_IFIFO: "pipe", stat.S_IFCHR: "terminal"}


class Identity(NamedTuple):
    """Who a copy is to be: the keys of `as` in the zygote's command `wake`."""

    kernel: str
    token: str
    stdout: str
    stderr: str
    interrupts: str
    connection_file: str | None
    env: dict[str, str | None]


def assume(worker: Worker, identity: Identity) -> None:
    """Be the worker of that kernel from now on. Raises OSError."""
    former = worker.spec
    for path, own in ((former.stdout, identity.stdout), (former.stderr, identity.stderr)):
        _exchange_output(path, own)
    worker.spec = former._replace(
        kernel=identity.kernel,
        token=identity.token,
        stdout=identity.stdout,
        stderr=identity.stderr,
        interrupts=identity.interrupts,
        connection_file=identity.connection_file,
    )
    put_on(identity.env, None)
    if identity.connection_file is not None:
        lease.rename(worker, identity.connection_file)
    interrupts.read_notes_of(identity.interrupts)
    # They belonged to snapshots and transactions of the other kernel.
    worker.snapshots.limits.clear()
    worker.snapshots.streams.clear()
    if worker.recorder is not None:
        from ..effects import recorder

        recorder.forget(worker)


def _exchange_output(former: str | None, own: str) -> None:
    """Put this kernel's own FIFO wherever that of the other kernel is open, also where the user has copied it to."""
    fresh = open_fifo(own)
    try:
        for place in _places_of(former):
            os.dup2(fresh, place, inheritable=os.get_inheritable(place))
    finally:
        os.close(fresh)


def _places_of(path: str | None) -> list[int]:
    found = []
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            target = os.readlink(f"/proc/self/fd/{number}")
        except OSError:
            # The descriptor of the listing itself.
            continue
        # It may have been removed with the other kernel.
        if target.removesuffix(" (deleted)") == path:
            found.append(number)
    return found


def rebase_timers(loop: Any, frozen_at: float) -> None:
    """Give what waits for a time in `loop` as long to wait as it had when the copy was frozen (`loop.time()`)."""
    passed = loop.time() - frozen_at
    # All are moved alike, so that their heap stays one.
    for handle in loop._scheduled:
        handle._when += passed


def left_behind(frozen: Frozen, original: Original) -> list[str]:
    """What of the other kernel's is not here, in words: its connections, and its threads."""
    counts: dict[str, int] = {}
    for identity in (each for number, each in frozen.streams.items() if number not in original.own):
        name = STREAM_NAMES.get(int(identity.partition(":")[0], 8), "stream")
        counts[name] = counts.get(name, 0) + 1
    streams = [f"{count} open {name}{'s' if count > 1 else ''}" for name, count in counts.items()]
    return [*streams, *(f"the thread {name!r}" for name in original.threads), *frozen.limits]
