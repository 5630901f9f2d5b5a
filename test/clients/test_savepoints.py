"""Savepoints and attempts: coming back to a line, in blocks, cells and magics."""

from __future__ import annotations

from support.case import KernelCase, main
from support.comms import Refused, Target, commit_all, transactions
from support.subject import ours


class SavepointCase(KernelCase):
    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.run_ok("import savepoint, asyncio\nstate = [1, 2]")
        self.target = transactions(self.client)
        self.addCleanup(commit_all, self.client)
        self.addCleanup(lambda: self.target.close())

    def assert_state(self, text: str) -> None:
        self.assertEqual(self.run_ok("state").result, text)

    def refused(self, code: str, op: str, **fields: object) -> None:
        with self.assertRaises(Refused) as raised:
            self.target.ask(op, **fields)
        self.assertEqual(raised.exception.code, code)


@ours
class ByClients(SavepointCase):
    def test_one_goes_back_as_often_as_one_likes(self) -> None:
        self.target.ask("begin", name="t")
        self.run_ok("state.append('a')")
        self.assertEqual(self.target.ask("savepoint", name="a")["savepoints"], ["a"])
        for number in range(3):
            self.run_ok(f"state.append({number})")
            record = self.target.ask("rollback", to="a")
            self.assertEqual((record["state"], record["savepoints"], record["reason"]), ("open", ["a"], None))
            self.assertGreater(record["rollback_ms"], 0)
            self.assert_state("[1, 2, 'a']")
        self.target.ask("rollback")
        self.assert_state("[1, 2]")

    def test_going_back_forgets_later_savepoints_and_inner_transactions(self) -> None:
        outer = self.target.ask("begin")["id"]
        for name in "abc":
            self.target.ask("savepoint", name=name)
        self.target.ask("begin", name="inner")
        self.target.ask("savepoint", name="d")
        record = self.target.ask("rollback", to="b", transaction=outer)
        self.assertEqual((record["id"], record["savepoints"]), (outer, ["a", "b"]))
        self.assertEqual(len(self.target.ask("status")["transactions"]), 1)
        self.refused("unknown_savepoint", "rollback", to="c")

    def test_what_was_open_when_it_was_set_stays_open(self) -> None:
        outer = self.target.ask("begin", name="outer")["id"]
        inner = self.target.ask("begin", name="inner")["id"]
        self.target.ask("savepoint", name="early")
        self.target.ask("savepoint", name="a", transaction=outer)
        self.target.ask("savepoint", name="late")
        self.run_ok("state.append(3)")
        self.target.ask("rollback", to="a", transaction=outer)
        opened = self.target.ask("status")["transactions"]
        self.assertEqual([(each["id"], each["savepoints"]) for each in opened], [(outer, ["a"]), (inner, ["early"])])
        self.target.ask("rollback", to="early")
        self.target.ask("rollback", transaction=inner)
        self.refused("unknown_savepoint", "rollback", to="a", transaction=outer)
        self.assert_state("[1, 2]")

    def test_the_same_name_again_hides_the_older_one_until_it_is_released(self) -> None:
        self.target.ask("begin")
        self.target.ask("savepoint", name="a")
        self.run_ok("state.append(3)")
        self.assertEqual(self.target.ask("savepoint", name="a")["savepoints"], ["a"])
        self.run_ok("state.append(4)")
        self.target.ask("rollback", to="a")
        self.assert_state("[1, 2, 3]")
        self.assertEqual(self.target.ask("release", name="a")["savepoints"], ["a"])
        self.target.ask("rollback", to="a")
        self.assert_state("[1, 2]")

    def test_a_release_keeps_the_state_and_forgets_later_ones(self) -> None:
        self.target.ask("begin")
        for name in "abc":
            self.target.ask("savepoint", name=name)
        self.run_ok("state.append(3)")
        self.assertEqual(self.target.ask("release", name="b")["savepoints"], ["a"])
        self.assert_state("[1, 2, 3]")
        self.refused("unknown_savepoint", "rollback", to="c")
        self.refused("unknown_savepoint", "release", name="b")

    def test_thirty_two_deep(self) -> None:
        self.target.ask("begin")
        for number in range(32):
            self.run_ok(f"state.append({number})")
            self.target.ask("savepoint", name=f"s{number}")
        self.target.ask("rollback", to="s7")
        self.assert_state(str([1, 2, *range(8)]))
        self.target.ask("rollback")
        self.assert_state("[1, 2]")


