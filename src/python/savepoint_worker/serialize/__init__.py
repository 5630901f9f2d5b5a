"""Turning the user's variables into bytes, and back in another process.

    namespace   which names are the user's
    saving      all variables -> groups of variables that share objects -> sections of a file
    pickler     one C pickler per group; decides for each object how it is kept, and how faithfully
    handlers    what plain pickle cannot do or does wrong, by type: a registry, filled by its neighbours
    rebuild     what the bytes call when they are loaded; its names are part of the file format
    loading     sections -> variables; what cannot be made is named, the rest is there
    container   the file around the sections
    process     what belongs to the process: folder, environment, random states, options

Nothing is ever dropped without a word: an object that cannot be kept as it is takes its whole variable with it, and the
variable is named as lost, with the reason.
"""

from __future__ import annotations
