"""Objects of the kernel that wait for events (epoll, eventfd), made anew in a copy that was woken.

A frozen copy lets go of them, since both processes would be woken by the same event. What they were is in
/proc/self/fdinfo (proc_pid_fdinfo(5)), so a woken copy has one of its own again: an epoll that watches what it watched,
an eventfd with its count. What cannot be made anew (inotify, signalfd, timerfd, io_uring) is named.
"""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterable
from typing import NamedTuple

_WATCH = re.compile(r"^tfd:\s*(\d+) events:\s*([0-9a-f]+) data:\s*([0-9a-f]+)", re.MULTILINE)
_COUNT = re.compile(r"^eventfd-count:\s*([0-9a-f]+)", re.MULTILINE)
_SEMAPHORE = re.compile(r"^eventfd-semaphore:\s*1", re.MULTILINE)


class Watch(NamedTuple):
    """One descriptor that an epoll watches."""

    number: int
    events: int


class Event(NamedTuple):
    """How one of them is made anew."""

    number: int
    inheritable: bool
    flags: int
    #: Of an eventfd; None for an epoll.
    count: int | None
    watches: tuple[Watch, ...] = ()


def describe(number: int, target: str, inheritable: bool, flags: int) -> Event | None:
    """What has to be known to make it anew; None if that cannot be done. `flags` are its status flags."""
    with open(f"/proc/self/fdinfo/{number}", encoding="ascii", errors="replace") as file:
        text = file.read()
    if "[eventfd]" in target:
        count = _COUNT.search(text)
        semaphore = os.EFD_SEMAPHORE if _SEMAPHORE.search(text) else 0
        kept = flags & os.O_NONBLOCK | semaphore
        return Event(number, inheritable, kept, int(count[1], 16)) if count else None
    if "[eventpoll]" not in target:
        return None
    found = [(int(watched), int(events, 16), int(data, 16)) for watched, events, data in _WATCH.findall(text)]
    # What C code keeps with a descriptor is an address of its own, which no call of Python's can register. Python's keep
    # the descriptor in the lower half, and anything in the upper one.
    if any(data & 0xFFFFFFFF != watched for watched, _, data in found):
        return None
    return Event(number, inheritable, 0, None, tuple(Watch(watched, events) for watched, events, _ in found))


def revive(events: Iterable[Event]) -> None:
    """Make them anew, in their places. What they watched has to be in its place already. Raises OSError."""
    epolls = []
    for event in events:
        if event.count is None:
            fresh = select.epoll()
            os.dup2(fresh.fileno(), event.number, event.inheritable)
            fresh.close()
            epolls.append(event)
        else:
            number = os.eventfd(event.count if event.count < 2**32 else 0, event.flags | os.EFD_CLOEXEC)
            os.dup2(number, event.number, event.inheritable)
            os.close(number)
    # One may watch another.
    for event in epolls:
        with select.epoll.fromfd(os.dup(event.number)) as epoll:
            for watch in event.watches:
                _register(epoll, watch)


def _register(epoll: select.epoll, watch: Watch) -> None:
    try:
        epoll.register(watch.number, watch.events)
    except OSError:
        # It was closed while a duplicate of it went on being watched: there is nothing of that number to watch.
        pass
