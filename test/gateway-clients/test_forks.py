"""A live kernel becomes several: the same state in each, which they then change by themselves."""

from __future__ import annotations

import os
import time
import unittest
from concurrent.futures import ThreadPoolExecutor

from gateway.client import Channels, Rest
from gateway.server import PATIENCE_S
from support.case import main

GONE_WITHIN_S = 30.0


class ForkTest(unittest.TestCase):
    def setUp(self) -> None:
        self.rest = Rest()
        self.pids: dict[str, int] = {}

    def kernel(self) -> tuple[str, Channels]:
        return self.joined(self.rest.start_kernel())

    def joined(self, kernel_id: str) -> tuple[str, Channels]:
        """A kernel that ends with the test, and a connection to it."""
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{kernel_id}")
        channels = self.rest.channels(kernel_id)
        self.addCleanup(channels.close)
        return kernel_id, channels

    def fork(self, kernel_id: str, **body: object) -> list[tuple[str, Channels]]:
        answer = self.rest.ask("POST", f"/api/kernels/{kernel_id}/fork", body)
        self.assertEqual(answer.status, 201, answer.body)
        return [self.joined(each["id"]) for each in answer.body["kernels"]]

    def snapshots(self, kernel_id: str) -> list[dict[str, object]]:
        return list(self.rest.ask("GET", f"/api/kernels/{kernel_id}/snapshots").body["items"])

    def model(self, kernel_id: str) -> dict[str, object]:
        return dict(self.rest.ask("GET", f"/api/kernels/{kernel_id}").body)

    def wait_until_gone(self, pids: list[int]) -> None:
        deadline = time.monotonic() + GONE_WITHIN_S
        while left := [pid for pid in pids if os.path.exists(f"/proc/{pid}")]:
            self.assertLess(time.monotonic(), deadline, f"left: {left}")
            time.sleep(0.02)


