"""Checkpoints and differences as HTML, for notebooks.

Colours follow the notebook's theme; nothing is loaded and nothing is run, so that what is drawn stays as it is when the
notebook is opened again elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from .drawing import CODE_CHARACTERS_MAX, HERE, moment, title
from .lanes import Row, lay_out
from .records import Checkpoint, Difference, Timeline
from .wording import one_line, size, variables

_COLOURS = ("#1976d2", "#e65100", "#2e7d32", "#8e24aa", "#00838f", "#c62828", "#6d4c41", "#546e7a")
#: Of a row, of a lane, and of the bar that shows a size, in pixels.
_HEIGHT, _LANE, _BAR = 28, 16, 48
_MUTED = "color:var(--jp-ui-font-color2,#757575)"
_TEXT = "text-align:left;white-space:nowrap;padding:0 7px"
_ADDED, _REMOVED, _CHANGED = "#2e7d32", "#c62828", "#e65100"


def timeline_html(timeline: Timeline) -> str:
    """The tree of checkpoints as a table whose first column is the tree."""
    if not timeline:
        return "<p>There are no checkpoints.</p>"
    rows = lay_out(timeline)
    branches = list(dict.fromkeys(each.branch for each in reversed(timeline)))
    colours = {branch: _COLOURS[place % len(_COLOURS)] for place, branch in enumerate(branches)}
    width = _LANE * (1 + max(max((row.lane, *row.passing, *row.joins)) for row in rows))
    largest = max(each.checkpoint_size or 0 for each in timeline) or 1
    lane_colours: dict[int, str] = {}
    lines = []
    for row in rows:
        graph = _graph(row, width, colours, lane_colours, row.checkpoint.checkpoint_id == timeline.head)
        lines.append(_row(row.checkpoint, graph, timeline, colours[row.checkpoint.branch], largest))
    left = timeline.total_count - len(timeline)
    more = f'<p style="{_MUTED}">and {left} older</p>' if left > 0 else ""
    return f'<table style="border-collapse:collapse;border:0">{"".join(lines)}</table>{more}'


def _graph(row: Row, width: int, colours: dict[str | None, str], lanes: dict[int, str], is_head: bool) -> str:
    """A row's piece of the tree. `lanes` are the colours in which the lanes come from above."""

    def x(lane: int) -> float:
        return _LANE * (lane + 0.5)

    middle = _HEIGHT / 2
    own = colours[row.checkpoint.branch]
    here = x(row.lane)
    shapes = [_line(x(lane), 0, x(lane), _HEIGHT, lanes.get(lane, own)) for lane in row.passing]
    if row.has_child:
        shapes.append(_line(here, 0, here, middle, lanes.get(row.lane, own)))
    for lane in row.joins:
        path = f"M{x(lane)} 0 C{x(lane)} {middle} {here} 2 {here} {middle}"
        shapes.append(f'<path d="{path}" fill="none" stroke="{lanes.get(lane, own)}" stroke-width="2"/>')
    if row.has_parent or row.is_cut:
        shapes.append(_line(here, middle, here, _HEIGHT, own, "2 3" if row.is_cut else ""))
    fill = own if row.checkpoint.name is not None else "var(--jp-layout-color0,#fff)"
    shapes.append(f'<circle cx="{here}" cy="{middle}" r="5" fill="{fill}" stroke="{own}" stroke-width="2"/>')
    if is_head:
        shapes.append(f'<circle cx="{here}" cy="{middle}" r="7.5" fill="none" stroke="{own}" stroke-width="1.5"/>')
    for lane in row.joins:
        lanes.pop(lane, None)
    lanes[row.lane] = own
    # A notebook's own style would shrink it to the width of an empty cell.
    extent = f"display:block;width:{width}px;min-width:{width}px;max-width:none;height:{_HEIGHT}px"
    return f'<svg width="{width}" height="{_HEIGHT}" style="{extent}">{"".join(shapes)}</svg>'


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, dashes: str = "") -> str:
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="{colour}" stroke-width="2"{dashed}/>'


