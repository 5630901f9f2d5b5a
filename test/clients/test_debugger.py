"""The debugger: requests of the debug adapter protocol, as JupyterLab sends them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
import unittest
from pathlib import Path

from support import processes
from support.case import KernelCase, fresh_kernel, main, plain
from support.client import PATIENCE_S, Cell
from support.debugger import Debugger
from support.subject import IS_ORACLE, ours

CODE = "def f(a, b):\n    c = a + b\n    return c\n\nf(2, 3)"
LOOP = "import time\nprint('in', flush=True)\nwhile True: time.sleep(0.01)"


def children_of(pid: int) -> set[str]:
    """All descendants of a process."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    pairs = [line.split() for line in listed.splitlines()]
    found, size = {str(pid)}, 0
    while len(found) > size:
        size = len(found)
        found |= {child for child, parent in pairs if parent in found}
    return found - {str(pid)}


class BeforeTheDebugger(KernelCase):
    """As long as nobody debugs."""

    def setUp(self) -> None:
        super().setUp()
        self.debugger = Debugger(self.client)

    def interrupt(self, cell: Cell) -> None:
        self.manager.interrupt_kernel()
        self.assert_error(cell.wait(), "KeyboardInterrupt")

    def test_the_kernel_says_that_it_can_be_debugged(self) -> None:
        info = self.client.ask("kernel_info_request")
        self.assertTrue(info["debugger"])
        self.assertIn("debugger", info["supported_features"])

    def test_the_facts_are_told_while_a_cell_runs(self) -> None:
        cell = self.client.start(LOOP)
        cell.wait_for_output("in")
        body = self.debugger.body("debugInfo")
        self.assertFalse(cell.is_done)
        self.interrupt(cell)
        self.assertEqual(body["hashMethod"], "Murmur2")
        self.assertEqual(body["hashSeed"], 0xC70F6907)
        self.assertIs(body["isStarted"], False)
        self.assertEqual((body["breakpoints"], body["stoppedThreads"]), ([], []))
        self.assertTrue(body["richRendering"] and body["copyToGlobals"])
        shown = self.run_ok("import sys; sys._getframe().f_code.co_filename").result
        self.assertTrue(eval(shown or "").startswith(body["tmpFilePrefix"]), shown)
        self.assertTrue(eval(shown or "").endswith(body["tmpFileSuffix"]), shown)

    def test_what_needs_a_session_is_answered_with_nothing(self) -> None:
        self.assertEqual(self.debugger.ask("setBreakpoints", {"source": {"path": "x"}, "breakpoints": []}), {})
        self.assertEqual(self.debugger.ask("threads"), {})

    def test_variables_and_modules_are_shown_without_a_session(self) -> None:
        self.run_ok("known = 'yes'")
        names = [each["name"] for each in self.debugger.body("inspectVariables")["variables"]]
        self.assertIn("known", names)
        rich = self.debugger.body("richInspectVariables", {"variableName": "known"})
        self.assertEqual(rich["data"], {"text/plain": "'yes'"})
        self.assertGreater(self.debugger.ask("modules")["body"]["totalModules"], 100)
        self.assertIs(self.debugger.body("debugInfo")["isStarted"], False)

    @ours
    def test_nothing_is_imported_or_started_for_it(self) -> None:
        _, client = fresh_kernel(self)
        Debugger(client).body("debugInfo")
        self.assertEqual(client.value("'debugpy' in __import__('sys').modules"), "False")
        self.assertEqual(client.value("len(__import__('os').listdir('/proc/self/task'))"), "1")

    def test_a_session_can_begin_while_a_cell_runs(self) -> None:
        cell = self.client.start(LOOP)
        cell.wait_for_output("in")
        self.debugger.attach()
        self.assertFalse(cell.is_done)
        self.interrupt(cell)
        self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().result, "5")
        self.debugger.detach()
        self.assertIs(self.debugger.body("debugInfo")["isStarted"], False)

    @ours
    def test_a_session_leaves_nothing_behind(self) -> None:
        folder = self.debugger.body("debugInfo")["tmpFilePrefix"]
        before = self.client.value("(__import__('sys').breakpointhook, __import__('os').fork)")
        self.debugger.attach()
        self.debugger.set_breakpoints(CODE, 2)
        self.assertTrue(os.path.isdir(folder))
        self.debugger.detach()
        self.assertFalse(os.path.exists(folder))
        after = self.client.value("(__import__('sys').breakpointhook, __import__('os').fork)")
        self.assertEqual(after, before)
        self.assertEqual(self.client.value("__import__('sys').gettrace()"), "None")
        threads = "len(__import__('os').listdir('/proc/self/task'))"
        self.client.wait_until(lambda: self.client.value(threads) == "1", PATIENCE_S, "one thread")

    @ours
    def test_a_session_whose_adapter_was_killed_is_over_and_another_one_can_begin(self) -> None:
        self.debugger.attach()
        self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        for pid in children_of(self.manager.provisioner.pid):
            # It may have ended since it was listed.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if b"debugpy/adapter" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(int(pid), signal.SIGKILL)
        self.assertEqual(cell.wait().result, "5")
        self.client.wait_until(
            lambda: not self.debugger.ask("threads").get("success"), PATIENCE_S, "the end of the session"
        )
        self.debugger.attach()
        self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        self.assertEqual(self.debugger.stack(thread), [("f", 2), ("<module>", 5)])
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().result, "5")
        self.debugger.detach()


