"""What a checkpoint's bytes call to find matches again. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

from typing import Any

from .verdict import Unloadable

#: Matches of one text that are looked at for the one that is wanted.
TRIED_MAX = 100_000


def match(pattern: Any, text: Any, start: int, end: int, regs: Any, lastindex: int | None) -> Any:
    found = found_again(pattern, text, start, end, regs, lastindex)
    if found is None:
        raise Unloadable("its pattern does not find the same in this version of Python")
    return found


def found_again(pattern: Any, text: Any, start: int, end: int, regs: Any, lastindex: int | None) -> Any:
    """The match of `pattern` in `text[start:end]` whose groups lie at `regs`, or None."""
    for search in (pattern.match, pattern.fullmatch, pattern.search):
        found = search(text, start, end)
        if found is not None and found.regs == regs and found.lastindex == lastindex:
            return found
    for count, found in enumerate(pattern.finditer(text, start, end)):
        if found.regs == regs and found.lastindex == lastindex:
            return found
        if count > TRIED_MAX:
            break
    return None
