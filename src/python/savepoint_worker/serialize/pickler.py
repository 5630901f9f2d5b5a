"""One pickler for a group of variables, which decides for each object how it is kept.

It is C's pickler: dicts, lists, strings and numbers never get to Python code. For every other object `reducer_override`
looks up a plan by its type: leave it to pickle, or let a handler describe it. The worst plan that was used makes the
verdict of the variable.
"""

from __future__ import annotations

import copyreg
import gc
import pickle
import sys
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from savepoint.handlers import handler_for

from . import again, anchors, handlers, rebuild
from .verdict import EQUAL, EXACT, REBUILT, Unsaveable

PROTOCOL = 5
#: Bytes of a buffer below which a copy in the stream is cheaper than a place of its own.
BUFFER_BYTES_MIN = 4096
#: Objects for which another way is tried, in one checkpoint.
ATTEMPTS_MAX = 100


class Sink(Protocol):
    """Where the pickled bytes go."""

    def write(self, data: Any, /) -> object: ...


class Plan(NamedTuple):
    """What to do with objects of one type."""

    rank: int
    tier: int
    reduce: Callable[[Any, Any], Any] | None


class Planning:
    """What both picklers share. Not a pickler itself, since C's and Python's have no base in common."""

    namespace: dict[str, Any]

    def prepare(self, namespace: dict[str, Any]) -> None:
        """Get ready for the variables of `namespace`."""
        # Imported late: a worker that never saves anything need not pay for it.
        import cloudpickle

        self.namespace = namespace
        # It knows code, cells, properties and more; as a mapping over copyreg's table it stays current.
        self.dispatch_table = cloudpickle.Pickler.dispatch_table
        #: Only asked how an object would be reduced; nothing is ever written to its file.
        self.by_value = cloudpickle.Pickler(_Nowhere(), protocol=PROTOCOL)
        self._plans: dict[type, Plan] = {}
        #: What was looked at last: the culprit, if pickling fails.
        self.last: Any = None
        #: Objects that have failed, by id, and what is tried instead.
        self._instead: dict[int, tuple[Any, Callable[[Any, Any], Any]]] = {}
        self._anchors = anchors.objects()
        self._anchored_kinds = anchors.kinds()
        seeds = [value if value is not None else object() for value in anchors.containers(namespace)]
        self.seeds = {id(value): (index, value) for index, value in enumerate(seeds)}
        self.begin_group()
        self.begin_variable()
        self._fixed = {id(value) for value in gc.get_referents(self)} | self.seeds.keys()

    def machinery(self) -> set[int]:
        """Ids of what `memoized` shows besides the objects that were written."""
        return {id(value) for value in vars(self).values()} | self._fixed

    def begin_group(self) -> None:
        """Forget all objects but the anchored ones: what comes is loaded apart from what was before."""
        self.memo = dict(self.seeds)
        #: Ids of functions and classes that were written by value.
        self.written_by_value: set[int] = set()

    def begin_variable(self) -> None:
        """From here on, what is found out belongs to the next variable."""
        self.rank = EXACT
        self.tier = 0
        self.notes: list[str] = []
        #: Files whose source text the saved functions come from.
        self.sources: set[str] = set()

    def note(self, text: str) -> None:
        """Something that is not kept of the present variable, in words."""
        if text not in self.notes:
            self.notes.append(text)

    def rate(self, rank: int, tier: int = 0) -> None:
        """The present variable is kept no better than this."""
        self.rank = max(self.rank, rank)
        self.tier = max(self.tier, tier)

    def reducer_override(self, value: Any) -> Any:
        self.last = value
        if self._instead and id(value) in self._instead:
            return self._instead[id(value)][1](self, value)
        kind = type(value)
        plan = self._plans.get(kind)
        if plan is None:
            plan = self._plans[kind] = self._plan(kind)
        if plan.rank > self.rank:
            self.rank = plan.rank
        if plan.tier > self.tier:
            self.tier = plan.tier
        return NotImplemented if plan.reduce is None else plan.reduce(self, value)

    def may_try_again(self, error: BaseException) -> bool:
        """Is there another way for the object that has just failed? Then pickle the variable again."""
        value, self.last = self.last, None
        if value is None or isinstance(error, (Unsaveable, RecursionError, MemoryError)) or id(value) in self._instead:
            return False
        way = again.another_way(value, error)
        if way is None or len(self._instead) >= ATTEMPTS_MAX:
            return False
        self._instead[id(value)] = (value, way)
        return True

    def _plan(self, kind: type) -> Plan:
        plan = self._plan_apart_from_anchors(kind)
        if kind not in self._anchored_kinds:
            return plan
        # Only some objects of this type are anchored, and the others must not be rated by that.
        return Plan(EXACT, 0, lambda _, value: self._reduce_anchored(plan, value))

    def _plan_apart_from_anchors(self, kind: type) -> Plan:
        if issubclass(kind, type):
            return Plan(EXACT, 0, handlers.reduce_class)
        given = handler_for(kind)
        if given is not None:
            return Plan(EQUAL if given.verdict == "equal" else REBUILT, 2, handlers.as_registered(given))
        handler = handlers.find(kind)
        if handler is not None:
            return Plan(handler.rank, handler.tier, handler.reduce)
        if kind.__module__ == "__main__" and (kind.__reduce_ex__, kind.__reduce__) != _INHERITED:
            return Plan(EQUAL, 0, _reduce_itself)
        if _answers_for_anything(kind):
            return Plan(EQUAL, 0, _reduce_plainly)
        return Plan(EXACT if handlers.is_exact(kind) else EQUAL, 0, None)

    def _reduce_anchored(self, plan: Plan, value: Any) -> Any:
        name = self._anchors.get(id(value))
        if name is not None:
            self.rate(REBUILT, 2)
            return rebuild.anchor, (name,)
        self.rate(plan.rank, plan.tier)
        return NotImplemented if plan.reduce is None else plan.reduce(self, value)


