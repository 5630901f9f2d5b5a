#!/usr/bin/env python3
"""The table of docs/transactions.md, made from the rows; `table.py --write` writes it.

Each row comes back under the engine `fork`, or its test fails. Where it may also be named instead, `outcomes/` has a file
of the rows that are: `objects`, `transplant`. The tests compare them with what they see.
"""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from row import Group, Row  # noqa: E402
from rows import groups  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs" / "transactions.md"
BEGIN, END = "<!-- made from test/rollback/rows by test/rollback/table.py -->", "<!-- end of what was made -->"
COLUMNS = 120
ESCAPES = "Escapes: "
OUTCOMES = HERE / "outcomes"


def named_by(way: str) -> list[str] | None:
    """Full names of the rows that do not come back that way, and are named instead; None if nobody has noted them."""
    file = OUTCOMES / f"{way}.txt"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else None


def write_named(way: str, names: list[str]) -> None:
    """Note them."""
    OUTCOMES.mkdir(exist_ok=True)
    (OUTCOMES / f"{way}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")


def full_name(group: Group, row: Row) -> str:
    """What tells a row from all others."""
    return f"{group.name} / {row.name}"


def is_stale(all_groups: list[Group]) -> bool:
    """Whether the document shows something else than these rows."""
    text = DOCUMENT.read_text(encoding="utf-8")
    return _replaced(text, rendered(all_groups)) != text


def rendered(all_groups: list[Group]) -> str:
    """The table and the names of all rows, as Markdown."""
    kinds = [group for group in all_groups if not group.name.startswith(ESCAPES)]
    escapes = [group for group in all_groups if group.name.startswith(ESCAPES)]
    total = sum(len(group.rows) for group in kinds)
    said = [
        f"{total} kinds of objects, each changed in place by a cell that fails:",
        *_table(kinds),
        f"And {sum(len(group.rows) for group in escapes)} ways for a change to get past a copy of the variables:",
        *_table(escapes),
    ]
    return "\n\n".join(said)


def _table(some: list[Group]) -> list[str]:
    names = [group.name.removeprefix(ESCAPES) for group in some]
    noted = {way: named_by(way) for way in ("objects", "transplant")}
    named = {way: frozenset(names) for way, names in noted.items() if names is not None}
    cells = [["", "rows", "come back", *(f"`{way}`" for way in named)]]
    for name, group in zip(names, some):
        rows = [full_name(group, row) for row in group.rows]
        ways = [sum(row not in names for row in rows) for names in named.values()]
        cells.append([name, *map(str, (len(rows), sum(not row.limit for row in group.rows), *ways))])
    sums = [str(sum(int(line[at]) for line in cells[1:])) for at in range(1, len(cells[0]))]
    cells.append(["together", *sums])
    widths = [max(3, *(len(line[at]) for line in cells)) for at in range(len(cells[0]))]
    lines = ["| " + " | ".join(f"{cell:{wide}}" for cell, wide in zip(line, widths)) + " |" for line in cells]
    lines.insert(1, "| " + " | ".join("-" * wide for wide in widths) + " |")
    return ["\n".join(lines), *(_paragraph(name, group) for name, group in zip(names, some))]


def _paragraph(name: str, group: Group) -> str:
    listed = "; ".join(f"_{_escaped(row.name)}_" if row.limit else _escaped(row.name) for row in group.rows)
    return textwrap.fill(f"**{name}:** {listed}.", COLUMNS, break_long_words=False, break_on_hyphens=False)


def _escaped(text: str) -> str:
    """As Markdown shows it literally: underscores would make it slanted."""
    parts = text.split("`")
    return "`".join(part.replace("_", r"\_") if at % 2 == 0 else part for at, part in enumerate(parts))


def _replaced(text: str, made: str) -> str:
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{DOCUMENT.name} lacks the lines between which the table goes.")
    return f"{before}{BEGIN}\n\n{made}\n\n{END}{after}"


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(_replaced(DOCUMENT.read_text(encoding="utf-8"), rendered(groups())), encoding="utf-8")
    elif is_stale(groups()):
        sys.exit("docs/transactions.md does not show the rows that are here: table.py --write")
