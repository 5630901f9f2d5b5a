"""How processes are ended, politely at first: all below a zygote, or those of one of its kernels."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Container

from .children import children_of

#: Times between looks at what is left, after which it is killed. Most of it is gone at the first.
PATIENCE_S = (0.01, 0.03, 0.1, 0.3)
#: How long the killed may take to be gone: a process in the middle of a disk operation cannot be hurried.
KILLED_TIMEOUT_S = 1.0
KILL_AGAIN_S = 0.01


def end_descendants(groups: set[int], pids: set[int]) -> None:
    """End the processes `pids` and whatever else below this process is in the process groups `groups`.

    SIGTERM first, SIGKILL after 0.44 s. Processes that the user moved to sessions of their own are left alone: whoever
    does that means them to stay.
    """
    for number, pauses in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, (KILL_AGAIN_S,) * int(KILLED_TIMEOUT_S / KILL_AGAIN_S))):
        for pause in (0.0, *pauses):
            time.sleep(pause)
            _reap()
            left = _left(groups, pids)
            if not left:
                return
            if pause == 0 or number == signal.SIGKILL:
                # The killed may have left new children behind, so killing is repeated.
                _signal(left, number)


def descendants(pids: list[int]) -> list[int]:
    """These processes, and all below them."""
    found, unseen = [], list(pids)
    while unseen:
        found.append(unseen.pop())
        unseen.extend(children_of(found[-1]))
    return found


def end(pids: list[int]) -> None:
    """End processes, however deep below this one: SIGTERM first, SIGKILL after 0.44 s."""
    for number, pauses in ((signal.SIGTERM, PATIENCE_S), (signal.SIGKILL, ())):
        _signal(pids, number)
        for pause in pauses:
            time.sleep(pause)
            _reap()
            pids = [pid for pid in pids if _group_of(pid) is not None]
            if not pids:
                return


class Ending:
    """The end of one kernel's processes, step by step, so that other kernels are served meanwhile."""

    def __init__(self, groups: set[int], pids: set[int], others: Container[int] = ()) -> None:
        self.groups = groups
        self.pids = pids
        #: Workers of other kernels, as far as there are any at the time.
        self.others = others
        #: When to go on (time.monotonic).
        self.due = 0.0
        self._pauses = iter((*PATIENCE_S, *(KILL_AGAIN_S,) * int(KILLED_TIMEOUT_S / KILL_AGAIN_S)))
        self._looks = 0

    def go_on(self, now: float) -> bool:
        """Look what is left and see to it. True: nothing is left, or nothing that can be ended. Reap beforehand."""
        left = self._left()
        pause = next(self._pauses, None)
        if not left or pause is None:
            return True
        if self._looks == 0:
            _signal(left, signal.SIGTERM)
        elif self._looks >= len(PATIENCE_S):
            _signal(left, signal.SIGKILL)
        self._looks += 1
        self.due = now + pause
        return False

    def _left(self) -> list[int]:
        # Those of other kernels are not looked at more closely: there may be a thousand.
        found, unseen = [], [pid for pid in children_of(os.getpid()) if self._is_ours(pid)]
        while unseen:
            pid = unseen.pop()
            if self._is_ours(pid):
                found.append(pid)
            unseen.extend(children_of(pid))
        return found

    def _is_ours(self, pid: int) -> bool:
        return pid in self.pids or (_group_of(pid) in self.groups and pid not in self.others)


def _left(groups: set[int], pids: set[int]) -> list[int]:
    """Descendants of this process that are to end. What lost its parent is a child of the zygote's by now."""
    found, unseen = [], [os.getpid()]
    while unseen:
        for pid in children_of(unseen.pop()):
            unseen.append(pid)
            if pid in pids or _group_of(pid) in groups:
                found.append(pid)
    return found


def _signal(pids: list[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
            # A stopped process ends only once it goes on.
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            # It was faster.
            continue


def _group_of(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        # Nobody is left.
        return
