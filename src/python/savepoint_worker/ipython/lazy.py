"""Packages whose own `__init__` is not run before somebody needs it.

`import jupyter_client.session` runs all of `jupyter_client/__init__.py`, which brings in clients, managers and
provisioners that no kernel uses: a sixth of a kernel's start. A deferred package has its path, so that its modules can
be imported one by one, and becomes the real one when a name is asked of it that it does not have.
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import Any


class DeferredPackage(ModuleType):
    """A package that runs its `__init__` at the first look for one of its names."""

    #: Names that are had from a module of the package without running the rest of it.
    _savepoint_shortcuts: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        module = self._savepoint_shortcuts.get(name)
        if module is not None:
            return getattr(importlib.import_module(module), name)
        _become_real(self)
        return getattr(self, name)


def defer(name: str, shortcuts: dict[str, str]) -> None:
    """Defer the package `name`, unless it is imported already or is not there. `shortcuts`: name to module."""
    if name in sys.modules:
        return
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return
    package = module_from_spec(spec)
    package.__class__ = DeferredPackage
    package.__dict__["_savepoint_shortcuts"] = shortcuts
    sys.modules[name] = package


def _become_real(package: ModuleType) -> None:
    package.__class__ = ModuleType
    del package.__dict__["_savepoint_shortcuts"]
    spec = package.__spec__
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(package)
