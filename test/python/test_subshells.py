"""Subshells of a worker: threads that serve requests of their own."""

from __future__ import annotations

import json
import os
import signal
import time
import unittest
from typing import Any, ClassVar

from fake_gateway import FakeGateway, Reply
from savepoint_worker.copies import imports


class SubshellCase(unittest.TestCase):
    """One worker for all tests of a class."""

    gateway: ClassVar[FakeGateway]

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()
        cls.addClassCleanup(cls.gateway.close)

    def tearDown(self) -> None:
        for subshell in self.opened:
            self.close(subshell)
            self.gateway.wait_for("subshell_closed", subshell=subshell)

    def setUp(self) -> None:
        self.opened: set[str] = set()

    def open(self, subshell: str = "a") -> None:
        self.gateway.link.send({"kind": "subshell_open", "subshell": subshell})
        self.opened.add(subshell)

    def close(self, subshell: str = "a") -> None:
        self.gateway.link.send({"kind": "subshell_close", "subshell": subshell})

    def start(self, code: str, subshell: str = "a", count: int = 1) -> int:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
        return self.gateway.send("execute_request", content, subshell=subshell, execution_count=count)

    def run_in(self, code: str, subshell: str = "a") -> Reply:
        return self.gateway.reply(self.start(code, subshell))

    def both(self, first: int, second: int) -> list[int]:
        """Seqs of two requests in the order of their replies."""
        order: list[int] = []
        for frame in self.gateway.events():
            if frame.envelope["kind"] == "reply" and frame.envelope["seq"] in (first, second):
                order.append(frame.envelope["seq"])
            if len(order) == 2:
                return order
        raise AssertionError


