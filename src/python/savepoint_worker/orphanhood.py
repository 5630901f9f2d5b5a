"""The time that a zygote spends without a gateway, and what it remembers for the next one."""

from __future__ import annotations

import os
import select
import stat
import time
from collections import deque
from typing import Any

#: How often a gateway is looked for.
REDIAL_S = 0.1
#: A gateway that has kept the connection for so long has taken the zygote in, although it says nothing.
TAKEN_IN_S = 5.0
DEATHS_MAX = 1024


class Orphanhood:
    """Whether there is a gateway, and how long it is waited for. True from its end until another one has come to stay."""

    def __init__(self, orphan_s: float) -> None:
        self._orphan_s = orphan_s
        self._until: float | None = None
        self._tried = 0.0
        #: When the present connection was made.
        self._met: float | None = None
        #: How workers ended, oldest first: a gateway may end before it has noted what it was told.
        self._deaths: deque[dict[str, Any]] = deque(maxlen=DEATHS_MAX)

    def __bool__(self) -> bool:
        return self._until is not None

    def begin(self) -> bool:
        """The gateway is gone. False: the zygote goes with it."""
        if not self._orphan_s:
            return False
        self._met = None
        if self._until is None:
            self._until = time.monotonic() + self._orphan_s
            _leave_pipes()
        return True

    def end(self) -> None:
        """A gateway has shown that it knows this zygote."""
        self._until = None

    def meet(self) -> None:
        """There is a connection again; whether it stays will be seen."""
        self._met = time.monotonic()

    def is_over(self) -> bool:
        """Has nobody come in time?"""
        if self._met is not None and time.monotonic() > self._met + TAKEN_IN_S:
            self.end()
        return self._until is not None and time.monotonic() > self._until

    def is_due(self) -> bool:
        """Is it time to look for a gateway? Asked as long as there is no connection."""
        if time.monotonic() < self._tried + REDIAL_S:
            return False
        self._tried = time.monotonic()
        return True

    def patience_ms(self) -> float:
        """For so long nothing has to be done."""
        return REDIAL_S * 1000

    def remember(self, death: dict[str, Any]) -> None:
        """A worker has ended."""
        self._deaths.append(death)

    def told(self) -> dict[str, Any]:
        """For the event `inventory`."""
        return {"deaths": list(self._deaths)}


def _leave_pipes() -> None:
    """Write no more to pipes that only the gateway read: it would fail, or wait for ever."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        try:
            status = os.fstat(number).st_mode
        except OSError:
            # It is closed.
            continue
        if stat.S_ISFIFO(status) or stat.S_ISSOCK(status):
            os.dup2(nowhere, number)
    os.close(nowhere)
