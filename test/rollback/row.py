"""What a row of the table says: one kind of object, or one way for a change to escape, as the cells that try it.

A row is three cells of one kernel:

1. `make` builds `x`, and what else the row needs. `alias` becomes what `part` says, and it is noted which objects these are.
2. `spoil` changes `x` in place, and whatever else it can reach, in a cell that then fails and has the policy
   `rollback_on_failure`. Before it fails it looks whether `same` still holds: a row that changes nothing proves nothing.
3. Afterwards `x` and `alias` have to be the same objects as before, the `part` of `x` has to be `alias`, `same` has to
   hold, and `works` to run: an expression that is true, or statements that do not raise.

A row with a `limit` is right, too, if that is what the reply names under `limits`.

`same` is looked at once in each of the last two cells, so it may use up what it looks at. Each row finds the imports of
its group, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    name: str
    """The kind of object as a reader would call it, or what escapes; unique within its group."""
    make: str
    spoil: str
    same: str
    part: str = ""
    works: str = ""
    brief: bool = False
    """Whether it is one of those that every run of the tests has."""
    limit: str = ""
    """A pattern. With it, the row is one that cannot come back by its nature, and `limits` has to say so."""
    otherwise: str = ""
    """A pattern, too: how `limits` names it where only variables are brought back. The variable's name does as well."""
    needs: tuple[int, int] = (3, 10)
    """The oldest Python that has it."""


@dataclass(frozen=True)
class Group:
    name: str
    """A heading of the table."""
    rows: tuple[Row, ...]
    imports: str = ""
    package: str = ""
    """The module that has to be installed, if it is not the standard library's."""
