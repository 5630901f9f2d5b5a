"""What there is to do with objects of a type: the table that the walk looks up, and how the table is filled.

A kind is asked to `save` an object: to note its contents, and to hand what it refers to on to the walk. Its `put_back`
gives the object these contents again, and says in words what it could not do. It must leave what was saved as it was:
a copy may be put back more than once. No code of the user's is called, as far as that can be avoided: methods are those
of the base type, never what a subclass made of them.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .walk import Walk


class Kind(NamedTuple):
    """How objects of one type are copied. `links`: two variables that share such an object belong together."""

    save: Callable[[Any, Walk], Any]
    put_back: Callable[[Any, Any], str | None] | None = None
    links: bool = False


#: What `save` returns if there is nothing to be put back.
NOTHING = object()
MISSING = object()

#: Types whose objects never change and refer to nothing that does. The walk does not even visit these.
ATOMS: set[type] = set()
EXACT: dict[type, Kind] = {}
#: By module and qualified name, for types that need not be imported.
BY_NAME: dict[str, Kind] = {}
#: By the beginning of that name.
BY_PREFIX: dict[str, Kind] = {}


def nothing(obj: Any, walk: Walk) -> Any:
    """It never changes, as far as anybody can tell."""
    return NOTHING


ATOM = Kind(nothing)


def atoms(*types: type) -> None:
    """Objects of these types never change, and refer to nothing that does."""
    ATOMS.update(types)


def atoms_named(*names: str) -> None:
    """As `atoms`, by name."""
    BY_NAME.update(dict.fromkeys(names, ATOM))


def register(kind: Kind, *types: type | str) -> None:
    """What to do with objects of exactly these types, and with the C part of those of their subclasses."""
    for each in types:
        if isinstance(each, str):
            BY_NAME[each] = kind
        else:
            EXACT[each] = kind


def name_of(kind: type) -> str:
    """Module and qualified name of a type, as it is known to users."""
    module, name = type.__getattribute__(kind, "__module__"), type.__getattribute__(kind, "__qualname__")
    return name if module == "builtins" else f"{module}.{name}"


# What was replaced while contents were put back. To let go of it may run code of the user's: that waits until the end.
_replaced: list[Any] = []


def hold(old: Any) -> None:
    """Keep what is about to be replaced until everything was put back."""
    _replaced.append(old)


def release() -> None:
    """Let go of all that was replaced."""
    while _replaced:
        held = _replaced[:]
        _replaced.clear()
        # Weak references first: they would tell objects that are as they were of the end of others that never were.
        held[:] = [_without_references(each) for each in held]
        held.clear()


def _without_references(old: Any) -> Any:
    if type(old) is dict:
        for key in [key for key, value in old.items() if _is_reference(key) or _is_reference(value)]:
            del old[key]
    elif type(old) in (list, tuple, set):
        return [each for each in old if not _is_reference(each)]
    return old


def _is_reference(value: Any) -> bool:
    return issubclass(type(value), weakref.ref)


def is_same(before: Iterable[Any], now: Iterable[Any]) -> bool:
    """Do both hold the same objects, in the same order? They have to be equally long."""
    return all(one is other for one, other in zip(before, now))
