"""Transactions of one cell: by metadata and by `%%transaction`; and the line magics."""

from __future__ import annotations

from typing import Any

from support.case import KernelCase, main, plain
from support.client import Cell, Gate
from support.comms import commit_all, transactions
from support.subject import ours


def policy(value: object) -> dict[str, Any]:
    return {"savepoint": {"transaction": value}}


class StateCase(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_ok("state = [1, 2]")
        self.addCleanup(commit_all, self.client)

    def assert_state(self, text: str) -> None:
        self.assertEqual(self.run_ok("state").result, text)

    def outcome(self, cell: Cell) -> str:
        return cell.ours["transaction"]["outcome"]


@ours
class Policies(StateCase):
    def test_a_failing_cell_leaves_no_trace(self) -> None:
        cell = self.run_error(
            "state.append(3)\nnewcomer = 1\nprint('tried')\n1 / 0",
            "ZeroDivisionError",
            metadata=policy("rollback_on_failure"),
        )
        self.assertEqual(cell.stdout, "tried\n")
        told = cell.ours["transaction"]
        expected = {
            "name": None,
            "policy": "rollback_on_failure",
            "engine": "fork",
            "outcome": "rolled_back",
            "effects": [],
            "limits": [],
        }
        self.assertEqual({key: told[key] for key in expected}, expected)
        self.assertGreater(told["begin_ms"], 0)
        self.assertGreater(told["end_ms"], 0)
        self.assert_state("[1, 2]")
        self.assertEqual(self.run_ok("'newcomer' in dir()").result, "False")

    def test_a_good_cell_is_kept(self) -> None:
        for name in ("rollback_on_failure", "commit_on_success"):
            with self.subTest(name):
                cell = self.run_ok("state.append(3); len(state)", metadata=policy(name))
                self.assertEqual(self.outcome(cell), "committed")
        self.assert_state("[1, 2, 3, 3]")

    def test_a_dry_run_shows_its_result_and_leaves_no_trace(self) -> None:
        for name in ("dry_run", "rollback_always"):
            with self.subTest(name):
                cell = self.run_ok("state.append(3)\nprint('tried')\nlen(state)", metadata=policy(name))
                self.assertEqual((cell.result, cell.stdout, self.outcome(cell)), ("3", "tried\n", "rolled_back"))
                self.assert_state("[1, 2]")

    def test_a_failing_dry_run_tells_the_cells_error(self) -> None:
        self.run_error("state.append(3)\n1 / 0", "ZeroDivisionError", metadata=policy("dry_run"))
        self.assert_state("[1, 2]")

    def test_an_explicit_policy_leaves_the_transaction_open(self) -> None:
        cell = self.run_ok("state.append(3)", metadata=policy({"policy": "explicit", "name": "open"}))
        self.assertEqual((self.outcome(cell), cell.ours["transaction"]["name"]), ("pending", "open"))
        self.assert_state("[1, 2, 3]")
        transactions(self.client).ask("rollback")
        self.assert_state("[1, 2]")

    def test_no_policy_means_no_transaction(self) -> None:
        for metadata in ({}, policy("commit_always"), policy(None)):
            with self.subTest(metadata):
                self.assertIsNone(self.run_ok("1", metadata=metadata).ours["transaction"])

    def test_a_wrong_value_keeps_the_cell_from_running(self) -> None:
        for value, code in (
            ("hopeful", "unknown_policy"),
            ({"policy": "hopeful"}, "unknown_policy"),
            ({"policy": "dry_run", "engine": "magic"}, "unknown_engine"),
            (5, "bad_request"),
        ):
            with self.subTest(value):
                self.assert_refused(self.client.execute("state.append('ran')", metadata=policy(value)), code)
        self.assert_state("[1, 2]")

    def test_unknown_keys_are_named_in_warnings(self) -> None:
        cell = self.run_ok("1", metadata={"savepoint": {"colour": "blue"}})
        self.assertTrue(any("colour" in warning for warning in cell.ours["warnings"]), cell.ours["warnings"])

    def test_cells_queued_behind_a_failure_are_aborted(self) -> None:
        gate = Gate()
        failing = self.client.start(f"state.append(3)\n{gate.code}1 / 0", metadata=policy("rollback_on_failure"))
        queued = self.client.start("state.append('queued')")
        self.client.wait_until_received()
        gate.open()
        self.assertEqual((failing.wait().status, queued.wait().status), ("error", "aborted"))
        self.assert_state("[1, 2]")

    def test_an_interrupt_is_a_failure(self) -> None:
        for code in ("while True: pass", "import asyncio\nawait asyncio.sleep(60)", "import time\ntime.sleep(60)"):
            with self.subTest(code.splitlines()[-1]):
                cell = self.client.start(
                    f"state.append(3)\nprint('in', flush=True)\n{code}", metadata=policy("rollback_on_failure")
                )
                cell.wait_for_output("in")
                self.client.ask("interrupt_request", channel="control")
                self.assert_error(cell.wait(), "KeyboardInterrupt")
                self.assertEqual(self.outcome(cell), "rolled_back")
                self.assert_state("[1, 2]")

    def test_leaving_by_system_exit_is_a_failure(self) -> None:
        cell = self.run_error(
            "state.append(3)\nraise SystemExit(2)", "SystemExit", metadata=policy("rollback_on_failure")
        )
        self.assertEqual(self.outcome(cell), "rolled_back")
        self.assert_state("[1, 2]")

    def test_a_syntax_error_is_a_failure(self) -> None:
        self.run_error("state.append(3)\nx = = 1", "SyntaxError", metadata=policy("rollback_on_failure"))
        self.assert_state("[1, 2]")

    def test_the_death_of_the_worker_costs_only_the_cell(self) -> None:
        for code, cause in (
            ("import os\nos._exit(3)", "exit code 3"),
            ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "SIGKILL"),
            ("import ctypes\nctypes.string_at(0)", "SIGSEGV"),
        ):
            with self.subTest(cause):
                cell = self.client.execute(
                    f"state.append(3)\nprint('tried', flush=True)\n{code}", metadata=policy("rollback_on_failure")
                )
                self.assert_error(cell, "WorkerDied")
                self.assertIn(cause, cell.content["evalue"])
                self.assertEqual((self.outcome(cell), cell.stdout), ("rolled_back", "tried\n"))
                self.assert_state("[1, 2]")

    def test_a_cell_that_awaits_can_be_rolled_back(self) -> None:
        self.run_ok("import asyncio")
        self.run_error(
            "state.append(3)\nawait asyncio.sleep(0.01)\n1 / 0",
            "ZeroDivisionError",
            metadata=policy("rollback_on_failure"),
        )
        self.assert_state("[1, 2]")
        self.run_ok("await asyncio.sleep(0); state.append(3)", metadata=policy("rollback_on_failure"))
        self.assert_state("[1, 2, 3]")

    def test_a_cell_may_ask_for_input_inside_its_transaction(self) -> None:
        cell = self.client.start("state.append(input('word? '))\n1 / 0", metadata=policy("rollback_on_failure"))
        cell.answer("x")
        self.assert_error(cell.wait(), "ZeroDivisionError")
        self.assert_state("[1, 2]")

    def test_a_policy_inside_an_open_transaction_nests(self) -> None:
        target = transactions(self.client)
        target.ask("begin")
        self.run_ok("state.append('kept for now')")
        self.run_error("state.append(3)\n1 / 0", "ZeroDivisionError", metadata=policy("rollback_on_failure"))
        self.assert_state("[1, 2, 'kept for now']")
        self.assertEqual(len(target.ask("status")["transactions"]), 1)
        target.ask("rollback")
        self.assert_state("[1, 2]")

    def test_the_count_goes_on_after_a_rollback(self) -> None:
        first = self.client.execute("1 / 0", metadata=policy("rollback_on_failure")).content["execution_count"]
        cell = self.run_ok(f"In[{first}]")
        self.assertEqual((cell.content["execution_count"], cell.result), (first + 1, "'1 / 0'"))

    def test_user_expressions_see_the_state_that_the_cell_made(self) -> None:
        cell = self.run_ok("state.append(3)", metadata=policy("dry_run"), user_expressions={"n": "len(state)"})
        self.assertEqual(cell.content["user_expressions"]["n"]["data"]["text/plain"], "3")

    def test_twenty_rollbacks_in_a_row(self) -> None:
        for _ in range(20):
            self.run_error("state.append(3)\n1 / 0", "ZeroDivisionError", metadata=policy("rollback_on_failure"))
        self.assert_state("[1, 2]")


