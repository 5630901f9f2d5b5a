"""The same cells, one after another, in this kernel and in a real ipykernel: every message must be the same.

`twins/cells.txt` has the cells. What is different here on purpose is not among them; docs/ipykernel.md lists it.
"""

from __future__ import annotations

from pathlib import Path

from support.case import main
from support.oracle import OracleCase
from support.subject import ours

CELLS = Path(__file__).with_name("twins").joinpath("cells.txt").read_text("utf-8").split("\n---\n")


@ours
class Twins(OracleCase):
    def test_every_cell_has_the_same_reply_and_messages(self) -> None:
        for code in CELLS:
            with self.subTest(code=code):
                self.both(code.strip("\n"))


if __name__ == "__main__":
    main()
