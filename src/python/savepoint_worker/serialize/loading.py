"""Sections -> variables.

A group is loaded variable by variable, each building on what those before it have made. When one fails, the next ones
are loaded all the same, unless they refer to something that the failed one should have made.
"""

from __future__ import annotations

import json
import pickle
import pickletools
import struct
import sys
import types
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from . import anchors
from .container import Section, damaged
from .saving import Group
from .verdict import Unloadable

_COUNT = struct.Struct(">I")
_PREAMBLE = pickle.PROTO + b"\5"
#: Stands in the memo for what could not be made.
_MISSING = object()


class Loaded(NamedTuple):
    """What came of a group: values, and why the others are not there."""

    values: dict[str, Any]
    failed: dict[str, BaseException]


def pieces(group: Group) -> Iterator[bytes | memoryview]:
    """A group as a section: a u32 length, a list of its variables (JSON), their streams, their buffers."""
    entries = [
        {
            "name": each.kept.name,
            "stream": sum(map(len, each.stream)),
            "buffers": [buffer.raw().nbytes for buffer in each.buffers],
        }
        for each in group.variables
    ]
    head = json.dumps(entries, separators=(",", ":")).encode()
    yield _COUNT.pack(len(head))
    yield head
    for each in group.variables:
        yield from each.stream
    for each in group.variables:
        yield from (buffer.raw() for buffer in each.buffers)


def load_group(section: Section, namespace: dict[str, Any], anchored: list[str]) -> Loaded:
    """Make the variables of one group. Raises SavepointError (`damaged_checkpoint`), and nothing of the user's."""
    try:
        (length,) = _COUNT.unpack(section.take(_COUNT.size))
        entries = json.loads(section.take(length))
        streams = [section.take(entry["stream"]) for entry in entries]
        buffers = [[section.take_memory(size) for size in entry["buffers"]] for entry in entries]
    except (ValueError, TypeError, KeyError):
        raise damaged("The list of a section's variables cannot be read.") from None
    section.verify()
    loaded = Loaded({}, {})
    loader = _Loader(namespace, anchored)
    for entry, stream, each in zip(entries, streams, buffers):
        try:
            loaded.values[entry["name"]] = loader.load(stream, each)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            # Whatever else the code of a user's class raises costs only the variable.
            loaded.failed[entry["name"]] = error
    return loaded


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

    def _begin(self, memo: list[Any]) -> None:
        """Get ready to load, with these objects in the memo."""
        self._source, self._buffers = _Source(), _Buffers()
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


class _Source:
    """What the unpickler reads from: one stream, then the next."""

    def begin(self, stream: bytes) -> None:
        self._stream = memoryview(stream)
        self._offset = 0

    def read(self, length: int) -> bytes:
        self._offset += length
        return bytes(self._stream[self._offset - length : self._offset])

    def readinto(self, target: Any) -> int:
        view = memoryview(target).cast("B")
        piece = self._stream[self._offset : self._offset + len(view)]
        view[: len(piece)] = piece
        self._offset += len(piece)
        return len(piece)

    def readline(self) -> bytes:
        end = bytes(self._stream[self._offset :]).find(b"\n") + 1
        return self.read(end or len(self._stream) - self._offset)


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
