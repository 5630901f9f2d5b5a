"""Checkpoints and differences as text, for terminals."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

from .lanes import Row, lay_out
from .records import Checkpoint, Difference, Timeline
from .wording import columns, one_line, size, variables

HERE = "← you are here"
NAMES_SHOWN_MAX = 20
CODE_CHARACTERS_MAX = 2_000


def timeline_text(timeline: Timeline) -> str:
    """The tree of checkpoints, newest on top."""
    if not timeline:
        return "There are no checkpoints."
    rows = lay_out(timeline)
    many = len({each.kernel_id for each in timeline}) > 1
    cells = [_cells(row.checkpoint, timeline, many) for row in rows]
    widths = [max(columns(line[place]) for line in cells) for place in range(len(cells[0]))]
    graph = max(2 * (max((row.lane, *row.passing, *row.joins)) + 1) for row in rows)
    lines = []
    for row, texts in zip(rows, cells):
        if row.joins:
            lines.append(_joint(row))
        padded = [text + " " * (width - columns(text)) for text, width in zip(texts, widths) if width]
        lines.append(f"{_marks(row):{graph}}  {'  '.join(padded)}".rstrip())
    left = timeline.total_count - len(timeline)
    return "\n".join([*lines, *([f"and {left} older"] if left > 0 else [])])


def _marks(row: Row) -> str:
    marks = {lane: "│" for lane in row.passing} | {row.lane: "●"}
    return " ".join(marks.get(lane, " ") for lane in range(max(marks) + 1))


def _joint(row: Row) -> str:
    last = row.joins[-1]
    text = ""
    for lane in range(max((last, *row.passing)) + 1):
        inside = row.lane <= lane < last
        if lane == row.lane:
            text += "├"
        elif lane in row.joins:
            text += "╯" if lane == last else "┴"
        elif lane in row.passing:
            text += "┼" if inside else "│"
        else:
            text += "─" if inside else " "
        text += "─" if inside else " "
    return text.rstrip()


def _cells(each: Checkpoint, timeline: Timeline, many: bool) -> list[str]:
    fresh = f" ({size(each.written_bytes)} new)" if each.written_bytes is not None else ""
    return [
        title(each),
        each.branch or "",
        HERE if each.checkpoint_id == timeline.head else "",
        timeline.changes.get(each.checkpoint_id, ""),
        variables(each.namespace_size or 0) + lost_count(each),
        size(each.checkpoint_size or 0) + fresh,
        f"cell {each.execution_count}" if each.execution_count is not None else "",
        moment(each.created_at),
        f"kernel {(each.kernel_id or '')[:8]}" if many else "",
        each.checkpoint_id,
    ]


def title(each: Checkpoint) -> str:
    """Name and note."""
    note = one_line(each.note)
    name = one_line(each.name, 200)
    return f"{name}: {note}" if name and note else name or note or "(no name)"


def lost_count(each: Checkpoint) -> str:
    """How many of its variables are lost."""
    count = each.verdicts.get("lost", len(each.lost))
    return f", {count} lost" if count else ""


def moment(text: str | None) -> str:
    """A time of ours as the clock on the wall here shows it; with its date unless that is today's."""
    if not text:
        return ""
    try:
        time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone()
    except ValueError:
        return text
    today = time.date() == datetime.datetime.now().astimezone().date()
    return f"{time:%H:%M:%S}" if today else f"{time:%Y-%m-%d %H:%M}"


def difference_text(difference: Difference) -> str:
    """What was added, removed and changed, and the cells that did it."""
    if not difference:
        return "Nothing differs."
    groups = (("+", difference.added), ("-", difference.removed), ("~", difference.changed))
    lines = [line for mark, items in groups for line in _variable_lines(mark, items)]
    code = "\n\n".join(difference.code)
    if code:
        shown = code if len(code) <= CODE_CHARACTERS_MAX else "…\n" + code[-CODE_CHARACTERS_MAX:]
        lines += ["", "The cells between:", *(f"    {line}".rstrip() for line in shown.splitlines())]
    return "\n".join(lines)


def _variable_lines(mark: str, items: Sequence[dict[str, Any]]) -> list[str]:
    width = max((columns(one_line(each["name"])) for each in items), default=0)
    lines = []
    for each in items:
        name = one_line(each["name"])
        parts = [name + " " * (width - columns(name)), str(each.get("type") or ""), size(each.get("bytes") or 0)]
        parts += [one_line(each["preview"])] if each.get("preview") else []
        lines.append(f"{mark} {'  '.join(parts)}".rstrip())
    return lines


def summary(difference: Difference) -> str:
    """The names alone, on one line: "+a ~df -tmp"."""
    groups = (("+", difference.added), ("~", difference.changed), ("-", difference.removed))
    names = [mark + one_line(each["name"], 20) for mark, items in groups for each in items]
    more = len(names) - NAMES_SHOWN_MAX
    return " ".join(names[:NAMES_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