class Subshells(SubshellCase):
    def test_run_beside_the_main_thread_and_share_its_names(self) -> None:
        self.open()
        self.gateway.execute("import threading\ngate = threading.Event()\nnames = []")
        main = self.gateway.send_execute("names.append('main')\ngate.wait()\nsorted(names)")
        code = "while not names: pass\nnames.append('other')\ngate.set()\n"
        other = self.start(code + "threading.current_thread() is threading.main_thread()")
        replies = {}
        for frame in self.gateway.events():
            if frame.envelope.get("type") == "execute_result":
                replies[frame.envelope["parent"]] = json.loads(bytes(frame.parts[0]))["data"]["text/plain"]
            if len(replies) == 2:
                break
        self.assertEqual(replies, {f"m{main}": "['main', 'other']", f"m{other}": "False"})

    def test_output_belongs_to_the_request_that_made_it(self) -> None:
        self.open("a")
        self.open("b")
        self.gateway.execute("import threading\nbarrier = threading.Barrier(3)")
        code = "for i in range(50):\n    print(%r, i)\n    barrier.wait()"
        seqs = {self.gateway.send_execute(code % "main"): "main"}
        seqs.update({self.start(code % name, name): name for name in ("a", "b")})
        texts = dict.fromkeys(seqs, "")
        waiting = set(seqs)
        for frame in self.gateway.events():
            if frame.envelope["kind"] == "stream":
                texts[int(frame.envelope["parent"][1:])] += json.loads(b'"' + bytes(frame.parts[0]) + b'"')
            elif frame.envelope["kind"] == "reply":
                waiting.discard(frame.envelope["seq"])
                if not waiting:
                    break
        for seq, name in seqs.items():
            self.assertEqual(texts[seq], "".join(f"{name} {i}\n" for i in range(50)))

    def test_await_in_loops_of_their_own(self) -> None:
        self.open()
        self.gateway.execute("import asyncio\nloop = asyncio.get_running_loop()")
        self.assertEqual(
            self.run_in("await asyncio.sleep(0.001)\nmine = asyncio.get_running_loop()\nmine is loop").published(
                "execute_result"
            )[0]["data"]["text/plain"],
            "False",
        )
        code = "asyncio.get_running_loop() is mine"
        self.assertEqual(self.run_in(code).published("execute_result")[0]["data"]["text/plain"], "True")

    def test_a_failing_cell_says_so_and_the_next_one_runs(self) -> None:
        self.open()
        reply = self.run_in("1 / 0")
        self.assertEqual((reply.content["status"], reply.content["ename"]), ("error", "ZeroDivisionError"))
        self.assertEqual(len(reply.published("error")), 1)
        self.assertEqual(self.run_in("exec('raise SystemExit')").content["status"], "error")
        self.assertEqual(self.run_in("print(5)").text(), "5\n")

    def test_other_requests_are_served_too(self) -> None:
        self.open()
        self.gateway.execute("some_long_name = 1")
        seq = self.gateway.send("complete_request", {"code": "some_lo", "cursor_pos": 7}, subshell="a")
        self.assertEqual(self.gateway.reply(seq).content["matches"], ["some_long_name"])
        seq = self.gateway.send("frobnicate_request", {}, subshell="a")
        self.assertIsNone(self.gateway.reply(seq).envelope["status"])

    def test_input_waits_in_its_thread(self) -> None:
        self.open()
        other = self.start("print('got', input('? '))")
        question = self.gateway.wait_for("input_request")
        self.assertEqual(question.envelope["parent"], f"m{other}")
        self.assertEqual(self.gateway.execute("print('meanwhile')").text(), "meanwhile\n")
        self.gateway.answer_input(question, "it")
        self.assertEqual(self.gateway.reply(other).text(), "got it\n")

    def test_an_interrupt_is_the_main_threads(self) -> None:
        self.open()
        self.gateway.execute("import time, threading\ngate = threading.Event()")
        other = self.start("while not gate.is_set(): time.sleep(0.01)\nprint('not disturbed')")
        main = self.gateway.send_execute("print('on', flush=True)\nwhile True: time.sleep(0.01)")
        self.gateway.wait_for("stream", parent=f"m{main}")
        self.gateway.interrupt()
        self.assertEqual(self.gateway.reply(main).content["ename"], "KeyboardInterrupt")
        self.gateway.send_execute("gate.set()")
        self.assertEqual(self.gateway.reply(other).text(), "not disturbed\n")

    def test_closing_ends_the_thread_after_what_it_is_at(self) -> None:
        self.open()
        count = "import threading; print(threading.active_count())"
        self.assertEqual(self.gateway.execute(count).text(), "2\n")
        other = self.start("import time; time.sleep(0.05); print('done')")
        self.close()
        self.opened.clear()
        self.assertEqual(self.gateway.reply(other).text(), "done\n")
        self.gateway.wait_for("subshell_closed", subshell="a")
        self.assertEqual(self.gateway.execute(count).text(), "1\n")

    def test_one_made_while_user_code_holds_the_main_thread_works_at_once(self) -> None:
        # Only the other cell lets this one end.
        code = "import threading, time\ngate = threading.Event()\nprint('on', flush=True)\nwhile not gate.is_set(): time.sleep(0.01)"
        main = self.gateway.send_execute(code)
        self.gateway.wait_for("stream")
        self.open()
        os.kill(self.gateway.pid, signal.SIGURG)
        other = self.start("gate.set()")
        self.assertEqual(sorted(self.both(main, other)), [main, other])

    def test_a_ring_at_rest_does_nothing(self) -> None:
        os.kill(self.gateway.pid, signal.SIGURG)
        self.assertEqual(self.gateway.execute("print(1)").text(), "1\n")

    def test_comm_messages_are_served_beside_their_cells(self) -> None:
        self.open()
        self.gateway.execute(
            "import asyncio, comm\nheard = []\n"
            "def opened(c, m): c.on_msg(lambda m: heard.append(threading.current_thread().name))\n"
            "import threading\ncomm.get_comm_manager().register_target('t', opened)"
        )
        self.gateway.reply(self.gateway.send("comm_open", {"comm_id": "c", "target_name": "t"}, subshell="a"))
        cell = self.start("while not heard: await asyncio.sleep(0.01)\nheard")
        self.gateway.send("comm_msg", {"comm_id": "c", "data": {}}, subshell="a", beside=cell)
        reply = self.gateway.reply(cell)
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "['subshell-a']")

    def test_a_cell_may_poll(self) -> None:
        self.open()
        self.gateway.execute(
            "import comm, time\nheard = []\n"
            "def opened(c, m): c.on_msg(lambda m: heard.append(1))\n"
            "comm.get_comm_manager().register_target('t', opened)"
        )
        self.gateway.request("comm_open", {"comm_id": "c", "target_name": "t"})
        code = "while not heard:\n    get_ipython().kernel.do_one_iteration()\n    time.sleep(0.002)\nprint(heard)"
        cell = self.start(code)
        self.gateway.send("comm_msg", {"comm_id": "c", "data": {}}, subshell="a", beside=cell)
        self.assertEqual(self.gateway.reply(cell).text(), "[1]\n")

    def test_the_magic_tells_who_runs_it(self) -> None:
        self.open()
        lines = self.run_in("%subshell").text().splitlines()
        self.assertEqual((lines[0], lines[-1]), ("subshell id: a", "subshell list: ['a']"))
        self.assertTrue(self.gateway.execute("%subshell").text().startswith("subshell id: None\n"))

    def test_transactions_are_the_main_threads(self) -> None:
        self.open()
        reply = self.run_in("import savepoint\nsavepoint.begin()")
        self.assertTrue(reply.content["evalue"].startswith("not_available"), reply.content["evalue"])

    def test_numbers_never_go_back(self) -> None:
        self.open()
        number = self.gateway.execute("1").content["execution_count"]
        self.assertEqual(self.run_in("2").content["execution_count"], number + 1)
        self.assertEqual(self.run_in("3").content["execution_count"], number + 2)
        self.assertEqual(self.gateway.execute("4").content["execution_count"], number + 3)


class Imports(unittest.TestCase):
    def lock(self, name: str) -> Any:
        return imports._bootstrap._get_module_lock(name)

    def test_that_nobody_makes_hold_nothing_up(self) -> None:
        began = time.monotonic()
        imports.settle()
        self.assertLess(time.monotonic() - began, imports.SETTLE_S)

    def test_that_were_cut_off_are_forgotten(self) -> None:
        lock = self.lock("made_up_module")
        lock.owner = -1
        began = time.monotonic()
        imports.settle()
        self.assertGreaterEqual(time.monotonic() - began, imports.SETTLE_S)
        imports.repair()
        self.assertIsNot(self.lock("made_up_module"), lock)

    def test_that_were_about_to_begin_are_forgotten_too(self) -> None:
        lock = self.lock("made_up_module")
        imports.repair()
        self.assertIsNot(self.lock("made_up_module"), lock)


if __name__ == "__main__":
    unittest.main()
