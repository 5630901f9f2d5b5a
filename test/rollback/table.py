#!/usr/bin/env python3
"""The table of docs/transactions.md, made from the rows; `table.py --write` writes it."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE)]

from row import Group  # noqa: E402
from rows import groups  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs" / "transactions.md"
BEGIN, END = "<!-- made from test/rollback/rows by test/rollback/table.py -->", "<!-- end of what was made -->"
COLUMNS = 120
ESCAPES = "Escapes: "


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
    wide = max(len(name) for name in ["", *names])
    lines = [f"| {'':{wide}} | rows | come back | named |", f"| {'-' * wide} | ---- | --------- | ----- |"]
    for name, group in zip(names, some):
        named = sum(bool(row.limit) for row in group.rows)
        lines.append(f"| {name:{wide}} | {len(group.rows):<4} | {len(group.rows) - named:<9} | {named or '':<5} |")
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
