"""Stored groups -> variables.

A group is loaded variable by variable, each building on what those before it have made. When one fails, the next ones
are loaded all the same, unless they refer to something that the failed one should have made.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import sys
import types
from collections.abc import Iterable
from typing import Any, NamedTuple

from . import anchors
from .frames import Source
from .verdict import Unloadable

_PREAMBLE = pickle.PROTO + b"\5"
#: Stands in the memo for what could not be made.
_MISSING = object()
_PLAIN_BYTES_MAX = 256
#: How long a stream is that is one operation and STOP; with a text or bytes MEMOIZE is in between.
_PLAIN_LENGTHS = {
    **dict.fromkeys((pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE), 4),
    pickle.BININT1: 5,
    pickle.BININT2: 6,
    pickle.BININT: 8,
    pickle.BINFLOAT: 12,
    pickle.LONG1: 5,
    pickle.SHORT_BINUNICODE: 6,
    pickle.SHORT_BINBYTES: 6,
}
#: The byte behind these says how many follow.
_COUNTED = (pickle.LONG1, pickle.SHORT_BINUNICODE, pickle.SHORT_BINBYTES)


class Loaded(NamedTuple):
    """What came of a group: values, and why the others are not there."""

    values: dict[str, Any]
    failed: dict[str, BaseException]


class Pickle(NamedTuple):
    """One variable as it is stored."""

    name: str
    stream: bytes
    buffers: list[memoryview]
    #: Why it cannot be loaded. Its stream is there all the same if only a buffer is damaged.
    error: Exception | None = None


def load_group(pickles: Iterable[Pickle], namespace: dict[str, Any], anchored: list[str]) -> Loaded:
    """Make the variables of one group, in their order."""
    loaded = Loaded({}, {})
    pickles = list(pickles)
    if len(pickles) == 1 and pickles[0].error is None and len(pickles[0].stream) <= _PLAIN_BYTES_MAX:
        only = pickles[0]
        # Most variables of a state with very many are numbers and short texts, which need no memo.
        value = _plain(only.stream)
        if value is not _MISSING:
            return Loaded({only.name: value}, {})
    loader = _Loader(namespace, anchored)
    for each in pickles:
        try:
            if each.error is not None:
                loader.pass_over(each.stream)
                raise each.error
            loaded.values[each.name] = loader.load(each.stream, each.buffers)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            # Whatever else the code of a user's class raises costs only the variable.
            loaded.failed[each.name] = error
    return loaded


def _plain(stream: bytes) -> Any:
    """The number or text that a stream consists of, or _MISSING."""
    operation, length = stream[2:3], _PLAIN_LENGTHS.get(stream[2:3])
    if length is None:
        return _MISSING
    if operation in _COUNTED:
        length += stream[3]
    # Longer ones begin with such a value, and go on with another.
    return pickle.loads(stream) if len(stream) == length else _MISSING


class _Loader:
    """Loads the streams of a group one after the other, with one memo."""

    def __init__(self, namespace: dict[str, Any], anchored: list[str]) -> None:
        self._seeds = anchors.containers(namespace, anchored)
        self._streams: list[bytes] = []
        #: How many objects each of the first streams puts into the memo; counted only when it matters.
        self._counts: list[int] = []
        self._missing: set[int] = set()
        self._begin(self._seeds)

    def load(self, stream: bytes, buffers: list[memoryview]) -> Any:
        """The next variable. Raises whatever is raised meanwhile."""
        if self._missing and not self._missing.isdisjoint(_references(stream)):
            self._skip(stream)
            raise Unloadable("it shares an object with a variable that could not be restored")
        self._source.begin(stream)
        self._buffers.begin(buffers)
        try:
            value = self._unpickler.load()
        except BaseException:
            self._skip(stream)
            raise
        self._streams.append(stream)
        return value

    def pass_over(self, stream: bytes) -> None:
        """The next variable cannot be loaded. Those behind it can, as long as its stream says how many objects it has."""
        if stream:
            self._skip(stream)

    def _begin(self, memo: list[Any]) -> None:
        """Get ready to load, with these objects in the memo."""
        self._source, self._buffers = Source(), _Buffers()
        self._unpickler = _Unpickler(self._source, buffers=self._buffers)
        self._unpickler.given = memo
        # CPython's unpickler has a setter for its memo, which does not work. So it is told to load these objects.
        self._source.begin(_PREAMBLE + b"".join(map(_memoize_given, range(len(memo)))) + b"N.")
        self._unpickler.load()

    def _skip(self, stream: bytes) -> None:
        """Go on behind a variable that has failed, with its place in the memo filled."""
        made = self._unpickler.memo.copy()
        start = self._memo_size()
        self._streams.append(stream)
        end = self._memo_size()
        self._missing.update(index for index in range(start, end) if not _is_whole(made.get(index)))
        self._begin([_MISSING if index in self._missing else made[index] for index in range(end)])

    def _memo_size(self) -> int:
        self._counts.extend(_count(stream) for stream in self._streams[len(self._counts) :])
        return len(self._seeds) + sum(self._counts)


class _Unpickler(pickle.Unpickler):
    #: What `_memoize_given` refers to.
    given: list[Any]

    def persistent_load(self, pid: int) -> Any:
        return self.given[pid]

    def find_class(self, module: str, name: str) -> Any:
        if module == "__main__":
            # What is there now need not be what was there when the checkpoint was made.
            raise Unloadable(f"it is known only by its name, {name}, which is not part of the checkpoint")
        return super().find_class(module, name)


class _Buffers:
    """Where the unpickler gets the memory of arrays from: the buffers of one variable, then those of the next."""

    def begin(self, buffers: Iterable[memoryview]) -> None:
        self._rest = iter(buffers)

    def __iter__(self) -> _Buffers:
        return self

    def __next__(self) -> memoryview:
        return next(self._rest)


def _memoize_given(index: int) -> bytes:
    """Operations that put `given[index]` into the memo, and take it from the stack again."""
    return pickle.BININT + struct.pack("<i", index) + pickle.BINPERSID + pickle.MEMOIZE + pickle.POP


def _is_whole(value: Any) -> bool:
    """Is this sound even if what was being made around it has failed: a text, or something found by its name?"""
    if type(value) in (str, bytes):
        return True
    if not isinstance(value, (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)):
        return False
    found: Any = sys.modules.get(getattr(value, "__module__", None) or value.__name__)
    for part in getattr(value, "__qualname__", "").split(".") if found is not value else ():
        found = getattr(found, part, None)
    return found is value


def _count(stream: bytes) -> int:
    """How many objects a stream puts into the memo."""
    return sum(code.name == "MEMOIZE" for code, _, _ in pickletools.genops(stream))


def _references(stream: bytes) -> set[int]:
    """Which objects of the memo a stream refers to."""
    names = ("BINGET", "LONG_BINGET")
    return {argument for code, argument, _ in pickletools.genops(stream) if code.name in names}  # type: ignore[misc]