class OverHttp(ForkTest):
    def test_a_fork_has_the_state_and_both_go_on_by_themselves(self) -> None:
        source, channels = self.kernel()
        channels.execute("x = [1]; import os, random; random.seed(3)")
        [(fork, forked)] = self.fork(source)
        self.assertEqual(self.model(fork)["name"], self.model(source)["name"])
        self.assertEqual(forked.text("x.append(2); print(x, os.environ['KERNEL_ID'])"), f"[1, 2] {fork}\n")
        self.assertEqual(channels.text("print(x, os.environ['KERNEL_ID'])"), f"[1] {source}\n")
        draw = "print(random.random())"
        self.assertEqual(forked.text(draw), channels.text(draw))

    def test_the_count_goes_on_and_what_was_typed_is_there(self) -> None:
        source, channels = self.kernel()
        channels.execute("a = 1")
        channels.execute("a + 1")
        [(_, forked)] = self.fork(source)
        began = len(forked.messages)
        self.assertEqual(forked.text("print(In[1], Out[2])"), "a = 1 2\n")
        reply = next(each for each in forked.messages[began:] if each["msg_type"] == "execute_reply")
        self.assertEqual(reply["content"]["execution_count"], 3)

    def test_ten_at_once_are_all_there_and_leave_nothing_behind(self) -> None:
        source, channels = self.kernel()
        channels.execute("x = 0; import os")
        forks = self.fork(source, count=10)
        self.assertEqual(len({fork for fork, _ in forks}), 10)
        for number, (_, forked) in enumerate(forks):
            forked.execute(f"x = {number}")
        self.assertEqual([forked.text("print(x)") for _, forked in forks], [f"{n}\n" for n in range(10)])
        pids = [int(each.text("print(os.getpid())")) for _, each in (*forks, (source, channels))]
        self.assertEqual(len(set(pids)), 11)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda each: self.rest.ask("DELETE", f"/api/kernels/{each}"), [source, *(f for f, _ in forks)]))
        self.wait_until_gone(pids)

    def test_a_fork_can_be_forked(self) -> None:
        source, channels = self.kernel()
        channels.execute("path = ['root']")
        for _ in range(3):
            [(source, channels)] = self.fork(source)
            channels.execute("path.append(len(path))")
        self.assertEqual(channels.text("print(path)"), "['root', 1, 2, 3]\n")

    def test_what_becomes_of_the_other_kernel_does_not_concern_it(self) -> None:
        for method, path in (("DELETE", ""), ("POST", "/restart"), ("POST", "/interrupt")):
            with self.subTest(path):
                source, channels = self.kernel()
                channels.execute("x = 'kept'")
                [(fork, forked)] = self.fork(source)
                self.rest.ask(method, f"/api/kernels/{source}{path}", None if method == "DELETE" else {})
                self.assertEqual(forked.text("print(x)"), "kept\n")
                self.rest.ask("DELETE", f"/api/kernels/{fork}")
                self.assertEqual(self.rest.ask("GET", f"/api/kernels/{fork}").status, 404)
                if path:
                    self.assertEqual(channels.text("print(6 * 7)"), "42\n")

    def test_killed_workers_are_each_the_death_of_one_kernel(self) -> None:
        source, channels = self.kernel()
        channels.execute("import os, signal; x = 1")
        [(fork, forked)] = self.fork(source)
        for victim, other, survivor in ((channels, source, forked), (forked, fork, channels)):
            victim.execute("os.kill(os.getpid(), signal.SIGKILL)")
            self.assertEqual(self.model(other)["savepoint"]["last_death"]["signal"], "SIGKILL")
            if survivor is forked:
                self.assertEqual(survivor.text("print(x)"), "1\n")
        self.assertEqual(forked.text("print(6 * 7)"), "42\n")

    def test_a_restart_of_a_fork_gives_an_empty_one(self) -> None:
        source, channels = self.kernel()
        channels.execute("x = 1")
        [(fork, forked)] = self.fork(source)
        self.assertEqual(self.rest.ask("POST", f"/api/kernels/{fork}/restart", {}).status, 200)
        self.assertEqual(forked.text("import os; print('x' in globals(), os.environ['KERNEL_ID'])"), f"False {fork}\n")

    def test_widgets_are_known_in_the_fork(self) -> None:
        source, channels = self.kernel()
        channels.execute("from comm import create_comm; c = create_comm(target_name='w', comm_id='c1')")
        channels.execute("got = []; c.on_msg(lambda message: got.append(message['content']['data']))")
        [(_, forked)] = self.fork(source)
        msg_id = forked.send("comm_info_request", {})
        self.assertEqual(forked.until("comm_info_reply", msg_id)["content"]["comms"], {"c1": {"target_name": "w"}})
        forked.send("comm_msg", {"comm_id": "c1", "data": {"v": 5}})
        self.assertEqual(forked.text("print(got)"), "[{'v': 5}]\n")
        self.assertEqual(channels.text("print(got)"), "[]\n")

    def test_background_tasks_go_on_in_both(self) -> None:
        source, channels = self.kernel()
        cell = "import asyncio\nn = [0]\nasync def tick():\n while True:\n  n[0] += 1; await asyncio.sleep(0.01)\nt = asyncio.ensure_future(tick())"
        channels.execute(cell)
        [(_, forked)] = self.fork(source)
        for each in (channels, forked):
            self.assertEqual(each.text("b = n[0]\nawait asyncio.sleep(0.3)\nprint(n[0] > b)"), "True\n")

    def test_output_of_c_code_and_children_is_that_of_its_own_kernel(self) -> None:
        source, channels = self.kernel()
        channels.execute("import os, subprocess")
        [(_, forked)] = self.fork(source)
        for each, text in ((channels, "one"), (forked, "two"), (channels, "three")):
            self.assertEqual(each.text(f"_ = os.write(1, b'{text}'); _ = subprocess.run(['echo', '!'])"), f"{text}!\n")

    def test_forks_while_output_flows(self) -> None:
        source, channels = self.kernel()
        flow = "import threading, time, sys\nstop = []\ndef flow():\n while not stop:\n  sys.stdout.write('x' * 100); sys.stdout.flush(); time.sleep(0.001)\nt = threading.Thread(target=flow); t.start()"
        channels.execute(flow)
        forks = [self.fork(source)[0] for _ in range(5)]
        for _, forked in forks:
            self.assertEqual(forked.text("print(6 * 7, t.is_alive())"), "42 False\n")
        channels.execute("stop.append(1)\nt.join()")

    def test_what_it_is_without_is_said_with_its_first_reply(self) -> None:
        source, channels = self.kernel()
        channels.execute("import socket; a, b = socket.socketpair()")
        [(_, forked)] = self.fork(source)
        warnings = []
        for _ in range(2):
            began = len(forked.messages)
            forked.execute("1")
            reply = next(each for each in forked.messages[began:] if each["msg_type"] == "execute_reply")
            warnings.append(reply["metadata"]["savepoint"]["warnings"])
        self.assertEqual(warnings, [["Not in this fork of the kernel: 2 open sockets."], []])

    def test_a_fork_at_a_snapshot_has_the_state_of_that_moment(self) -> None:
        source, channels = self.kernel()
        channels.execute("x = 1")
        channels.execute("%begin")
        channels.execute("x = 2")
        [begun] = [each["id"] for each in self.snapshots(source) if each["kind"] == "begin"]
        forks = self.fork(source, at=begun, count=2)
        self.assertEqual([forked.text("print(x, len(In))") for _, forked in forks], ["1 4\n", "1 4\n"])
        counts = [each["content"].get("execution_count") for each in forks[0][1].messages]
        self.assertEqual(max(filter(None, counts)), 3)
        channels.execute("%rollback")
        self.assertEqual(channels.text("print(x)"), "1\n")

    def test_a_fork_at_a_copy_of_the_guards_has_the_state_before_that_cell(self) -> None:
        source, channels = self.kernel()
        for number in range(4):
            channels.execute(f"x = {number}; time = __import__('time'); time.sleep(0.1)")
        states = set()
        deadline = time.monotonic() + PATIENCE_S
        while not any(each["kind"] == "guard" and each["execution_count"] > 0 for each in self.snapshots(source)):
            self.assertLess(time.monotonic(), deadline, "the guard has made no copy")
            time.sleep(0.05)
        for each in self.snapshots(source):
            if each["kind"] == "guard" and each["execution_count"] > 0:
                [(_, forked)] = self.fork(source, at=each["id"])
                states.add((each["execution_count"], forked.text("print(x)")))
        self.assertTrue(states)
        self.assertEqual(states, {(count, f"{count - 1}\n") for count, _ in states})
        self.assertEqual(channels.text("print(x)"), "3\n")

    def test_wrong_wishes_are_refused_and_nothing_is_made(self) -> None:
        source, channels = self.kernel()
        before = len(self.rest.ask("GET", "/api/kernels").body)
        wishes = (({"count": 0}, 400), ({"count": 101}, 400), ({"count": "2"}, 400), ({"at": "sn_999"}, 404), ({"at": 5}, 400))
        for body, status in wishes:
            answer = self.rest.ask("POST", f"/api/kernels/{source}/fork", body)
            self.assertEqual((body, answer.status), (body, status), answer.body)
        self.assertEqual(self.rest.ask("POST", "/api/kernels/none/fork", {}).status, 404)
        self.assertEqual(len(self.rest.ask("GET", "/api/kernels").body), before)
        self.assertEqual(channels.text("print(6 * 7)"), "42\n")

    def test_a_busy_kernel_is_waited_for_and_no_longer_than_asked(self) -> None:
        source, channels = self.kernel()
        msg_id = channels.send("execute_request", {"code": "print('in', flush=True)\nwhile True: pass", "silent": False})
        channels.until("stream", msg_id)
        answer = self.rest.ask("POST", f"/api/kernels/{source}/fork?wait_s=0.1", {})
        self.assertEqual((answer.status, answer.body["code"]), (409, "kernel_busy"))
        self.rest.ask("POST", f"/api/kernels/{source}/interrupt", {})
        channels.until("execute_reply", msg_id)
        self.assertEqual(len(self.fork(source)), 1)

    def test_a_debugged_process_is_not_copied(self) -> None:
        source, channels = self.kernel()
        request = {"type": "request", "seq": 1, "command": "initialize", "arguments": {}}
        msg_id = channels.send("debug_request", request, channel="control")
        channels.until("debug_reply", msg_id)
        answer = self.rest.ask("POST", f"/api/kernels/{source}/fork", {})
        self.assertEqual((answer.status, answer.body["code"]), (422, "engine_unavailable"), answer.body)


