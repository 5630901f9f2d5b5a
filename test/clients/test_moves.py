"""Every op in every state that docs/protocol.md lists, on a real kernel: by comm, in Python and by magic."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from support.case import KernelCase, main
from support.comms import Refused, Target, commit_all, transactions
from support.subject import ours

PROTOCOL = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"
BEGIN: dict[str, Any] = {"op": "begin"}
SAVEPOINT: dict[str, Any] = {"op": "savepoint", "name": "a"}
#: What leads to each state; the others need limits, a debugger, or somebody who kills.
STATES: dict[str, list[dict[str, Any]]] = {
    "none is open": [],
    "one is open": [BEGIN],
    "one is open, with the savepoint": [BEGIN, SAVEPOINT],
    "two are open, the savepoint is the inner one’s": [BEGIN, BEGIN, SAVEPOINT],
    "two are open, the savepoint is the outer one’s": [BEGIN, SAVEPOINT, BEGIN],
    "the savepoint was released": [BEGIN, SAVEPOINT, {"op": "release", "name": "a"}],
}
#: In the order of the columns: over a comm, in Python, as a magic.
MOVES: dict[str, tuple[dict[str, Any], str, str]] = {
    "begin": ({"op": "begin"}, "begin()", "%begin"),
    "savepoint": ({"op": "savepoint", "name": "b"}, "savepoint('b')", "%savepoint b"),
    "rollback": ({"op": "rollback"}, "rollback()", "%rollback"),
    "rollback to": ({"op": "rollback", "to": "a"}, "rollback(to='a')", "%rollback a"),
    "release": ({"op": "release", "name": "a"}, "release('a')", "%release a"),
    "commit": ({"op": "commit"}, "commit()", "%commit"),
    "status": ({"op": "status"}, "status()", "%transaction"),
}
#: As many as are tried where minutes do not count.
QUICK = ("none is open", "two are open, the savepoint is the outer one’s")


def table() -> dict[str, list[str]]:
    """The codes of each row, by its state."""
    section = PROTOCOL.read_text(encoding="utf-8").split("#### What is legal when\n")[1].split("\n#")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells = [[cell.strip().replace("`", "") for cell in row] for row in rows]
    assert cells[0][1:] == list(MOVES), cells[0]
    return {row[0]: row[1:] for row in cells[2:]}


@ours
class Moves(KernelCase):
    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.run_ok("import savepoint")
        self.target = transactions(self.client)
        self.addCleanup(commit_all, self.client)
        self.addCleanup(lambda: self.target.close())

    def by_comm(self, move: tuple[dict[str, Any], str, str]) -> str:
        try:
            self.target.ask(**move[0])
        except Refused as refused:
            return refused.code
        return "ok"

    def by_code(self, code: str) -> str:
        cell = self.client.execute(code)
        if cell.status == "ok":
            return "ok"
        found = re.match(r"(\w+): ", cell.content["evalue"])
        return found[1] if found and cell.content["ename"] == "SavepointError" else str(cell.content["evalue"])

    def test_are_as_the_table_says_in_whatever_way(self) -> None:
        listed = table()
        for state, steps in STATES.items():
            if state not in QUICK and not os.environ.get("RUN_SLOW"):
                continue
            for number, move in enumerate(MOVES.values()):
                codes = []
                for way in (
                    lambda move=move: self.by_comm(move),
                    lambda move=move: self.by_code(f"savepoint.{move[1]}"),
                    lambda move=move: self.by_code(move[2]),
                ):
                    for step in steps:
                        self.target.ask(**step)
                    before = self.target.ask("status")
                    codes.append(way())
                    if codes[-1] != "ok":
                        self.assertEqual(self.target.ask("status"), before)
                    commit_all(self.client)
                with self.subTest(state, move=move[2]):
                    self.assertEqual(codes, [listed[state][number]] * 3)


if __name__ == "__main__":
    main()
