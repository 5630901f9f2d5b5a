"""What a kernel says about its debugger before there is one."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Any

from ipykernel import compiler


def available() -> bool:
    """Whether debugpy can be imported. It is looked for, not imported: that would cost 100 ms and start threads."""
    if "debugpy" in sys.modules:
        return sys.modules["debugpy"] is not None
    try:
        return find_spec("debugpy") is not None
    except (ImportError, ValueError):
        return False


def info() -> dict[str, Any]:
    """Body of the response to `debugInfo` as long as nobody debugs; the same as ipykernel's."""
    return {
        "isStarted": False,
        "hashMethod": "Murmur2",
        "hashSeed": compiler.get_tmp_hash_seed(),
        "tmpFilePrefix": compiler.get_tmp_directory() + os.sep,
        "tmpFileSuffix": ".py",
        "breakpoints": [],
        "stoppedThreads": [],
        "richRendering": True,
        "exceptionPaths": ["Python Exceptions"],
        "copyToGlobals": True,
    }
