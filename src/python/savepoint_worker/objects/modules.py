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
_NOT = frozenset(["sys", "builtins", "__main__", "__mp_main__", "savepoint", "savepoint_worker", "ipykernel", "IPython"])
_CONSTANTS = frozenset([int, float, complex, str, bytes, bool, tuple, frozenset])
#: Classes, beside those of the user's, whose attributes are watched as well.
_CLASSES_MAX = 5000


class Modules:
    """What libraries' modules, and the classes that the user's variables lead to, have as attributes now."""

    def __init__(self, namespace: dict[str, Any], classes: list[type], users: frozenset[str]) -> None:
        self._users = users
        self._mine = users_modules()
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
                self._put_back(present, before, _setter(each), _deleter(each))
        present_modules = users_modules()
        for name in present_modules.keys() - self._mine.keys():
            hold(sys.modules.pop(name, None))
        for name, module in self._mine.items():
            if sys.modules.get(name) is not module:
                sys.modules[name] = module

    def _put_back(self, present: Any, before: dict[str, Any], put: Any, remove: Any) -> None:
        for name, value in list(present.items()):
            old = before.get(name, MISSING)
            if value is old or not (self._is_users(value) or _is_constant(name, old)):
                continue
            hold(value)
            if old is MISSING:
                remove(name)
            else:
                put(name, old)
        for name in before.keys() - present.keys():
            put(name, before[name])

    def _is_users(self, value: Any) -> bool:
        """Was it made by the user's code?"""
        if issubclass(type(value), (types.FunctionType, type)):
            return not is_libraries(value, self._users) and self._is_users_module(value.__module__)
        kind = type(value)
        return self._is_users_module(kind.__module__)

    def _is_users_module(self, name: object) -> bool:
        return name == "__main__" or name in self._users


def _is_constant(name: str, old: Any) -> bool:
    return not name.startswith("_") and type(old) in _CONSTANTS


def _differ(present: Any, before: dict[str, Any]) -> bool:
    return any(before.get(name, MISSING) is not value for name, value in list(present.items()))


def _setter(each: type) -> Any:
    return lambda name, value: type.__setattr__(each, name, value)


def _deleter(each: type) -> Any:
    return lambda name: type.__delattr__(each, name)


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
