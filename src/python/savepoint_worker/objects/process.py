"""State of the process that code depends on: environment, folder, search path, random states, options."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

from .kinds import MISSING, hold


def roots() -> dict[str, Any]:
    """Objects of libraries that are the user's to change, by what they are called where something goes wrong."""
    found: dict[str, Any] = {
        "sys.path": sys.path,
        "sys.argv": sys.argv,
        "sys.meta_path": tuple(sys.meta_path),
        "warnings.filters": warnings.filters,
    }
    for label, module, names in _ROOTS:
        value: Any = sys.modules.get(module)
        for name in names:
            value = getattr(value, name, None)
        if value is not None:
            found[label] = value
    if "decimal" in sys.modules:
        import decimal

        found["the decimal context"] = decimal.getcontext()
    return found


#: Looked up only in modules that are imported.
_ROOTS = (
    ("the state of random", "random", ("_inst",)),
    ("the state of numpy.random", "numpy.random.mtrand", ("_rand",)),
    ("matplotlib.rcParams", "matplotlib", ("rcParams",)),
    ("open figures", "matplotlib._pylab_helpers", ("Gcf", "figs")),
    ("options of pandas", "pandas._config.config", ("_global_config",)),
    ("sys.path_hooks", "sys", ("path_hooks",)),
)


class Process:
    """What is in force now."""

    def __init__(self, streams: tuple[Any, Any] | None = None) -> None:
        self._saved: list[tuple[str, Callable[[Any], None], Any, Callable[[], Any]]] = []
        for words, get, put in _PARTS:
            value = _or_missing(get)
            if value is not MISSING:
                self._saved.append((words, put, value, get))
        #: The kernel's own streams, where they are in use: a stream of the user's that he put there since is removed.
        self._streams = [
            (name, stream)
            for name, stream in zip(("stdout", "stderr"), streams or ())
            if getattr(sys, name, None) is stream
        ]

    def put_back(self) -> list[str]:
        """Put all of it into force again; what did not work, in words."""
        failed = []
        for words, put, value, get in self._saved:
            try:
                if _or_missing(get) != value:
                    put(value)
            except Exception as error:
                failed.append(f"{words} ({type(error).__name__}: {error})")
        for name, stream in self._streams:
            if getattr(sys, name, None) is not stream:
                hold(getattr(sys, name, None))
                setattr(sys, name, stream)
        mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
        if mutated is warnings.__dict__.get("_filters_mutated"):
            # What the interpreter found in the filters before is no longer right.
            mutated()
        return failed


def _or_missing(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception:
        return MISSING


def _set_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value


def _module(name: str) -> Any:
    # The caller is not to import what the user did not.
    return sys.modules[name]


def _print_options() -> Any:
    options = _module("numpy").get_printoptions()
    options.pop("override_repr", None)
    return options


def _loggers() -> Any:
    logging = _module("logging")
    every = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [each for each in every if isinstance(each, logging.Logger)]
    return [
        (each, each.level, each.handlers[:], each.filters[:], each.propagate, each.disabled) for each in loggers
    ]


def _set_loggers(before: Any) -> None:
    for logger, level, handlers, filters, propagate, disabled in before:
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.propagate, logger.disabled = propagate, disabled


_PARTS: tuple[tuple[str, Callable[[], Any], Callable[[Any], None]], ...] = (
    ("the environment", lambda: dict(os.environ), _set_environment),
    ("the working folder", os.getcwd, os.chdir),
    ("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the locale", lambda: _module("locale").setlocale(0, None), lambda value: _module("locale").setlocale(0, value)),
    ("what numpy does with errors", lambda: _module("numpy").geterr(), lambda value: _module("numpy").seterr(**value)),
    ("print options of numpy", _print_options, lambda value: _module("numpy").set_printoptions(**value)),
    ("loggers", _loggers, _set_loggers),
)
