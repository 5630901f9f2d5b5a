"""Which module lies in which file, for `inspect`: what the first traceback would find out, in a fraction of the time.

A traceback shows source lines, for which `inspect.getmodule` follows the path of every module that was imported since
the last one: a thousand system calls after an import of some size. Each gives up the interpreter, and behind a loop that
keeps it, waits to get it back. Nearly all modules lie in few folders, and only these have to be followed.

For a file that it does not know it looks at every module there is, each time. Cells are such files; and to look at an
object is to write to its page, which costs 4 MB in a process that shares its memory with others. So it is told that
cells are of no module, which is what it would find out.

What is left out here, `inspect` finds out by itself.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable
from itertools import islice
from types import ModuleType
from typing import Any

#: Their path is the source's, or what stands for it.
SUFFIXES = (".py", ".so")

_folders: dict[str, str] = {}
#: How many modules there were the last time; those that came since are at the end.
_noted = 0


def note_module_files() -> None:
    """Tell `inspect` of all modules that have come since the last time. Raises nothing."""
    global _noted
    count = len(sys.modules)
    if count == _noted:
        return
    try:
        _note(list(islice(reversed(sys.modules.items()), max(0, count - _noted))))
        _noted = count
    except Exception:
        # Anything may stand among the modules; `inspect` will come upon it, too.
        pass


def note_cells(names: Any) -> None:
    """Tell `inspect` that files with these `names`, of a dictionary to which they are added, are of no module."""
    modules = getattr(inspect, "modulesbyfile", None)
    if type(modules) is not dict or type(names) is not dict:
        return
    try:
        for name in reversed(names):
            if type(name) is not str or not os.path.isabs(name):
                continue
            file = os.path.normcase(os.path.normpath(name))
            if file in modules:
                # So are all that came before it.
                return
            modules[file] = ""
    except RuntimeError:
        # Another thread has begun a cell.
        pass


def _note(found: Iterable[tuple[Any, Any]]) -> None:
    files, modules = getattr(inspect, "_filesbymodname", None), getattr(inspect, "modulesbyfile", None)
    if type(files) is not dict or type(modules) is not dict:
        return
    for name, module in found:
        if not isinstance(module, ModuleType):
            continue
        # Not as an attribute: modules that load themselves when they are looked at must not do so now.
        facts = object.__getattribute__(module, "__dict__")
        file, own_name = facts.get("__file__"), facts.get("__name__")
        if type(file) is not str or type(own_name) is not str or files.get(name) == file:
            continue
        if os.path.isabs(file) and file.endswith(SUFFIXES):
            file_in_full = os.path.normpath(file)
            folder, last = os.path.split(file_in_full)
            real = _folders.get(folder)
            if real is None:
                real = _folders[folder] = os.path.realpath(folder)
            files[name] = file
            modules[file_in_full] = modules[os.path.join(real, last)] = own_name
