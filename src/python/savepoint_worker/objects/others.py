"""What is at work, what nobody knows, and what can only be looked at: it is named if it is not as it was."""

from __future__ import annotations

import gc
import itertools
import sys
import types
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import layout
from .kinds import NOTHING, Kind, name_of, register

if TYPE_CHECKING:
    from .walk import Walk

#: Modules whose objects are at work, in threads, tasks and processes: these go on, and nobody can turn them back.
_AT_WORK_MODULES = frozenset(
    ["_asyncio", "asyncio", "concurrent", "multiprocessing", "subprocess", "selectors", "tornado", "zmq"]
    + ["ipykernel", "jupyter_client", "savepoint_worker", "debugpy", "comm"]
)
#: Of these, those whose objects hold nothing of the user's.
_OURS = frozenset(["ipykernel", "savepoint_worker", "comm"])
#: Modules of IPython's whose objects are what users show and keep.
_USERS_IPYTHON = ("IPython.core.display", "IPython.lib.display", "IPython.utils", "IPython.display")
_AT_WORK_CLASSES = frozenset(["threading.Thread", "threading.Timer", "_thread._ThreadHandle"])


def is_at_work(kind: type) -> bool:
    """Do objects of this type belong to something that goes on whatever is rolled back?"""
    for each in layout.mro_of(kind):
        module = each.__module__
        if not isinstance(module, str):
            continue
        top = module.partition(".")[0]
        if top in _AT_WORK_MODULES or f"{module}.{each.__qualname__}" in _AT_WORK_CLASSES:
            return not issubclass(kind, BaseException)
        if top == "IPython" and not module.startswith(_USERS_IPYTHON):
            return not issubclass(kind, BaseException)
    return False


def _save_at_work(obj: Any, walk: Walk) -> Any:
    if type(obj).__module__.partition(".")[0] not in _OURS:
        walk.name(obj)
    return NOTHING


def _save_opaque(obj: Any, walk: Walk) -> Any:
    walk.name(obj)
    walk.push(referents(obj))
    return NOTHING


def referents(obj: Any) -> list[Any]:
    """What an object in C refers to. Of containers of its own what is in them: it may rely on how they are, and they
    may have places where there is nothing."""
    found: list[Any] = []
    own: list[Any] = []
    for each in gc.get_referents(obj):
        private = type(each) in _CONTAINERS and (sys.getrefcount(each) <= _REFERENCES_TO_OWN or _has_gaps(each))
        (own if private else found).append(each)
    for each in own:
        found += gc.get_referents(each)
    return found


def _has_gaps(container: Any) -> bool:
    return type(container) in (list, tuple) and len(gc.get_referents(container)) != len(container)


_CONTAINERS = frozenset([list, tuple, dict, set])


def _references_to_own() -> int:
    """What `sys.getrefcount` says, in the loop of `referents`, of what only one other object refers to."""
    owner = [[None]]
    for each in gc.get_referents(owner):
        return sys.getrefcount(each)
    return 0


_REFERENCES_TO_OWN = _references_to_own()


AT_WORK = Kind(_save_at_work)
OPAQUE = Kind(_save_opaque, links=True)


def watched(look: Callable[[Any], Any], words: str | None = None, named: bool = True) -> Kind:
    """A kind that is only looked at: `look` returns something that is equal as long as the object is as it was.

    If that cannot be found out it raises. `named`: it is named when it is copied; else only if it has changed.
    """

    def save(obj: Any, walk: Walk) -> Any:
        said = words or name_of(type(obj))
        if named:
            walk.name(obj, said, looked_at=True)
        walk.push(referents(obj))
        return said, look(obj)

    def put_back(obj: Any, state: Any) -> str | None:
        said, seen = state
        return None if look(obj) == seen else str(said)

    return Kind(save, put_back, links=True)


class _Identity:
    """Equal to another one if both were made of the very same objects."""

    def __init__(self, *objects: Any) -> None:
        self.objects = objects

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, _Identity)
            and len(self.objects) == len(other.objects)
            and all(map(_is_or_equals, self.objects, other.objects))
        )

    __hash__ = None  # type: ignore[assignment]


def _is_or_equals(one: Any, other: Any) -> bool:
    if one is other or type(one) is not type(other):
        return one is other
    if type(one) is tuple:
        # As they were made for the answer.
        return len(one) == len(other) and all(map(_is_or_equals, one, other))
    return type(one) in (int, range, slice) and bool(one == other)


