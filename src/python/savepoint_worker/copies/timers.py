"""Interval timers (`signal.setitimer`, `signal.alarm`), which a fork stops in the copy: they go on in a woken one."""

from __future__ import annotations

import _signal

_CLOCKS = (_signal.ITIMER_REAL, _signal.ITIMER_VIRTUAL, _signal.ITIMER_PROF)

Timers = list[tuple[int, float, float]]


def running() -> Timers:
    """Clock, seconds that are left, and interval of each that runs in this process."""
    found = ((clock, *_signal.getitimer(clock)) for clock in _CLOCKS)
    return [(clock, left, interval) for clock, left, interval in found if left]


def start(timers: Timers) -> None:
    """Let them run on from where they were."""
    for clock, left, interval in timers:
        _signal.setitimer(clock, left, interval)
