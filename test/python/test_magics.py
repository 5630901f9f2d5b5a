"""The magics: their arguments, their line of output, and which cells are refused before they run."""

from __future__ import annotations

import contextlib
import io
import sys
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

import IPython  # noqa: E402
from IPython.core.interactiveshell import InteractiveShell  # noqa: E402
from traitlets.config import Config  # noqa: E402

from savepoint import SavepointError  # noqa: E402
from savepoint_worker.ipython import magics  # noqa: E402
from savepoint_worker.cells.execution import LeaveCell  # noqa: E402


class MagicsCase(unittest.TestCase):
    shell: Any

    @classmethod
    def setUpClass(cls) -> None:
        InteractiveShell.clear_instance()
        cls.shell = InteractiveShell.instance(config=Config({"HistoryManager": {"enabled": False}}))
        cls.shell.colors = "nocolor" if IPython.version_info >= (9,) else "NoColor"
        magics.register(cls.shell)
        cls.addClassCleanup(InteractiveShell.clear_instance)

    def setUp(self) -> None:
        self.shell.user_ns["ran"] = []

    def run_cell(self, code: str) -> tuple[Any, str]:
        """The result of a cell, and what it printed."""
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            result = self.shell.run_cell(code)
        return result, printed.getvalue()

    def assert_refused(self, code: str, error_code: str) -> str:
        """The cell fails with that code, in one line; the line."""
        result, printed = self.run_cell(code)
        error = result.error_before_exec or result.error_in_exec
        self.assertEqual((type(error).__name__, getattr(error, "code", None)), ("SavepointError", error_code))
        self.assertEqual(printed, f"SavepointError: {error}\n")
        return printed


class MustBeLast(MagicsCase):
    def test_nothing_of_a_cell_runs_that_would_go_on(self) -> None:
        for code in (
            "ran.append(1)\n%rollback\nran.append(2)",
            "%restore mine\n1",
            "for _ in range(2):\n    ran.append(1)\n    %rollback",
            "def f():\n    %rollback",
            "if True:\n    %restore mine\n    ran.append(1)",
            "x = %rollback",
            "%restore a\n%restore b",
        ):
            with self.subTest(code):
                self.assert_refused(code, "must_be_last")
                self.assertEqual(self.shell.user_ns["ran"], [])

    def test_in_the_last_place_they_are_asked_for(self) -> None:
        for code in (
            "%rollback",
            "ran.append(1)\n%rollback",
            "if True:\n    ran.append(1)\n    %rollback\nelse:\n    %rollback",
            "rollback",
        ):
            with self.subTest(code):
                self.assert_refused(code, "not_in_kernel")


class TransactionLine(MagicsCase):
    def test_it_becomes_a_comment_and_lines_keep_their_numbers(self) -> None:
        self.assertEqual(
            magics.hide_transaction_line(["\n", "%%transaction dry_run\n", "x\n"]),
            ["\n", "# %%transaction dry_run\n", "x\n"],
        )
        result, _ = self.run_cell("%%transaction\nran.append(1)\n1 / 0")
        self.assertEqual((self.shell.user_ns["ran"], result.error_in_exec.__traceback__.tb_next.tb_lineno), ([1], 3))

    def test_the_body_is_a_cell_like_any_other(self) -> None:
        result, printed = self.run_cell(
            "%%transaction --name a\n%time ran.append(1)\nwords = !echo hello\nran.append(words[0])"
        )
        self.assertEqual((result.success, self.shell.user_ns["ran"]), (True, [1, "hello"]))

    def test_the_body_may_have_a_cell_magic_of_its_own(self) -> None:
        result, printed = self.run_cell("%%transaction\n%%capture out\nprint('hidden')")
        self.assertEqual((result.success, printed, self.shell.user_ns["out"].stdout), (True, "", "hidden\n"))

    def test_other_cells_are_left_alone(self) -> None:
        for lines in ([], ["x\n", "%%transaction\n"], ["%%transactional\n"], ["%transaction\n"]):
            self.assertIs(magics.hide_transaction_line(lines), lines)


class Lines(MagicsCase):
    def assert_prints(self, code: str, pattern: str) -> None:
        result, printed = self.run_cell(code)
        self.assertIsNone(result.error_in_exec)
        self.assertRegex(printed, pattern)
        self.assertEqual(printed.count("\n"), 1)

    def test_begin_and_commit(self) -> None:
        with mock.patch.object(magics, "begin", return_value={"id": "tx_1", "name": "mine"}) as begin:
            self.assert_prints("%begin mine --policy dry_run --engine=fork", r"^Transaction 'mine' \(tx_1\) is open\.$")
        begin.assert_called_once_with("mine", "dry_run", "fork")
        with mock.patch.object(magics, "request_commit", return_value={"id": "tx_1", "name": None}) as commit:
            self.assert_prints("%commit", r"^Committed transaction tx_1\.$")
        commit.assert_called_once_with(message=True)

    def test_savepoint_and_release(self) -> None:
        for came_back, pattern in ((False, r"^Savepoint 'a b' is set\.$"), (True, r"^Came back to savepoint 'a b'\.$")):
            with mock.patch.object(magics, "savepoint", return_value=came_back) as asked:
                self.assert_prints("%savepoint 'a b'", pattern)
            asked.assert_called_once_with("a b")
        with mock.patch.object(magics, "release", return_value={"id": "tx_1", "name": None}):
            self.assert_prints("%release a", r"^Released savepoint 'a' of transaction tx_1\.$")
        for line in ("%savepoint", "%release", "%savepoint a b", "%release --all"):
            self.assert_refused(line, "bad_request")

    def test_status(self) -> None:
        opened = [
            {"id": "tx_1", "name": "outer", "policy": "explicit", "savepoints": ["a", "b"]},
            {"id": "tx_2", "name": None, "policy": "rollback_always", "savepoints": []},
        ]
        for transactions, pattern in (
            (opened, r"'outer' \(tx_1\) \(explicit; savepoints 'a', 'b'\) > tx_2 \(rollback_always\)"),
            ([], "^No transaction"),
        ):
            with mock.patch.object(magics, "status", return_value={"transactions": transactions}):
                self.assert_prints("%transaction", pattern)

    def test_rollback_lets_the_kernel_print(self) -> None:
        with mock.patch.object(magics, "request_rollback", side_effect=LeaveCell) as asked:
            self.run_cell("%rollback mine")
        asked.assert_called_once_with(transaction=None, to="mine", message=True)

    def test_wrong_arguments_are_refused_with_the_usage(self) -> None:
        for code in (
            "%begin a b",
            "%begin --hopeful",
            "%begin --policy",
            "%commit now",
            "%checkpoint 'open",
            "%restore",
            "%restore a --only",
            "%restore a --only ,",
            "%restore a b",
            "%branch",
            "%branch a b c",
            "%diff",
        ):
            with self.subTest(code):
                self.assertIn("Write %", self.assert_refused(code, "bad_request"))

    def test_a_refusal_of_the_kernels_is_one_line(self) -> None:
        refusal = SavepointError("no_transaction", "No transaction is open. Begin one first.")
        with mock.patch.object(magics, "request_commit", side_effect=refusal):
            self.assert_refused("%commit", "no_transaction")


if __name__ == "__main__":
    unittest.main()
