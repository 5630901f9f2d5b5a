"""The magics of checkpoints: their arguments, their line of output, and how trees and differences are drawn."""

from __future__ import annotations

import contextlib
import io
import unittest
from typing import Any
from unittest import mock

from test_magics import MagicsCase

from savepoint import Checkpoint, Difference, SavepointError, Timeline
from savepoint.drawing import HERE, difference_text, summary, timeline_text
from savepoint.timeline_html import difference_html, timeline_html
from savepoint_worker.cells.execution import LeaveCell
from savepoint_worker.ipython import checkpoint_magics as magics

LOST = [{"name": "a", "type": "b", "reason": "c"}]


def made(number: int, parent: int | None, branch: str = "main", name: str | None = None, **more: Any) -> Checkpoint:
    """A checkpoint; later ones have higher numbers."""
    facts: dict[str, Any] = {"namespace_size": 10, "checkpoint_size": 2_000_000, "written_bytes": 1000}
    of = {"parent_id": None if parent is None else f"cp_{parent}", "branch": branch, "kernel_id": "k"}
    return Checkpoint(f"cp_{number}", name, execution_count=number, **{**facts, **of, **more})


class CheckpointMagics(MagicsCase):
    def printed(self, code: str) -> str:
        result, printed = self.run_cell(code)
        self.assertIsNone(result.error_before_exec or result.error_in_exec)
        return printed

    def test_checkpoint_names_what_is_lost(self) -> None:
        lost = [{"name": f"x{n}", "type": "socket", "reason": "open"} for n in range(7)]
        stored = Checkpoint("cp_1", "mine", namespace_size=9, checkpoint_size=1234567, write_ms=12.34, lost=lost)
        with mock.patch.object(magics, "request_checkpoint", return_value=stored) as asked:
            self.assertRegex(
                self.printed("%checkpoint mine --note 'in passing'"),
                r"^Checkpoint 'mine' \(cp_1\): 2 variables, 1\.2 MB, in 12\.3 ms; "
                r"lost: x0 \(socket: open\), .*, 2 more\.$",
            )
        asked.assert_called_once_with({"name": "mine", "note": "in passing", "progress": True})

    def test_checkpoint_counts_all_that_is_lost_where_only_some_are_named(self) -> None:
        stored = Checkpoint("cp_1", namespace_size=500, checkpoint_size=5000, written_bytes=70, lost=LOST,
                            verdicts={"exact": 100, "lost": 400})  # fmt: skip
        with mock.patch.object(magics, "request_checkpoint", return_value=stored):
            self.assertRegex(
                self.printed("%checkpoint"),
                r"^Checkpoint cp_1: 100 variables, 5\.0 kB \(70 bytes new\), .*lost: a \(b: c\), 399 more\.$",
            )

    def test_restore_says_what_came_of_it_and_ends_the_cell(self) -> None:
        result = {"restored": 2, "restore_ms": 1.5, "warnings": ["careful"], "lost": LOST}
        complaint = io.StringIO()
        with (
            mock.patch.object(magics, "request_restore", return_value=result) as asked,
            contextlib.redirect_stderr(complaint),
        ):
            done, printed = self.run_cell("%restore mine --merge --only a,b")
        self.assertIn("Restored 2 variables in 1.5 ms; lost: a (b: c).\n", printed)
        self.assertIn("careful", complaint.getvalue())
        self.assertIsInstance(done.error_in_exec, LeaveCell)
        asked.assert_called_once_with("mine", "merge", ["a", "b"])

    def test_branch_says_where_later_checkpoints_go(self) -> None:
        result = {"restored": 1, "restore_ms": 1.5, "warnings": [], "lost": [], "branch": "try"}
        with mock.patch.object(magics, "request_branch", return_value=result) as asked:
            done, printed = self.run_cell("%branch mine try")
        self.assertIn("On branch 'try': restored 1 variable in 1.5 ms.\n", printed)
        self.assertIsInstance(done.error_in_exec, LeaveCell)
        asked.assert_called_once_with("mine", "try")

    def test_branch_without_a_name_has_one_that_is_free(self) -> None:
        taken = Timeline([made(2, 1, "mine-2"), made(1, None)])
        result = {"restored": 1, "restore_ms": 1.5, "warnings": [], "lost": [], "branch": "mine-3"}
        for meant, expected in (("mine", "mine-3"), ("cp_1", "branch-2")):
            with (
                mock.patch.object(magics, "request_branch", return_value=result) as asked,
                mock.patch.object(magics, "checkpoints", return_value=taken),
            ):
                self.run_cell(f"%branch {meant}")
            asked.assert_called_once_with(meant, expected)

    def test_branch_and_restore_must_be_last(self) -> None:
        for code in ("%branch mine\n1", "%restore mine\n1"):
            self.assert_refused(code, "must_be_last")

    def test_checkpoints_shows_the_tree_and_what_changed(self) -> None:
        timeline = Timeline([made(2, 1), made(1, None, name="first")], "cp_2")
        change = Difference(added=[{"name": "x", "type": "int", "bytes": 28, "preview": "1"}])
        with (
            mock.patch.object(magics, "checkpoints", return_value=timeline),
            mock.patch.object(magics, "diff", return_value=change) as compared,
        ):
            lines = self.printed("%checkpoints").splitlines()
        self.assertRegex(lines[0], r"^● .*\+x .*cp_2")
        self.assertIn(HERE, lines[0])
        self.assertRegex(lines[1], r"^●   first .*cp_1$")
        compared.assert_called_once_with("cp_1", timeline[0])
        with mock.patch.object(magics, "checkpoints", return_value=Timeline()):
            self.assertEqual(self.printed("%checkpoints"), "There are no checkpoints.\n")

    def test_checkpoints_shows_those_that_cannot_be_compared(self) -> None:
        timeline = Timeline([made(2, 1), made(1, None)])
        with (
            mock.patch.object(magics, "checkpoints", return_value=timeline),
            mock.patch.object(magics, "diff", side_effect=SavepointError("damaged_checkpoint", "No.")),
        ):
            self.assertEqual(len(self.printed("%checkpoints").splitlines()), 2)

    def test_diff_shows_the_difference(self) -> None:
        change = Difference(removed=[{"name": "x", "type": "int", "bytes": 28, "preview": None}])
        for code, given in (("%diff a", ("a", None)), ("%diff a b", ("a", "b"))):
            with mock.patch.object(magics, "diff", return_value=change) as asked:
                self.assertEqual(self.printed(code), "- x  int  28 bytes\n")
            asked.assert_called_once_with(*given)


