"""From the variables to everything that they lead to, once, without recursion, and without calling what users wrote."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterable, Sequence
from typing import Any

from . import layout, memory
from .code import MODULE
from .covariables import Groups
from .instances import instance_kind
from .kinds import ATOM, ATOMS, BY_NAME, BY_PREFIX, EXACT, NOTHING, Kind, name_of
from .limits import Limits
from .others import AT_WORK, OPAQUE, is_at_work

#: Objects between two looks at the memory that is left.
_OBJECTS_PER_LOOK = 100_000
_BYTES_PER_OBJECT = 200
#: Fewer are looked at one by one.
_FEW = 8
#: They see to their `__dict__` themselves.
_WITH_DICT = (types.FunctionType, types.ModuleType, type)


_SHALLOW = {kind: EXACT[kind] for kind in (list, dict, set)}


class Walk:
    """One walk. What it finds is added to `records`: how to put back, the object, and what was saved of it."""

    def __init__(self, ignored: Iterable[Any], users_modules: frozenset[str]) -> None:
        self.users_modules = users_modules
        self.records: list[tuple[Any, Any, Any]] = []
        self.limits = Limits()
        self.groups = Groups()
        #: Buffers, which are copied when it is known that all of them fit: bytes, and what copies.
        self.buffers: list[tuple[int, Any]] = []
        self._stack: list[Any] = []
        #: Which variable came first to the object of that id.
        self._owners: dict[int, int] = {id(each): -1 for each in ignored}
        self._owners.update({id(vars(module)): -1 for module in _libraries(users_modules)})
        #: Objects that no record holds: while they live, nothing else has their ids.
        self._alive: list[Any] = [*ignored]
        self._kinds: dict[type, Kind] = {}
        self._root = -1
        self._look_at = _OBJECTS_PER_LOOK

    def add(self, label: str, value: Any) -> None:
        """Walk what a variable of the user's leads to. Raises MemoryError if there is no room for a copy of it."""
        self._root = self.groups.add(label)
        self.limits.begins(label, len(self.records))
        if type(value) not in ATOMS:
            self._stack.append(value)
            self._run()

    def shallow(self, obj: Any) -> None:
        """A container of a library's: what is in it is put back, and not what that leads to."""
        kind = _SHALLOW.get(type(obj))
        if kind is None or id(obj) in self._owners:
            return
        self._owners[id(obj)] = -1
        waiting = self._stack
        self._stack = []
        self.records.append((kind.put_back, obj, kind.save(obj, self)))
        self._stack = waiting

    def push(self, objects: Sequence[Any]) -> None:
        """What an object refers to: it is walked as well."""
        if len(objects) < _FEW:
            for each in objects:
                if type(each) not in ATOMS:
                    self._stack.append(each)
            return
        found = set(map(type, objects))
        found -= ATOMS
        if found:
            self._stack.extend([each for each in objects if type(each) in found])

    def mark(self, obj: Any) -> None:
        """An object was saved as a part of another one."""
        self._owners.setdefault(id(obj), self._root)
        self._alive.append(obj)

    def buffer(self, size: int, copy: Any) -> None:
        """A buffer of so many bytes is to be copied, by calling `copy`."""
        self.buffers.append((size, copy))

    def copy_buffers(self) -> None:
        """Copy all of them. Raises MemoryError if they do not fit into the memory that is left."""
        memory.require(sum(size for size, _ in self.buffers))
        for _, copy in self.buffers:
            copy()
        self.buffers.clear()

    def name(self, obj: Any, words: str | None = None, looked_at: bool = False) -> None:
        """Say of an object that it cannot be put back. `looked_at`: a rollback will know whether it has changed."""
        self.limits.add(words or name_of(type(obj)), looked_at)

    def classes(self) -> list[type]:
        """Those of the objects that were met."""
        return list(self._kinds)

    def _run(self) -> None:
        stack, owners, kinds, root = self._stack, self._owners, self._kinds, self._root
        while stack:
            obj = stack.pop()
            save, put_back, links = kinds.get(type(obj)) or self._kind_of(type(obj))
            identity = id(obj)
            if identity in owners:
                if links and -1 < owners[identity] != root:
                    self.groups.link(owners[identity], root)
                continue
            owners[identity] = root
            try:
                state = save(obj, self)
            except MemoryError:
                raise
            except Exception as error:
                self.name(obj, f"{name_of(type(obj))} ({type(error).__name__})")
                state = NOTHING
            if put_back is None or state is NOTHING:
                self._alive.append(obj)
            else:
                self.records.append((put_back, obj, state))
            if len(owners) > self._look_at:
                self._look_at = len(owners) + _OBJECTS_PER_LOOK
                memory.require(_OBJECTS_PER_LOOK * _BYTES_PER_OBJECT)

    def _kind_of(self, kind: type) -> Kind:
        found = self._kinds[kind] = kind_of(kind)
        if layout.is_heap_type(kind):
            # Attributes of the class are as much state of the object as its own are.
            self._stack.append(kind)
        return found


def kind_of(kind: type) -> Kind:
    """What to do with objects of a type."""
    known = _known(kind)
    if known is not None:
        plain = known is ATOM or kind in _WITH_DICT or layout.dict_of(kind) is None
        return known if plain else instance_kind(kind, known)
    if issubclass(kind, type):
        return EXACT[type]
    if issubclass(kind, types.ModuleType):
        return MODULE
    if is_at_work(kind):
        return AT_WORK
    base: type | None = kind
    while base is not None:
        # Its solid base, or one before that is known: what comes between is in its `__dict__` and slots.
        known = _known(base)
        if known is not None or not layout.adds_nothing_in_c(base):
            break
        base = base.__base__
    if known is None:
        known = EXACT[BaseException] if issubclass(kind, BaseException) else OPAQUE
    return instance_kind(kind, known)


def _known(kind: type) -> Kind | None:
    if kind in ATOMS:
        return ATOM
    found = EXACT.get(kind)
    if found is None:
        # A class of the user's may have a name that a library has, too.
        name = name_of(kind) if isinstance(kind.__module__, str) and kind.__module__ != "__main__" else ""
        found = BY_NAME.get(name)
        if found is None:
            found = next((each for prefix, each in BY_PREFIX.items() if name.startswith(prefix)), None)
        if found is None and "numpy" in sys.modules:
            from .arrays import is_plain_scalar

            found = ATOM if is_plain_scalar(kind) else None
    return found


def _libraries(users_modules: frozenset[str]) -> list[types.ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if isinstance(module, types.ModuleType) and name not in users_modules
    ]
