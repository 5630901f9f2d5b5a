"""Objects of libraries that are the user's to change: options, states, and registers that his code adds to."""

from __future__ import annotations

import gc
import sys
import warnings
from typing import Any


def roots() -> dict[str, Any]:
    """Objects of libraries that are the user's to change, by what they are called where something goes wrong."""
    found: dict[str, Any] = {
        "sys.path": sys.path,
        "sys.argv": sys.argv,
        "sys.meta_path": sys.meta_path,
        "warnings.filters": warnings.filters,
    }
    for label, module, names in _ROOTS:
        value: Any = sys.modules.get(module)
        for name in names:
            value = getattr(value, name, None)
        if value is not None:
            found[label] = value
    if "decimal" in sys.modules:
        found["the present decimal context"] = sys.modules["decimal"].getcontext()
    return found


def containers(shell: Any) -> list[Any]:
    """Registers of libraries that the user's code adds to: what is in them is put back, and not what that leads to."""
    found = [sys.path_importer_cache, gc.callbacks, *_of_shell(shell)]
    for module, names in _REGISTERS:
        value: Any = sys.modules.get(module)
        for name in names:
            value = getattr(value, name, None)
        if value is not None:
            found.append(value)
    return found


def _of_shell(shell: Any) -> list[Any]:
    found: list[Any] = [getattr(shell, name, None) for name in _SHELL]
    found += _values(getattr(getattr(shell, "events", None), "callbacks", None))
    found += _values(getattr(getattr(shell, "magics_manager", None), "magics", None))
    for formatter in _values(getattr(getattr(shell, "display_formatter", None), "formatters", None)):
        found += [getattr(formatter, f"{name}_printers", None) for name in ("type", "singleton", "deferred")]
    return found


_SHELL = ("ast_transformers", "input_transformers_cleanup", "input_transformers_post", "dir_stack", "_post_execute")


def _values(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else []


_REGISTERS = (
    ("logging", ("root", "manager", "loggerDict")),
    ("logging", ("_levelToName",)),
    ("logging", ("_nameToLevel",)),
    ("locale", ("_override_localeconv",)),
    ("copyreg", ("dispatch_table",)),
    ("sqlite3", ("converters",)),
    ("weakref", ("finalize", "_registry")),
    ("bdb", ("Breakpoint", "bplist")),
    ("bdb", ("Breakpoint", "bpbynumber")),
    ("unittest.mock", ("_patch", "_active_patches")),
    ("ipywidgets.widgets.widget", ("_instances",)),
    ("matplotlib", ("colormaps", "_cmaps")),
)


#: Looked up only in modules that are imported.
_ROOTS = (
    ("the state of random", "random", ("_inst",)),
    ("the state of numpy.random", "numpy.random.mtrand", ("_rand",)),
    ("the state of torch", "torch", ("default_generator",)),
    ("matplotlib.rcParams", "matplotlib", ("rcParams",)),
    ("open figures", "matplotlib._pylab_helpers", ("Gcf", "figs")),
    ("options of pandas", "pandas._config.config", ("_global_config",)),
    ("matplotlib.units", "matplotlib.units", ("registry",)),
    ("the decimal context", "decimal", ("DefaultContext",)),
    ("sys.path_hooks", "sys", ("path_hooks",)),
)
