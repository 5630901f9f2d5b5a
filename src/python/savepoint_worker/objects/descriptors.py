"""Open descriptors: one that was closed stays closed, and says so; and so does one that was read on with.

What file objects know of themselves is put back with them (`files`).
"""

from __future__ import annotations

import os

_FOLDER = "/proc/self/fd"


class Descriptors:
    """What is open now, and where regular files stand."""

    def __init__(self) -> None:
        self._open = _open()
        # What is printed is printed.
        files = [number for number, target in self._open.items() if target[:1] == "/" and number > 2]
        self._positions = {number: _position(number) for number in files}

    def put_back(self, moved: set[int]) -> list[str]:
        """What is not as it was, in words. `moved`: descriptors whose positions somebody else has put back."""
        present = _open()
        closed = [
            f"descriptor {number} ({_words(target)}), which was closed"
            for number, target in self._open.items()
            if present.get(number) != target
        ]
        return closed + [
            f"the position of descriptor {number} ({self._open[number]})"
            for number, position in self._positions.items()
            if number not in moved and present.get(number) == self._open[number] and _position(number) != position
        ]


def _open() -> dict[int, str]:
    found = {}
    try:
        for name in os.listdir(_FOLDER):
            try:
                found[int(name)] = os.readlink(f"{_FOLDER}/{name}")
            except OSError:
                # That of the folder itself, or closed meanwhile.
                continue
    except OSError:
        return {}
    return {number: target for number, target in found.items() if not target.startswith("/proc/")}


def _position(number: int) -> int | None:
    try:
        return os.lseek(number, 0, os.SEEK_CUR)
    except OSError:
        return None


def _words(target: str) -> str:
    # `socket:[4711]` and `anon_inode:[eventfd]` without the number, which means nothing to anybody.
    kind, _, rest = target.partition(":")
    return rest.strip("[]") if kind == "anon_inode" else kind
