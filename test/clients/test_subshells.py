"""Subshells: requests beside the main shell, made and named by the client."""

from __future__ import annotations

import os
import uuid
from typing import Any

from support.case import KernelCase, fresh_kernel, main
from support.client import PATIENCE_S, Cell, Client, Gate
from support.subject import ours


class SubshellCase(KernelCase):
    def create(self) -> str:
        reply = self.client.ask("create_subshell_request", channel="control")
        self.addCleanup(self.client.ask, "delete_subshell_request", {"subshell_id": reply["subshell_id"]}, "control")
        return reply["subshell_id"]

    def start_in(self, subshell: str, code: str, client: Client | None = None, **options: Any) -> Cell:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        return self.request_in(subshell, "execute_request", content, client, **options)

    def request_in(
        self, subshell: str, msg_type: str, content: dict[str, Any], client: Client | None = None, **options: Any
    ) -> Cell:
        client = client or self.client
        message = client.kc.session.msg(msg_type, content, **options)
        message["header"]["subshell_id"] = subshell
        client.kc.session.send(client.channels["shell"], message)
        return Cell(client, message["header"]["msg_id"], "shell")


class Subshells(SubshellCase):
    def test_are_made_listed_and_deleted(self) -> None:
        subshell = self.client.ask("create_subshell_request", channel="control")["subshell_id"]
        self.assertEqual(self.client.ask("list_subshell_request", channel="control")["subshell_id"], [subshell])
        self.client.ask("delete_subshell_request", {"subshell_id": subshell}, channel="control")
        self.assertEqual(self.client.ask("list_subshell_request", channel="control")["subshell_id"], [])

    def test_run_while_the_main_shell_is_busy(self) -> None:
        subshell = self.create()
        self.run_ok("import threading\ngate = threading.Event()")
        cell = self.client.start("print('on')\ngate.wait(60)")
        cell.wait_for_output("on")
        other = self.start_in(subshell, "print('beside')\ngate.set()").wait()
        self.assertEqual((other.stdout, other.states), ("beside\n", ["busy", "idle"]))
        self.assertEqual(cell.wait().result, "True")

    def test_one_that_is_made_while_the_main_shell_is_busy_runs_at_once(self) -> None:
        cell = self.client.start("import time\nprint('on')\nwaited = 0\nwhile 'go' not in globals(): time.sleep(0.01)")
        cell.wait_for_output("on")
        self.start_in(self.create(), "go = 1").wait()
        self.assertEqual(cell.wait().status, "ok")

    def test_control_is_answered_while_all_are_busy(self) -> None:
        subshell = self.create()
        self.run_ok("import threading\ngate = threading.Event()")
        cells = [self.client.start("print('on'); gate.wait(60)"), self.start_in(subshell, "print('on'); gate.wait(60)")]
        for cell in cells:
            cell.wait_for_output("on")
        self.assertEqual(self.client.ask("kernel_info_request", channel="control")["status"], "ok")
        self.assertIn(subshell, self.client.ask("list_subshell_request", channel="control")["subshell_id"])
        last = self.start_in(self.create(), "gate.set()")
        for cell in (*cells, last):
            self.assertEqual(cell.wait().status, "ok")

    def test_what_they_display_and_ask_belongs_to_their_request(self) -> None:
        subshell = self.create()
        self.run_ok("import threading\nfrom IPython.display import display\nbarrier = threading.Barrier(2)")
        code = "barrier.wait(60); display('%s'); barrier.wait(60); print('%s'); barrier.wait(60); '%s'"
        cells = [self.client.start(code % (("main",) * 3)), self.start_in(subshell, code % (("other",) * 3))]
        for cell, name in zip(cells, ("main", "other")):
            cell.wait()
            shown = cell.on("iopub", "display_data")[0]["content"]["data"]["text/plain"]
            self.client.wait_until(lambda cell=cell: cell.stdout, PATIENCE_S, "output")
            self.assertEqual((shown, cell.stdout, cell.result), (repr(name), f"{name}\n", repr(name)))
        asking = self.start_in(subshell, "input('? ')")
        asking.wait_for("stdin", "input_request")
        self.assertEqual(self.run_ok("1").result, "1")
        asking.answer("yes")
        self.assertEqual(asking.wait().result, "'yes'")

    def test_an_unknown_one_is_an_error(self) -> None:
        cell = self.start_in("nobody", "1").wait()
        self.assertEqual((cell.status, cell.content["ename"]), ("error", "UnknownSubshellError"))
        self.assertEqual(cell.states, ["busy", "idle"])
        deleting = self.client.ask("delete_subshell_request", {"subshell_id": "nobody"}, channel="control")
        self.assertEqual(deleting["status"], "error")

    def test_an_error_aborts_what_waits_there_alone(self) -> None:
        first, second = self.create(), self.create()
        gate = Gate()
        cells = [self.start_in(first, code) for code in (f"{gate.code}1 / 0", "1")]
        others = [self.start_in(second, "1"), self.client.start("1")]
        self.client.wait_until_received()
        gate.open()
        self.assertEqual([cell.wait().status for cell in (*cells, *others)], ["error", "aborted", "ok", "ok"])
        self.assertEqual(self.start_in(first, "1").wait().status, "ok")

    @ours
    def test_an_interrupt_is_the_main_shells(self) -> None:
        subshell = self.create()
        self.run_ok("import threading, time\ngate = threading.Event()")
        other = self.start_in(subshell, "print('on'); gate.wait(60)")
        other.wait_for_output("on")
        cell = self.client.start("print('on')\nwhile True: time.sleep(0.01)")
        cell.wait_for_output("on")
        self.manager.interrupt_kernel()
        self.assertEqual(cell.wait().content["ename"], "KeyboardInterrupt")
        self.run_ok("gate.set()")
        self.assertEqual(other.wait().status, "ok")

    def test_the_magic_knows_them(self) -> None:
        subshell = self.create()
        cell = self.start_in(subshell, "%subshell").wait()
        self.client.wait_until(lambda: "subshell list" in cell.stdout, PATIENCE_S, "the list")
        self.assertIn(f"subshell id: {subshell}\n", cell.stdout)
        self.assertIn(f"subshell list: ['{subshell}']", cell.stdout)

    def test_a_cell_there_may_wait_for_a_widget(self) -> None:
        subshell = self.create()
        self.run_ok(
            "import asyncio, comm\nheard = []\n"
            "def opened(c, m): c.on_msg(lambda m: heard.append(m['content']['data'])); c.send({})\n"
            "comm.get_comm_manager().register_target('t', opened)"
        )
        comm_id = uuid.uuid4().hex
        opening = self.request_in(subshell, "comm_open", {"comm_id": comm_id, "target_name": "t", "data": {}})
        opening.wait_for("iopub", "comm_msg")
        cell = self.start_in(subshell, "print('on')\nwhile not heard: await asyncio.sleep(0.01)\nheard")
        cell.wait_for_output("on")
        self.client.request("comm_msg", {"comm_id": comm_id, "data": {"n": 1}})
        self.assertEqual(cell.wait().result, "[{'n': 1}]")

    @ours
    def test_a_result_that_is_being_shown_knows_nothing_of_errors_and_results_beside_it(self) -> None:
        subshell = self.create()
        self.run_ok(
            "import threading\ngate = threading.Event()\nclass Slow:\n    def __repr__(self):\n"
            "        print('shown')\n        gate.wait(60)\n        return 'slow'"
        )
        cell = self.client.start("Slow()")
        cell.wait_for_output("shown")
        failing = self.start_in(subshell, "1 / 0").wait()
        other = self.start_in(subshell, "'other'").wait()
        self.start_in(subshell, "gate.set()").wait()
        self.assertEqual((cell.wait().status, cell.result), ("ok", "slow"))
        self.assertEqual((failing.content["ename"], failing.content["traceback"] != []), ("ZeroDivisionError", True))
        self.assertEqual((other.status, other.result), ("ok", "'other'"))

    @ours
    def test_a_transaction_there_is_refused(self) -> None:
        metadata = {"savepoint": {"transaction": "rollback_on_failure"}}
        cell = self.start_in(self.create(), "1", metadata=metadata).wait()
        self.assert_refused(cell, "engine_unavailable")

    @ours
    def test_they_are_not_offered_unless_that_is_set(self) -> None:
        self.assertNotIn("kernel subshells", self.client.ask("kernel_info_request")["supported_features"])
        environment = {**os.environ, "SAVEPOINT_KERNEL_SUBSHELLS": "on"}
        _, client = fresh_kernel(self, env=environment)
        self.assertIn("kernel subshells", client.ask("kernel_info_request")["supported_features"])


