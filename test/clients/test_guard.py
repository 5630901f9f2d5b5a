"""The guard: whatever a cell does to its process, the state before that cell is back."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from support import processes
from support.case import KernelCase, main
from support.client import PATIENCE_S, Cell, start_kernel, stop_kernel
from support.comms import transactions
from support.subject import ours

#: Ways to end a process, and how the reply names each.
DEATHS = {
    "import ctypes; ctypes.string_at(0)": "SIGSEGV",
    "import os; os.abort()": "SIGABRT",
    "import os; os._exit(3)": "exit code 3",
    "import os, signal; os.kill(os.getpid(), signal.SIGKILL)": "SIGKILL",
    "import faulthandler; faulthandler._sigill() if hasattr(faulthandler, '_sigill') else __import__('os').kill("
    "__import__('os').getpid(), 4)": "SIGILL",
}


class GuardedCase(KernelCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel(extra_arguments=["--guard"])
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def pid(self) -> int:
        return int(self.client.value("__import__('os').getpid()"))

    def assert_died(self, cell: Cell, cause: str) -> dict[str, Any]:
        """The cell was told what happened; `recovery` of its reply."""
        self.assert_error(cell, "WorkerDied")
        recovery: dict[str, Any] = cell.ours["recovery"]
        self.assertEqual((recovery["cause"], recovery["restored_from"]), (cause, "guard"))
        self.assertIn("The state before this cell is back.", cell.content["evalue"])
        self.assertEqual(cell.states, ["busy", "idle"])
        return recovery

    def kill_at_rest(self) -> None:
        """Kill the process from outside, and wait until the kernel has another one."""
        comm = transactions(self.client)
        os.kill(self.pid(), signal.SIGKILL)
        comm.wait_for_event("recovery")
        comm.close()


@ours
class Deaths(GuardedCase):
    def test_each_death_costs_the_cell_that_did_it_and_nothing_else(self) -> None:
        self.run_ok("items = [1]; alias = items; count = 0")
        for code, cause in DEATHS.items():
            with self.subTest(cause):
                before = self.run_ok("items.append(len(items) + 1); count += 1; count").result
                cell = self.client.execute(f"items.clear(); count = -1\n{code}")
                self.assertEqual(self.assert_died(cell, cause)["lost"], [])
                after = self.run_ok("(count, len(items), alias is items)")
                self.assertEqual(after.result, f"({before}, {int(before or 0) + 1}, True)")
                self.assertEqual(after.content["execution_count"], cell.content["execution_count"] + 1)

    def test_a_first_cell_that_dies_leaves_an_empty_kernel(self) -> None:
        manager, client = start_kernel(extra_arguments=["--guard"])
        self.addCleanup(stop_kernel, manager, client)
        cell = client.execute("x = 1\nimport os; os._exit(3)")
        self.assert_died(cell, "exit code 3")
        self.assertEqual(client.execute("'x' in dir()").result, "False")

    def test_killed_from_outside_in_a_cell_and_at_rest(self) -> None:
        pid = self.pid()
        self.run_ok("kept = [1, 2]")
        cell = self.client.start("kept.append(3)\nprint('at it', flush=True)\nimport time; time.sleep(600)")
        cell.wait_for_output("at it")
        queued = self.client.start("kept = 'never run'")
        self.client.wait_until_received()
        os.kill(pid, signal.SIGKILL)
        self.assert_died(cell.wait(), "SIGKILL")
        self.assertEqual(queued.wait().status, "aborted")
        self.assertEqual(self.run_ok("kept").result, "[1, 2]")
        self.run_ok("kept.append(4)")
        self.kill_at_rest()
        cell = self.run_ok("kept")
        self.assertEqual(cell.result, "[1, 2, 4]")
        self.assertIn("The state is as it was after the last cell.", cell.ours["warnings"][0])

    def test_a_comm_message_that_kills_costs_only_itself(self) -> None:
        self.run_ok(
            "from comm import create_comm\nimport os\nseen = []\n"
            "c = create_comm(target_name='t', comm_id='deadly')\n"
            "c.on_msg(lambda m: seen.append(m['content']['data']) or os._exit(5))"
        )
        comm = transactions(self.client)
        message = self.client.request("comm_msg", {"comm_id": "deadly", "data": 1})
        self.client.wait_until(lambda: "idle" in message.states, PATIENCE_S, "idle")
        comm.wait_for_event("recovery")
        self.assertEqual(self.client.value("seen"), "[]")

    def test_a_completion_that_kills_costs_only_itself(self) -> None:
        self.run_ok("import os\nclass Trap:\n    def __dir__(self): os._exit(6)\ntrap = Trap(); kept = 1")
        reply = self.client.ask("complete_request", {"code": "trap.", "cursor_pos": 5})
        self.assertIn(reply["status"], ("error", "ok"))
        self.assertEqual(self.run_ok("kept").result, "1")

    def test_open_transactions_stay_open_and_those_of_the_cell_are_lost(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("%begin outer")
        self.run_ok("n = 2")
        cell = self.client.execute("import savepoint\nsavepoint.begin('inner')\nn = 3\nimport os; os._exit(3)")
        self.assert_died(cell, "exit code 3")
        self.assertEqual(self.client.value("n"), "2")
        opened = transactions(self.client).ask("status")["transactions"]
        self.assertEqual([each["name"] for each in opened], ["outer"])
        self.run_ok("%rollback")
        self.assertEqual(self.client.value("n"), "1")

    def test_a_death_right_after_begin_keeps_it(self) -> None:
        self.run_ok("n = 1")
        comm = transactions(self.client)
        opened = comm.ask("begin", name="fresh")
        os.kill(self.pid(), signal.SIGKILL)
        comm.wait_for_event("recovery")
        self.run_ok("n = 2")
        self.assertEqual([each["id"] for each in comm.ask("status")["transactions"]], [opened["id"]])
        comm.ask("rollback")
        self.assertEqual(self.client.value("n"), "1")

    def test_a_block_that_dies_is_left_by_RolledBack(self) -> None:
        self.run_ok("n = 1")
        code = (
            "import savepoint, os\ntry:\n    with savepoint.transaction():\n        n = 2; os._exit(3)\n"
            "except savepoint.RolledBack as rolled_back:\n    why = rolled_back.reason"
        )
        self.run_ok(code)
        self.assertEqual(self.client.value("(n, why)"), "(1, 'worker_died')")

    def test_undo_goes_on_after_a_death(self) -> None:
        self.run_ok("n = 1")
        self.run_ok("n = 2")
        self.assert_died(self.client.execute("n = 3\nimport os; os._exit(1)"), "exit code 1")
        self.run_ok("%undo")
        self.assertEqual(self.client.value("n"), "1")

    def test_threads_and_connections_are_named_as_lost_and_tasks_go_on(self) -> None:
        self.run_ok(
            "import asyncio, os, socket, threading, time\nticks = []\n"
            "async def tick():\n    while True:\n        ticks.append(1); await asyncio.sleep(0.02)\n"
            "task = asyncio.create_task(tick())\n"
            "thread = threading.Thread(target=time.sleep, args=(600,), name='sleeper', daemon=True); thread.start()\n"
            "server = socket.create_server(('127.0.0.1', 0)); port = server.getsockname()[1]"
        )
        port = self.client.value("port")
        grown = int(self.run_ok("ticks_then = len(ticks); ticks_then").result or 0)
        cell = self.client.execute("os._exit(3)")
        recovery = self.assert_died(cell, "exit code 3")
        self.assertIn("thread 'sleeper'", recovery["lost"])
        self.assertIn(f"socket 127.0.0.1:{port}", recovery["lost"])
        self.assertIn("thread 'sleeper'", cell.stderr)
        self.run_ok("await asyncio.sleep(0.2)")
        self.assertGreater(int(self.client.value("len(ticks)")), grown)
        self.run_ok("task.cancel()")

    def test_what_dies_by_itself_again_and_again_gives_way_to_an_older_state(self) -> None:
        self.run_ok("n = 'before'")
        self.run_ok(
            "import asyncio, os\nasync def fatal():\n    await asyncio.sleep(0.05); os.abort()\n"
            "task = asyncio.create_task(fatal()); n = 'fatal'"
        )
        deadline = time.monotonic() + PATIENCE_S
        while True:
            cell = self.client.execute("n", silent=True, user_expressions={"n": "n"})
            if cell.status == "ok" and "before" in str(cell.content["user_expressions"]):
                break
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.3)


@ours
class Stubborn(GuardedCase):
    """Code that no interrupt reaches."""

    def start_loop(self) -> Cell:
        worker = self.pid()
        cell = self.client.start("kept.append(3)\nprint('at it', flush=True)\nsum(range(10**13))")
        cell.wait_for_output("at it")
        # When the code in C has begun can be seen by nobody; before that, Python would hear the interrupt. Nothing else
        # of the cell needs so much of the processor's time.
        begun, deadline = processes.processor_seconds(worker) + 0.3, time.monotonic() + PATIENCE_S
        while processes.processor_seconds(worker) < begun:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        return cell

    def assert_ended(self, cell: Cell, why: str) -> None:
        cell.wait()
        self.assert_error(cell, "WorkerDied")
        self.assertIn(why, cell.content["evalue"])
        self.assertIn("does not react to an interrupt", cell.stderr)
        self.assertEqual(cell.ours["recovery"]["cause"], "interrupt")
        self.assertEqual(self.run_ok("kept").result, "[1, 2]")

    def test_is_ended_by_a_second_interrupt_after_a_notice(self) -> None:
        self.run_ok("kept = [1, 2]")
        cell = self.start_loop()
        self.client.ask("interrupt_request", channel="control")
        cell.wait_for("iopub", "stream", count=2)
        self.client.wait_until(lambda: "interrupt" in cell.stderr, PATIENCE_S, "notice")
        self.client.ask("interrupt_request", channel="control")
        self.assert_ended(cell, "two interrupts")

    def test_that_Python_gets_to_is_interrupted_as_ever(self) -> None:
        self.run_ok("import re, time; kept = [1, 2]")
        for code in ("re.match('(a*)*b', 'a' * 40)", "time.sleep(600)"):
            cell = self.client.start(f"print('at it', flush=True)\n{code}")
            cell.wait_for_output("at it")
            self.client.ask("interrupt_request", channel="control")
            cell.wait()
            self.assert_error(cell, "KeyboardInterrupt")
            self.assertIsNone(cell.ours["recovery"])

    def test_that_catches_the_interrupt_goes_on(self) -> None:
        code = (
            "import time\ntry:\n    print('at it', flush=True); time.sleep(600)\nexcept KeyboardInterrupt:\n"
            "    print('caught', flush=True)\nend = time.monotonic() + 3\nwhile time.monotonic() < end: pass\n'done'"
        )
        cell = self.client.start(code)
        cell.wait_for_output("at it")
        self.client.ask("interrupt_request", channel="control")
        self.assertEqual(cell.wait().result, "'done'")
        self.assertEqual(cell.stderr, "")


if __name__ == "__main__":
    main()
