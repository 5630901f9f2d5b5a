"""Interrupts: into the user's code wherever it stands or waits, and never into the worker's."""

from __future__ import annotations

import signal
import time
import unittest
from pathlib import Path

from fake_gateway import TIMEOUT_S, FakeGateway


#: What is interrupted here would go on for twice as long, or for ever.
ENDED_WITHIN_S = 25
#: Python code that never waits, so that each signal is noticed at once.
UNTIL_DONE = "while not __import__('os').path.exists('done'): pass\n"


class Interrupts(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def interrupt_idle(self) -> None:
        """Interrupt the worker while it has nothing to do."""
        self.gateway.interrupt()
        self.settle()

    def settle(self) -> None:
        """Let the worker see its signals before it sees the next request: their order is lost on the way."""
        deadline = time.monotonic() + TIMEOUT_S
        while not self.has_settled():
            self.assertLess(time.monotonic(), deadline, "The worker does not come to rest.")
            time.sleep(0.005)

    def has_settled(self) -> bool:
        """Has the worker's main thread nothing to do, and no SIGINT before it?"""
        lines = Path(f"/proc/{self.gateway.pid}/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        pending = int(status["SigPnd"], 16) | int(status["ShdPnd"], 16)
        return status["State"].startswith("S") and not pending >> (signal.SIGINT - 1) & 1

    def interrupted(self, code: str, ready: str = "ready\\n"):
        """Run a cell that prints "ready", interrupt it, and return the reply and the seconds that it took."""
        seq = self.gateway.send_execute(code)
        while bytes(self.gateway.wait_for("stream").parts[0]).decode() != ready:
            pass
        began = time.monotonic()
        self.gateway.interrupt_until_noticed(seq)
        reply = self.gateway.reply(seq)
        return reply, time.monotonic() - began

    def assert_interrupted(self, code: str) -> None:
        reply, seconds = self.interrupted(code)
        self.assertEqual(reply.content["ename"], "KeyboardInterrupt", reply.content)
        self.assertEqual(len(reply.published("error")), 1)
        self.assertEqual(reply.published("error")[0]["ename"], "KeyboardInterrupt")
        self.assertLess(seconds, ENDED_WITHIN_S)
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")

    def test_a_loop_is_interrupted(self) -> None:
        self.assert_interrupted("print('ready')\nwhile True: pass")

    def test_a_sleep_is_interrupted(self) -> None:
        self.assert_interrupted("import time\nprint('ready')\ntime.sleep(60)")

    def test_an_await_is_interrupted_at_once(self) -> None:
        self.assert_interrupted("import asyncio\nprint('ready')\nawait asyncio.sleep(60)")

    def test_an_await_of_several_tasks_is_interrupted(self) -> None:
        code = (
            "import asyncio\n"
            "ts = [asyncio.create_task(asyncio.sleep(60)) for _ in range(2)]\n"
            "print('ready')\n"
            "await asyncio.gather(*ts)"
        )
        self.assert_interrupted(code)
        reply = self.gateway.execute("all(t.cancelled() for t in ts)")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "True")

    def test_synchronous_code_in_an_async_cell_is_interrupted(self) -> None:
        self.assert_interrupted("import asyncio\nawait asyncio.sleep(0)\nprint('ready')\nwhile True: pass")

    def test_an_async_cell_may_catch_its_interrupt_and_go_on(self) -> None:
        code = (
            "import asyncio\n"
            "try:\n"
            "    print('ready'); await asyncio.sleep(60)\n"
            "except KeyboardInterrupt:\n"
            "    await asyncio.sleep(0)\n"
            "    print('caught')"
        )
        reply, _ = self.interrupted(code)
        self.assertEqual((reply.content["status"], reply.text()), ("ok", "caught\n"))

    def test_a_wait_with_a_timeout_is_interrupted(self) -> None:
        self.assert_interrupted("import asyncio\nprint('ready')\nawait asyncio.wait_for(asyncio.sleep(60), 50)")
        self.assertEqual(self.gateway.execute("await asyncio.wait_for(asyncio.sleep(0), 1)").content["status"], "ok")

    def test_a_printing_loop_is_interrupted_and_loses_no_half_of_a_frame(self) -> None:
        for _ in range(10):
            reply, _ = self.interrupted("print('ready', flush=True)\nwhile True: print('y' * 1000)")
            self.assertEqual(reply.content["ename"], "KeyboardInterrupt")
            self.assertEqual(set(reply.text().split("\n")[:-1]) - {"y" * 1000}, set())

    def test_an_idle_kernel_ignores_interrupts(self) -> None:
        for _ in range(5):
            self.interrupt_idle()
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")

    def test_background_tasks_survive_an_interrupt_of_an_idle_kernel(self) -> None:
        self.gateway.execute("import asyncio\nt = asyncio.create_task(asyncio.sleep(0.1, 5))")
        self.interrupt_idle()
        reply = self.gateway.execute("await t")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "5")

    def test_no_interrupt_is_lost_or_leaks_at_the_ends_of_a_cell(self) -> None:
        """The signal may come before, in or after the cell: always one good reply, and a kernel that goes on."""
        for n in range(150):
            seq = self.gateway.send_execute("for i in range(2000): pass")
            time.sleep(n * 0.00001)
            self.gateway.interrupt()
            reply = self.gateway.reply(seq)
            self.assertIn(reply.content.get("ename"), (None, "KeyboardInterrupt"))
        self.settle()
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")

    def test_an_interrupt_right_after_the_request_stops_the_cell(self) -> None:
        for _ in range(20):
            seq = self.gateway.send_execute("while True: pass")
            self.gateway.interrupt()
            self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")

    def test_a_completion_is_interruptible_without_harm(self) -> None:
        code = (
            "import time\n"
            "class Slow:\n"
            "    def __dir__(self):\n"
            "        print('ready', flush=True); time.sleep(60)\n"
            "slow = Slow()"
        )
        self.gateway.execute(code)
        seq = self.gateway.send("inspect_request", {"code": "slow", "cursor_pos": 2, "detail_level": 0})
        self.gateway.reply(seq)
        self.gateway.execute(
            "class Slow:\n    def __repr__(self):\n        print('ready', flush=True); time.sleep(60)\nslow = Slow()"
        )
        seq = self.gateway.send("inspect_request", {"code": "slow", "cursor_pos": 2, "detail_level": 0})
        self.gateway.wait_for("stream")
        self.gateway.interrupt_until_noticed(seq)
        self.assertIn(self.gateway.reply(seq).content["status"], ("ok", "error"))
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")

    def test_a_handler_of_the_users_own_lasts_for_its_cell(self) -> None:
        code = (
            "import signal, time\n"
            "signal.signal(signal.SIGINT, lambda *_: print('mine', flush=True))\n"
            "print('ready', flush=True)\n"
            "answer = input()"
        )
        seq = self.gateway.send_execute(code)
        question = self.gateway.wait_for("input_request")
        self.gateway.interrupt()
        self.gateway.answer_input(question, "done")
        reply = self.gateway.reply(seq)
        self.assertEqual((reply.content["status"], reply.text()), ("ok", "mine\n"))
        self.assert_interrupted("print('ready')\nwhile True: pass")

    def be_done(self) -> None:
        """End what the cell does until it is done."""
        Path(self.gateway.folder.name, "done").touch()

    def cleaning_up(self) -> int:
        """Start a cell that is interrupted, and then cleans up until it is told that this is done."""
        code = (
            "try:\n    print('ready', flush=True)\n    while True: pass\n"
            "except KeyboardInterrupt:\n    print('clean', flush=True)\n" + "    " + UNTIL_DONE
        )
        Path(self.gateway.folder.name, "done").unlink(missing_ok=True)
        seq = self.gateway.send_execute(code)
        self.gateway.wait_for("stream")
        return seq

    def test_an_interrupt_that_is_repeated_counts_once(self) -> None:
        for number in (1, 2):
            seq = self.cleaning_up()
            self.gateway.interrupt_request(100 + number, 1, seq)
            self.gateway.wait_for("stream")
            for times in (2, 3):
                self.gateway.interrupt_request(100 + number, times, seq)
                self.gateway.wait_for("interrupted")
            self.be_done()
            self.assertEqual(self.gateway.reply(seq).content["status"], "ok")

    def test_an_interrupt_of_a_request_that_has_ended_hits_no_other(self) -> None:
        Path(self.gateway.folder.name, "done").unlink(missing_ok=True)
        early = self.gateway.send_execute("1")
        self.gateway.reply(early)
        seq = self.gateway.send_execute("print('ready', flush=True)\n" + UNTIL_DONE)
        self.gateway.wait_for("stream")
        for times in (1, 2):
            self.gateway.interrupt_request(110, times, early)
            self.gateway.wait_for("interrupted")
        self.be_done()
        self.assertEqual(self.gateway.reply(seq).content["status"], "ok")

    def test_a_second_interrupt_and_a_signal_of_the_users_own_count(self) -> None:
        for own in (False, True):
            seq = self.cleaning_up()
            self.gateway.interrupt_request(120 + own, 1, seq)
            self.gateway.wait_for("stream")
            if own:
                self.gateway.interrupt()
            else:
                self.gateway.interrupt_request(130, 1, seq)
            self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")
        code = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**7): pass"
        self.assertEqual(self.gateway.execute(code).content["ename"], "KeyboardInterrupt")

    def test_what_a_handler_of_the_users_own_took_is_not_taken_for_a_later_one(self) -> None:
        seq = self.gateway.send_execute(
            "import signal\nsignal.signal(signal.SIGINT, lambda *_: print('mine', flush=True))\n"
            "print('ready', flush=True)\nanswer = input()"
        )
        question = self.gateway.wait_for("input_request")
        self.gateway.interrupt_request(140, 1, seq)
        self.gateway.answer_input(question, "done")
        self.gateway.reply(seq)
        code = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nfor _ in range(10**7): pass"
        self.assertEqual(self.gateway.execute(code).content["ename"], "KeyboardInterrupt")

    def test_a_handler_of_the_users_own_hears_of_each_interrupt_once(self) -> None:
        for number, setting in (
            (150, "signal.signal(signal.SIGINT, mine)"),
            (160, "signal.signal(2, mine); assert signal.getsignal(2) is mine; signal.signal(2, signal.getsignal(2))"),
        ):
            Path(self.gateway.folder.name, "done").unlink(missing_ok=True)
            seq = self.gateway.send_execute(
                "import signal\nheard = []\ndef mine(*_): heard.append(1)\n"
                f"{setting}\nprint('ready', flush=True)\n{UNTIL_DONE}len(heard)"
            )
            self.gateway.wait_for("stream")
            for times in (1, 2, 3):
                self.gateway.interrupt_request(number, times, seq)
                self.gateway.wait_for("interrupted")
            self.gateway.interrupt_request(number + 1, 1, seq)
            self.gateway.wait_for("interrupted")
            self.be_done()
            reply = self.gateway.reply(seq)
            self.assertEqual(reply.content["status"], "ok", reply.content)
            heard = reply.published("execute_result")[0]["data"]["text/plain"]
            self.assertEqual(heard, "2")

    def test_two_interrupts_get_through_code_that_swallows_one(self) -> None:
        code = (
            "import time\n"
            "try:\n"
            "    print('ready'); time.sleep(60)\n"
            "except KeyboardInterrupt:\n"
            "    print('once', flush=True)\n"
            "time.sleep(60)"
        )
        seq = self.gateway.send_execute(code)
        for _ in range(2):
            self.gateway.wait_for("stream")
            self.gateway.interrupt_until_noticed(seq)
        self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")

    def test_a_background_task_that_holds_the_loop_yields_to_the_second_interrupt(self) -> None:
        code = "import asyncio, time\nasync def hog():\n    print('ready', flush=True)\n    while True: pass\n"
        seq = self.gateway.send_execute(code + "h = asyncio.create_task(hog())\nawait asyncio.sleep(60)")
        self.gateway.wait_for("stream")
        for _ in range(2):
            self.gateway.interrupt_until_noticed(seq)
            self.gateway.wait_for("interrupted")
        self.assertEqual(self.gateway.reply(seq).content["ename"], "KeyboardInterrupt")
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")


if __name__ == "__main__":
    unittest.main()