class InASession(KernelCase):
    """One session for all tests."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.debugger = Debugger(cls.client)
        cls.debugger.attach()

    def test_expressions_are_evaluated(self) -> None:
        body = self.debugger.body("evaluate", {"expression": "'a' + 'b'", "context": "repl"})
        self.assertEqual(body["result"], "ab")

    def test_breakpoints_are_remembered(self) -> None:
        path = self.debugger.set_breakpoints("x = 1\ny = 2", 2)
        breakpoints = self.debugger.body("debugInfo")["breakpoints"]
        self.assertIn({"source": path, "breakpoints": [{"line": 2}]}, breakpoints)

    def test_the_text_of_a_cell_is_told(self) -> None:
        path = self.debugger.set_breakpoints("x = 'text'")
        self.assertEqual(self.debugger.body("source", {"source": {"path": path}}), {"content": "x = 'text'"})
        missing = self.debugger.ask("source", {"source": {"path": "/nowhere.py"}})
        self.assertIs(missing["success"], False)

    def test_a_cell_stops_steps_and_goes_on(self) -> None:
        path = self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        self.assertEqual(self.debugger.body("debugInfo")["stoppedThreads"].count(thread), 1)
        frames = self.debugger.frames(thread)
        self.assertEqual([(each["name"], each["line"]) for each in frames], [("f", 2), ("<module>", 5)])
        self.assertEqual({each["source"]["path"] for each in frames}, {path})
        self.assertEqual(self.debugger.variables(frames[0]["id"], "Locals"), {"a": "2", "b": "3"})
        self.assertEqual(self.debugger.step(thread), [("f", 3), ("<module>", 5)])
        self.assertEqual(self.debugger.variables(self.debugger.frames(thread)[0]["id"], "Locals")["c"], "5")
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().result, "5")

    def test_no_step_leads_into_the_kernel(self) -> None:
        self.debugger.set_breakpoints("steps = 1\nsteps = 2", 2)
        cell, thread = self.debugger.run_into("steps = 1\nsteps = 2")
        self.assertEqual(self.debugger.stack(thread), [("<module>", 2)])
        self.debugger.ask("next", {"threadId": thread})
        self.assertEqual(cell.wait().status, "ok")
        # ipykernel stops here, in a file of IPython.
        if not IS_ORACLE:
            self.assertEqual(self.run_ok("steps").result, "2")
        else:
            self.debugger.go_on(thread)

    def test_a_value_is_shown_as_its_cell_would_show_it(self) -> None:
        self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        frame = self.debugger.frames(thread)[0]["id"]
        rich = self.debugger.body("richInspectVariables", {"variableName": "a", "frameId": frame})
        self.assertEqual(rich["data"], {"text/plain": "2"})
        self.debugger.go_on(thread)
        cell.wait()

    def test_empty_lines_at_the_top_count(self) -> None:
        code = "\n" + CODE
        self.debugger.set_breakpoints(code, 6)
        cell, thread = self.debugger.run_into(code)
        self.assertEqual(self.debugger.stack(thread), [("<module>", 6)])
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().status, "ok")

    def test_a_local_is_copied_to_the_globals(self) -> None:
        self.debugger.set_breakpoints(CODE, 3)
        cell, thread = self.debugger.run_into(CODE)
        frame = self.debugger.frames(thread)[0]["id"]
        names = {"srcVariableName": "c", "dstVariableName": "c_copy", "srcFrameId": frame}
        self.debugger.body("copyToGlobals", names)
        self.assertEqual(self.debugger.variables(frame, "Globals")["c_copy"], "5")
        self.debugger.go_on(thread)
        cell.wait()
        self.assertEqual(self.client.value("c_copy"), "5")
        wrong = {**names, "dstVariableName": "x'] or globals()['y"}
        self.assertIs(self.debugger.ask("copyToGlobals", wrong)["success"], False)

    def test_requests_are_served_one_after_the_other(self) -> None:
        self.debugger.set_breakpoints(CODE, 2)
        cell, thread = self.debugger.run_into(CODE)
        frame = self.debugger.frames(thread)[0]["id"]
        references = [self.debugger.scope(frame, name) for name in ("Locals", "Globals")]
        since = len(self.client.messages)
        sent = [self.debugger.send("variables", {"variablesReference": each}) for each in references]
        answers = [each.wait().content["body"]["variables"] for each in sent]
        self.assertEqual([each["name"] for each in answers[0]], ["a", "b"])
        self.assertIn("special variables", [each["name"] for each in answers[1]])
        states = [
            message["content"]["execution_state"]
            for message in self.client.messages[since:]
            if message["msg_type"] == "status"
        ]
        self.assertEqual(states, ["busy", "idle"] * 2)
        self.debugger.go_on(thread)
        cell.wait()

    def test_breakpoint_in_the_code_stops_like_one_in_the_margin(self) -> None:
        cell, thread = self.debugger.run_into("mine = 1\nbreakpoint()\nmine = 2")
        self.assertEqual(self.debugger.stack(thread)[0][0], "<module>")
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().status, "ok")

    @ours
    def test_an_interrupt_ends_the_wait_at_a_breakpoint(self) -> None:
        code = "for i in range(10**6):\n    last = i"
        self.debugger.set_breakpoints(code, 2)
        for _ in range(2):
            cell, _thread = self.debugger.run_into(code)
            self.client.ask("interrupt_request", {}, "control")
            cell.wait()
            self.assert_error(cell, "KeyboardInterrupt")
        self.assertEqual(self.run_ok("1 + 1").result, "2")

    def test_another_client_goes_on_where_one_has_vanished(self) -> None:
        self.debugger.set_breakpoints(CODE, 2)
        other = self.second_client()
        cell, thread = self.debugger.run_into(CODE)
        theirs = Debugger(other)
        self.assertEqual(theirs.stack(thread), [("f", 2), ("<module>", 5)])
        theirs.go_on(thread)
        self.assertEqual(cell.wait().result, "5")

    def test_the_debugger_of_the_terminal_works_beside_it(self) -> None:
        self.client.execute("def g():\n    inner = 7\n    raise ValueError\ng()")
        cell = self.client.start("%debug")
        cell.answer("p inner")
        cell.answer("q", 2)
        self.assertIn("7", plain(cell.wait().stdout))


@ours
class WithTransactions(KernelCase):
    """A process that is being debugged cannot be copied; before and after it can."""

    def setUp(self) -> None:
        super().setUp()
        self.debugger = Debugger(self.client)

    def assert_stops(self, code: str = CODE) -> None:
        self.debugger.set_breakpoints(code, 2)
        cell, thread = self.debugger.run_into(code)
        self.debugger.go_on(thread)
        self.assertEqual(cell.wait().status, "ok")

    def test_nothing_is_frozen_while_a_debugger_is_attached(self) -> None:
        self.run_ok("state = [1]")
        self.debugger.attach()
        for code in (
            "%begin",
            "%checkpoint",
            "%%transaction\nstate.append(2)",
            "import savepoint\nwith savepoint.transaction():\n    state.append(3)",
        ):
            with self.subTest(code=code):
                self.assert_refused(self.client.execute(code), "engine_unavailable")
        self.assertEqual(self.client.value("state"), "[1]")
        self.debugger.detach()
        self.run_ok("%begin")
        self.run_ok("state.append(4)")
        self.run_ok("%rollback")
        self.assertEqual(self.client.value("state"), "[1]")

    def test_a_rolled_back_kernel_can_be_debugged_again(self) -> None:
        self.debugger.attach()
        before = self.debugger.set_breakpoints(CODE)
        self.assert_stops()
        self.debugger.detach()
        self.run_ok("%begin")
        self.run_ok("%rollback")
        self.debugger.attach()
        self.assertEqual(self.debugger.set_breakpoints(CODE), before)
        self.assert_stops()
        self.debugger.detach()

    def test_a_rollback_leaves_the_debugger_behind_and_says_so(self) -> None:
        self.run_ok("state = [1]")
        self.run_ok("%begin")
        self.debugger.attach()
        self.assert_stops()
        self.run_ok("state.append(2)")
        cell = self.run_ok("%rollback")
        limits = cell.ours["transaction"]["limits"]
        self.assertEqual(limits, ["the debugger, which has to be attached again"])
        self.client.wait_for(lambda m: m["msg_type"] == "debug_event" and m["content"]["event"] == "terminated")
        self.assertEqual(self.client.value("state"), "[1]")
        self.assertIs(self.debugger.body("debugInfo")["isStarted"], False)
        self.debugger.attach()
        self.assert_stops()
        self.debugger.detach()

    def test_a_cell_keeps_its_file_over_a_rollback(self) -> None:
        code = "import sys\nsys._getframe().f_code.co_filename"
        before = self.run_ok(code).result
        self.run_ok("%begin")
        self.run_ok("%rollback")
        self.assertEqual(self.run_ok(code).result, before)


class AtTheEnd(unittest.TestCase):
    """Kernels that end while a cell stands at a breakpoint."""

    def test_a_shutdown_leaves_no_process(self) -> None:
        manager, client = fresh_kernel(self)
        debugger = Debugger(client)
        debugger.attach()
        debugger.set_breakpoints(CODE, 2)
        debugger.run_into(CODE)
        family = children_of(manager.provisioner.pid)
        self.assertTrue(family)
        manager.shutdown_kernel()
        deadline = time.monotonic() + processes.GONE_WITHIN_S
        while any(os.path.exists(f"/proc/{each}") for each in family) and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual([each for each in family if os.path.exists(f"/proc/{each}")], [])


if __name__ == "__main__":
    main()
