"""Cells and what surrounds them: results, counts, errors, the queue, introspection, history."""

from __future__ import annotations

import os
from typing import Any

from support.case import KernelCase, fresh_kernel, main
from support.client import PATIENCE_S, Cell, Gate
from support.subject import ours, scratch


class Cells(KernelCase):
    def test_the_value_of_a_cell_is_published_with_its_count(self) -> None:
        cell = self.run_ok("6 * 7")
        result = cell.on("iopub", "execute_result")[0]["content"]
        self.assertEqual(result["data"]["text/plain"], "42")
        self.assertEqual(result["execution_count"], cell.content["execution_count"])
        self.assertEqual(
            cell.on("iopub", "execute_input")[0]["content"],
            {"code": "6 * 7", "execution_count": result["execution_count"]},
        )

    def test_a_semicolon_keeps_the_value_to_itself(self) -> None:
        self.assertEqual(self.run_ok("6 * 7;").outputs, [])

    def test_names_live_from_cell_to_cell(self) -> None:
        self.run_ok("kept = [1]")
        self.run_ok("kept.append(2)")
        self.assertEqual(self.run_ok("kept").result, "[1, 2]")
        self.assertEqual(self.run_ok("_").result, "[1, 2]")

    def test_a_cell_is_bracketed_by_busy_and_idle_with_its_reply_between(self) -> None:
        cell = self.run_ok("print('x')\n1")
        self.assertEqual(
            [m["msg_type"] for m in cell.on("iopub")], ["status", "execute_input", "stream", "execute_result", "status"]
        )
        self.assertEqual(cell.states, ["busy", "idle"])
        self.assertEqual(len(cell.replies), 1)

    def test_every_message_has_a_complete_header_and_one_session(self) -> None:
        cell = self.run_ok("print('x')\n1")
        for message in cell.messages:
            for key in ("msg_id", "msg_type", "session", "username", "version"):
                self.assertIsInstance(message["header"][key], str, key)
            self.assertIsNotNone(message["header"]["date"])
        self.assertEqual(len({m["header"]["session"] for m in cell.messages}), 1)
        self.assertEqual(len({m["header"]["msg_id"] for m in cell.messages}), len(cell.messages))

    def test_the_count_grows_by_one_for_each_stored_cell(self) -> None:
        first = self.run_ok("1").content["execution_count"]
        self.assertEqual(self.run_ok("1").content["execution_count"], first + 1)
        self.assertEqual(self.client.execute("1 / 0").content["execution_count"], first + 2)

    def test_a_silent_cell_neither_counts_nor_shows_its_value(self) -> None:
        before = self.run_ok("1").content["execution_count"]
        cell = self.run_ok("2", silent=True)
        self.assertEqual(cell.on("iopub", "execute_input", "execute_result"), [])
        self.assertEqual(cell.states, ["busy", "idle"])
        self.assertEqual(self.run_ok("1").content["execution_count"], before + 1)

    def test_a_cell_that_is_not_stored_does_not_count(self) -> None:
        before = self.run_ok("1").content["execution_count"]
        self.assertEqual(self.run_ok("unstored = 5; unstored", store_history=False).result, "5")
        self.assertEqual(self.run_ok("1").content["execution_count"], before + 1)

    def test_user_expressions_answer_one_by_one(self) -> None:
        answers = self.run_ok("ue = 3", user_expressions={"good": "ue + 1", "bad": "ue / 0"}).content[
            "user_expressions"
        ]
        self.assertEqual(answers["good"]["data"]["text/plain"], "4")
        self.assertEqual((answers["bad"]["status"], answers["bad"]["ename"]), ("error", "ZeroDivisionError"))

    def test_set_next_input_is_a_payload(self) -> None:
        payload = self.run_ok("get_ipython().set_next_input('next')").content["payload"]
        self.assertEqual([(p["source"], p["text"]) for p in payload], [("set_next_input", "next")])

    def test_help_is_a_page_payload(self) -> None:
        (page,) = self.run_ok("zip?").content["payload"]
        self.assertEqual(page["source"], "page")
        self.assertIn("zip", page["data"]["text/plain"])

    def test_a_cell_that_only_looks_like_code_for_the_shell_runs_there(self) -> None:
        self.assertEqual(self.run_ok("%time 1").result, "1")
        self.assertEqual(self.run_ok("%%capture caught\nprint('x')").stdout, "")
        self.assertEqual(self.run_ok("caught.stdout").result, "'x\\n'")

    @ours
    def test_a_reply_names_the_mode_and_the_time(self) -> None:
        modes = {
            "1 + 1": "simple_sync",
            "import time; time.sleep(0.01)": "blocking_sync",
            "async def f(): pass": "async_def",
            "import asyncio\nawait asyncio.sleep(0)": "top_level_await",
        }
        for code, mode in modes.items():
            with self.subTest(mode):
                told = self.run_ok(code).ours
                self.assertEqual((told["version"], told["mode"], told["warnings"]), (1, mode, []))
                self.assertLess(told["execution_time"], 5)
                self.assertGreater(told["worker"]["pid"], 1)
                self.assertIsNone(told["transaction"])
        self.assertGreaterEqual(self.run_ok("import time; time.sleep(0.05)").ours["execution_time"], 0.05)

    @ours
    def test_NS_7_a_reply_tells_which_names_the_cell_changed(self) -> None:
        self.assertEqual(self.run_ok("nx = 1; ny = 2").ours["changes"], changes(added=["nx", "ny"]))
        self.assertEqual(self.run_ok("del nx; ny = 3").ours["changes"], changes(changed=["ny"], removed=["nx"]))
        self.assertEqual(self.run_ok("ny").ours["changes"], changes())
        failed = self.client.execute("nz = 1\n1 / 0").ours
        self.assertEqual(failed["changes"], changes(added=["nz"]))
        policy = {"savepoint": {"transaction": "rollback_on_failure"}}
        self.assertEqual(self.client.execute("nw = 1\n1 / 0", metadata=policy).ours["changes"], changes())
        self.assertEqual(self.run_ok("nz = 2", metadata=policy).ours["changes"], changes(changed=["nz"]))

    @ours
    def test_code_that_does_not_parse_has_an_unknown_mode(self) -> None:
        self.assertEqual(self.client.execute("x = = 1").ours["mode"], "unknown")


