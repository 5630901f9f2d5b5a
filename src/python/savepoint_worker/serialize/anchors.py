"""Objects that belong to the process and not to a checkpoint: a variable that refers to one refers to its successor.

An anchored dict or list, such as the user's namespace (which every function of the user's refers to), is put into the
pickler's memo before anything else: pickling it is then one reference, wherever it turns up, at no cost for all others.
Other anchored objects are recognised by the pickler.
"""

from __future__ import annotations

import asyncio
import builtins
import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

#: How to find each anchored object; `namespace` is the user's. The names are part of the file format.
_CONTAINERS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "namespace": lambda namespace: namespace,
    "inputs": lambda namespace: namespace.get("_ih"),
    "outputs": lambda namespace: namespace.get("_oh"),
    "folders": lambda namespace: namespace.get("_dh"),
    "modules": lambda namespace: sys.modules,
    "path": lambda namespace: sys.path,
    "builtins": lambda namespace: vars(builtins),
}
_OBJECTS: dict[str, Callable[[], Any]] = {
    "main": lambda: sys.modules.get("__main__"),
    "shell": lambda: _shell(),
    "kernel": lambda: getattr(_shell(), "kernel", None),
    "environ": lambda: os.environ,
    "stdin": lambda: sys.stdin,
    "stdout": lambda: sys.stdout,
    "stderr": lambda: sys.stderr,
    "__stdin__": lambda: sys.__stdin__,
    "__stdout__": lambda: sys.__stdout__,
    "__stderr__": lambda: sys.__stderr__,
    "random": lambda: getattr(sys.modules.get("random"), "_inst", None),
    "numpy.random": lambda: getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None),
    "loop": lambda: _loop(),
    "matplotlib.rcParams": lambda: _of_module("matplotlib", "rcParams"),
}
CONTAINER_NAMES = tuple(_CONTAINERS)


def containers(namespace: dict[str, Any], names: tuple[str, ...] | list[str] = CONTAINER_NAMES) -> list[Any]:
    """The anchored containers of those names, in that order; None for one that is not here."""
    return [_CONTAINERS[name](namespace) if name in _CONTAINERS else None for name in names]


def objects() -> dict[int, str]:
    """The other anchored objects of this process: id to name."""
    found = ((find(), name) for name, find in reversed(_OBJECTS.items()))
    # Reversed, so that of two names for one object (stdout, __stdout__) the first is kept.
    return {id(value): name for value, name in found if value is not None}


def kinds() -> set[type]:
    """Types of the objects that `objects` names."""
    return {type(find()) for find in _OBJECTS.values()} - {type(None)}


def find(name: str) -> Any:
    """The anchored object of that name in this process, or None."""
    if "." in name and name in _OBJECTS:
        # Its module need not have been used here yet.
        importlib.import_module(name.rpartition(".")[0])
    return _OBJECTS[name]() if name in _OBJECTS else None


def _of_module(module: str, name: str) -> Any:
    return getattr(sys.modules.get(module), name, None)


def _shell() -> Any:
    module = sys.modules.get("IPython.core.getipython")
    return module.get_ipython() if module is not None else None


def _loop() -> Any:
    running = asyncio._get_running_loop()
    # The policy's attribute is read directly: asking for the loop would make one where there is none.
    policy = getattr(asyncio.events, "_event_loop_policy", None)
    return running or getattr(getattr(policy, "_local", None), "_loop", None)