@ours
class CellMagic(StateCase):
    def test_a_failing_cell_leaves_no_trace(self) -> None:
        cell = self.run_error("%%transaction\nstate.append(3)\n1 / 0", "ZeroDivisionError")
        self.assertEqual(self.outcome(cell), "rolled_back")
        self.assert_state("[1, 2]")

    def test_the_error_names_the_right_line(self) -> None:
        cell = self.run_error("%%transaction\nx = 1\n1 / 0", "ZeroDivisionError")
        self.assertRegex(plain("".join(cell.content["traceback"])), r"-> 3 1 */ *0")

    def test_policy_and_name_may_be_given(self) -> None:
        cell = self.run_ok("%%transaction dry_run --name trial\nstate.append(3)\nstate")
        self.assertEqual((cell.result, cell.ours["transaction"]["name"]), ("[1, 2, 3]", "trial"))
        self.assert_state("[1, 2]")

    def test_the_body_is_an_ordinary_cell(self) -> None:
        cell = self.run_ok(
            "%%transaction\nimport asyncio\nawait asyncio.sleep(0)\n%time state.append(3)\n!echo hello\nstate"
        )
        self.assertEqual(cell.result, "[1, 2, 3]")
        self.assertIn("hello", cell.stdout)

    def test_history_keeps_the_cell_as_it_was_written(self) -> None:
        count = self.run_ok("%%transaction\nstate.append(3)").content["execution_count"]
        self.assertIn(
            "%%transaction", self.run_ok(f"get_ipython().history_manager.input_hist_raw[{count}]").result or ""
        )

    def test_an_unknown_policy_is_refused(self) -> None:
        self.assert_refused(self.client.execute("%%transaction hopeful\nstate.append(3)"), "unknown_policy")
        self.assert_state("[1, 2]")


