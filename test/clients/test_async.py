"""Cells that await, and tasks that go on between cells."""

from __future__ import annotations

from support.case import KernelCase, main
from support.client import PATIENCE_S


class Async(KernelCase):
    def test_a_cell_may_await(self) -> None:
        self.assertEqual(
            self.run_ok(
                "import asyncio\nasync def later(n):\n    await asyncio.sleep(0.01)\n    return n\nawait later(5)"
            ).result,
            "5",
        )
        self.assertEqual(self.run_ok("await asyncio.gather(later(1), later(2))").result, "[1, 2]")

    def test_async_loops_and_blocks_work_at_the_top(self) -> None:
        code = (
            "import contextlib\n"
            "async def numbers():\n    for n in range(3): yield n\n"
            "@contextlib.asynccontextmanager\nasync def held():\n    yield 'held'\n"
            "seen = []\nasync for n in numbers(): seen.append(n)\nasync with held() as h: seen.append(h)\nseen"
        )
        self.assertEqual(self.run_ok(code).result, "[0, 1, 2, 'held']")

    def test_an_error_in_an_awaited_task_is_the_cells(self) -> None:
        cell = self.run_error("async def failing(): raise LookupError('awaited')\nawait failing()", "LookupError")
        self.assertEqual(cell.content["evalue"], "awaited")

    def test_a_background_task_goes_on_between_cells(self) -> None:
        self.run_ok(
            "import asyncio\n"
            "count = 0\n"
            "async def grow():\n"
            "    global count\n"
            "    while True:\n"
            "        count += 1\n"
            "        await asyncio.sleep(0.005)\n"
            "growing = asyncio.create_task(grow())"
        )
        # Each question is a request of its own; the task runs while the kernel waits for the next.
        first = int(self.client.value("count"))
        self.assertTrue(any(int(self.client.value("count")) > first + 2 for _ in range(1000)))
        self.run_ok("growing.cancel()")

    def test_all_cells_share_one_loop(self) -> None:
        self.run_ok("import asyncio\nloop = asyncio.get_running_loop()\nevent = asyncio.Event()")
        self.assertEqual(self.run_ok("asyncio.get_running_loop() is loop").result, "True")
        self.run_ok("waiting = asyncio.create_task(event.wait())")
        self.assertEqual(self.run_ok("event.set()\nawait waiting").result, "True")

    def test_what_a_task_prints_belongs_to_the_cell_that_made_it(self) -> None:
        maker = self.run_ok(
            "import asyncio\n"
            "gate = asyncio.Event()\n"
            "async def report():\n"
            "    await gate.wait()\n"
            "    print('from the task')\n"
            "reporting = asyncio.create_task(report())"
        )
        opener = self.run_ok("gate.set()\nawait reporting\nprint('from the cell')")
        self.client.wait_until(lambda: "from the task" in maker.stdout, PATIENCE_S, "the task's output")
        self.assertEqual(opener.stdout, "from the cell\n")

    def test_context_variables_last_from_cell_to_cell(self) -> None:
        self.run_ok("import contextvars\nvariable = contextvars.ContextVar('variable', default=0)\nvariable.set(5)")
        self.assertEqual(self.run_ok("variable.get()").result, "5")

    def test_subprocesses_and_streams_of_asyncio_work(self) -> None:
        code = (
            "import asyncio\n"
            "p = await asyncio.create_subprocess_exec('echo', 'async child', stdout=asyncio.subprocess.PIPE)\n"
            "(await p.communicate())[0], p.returncode"
        )
        self.assertEqual(self.run_ok(code).result, "(b'async child\\n', 0)")

    def test_work_in_threads_is_awaited(self) -> None:
        self.assertEqual(
            self.run_ok("import asyncio, time\nawait asyncio.to_thread(lambda: time.sleep(0.01) or 'done')").result,
            "'done'",
        )


if __name__ == "__main__":
    main()
