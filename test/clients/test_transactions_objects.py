"""Transactions with the engine `objects`: the worker stays, and what its variables hold is put back in place."""

from __future__ import annotations

import shutil
import tempfile

from support.case import KernelCase, fresh_kernel, main
from support.comms import Refused, commit_all, transactions
from support.subject import ours

SETUP = """
import savepoint, math, os
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
math.added = Thing
newcomer = 1
del alias
"""
STATE = "(numbers, table, thing.value, hasattr(math, 'added'), 'newcomer' in dir(), alias is numbers)"
BEFORE = "([1, 2, 3], {'deep': {'list': [0]}}, 'before', False, False, True)"


#: Said at each rollback: what this engine never sees.
NOT_LOOKED_AT = "what C libraries and IPython keep for themselves, which the engine 'objects' does not look at"


def seen(limits: list[str]) -> list[str]:
    """What is said beside that."""
    assert NOT_LOOKED_AT in limits, limits
    return [words for words in limits if words != NOT_LOOKED_AT]


class ObjectsCase(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = transactions(self.client)
        self.addCleanup(commit_all, self.client)
        self.addCleanup(lambda: self.target.close())
        self.run_ok(SETUP)

    def assert_before(self) -> None:
        self.assertEqual(self.run_ok(STATE).result, BEFORE)


@ours
class OverCells(ObjectsCase):
    def test_it_is_offered_and_named_in_the_record(self) -> None:
        self.assertEqual(self.target.ready["engines"], ["fork", "objects"])
        record = self.target.ask("begin", engine="objects")
        self.assertEqual((record["engine"], record["mode"]), ("objects", "objects"))
        self.assertGreater(record["begin_ms"], 0)

    def test_a_rollback_puts_everything_back_in_the_same_process(self) -> None:
        facts = "(os.getpid(), id(globals()), id(numbers), id(thing))"
        before = self.run_ok(facts).result
        self.target.ask("begin", engine="objects")
        self.run_ok(DAMAGE)
        ended = self.target.ask("rollback")
        self.assertEqual((ended["state"], seen(ended["limits"])), ("rolled_back", []))
        self.assertGreater(ended["rollback_ms"], 0)
        self.assert_before()
        self.assertEqual(self.run_ok(facts).result, before)

    def test_a_commit_keeps_it(self) -> None:
        self.target.ask("begin", engine="objects")
        self.run_ok("numbers.append(4)")
        self.target.ask("commit")
        self.assertEqual(self.run_ok("numbers").result, "[1, 2, 3, 4]")
        with self.assertRaises(Refused) as raised:
            self.target.ask("rollback")
        self.assertEqual(raised.exception.code, "no_transaction")

    def test_savepoints_are_gone_back_to_as_often_as_one_likes(self) -> None:
        self.target.ask("begin", engine="objects")
        self.run_ok("numbers.append(4)")
        self.target.ask("savepoint", name="a")
        for _ in range(3):
            self.run_ok("numbers.append(5); thing.value = 1")
            self.assertEqual(self.target.ask("rollback", to="a")["savepoints"], ["a"])
            self.assertEqual(self.run_ok("numbers, thing.value").result, "([1, 2, 3, 4], 'before')")
        self.target.ask("rollback")
        self.assert_before()

    def test_engines_nest_in_each_other(self) -> None:
        for engine in ("objects", "fork", "objects"):
            self.target.ask("begin", engine=engine)
            self.run_ok("numbers.append(0)")
        for length in (5, 4, 3):
            self.target.ask("rollback")
            self.assertEqual(self.run_ok("len(numbers)").result, str(length))
        self.assert_before()

    def test_a_copy_from_before_a_fork_is_in_the_process_that_is_woken(self) -> None:
        self.target.ask("begin", engine="objects")
        self.run_ok(DAMAGE)
        self.target.ask("begin", engine="fork")
        self.run_ok("numbers.clear()")
        self.target.ask("rollback")
        self.target.ask("rollback")
        self.assert_before()

    def test_thirty_two_nest(self) -> None:
        for _ in range(32):
            self.target.ask("begin", engine="objects")
            self.run_ok("numbers.append(0)")
        for _ in range(32):
            self.target.ask("rollback")
        self.assert_before()

    def test_inputs_stay_and_results_go(self) -> None:
        self.run_ok("'kept'")
        self.target.ask("begin", engine="objects")
        lost = self.run_ok("'lost'").content["execution_count"]
        self.target.ask("rollback")
        shown = self.run_ok(f"In[{lost}], {lost} in Out, {lost - 1} in Out or Out").result or ""
        self.assertEqual(shown, '("\'lost\'", False, True)')

    def test_what_cannot_be_put_back_is_named(self) -> None:
        self.run_ok("g = (n for n in range(9)); still = (n for n in range(9))")
        self.target.ask("begin", engine="objects")
        self.run_ok("next(g)")
        self.assertEqual(seen(self.target.ask("rollback")["limits"]), ["generator in g"])
        self.assertEqual(self.run_ok("next(still)").result, "0")

    def test_files_are_put_back_as_well(self) -> None:
        folder = tempfile.mkdtemp(prefix="savepoint-")
        self.addCleanup(shutil.rmtree, folder)
        before = self.run_ok(f"before = os.getcwd(); os.chdir({folder!r}); before").result
        self.addCleanup(self.run_ok, f"os.chdir({before})")
        self.run_ok("open('kept.txt', 'w').write('before')")
        self.target.ask("begin", engine="objects")
        self.run_ok("open('kept.txt', 'w').write('after'); open('new.txt', 'w').close()")
        effects = self.target.ask("rollback")["effects"]
        self.assertEqual([each["restored"] for each in effects], [True, True])
        self.assertEqual(self.run_ok("open('kept.txt').read(), os.path.exists('new.txt')").result, "('before', False)")
        # Nothing is noted any more.
        self.run_ok("open('kept.txt', 'w').write('later')")
        self.target.ask("begin", engine="objects")
        self.assertEqual(self.target.ask("rollback")["effects"], [])


@ours
class InCells(ObjectsCase):
    def test_a_failing_cell_is_undone(self) -> None:
        cell = self.client.execute(
            f"{DAMAGE}\n1 / 0",
            metadata={"savepoint": {"transaction": {"policy": "rollback_on_failure", "engine": "objects"}}},
        )
        told = cell.ours
        self.assertEqual(cell.content["ename"], "ZeroDivisionError")
        transaction = told["transaction"]
        self.assertEqual((transaction["engine"], transaction["outcome"]), ("objects", "rolled_back"))
        self.assertEqual(transaction["why"], "It was asked for.")
        self.assertEqual(told["changes"], {"added": [], "changed": [], "removed": []})
        self.assert_before()
        self.assertEqual(self.run_ok("1").ours["changes"]["added"], [])

    def test_magics_take_the_engine(self) -> None:
        self.run_ok("%begin --engine objects")
        self.run_ok(DAMAGE)
        cell = self.run_ok("newer = 1\n%rollback")
        self.assertRegex(cell.stdout, r"^Rolled back in [\d.]+ ms")
        transaction = cell.ours["transaction"]
        self.assertEqual((transaction["engine"], transaction["outcome"]), ("objects", "rolled_back"))
        self.assert_before()
        self.assertEqual(self.run_ok("'newer' in dir()").result, "False")

    def test_a_cell_magic_takes_it_too(self) -> None:
        cell = self.client.execute(f"%%transaction dry_run --engine objects\n{DAMAGE}")
        self.assertEqual(cell.content["status"], "ok")
        self.assertIn("Rolled back", cell.stdout)
        self.assert_before()

    def test_an_interrupt_is_a_failure(self) -> None:
        cell = self.client.start(
            "import time\nnumbers.append(4)\nprint('now', flush=True)\ntime.sleep(60)",
            metadata={"savepoint": {"transaction": {"policy": "rollback_on_failure", "engine": "objects"}}},
        )
        cell.wait_for_output("now")
        self.client.ask("interrupt_request", channel="control")
        cell.wait()
        self.assertEqual(cell.content["ename"], "KeyboardInterrupt")
        self.assert_before()

    def test_a_process_that_cannot_be_copied_is_not(self) -> None:
        self.run_ok(
            "import sys, types\n"
            "sys.modules['torch'] = types.SimpleNamespace(cuda=types.SimpleNamespace(is_initialized=lambda: True))"
        )
        self.addCleanup(lambda: self.run_ok("import sys; sys.modules.pop('torch', None)"))
        record = self.target.ask("begin")
        self.assertEqual(record["engine"], "objects")
        self.assertIn("CUDA", record["why"])
        self.run_ok(DAMAGE)
        self.target.ask("rollback")
        self.assert_before()
        self.assertEqual(self.target.ask("begin", engine="fork")["engine"], "fork")

    def test_without_memory_for_a_fork_the_variables_are_copied(self) -> None:
        self.run_ok(
            "import errno, savepoint_worker.copies.snapshot as copies\n"
            "kept = copies._fork\n"
            "def full(): raise OSError(errno.ENOMEM, 'Cannot allocate memory')\n"
            "copies._fork = full"
        )
        self.addCleanup(lambda: self.run_ok("copies._fork = kept"))
        record = self.target.ask("begin")
        self.assertEqual(record["engine"], "objects")
        self.assertIn("no memory", record["why"])
        with self.assertRaises(Refused) as raised:
            self.target.ask("begin", engine="fork")
        self.assertEqual(raised.exception.code, "snapshot_failed")


@ours
class InBlocks(ObjectsCase):
    def block(self, body: str, shown: str) -> str:
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        return (
            self.run_ok(
                f"try:\n    with savepoint.transaction(engine='objects') as tx:\n{lines}\n"
                f"except savepoint.RolledBack as error:\n    r = error\n    shown = ({shown})\nshown"
            ).result
            or ""
        )

    def test_a_failing_block_is_undone_and_its_error_is_the_very_one(self) -> None:
        shown = self.block(
            "numbers.append(4)\nraise ValueError('because')",
            "r.reason, r.ename, r.evalue, r.original is r.__cause__, type(r.original).__name__, numbers, len(r.limits)",
        )
        self.assertEqual(shown, "('error', 'ValueError', 'because', True, 'ValueError', [1, 2, 3], 1)")
        self.assert_before()

    def test_a_requested_rollback_carries_a_value(self) -> None:
        shown = self.block("numbers.append(4)\ntx.rollback(value={'kept': numbers})", "r.reason, r.value, numbers")
        self.assertEqual(shown, "('requested', {'kept': [1, 2, 3, 4]}, [1, 2, 3])")

    def test_a_rollback_from_a_function_leaves_the_block(self) -> None:
        self.run_ok("def deep(n): deep(n - 1) if n else savepoint.rollback()")
        self.assertEqual(self.block("numbers.append(4)\ndeep(9)\nnumbers.append(5)", "r.reason, numbers"), "('requested', [1, 2, 3])")

    def test_an_outer_block_is_rolled_back_from_an_inner_one(self) -> None:
        shown = self.run_ok(
            "try:\n"
            "    with savepoint.transaction(engine='objects') as outer:\n"
            "        numbers.append(4)\n"
            "        try:\n"
            "            with savepoint.transaction(engine='objects'):\n"
            "                numbers.append(5)\n"
            "                outer.rollback()\n"
            "        except savepoint.RolledBack:\n"
            "            numbers.append(6)\n"
            "except savepoint.RolledBack as r:\n"
            "    shown = r.reason, numbers\n"
            "shown"
        ).result
        self.assertEqual(shown, "('requested', [1, 2, 3])")
        self.assertEqual(self.target.ask("status")["transactions"], [])

    def test_a_dry_run_and_a_good_block(self) -> None:
        shown = self.run_ok(
            "with savepoint.transaction(engine='objects') as good:\n"
            "    numbers.append(4)\n"
            "try:\n"
            "    with savepoint.transaction(policy='dry_run', engine='objects'):\n"
            "        numbers.append(5)\n"
            "except savepoint.RolledBack as r:\n"
            "    shown = r.reason, numbers, good.engine\n"
            "shown"
        ).result
        self.assertEqual(shown, "('requested', [1, 2, 3, 4], 'objects')")

    def test_an_attempt_reports_it(self) -> None:
        self.run_ok("def fail(): numbers.append(4); raise ValueError('no')\ndef fine(): numbers.append(4); return numbers")
        shown = self.run_ok(
            "a = savepoint.attempt(fail, engine='objects')\nb = savepoint.attempt(fine, engine='objects', keep='never')\n"
            "a.committed, a.error.ename, a.engine, b.committed, b.value, b.error, numbers"
        ).result
        self.assertEqual(shown, "(False, 'ValueError', 'objects', False, [1, 2, 3, 4], None, [1, 2, 3])")

    def test_nobody_comes_back_into_the_middle_of_a_block(self) -> None:
        cell = self.client.execute("with savepoint.transaction(engine='objects') as tx:\n    tx.savepoint('a')")
        self.assertIn("engine_unavailable", cell.content["evalue"])

    def test_in_an_async_cell(self) -> None:
        shown = self.run_ok(
            "import asyncio\n"
            "try:\n"
            "    with savepoint.transaction(engine='objects'):\n"
            "        await asyncio.sleep(0)\n"
            "        numbers.append(4)\n"
            "        await asyncio.sleep(0)\n"
            "        1 / 0\n"
            "except savepoint.RolledBack as r:\n"
            "    shown = r.ename, numbers\n"
            "shown"
        ).result
        self.assertEqual(shown, "('ZeroDivisionError', [1, 2, 3])")


@ours
class Endings(KernelCase):
    def test_the_death_of_the_worker_loses_it(self) -> None:
        _, client = fresh_kernel(self, extra_arguments=["--recover"])
        target = transactions(client)
        target.ask("begin", engine="objects")
        client.execute("import os; os._exit(3)")
        self.assertEqual(target.ask("status")["transactions"], [])
        self.assertEqual(client.execute("1").status, "ok")


if __name__ == "__main__":
    main()
