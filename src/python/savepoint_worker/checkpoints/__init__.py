"""Writing the user's variables to a checkpoint, and merging them back into a namespace.

    writing     the variables and the state of the process -> a manifest and a pack of chunks
    describing  what the manifest says of them
    stored      a stored checkpoint, as a restore sees it
    version1    the same for the files of the first format, which are written no more
    restoring   a stored checkpoint -> the namespace

Writing happens in a process that does nothing else (see `writer`); restoring in the worker, from files that the gateway
has verified: loading a file can run any code, so nobody else's file ever gets here.
"""

from __future__ import annotations

from .describing import Extras
from .restoring import RestoreReport, restore, restore_stored
from .stored import Version2
from .version1 import Version1
from .writing import Target, read_back, what_is_saved, write

__all__ = [
    "Extras",
    "RestoreReport",
    "Target",
    "Version1",
    "Version2",
    "read_back",
    "restore",
    "restore_stored",
    "what_is_saved",
    "write",
]
