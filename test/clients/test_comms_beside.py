"""Comms while a cell runs: served while it awaits or polls, in their turn while it does neither."""

from __future__ import annotations

import uuid

from support.case import KernelCase, main
from support.client import PATIENCE_S, Cell, Gate
from support.comms import Target
from support.subject import ours

SETUP = """
import asyncio, comm, time
heard = []
futures = {}
def opened(channel, message):
    def on_msg(message):
        data = message['content']['data']
        heard.append(data.get('n'))
        print('heard', data.get('n'))
        if data.get('fail'):
            raise ValueError('handler')
        if 'future' in data:
            futures[data['future']].set_result(data['n'])
        channel.send({'echo': data.get('n')})
    channel.on_msg(on_msg)
comm.get_comm_manager().register_target('probe', opened)
"""


class ProbeCase(KernelCase):
    """A comm to a target that notes what it hears."""

    def setUp(self) -> None:
        super().setUp()
        self.run_ok(SETUP)
        self.comm_id = uuid.uuid4().hex
        opening = self.client.request("comm_open", {"comm_id": self.comm_id, "target_name": "probe", "data": {}})
        self.client.wait_until(lambda: opening.states == ["busy", "idle"], PATIENCE_S, "busy and idle")

    def tell(self, **data: object) -> Cell:
        return self.client.request("comm_msg", {"comm_id": self.comm_id, "data": data})

    def idle(self, request: Cell) -> None:
        self.client.wait_until(lambda: request.states == ["busy", "idle"], PATIENCE_S, "busy and idle")


class Beside(ProbeCase):
    def test_an_awaiting_cell_gets_the_value_of_a_widget(self) -> None:
        cell = self.client.start("futures['a'] = asyncio.Future()\nprint('waiting')\nawait futures['a']")
        cell.wait_for_output("waiting")
        told = self.tell(n=42, future="a")
        self.assertEqual(cell.wait().result, "42")
        self.client.wait_until(lambda: told.stdout, PATIENCE_S, "what the handler printed")
        self.assertEqual(told.stdout, "heard 42\n")
        self.assertEqual(cell.stdout, "waiting\n")
        self.assertEqual(told.wait_for("iopub", "comm_msg")["content"]["data"], {"echo": 42})
        self.assertEqual(told.states, [])

    @ours  # ipykernel gives the thread's text to the message.
    def test_what_the_cell_prints_afterwards_is_the_cells(self) -> None:
        code = "futures['b'] = asyncio.Future()\nprint('waiting')\nawait futures['b']\nprint('after')\n"
        code += "import threading\nt = threading.Thread(target=print, args=('thread',)); t.start(); t.join()"
        cell = self.client.start(code)
        cell.wait_for_output("waiting")
        told = self.tell(n=1, future="b")
        self.assertEqual(cell.wait().stdout, "waiting\nafter\nthread\n")
        self.assertEqual(told.stdout, "heard 1\n")

    def test_many_messages_keep_their_order(self) -> None:
        cell = self.client.start("futures['c'] = asyncio.Future()\nprint('waiting')\nawait futures['c']\nheard")
        cell.wait_for_output("waiting")
        for n in range(50):
            self.tell(n=n)
        self.tell(n=50, future="c")
        self.assertEqual(cell.wait().result.replace("\n", ""), str(list(range(51))))

    def test_a_message_sent_in_one_breath_with_the_cell_waits_for_its_await(self) -> None:
        cell = self.client.start("futures['d'] = asyncio.Future()\ntime.sleep(0.05)\nawait futures['d']")
        self.tell(n=7, future="d")
        self.assertEqual(cell.wait().result, "7")

    @ours  # ipykernel reads its sockets in an order of its own.
    def test_a_cell_that_does_not_await_is_not_disturbed(self) -> None:
        gate = Gate()
        cell = self.client.start(f"print('running')\n{gate.code}heard[:]")
        after = self.client.start("heard[:]")
        cell.wait_for_output("running")
        told = [self.tell(n=n) for n in range(3)]
        last = self.client.start("heard[:]")
        self.client.wait_until_received()
        gate.open()
        self.assertEqual(cell.wait().result, "[]")
        # It was sent before them, and does not await either.
        self.assertEqual(after.wait().result, "[]")
        self.assertEqual(last.wait().result, "[0, 1, 2]")
        for each in told:
            self.idle(each)

    def test_a_handler_that_raises_leaves_the_cell_alone(self) -> None:
        cell = self.client.start("futures['e'] = asyncio.Future()\nprint('waiting')\nawait futures['e']")
        cell.wait_for_output("waiting")
        self.tell(n=1, fail=True)
        self.tell(n=2, future="e")
        self.assertEqual(cell.wait().result, "2")

    def test_an_interrupt_ends_the_awaiting_cell_and_no_message_is_lost(self) -> None:
        cell = self.client.start("print('waiting')\nawait asyncio.Event().wait()")
        cell.wait_for_output("waiting")
        first = self.tell(n=1)
        first.wait_for("iopub", "comm_msg")
        self.manager.interrupt_kernel()
        self.assertEqual(cell.wait().status, "error")
        self.tell(n=2)
        self.assertEqual(self.run_ok("heard").result, "[1, 2]")

    def test_a_comm_may_be_opened_and_closed_meanwhile(self) -> None:
        cell = self.client.start("futures['f'] = asyncio.Future()\nprint('waiting')\nawait futures['f']")
        cell.wait_for_output("waiting")
        content = {"comm_id": "second", "target_name": "probe", "data": {}}
        opening = self.client.request("comm_open", content)
        telling = self.client.request("comm_msg", {"comm_id": "second", "data": {"n": 3}})
        telling.wait_for("iopub", "comm_msg")
        self.client.request("comm_close", {"comm_id": "second", "data": {}})
        self.tell(n=4, future="f")
        self.assertEqual(cell.wait().result, "4")
        self.assertEqual(opening.states, [])
        self.assertNotIn("second", self.client.ask("comm_info_request")["comms"])

    def test_an_error_does_not_abort_messages(self) -> None:
        gate = Gate()
        cell = self.client.start(f"print('running')\n{gate.code}1 / 0")
        cell.wait_for_output("running")
        told = self.tell(n=9)
        self.client.wait_until_received()
        gate.open()
        self.assertEqual(cell.wait().status, "error")
        self.assertEqual(told.wait_for("iopub", "comm_msg")["content"]["data"], {"echo": 9})


