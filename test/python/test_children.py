"""Waiting functions that hide our children, and are the plain ones in every other respect."""

from __future__ import annotations

import asyncio
import inspect
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import unittest
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.processes import children  # noqa: E402

children.install()


@contextmanager
def hidden_child() -> Iterator[int]:
    """A child of ours that lives as long as the block."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    os.close(reader)
    children.hide(pid)
    try:
        yield pid
    finally:
        os.close(writer)
        while not children.reap(pid):
            signal.sigtimedwait([], 0.001)


def child_that_exits(code: int) -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(code)
    return pid


class Hiding(unittest.TestCase):
    def test_with_only_hidden_children_there_is_nothing_to_wait_for(self) -> None:
        with hidden_child() as pid:
            waits = [
                lambda: os.wait(),
                lambda: os.waitpid(-1, 0),
                lambda: os.waitpid(-1, os.WNOHANG),
                lambda: os.waitpid(0, 0),
                lambda: os.waitpid(pid, os.WNOHANG),
                lambda: os.waitpid(-os.getpgrp(), 0),
                lambda: os.wait3(0),
                lambda: os.wait4(-1, 0),
                lambda: os.wait4(pid, 0),
                lambda: os.waitid(os.P_ALL, 0, os.WEXITED),
                lambda: os.waitid(os.P_PID, pid, os.WEXITED),
                lambda: os.waitid(os.P_PGID, 0, os.WEXITED),
            ]
            for wait in waits:
                with self.subTest(inspect.getsource(wait).strip()), self.assertRaises(ChildProcessError) as caught:
                    wait()
                self.assertEqual(caught.exception.errno, 10)

    def test_a_hidden_child_that_ends_is_not_what_was_waited_for(self) -> None:
        with hidden_child() as hidden:
            os.kill(hidden, signal.SIGKILL)
            pid = child_that_exits(3)
            self.assertEqual(os.wait(), (pid, 3 << 8))
            with self.assertRaises(ChildProcessError):
                os.wait()

    def test_children_of_the_user_are_found_among_hidden_ones(self) -> None:
        with hidden_child():
            for code, wait in enumerate(
                (
                    lambda _: os.wait(),
                    lambda _: os.waitpid(-1, 0),
                    lambda _: os.waitpid(0, 0),
                    lambda pid: os.waitpid(pid, 0),
                    lambda _: os.wait3(0)[:2],
                    lambda _: os.wait4(-1, 0)[:2],
                    lambda pid: os.wait4(pid, 0)[:2],
                ),
                1,
            ):
                pid = child_that_exits(code)
                self.assertEqual(wait(pid), (pid, code << 8))
            pid = child_that_exits(9)
            found = os.waitid(os.P_ALL, 0, os.WEXITED)
            self.assertEqual((found.si_pid, found.si_status), (pid, 9))

    def test_nothing_has_ended_yet_is_said_as_ever(self) -> None:
        with hidden_child(), subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            self.assertEqual(os.waitpid(-1, os.WNOHANG), (0, 0))
            self.assertEqual(os.wait3(os.WNOHANG)[:2], (0, 0))
            self.assertIsNone(os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG))
            self.assertIsNone(process.poll())

    def test_stopped_children_are_seen(self) -> None:
        with hidden_child(), subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            process.send_signal(signal.SIGSTOP)
            pid, status = os.waitpid(-1, os.WUNTRACED)
            self.assertEqual((pid, os.WIFSTOPPED(status)), (process.pid, True))
            process.send_signal(signal.SIGCONT)

    def test_a_process_forked_by_the_user_waits_for_its_own(self) -> None:
        with hidden_child():
            pid = os.fork()
            if pid == 0:
                grandchild = child_that_exits(4)
                os._exit(0 if os.wait() == (grandchild, 4 << 8) else 1)
            self.assertEqual(os.waitpid(pid, 0), (pid, 0))


class Ordinary(unittest.TestCase):
    def test_without_anything_to_hide_they_are_the_plain_functions(self) -> None:
        pid = child_that_exits(5)
        self.assertEqual(os.wait(), (pid, 5 << 8))
        with self.assertRaises(ChildProcessError):
            os.wait()
        with self.assertRaises(ChildProcessError):
            os.waitpid(pid, 0)
        self.assertEqual(os.wait.__name__, "wait")
        self.assertTrue(os.waitpid.__doc__)

    def test_popen_and_multiprocessing_work_beside_hidden_children(self) -> None:
        with hidden_child():
            self.assertEqual(subprocess.run(["sh", "-c", "exit 7"]).returncode, 7)
            process = multiprocessing.get_context("fork").Process(target=os._exit, args=(6,))
            process.start()
            process.join(10)
            self.assertEqual(process.exitcode, 6)

    def test_asyncio_waits_for_its_processes_beside_hidden_children(self) -> None:
        async def run() -> int:
            process = await asyncio.create_subprocess_exec("sh", "-c", "exit 8")
            return await process.wait()

        with hidden_child():
            self.assertEqual(asyncio.run(run()), 8)

    def test_a_child_can_be_waited_for_in_a_thread(self) -> None:
        with hidden_child(), subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            results: list[object] = []
            waiter = threading.Thread(target=lambda: results.append(os.waitpid(process.pid, 0)))
            waiter.start()
            assert process.stdin is not None
            process.stdin.close()
            waiter.join(10)
            self.assertEqual(results, [(process.pid, 0)])


if __name__ == "__main__":
    unittest.main()