class Errors(KernelCase):
    def test_an_error_is_told_with_name_value_and_traceback(self) -> None:
        cell = self.run_error("def broken():\n    raise ValueError('because')\nbroken()", "ValueError")
        self.assertEqual(cell.content["evalue"], "because")
        self.assertIn("broken", "\n".join(cell.content["traceback"]))

    def test_a_syntax_error_is_an_error_of_the_cell(self) -> None:
        self.run_error("x = = 1", "SyntaxError")

    def test_leaving_by_system_exit_leaves_only_the_cell(self) -> None:
        self.run_error("import sys; survivor = 1; sys.exit(3)", "SystemExit")
        self.assertEqual(self.run_ok("survivor").result, "1")

    def test_the_kernel_survives_an_exception_that_cannot_be_shown(self) -> None:
        code = "class Mute(Exception):\n    def __str__(self): raise RuntimeError('no words')\nraise Mute()"
        self.assertEqual(self.client.execute(code).status, "error")
        self.run_ok("1")

    def test_the_kernel_survives_endless_recursion(self) -> None:
        self.run_error("def deeper(): return deeper()\ndeeper()", "RecursionError", timeout=60)
        self.run_ok("1")

    def test_a_value_that_cannot_be_shown_is_an_error(self) -> None:
        code = "class Sly:\n    def __repr__(self): raise RuntimeError('not shown')\nSly()"
        self.assertIn("not shown", str(self.client.execute(code).messages))
        self.run_ok("1")


