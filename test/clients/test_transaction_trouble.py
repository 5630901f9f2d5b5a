"""Transactions where something is wrong: hostile arguments, no memory, deaths, moves from the wrong place."""

from __future__ import annotations

import os
import signal

from support import processes
from support.case import KernelCase, fresh_kernel, main
from support.comms import Refused, Target, commit_all, transactions
from support.subject import ours

#: As another user, for whom limits hold, no process can be forked.
NO_FORK = """
import os, resource
def without_forks(act):
    soft, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    os.setresuid(65534, 65534, 0) if os.getuid() == 0 else None
    resource.setrlimit(resource.RLIMIT_NPROC, (0, hard))
    try:
        return act()
    finally:
        if os.getresuid()[2] == 0: os.setresuid(0, 0, 0)
        resource.setrlimit(resource.RLIMIT_NPROC, (soft, hard))
"""
CODE_OF = """
import savepoint, asyncio
def code_of(act):
    try: return act()
    except savepoint.SavepointError as error: return error.code
"""


class TroubleCase(KernelCase):
    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.run_ok(CODE_OF + "state = [1, 2]")
        self.target = transactions(self.client)
        self.addCleanup(commit_all, self.client)
        self.addCleanup(lambda: self.target.close())

    def refused(self, code: str, op: str, **fields: object) -> None:
        with self.assertRaises(Refused) as raised:
            self.target.ask(op, **fields)
        self.assertEqual(raised.exception.code, code)
        self.assertLess(len(raised.exception.message), 1000)

    def value(self, expression: str) -> str:
        return self.run_ok(expression).result or ""


@ours
class Arguments(TroubleCase):
    def test_hostile_ones_of_python_are_refused_by_a_code(self) -> None:
        self.run_ok("deep = []\nfor _ in range(100_000): deep = [deep]\nround_ = []\nround_.append(round_)")
        for call, code in (
            ("begin(object())", "bad_request"),
            ("begin(float('nan'))", "bad_request"),
            ("begin(deep)", "bad_request"),
            ("begin(round_)", "bad_request"),
            ("begin(b'name')", "bad_request"),
            ("begin('x' * 10**6)", "name_invalid"),
            ("begin('a/b')", "name_invalid"),
            ("begin(5)", "name_invalid"),
            ("begin(policy=5)", "unknown_policy"),
            ("begin(policy='x' * 10**6)", "unknown_policy"),
            ("begin(policy='commit_always')", "unknown_policy"),
            ("begin(engine='steam')", "unknown_engine"),
            ("begin(timeout_s=float('inf'))", "bad_request"),
            ("begin(timeout_s=10**400)", "bad_request"),
            ("begin(timeout_s=-1)", "bad_request"),
            ("begin(on_disconnect='vanish')", "bad_request"),
            ("savepoint('a')", "no_transaction"),
            ("savepoint(None)", "name_invalid"),
            ("release('a')", "no_transaction"),
            ("rollback(to='a')", "no_transaction"),
            ("rollback(to=5)", "name_invalid"),
            ("commit()", "no_transaction"),
            ("attempt(None)", "bad_request"),
            ("attempt(print, keep='maybe')", "bad_request"),
            ("attempt(print, engine='steam')", "unknown_engine"),
            ("transaction(name='a/b').__enter__()", "name_invalid"),
            ("transaction(policy=['x'] * 10**6)", "unknown_policy"),
        ):
            with self.subTest(call):
                self.assertEqual(self.value(f"code_of(lambda: savepoint.{call})"), repr(code))
        self.assertEqual(self.target.ask("status")["transactions"], [])

    def test_hostile_ones_of_a_comm_are_refused_by_a_code(self) -> None:
        long = "x" * 1_000_000
        for code, op, fields in (
            ("unknown_op", long, {}),
            ("name_invalid", "begin", {"name": long}),
            ("name_invalid", "begin", {"name": ["a"]}),
            ("unknown_policy", "begin", {"policy": {"a": 1}}),
            ("bad_request", "begin", {"timeout_s": True}),
            ("bad_request", "rollback", {"transaction": {"id": "tx_1"}}),
            ("unknown_transaction", "rollback", {"transaction": long}),
        ):
            with self.subTest(op=op[:20], fields=str(fields)[:60]):
                self.refused(code, op, **fields)

    def test_lines_of_magics_that_make_no_sense_are_refused(self) -> None:
        for line, code in (
            ("%savepoint", "bad_request"),
            ("%savepoint a b", "bad_request"),
            ("%savepoint 'a", "bad_request"),
            ("%savepoint " + "x" * 10_001, "bad_request"),
            ("%savepoint a/b", "name_invalid"),
            ("%release", "bad_request"),
            ("%rollback a b", "bad_request"),
            ("%rollback nope", "no_transaction"),
            ("%commit now", "bad_request"),
            ("%begin --policy hopeful", "unknown_policy"),
            ("%begin --engine", "bad_request"),
            ("%%transaction hopeful\n1", "unknown_policy"),
            ("%rollback\n1", "must_be_last"),
        ):
            with self.subTest(line[:40]):
                self.assert_refused(self.client.execute(line), code)
        self.assertEqual(self.target.ask("status")["transactions"], [])