@ours
class InBlocks(SavepointCase):
    def test_execution_comes_back_to_the_line_where_it_was_set(self) -> None:
        code = (
            "with savepoint.transaction() as tx:\n"
            "    state.append('kept')\n"
            "    if tx.savepoint('a'):\n"
            "        state.append('came back')\n"
            "    else:\n"
            "        state.append('lost')\n"
            "        tx.rollback(to='a')\n"
            "state"
        )
        self.assertEqual(self.run_ok(code).result, "[1, 2, 'kept', 'came back']")
        self.assert_state("[1, 2, 'kept', 'came back']")
        self.assertEqual(self.target.ask("status")["transactions"], [])

    def test_a_loop_of_tries_learns_by_the_value_that_it_carries(self) -> None:
        code = (
            "def search():\n"
            "    with savepoint.transaction() as tx:\n"
            "        tx.savepoint('start')\n"
            "        done = tx.value or []\n"
            "        state.append(len(done))\n"
            "        if len(done) < 5:\n"
            "            tx.rollback(to='start', value=done + [state[-1]])\n"
            "        return done\n"
            "search(), state"
        )
        self.assertEqual(self.run_ok(code, timeout=60).result, "([0, 1, 2, 3, 4], [1, 2, 5])")

    def test_blocks_nest(self) -> None:
        code = (
            "with savepoint.transaction() as outer:\n"
            "    back = outer.savepoint('a')\n"
            "    state.append('outer')\n"
            "    with savepoint.transaction() as inner:\n"
            "        again = inner.savepoint('b')\n"
            "        state.append('inner')\n"
            "        if not back and not again: inner.rollback(to='b')\n"
            "        if not back: outer.rollback(to='a')\n"
            "back, again, state"
        )
        self.assertEqual(self.run_ok(code).result, "(True, False, [1, 2, 'outer', 'inner'])")

    def test_a_savepoint_of_the_outer_block_may_be_set_in_the_inner_one(self) -> None:
        code = (
            "try:\n"
            "    with savepoint.transaction() as outer:\n"
            "        with savepoint.transaction() as inner:\n"
            "            if not outer.savepoint('a'):\n"
            "                state.append('lost')\n"
            "                outer.rollback(to='a')\n"
            "            state.append('gone')\n"
            "            1 / 0\n"
            "except savepoint.RolledBack as r:\n"
            "    told = r.ename\n"
            "told, state"
        )
        self.assertEqual(self.run_ok(code).result, "('RolledBack', [1, 2])")

    def test_a_block_that_came_back_can_still_be_rolled_back_to_its_begin(self) -> None:
        code = (
            "try:\n"
            "    with savepoint.transaction() as tx:\n"
            "        state.append(3)\n"
            "        if not tx.savepoint('a'): tx.rollback(to='a')\n"
            "        raise ValueError('because')\n"
            "except savepoint.RolledBack as r:\n"
            "    told = r.evalue\n"
            "told, state"
        )
        self.assertEqual(self.run_ok(code).result, "('because', [1, 2])")

    def test_in_an_async_cell(self) -> None:
        code = (
            "async def work():\n"
            "    with savepoint.transaction() as tx:\n"
            "        await asyncio.sleep(0.01)\n"
            "        back = tx.savepoint('a')\n"
            "        await asyncio.sleep(0.01)\n"
            "        state.append('once')\n"
            "        if not back:\n"
            "            tx.rollback(to='a')\n"
            "        return back\n"
            "(await work(), state)"
        )
        self.assertEqual(self.run_ok(code).result, "(True, [1, 2, 'once'])")

    def test_the_function_does_the_same_in_a_block(self) -> None:
        code = (
            "with savepoint.transaction() as tx:\n"
            "    if not savepoint.savepoint('a'):\n"
            "        state.append('lost')\n"
            "        tx.rollback(to='a')\n"
            "state"
        )
        self.assertEqual(self.run_ok(code).result, "[1, 2]")

    def test_refusals_leave_the_block_as_it_is(self) -> None:
        code = (
            "codes = []\n"
            "with savepoint.transaction() as tx:\n"
            "    state.append(3)\n"
            "    for call in (lambda: tx.rollback(to='b'), lambda: tx.savepoint(''), lambda: tx.savepoint(5),\n"
            "                 lambda: tx.rollback(to='x' * 1000), lambda: savepoint.release('b')):\n"
            "        try: call()\n"
            "        except savepoint.SavepointError as e: codes.append(e.code)\n"
            "' '.join(codes), state"
        )
        codes = "unknown_savepoint name_invalid name_invalid name_invalid unknown_savepoint"
        self.assertEqual(" ".join((self.run_ok(code).result or "").split()), f"('{codes}', [1, 2, 3])")


