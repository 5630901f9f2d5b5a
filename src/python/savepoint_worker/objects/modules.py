"""Modules: which are imported, and what the user's code put into those of libraries.

A library's module is the library's: what it keeps for itself goes on. But a name of it that was bound to something of
the user's, or removed, or that holds another constant than before, was changed from outside, and is put back.
"""

from __future__ import annotations

import sys
import types
from typing import Any

from . import layout
from .kinds import MISSING, hold
from .origin import is_libraries, users_modules

#: Parts of the process rather than of a library, or the engine's own.
_NOT = frozenset(["sys", "__main__", "__mp_main__", "savepoint", "savepoint_worker", "ipykernel", "IPython"])
#: IPython puts these among the builtins while a cell runs.
_IN_CELLS = frozenset(["get_ipython", "display", "exit", "quit"])
_CONSTANTS = frozenset([int, float, complex, str, bytes, bool, tuple, frozenset])
#: Classes, beside those of the user's, whose attributes are watched as well.
_CLASSES_MAX = 5000


class Modules:
    """What libraries' modules, and the classes that the user's variables lead to, have as attributes now."""

    def __init__(self, namespace: dict[str, Any], classes: list[type], users: frozenset[str]) -> None:
        self._users = users
        self._mine = users_modules()
        self._imported = sys.modules.copy()
        self._saved = [(vars(module), vars(module).copy()) for module in _libraries(users)]
        watched = {id(each): each for each in [*classes, *_classes_in(namespace)] if layout.is_heap_type(each)}
        self._classes = [
            (each, dict(layout.attributes_of(each)))
            for each in list(watched.values())[:_CLASSES_MAX]
            if is_libraries(each, users) and _top(each.__module__) not in _NOT
        ]

    def put_back(self) -> None:
        """Undo what was done to them from outside; modules of the user's that were imported since are forgotten."""
        for attributes, before in self._saved:
            if attributes is not None and (len(attributes) != len(before) or _differ(attributes, before)):
                self._put_back(attributes, before, attributes.__setitem__, attributes.__delitem__)
        for each, before in self._classes:
            present = layout.attributes_of(each)
            if len(present) != len(before) or _differ(present, before):
                self._put_back_class(present, before, each)
        present_modules = users_modules()
        for name in present_modules.keys() - self._mine.keys():
            hold(sys.modules.pop(name, None))
        for name, module in self._imported.items():
            if sys.modules.get(name) is not module:
                hold(sys.modules.get(name))
                sys.modules[name] = module

    def _put_back(self, present: Any, before: dict[str, Any], put: Any, remove: Any) -> None:
        for name, value in list(present.items()):
            old = before.get(name, MISSING)
            if value is old or not (self._is_users(value) or _is_public(name, value if old is MISSING else old, old)):
                continue
            hold(value)
            if old is MISSING:
                remove(name)
            else:
                put(name, old)
        for name in before.keys() - present.keys():
            if _may_be_set(name):
                put(name, before[name])

    def _put_back_class(self, present: Any, before: dict[str, Any], each: type) -> None:
        """Libraries do not change public attributes of their classes, either; what they keep for themselves is private."""
        for name, value in list(present.items()):
            old = before.get(name, MISSING)
            if value is old or not (_may_be_set(name) or self._is_users(value)):
                continue
            hold(value)
            if old is MISSING:
                type.__delattr__(each, name)
            else:
                type.__setattr__(each, name, old)
        for name in before.keys() - present.keys():
            if _may_be_set(name):
                type.__setattr__(each, name, before[name])

    def _is_users(self, value: Any) -> bool:
        """Was it made by the user's code?"""
        if issubclass(type(value), (types.FunctionType, type)):
            return not is_libraries(value, self._users) and self._is_users_module(value.__module__)
        kind = type(value)
        return self._is_users_module(kind.__module__)

    def _is_users_module(self, name: object) -> bool:
        return name == "__main__" or name in self._users


def _is_public(name: str, value: Any, old: Any) -> bool:
    """Is it a constant, or was it a function or class, that a library offers by this name?"""
    return _may_be_set(name) and (type(value) in _CONSTANTS or (old is not MISSING and callable(old)))


def _may_be_set(name: object) -> bool:
    return isinstance(name, str) and not name.startswith("_") and name not in _IN_CELLS


def _differ(present: Any, before: dict[str, Any]) -> bool:
    return any(before.get(name, MISSING) is not value for name, value in list(present.items()))


def _top(module: object) -> str:
    return module.partition(".")[0] if isinstance(module, str) else ""


def _libraries(users: frozenset[str]) -> list[types.ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if type(module) is types.ModuleType and name not in users and _top(name) not in _NOT
    ]


def _classes_in(namespace: dict[str, Any]) -> list[type]:
    """Classes that the namespace names, and those of the modules that it names."""
    found = []
    for value in list(namespace.values()):
        if issubclass(type(value), type):
            found.append(value)
        elif type(value) is types.ModuleType:
            found += [each for each in list(vars(value).values()) if issubclass(type(each), type)]
    return found
