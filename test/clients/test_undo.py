"""Undo and redo: the guard's moments, gone back over and forth."""

from __future__ import annotations

from typing import Any

from support.case import KernelCase, main
from support.client import start_kernel, stop_kernel
from support.comms import Refused, transactions
from support.subject import ours


class GuardedCase(KernelCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel(extra_arguments=["--guard"])
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def assert_value(self, expression: str, text: str) -> None:
        """Looks without leaving a step behind."""
        self.assertEqual(self.client.value(expression), text)

    def depths(self) -> tuple[int, int]:
        status = transactions(self.client).ask("status")
        return status["undo_depth"], status["redo_depth"]


@ours
class Undo(GuardedCase):
    def test_a_cell_is_undone_and_redone_with_all_that_it_changed_in_place(self) -> None:
        self.run_ok("items = [1]; alias = items")
        count = self.run_ok("items.append(2); new = 1").content["execution_count"]
        self.assertEqual(self.run_ok("%undo").stdout[:12], f"Undid cell {count} "[:12])
        self.assert_value("(items, alias is items, 'new' in dir())", "([1], True, False)")
        self.assertEqual(self.run_ok("%redo").stdout[:5], "Redid")
        self.assert_value("(items, alias is items, new)", "([1, 2], True, 1)")

    def test_several_at_once_and_a_new_cell_forgets_what_was_undone(self) -> None:
        self.run_ok("n = 0")
        for value in (1, 2, 3):
            self.run_ok(f"n = {value}")
        self.run_ok("%undo 3")
        self.assert_value("n", "0")
        self.run_ok("%redo 2")
        self.assert_value("n", "2")
        self.run_ok("n = 10")
        self.assert_refused(self.client.execute("%redo"), "nothing_to_redo")
        self.run_ok("savepoint = __import__('savepoint')")
        self.run_ok("savepoint.undo(2)")
        self.assert_value("n", "2")

    def test_a_failing_cell_counts_as_any_other(self) -> None:
        self.run_ok("items = [1]")
        self.run_error("items.append(2)\n1 / 0", "ZeroDivisionError")
        self.run_ok("%undo")
        self.assert_value("items", "[1]")

    def test_numbers_never_go_back_and_In_keeps_every_cell(self) -> None:
        first = self.run_ok("kept = 1").content["execution_count"]
        self.run_ok("kept = 2; kept")
        undo = self.run_ok("%undo")
        self.assertEqual(undo.content["execution_count"], first + 2)
        after = self.run_ok(f"(In[{first + 1}], In[{first + 2}], {first + 1} in Out)")
        self.assertEqual(after.content["execution_count"], first + 3)
        self.assertEqual(after.result, "('kept = 2; kept', '%undo', False)")

    def test_a_cell_that_undoes_and_does_more_undoes_itself(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("n = 2\n%undo")
        self.assert_value("n", "1")

    def test_what_is_asked_wrongly_changes_nothing(self) -> None:
        self.run_ok("n = 'kept'")
        for line, code in (
            ("%undo 0", "bad_request"),
            ("%undo -1", "bad_request"),
            ("%undo two", "bad_request"),
            ("%undo 100", "nothing_to_undo"),
            ("%undo\nn = 'changed'", "must_be_last"),
            ("%guard maybe", "bad_request"),
        ):
            with self.subTest(line):
                self.assert_refused(self.client.execute(line), code)
        comm = transactions(self.client)
        for n in (0, -1, 1.5, "1", True, [1]):
            with self.subTest(n=n):
                with self.assertRaises(Refused) as refused:
                    comm.ask("undo", n=n)
                self.assertEqual(refused.exception.code, "bad_request")
        self.assert_value("n", "'kept'")

    def test_inside_a_transaction_it_is_refused_and_after_its_commit_goes_on(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("%begin")
        self.run_ok("n = 2")
        self.assert_refused(self.client.execute("%undo"), "transaction_open")
        self.run_ok("%commit")
        self.run_ok("%undo")
        self.assert_value("n", "1")

    def test_a_rollback_leaves_the_moments_before_it(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("n = 2")
        self.run_ok("%begin")
        self.run_ok("n = 3")
        self.run_ok("%rollback")
        self.assert_value("n", "2")
        self.run_ok("%undo")
        self.assert_value("n", "1")

    def test_silent_cells_are_no_steps_and_their_changes_stay(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("n = 2")
        self.client.execute("quiet = 'there'", silent=True)
        self.run_ok("%undo")
        self.assert_value("n", "1")
        self.run_ok("%redo")
        self.assert_value("(n, quiet)", "(2, 'there')")

    def test_a_comm_message_since_is_part_of_what_is_redone(self) -> None:
        self.run_ok(
            "from comm import create_comm\nseen = []\n"
            "c = create_comm(target_name='t', comm_id='undo-comm')\nc.on_msg(lambda m: seen.append(m['content']['data']))"
        )
        self.client.request("comm_msg", {"comm_id": "undo-comm", "data": 1})
        self.assert_value("seen", "[1]")
        self.run_ok("seen = 'gone'")
        self.run_ok("%undo")
        self.assert_value("seen", "[1]")

    def test_the_depths_are_told(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("n = 2")
        undo, redo = self.depths()
        self.assertGreaterEqual(undo, 2)
        self.assertEqual(redo, 0)
        answer = transactions(self.client).ask("undo", n=2)
        self.assertEqual((len(answer["undone"]), answer["undo_depth"], answer["redo_depth"]), (2, undo - 2, 2))
        listed = transactions(self.client).ask("snapshots")
        self.assertEqual({each["kind"] for each in listed["items"]}, {"guard"})
        self.assertEqual(listed["total_count"], len(listed["items"]))

    def test_off_means_no_copies_and_on_begins_anew(self) -> None:
        self.run_ok("%guard off")
        told = self.run_ok("n = 1").ours["guard"]
        self.assertEqual(told, {"taken": False, "skipped": "off"})
        self.assertEqual(transactions(self.client).ask("snapshots")["items"], [])
        self.assert_refused(self.client.execute("%undo"), "not_available")
        self.assertIn("The guard is on", self.run_ok("%guard on").stdout)
        self.run_ok("n = 2")
        self.assertTrue(self.run_ok("n = 3").ours["guard"]["taken"])
        self.run_ok("%undo 2")
        self.assert_value("n", "1")


@ours
class Widgets(GuardedCase):
    def messages(self, kind: str, since: int) -> list[dict[str, Any]]:
        return [m for m in self.client.messages[since:] if m["channel"] == "iopub" and m["msg_type"] == kind]

    def test_widgets_come_and_go_with_the_cells_that_made_them(self) -> None:
        self.run_ok("import ipywidgets")
        self.run_ok("first = ipywidgets.IntSlider(1); one = first.model_id")
        one = self.client.value("one").strip("'")
        self.run_ok("first.value = 7")
        self.run_ok("second = ipywidgets.IntSlider(2)")
        since = len(self.client.messages)
        self.run_ok("%undo")
        self.assert_value("'second' in dir()", "False")
        closed = {m["content"]["comm_id"] for m in self.messages("comm_close", since)}
        self.assertGreaterEqual(len(closed), 1)
        self.assertNotIn(one, closed)
        updates = [m["content"] for m in self.messages("comm_msg", since) if m["content"]["comm_id"] == one]
        self.assertEqual(updates[-1]["data"]["state"]["value"], 7)
        since = len(self.client.messages)
        self.run_ok("%redo")
        self.assert_value("second.value", "2")
        opened = {m["content"]["comm_id"] for m in self.messages("comm_open", since)}
        self.assertEqual(opened, closed)


if __name__ == "__main__":
    main()
