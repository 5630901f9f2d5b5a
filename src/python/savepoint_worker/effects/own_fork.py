"""Copies of the process that are ours: they are no process that the user has started."""

from __future__ import annotations


class _OwnFork:
    """A block in which this process is copied by us. It may be left in both processes."""

    under_way = False

    def __enter__(self) -> None:
        self.under_way = True

    def __exit__(self, *_: object) -> None:
        self.under_way = False


own_fork = _OwnFork()
