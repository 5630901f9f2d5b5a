"""`with savepoint.transaction():` and its relatives, in sync and async cells."""

from __future__ import annotations

from support.case import KernelCase, main
from support.comms import commit_all, transactions
from support.subject import ours


class PythonCase(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.run_ok("import savepoint, asyncio\nstate = [1, 2]")
        self.addCleanup(commit_all, self.client)

    def assert_state(self, text: str) -> None:
        self.assertEqual(self.run_ok("state").result, text)

    def rolled_back(
        self, body: str, shown: str = "r.reason, r.ename, state", before: str = "", awaits: bool = False
    ) -> str:
        """Run a block that is rolled back and caught in the same cell; what `shown` is there afterwards."""
        lines = "\n".join(f"        {line}" for line in body.splitlines())
        pause = "await asyncio.sleep(0)\n" if awaits else ""
        code = (
            f"{pause}{before}\n"
            f"try:\n"
            f"    with savepoint.transaction() as tx:\n"
            f"{lines}\n"
            f"except savepoint.RolledBack as r:\n"
            f"    shown = ({shown})\n"
            f"shown"
        )
        return self.run_ok(code).result or ""


@ours
class Blocks(PythonCase):
    def test_a_good_block_is_kept(self) -> None:
        self.assertEqual(
            self.run_ok("with savepoint.transaction(name='good') as tx:\n    state.append(3)\ntx.name, state").result,
            "('good', [1, 2, 3])",
        )
        self.assertEqual(self.run_ok("savepoint.status()['transactions']").result, "[]")

    def test_a_failing_block_is_undone_and_the_cell_goes_on(self) -> None:
        self.assertEqual(self.rolled_back("state.append(3)\n1 / 0"), "('error', 'ZeroDivisionError', [1, 2])")
        self.assert_state("[1, 2]")

    def test_the_cell_has_one_reply_and_its_output_in_order(self) -> None:
        cell = self.run_ok(
            "print('a')\n"
            "try:\n"
            "    with savepoint.transaction():\n"
            "        print('b')\n"
            "        raise ValueError('because')\n"
            "except savepoint.RolledBack as r:\n"
            "    print('c', r.evalue)\n"
            "print('d')"
        )
        self.assertEqual(cell.stdout, "a\nb\nc because\nd\n")
        self.assertEqual((len(cell.replies), cell.states), (1, ["busy", "idle"]))

    def test_what_rolled_it_back_is_told(self) -> None:
        shown = "r.evalue, type(r.original).__name__, r.__cause__ is r.original, type(r.traceback), r.effects, r.limits"
        self.assertEqual(
            self.rolled_back("raise ValueError('because')", shown), "('because', 'ValueError', True, list, [], [])"
        )

    def test_an_exception_that_cannot_be_carried_over_is_named(self) -> None:
        body = "class Local(Exception):\n    def __reduce__(self): raise TypeError('stays here')\nraise Local('text')"
        self.assertEqual(self.rolled_back(body, "r.ename, r.evalue, r.original"), "('Local', 'text', None)")

    def test_a_rollback_that_is_not_caught_is_the_cells_error(self) -> None:
        cell = self.run_error(
            "with savepoint.transaction():\n    state.append(3)\n    raise ValueError('because')", "RolledBack"
        )
        self.assertIn("because", cell.content["evalue"])
        self.assert_state("[1, 2]")

    def test_catching_the_original_class_does_not_catch_a_rollback(self) -> None:
        self.run_error(
            "try:\n"
            "    with savepoint.transaction():\n"
            "        raise ValueError()\n"
            "except ValueError:\n"
            "    state.append('wrong')",
            "RolledBack",
        )
        self.assert_state("[1, 2]")

    def test_local_variables_come_back_too(self) -> None:
        code = (
            "def work():\n"
            "    local = [1]\n"
            "    number = 1\n"
            "    try:\n"
            "        with savepoint.transaction():\n"
            "            local.append(2)\n"
            "            number = 2\n"
            "            raise ValueError()\n"
            "    except savepoint.RolledBack:\n        return local, number\nwork()"
        )
        self.assertEqual(self.run_ok(code).result, "([1], 1)")

    def test_a_block_can_be_rolled_back_on_request_with_a_value(self) -> None:
        self.assertEqual(
            self.rolled_back("state.append(3)\ntx.rollback(value={'kept': 5})", "r.reason, r.value, state"),
            "('requested', {'kept': 5}, [1, 2])",
        )

    def test_a_dry_run_block_is_always_undone(self) -> None:
        self.run_error("with savepoint.transaction(policy='dry_run'):\n    state.append(3)", "RolledBack")
        self.assert_state("[1, 2]")

    def test_blocks_nest(self) -> None:
        code = (
            "with savepoint.transaction():\n"
            "    state.append('outer')\n"
            "    try:\n"
            "        with savepoint.transaction():\n"
            "            state.append('inner')\n"
            "            raise ValueError()\n"
            "    except savepoint.RolledBack:\n        state.append('went on')\nstate"
        )
        self.assertEqual(self.run_ok(code).result, "[1, 2, 'outer', 'went on']")

    def test_an_outer_failure_undoes_an_inner_success(self) -> None:
        self.assertEqual(
            self.rolled_back("with savepoint.transaction():\n    state.append(3)\nraise ValueError()", "state"),
            "[1, 2]",
        )

    def test_a_loop_may_try_many_times(self) -> None:
        code = (
            "results = []\n"
            "for n in range(20):\n"
            "    try:\n"
            "        with savepoint.transaction():\n"
            "            state.append(n)\n"
            "            if n % 2: raise ValueError(n)\n"
            "    except savepoint.RolledBack as r:\n"
            "        results.append(r.evalue)\n"
            "results == [str(n) for n in range(1, 20, 2)], state == [1, 2, *range(0, 20, 2)]"
        )
        self.assertEqual(self.run_ok(code, timeout=60).result, "(True, True)")

    def test_a_wrong_policy_is_refused(self) -> None:
        self.assert_refused(self.client.execute("with savepoint.transaction(policy='hopeful'): pass"), "unknown_policy")

    def test_a_thread_cannot_begin(self) -> None:
        code = (
            "import threading\n"
            "found = []\n"
            "def attempt():\n"
            "    try: savepoint.begin()\n"
            "    except savepoint.SavepointError as e: found.append(e.code)\n"
            "t = threading.Thread(target=attempt)\n"
            "t.start(); t.join()\n"
            "found"
        )
        self.assertEqual(self.run_ok(code).result, "['not_available']")


@ours
class Failures(PythonCase):
    def test_an_interrupt_inside_undoes_the_block(self) -> None:
        for awaits, code in (
            (False, "while True: pass"),
            (False, "import time; time.sleep(60)"),
            (True, "await asyncio.sleep(60)"),
        ):
            with self.subTest(code):
                pause = "await asyncio.sleep(0)\n" if awaits else ""
                cell = self.client.start(
                    f"{pause}try:\n"
                    f"    with savepoint.transaction():\n"
                    f"        state.append(3)\n"
                    f"        print('in', flush=True)\n"
                    f"        {code}\n"
                    f"except savepoint.RolledBack as r:\n"
                    f"    print(r.reason, state)"
                )
                cell.wait_for_output("in")
                self.client.ask("interrupt_request", channel="control")
                self.assertEqual(cell.wait().status, "ok", cell.content.get("evalue"))
                self.assertEqual(cell.stdout, "in\ninterrupt [1, 2]\n")

    def test_system_exit_inside_undoes_the_block(self) -> None:
        self.assertEqual(self.rolled_back("state.append(3)\nraise SystemExit(2)"), "('error', 'SystemExit', [1, 2])")

    def test_the_death_of_the_worker_inside_undoes_the_block(self) -> None:
        for code, cause in (
            ("import os; os._exit(3)", "exit code 3"),
            ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ):
            with self.subTest(cause):
                shown = f"r.reason, r.ename, {cause!r} in r.evalue, state"
                self.assertEqual(
                    self.rolled_back(f"state.append(3)\n{code}", shown), "('worker_died', 'WorkerDied', True, [1, 2])"
                )

    def test_the_kernel_is_whole_after_each(self) -> None:
        self.rolled_back("state.append(3)\n1 / 0")
        cell = self.client.start("print('in', flush=True)\nwhile True: pass")
        cell.wait_for_output("in")
        self.client.ask("interrupt_request", channel="control")
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        asking = self.client.start("input('? ')")
        asking.answer("yes")
        self.assertEqual(asking.wait().result, "'yes'")


@ours
class Async(PythonCase):
    def test_a_block_in_a_cell_that_awaits_is_undone(self) -> None:
        self.assertEqual(
            self.rolled_back("state.append(3)\nawait asyncio.sleep(0.01)\n1 / 0", awaits=True),
            "('error', 'ZeroDivisionError', [1, 2])",
        )

    def test_the_cell_awaits_on_after_a_rollback(self) -> None:
        shown = self.rolled_back(
            "await asyncio.sleep(0.01)\n1 / 0", "await asyncio.sleep(0.01, result=state)", awaits=True
        )
        self.assertEqual(shown, "[1, 2]")

    def test_a_block_in_a_coroutine_is_undone(self) -> None:
        code = (
            "async def work():\n"
            "    try:\n"
            "        with savepoint.transaction():\n"
            "            state.append(3)\n"
            "            await asyncio.sleep(0.01)\n"
            "            raise ValueError()\n"
            "    except savepoint.RolledBack as r:\n"
            "        await asyncio.sleep(0.01)\n"
            "        return r.reason, state\n"
            "await work()"
        )
        self.assertEqual(self.run_ok(code).result, "('error', [1, 2])")

    def test_a_background_task_lives_through_a_rollback(self) -> None:
        self.run_ok(
            "ticks = 0\n"
            "async def tick():\n"
            "    global ticks\n"
            "    while True:\n"
            "        ticks += 1\n"
            "        await asyncio.sleep(0.005)\n"
            "ticking = asyncio.create_task(tick())"
        )
        self.rolled_back("await asyncio.sleep(0.02)\n1 / 0", awaits=True)
        self.run_ok("before = ticks\nwhile ticks < before + 3: await asyncio.sleep(0.005)\nticking.cancel()")


@ours
class Functions(PythonCase):
    def test_begin_status_and_commit(self) -> None:
        self.run_ok("begun = savepoint.begin('by hand')")
        (record,) = transactions(self.client).ask("status")["transactions"]
        self.assertEqual(record["name"], "by hand")
        self.assertEqual(self.run_ok("[t['name'] for t in savepoint.status()['transactions']]").result, "['by hand']")
        self.run_ok("state.append(3)\nsavepoint.commit()")
        self.assert_state("[1, 2, 3]")

    def test_rollback_ends_the_cell_there_with_status_ok(self) -> None:
        self.run_ok("savepoint.begin()")
        cell = self.run_ok("state.append(3)\nprint('shown')\nsavepoint.rollback()\nprint('never')")
        self.assertIn("shown", cell.stdout)
        self.assertNotIn("never", cell.stdout)
        self.assert_state("[1, 2]")

    def test_refusals_carry_their_code(self) -> None:
        for call in ("commit()", "rollback()"):
            with self.subTest(call):
                code = (
                    f"try: savepoint.{call}\nexcept savepoint.SavepointError as e: caught = e.code, e.details\ncaught"
                )
                self.assertEqual(self.run_ok(code).result, "('no_transaction', {})")


if __name__ == "__main__":
    main()
