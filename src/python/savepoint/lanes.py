"""Where each checkpoint stands when their tree is drawn: newest on top, one lane for each line of descent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from .records import Checkpoint


class Row(NamedTuple):
    """One checkpoint's place. Lanes are numbered from the left."""

    checkpoint: Checkpoint
    lane: int
    #: Lanes of younger branches that end here.
    joins: tuple[int, ...]
    #: Other lanes, which pass by.
    passing: tuple[int, ...]
    #: Whether a younger one is above it, and its parent below.
    has_child: bool
    has_parent: bool
    #: Its parent is not shown: older than the list, or deleted.
    is_cut: bool


def lay_out(checkpoints: Sequence[Checkpoint]) -> list[Row]:
    """The rows of a drawing, for checkpoints from the newest to the oldest."""
    shown = {each.checkpoint_id for each in checkpoints}
    #: Which checkpoint each lane leads to.
    lanes: list[str | None] = []
    rows = []
    for each in checkpoints:
        own = [lane for lane, target in enumerate(lanes) if target == each.checkpoint_id]
        lane = own[0] if own else lanes.index(None) if None in lanes else len(lanes)
        if lane == len(lanes):
            lanes.append(None)
        for joined in own:
            lanes[joined] = None
        passing = tuple(other for other, target in enumerate(lanes) if target is not None)
        has_parent = each.parent_id in shown
        lanes[lane] = each.parent_id if has_parent else None
        is_cut = each.parent_id is not None and not has_parent
        rows.append(Row(each, lane, tuple(own[1:]), passing, bool(own), has_parent, is_cut))
        while lanes and lanes[-1] is None:
            lanes.pop()
    return rows
