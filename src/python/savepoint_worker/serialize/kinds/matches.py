"""Matches of regular expressions: the search is made again, if that is sure to find the same."""

from __future__ import annotations

from typing import Any

from .. import rebuild_matches
from ..handlers import register
from ..verdict import Unsaveable


@register("re.Match", "regex.regex.Match", "_regex.Match")
def match(pickler: Any, value: Any) -> Any:
    """With its pattern, its text and its place in it."""
    arguments = (value.re, value.string, value.pos, value.endpos, value.regs, value.lastindex)
    if rebuild_matches.found_again(*arguments) is None:
        raise Unsaveable("a match refers to the search that found it; keep its groups, or search again", value)
    return rebuild_matches.match, arguments
