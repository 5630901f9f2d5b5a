"""Turning the user's variables into bytes, and back in another process.

    namespace   which names are the user's
    saving      all variables -> groups of variables that share objects, as streams and buffers
    pickler     one C pickler per group; decides for each object how it is kept, and how faithfully
    handlers    what plain pickle cannot do or does wrong, by type: a registry, filled by its neighbours
    rebuild     what the bytes call when they are loaded; its names are part of the file format
    loading     stored groups -> variables; what cannot be made is named, the rest is there
    groups      a group -> chunks and its line in the list of variables, and back
    frames      a stream without what pickle puts into it by position, joints without what it puts there by count
    streams     a stream -> chunks; chunks says where it is cut, held where it waits until it is final
    packs       files of chunks, tree references to them, index the list of variables, manifest its root
    process     what belongs to the process: folder, environment, search path; settings those of libraries,
                attributes what the user gave to modules
    container   files of the first format

Nothing is ever dropped without a word: an object that cannot be kept as it is takes its whole variable with it, and the
variable is named as lost, with the reason.
"""

from __future__ import annotations