def _row(each: Checkpoint, graph: str, timeline: Timeline, colour: str, largest: int) -> str:
    is_head = each.checkpoint_id == timeline.head
    name = f"<b>{escape(title(each))}</b>" if each.name is not None else escape(title(each))
    branch = escape(each.branch or "")
    chip = f'<span style="border:1px solid {colour};border-radius:8px;padding:1px 6px;color:{colour}">{branch}</span>'
    count = each.verdicts.get("lost", len(each.lost))
    names = ", ".join(one_line(lost["name"], 40) for lost in each.lost[:20])
    lost = f' <span style="color:{_REMOVED}" title="{escape(names)}">{count} lost</span>' if count else ""
    after = f"cell {each.execution_count}, " if each.execution_count is not None else ""
    here = f'<span style="color:{colour}">{HERE}</span>' if is_head else ""
    cells = [
        name,
        f"{chip} {here}",
        _changes(timeline.changes.get(each.checkpoint_id, "")),
        escape(variables(each.namespace_size or 0)) + lost,
        _bar(each, colour, largest),
        f'<span style="{_MUTED}">{escape(after)}{escape(moment(each.created_at))}</span>',
        f'<code style="font-size:85%;{_MUTED}">{escape(each.checkpoint_id)}</code>',
    ]
    columns = "".join(f'<td style="{_TEXT}">{cell}</td>' for cell in cells)
    return f'<tr style="height:{_HEIGHT}px"><td style="padding:0;line-height:0">{graph}</td>{columns}</tr>'


def _bar(each: Checkpoint, colour: str, largest: int) -> str:
    """How large it is beside the others, and, darker, how much of it had to be written."""
    whole = each.checkpoint_size or 0
    fresh = min(each.written_bytes or 0, whole)
    tip = f"{size(whole)}, of which {size(each.written_bytes or 0)} were written for it; the rest was stored already"
    parts = [(whole, 0.25), (fresh, 0.9)]
    bars = "".join(
        f'<rect x="0" y="2" width="{max(1.0, _BAR * part / largest):.1f}" height="8" rx="2" fill="{colour}"'
        f' opacity="{opacity}"/>'
        for part, opacity in parts
        if part
    )
    drawn = f'<svg width="{_BAR}" height="12" style="vertical-align:middle;min-width:{_BAR}px">{bars}</svg>'
    text = f'{size(whole)} <span style="{_MUTED}">({size(each.written_bytes or 0)} new)</span>'
    return f'<span title="{escape(tip)}">{drawn} {text}</span>'


def _changes(text: str) -> str:
    colours = {"+": _ADDED, "~": _CHANGED, "-": _REMOVED}
    words = [
        f'<span style="color:{colours[word[0]]}">{escape(word)}</span>' if word[0] in colours else escape(word)
        for word in text.split()
    ]
    return " ".join(words)


def difference_html(difference: Difference) -> str:
    """What was added, removed and changed as a table, with the cells that did it below."""
    if not difference:
        return "<p>Nothing differs.</p>"
    groups = ((_ADDED, "added", difference.added), (_REMOVED, "removed", difference.removed))
    rows = [
        row
        for colour, word, items in (*groups, (_CHANGED, "changed", difference.changed))
        for row in _variable_rows(colour, word, items)
    ]
    code = "\n\n".join(difference.code)[-CODE_CHARACTERS_MAX:]
    cells = f"<details><summary>The cells between</summary><pre>{escape(code)}</pre></details>" if code else ""
    return f'<table style="border-collapse:collapse;border:0">{"".join(rows)}</table>{cells}'


def _variable_rows(colour: str, word: str, items: Sequence[dict[str, Any]]) -> list[str]:
    rows = []
    for each in items:
        cells = [
            f'<span style="color:{colour}">{word}</span>',
            f"<b>{escape(one_line(each['name']))}</b>",
            f'<span style="{_MUTED}">{escape(one_line(str(each.get("type") or "")))}</span>',
            size(each.get("bytes") or 0),
            f"<code>{escape(one_line(each.get('preview')))}</code>" if each.get("preview") else "",
        ]
        rows.append("<tr>" + "".join(f'<td style="{_TEXT}">{cell}</td>' for cell in cells) + "</tr>")
    return rows
