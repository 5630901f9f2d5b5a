"""input() and getpass: asked of the client, answered, refused, interrupted; from cells and from threads."""

from __future__ import annotations

import json
import time
import unittest

from fake_gateway import FakeGateway


class Prompts(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def answered(self, code: str, *values: str):
        """Run a cell whose prompts are answered with these values in turn."""
        waiting = list(values)

        def answer(frame):
            if frame.envelope["kind"] == "input_request":
                self.gateway.answer_input(frame, waiting.pop(0))

        return self.gateway.reply(self.gateway.send_execute(code), answer)

    def test_input_returns_what_the_client_answers(self) -> None:
        reply = self.answered("print('before', end='')\nname = input('Name: ')\nprint(name)", "Ada")
        kinds = [e.envelope["kind"] for e in reply.events]
        self.assertEqual(kinds, ["stream", "input_request", "stream"])
        request = reply.events[1]
        self.assertEqual(json.loads(bytes(request.parts[0])), {"prompt": "Name: ", "password": False})
        self.assertEqual(request.envelope["parent"], f"m{reply.envelope['seq']}")
        self.assertEqual(reply.text(), "beforeAda\n")

    def test_getpass_asks_for_a_password(self) -> None:
        reply = self.answered("import getpass\nprint(len(getpass.getpass('Secret: ')))", "hush")
        (request,) = [e for e in reply.events if e.envelope["kind"] == "input_request"]
        self.assertTrue(json.loads(bytes(request.parts[0]))["password"])
        self.assertEqual(reply.text(), "4\n")

    def test_the_end_of_the_input_is_an_eof_error(self) -> None:
        self.assertEqual(self.answered("input()", "\x04").content["ename"], "EOFError")

    def test_a_client_without_stdin_is_not_asked(self) -> None:
        for code in ("input()", "import getpass; getpass.getpass()"):
            reply = self.gateway.execute(code, allow_stdin=False)
            self.assertEqual(reply.content["ename"], "StdinNotImplementedError")

    def test_several_prompts_in_one_cell(self) -> None:
        self.assertEqual(self.answered("print([input(), input(), input()])", "a", "b", "c").text(), "['a', 'b', 'c']\n")

    def test_input_in_an_async_cell(self) -> None:
        self.assertEqual(self.answered("import asyncio\nawait asyncio.sleep(0)\nprint(input())", "x").text(), "x\n")

    def test_an_interrupt_abandons_the_prompt_and_a_late_answer_is_dropped(self) -> None:
        seq = self.gateway.send_execute("input('?')")
        request = self.gateway.wait_for("input_request")
        self.gateway.interrupt()
        reply = self.gateway.reply(seq)
        self.assertEqual(
            (reply.content["ename"], reply.content["evalue"]), ("KeyboardInterrupt", "Interrupted by user")
        )
        abandoned = [e.envelope["id"] for e in reply.events if e.envelope["kind"] == "input_abandoned"]
        self.assertEqual(abandoned, [request.envelope["id"]])
        self.gateway.answer_input(request, "late")
        self.assertEqual(self.answered("print(input())", "fresh").text(), "fresh\n")

    def test_a_thread_may_ask_while_its_cell_runs(self) -> None:
        code = (
            "import threading, time\ngot = []\nt = threading.Thread(target=lambda: got.append(input('t')))\nt.start()\n"
        )
        self.assertEqual(
            self.answered(code + ("while t.is_alive(): time.sleep(0.001)\nprint(got)"), "x").text(), "['x']\n"
        )

    def test_a_thread_may_ask_between_cells(self) -> None:
        code = "import threading\nlet = threading.Event()\ngot = []\n"
        code += "t = threading.Thread(target=lambda: (let.wait(), got.append(input('t'))))\nt.start()\n"
        self.gateway.execute(code + "import asyncio; asyncio.get_running_loop().call_later(0.05, let.set);")
        request = self.gateway.wait_for("input_request")
        self.gateway.answer_input(request, "y")
        self.assertEqual(self.gateway.execute("t.join(); print(got)").text(), "['y']\n")

    def test_a_thread_and_a_cell_ask_at_once_and_each_gets_its_answer(self) -> None:
        code = "import threading\ngot = {}\n"
        code += "ts = [threading.Thread(target=lambda n=n: got.update({n: input(f'{n}')})) for n in range(3)]\n"
        code += (
            "[t.start() for t in ts]\n"
            "got['main'] = input('main')\n"
            "[t.join() for t in ts]\n"
            "print(sorted(got.items(), key=str))"
        )
        seq = self.gateway.send_execute(code)
        requests = [self.gateway.wait_for("input_request") for _ in range(4)]
        for request in reversed(requests):
            prompt = json.loads(bytes(request.parts[0]))["prompt"]
            self.gateway.answer_input(request, f"to {prompt}")
        expected = "[('main', 'to main'), (0, 'to 0'), (1, 'to 1'), (2, 'to 2')]\n"
        self.assertEqual(self.gateway.reply(seq).text(), expected)

    def test_the_next_request_waits_while_a_thread_reads_the_link(self) -> None:
        code = (
            "import threading\n"
            "t = threading.Thread(target=lambda: print('got', input()))\n"
            "t.start()\n"
            "t.join(60)"
        )
        first = self.gateway.send_execute(code)
        request = self.gateway.wait_for("input_request")
        second = self.gateway.send_execute("t.join()\nprint('joined')")
        time.sleep(0.05)
        self.gateway.answer_input(request, "z")
        self.assertIn("got z", self.gateway.reply(first).text())
        self.assertEqual(self.gateway.reply(second).text(), "joined\n")

    def test_the_debugger_prompts_through_input(self) -> None:
        reply = self.answered("import pdb\nx = 5\npdb.set_trace()\ny = 6", "p x", "c")
        self.assertIn("5", reply.text())
        self.assertEqual(reply.content["status"], "ok")

    def test_descriptors_are_given_back(self) -> None:
        code = (
            "import os\n"
            "before = len(os.listdir('/proc/self/fd'))\n"
            "for _ in range(20): input()\n"
            "print(len(os.listdir('/proc/self/fd')) - before)"
        )
        self.assertEqual(self.answered(code, *["x"] * 20).text(), "0\n")


if __name__ == "__main__":
    unittest.main()