@ours
class OutsideOfBlocks(SavepointCase):
    def test_the_cell_that_goes_back_ends_there(self) -> None:
        self.run_ok("savepoint.begin('t')\nstate.append(3)\nassert savepoint.savepoint('a') is False")
        cell = self.run_ok("state.append(4)\nprint('shown')\nsavepoint.rollback(to='a')\nprint('never')")
        self.assertEqual(cell.stdout, "shown\n")
        self.assert_state("[1, 2, 3]")
        self.assertEqual(self.run_ok("savepoint.status()['transactions'][0]['savepoints']").result, "['a']")
        self.assertEqual(self.run_ok("savepoint.release('a')['savepoints'], state").result, "([], [1, 2, 3])")
        self.run_ok("savepoint.rollback()")
        self.assert_state("[1, 2]")

    def test_what_follows_a_savepoint_in_its_cell_is_not_run_again(self) -> None:
        self.run_ok("savepoint.begin()")
        cell = self.run_ok(
            "try:\n    savepoint.savepoint('a')\n    state.append(3)\n    savepoint.rollback(to='a')\n"
            "finally:\n    state.append('left')"
        )
        self.assertEqual(cell.stdout, "")
        self.assert_state("[1, 2, 'left']")

    def test_magics_print_one_line_each(self) -> None:
        self.run_ok("%begin t")
        self.assertEqual(self.run_ok("%savepoint a").stdout, "Savepoint 'a' is set.\n")
        self.assertEqual(self.run_ok("%savepoint b").stdout, "Savepoint 'b' is set.\n")
        self.run_ok("state.append(3)")
        self.assertRegex(self.run_ok("%rollback a").stdout, r"^Rolled back to 'a' in \d+\.\d ms\.\n$")
        self.assert_state("[1, 2]")
        self.assertRegex(self.run_ok("%transaction").stdout, r"'t' \(tx_\d+\) \(explicit; savepoints 'a'\)\.\n$")
        released = r"^Released savepoint 'a' of transaction 't' \(tx_\d+\)\.\n$"
        self.assertRegex(self.run_ok("%release a").stdout, released)
        self.run_error("%rollback a", "SavepointError")
        self.assertRegex(self.run_ok("state.append(3)\n%rollback").stdout, r"^Rolled back 't' in \d+\.\d ms\.\n$")
        self.assert_state("[1, 2]")


@ours
class Attempts(SavepointCase):
    def outcome(self, code: str) -> str:
        text = f"{code}\n(out.committed, out.value, out.error and out.error.ename, state)"
        return self.run_ok(text, timeout=60).result or ""

    def test_what_goes_well_is_kept(self) -> None:
        self.assertEqual(
            self.outcome("def f(n):\n    state.append(n)\n    return n + 1\nout = savepoint.attempt(f, 3)"),
            "(True, 4, None, [1, 2, 3])",
        )
        self.assertEqual(self.run_ok("out.engine, out.ms > 0").result, "('fork', True)")

    def test_what_fails_leaves_nothing_but_its_error(self) -> None:
        fail = "def f(n):\n    state.append(n)\n    1 / 0\n"
        told = self.outcome(f"{fail}out = savepoint.attempt(f, 3)")
        self.assertEqual(told, "(False, None, 'ZeroDivisionError', [1, 2])")
        self.assertEqual(self.run_ok("type(out.error.original).__name__").result, "'ZeroDivisionError'")

    def test_a_death_is_a_failure_too(self) -> None:
        self.assertEqual(
            self.outcome("import os\ndef f():\n    state.append(3)\n    os._exit(3)\nout = savepoint.attempt(f)"),
            "(False, None, 'WorkerDied', [1, 2])",
        )

    def test_a_value_of_what_is_not_kept_comes_over(self) -> None:
        f = "def f(n):\n    state.append(n)\n    return {'sum': sum(state)}\n"
        told = self.outcome(f + "out = savepoint.attempt(f, 3, keep='never')")
        self.assertEqual(told, "(False, {'sum': 6}, None, [1, 2])")
        keep = "out = savepoint.attempt(f, 4, keep=lambda value: value['sum'] > {})"
        self.assertEqual(self.outcome(f + keep.format(9)), "(False, {'sum': 7}, None, [1, 2])")
        self.assertEqual(self.outcome(f + keep.format(6)), "(True, {'sum': 7}, None, [1, 2, 4])")

    def test_a_value_that_cannot_come_over_is_the_error(self) -> None:
        code = "out = savepoint.attempt(lambda: (n for n in state), keep='never')"
        self.assertEqual(self.outcome(code), "(False, None, 'SavepointError', [1, 2])")
        self.assertIn("pickled", self.run_ok("out.error.evalue").result or "")

    def test_async_functions_are_awaited(self) -> None:
        code = (
            "async def f(n):\n"
            "    state.append(n)\n"
            "    await asyncio.sleep(0.01)\n"
            "    return n if n < 4 else 1 / 0\n"
            "kept = await savepoint.attempt(f, 3)\n"
            "out = await savepoint.attempt(f, 4)"
        )
        self.assertEqual(self.outcome(code), "(False, None, 'ZeroDivisionError', [1, 2, 3])")

    def test_the_best_of_many(self) -> None:
        code = (
            "def f(n):\n"
            "    state.append(n)\n"
            "    return abs(n - 7)\n"
            "tried = [savepoint.attempt(f, n, keep='never').value for n in range(10)]\n"
            "out = savepoint.attempt(f, tried.index(min(tried)))"
        )
        self.assertEqual(self.outcome(code), "(True, 0, None, [1, 2, 7])")


if __name__ == "__main__":
    main()