@ours
class LineMagics(StateCase):
    def prints_a_line(self, code: str) -> str:
        cell = self.run_ok(code)
        self.assertEqual(cell.stdout.count("\n"), 1, cell.stdout)
        return cell.stdout

    def test_begin_and_rollback(self) -> None:
        self.assertIn("trial", self.prints_a_line("%begin trial"))
        self.run_ok("state.append(3)")
        self.assertIn("ms", self.prints_a_line("%rollback"))
        self.assert_state("[1, 2]")

    def test_begin_and_commit(self) -> None:
        self.prints_a_line("%begin")
        self.run_ok("state.append(3)")
        self.prints_a_line("%commit")
        self.assert_state("[1, 2, 3]")

    def test_status_is_shown(self) -> None:
        self.run_ok("%begin outer")
        self.run_ok("%begin inner --policy dry_run")
        shown = self.run_ok("%transaction").stdout
        self.assertLess(shown.index("outer"), shown.index("inner"))
        self.run_ok("%rollback")
        self.run_ok("%rollback")

    def test_without_a_transaction_they_are_refused(self) -> None:
        for code in ("%commit", "%rollback"):
            with self.subTest(code):
                self.assert_refused(self.client.execute(code), "no_transaction")

    def test_wrong_arguments_are_refused(self) -> None:
        self.assert_refused(self.client.execute("%begin --policy hopeful"), "unknown_policy")

    def test_rollback_must_be_the_last_statement(self) -> None:
        self.run_ok("%begin")
        self.assert_refused(self.client.execute("state.append(3)\n%rollback\nstate.append(4)"), "must_be_last")
        self.assert_state("[1, 2]")
        self.run_ok("state.append(5)\n%rollback")
        self.assert_state("[1, 2]")

    def test_the_rest_of_a_cell_that_began_is_not_run_again(self) -> None:
        cell = self.run_ok("state.append('before')\n%begin\nstate.append('after')\nprint('once')")
        self.assertEqual(cell.stdout.count("once"), 1)
        self.assert_state("[1, 2, 'before', 'after']")
        back = self.run_ok("%rollback")
        self.assertNotIn("once", back.stdout)
        self.assert_state("[1, 2, 'before']")

    def test_frames_that_a_rollback_leaves_run_their_finally(self) -> None:
        self.run_ok(
            "import savepoint\n"
            "def work():\n"
            "    try:\n"
            "        savepoint.begin()\n"
            "    finally:\n"
            "        state.append('finally')\n"
            "work()"
        )
        self.assert_state("[1, 2, 'finally']")
        self.run_ok("%rollback")
        self.assert_state("[1, 2, 'finally']")


if __name__ == "__main__":
    main()
