"""Transactions over the comm target `savepoint.transaction`."""

from __future__ import annotations

import datetime
import unittest

from support.case import KernelCase, fresh_kernel, main
from support.comms import Refused, Target, commit_all, transactions
from support.subject import ours

SETUP = """
import math
numbers = [1, 2, 3]
table = {'deep': {'list': [0]}}
alias = numbers
class Thing: pass
thing = Thing()
thing.value = 'before'
"""
DAMAGE = """
numbers.append(4)
table['deep']['list'].clear()
thing.value = 'after'
math.added = True
newcomer = 1
del alias
"""
STATE = "(numbers, table, thing.value, hasattr(math, 'added'), 'newcomer' in dir(), 'alias' in dir())"
BEFORE = "([1, 2, 3], {'deep': {'list': [0]}}, 'before', False, False, True)"
AFTER = "([1, 2, 3, 4], {'deep': {'list': []}}, 'after', True, True, False)"


class TransactionCase(KernelCase):
    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.target = transactions(self.client)
        self.addCleanup(commit_all, self.client)
        # The present one: some tests open another.
        self.addCleanup(lambda: self.target.close())

    def refused(self, code: str, op: str, **fields: object) -> Refused:
        with self.assertRaises(Refused) as raised:
            self.target.ask(op, **fields)
        self.assertEqual(raised.exception.code, code)
        self.assertTrue(raised.exception.message.endswith("."), raised.exception.message)
        return raised.exception


@ours
class Protocol(TransactionCase):
    def test_an_opened_comm_is_ready_and_says_what_it_can(self) -> None:
        ready = self.target.ready
        self.assertEqual((ready["event"], ready["version"]), ("ready", 1))
        self.assertLessEqual({"begin", "rollback", "commit", "status"}, set(ready["ops"]))
        self.assertIn("fork", ready["engines"])
        self.assertIn("guard", ready)

    def test_a_begun_transaction_is_described(self) -> None:
        record = self.target.ask("begin", name="clean-up")
        self.assertRegex(record["id"], r"^tx_\w+$")
        opened = datetime.datetime.fromisoformat(record["opened_at"].replace("Z", "+00:00"))
        self.assertLess(abs((datetime.datetime.now(datetime.timezone.utc) - opened).total_seconds()), 60)
        self.assertGreater(record["begin_ms"], 0)
        expected = {
            "name": "clean-up",
            "policy": "explicit",
            "engine": "fork",
            "state": "open",
            "depth": 1,
            "savepoints": [],
            "reason": None,
        }
        self.assertEqual({key: record[key] for key in expected}, expected)
        self.assertEqual(record["opened_by"], self.client.kc.session.session)

    def test_status_lists_from_the_outermost_to_the_innermost(self) -> None:
        self.assertEqual(self.target.ask("status")["transactions"], [])
        ids = [self.target.ask("begin")["id"] for _ in range(3)]
        self.assertEqual(
            [(r["id"], r["depth"]) for r in self.target.ask("status")["transactions"]], list(zip(ids, (1, 2, 3)))
        )

    def test_what_does_not_fit_is_refused_with_its_code(self) -> None:
        self.refused("no_transaction", "commit")
        self.refused("no_transaction", "rollback")
        self.refused("unknown_policy", "begin", policy="hopeful")
        self.refused("unknown_policy", "begin", policy="commit_always")
        self.refused("unknown_engine", "begin", engine="magic")
        self.refused("unknown_policy", "begin", policy=5)
        self.refused("unknown_op", "levitate")
        self.target.ask("begin")
        self.refused("unknown_transaction", "commit", transaction="tx_never")
        self.assertEqual(len(self.target.ask("status")["transactions"]), 1)

    def test_data_that_is_no_request_is_a_bad_request(self) -> None:
        for data, sent_id in (
            ("text", None),
            ([], None),
            (5, None),
            (None, None),
            ({}, None),
            ({"id": "7"}, "7"),
            ({"id": "8", "op": 3}, "8"),
        ):
            with self.subTest(data=data):
                answer = self.target.answer_of(self.target.send(data))
                self.assertEqual((answer["ok"], answer["id"], answer["error"]["code"]), (False, sent_id, "bad_request"))

    def test_unknown_fields_are_no_error(self) -> None:
        self.assertEqual(self.target.ask("begin", colour="blue")["state"], "open")

    def test_thirty_two_deep_is_the_limit(self) -> None:
        for _ in range(32):
            self.target.ask("begin")
        self.refused("too_deep", "begin")

    def test_other_clients_hear_of_it_once_they_opened_a_comm(self) -> None:
        other = self.second_client()
        heard = transactions(other)
        record = self.target.ask("begin", name="heard")
        heard.wait_for_event("transaction", id=record["id"], state="open")
        # Any client that may execute may end it.
        self.assertEqual(heard.ask("commit")["state"], "committed")
        self.addCleanup(heard.close)
        self.target.wait_for_event("transaction", id=record["id"], state="committed")

    def test_nothing_is_sent_while_no_comm_is_open(self) -> None:
        self.target.close()
        self.client.messages.clear()
        self.run_ok("%begin quiet")
        self.run_ok("%commit")
        self.assertEqual([m for m in self.client.messages if m["msg_type"].startswith("comm")], [])
        self.target = transactions(self.client)

    def test_closing_the_comm_ends_no_transaction(self) -> None:
        record = self.target.ask("begin")
        self.target.close()
        self.target = transactions(self.client)
        self.assertEqual([r["id"] for r in self.target.ask("status")["transactions"]], [record["id"]])


