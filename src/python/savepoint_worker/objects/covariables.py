"""Co-variables: variables that share objects which can change, or parts of one buffer.

What one of them does to such an object the others see, so they are put back together or not at all. Objects that never
change link nothing, however many share them: strings, dtypes, functions and classes.
"""

from __future__ import annotations


class Groups:
    """Variables by their numbers, joined as it is found out what they share."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._parents: list[int] = []
        #: First byte, the one behind the last, and the variable.
        self._ranges: list[tuple[int, int, int]] = []

    def add(self, label: str) -> int:
        """A variable; its number."""
        self._labels.append(label)
        self._parents.append(len(self._parents))
        return self._parents[-1]

    def link(self, one: int, other: int) -> None:
        """Two variables share something."""
        self._parents[self._first_of(other)] = self._first_of(one)

    def range(self, first: int, end: int) -> None:
        """The latest variable leads to a buffer in these addresses."""
        if end > first:
            self._ranges.append((first, end, len(self._parents) - 1))

    def names(self) -> list[list[str]]:
        """The groups, each with its names, in the order in which they were added."""
        self._link_ranges()
        found: dict[int, list[str]] = {}
        for number, label in enumerate(self._labels):
            found.setdefault(self._first_of(number), []).append(label)
        return list(found.values())

    def _link_ranges(self) -> None:
        reaches, last = -1, -1
        for first, end, owner in sorted(self._ranges):
            if first < reaches:
                self.link(last, owner)
            if end > reaches:
                reaches, last = end, owner
        self._ranges.clear()

    def _first_of(self, number: int) -> int:
        parents = self._parents
        while parents[number] != number:
            parents[number] = number = parents[parents[number]]
        return number
