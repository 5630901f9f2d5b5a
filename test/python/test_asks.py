"""What code in the kernel asks of the gateway, and what the gateway may want meanwhile."""

from __future__ import annotations

import unittest

from fake_gateway import FakeGateway

SETUP = "from savepoint_worker.worker import Worker\nw = Worker.current()\n"


class Asks(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def answer(self, frame, **answer) -> None:
        self.gateway.link.send({"kind": "answer", "id": frame.envelope["id"], **answer})

    def test_an_ask_waits_for_its_answer(self) -> None:
        seq = self.gateway.send_execute(
            SETUP + ("print('before', end='')\na = w.ask('status', {'x': 1}, b'part')\nprint(a.result, a.permit)")
        )
        self.gateway.wait_for("stream")
        frame = self.gateway.wait_for("ask")
        self.assertEqual((frame.envelope["op"], frame.envelope["args"]), ("status", {"x": 1}))
        self.assertEqual(frame.envelope["parent"], f"m{seq}")
        self.assertEqual(bytes(frame.parts[0]), b"part")
        self.answer(frame, ok=True, result={"transactions": []})
        self.assertEqual(self.gateway.reply(seq).text(), "{'transactions': []} None\n")

    def test_a_refusal_is_a_savepoint_error(self) -> None:
        seq = self.gateway.send_execute(SETUP + "w.ask('commit', {})")
        frame = self.gateway.wait_for("ask")
        self.answer(frame, ok=False, error={"code": "no_transaction", "message": "None is open.", "details": {}})
        reply = self.gateway.reply(seq)
        self.assertEqual(reply.content["ename"], "SavepointError")
        self.assertEqual(reply.content["evalue"], "no_transaction: None is open.")

    def test_an_ask_of_another_thread_is_refused(self) -> None:
        code = (
            "import threading\n"
            "errors = []\n"
            "def f():\n"
            "    try: w.ask('status', {})\n"
            "    except Exception as e: errors.append(e.code)\n"
        )
        reply = self.gateway.execute(
            SETUP + code + "t = threading.Thread(target=f); t.start(); t.join(); print(errors)"
        )
        self.assertEqual(reply.text(), "['not_available']\n")

    def test_an_ask_in_an_async_cell(self) -> None:
        seq = self.gateway.send_execute(
            SETUP + ("import asyncio\nawait asyncio.sleep(0)\nprint(w.ask('status', {}).result)")
        )
        self.answer(self.gateway.wait_for("ask"), ok=True, result=5)
        self.assertEqual(self.gateway.reply(seq).text(), "5\n")

    def test_an_interrupt_waits_until_a_short_ask_is_answered(self) -> None:
        seq = self.gateway.send_execute(SETUP + "w.ask('commit', {})\nwhile True: pass")
        frame = self.gateway.wait_for("ask")
        self.gateway.interrupt()
        self.answer(frame, ok=True, result=None)
        self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")

    def test_an_interrupt_ends_the_wait_for_a_long_ask(self) -> None:
        seq = self.gateway.send_execute(SETUP + "w.ask('checkpoint', {})")
        frame = self.gateway.wait_for("ask")
        self.gateway.interrupt()
        self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")
        self.answer(frame, ok=True, result=None)
        self.assertEqual(self.gateway.execute("1").content["status"], "ok")

    def test_a_request_that_comes_during_an_ask_is_served_afterwards(self) -> None:
        first = self.gateway.send_execute(SETUP + "print(w.ask('status', {}).result)")
        frame = self.gateway.wait_for("ask")
        second = self.gateway.send_execute("print('second')")
        self.answer(frame, ok=True, result=1)
        self.assertEqual(self.gateway.reply(first).text(), "1\n")
        self.assertEqual(self.gateway.reply(second).text(), "second\n")

    def test_a_restore_that_comes_during_an_ask_is_done_during_it(self) -> None:
        seq = self.gateway.send_execute(SETUP + "w.ask('restore', {})")
        frame = self.gateway.wait_for("ask")
        command = {"kind": "restore", "id": "r1", "path": "/does/not/exist", "mode": "clear", "names": None}
        self.gateway.link.send(command)
        event = self.gateway.wait_for("restored")
        self.assertEqual((event.envelope["id"], event.envelope["restored"]), ("r1", 0))
        self.assertIn("message", event.envelope["error"])
        self.answer(frame, ok=True, result={})
        self.assertEqual(self.gateway.reply(seq).content["status"], "ok")

    def test_a_command_that_nobody_knows_is_logged(self) -> None:
        self.gateway.link.send({"kind": "levitate"})
        self.assertIn("levitate", self.gateway.wait_for("log").envelope["text"])

    def test_leaving_a_cell_runs_its_finally_blocks_and_reports_nothing(self) -> None:
        code = (
            "from savepoint_worker.cells.execution import LeaveCell\n"
            "try:\n"
            "    raise LeaveCell\n"
            "finally:\n"
            "    print('finally')\n"
            "print('not run')"
        )
        for prefix in ("", "import asyncio\nawait asyncio.sleep(0)\n"):
            reply = self.gateway.execute(prefix + code)
            self.assertEqual((reply.content["status"], reply.text()), ("ok", "finally\n"))
            self.assertEqual(reply.published("error"), [])
        self.assertEqual(self.gateway.execute("print(type(_exception).__name__ == 'LeaveCell')").text(), "False\n")

    def test_a_process_that_the_user_forks_has_no_worker(self) -> None:
        code = (
            "import os\n"
            "pid = os.fork()\n"
            "if pid == 0: os._exit(3 if Worker.current() is None else 4)\n"
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
        )
        self.assertEqual(self.gateway.execute(SETUP + code).text(), "3\n")


if __name__ == "__main__":
    unittest.main()