@ours
class State(TransactionCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_ok(SETUP)

    def tearDown(self) -> None:
        self.run_ok("import math\nvars(math).pop('added', None)\nglobals().pop('newcomer', None)")

    def state(self) -> str:
        return self.run_ok(STATE).result or ""

    def test_rollback_brings_everything_back(self) -> None:
        record = self.target.ask("begin")
        self.run_ok(DAMAGE)
        self.assertEqual(self.state(), AFTER)
        ended = self.target.ask("rollback")
        self.assertEqual(
            (ended["id"], ended["state"], ended["effects"], ended["limits"]), (record["id"], "rolled_back", [], [])
        )
        self.assertGreater(ended["rollback_ms"], 0)
        self.assertEqual(self.state(), BEFORE)
        self.assertEqual(self.run_ok("alias is numbers").result, "True")

    def test_commit_keeps_everything(self) -> None:
        self.target.ask("begin")
        self.run_ok(DAMAGE)
        self.assertEqual(self.target.ask("commit")["state"], "committed")
        self.assertEqual(self.state(), AFTER)

    def test_requests_take_their_place_in_the_queue(self) -> None:
        beginning = self.target.start("begin")
        damaging = self.client.start(DAMAGE)
        looking = self.client.start(STATE)
        ending = self.target.start("rollback")
        last = self.client.start(STATE)
        self.assertEqual(last.wait().result, BEFORE)
        self.assertEqual((damaging.status, looking.result), ("ok", AFTER))
        self.assertTrue(self.target.answer_of(beginning)["ok"] and self.target.answer_of(ending)["ok"])

    def test_an_inner_rollback_leaves_the_outer_open(self) -> None:
        outer = self.target.ask("begin")
        self.run_ok("numbers.append('outer')")
        self.target.ask("begin")
        self.run_ok("numbers.append('inner')")
        self.target.ask("rollback")
        self.assertEqual(self.run_ok("numbers").result, "[1, 2, 3, 'outer']")
        self.assertEqual([r["id"] for r in self.target.ask("status")["transactions"]], [outer["id"]])
        self.target.ask("rollback")
        self.assertEqual(self.run_ok("numbers").result, "[1, 2, 3]")

    def test_an_outer_rollback_undoes_what_an_inner_commit_kept(self) -> None:
        self.target.ask("begin")
        self.target.ask("begin")
        self.run_ok(DAMAGE)
        self.target.ask("commit")
        self.assertEqual(self.state(), AFTER)
        self.target.ask("rollback")
        self.assertEqual(self.state(), BEFORE)

    def test_ending_an_outer_transaction_ends_the_inner_ones(self) -> None:
        outer = self.target.ask("begin")
        self.target.ask("begin")
        self.run_ok(DAMAGE)
        self.target.ask("rollback", transaction=outer["id"])
        self.assertEqual(self.target.ask("status")["transactions"], [])
        self.assertEqual(self.state(), BEFORE)

    def test_committing_a_dry_run_rolls_it_back(self) -> None:
        self.target.ask("begin", policy="dry_run")
        self.run_ok(DAMAGE)
        self.assertEqual(self.target.ask("commit")["state"], "rolled_back")
        self.assertEqual(self.state(), BEFORE)

    def test_a_failing_cell_leaves_an_explicit_transaction_open(self) -> None:
        self.target.ask("begin")
        self.client.execute(f"{DAMAGE}\n1 / 0")
        self.assertEqual(self.state(), AFTER)
        self.assertEqual(len(self.target.ask("status")["transactions"]), 1)

    def test_a_failing_cell_ends_one_that_was_begun_to_be_rolled_back(self) -> None:
        record = self.target.ask("begin", policy="rollback_on_failure")
        self.run_ok(DAMAGE)
        self.client.execute("1 / 0")
        self.assertEqual(self.state(), BEFORE)
        self.assertEqual(self.target.ask("status")["transactions"], [])
        self.target.wait_for_event("transaction", id=record["id"], state="rolled_back")

    def test_counts_never_go_back_and_in_keeps_every_cell(self) -> None:
        self.target.ask("begin")
        count = self.run_ok("'lost result'").content["execution_count"]
        self.target.ask("rollback")
        self.assertEqual(self.run_ok("'kept result'").content["execution_count"], count + 1)
        found = self.run_ok(f"In[{count}], In[{count + 1}], {count} in Out, Out[{count + 1}]").result
        self.assertEqual(found, "(\"'lost result'\", \"'kept result'\", False, 'kept result')")

    def test_the_namespace_stays_the_same_object(self) -> None:
        before = self.run_ok("id(globals())").result
        self.target.ask("begin")
        self.run_ok(DAMAGE)
        self.target.ask("rollback")
        self.assertEqual(self.run_ok("id(globals())").result, before)
        self.assertEqual(self.run_ok("globals() is get_ipython().user_ns").result, "True")

    def test_fifty_rollbacks_to_the_same_state_in_a_row(self) -> None:
        for _ in range(50):
            self.target.ask("begin")
            self.run_ok(DAMAGE)
            self.target.ask("rollback")
            self.assertEqual(self.state(), BEFORE)


@ours
class AfterRollback(TransactionCase):
    """The kernel that comes back is a whole kernel."""

    def go_back(self, code: str = "gone = 1") -> None:
        self.target.ask("begin")
        self.run_ok(code)
        self.target.ask("rollback")

    def test_output_of_every_kind_still_arrives(self) -> None:
        self.go_back()
        cell = self.run_ok(
            "import os, sys\n"
            "print('out')\n"
            "print('err', file=sys.stderr)\n"
            "os.write(1, b'low\\n"
            "')\n"
            "os.system('echo child')\n"
            "7"
        )
        self.assertEqual((cell.result, cell.stderr), ("7", "err\n"))
        for text in ("out\n", "low\n", "child\n"):
            self.assertIn(text, cell.stdout)

    def test_input_still_works(self) -> None:
        self.go_back()
        cell = self.client.start("input('still? ')")
        cell.answer("yes")
        self.assertEqual(cell.wait().result, "'yes'")

    def test_interrupts_still_work(self) -> None:
        self.go_back()
        for code in ("while True: pass", "import asyncio\nawait asyncio.sleep(600)"):
            cell = self.client.start(f"print('in', flush=True)\n{code}")
            cell.wait_for_output("in")
            self.client.ask("interrupt_request", channel="control")
            self.assert_error(cell.wait(30), "KeyboardInterrupt")

    def test_awaits_and_background_tasks_go_on(self) -> None:
        self.run_ok(
            "import asyncio\n"
            "ticks = 0\n"
            "async def tick():\n"
            "    global ticks\n"
            "    while True:\n"
            "        ticks += 1\n"
            "        await asyncio.sleep(0.005)\n"
            "ticking = asyncio.create_task(tick())"
        )
        self.go_back()
        self.run_ok("before = ticks\nwhile ticks < before + 3: await asyncio.sleep(0.005)\nticking.cancel()")

    def test_a_comm_opened_since_is_closed_and_an_older_one_works(self) -> None:
        opened = self.run_ok("import comm\nolder = comm.create_comm(target_name='older')").on("iopub", "comm_open")[0]
        self.target.ask("begin")
        newer = self.run_ok("newer = comm.create_comm(target_name='newer')").on("iopub", "comm_open")[0]
        self.target.ask("rollback")
        self.client.wait_for(
            lambda m: m["msg_type"] == "comm_close" and m["content"]["comm_id"] == newer["content"]["comm_id"]
        )
        sent = self.run_ok("older.send({'still': 'here'})").on("iopub", "comm_msg")[0]
        self.assertEqual(sent["content"]["comm_id"], opened["content"]["comm_id"])
        comms = self.client.ask("comm_info_request")["comms"]
        self.assertIn(opened["content"]["comm_id"], comms)
        self.assertNotIn(newer["content"]["comm_id"], comms)

    def test_a_pipe_to_a_living_child_still_works(self) -> None:
        self.run_ok(
            "import subprocess\n"
            "cat = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "cat.stdin.write(b'one\\n"
            "'); cat.stdin.flush()\n"
            "cat.stdout.readline()"
        )
        self.go_back()
        self.assertEqual(
            self.run_ok("cat.stdin.write(b'two\\n'); cat.stdin.flush()\ncat.stdout.readline()").result, "b'two\\n'"
        )
        self.run_ok("cat.stdin.close()")

    def test_a_listening_port_still_listens(self) -> None:
        self.run_ok(
            "import socket\nlistening = socket.create_server(('127.0.0.1', 0))\nport = listening.getsockname()[1]"
        )
        self.go_back()
        self.assertEqual(
            self.run_ok(
                "with socket.create_connection(('127.0.0.1', port)) as c:\n"
                "    listening.accept()[0].sendall(b'hi')\n"
                "    heard = c.recv(2)\n"
                "heard"
            ).result,
            "b'hi'",
        )

    def test_threads_can_be_started_again(self) -> None:
        self.go_back()
        self.assertEqual(
            self.run_ok(
                "import threading\n"
                "ran = []\n"
                "t = threading.Thread(target=ran.append, args=(1,))\n"
                "t.start(); t.join(); ran"
            ).result,
            "[1]",
        )

    def test_random_numbers_repeat_as_the_state_does(self) -> None:
        self.run_ok("import random\nrandom.seed(5)")
        self.target.ask("begin")
        first = self.run_ok("random.random()").result
        self.target.ask("rollback")
        self.assertEqual(self.run_ok("random.random()").result, first)


@ours
class Restart(unittest.TestCase):
    def test_a_restart_loses_open_transactions(self) -> None:
        manager, client = fresh_kernel(self)
        transactions(client).ask("begin")
        manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        self.assertEqual(transactions(client).ask("status")["transactions"], [])


if __name__ == "__main__":
    main()