class InTheKernel(ForkTest):
    def forked(self, channels: Channels, code: str) -> list[tuple[str, Channels]]:
        ids = channels.text(f"import savepoint\n{code}").split()
        return [self.joined(each) for each in ids]

    def test_code_forks_its_own_kernel_at_that_line(self) -> None:
        _, channels = self.kernel()
        [(_, forked)] = self.forked(channels, "x = 1\nids = savepoint.fork()\nx = 2\nprint(*ids)")
        self.assertEqual((channels.text("print(x)"), forked.text("print(x)")), ("2\n", "1\n"))
        self.assertEqual(forked.text("print('ids' in globals())"), "False\n")

    def test_many_and_in_an_async_cell(self) -> None:
        _, channels = self.kernel()
        code = "import asyncio\nawait asyncio.sleep(0)\nx = 1\nids = savepoint.fork(4)\nawait asyncio.sleep(0)\nprint(*ids)"
        forks = self.forked(channels, code)
        self.assertEqual([forked.text("x += 1; print(x)") for _, forked in forks], ["2\n"] * 4)

    def test_in_a_block_the_block_is_left_and_the_transaction_stays_the_first_kernels(self) -> None:
        source, channels = self.kernel()
        code = "x = 1\nwith savepoint.transaction() as tx:\n    x = 2\n    ids = savepoint.fork()\n    x = 3\nprint(*ids)"
        [(fork, forked)] = self.forked(channels, code)
        self.assertEqual((channels.text("print(x)"), forked.text("print(x)")), ("3\n", "2\n"))
        self.assertEqual(self.model(fork)["savepoint"]["transactions"], 0)

    def test_refusals_are_raised_where_it_was_called(self) -> None:
        _, channels = self.kernel()
        code = "import savepoint\ntry: savepoint.fork({})\nexcept savepoint.SavepointError as e: print(e.code)"
        for count in ("0", "101", "'2'", "None"):
            self.assertEqual((count, channels.text(code.format(count))), (count, "bad_request\n"))

    def test_over_a_comm_it_has_its_turn_behind_a_running_cell(self) -> None:
        source, channels = self.kernel()
        channels.send("comm_open", {"comm_id": "t", "target_name": "savepoint.transaction", "data": {}})
        self.assertIn("fork", channels.until("comm_msg")["content"]["data"]["ops"])
        channels.send("execute_request", {"code": "import time; time.sleep(0.3); x = 1", "silent": False})
        msg_id = channels.send("comm_msg", {"comm_id": "t", "data": {"id": "1", "op": "fork", "count": 2}})
        answer = channels.until("comm_msg", msg_id)["content"]["data"]
        self.assertTrue(answer["ok"], answer)
        forks = [self.joined(each["id"]) for each in answer["result"]["kernels"]]
        self.assertEqual([forked.text("print(x)") for _, forked in forks], ["1\n", "1\n"])


if __name__ == "__main__":
    main()
