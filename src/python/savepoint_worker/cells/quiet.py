"""Work for which nobody waits, done by the main thread while its event loop has nothing to do.

A thread would take turns with the user's code, and a fork would have to wait for it. Here the work is dropped as soon
as anything else comes up, and may be begun anew later: what it has imported and cached by then stays. It looks up
every few milliseconds, at the calls that it makes; one call into C code is finished first.
"""

from __future__ import annotations

import gc
import importlib
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from IPython.core import completer as completers

from ..ipython import parse_cache

#: How often the work looks up.
GLANCE_S = 0.002
#: Calls after which it looks at the clock.
CALLS = 64
#: What is not left half done: an import, which holds locks, and a file that is written.
_UNDIVIDED = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>", parse_cache.__file__)
#: In pieces of which none takes longer than one of the stubs that are read afterwards.
_MODULES = ("pydoc", "parso", "jedi.parser_utils", "jedi")
#: What the first transaction would have to import; nobody waits for it until then.
_OURS = tuple(f"{__name__.partition('.')[0]}.{name}" for name in ("effects.recorder", "objects.engine"))


class _Dropped(BaseException):
    """Something else has come up."""


def has_work(loop: Any) -> bool:
    """Is there anything that the event loop would do now if it ran?"""
    timers = loop._scheduled
    due = bool(timers) and timers[0].when() <= loop.time()
    return bool(due or loop._ready or loop._selector.select(0))


def attempt(loop: Any, work: Callable[[], object]) -> bool:
    """Do `work` in a callback of `loop`, unless something else comes up meanwhile. Was it done?

    It is not begun, either, where somebody follows each call of this thread.
    """
    if sys.getprofile() is not None or sys.gettrace() is not None:
        return False
    calls, glanced_at, over = 0, time.monotonic(), False

    def glance(frame: FrameType, event: str, argument: object) -> None:
        nonlocal calls, glanced_at
        calls += 1
        if calls < CALLS or over:
            return
        calls = 0
        now = time.monotonic()
        if now - glanced_at < GLANCE_S:
            return
        glanced_at = now
        if has_work(loop) and not _is_undivided(frame):
            raise _Dropped

    collects = gc.isenabled()
    gc.disable()
    sys.setprofile(glance)
    try:
        work()
    except _Dropped:
        return False
    finally:
        # The next call is followed, too, and must not be dropped.
        over = True
        sys.setprofile(None)
        (gc.enable if collects else gc.disable)()
    return True


def _is_undivided(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in _UNDIVIDED:
            return True
        frame = frame.f_back
    return False


class Foresight:
    """Prepares for the first transaction, and for the first completion, which takes half a second and longer."""

    def __init__(self, loop: Any, completer: Any) -> None:
        self._loop = loop
        self._completer = completer
        self._modules = [*_OURS, *(_MODULES if getattr(completer, "use_jedi", False) else ())]

    def prepare(self) -> bool:
        """Do as much as there is time for. Is nothing left to do? To be called in the loop, as often as it takes."""
        try:
            while self._modules:
                if has_work(self._loop):
                    return False
                importlib.import_module(self._modules[0])
                del self._modules[0]
            return not getattr(self._completer, "use_jedi", False) or attempt(self._loop, self._complete)
        except Exception:
            # What fails here fails again, and is reported, when it is really needed.
            return True

    def prepare_now(self) -> None:
        """Do all of it at once, where no loop runs and nothing is the user's."""
        try:
            for name in self._modules:
                importlib.import_module(name)
            if getattr(self._completer, "use_jedi", False):
                self._complete()
        except Exception:
            # What fails here fails again, and is reported, when it is really needed.
            pass

    def settle(self) -> None:
        """What is there now stays for good: no garbage collection need look at it. Nothing may be the user's yet."""
        if not has_work(self._loop):
            gc.collect()
            gc.freeze()

    def _complete(self) -> None:
        limit = sys.getrecursionlimit()
        parse_cache.keep_whole()
        try:
            # Newer versions of IPython import it late, and set it up then.
            jedi = completers._get_jedi() if hasattr(completers, "_get_jedi") else sys.modules["jedi"]
            # In a namespace of its own: nothing of the user's is looked at.
            for completion in jedi.Interpreter("print", [{}]).complete(line=1, column=len("print")):
                completion.type, completion.get_signatures()
        finally:
            sys.setrecursionlimit(limit)
