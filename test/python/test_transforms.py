"""Passing over cells that hold nothing to transform: the result is IPython's, whatever the cell."""

from __future__ import annotations

import random
import sys
import unittest
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from IPython.core.inputtransformer2 import TransformerManager  # noqa: E402
from savepoint_worker.ipython.transforms import speed_up  # noqa: E402

CELLS = (
    "",
    "x = 1",
    "x=1;y=2",
    "f(1, 2)\n[3,\n4]",
    "a = %time 1",
    "a = !ls",
    "!ls\n1",
    "x?",
    "??x",
    "%time 1",
    "%%time\nx",
    ",f a b",
    ";f a b",
    "/f a b",
    "1\n,f a b",
    "x = [1\n, 2]",
    "x = 1 \\\n, 2",
    "if x:\n  1\n 2",
    "  x\ny",
    "if x:\n\ty\n        z",
    ">>> x = 1",
    "In [1]: x",
    "x\x0c,f a",
    "x\r,f a",
    "x\r\n,f a",
    "x\u2028,f a",
    "'\udc80'",
    "ü = 1\n,f a",
    "'''\n,f a\n'''",
    "x = '''\n/f",
    "(\n/2)",
    "x\0y",
    "0b12",
    "await f()",
    "def f(a, b): return a / b; print(1)",
)
PIECES = (
    "x",
    "1",
    " ",
    "\n",
    "\n",
    ",",
    ";",
    "/",
    "?",
    "!",
    "%",
    "=",
    "(",
    ")",
    "'",
    "\\\n",
    "\t",
    "#",
    '"""',
    "\r",
    "if x:",
)


def hastened() -> TransformerManager:
    manager = TransformerManager()
    speed_up(manager)
    return manager


def outcome(action: Any, cell: str) -> Any:
    try:
        return action(cell)
    except Exception as error:
        return type(error), str(error)


class Transforms(unittest.TestCase):
    def setUp(self) -> None:
        # Of escapes that Python does not know: both sides give the same.
        warnings.simplefilter("ignore")
        self.addCleanup(warnings.resetwarnings)

    def check(self, cell: str) -> None:
        ours, theirs = hastened(), TransformerManager()
        self.assertEqual(outcome(ours.transform_cell, cell), outcome(theirs.transform_cell, cell), repr(cell))
        self.assertEqual(outcome(ours.check_complete, cell), outcome(theirs.check_complete, cell), repr(cell))

    def test_cells_become_what_ipython_makes_of_them(self) -> None:
        for cell in CELLS:
            self.check(cell)

    def test_so_do_cells_of_arbitrary_pieces(self) -> None:
        chance = random.Random(7)
        for _ in range(1500):
            self.check("".join(chance.choices(PIECES, k=chance.randint(1, 9))))

    def test_a_cell_without_anything_special_is_not_split_into_tokens(self) -> None:
        manager = hastened()
        manager.do_one_token_transform = self.fail  # type: ignore[method-assign, assignment]
        self.assertEqual(manager.transform_cell("x = f(1, 2)\ny = x / 2; x"), "x = f(1, 2)\ny = x / 2; x\n")

    def test_two_hundred_thousand_blank_lines_are_passed_over(self) -> None:
        # If each were looked at from each line before it, this would take a quarter of an hour.
        cell = "x = 1\n" + "\n" * 200_000 + "y = 2\n"
        self.assertTrue(hastened().transform_cell(cell) == cell)

    def test_a_transformer_that_was_added_sees_every_cell(self) -> None:
        class Everything:
            @staticmethod
            def find(tokens_by_line: Any) -> None:
                found.append(tokens_by_line)

        found: list[Any] = []
        manager = hastened()
        manager.token_transformers.append(Everything)
        manager.transform_cell("x = 1")
        self.assertEqual(len(found), 1)


if __name__ == "__main__":
    unittest.main()