@ours
class Places(TroubleCase):
    def test_in_a_cell_with_a_policy_its_own_transaction_is_meant(self) -> None:
        self.target.ask("begin", name="outer")
        self.target.ask("savepoint", name="a")
        self.assertEqual(self.value("%%transaction\ncode_of(lambda: savepoint.release('a'))"), "'unknown_savepoint'")
        self.run_ok("%%transaction --name inner\nsavepoint.savepoint('b')\nstate.append(3)\nsavepoint.rollback(to='b')")
        self.assertEqual(self.value("state"), "[1, 2]")
        cell = self.run_ok("%%transaction\nstate.append(3)\nsavepoint.commit()\nstate.append(4)")
        self.assertEqual(cell.ours["transaction"]["outcome"], "committed")
        self.assertEqual([each["name"] for each in self.target.ask("status")["transactions"]], ["outer"])
        self.target.ask("rollback", to="a")
        self.assertEqual(self.value("state"), "[1, 2]")

    def test_only_the_main_thread_may_ask(self) -> None:
        self.target.ask("begin")
        code = (
            "import threading\nfound = []\n"
            "calls = (savepoint.begin, savepoint.rollback, savepoint.commit, savepoint.status,\n"
            "         lambda: savepoint.savepoint('a'), lambda: savepoint.release('a'),\n"
            "         lambda: savepoint.attempt(int))\n"
            "t = threading.Thread(target=lambda: found.extend(map(code_of, calls)))\n"
            "t.start(); t.join()\nset(found), len(found)"
        )
        self.assertEqual(self.value(code), "({'not_available'}, 7)")

    def test_a_forked_child_is_not_the_kernel(self) -> None:
        code = (
            "import os\nr, w = os.pipe()\npid = os.fork()\n"
            "if pid == 0:\n    os.write(w, str(code_of(savepoint.begin)).encode())\n    os._exit(0)\n"
            "os.close(w)\nos.waitpid(pid, 0)\nos.read(r, 100)"
        )
        self.assertEqual(self.value(code), "b'not_in_kernel'")

    def test_two_clients_share_a_transaction(self) -> None:
        other = self.second_client()
        others = transactions(other)
        self.target.ask("begin", name="shared")
        self.assertEqual(others.ask("savepoint", name="a")["name"], "shared")
        other.execute("state.append(3)")
        self.target.ask("rollback", to="a")
        self.assertEqual(other.value("state"), "[1, 2]")
        others.ask("commit")
        self.refused("no_transaction", "commit")
        self.refused("no_transaction", "release", name="a")

    def test_a_failing_cell_leaves_an_explicit_one_open_and_ends_one_on_failure(self) -> None:
        self.target.ask("begin")
        self.target.ask("begin", policy="rollback_on_failure")
        self.target.ask("savepoint", name="a")
        cell = self.run_error("state.append(3)\n1 / 0", "ZeroDivisionError")
        self.assertEqual(cell.ours["transaction"]["outcome"], "rolled_back")
        (left,) = self.target.ask("status")["transactions"]
        self.assertEqual((left["policy"], left["state"]), ("explicit", "open"))
        self.assertEqual(self.value("state"), "[1, 2]")

    def test_a_commit_of_what_is_always_rolled_back_rolls_it_back(self) -> None:
        self.target.ask("begin", policy="dry_run")
        self.run_ok("state.append(3)")
        self.assertRegex(self.run_ok("%commit").stdout, r"^Rolled back in \d+\.\d ms")
        self.assertEqual(self.value("state"), "[1, 2]")


