"""Sizes, counts and losses in words, as they are told to people."""

from __future__ import annotations

import unicodedata
from typing import Any

#: Names of lost variables that a line shows.
LOST_SHOWN_MAX = 5
TEXT_CHARACTERS_MAX = 60


def size(count: float) -> str:
    """So many bytes: "512 bytes", "1.2 MB"."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def variables(count: int) -> str:
    """So many variables."""
    return f"{count} variable" if count == 1 else f"{count} variables"


def losses(lost: list[dict[str, Any]], count: int | None = None) -> str:
    """What was lost and why, to be put behind a sentence; `count` of them, of which `lost` may be the first ones."""
    if not lost:
        return ""
    shown = [f"{each['name']} ({each['type']}: {each['reason']})" for each in lost[:LOST_SHOWN_MAX]]
    left = max(count or 0, len(lost)) - len(shown)
    return "; lost: " + ", ".join([*shown, *([f"{left} more"] if left > 0 else [])])


def one_line(text: str | None, characters: int = TEXT_CHARACTERS_MAX) -> str:
    """`text` without line breaks and what a terminal would obey, cut to so many characters."""
    flat = " ".join("".join(each if each.isprintable() else " " for each in text or "").split())
    return flat if len(flat) <= characters else flat[: characters - 1] + "…"


def columns(text: str) -> int:
    """How many columns of a terminal the text takes."""
    wide = sum(unicodedata.east_asian_width(each) in "WF" for each in text)
    return len(text) + wide - sum(unicodedata.combining(each) != 0 for each in text)
