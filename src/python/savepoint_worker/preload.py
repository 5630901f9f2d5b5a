"""What a shared zygote imports for all of its workers, and what it says about where modules come from."""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any


def facts_about(preload: list[str], stack: str | None) -> dict[str, Any]:
    """Import the modules that `preload` names; what failed, and the folders that a change of calls for a new zygote."""
    failed: dict[str, str] = {}
    for name in preload:
        try:
            importlib.import_module(name)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Whatever a module does at its import, the zygote works without it.
            failed[name] = f"{type(error).__name__}: {error}"[:500]
    return {"preload_failed": failed, "import_folders": _import_folders(preload, stack)}


def _import_folders(preload: list[str], stack: str | None) -> list[str]:
    """Folders on the search path, and those of the packages that were imported for everybody."""
    folders = [path for path in (*sys.path, stack or "") if path and os.path.isabs(path)]
    for name in ("IPython", "ipykernel", *(each.partition(".")[0] for each in preload)):
        file = getattr(sys.modules.get(name), "__file__", None)
        if file and os.path.basename(file).startswith("__init__."):
            folders.append(os.path.dirname(file))
    return [folder for folder in dict.fromkeys(folders) if os.path.isdir(folder)]
