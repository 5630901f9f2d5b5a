"""Which module lies in which file, for `inspect`: what the first traceback would find out, in a fraction of the time.

A traceback shows source lines, for which `inspect.getmodule` follows the path of every module that was imported since
the last one: a thousand system calls after an import of some size. Each gives up the interpreter, and behind a loop that
keeps it, waits to get it back. Nearly all modules lie in few folders, and only these have to be followed.

What is left out here, `inspect` finds out by itself.
"""

from __future__ import annotations

import inspect
import os
import sys
from types import ModuleType

#: Their path is the source's, or what stands for it.
SUFFIXES = (".py", ".so")

_folders: dict[str, str] = {}


def note_module_files() -> None:
    """Tell `inspect` of all modules that it does not know yet. Raises nothing."""
    try:
        _note()
    except Exception:
        # Anything may stand among the modules; `inspect` will come upon it, too.
        pass


def _note() -> None:
    files, modules = getattr(inspect, "_filesbymodname", None), getattr(inspect, "modulesbyfile", None)
    if type(files) is not dict or type(modules) is not dict:
        return
    for name, module in sys.modules.copy().items():
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