class Queue(KernelCase):
    def start_failing(self, **options: Any) -> Cell:
        """Fails once the test opens the gate, when the kernel has received what was sent behind it."""
        self.gate = Gate()
        return self.client.start(f"{self.gate.code}1 / 0", **options)

    def let_fail(self) -> None:
        self.client.wait_until_received()
        self.gate.open()

    def test_cells_received_before_a_failure_are_aborted_and_later_ones_run(self) -> None:
        count = self.run_ok("1").content["execution_count"]
        failing = self.start_failing()
        aborted = [self.client.start(f"ran = {n}") for n in range(3)]
        self.let_fail()
        failing.wait()
        for cell in aborted:
            self.assertEqual(cell.wait().status, "aborted")
            # JupyterLab would show it as the number of a cell that was not run.
            self.assertFalse(cell.content.get("execution_count"))
            self.assertEqual([m["msg_type"] for m in cell.on("iopub")], ["status", "status"])
        self.assertEqual(self.run_ok("'ran' in dir()").result, "False")
        self.assertEqual(self.run_ok("1").content["execution_count"], count + 3)

    def test_other_requests_are_not_aborted(self) -> None:
        failing = self.start_failing()
        completing = self.client.request("complete_request", {"code": "zi", "cursor_pos": 2})
        informing = self.client.request("kernel_info_request", {})
        self.let_fail()
        failing.wait()
        self.assertIn("zip", completing.wait().content["matches"])
        self.assertEqual(informing.wait().status, "ok")

    def test_a_failure_that_does_not_stop_lets_the_queue_run(self) -> None:
        failing = self.start_failing(stop_on_error=False)
        behind = self.client.start("behind = 1; behind")
        self.let_fail()
        self.assertEqual(failing.wait().status, "error")
        self.assertEqual(behind.wait().result, "1")

    def test_cells_run_in_the_order_sent(self) -> None:
        self.run_ok("order = []")
        cells = [self.client.start(f"order.append({n})") for n in range(50)]
        cells[-1].wait()
        self.assertEqual(self.run_ok("order == list(range(50))").result, "True")


