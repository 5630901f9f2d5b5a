"""Interrupts: by message and by signal, of whatever a cell may be doing."""

from __future__ import annotations

import os
import signal
import time

from support.case import KernelCase, main
from support.client import Cell
from support.subject import ours

# Each prints when it is about to be where it shall be interrupted.
LOOP = "print('in', flush=True)\nwhile True: pass"
SLEEP = "import time\nprint('in', flush=True)\ntime.sleep(600)"
AWAIT = "import asyncio\nprint('in', flush=True)\nawait asyncio.sleep(600)"
BUSY_IN_ASYNC = "import asyncio\nawait asyncio.sleep(0)\nprint('in', flush=True)\nwhile True: pass"
SOON_S = 30.0
"""Far below the ten minutes that the cells would take."""


class Interrupts(KernelCase):
    def by_message(self) -> None:
        self.assertEqual(self.client.ask("interrupt_request", channel="control")["status"], "ok")

    def by_signal(self) -> None:
        """As a KernelManager does whose kernelspec says so: SIGINT to the kernel's whole process group."""
        os.killpg(os.getpgid(self.manager.provisioner.pid), signal.SIGINT)

    def start(self, code: str) -> Cell:
        cell = self.client.start(code)
        cell.wait_for_output("in")
        return cell

    def check(self, code: str, ename: str) -> None:
        for way in (self.by_message, self.by_signal):
            with self.subTest(way.__name__):
                cell = self.start(code)
                begun = time.monotonic()
                way()
                cell.wait()
                self.assertLess(time.monotonic() - begun, SOON_S)
                self.assert_error(cell, ename)
                self.assertEqual(self.run_ok("6 * 7").result, "42")

    def test_a_loop_is_interrupted(self) -> None:
        self.check(LOOP, "KeyboardInterrupt")

    def test_a_sleep_is_interrupted(self) -> None:
        self.check(SLEEP, "KeyboardInterrupt")

    # ipykernel leaves both of these running when the signal comes at the wrong moment.
    @ours
    def test_an_await_is_interrupted_at_once(self) -> None:
        self.check(AWAIT, "KeyboardInterrupt")

    @ours
    def test_python_code_in_a_cell_that_awaits_is_interrupted(self) -> None:
        self.check(BUSY_IN_ASYNC, "KeyboardInterrupt")

    def test_input_is_interrupted(self) -> None:
        for way in (self.by_message, self.by_signal):
            with self.subTest(way.__name__):
                cell = self.client.start("input('never answered ')")
                cell.wait_for("stdin", "input_request")
                way()
                self.assert_error(cell.wait(), "KeyboardInterrupt")

    def test_a_child_process_that_is_waited_for_is_interrupted(self) -> None:
        cell = self.start("import subprocess\nprint('in', flush=True)\nsubprocess.run(['sleep', '600'])")
        self.by_message()
        self.assert_error(cell.wait(SOON_S), "KeyboardInterrupt")

    def test_a_cell_may_catch_its_interrupt(self) -> None:
        cell = self.start(
            "try:\n"
            "    print('in', flush=True)\n"
            "    while True: pass\n"
            "except KeyboardInterrupt:\n"
            "    caught = True\n"
            "caught"
        )
        self.by_message()
        self.assertEqual(cell.wait().result, "True")

    def test_an_idle_kernel_ignores_interrupts(self) -> None:
        for _ in range(3):
            self.by_message()
            self.by_signal()
        self.assertEqual(self.run_ok("6 * 7").result, "42")

    def test_an_interrupt_aborts_what_was_queued(self) -> None:
        cell = self.start(SLEEP)
        queued = self.client.start("queued = 1")
        # Answered after the queued cell was sent, on the way that the interrupt itself takes.
        self.client.ask("kernel_info_request", channel="control")
        self.by_message()
        self.assertEqual((cell.wait().status, queued.wait().status), ("error", "aborted"))

    @ours
    def test_background_tasks_outlive_the_interrupt_of_a_cell(self) -> None:
        self.run_ok(
            "import asyncio\n"
            "ticks = 0\n"
            "async def tick():\n"
            "    global ticks\n"
            "    while True:\n"
            "        await asyncio.sleep(0.01)\n"
            "        ticks += 1\n"
            "ticking = asyncio.ensure_future(tick())"
        )
        cell = self.start(AWAIT)
        self.by_message()
        self.assertEqual(cell.wait().status, "error")
        self.assertEqual(
            self.run_ok("before = ticks\nwhile ticks < before + 3: await asyncio.sleep(0.01)\nticking.done()").result,
            "False",
        )
        self.run_ok("ticking.cancel()")

    def test_a_hundred_interrupts_are_neither_lost_nor_late(self) -> None:
        for _ in range(100):
            cell = self.start(LOOP)
            self.by_message()
            self.assert_error(cell.wait(SOON_S), "KeyboardInterrupt")
        self.assertEqual(self.run_ok("6 * 7").result, "42")


if __name__ == "__main__":
    main()