@ours
class WithTransactions(SubshellCase):
    def test_a_rollback_ends_what_they_are_at_and_they_go_on_afterwards(self) -> None:
        subshell = self.create()
        self.run_ok("import threading\nx = 1\ngate = threading.Event()")
        busy = self.start_in(subshell, "mine = 1; print('on'); gate.wait(60)")
        waiting = self.start_in(subshell, "x")
        busy.wait_for_output("on")
        cell = self.client.execute("x = 2\n1 / 0", metadata={"savepoint": {"transaction": "rollback_on_failure"}})
        self.assertEqual(cell.ours["transaction"]["outcome"], "rolled_back")
        self.assertIn("requests that were at work in subshells: 1", cell.ours["transaction"]["limits"])
        self.assert_refused(busy.wait(), "subshell_lost")
        # It was sent before the other failed.
        self.assertEqual(waiting.wait().status, "aborted")
        self.assertEqual(self.start_in(subshell, "x").wait().result, "1")
        self.assertEqual(self.run_ok("x, threading.active_count()").result, "(1, 2)")

    def test_ten_rollbacks_while_subshells_work(self) -> None:
        subshells = [self.create() for _ in range(3)]
        self.run_ok("import importlib, sys\nx = 0")
        work = (
            "for name in ('colorsys', 'wave', 'mailbox', 'tabnanny', 'zipapp', 'xml.sax', 'plistlib'):\n"
            "    sys.modules.pop(name, None)\n"
            "    try: importlib.import_module(name)\n"
            "    except (ImportError, KeyError): pass\n"
            "    print(name)"
        )
        for n in range(10):
            cells = [self.start_in(subshell, work) for subshell in subshells for _ in range(3)]
            metadata = {"savepoint": {"transaction": "rollback_on_failure"}}
            failing = self.client.execute("x = 1\nimport plistlib, mailbox\n1 / 0", metadata=metadata)
            self.assertEqual(failing.status, "error")
            for cell in cells:
                self.assertIn(cell.wait().status, ("ok", "error", "aborted"))
            self.assertEqual(self.run_ok("import plistlib, mailbox, colorsys\nx").result, "0", f"round {n}")

    def test_a_block_in_the_main_shell_is_rolled_back_beside_them(self) -> None:
        subshell = self.create()
        self.run_ok("import savepoint\nx = 1")
        self.run_error("with savepoint.transaction():\n    x = 2\n    1 / 0", "RolledBack")
        self.assertEqual(self.start_in(subshell, "x = x + 1\nx").wait().result, "2")

    def test_a_death_leaves_an_error_for_each_request(self) -> None:
        _, client = fresh_kernel(self)
        subshell = client.ask("create_subshell_request", channel="control")["subshell_id"]
        busy = self.start_in(subshell, "import time; print('on'); time.sleep(600)", client)
        busy.wait_for_output("on")
        client.start("import os; os._exit(3)")
        self.assertEqual(busy.wait().status, "error")


if __name__ == "__main__":
    main()
