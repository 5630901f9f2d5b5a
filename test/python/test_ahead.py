"""The next cell, begun right behind the reply of the one that runs, or forgotten."""

from __future__ import annotations

import os
import unittest

from fake_gateway import FakeGateway, Reply

MARK = "<mark>"


class Ahead(unittest.TestCase):
    def setUp(self) -> None:
        self.gateway = FakeGateway(pipes=True)
        self.addCleanup(self.gateway.close)
        self.gateway.execute("import os, time\nlog = []")

    def start(self, code: str) -> int:
        """A cell that has begun, and goes on until there is a file `go`."""
        seq = self.gateway.send_execute(
            f"print('on', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.001)\n{code}"
        )
        self.gateway.wait_for("stream")
        return seq

    def then(self, code: str, behind: int) -> int:
        return self.gateway.send(
            "execute_request",
            {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True},
            execution_count=self.gateway.execution_count,
            behind=behind,
            mark=MARK,
        )

    def go(self, seq: int) -> Reply:
        open(os.path.join(self.gateway.folder.name, "go"), "w").close()
        return self.gateway.reply(seq)

    def printed(self, name: str) -> bytes:
        """What is in a pipe now."""
        pipe = os.open(os.path.join(self.gateway.folder.name, name), os.O_RDONLY | os.O_NONBLOCK)
        try:
            return os.read(pipe, 65536)
        except BlockingIOError:
            return b""
        finally:
            os.close(pipe)

    def test_it_is_begun_behind_a_reply_that_is_ok_and_a_mark_parts_what_both_write(self) -> None:
        first = self.start("_ = os.write(1, b'one'), os.write(2, b'uno')")
        second = self.then("_ = os.write(1, b'two')", first)
        self.assertEqual(self.go(first).envelope["begins"], second)
        reply = self.gateway.reply(second)
        self.assertEqual((reply.content["status"], reply.content["execution_count"]), ("ok", 3))
        self.assertNotIn("begins", reply.envelope)
        self.assertEqual((self.printed("out"), self.printed("err")), (b"one<mark>two", b"uno<mark>"))

    def test_it_is_forgotten_behind_a_failure_and_run_when_it_is_handed_over_again(self) -> None:
        first = self.start("1 / 0")
        self.then("log.append('behind')", first)
        self.assertNotIn("begins", self.go(first).envelope)
        reply = self.gateway.execute("log")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "[]")

    def test_it_is_forgotten_when_it_is_withdrawn_or_is_meant_for_another_cell(self) -> None:
        first = self.start("pass")
        second = self.then("log.append('withdrawn')", first)
        self.gateway.link.send({"kind": "withdraw", "seq": second})
        self.assertNotIn("begins", self.go(first).envelope)
        os.unlink(os.path.join(self.gateway.folder.name, "go"))
        first = self.start("pass")
        self.then("log.append('another')", first - 1)
        self.assertNotIn("begins", self.go(first).envelope)
        reply = self.gateway.execute("log")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "[]")
        self.assertEqual((self.printed("out"), self.printed("err")), (b"", b""))

    def test_it_waits_for_its_turn_when_there_are_no_descriptors_left(self) -> None:
        first = self.start(
            "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))\ncopies = []\n"
            "try:\n    while True: copies.append(os.dup(0))\nexcept OSError: pass"
        )
        self.then("log.append('behind')", first)
        self.assertNotIn("begins", self.go(first).envelope)
        reply = self.gateway.execute("for copy in copies: os.close(copy)\nlog")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "[]")

    def test_an_interrupt_of_the_first_does_not_hit_it(self) -> None:
        first = self.start("pass")
        second = self.then("print('on', flush=True)\ntime.sleep(0.2)\n'whole'", first)
        self.go(first)
        self.gateway.wait_for("stream")
        self.gateway.interrupt_request(1, 1, first)
        self.assertEqual(self.gateway.reply(second).content["status"], "ok")

    def test_its_own_interrupt_does(self) -> None:
        first = self.start("pass")
        second = self.then("print('on', flush=True)\ntime.sleep(60)", first)
        self.go(first)
        self.gateway.interrupt_until_noticed(second)
        self.assertEqual(self.gateway.reply(second).content["ename"], "KeyboardInterrupt")


if __name__ == "__main__":
    unittest.main()
