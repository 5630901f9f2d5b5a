"""Whose something is: the user's, who may change it in a cell, or a library's, which is left alone."""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import types
from typing import Any

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _library_folders() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    found = {paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    found |= {*site.getsitepackages(), site.getusersitepackages(), _OURS}
    # With and without symbolic links: a module's file is named as its folder is on the search path.
    found |= {os.path.realpath(path) for path in found}
    return tuple(os.path.join(path, "") for path in found)


_LIBRARIES = _library_folders()
_WITHOUT_FILE = frozenset(["built-in", "frozen"])


def is_users_module(module: Any) -> bool:
    """Is it a module of the user's: made by hand, or from a file that is in no folder for libraries?"""
    if not isinstance(module, types.ModuleType):
        return False
    attributes = vars(module)
    if attributes.get("__name__") == "__main__":
        return True
    name = attributes.get("__name__")
    top = name.partition(".")[0] if isinstance(name, str) else ""
    package = sys.modules.get(top)
    if package is not None and package is not module and top != name:
        # Libraries make some modules without files.
        return is_users_module(package)
    spec = attributes.get("__spec__")
    if getattr(spec, "origin", None) in _WITHOUT_FILE or attributes.get("__name__") in sys.builtin_module_names:
        return False
    file = attributes.get("__file__")
    if not isinstance(file, str):
        paths = attributes.get("__path__")
        # A package without a file of its own is where its folder is.
        file = next(iter(paths), None) if paths is not None and spec is not None else None
        if file is None:
            return spec is None
        file = os.path.join(str(file), "")
    return not os.path.abspath(file).startswith(_LIBRARIES)


def users_modules() -> dict[str, types.ModuleType]:
    """All that are imported, by name, `__main__` aside."""
    return {
        name: module
        for name, module in list(sys.modules.items())
        if name not in ("__main__", "__mp_main__") and is_users_module(module)
    }


def is_libraries(thing: Any, users: frozenset[str]) -> bool:
    """Is a function or class one that its library has by its name? `users`: names of the user's modules."""
    module, name = getattr(thing, "__module__", None), getattr(thing, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(name, str) or module == "__main__" or module in users:
        return False
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        if found is None or part == "<locals>":
            return False
        found = found.__dict__.get(part) if isinstance(found, (types.ModuleType, type)) else None
    if isinstance(found, (staticmethod, classmethod)):
        found = found.__func__
    return found is thing