@ours
class NoMemory(TroubleCase):
    def test_nothing_is_changed_and_no_process_is_left(self) -> None:
        self.run_ok(NO_FORK)
        self.target.ask("begin", name="outer")
        root = self.manager.provisioner.pid
        before = {process.pid for process in processes.family(root)}
        code = (
            "state.append(3)\n"
            "def moves():\n"
            "    yield code_of(savepoint.begin)\n"
            "    yield code_of(lambda: savepoint.savepoint('a'))\n"
            "    yield code_of(lambda: savepoint.transaction().__enter__())\n"
            "    yield code_of(lambda: savepoint.attempt(int))\n"
            "codes = without_forks(lambda: list(moves()))\n"
            "set(codes), len(codes), len(savepoint.status()['transactions'])"
        )
        self.assertEqual(self.value(code), "({'snapshot_failed'}, 4, 1)")
        (left,) = self.target.ask("status")["transactions"]
        self.assertEqual((left["name"], left["savepoints"]), ("outer", []))
        self.assertLessEqual({process.pid for process in processes.family(root)}, before)
        self.target.ask("savepoint", name="a")
        self.target.ask("rollback", to="a")
        self.assertEqual(self.value("state"), "[1, 2, 3]")
        self.target.ask("rollback")
        self.assertEqual(self.value("state"), "[1, 2]")

    def test_a_client_is_told_so_too(self) -> None:
        self.run_ok(
            "import os, resource\n"
            "limits = resource.getrlimit(resource.RLIMIT_NPROC)\n"
            "os.setresuid(65534, 65534, 0) if os.getuid() == 0 else None\n"
            "resource.setrlimit(resource.RLIMIT_NPROC, (0, limits[1]))"
        )
        self.refused("snapshot_failed", "begin")
        cell = self.client.execute("%%transaction\nstate.append(3)")
        self.assertEqual(cell.status, "error")
        self.assertIn("snapshot_failed", cell.content["evalue"])
        self.run_ok(
            "os.setresuid(0, 0, 0) if os.getresuid()[2] == 0 else None\n"
            "resource.setrlimit(resource.RLIMIT_NPROC, limits)"
        )
        self.assertEqual(self.value("state"), "[1, 2]")
        self.target.ask("begin")


@ours
class Deaths(TroubleCase):
    def test_a_savepoint_whose_process_was_killed_is_refused_and_the_others_hold(self) -> None:
        manager, client = fresh_kernel(self)
        target = transactions(client)
        client.execute("state = [1]")
        target.ask("begin")
        before = {process.pid for process in processes.family(manager.provisioner.pid)}
        target.ask("savepoint", name="a")
        copies = {process.pid for process in processes.family(manager.provisioner.pid)} - before
        self.assertEqual(len(copies), 1)
        os.kill(copies.pop(), signal.SIGKILL)
        client.wait_until(lambda: client.execute("1").status == "ok", 60, "a cell")
        client.execute("state.append(2)")
        with self.assertRaises(Refused) as raised:
            target.ask("rollback", to="a")
        self.assertEqual(raised.exception.code, "snapshot_failed")
        self.assertEqual(client.value("state"), "[1, 2]")
        target.ask("rollback")
        self.assertEqual(client.value("state"), "[1]")

    def test_a_death_in_a_block_goes_back_to_its_begin_although_it_had_savepoints(self) -> None:
        code = (
            "import os\n"
            "try:\n"
            "    with savepoint.transaction() as tx:\n"
            "        state.append(3)\n"
            "        tx.savepoint('a')\n"
            "        os._exit(3)\n"
            "except savepoint.RolledBack as r:\n"
            "    told = r.reason\n"
            "told, state"
        )
        self.assertEqual(self.value(code), "('worker_died', [1, 2])")
        self.assertEqual(self.target.ask("status")["transactions"], [])


if __name__ == "__main__":
    main()