class Drawing(unittest.TestCase):
    def graph(self, *checkpoints: Checkpoint) -> list[str]:
        return [line.split("(no name)")[0].rstrip() for line in timeline_text(Timeline(checkpoints)).splitlines()]

    def test_branches_have_lanes_and_join_where_they_began(self) -> None:
        tree = [made(6, 3), made(5, 4, "b"), made(4, 2, "b"), made(3, 2), made(2, 1), made(1, None)]
        self.assertEqual(self.graph(*tree), ["●", "│ ●", "│ ●", "● │", "├─╯", "●", "●"])

    def test_several_branches_of_one_checkpoint_and_a_lane_between_them(self) -> None:
        tree = [made(7, 2), made(6, 1, "b"), made(4, 2, "c"), made(2, None), made(1, None)]
        self.assertEqual(self.graph(*tree), ["●", "│ ●", "│ │ ●", "├─┼─╯", "● │", "  ●"])

    def test_parents_that_are_gone_end_a_lane(self) -> None:
        self.assertEqual(self.graph(made(9, 8), made(5, 4), made(3, None)), ["●", "●", "●"])

    def test_nothing_that_a_name_or_a_note_holds_breaks_the_drawing(self) -> None:
        note = "two\nlines \x1b[31m" + "long " * 100
        strange = made(1, None, "b<r>", "<script>", note=note, lost=LOST)
        text, html = (draw(Timeline([strange])) for draw in (timeline_text, timeline_html))
        self.assertEqual(len(text.splitlines()), 1)
        self.assertNotIn("\x1b", text + html)
        self.assertNotIn("<script>", html)
        self.assertIn("&lt;script&gt;", html)
        self.assertIn("b&lt;r&gt;", html)
        variable = {"name": "<i>", "type": "<u>", "bytes": 1, "preview": "<b>\n"}
        html = difference_html(Difference([variable], [variable], [variable], ["x < 1"]))
        for tag in ("<i>", "<u>", "x < 1"):
            self.assertNotIn(tag, html)

    def test_older_ones_are_counted(self) -> None:
        timeline = Timeline([made(9, 8)], total=12)
        self.assertTrue(timeline_text(timeline).endswith("and 11 older"))
        self.assertIn("and 11 older", timeline_html(timeline))

    def test_kernels_are_told_apart_where_there_are_several(self) -> None:
        ours, other = made(2, None), made(1, None, kernel_id="other-kernel-of-yesterday")
        self.assertIn("kernel other-ke", timeline_text(Timeline([ours, other])))
        self.assertNotIn("kernel k", timeline_text(Timeline([ours])))

    def test_a_summary_names_some_and_counts_the_rest(self) -> None:
        items = [{"name": f"v{n}", "type": "int", "bytes": 1, "preview": None} for n in range(30)]
        self.assertEqual(summary(Difference(items[:1], items[1:2], items[2:3])), "+v0 ~v2 -v1")
        self.assertTrue(summary(Difference(changed=items)).endswith(" and 10 more"))

    def test_no_difference_is_said(self) -> None:
        self.assertFalse(Difference())
        self.assertEqual(difference_text(Difference()), "Nothing differs.")


if __name__ == "__main__":
    unittest.main()