@ours
class Polling(ProbeCase):
    """Code that holds the thread, and lets messages in when it likes."""

    def test_a_cell_polls_the_kernel(self) -> None:
        code = "print('polling')\nwhile not heard:\n    get_ipython().kernel.do_one_iteration()\n"
        code += "    time.sleep(0.005)\nheard"
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        told = self.tell(n=5)
        self.assertEqual(cell.wait().result, "[5]")
        self.assertEqual(told.stdout, "heard 5\n")
        self.assertEqual(cell.stdout, "polling\n")

    def test_a_cell_polls_and_awaits_the_iteration(self) -> None:
        code = "print('polling')\nwhile not heard:\n    await get_ipython().kernel.do_one_iteration()\n"
        code += "print('done')\nheard"
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        self.tell(n=6)
        cell.wait()
        self.assertEqual((cell.result, cell.stdout), ("[6]", "polling\ndone\n"))

    def test_one_iteration_serves_one_message(self) -> None:
        code = "kernel = get_ipython().kernel\nprint('polling')\nwhile not heard:\n    kernel.do_one_iteration()\n"
        code += "counts = [len(heard)]\nwhile len(heard) < 3:\n    before = len(heard)\n"
        code += "    kernel.do_one_iteration()\n    counts.append(len(heard) - before)\nmax(counts)"
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        for n in range(3):
            self.tell(n=n)
        self.assertEqual(cell.wait().result, "1")

    def test_an_interrupt_of_a_handler_ends_the_polling_cell(self) -> None:
        self.run_ok(
            "def stuck(channel, message):\n"
            "    @channel.on_msg\n"
            "    def on_msg(message):\n"
            "        print('stuck', flush=True)\n"
            "        while True: time.sleep(0.01)\n"
            "comm.get_comm_manager().register_target('stuck', stuck)"
        )
        self.client.request("comm_open", {"comm_id": "s", "target_name": "stuck", "data": {}})
        cell = self.client.start("print('polling')\nwhile True:\n    get_ipython().kernel.do_one_iteration()")
        cell.wait_for_output("polling")
        told = self.client.request("comm_msg", {"comm_id": "s", "data": {}})
        told.wait_for_output("stuck")
        self.manager.interrupt_kernel()
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        self.assertEqual(self.run_ok("1").result, "1")

    def test_ui_poll_in_a_cell_that_does_not_await(self) -> None:
        code = (
            "from jupyter_ui_poll import ui_events\n"
            "print('polling')\n"
            "with ui_events() as poll:\n"
            "    while len(heard) < 2:\n"
            "        poll(10)\n"
            "        time.sleep(0.005)\n"
            "print('done')\n"
            "heard"
        )
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        told = [self.tell(n=1), self.tell(n=2)]
        waiting = self.client.start("'next'")
        cell.wait()
        self.assertEqual((cell.result, cell.stdout), ("[1, 2]", "polling\ndone\n"))
        self.assertEqual([each.stdout for each in told], ["heard 1\n", "heard 2\n"])
        self.assertEqual(waiting.wait().result, "'next'")

    def test_ui_poll_in_a_cell_that_awaits(self) -> None:
        code = (
            "from jupyter_ui_poll import ui_events, with_ui_events\n"
            "print('polling')\n"
            "async with ui_events() as poll:\n"
            "    while len(heard) < 2:\n"
            "        await poll(10)\n"
            "        await asyncio.sleep(0.005)\n"
            "async for n in with_ui_events(range(3), n=2):\n"
            "    pass\n"
            "print('done')\n"
            "heard"
        )
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        self.tell(n=1)
        self.tell(n=2)
        cell.wait()
        self.assertEqual((cell.result, cell.stdout), ("[1, 2]", "polling\ndone\n"))

    def test_a_loop_that_polls_until_there_is_a_value(self) -> None:
        code = (
            "from jupyter_ui_poll import run_ui_poll_loop\nprint('polling')\n"
            "run_ui_poll_loop(lambda: heard[0] if heard else None)"
        )
        cell = self.client.start(code)
        cell.wait_for_output("polling")
        self.tell(n="value")
        self.assertEqual(cell.wait().result, "'value'")

    def test_polling_without_a_message_does_nothing(self) -> None:
        code = "kernel = get_ipython().kernel\nfor _ in range(3): kernel.do_one_iteration()\n"
        code += "await kernel.do_one_iteration()"
        self.assertIsNone(self.run_ok(code).result)