def _frame_of(obj: Any) -> Any:
    for name in ("gi_frame", "cr_frame", "ag_frame"):
        if hasattr(obj, name):
            return getattr(obj, name)
    return None


def _look_at_generator(obj: Any) -> Any:
    frame = _frame_of(obj)
    if frame is None:
        return None
    # Before CPython 3.11 it is the frame that refers to the variables.
    referents = gc.get_referents(obj if sys.version_info >= (3, 11) else frame)
    return frame.f_lasti, _Identity(*referents)


def _save_generator(obj: Any, walk: Walk) -> Any:
    walk.name(obj, looked_at=True)
    frame = _frame_of(obj)
    if frame is not None:
        walk.push(list(frame.f_locals.values()))
        referents = gc.get_referents(obj if sys.version_info >= (3, 11) else frame)
        walk.push([each for each in referents if type(each) is not types.FrameType])
    return _look_at_generator(obj)


def _put_back_generator(obj: Any, seen: Any) -> str | None:
    return None if _look_at_generator(obj) == seen else name_of(type(obj))


def _reduced(obj: Any) -> Any:
    with warnings.catch_warnings():
        # Itertools will not be pickled any more some day.
        warnings.simplefilter("ignore")
        reduced = obj.__reduce__()
    return _Identity(*reduced[1], *reduced[2:], len(reduced))


def _save_iterator(obj: Any, walk: Walk) -> Any:
    walk.push(gc.get_referents(obj))
    return obj.__reduce__(), _reduced(obj)


def _put_back_iterator(obj: Any, state: Any) -> str | None:
    reduced, seen = state
    if _reduced(obj) == seen:
        return None
    if len(reduced) > 2 and len(obj.__reduce__()) > 2:
        obj.__setstate__(reduced[2])
    return None if _reduced(obj) == seen else f"the position of {name_of(type(obj))}"


def _save_traceback(obj: Any, walk: Walk) -> Any:
    # The frames in it have ended; what their variables hold is only seen by debuggers.
    return NOTHING


_generators = (types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType)
register(Kind(_save_generator, _put_back_generator, links=True), *_generators)
register(
    Kind(_save_iterator, _put_back_iterator, links=True), type(iter([])), type(reversed([])), type(iter(())),
    type(iter("")), type(iter("\u0100")), type(iter(b"")), type(iter(bytearray())), type(iter(range(0))),
    type(iter(range(1 << 1000))), reversed, type(iter(type("", (), {"__getitem__": None})())),
    "array.arrayiterator",
)  # fmt: skip
_sizes = watched(lambda obj: obj.__length_hint__(), named=False)
register(
    _sizes, type(iter({})), type(iter({}.values())), type(iter({}.items())), type(iter(set())),
    type(reversed({})), type(reversed({}.values())), type(reversed({}.items())), "_collections._deque_iterator",
    "_collections._deque_reverse_iterator",
)  # fmt: skip
#: These have no state but that of the iterators that they read from.
register(Kind(lambda obj, walk: walk.push(gc.get_referents(obj))), zip, map, filter, itertools.starmap, type(iter(int, 1)))
register(watched(_reduced, named=False), enumerate)
register(watched(repr, named=False), itertools.count)
register(
    watched(_reduced), itertools.accumulate, itertools.chain, itertools.combinations, itertools.cycle,
    itertools.combinations_with_replacement, itertools.compress, itertools.dropwhile, itertools.filterfalse,
    itertools.islice, itertools.permutations, itertools.product, itertools.repeat, itertools.takewhile,
    itertools.zip_longest,
)  # fmt: skip
register(Kind(_save_traceback), types.TracebackType)
register(Kind(_save_at_work), types.FrameType)
#: Held by somebody who may still be there: only looked at.
register(watched(repr, named=False), "_thread.lock", "_thread.RLock")
register(watched(lambda obj: obj.digest(), "a hash"), *(
    f"_hashlib.{name}" for name in ("HASH", "HASHXOF", "HMAC")), "_blake2.blake2b", "_blake2.blake2s",
    "_md5.md5", "_sha1.sha1", "_sha2.SHA224Type", "_sha2.SHA256Type", "_sha2.SHA384Type", "_sha2.SHA512Type",
    "_sha3.sha3_224", "_sha3.sha3_256", "_sha3.sha3_384", "_sha3.sha3_512",
)  # fmt: skip
