"""Line magics for the guard: %undo, %redo, %snapshots, %guard."""

from __future__ import annotations

from typing import Any

from IPython.core.magic import Magics, magics_class

from savepoint import guard, snapshots
from savepoint.guards import request_steps

from .magics import bad_usage, magic, parse


@magics_class
class GuardMagics(Magics):
    """%undo, %redo, %snapshots, %guard."""

    @magic
    def undo(self, line: str) -> None:
        """%undo [N]: bring back the state before the last cell, or before the last N."""
        # The kernel prints the line: whoever runs this is gone by then.
        request_steps("undo", _number("undo", line), message=True)

    @magic
    def redo(self, line: str) -> None:
        """%redo [N]: take back an undo, or N."""
        request_steps("redo", _number("redo", line), message=True)

    @magic
    def snapshots(self, line: str) -> None:
        """%snapshots: the frozen copies of this kernel, oldest first."""
        parse("snapshots", line)
        rows = [_row(each) for each in snapshots()]
        print("\n".join(rows) if rows else "There are no snapshots.")

    @magic
    def guard(self, line: str) -> None:
        """%guard [on|off]: turn the guard on or off, or say whether it is on."""
        word = parse("guard", line, names=1).name
        if word not in (None, "on", "off"):
            bad_usage("guard", f"there is no '{word}'")
        state = guard(None if word is None else word == "on")
        steps = f"; {state['undo_depth']} to undo, {state['redo_depth']} to redo" if state["guard"] else ""
        print(f"The guard is {'on' if state['guard'] else 'off'}{steps}.")


def _number(name: str, line: str) -> int:
    word = parse(name, line, names=1).name
    if word is None:
        return 1
    if not (word.isascii() and word.isdigit()) or int(word) < 1:
        bad_usage(name, f"'{word}' is no number of steps")
    return int(word)


def _row(snapshot: dict[str, Any]) -> str:
    private = snapshot["private_bytes"]
    size = "" if private is None else f"{private / 1e6:.1f} MB"
    after = f"after cell {snapshot['execution_count']}"
    name = snapshot["name"] or ""
    return f"{snapshot['id']:8}  {snapshot['kind']:9}  {after:16}  {snapshot['created_at']}  {size:>10}  {name}".rstrip()
