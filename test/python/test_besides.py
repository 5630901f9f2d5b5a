"""Comm messages beside a running cell: begun while it awaits or polls, given back when it did neither."""

from __future__ import annotations

import unittest

from fake_gateway import FakeGateway

SETUP = """
import asyncio, comm, time
heard, gate = [], asyncio.Event()
def opened(channel, message):
    channel.on_msg(lambda message: heard.append(message['content']['data']['n']))
comm.get_comm_manager().register_target('probe', opened)
async def slow(stream, ident, message):
    heard.append('slow')
    await gate.wait()
    heard.append('slow ends')
"""


class Besides(unittest.TestCase):
    def setUp(self) -> None:
        self.gateway = FakeGateway()
        self.addCleanup(self.gateway.close)
        self.gateway.execute(SETUP)
        self.gateway.request("comm_open", {"comm_id": "c", "target_name": "probe", "data": {}})

    def tell(self, cell: int, n: int) -> int:
        return self.gateway.send("comm_msg", {"comm_id": "c", "data": {"n": n}}, beside=cell)

    def test_one_that_came_for_a_cell_that_does_not_await_is_returned_in_the_reply(self) -> None:
        cell = self.gateway.send_execute("print('on', flush=True)\ntime.sleep(0.1)\nawait asyncio.sleep(0) if 0 else 1")
        seqs = [self.tell(cell, n) for n in range(3)]
        reply = self.gateway.reply(cell)
        returned = reply.envelope.get("returned", [])
        # What had not been read when the cell ended comes back by itself.
        returned += [self.gateway.wait_for("returned").envelope["seq"] for _ in seqs[len(returned) :]]
        self.assertEqual(returned, seqs)

    def test_one_that_comes_with_its_cell_waits_until_that_awaits(self) -> None:
        cell = self.gateway.send_execute("first = list(heard)\nawait asyncio.sleep(0.05)\nfirst, heard")
        self.tell(cell, 1)
        reply = self.gateway.reply(cell)
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "([], [1])")
        self.assertIn("served", [event.envelope["kind"] for event in reply.events])
        self.assertNotIn("returned", reply.envelope)

    def test_one_for_a_cell_that_is_over_goes_back_at_once(self) -> None:
        cell = self.gateway.send_execute("1")
        self.gateway.reply(cell)
        seq = self.tell(cell, 1)
        self.assertEqual(self.gateway.wait_for("returned").envelope["seq"], seq)

    def test_a_handler_that_awaits_may_outlast_its_cell(self) -> None:
        self.gateway.execute("get_ipython().kernel.shell_handlers['comm_msg'] = slow")
        cell = self.gateway.send_execute("while not heard: await asyncio.sleep(0.01)")
        seq = self.tell(cell, 1)
        reply = self.gateway.reply(cell)
        self.assertEqual((reply.envelope["returned"], reply.envelope["going_on"]), ([], [seq]))
        self.gateway.send_execute("gate.set()")
        self.assertEqual(self.gateway.wait_for("served").envelope["seq"], seq)
        self.assertEqual(
            self.gateway.execute("heard").published("execute_result")[0]["data"]["text/plain"], "['slow', 'slow ends']"
        )

    def test_a_thread_may_poll(self) -> None:
        code = (
            "import threading\n"
            "def poll():\n"
            "    while not heard: get_ipython().kernel.do_one_iteration()\n"
            "polling = threading.Thread(target=poll)\n"
            "polling.start(); polling.join()\n"
            "heard"
        )
        cell = self.gateway.send_execute(code)
        self.tell(cell, 4)
        reply = self.gateway.reply(cell)
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "[4]")

    def test_polling_serves_nothing_between_cells(self) -> None:
        code = "async def later():\n    await asyncio.sleep(0.02)\n    get_ipython().kernel.do_one_iteration()\n"
        self.gateway.execute(code + "polling = asyncio.create_task(later())")
        self.assertIn("text/plain", self.gateway.execute("await polling\n1").published("execute_result")[0]["data"])

    def test_context_variables_of_the_cells_are_seen_and_not_changed(self) -> None:
        self.gateway.execute(
            "import contextvars\nname = contextvars.ContextVar('name')\nname.set('cell')\nseen = []\n"
            "def handle(stream, ident, message):\n    seen.append(name.get())\n    name.set('handler')\n"
            "get_ipython().kernel.shell_handlers['comm_msg'] = handle"
        )
        cell = self.gateway.send_execute("while not seen: await asyncio.sleep(0.01)\nseen, name.get()")
        self.tell(cell, 1)
        reply = self.gateway.reply(cell)
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "(['cell'], 'cell')")


if __name__ == "__main__":
    unittest.main()