class Introspection(KernelCase):
    def test_completion_counts_code_points(self) -> None:
        code = "'𝒳é'; zi"
        reply = self.client.ask("complete_request", {"code": code, "cursor_pos": len(code)})
        self.assertIn("zip", reply["matches"])
        self.assertEqual((reply["cursor_start"], reply["cursor_end"]), (len(code) - 2, len(code)))

    def test_completion_knows_live_objects(self) -> None:
        self.run_ok("class Holder:\n    remarkable_name = 1\nholder = Holder()")
        reply = self.client.ask("complete_request", {"code": "holder.rem", "cursor_pos": 10})
        self.assertTrue(any(match.endswith("remarkable_name") for match in reply["matches"]), reply["matches"])

    @ours
    def test_half_a_file_that_a_killed_kernel_left_in_jedis_cache_hides_no_name(self) -> None:
        cache = scratch("jedi")
        _, client = fresh_kernel(self, env={**os.environ, "XDG_CACHE_HOME": str(cache)})
        client.execute("alpha = albert = 5")
        matches = []
        for _ in range(2):
            reply = client.ask("complete_request", {"code": "al", "cursor_pos": 2})
            matches.append({"alpha", "albert"} & set(reply["matches"]))
            kept = list(cache.glob("jedi/*/*.pkl"))
            self.assertTrue(kept)
            for file in kept:
                os.truncate(file, file.stat().st_size // 2)
            # As in a kernel that has not completed anything yet.
            client.execute("import parso.cache; parso.cache.parser_cache.clear()")
        self.assertEqual(matches, [{"alpha", "albert"}] * 2)

    def test_inspection_finds_and_does_not_find(self) -> None:
        found = self.client.ask("inspect_request", {"code": "zip", "cursor_pos": 3, "detail_level": 0})
        self.assertTrue(found["found"])
        self.assertIn("zip", found["data"]["text/plain"])
        lost = self.client.ask("inspect_request", {"code": "nowhere_to_be_found", "cursor_pos": 5, "detail_level": 0})
        self.assertEqual((lost["status"], lost["found"], lost["data"]), ("ok", False, {}))

    def test_completeness_is_judged(self) -> None:
        for code, status in {
            "1": "complete",
            "for i in range(3):": "incomplete",
            "x = = 1": "invalid",
            "%time 1": "complete",
        }.items():
            with self.subTest(code):
                self.assertEqual(self.client.ask("is_complete_request", {"code": code})["status"], status)

    def test_kernel_info_answers_on_shell_and_control(self) -> None:
        for channel in ("shell", "control"):
            info = self.client.ask("kernel_info_request", channel=channel)
            self.assertEqual(info["status"], "ok")
            self.assertEqual(info["language_info"]["name"], "python")
            self.assertEqual(info["language_info"]["file_extension"], ".py")
            self.assertTrue(info["banner"])

    def test_kernel_info_answers_on_control_while_a_cell_runs(self) -> None:
        cell = self.client.start("input('go on? ')")
        cell.wait_for("stdin", "input_request")
        self.assertEqual(self.client.ask("kernel_info_request", channel="control")["status"], "ok")
        self.assertFalse(cell.is_done)
        cell.answer("yes")
        cell.wait()

    @ours
    def test_kernel_info_answers_on_shell_while_a_cell_runs(self) -> None:
        cell = self.client.start("input('go on? ')")
        cell.wait_for("stdin", "input_request")
        info = self.client.request("kernel_info_request", {})
        info.wait_for("shell", "kernel_info_reply")
        self.assertFalse(cell.is_done)
        cell.answer("yes")
        cell.wait()

    def test_a_request_of_an_unknown_type_is_bracketed_and_not_answered(self) -> None:
        unknown = self.client.request("mystery_request", {})
        self.run_ok("1")
        self.client.wait_until(lambda: unknown.states == ["busy", "idle"], PATIENCE_S, "busy and idle")
        self.assertEqual(unknown.replies, [])


class History(KernelCase):
    def lines(self, **content: object) -> list[list[object]]:
        return self.client.ask("history_request", {"output": False, "raw": True, **content})["history"]

    def test_tail_ends_with_the_newest_cell(self) -> None:
        self.run_ok("history_one = 1")
        self.run_ok("history_two = 2")
        self.assertEqual(
            [line[2] for line in self.lines(hist_access_type="tail", n=2)], ["history_one = 1", "history_two = 2"]
        )

    def test_search_takes_patterns_and_can_be_unique(self) -> None:
        for _ in range(3):
            self.run_ok("needle = 'found'")
        matches = self.lines(hist_access_type="search", pattern="needle*", n=10, unique=True)
        self.assertEqual([line[2] for line in matches], ["needle = 'found'"])

    def test_range_counts_in_the_present_session(self) -> None:
        count = self.run_ok("ranged = 1").content["execution_count"]
        (line,) = self.lines(hist_access_type="range", session=0, start=count, stop=count + 1)
        self.assertEqual((line[1], line[2]), (count, "ranged = 1"))

    def test_cells_that_are_not_stored_leave_no_trace(self) -> None:
        self.run_ok("untraced = 1", store_history=False)
        self.assertNotIn("untraced = 1", [line[2] for line in self.lines(hist_access_type="tail", n=5)])

    def test_in_and_out_know_the_cells(self) -> None:
        count = self.run_ok("'remembered'").content["execution_count"]
        self.assertEqual(self.run_ok(f"In[{count}], Out[{count}]").result, "(\"'remembered'\", 'remembered')")


def changes(**lists: list[str]) -> dict[str, list[str]]:
    return {"added": [], "changed": [], "removed": [], **lists}


if __name__ == "__main__":
    main()
