"""One kind of object, as the code that makes one and the code that looks at it in another process.

`make` builds `x`, and what else the sample needs. `check` is run after a restore in a fresh process and raises, or ends
with an expression that is false, if `x` is not what it was; it sees every variable that `make` has bound, so it can
compare what came back with what was noted before. `FOLDER` is a folder of the sample's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from row import Group as RollbackGroup
from row import Row


@dataclass(frozen=True)
class Sample:
    name: str
    """The kind of object as a reader would call it; unique within its group."""
    make: str
    check: str
    brief: bool = False
    """Whether it is one of those that every run of the tests has."""
    alias: bool = False
    """Whether `check` looks at identity: one object under two names, or two arrays over one memory."""
    needs: tuple[int, int] = (3, 10)
    """The oldest Python that has it."""
    package: str = ""
    """The module that has to be installed, if its group does not say so."""


@dataclass(frozen=True)
class Group:
    name: str
    samples: tuple[Sample, ...]
    imports: str = ""
    package: str = ""
    """The module that has to be installed, if it is not the standard library's."""


def shared(group: RollbackGroup, without: Iterable[str] = (), only: Iterable[str] = ()) -> Group:
    """The rows that a rollback has to bring back, as samples that a checkpoint has to keep."""
    left_out, chosen = set(without), set(only)
    rows = [row for row in group.rows if row.name not in left_out and (not chosen or row.name in chosen)]
    return Group(group.name, tuple(_of_row(row) for row in rows if not row.limit), group.imports, group.package)


def _of_row(row: Row) -> Sample:
    note = f"\nalias = ({row.part})" if row.part else ""
    # Identity before all else, since what is looked at later may be used up.
    same = f"assert equal.same(({row.part}), alias), 'another object'\n" if row.part else ""
    check = f"{same}assert ({row.same}), 'not equal'\n{row.works}"
    return Sample(row.name, row.make + note, check, row.brief, bool(row.part), row.needs)


def kind(name: str, make: str, look: str, **more: bool | str) -> Sample:
    """A sample that is right if what `look` sees of `x` is what it saw before."""
    return Sample(name, f"x = {make}\nbefore = {look}", f"equal({look}, before)", **more)  # type: ignore[arg-type]