_INHERITED = (object.__reduce_ex__, object.__reduce__)


def _answers_for_anything(kind: type) -> bool:
    """Does the class have a `__getattr__`, and leave the rest to `object`? Pickle asks such an object for
    `__setstate__` before it has anything, and many then ask themselves, for ever."""
    return (
        hasattr(kind, "__getattr__")
        and (kind.__reduce_ex__, kind.__reduce__) == _INHERITED
        and not hasattr(kind, "__setstate__")
        and kind not in copyreg.dispatch_table
    )


def _reduce_plainly(pickler: Any, value: Any) -> Any:
    try:
        make, arguments, *rest = value.__reduce_ex__(PROTOCOL)
    except Exception:
        # Python 3.10 asks the object itself for `__getstate__`.
        if sys.version_info >= (3, 11) or isinstance(value, (list, dict, set)) or not hasattr(type(value), "__dict__"):
            raise
        make, arguments, rest = copyreg.__newobj__, (type(value),), [object.__getattribute__(value, "__dict__")]  # type: ignore[attr-defined]
    state, items, pairs = (*rest, None, None, None)[:3]
    if state is None:
        return NotImplemented
    return make, arguments, state, items, pairs, rebuild.set_plainly


def _reduce_itself(pickler: Any, value: Any) -> Any:
    """What an object of the user's says of itself."""
    reduced = value.__reduce_ex__(PROTOCOL)
    if isinstance(reduced, str):
        raise Unsaveable(f"it wants to be found as {reduced} in __main__, which another process does not have")
    return reduced


def make_pickler(
    namespace: dict[str, Any], sink: Sink, buffers: Callable[[pickle.PickleBuffer], bool], slow: bool = False
) -> Any:
    """A pickler that writes to `sink`; `slow`: one that nests as deep as memory allows, in Python."""
    pickler = (_SlowPickler if slow else _FastPickler)(sink, protocol=PROTOCOL, buffer_callback=buffers)
    if slow:
        # Python's pickler can be told to make no frames; from what C's writes they are taken out later.
        pickler.framer.start_framing = lambda: None
    pickler.prepare(namespace)
    return pickler


def memoized(pickler: Any) -> Iterator[Any]:
    """The objects that a pickler has written since its group began (and a few things of its own)."""
    if _SEES_MEMO and isinstance(pickler, pickle.Pickler):
        return iter(gc.get_referents(pickler))
    return (value for _, value in pickler.memo.copy().values())


class _Nowhere:
    def write(self, data: Any, /) -> int:
        return 0


class _FastPickler(Planning, pickle.Pickler):
    """C's pickler. Its nesting is limited by the stack."""


class _SlowPickler(Planning, pickle._Pickler):  # type: ignore[name-defined, misc]
    """Python's pickler. Its nesting is limited by `sys.setrecursionlimit` alone on CPython 3.11 and later."""


def _sees_memo() -> bool:
    """Does the garbage collector tell what is in a C pickler's memo? On CPython 3.10 it does not."""
    probe: list[Any] = []
    pickler = pickle.Pickler(_Nowhere(), protocol=PROTOCOL)
    pickler.dump(probe)
    return any(value is probe for value in gc.get_referents(pickler))


_SEES_MEMO = _sees_memo()
