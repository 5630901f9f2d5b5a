"""What is done with objects that plain pickle cannot keep, or keeps wrongly: a registry by type.

A handler gets the pickler and the object. It returns what `__reduce_ex__` would (with a function of `rebuild` to be
called at the load), or NotImplemented to leave the object to pickle, or raises Unsaveable. Types are named, not
imported, so that a handler for a library costs nothing where the library is not used. A handler must leave the object
as it is: it may be pickled twice.

What a user registers (`savepoint.register_handler`) goes before. To teach the kernel itself another type:

    @handlers.register("duckdb.DuckDBPyConnection")
    def connection(pickler, value):
        raise Unsaveable("a database connection cannot be kept")
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, NoReturn, TypeVar

from savepoint.handlers import Handler as Given

from .verdict import REBUILT, Unsaveable

F = TypeVar("F", bound=Callable[[Any, Any], Any])


class Handler(NamedTuple):
    """What to do with a type's objects, and how faithful that is."""

    reduce: Callable[[Any, Any], Any]
    rank: int
    tier: int
    subclasses: bool


_handlers: dict[str, Handler] = {}
_exact: set[str] = set()
_loaded = False
_MODULES = (
    "arrays", "arrow", "code", "databases", "figures", "files", "learning", "libraries", "links", "logs", "matches",
    "memory", "polars", "refused", "running", "states",
)  # fmt: skip


def register(*types: str, rank: int = REBUILT, tier: int | None = None, subclasses: bool = True) -> Callable[[F], F]:
    """Make a function the handler of the types with these full names (`module.QualifiedName`).

    `rank` is how faithful what it does is, `tier` an index of `TIERS` (default: "handler", for what is rebuilt);
    `subclasses`: it also serves types derived from them that have no handler of their own.
    """

    def keep(function: F) -> F:
        for name in types:
            _handlers[name] = Handler(function, rank, tier if tier is not None else 2 * (rank == REBUILT), subclasses)
        return function

    return keep


def register_exact(names: Iterable[str]) -> None:
    """These types pickle exactly: what is loaded cannot be told from what was saved."""
    _exact.update(names)


def register_lost(reason: str, *types: str) -> None:
    """Objects of these types cannot be kept, for this reason."""

    def refuse(pickler: Any, value: Any) -> NoReturn:
        raise Unsaveable(reason, value)

    register(*types)(refuse)


def find(kind: type) -> Handler | None:
    """The handler for objects of this type, the most specific one, or None."""
    _load()
    for each in kind.__mro__:
        handler = _handlers.get(full_name(each))
        if handler is not None and (each is kind or handler.subclasses):
            return handler
    return None


def as_registered(given: Given) -> Callable[[Any, Any], Any]:
    """What to do with objects for which the user has registered a handler."""

    def reduce(pickler: Any, value: Any) -> Any:
        try:
            state = given.save(value)
        except Exception as error:
            text = f"the handler that is registered for {given.kind} raised {type(error).__name__}: {error}"
            raise Unsaveable(text, value) from error
        if state is value:
            raise Unsaveable(f"the handler that is registered for {given.kind} returned the object itself", value)
        return _rebuild().by_handler, (*given, state)

    return reduce


def is_exact(kind: type) -> bool:
    """Does plain pickle keep this type's objects exactly?"""
    return full_name(kind) in _exact or kind.__module__ == "numpy.dtypes"


def reduce_class(pickler: Any, value: type) -> Any:
    """Classes: by reference if they can be imported, else by value. (Every type of types gets here.)"""
    return _code().reduce_class(pickler, value)


def full_name(kind: type) -> str:
    """`module.QualifiedName` of a type."""
    return f"{kind.__module__}.{kind.__qualname__}"


def _rebuild() -> Any:
    return importlib.import_module(".rebuild", __package__)


def _code() -> Any:
    return importlib.import_module(".kinds.code", __package__)


def _load() -> None:
    """Let our own handlers register themselves, once."""
    global _loaded
    if not _loaded:
        _loaded = True
        for name in _MODULES:
            importlib.import_module(f".kinds.{name}", __package__)