@ours
class RolledBack(ProbeCase):
    def test_messages_during_a_cell_that_is_rolled_back_are_rolled_back_with_it_or_served_afterwards(self) -> None:
        code = "print('waiting')\nwhile not heard: await asyncio.sleep(0.01)\n"
        code += "print('got it', flush=True)\ntime.sleep(0.1)\n1 / 0"
        cell = self.client.start(code, metadata={"savepoint": {"transaction": "rollback_on_failure"}})
        cell.wait_for_output("waiting")
        self.tell(n=1)
        cell.wait_for_output("got it")
        late = self.tell(n=2)
        self.assertEqual(cell.wait().ours["transaction"]["outcome"], "rolled_back")
        self.assertEqual(late.wait_for("iopub", "comm_msg")["content"]["data"], {"echo": 2})
        # The first was part of the cell; the second found the state before it.
        self.assertEqual(self.run_ok("heard").result, "[2]")

    def test_a_block_that_is_rolled_back_goes_on_hearing(self) -> None:
        code = (
            "import savepoint\n"
            "try:\n"
            "    with savepoint.transaction():\n"
            "        print('waiting', flush=True)\n"
            "        while not heard: await asyncio.sleep(0.01)\n"
            "        print('got it', flush=True)\n"
            "        time.sleep(0.1)\n"
            "        1 / 0\n"
            "except savepoint.RolledBack:\n"
            "    pass\n"
            "while not heard: await asyncio.sleep(0.01)\n"
            "heard"
        )
        cell = self.client.start(code)
        cell.wait_for_output("waiting")
        self.tell(n=1)
        cell.wait_for_output("got it")
        self.tell(n=2)
        self.assertEqual(cell.wait().result, "[2]")

    def test_our_own_comms_wait_for_the_cell(self) -> None:
        target = Target(self.client, "savepoint.transaction")
        cell = self.client.start("futures['g'] = asyncio.Future()\nprint('waiting')\nawait futures['g']")
        cell.wait_for_output("waiting")
        asking = self.client.request("comm_msg", {"comm_id": target.comm_id, "data": {"id": "1", "op": "status"}})
        self.tell(n=1, future="g")
        cell.wait()
        self.client.wait_until(lambda: asking.states == ["busy", "idle"], PATIENCE_S, "busy and idle")


if __name__ == "__main__":
    main()
