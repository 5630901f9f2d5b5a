"""Line magics for checkpoints: %checkpoint, %checkpoints, %restore, %branch, %diff."""

from __future__ import annotations

import itertools
import sys
import time
from typing import Any

from IPython.core.magic import Magics, magics_class
from IPython.display import display

from savepoint import SavepointError, checkpoints, diff
from savepoint.durable import request_branch, request_checkpoint, request_restore
from savepoint.process import leave_cell
from savepoint.records import Timeline
from savepoint.wording import losses, size, variables

from .magics import bad_usage, magic, parse

#: For how many checkpoints, and for how long, it is looked up what changed with each.
CHANGES_SHOWN_MAX = 20
CHANGES_WITHIN_S = 1.0
#: The newest checkpoints, whose branches' names are taken.
LOOKED_AT_MAX = 1000


@magics_class
class CheckpointMagics(Magics):
    """%checkpoint, %checkpoints, %restore, %branch, %diff."""

    @magic
    def checkpoint(self, line: str) -> None:
        """%checkpoint [NAME] [--note T]: save the variables durably."""
        arguments = parse("checkpoint", line, names=1, options=("--note",))
        wish = {"name": arguments.name, "note": arguments.options.get("--note"), "progress": True}
        made = request_checkpoint(wish)
        called = f"'{made.name}' ({made.checkpoint_id})" if made.name is not None else made.checkpoint_id
        lost = made.verdicts.get("lost", len(made.lost))
        saved = variables((made.namespace_size or 0) - lost)
        whole, fresh = made.checkpoint_size or 0, made.written_bytes
        written = "" if fresh is None or fresh >= whole else f" ({size(fresh)} new)"
        took = f"in {made.write_ms or 0:.1f} ms"
        print(f"Checkpoint {called}: {saved}, {size(whole)}{written}, {took}{losses(made.lost, lost)}.")

    @magic
    def checkpoints(self, line: str) -> None:
        """%checkpoints: the checkpoints of this kernel as the tree that they are, newest first."""
        parse("checkpoints", line)
        timeline = checkpoints()
        if timeline:
            look_for_changes(timeline)
        display(timeline)

    @magic
    def restore(self, line: str) -> None:
        """%restore NAME_OR_ID [--merge] [--only a,b]: bring back the variables of a checkpoint."""
        arguments = parse("restore", line, names=1, options=("--only",), flags=("--merge",))
        if arguments.name is None:
            bad_usage("restore", "name the checkpoint to restore")
        only = arguments.options.get("--only")
        names = [name.strip() for name in only.split(",") if name.strip()] if only is not None else None
        if names == []:
            bad_usage("restore", "--only names no variable")
        result = request_restore(arguments.name, "merge" if arguments.flags else "clear", names)
        _tell("restore", "Restored", result)

    @magic
    def branch(self, line: str) -> None:
        """%branch NAME_OR_ID [NEW]: bring back a checkpoint, and go on from there on a branch of its own."""
        arguments = parse("branch", line, names=2)
        if arguments.name is None:
            bad_usage("branch", "name the checkpoint to go on from")
        result = request_branch(arguments.name, arguments.second or free_branch(arguments.name))
        _tell("branch", f"On branch '{result['branch']}': restored", result)

    @magic
    def diff(self, line: str) -> None:
        """%diff A [B]: what the checkpoint B, or the present, has that A has not, and the other way round."""
        arguments = parse("diff", line, names=2)
        if arguments.name is None:
            bad_usage("diff", "name the checkpoint to compare with")
        display(diff(arguments.name, arguments.second))


def _tell(name: str, done: str, result: dict[str, Any]) -> None:
    """Say what a restore did, and end the cell."""
    for warning in result["warnings"]:
        print(f"%{name}: {warning}", file=sys.stderr)
    print(f"{done} {variables(result['restored'])} in {result['restore_ms']:.1f} ms{losses(result['lost'])}.")
    leave_cell()


def free_branch(checkpoint_name: str) -> str:
    """A name for a branch that begins at that checkpoint, and that no branch has."""
    taken = {each.branch for each in checkpoints(limit=LOOKED_AT_MAX)}
    stem = "branch" if checkpoint_name.startswith("cp_") else checkpoint_name[:180]
    return next(name for name in (f"{stem}-{number}" for number in itertools.count(2)) if name not in taken)


def look_for_changes(timeline: Timeline) -> None:
    """Note what changed with each of the newest checkpoints, as far as that is quick to find."""
    from savepoint.drawing import summary

    known = {each.checkpoint_id for each in timeline}
    until = time.monotonic() + CHANGES_WITHIN_S
    for each in timeline[:CHANGES_SHOWN_MAX]:
        if each.parent_id not in known or time.monotonic() > until:
            continue
        try:
            timeline.changes[each.checkpoint_id] = summary(diff(str(each.parent_id), each))
        except SavepointError:
            # A damaged one has no difference, but stays in the list.
            continue
