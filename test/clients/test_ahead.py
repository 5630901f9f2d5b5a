"""Cells that are sent at once: the worker begins the next one by itself, and nobody can tell."""

from __future__ import annotations

import time

from support.case import KernelCase, main
from support.client import Cell
from support.subject import ours

#: Ways of printing, none of which says for which cell.
RAW = (
    "import os; os.write(1, b'{n}.'); os.write(2, b'{n}!')",
    "import os; _ = os.system('printf {n}.; printf {n}! >&2')",
    "import sys; sys.stdout.write('{n}.'); sys.stderr.write('{n}!')",
    "import ctypes; _ = ctypes.CDLL(None).dprintf(1, b'{n}.'), ctypes.CDLL(None).dprintf(2, b'{n}!')",
)


class Ahead(KernelCase):
    @ours  # ipykernel may send what C code wrote a little later, and then with the next cell.
    def test_each_cell_has_the_output_that_it_made_whoever_wrote_it(self) -> None:
        cells = [self.client.start(RAW[n % len(RAW)].format(n=n)) for n in range(200)]
        cells[-1].wait(60)
        for n, cell in enumerate(cells):
            with self.subTest(n=n):
                self.assertEqual((cell.stdout, cell.stderr), (f"{n}.", f"{n}!"))
                self.assert_in_order(cell)

    def test_output_of_a_cell_that_goes_on_does_not_wait(self) -> None:
        self.client.start("pass")
        cell = self.client.start("import os, time\nos.write(1, b'early')\nprint('too', flush=True)\ntime.sleep(60)")
        cell.wait_for_output("early")
        cell.wait_for_output("too")
        self.client.request("interrupt_request", {}, channel="control")
        self.assertEqual(cell.wait().status, "error")

    def test_an_interrupt_ends_one_cell_and_those_behind_it_are_refused(self) -> None:
        for pause in (0, 0.002, 0.01, 0.05, 0.2):
            with self.subTest(pause=pause):
                before = [self.client.start("pass") for _ in range(20)]
                endless = self.client.start("import time\nwhile True: time.sleep(0.01)")
                behind = [self.client.start("ran = True") for _ in range(3)]
                before[-1].wait()
                time.sleep(pause)
                endless.wait_for("iopub", "execute_input")
                self.client.request("interrupt_request", {}, channel="control")
                self.assertEqual(endless.wait().content["ename"], "KeyboardInterrupt")
                self.assertEqual([cell.wait().status for cell in behind], ["aborted"] * 3)
                self.assertEqual({cell.status for cell in before}, {"ok"})
        self.assertEqual(self.run_ok("'ran' in dir()").result, "False")

    def test_failures_numbers_and_background_tasks_are_as_if_each_had_been_waited_for(self) -> None:
        count = self.run_ok("import asyncio\nticks = 0").content["execution_count"]
        self.run_ok(
            "async def tick():\n    global ticks\n    while True:\n        ticks += 1\n        await asyncio.sleep(0)\n"
            "task = asyncio.get_event_loop().create_task(tick())"
        )
        cells = [self.client.start(f"before = ticks if {n} == 0 else before\n{n}") for n in range(40)]
        cells[-1].wait()
        self.assertEqual([cell.result for cell in cells], [str(n) for n in range(40)])
        numbers = [cell.content["execution_count"] for cell in cells]
        self.assertEqual(numbers, list(range(count + 2, count + 42)))
        self.assertEqual(self.run_ok("ticks - before >= 30").result, "True")
        self.run_ok("task.cancel()")

    @ours
    def test_a_transaction_begun_in_one_cell_holds_for_the_next(self) -> None:
        self.run_ok("x = 1")
        cells = [self.client.start(code) for code in ("pass", "%begin", "x = 2", "pass", "%rollback", "pass", "x")]
        self.assertEqual(cells[-1].wait().result, "1")
        for cell in cells:
            self.assert_in_order(cell)

    def test_a_question_among_them_is_put_and_answered(self) -> None:
        cells = [self.client.start("pass") for _ in range(30)]
        question = self.client.start("input('?')")
        behind = self.client.start("'behind'")
        question.wait_for("stdin", "input_request")
        question.answer("y")
        self.assertEqual(question.wait().result, "'y'")
        self.assertEqual(behind.wait().result, "'behind'")
        self.assertEqual({cell.status for cell in cells}, {"ok"})

    def assert_in_order(self, cell: Cell) -> None:
        kinds = [m["msg_type"] for m in cell.on("iopub")]
        self.assertEqual(kinds[:2] + kinds[-1:], ["status", "execute_input", "status"])
        self.assertEqual(cell.states, ["busy", "idle"])


if __name__ == "__main__":
    main()
