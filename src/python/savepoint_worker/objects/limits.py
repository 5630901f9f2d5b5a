"""What cannot be put back, in words, with the variable that leads to it."""

from __future__ import annotations

from bisect import bisect_right

#: What is beyond is counted.
WORDS_MAX = 100


class Limits:
    """Words about the objects of a walk. Which variable a record belongs to follows from its place."""

    def __init__(self) -> None:
        self._labels: list[str] = []
        self._firsts: list[int] = []
        #: False: whatever becomes of it, nobody will know.
        self._words: dict[str, bool] = {}

    def begins(self, label: str, record: int) -> None:
        """From the record of that number on, all belong to the variable of that name."""
        self._labels.append(label)
        self._firsts.append(record)

    def add(self, words: str, looked_at: bool) -> None:
        """Something that the present variable leads to."""
        self._words[f"{words} in {self._labels[-1]}"] = looked_at

    def label_of(self, record: int) -> str:
        """The variable that first led to the object of a record."""
        return self._labels[bisect_right(self._firsts, record) - 1]

    def words(self) -> list[str]:
        """All, each once, in the order in which they were found."""
        return shortened(list(self._words))

    def unseen(self) -> list[str]:
        """Those of which nobody will know whether they changed."""
        return [words for words, looked_at in self._words.items() if not looked_at]


def shortened(words: list[str]) -> list[str]:
    """The first of them, and how many more there are."""
    if len(words) <= WORDS_MAX:
        return words
    return [*words[:WORDS_MAX], f"{len(words) - WORDS_MAX} more"]
