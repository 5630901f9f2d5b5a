"""What runs in a process besides the main thread, and what a copy of it has again."""

from __future__ import annotations

import asyncio
import ctypes
import ctypes.util
import logging
import logging.handlers
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import Pool, ThreadPool
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.copies import natives, openmp, probe, revival
from savepoint_worker.copies.natives import Native
from savepoint_worker.copies.revival import NOBODY, Company

PATIENCE_S = 20


class FakeWorker:
    """As much of a worker as is looked at."""

    class subshells:
        @staticmethod
        def all() -> list[Any]:
            return []

    class shell:
        user_ns: dict[str, Any] = {}

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._server = None


def in_copy(action: Callable[[], Any]) -> str:
    """What `action` says in a forked copy of this process, which is woken at once; it may take 20 s."""
    worker: Any = FakeWorker()
    found = probe.look(worker)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        signal.alarm(PATIENCE_S)
        try:
            probe.leave_behind(found)
            failed = probe.make_up()
            said = repr(failed) if failed else repr(action())
        except BaseException as error:
            said = repr(error)
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        said = file.read()
    os.waitpid(pid, 0)
    worker.loop.close()
    return said


def map_and_end(pool: Pool, values: list[int]) -> list[int]:
    """Use a pool in a copy, and end its processes with it."""
    result: list[int] = pool.map_async(abs, values).get(PATIENCE_S)
    pool.terminate()
    return result


class Judging(unittest.TestCase):
    def judge(self, *threads: Native, company: Company = NOBODY, paused: bool = True, orphaned: Any = ()) -> Any:
        return probe.judge(list(threads), company, paused, frozenset(orphaned))

    def test_threads_of_libraries_that_look_after_themselves_change_nothing(self) -> None:
        found = self.judge(
            Native("", "libscipy_openblas64_-32a4b2a6.so"),
            Native("", "libgomp-e985bcbb.so.1.0.0"),
            Native("jemalloc_bg_thd", "libarrow.so.2600"),
        )
        self.assertEqual((found.mode, found.limits, found.quiet, found.live), ("child", (), True, False))

    def test_threads_that_may_open_files_are_not_quiet(self) -> None:
        found = self.judge(Native("", "libarrow.so.2600"))
        self.assertEqual((found.mode, found.limits, found.quiet), ("child", (), False))

    def test_a_library_that_would_hang_calls_for_a_transplant(self) -> None:
        found = self.judge(Native("polars-0", "_polars_runtime.abi3.so"))
        self.assertEqual((found.mode, found.waiting), ("transplant", {"polars"}))
        self.assertIn("polars", found.why)

    def test_it_is_told_by_the_threads_name_where_the_system_does_not_tell_more(self) -> None:
        self.assertEqual(self.judge(Native("polars-11", "")).mode, "transplant")

    def test_a_library_that_is_imported_and_was_not_used_yet_does_not(self) -> None:
        names = ("jemalloc_bg_thd", "polars-ooc-clea")
        self.assertEqual(self.judge(*(Native(name, "_polars_runtime.abi3.so") for name in names)).mode, "child")

    def test_what_hangs_in_a_copy_hangs_in_a_copy_of_it(self) -> None:
        self.assertEqual(self.judge(orphaned={"polars"}).mode, "transplant")

    def test_threads_of_unknown_libraries_are_named(self) -> None:
        found = self.judge(Native("", "libnobody_knows.so.1"), Native("zmq", ""))
        self.assertEqual(found.mode, "child")
        named = [text.split(":")[0] for text in found.limits]
        self.assertEqual(named, ["threads of libnobody_knows.so.1", "threads of zmq"])
        self.assertFalse(found.quiet)

    def test_a_thread_that_is_running_and_has_no_name_is_not_named(self) -> None:
        found = self.judge(Native("", ""))
        self.assertEqual((found.limits, found.quiet), ((), False))

    def test_an_openmp_that_is_at_work_is_named(self) -> None:
        self.assertIn("OpenMP", self.judge(paused=False).limits[0])


class Looking(unittest.TestCase):
    def setUp(self) -> None:
        self.worker: Any = FakeWorker()
        self.addCleanup(self.worker.loop.close)
        # The system may still be ending threads that earlier tests have joined.
        late = time.monotonic() + PATIENCE_S
        while len(natives.tasks()) > 1 and time.monotonic() < late:
            time.sleep(0.001)

    def test_a_process_of_one_thread_has_nothing_to_tell(self) -> None:
        found = probe.look(self.worker)
        self.assertEqual((found.mode, found.limits, found.alone, found.live), ("child", (), True, False))

    def test_a_task_of_the_users_is_alive(self) -> None:
        async def main() -> bool:
            task = asyncio.get_running_loop().create_task(asyncio.sleep(60))
            self.worker._server = asyncio.current_task()
            found = probe.look(self.worker)
            task.cancel()
            return found.live

        self.assertTrue(self.worker.loop.run_until_complete(main()))

    def test_a_thread_of_the_users_is_alive_and_named(self) -> None:
        done = threading.Event()
        thread = threading.Thread(target=done.wait, name="mine")
        thread.start()
        found = probe.look(self.worker)
        done.set()
        thread.join()
        self.assertEqual((found.mode, found.live, found.quiet), ("child", True, False))
        self.assertIn("'mine'", found.limits[0])

    def test_a_thread_is_told_by_the_code_that_it_began_in(self) -> None:
        done = threading.Event()
        thread = threading.Thread(target=done.wait)
        thread.start()
        try:
            others = natives.tasks()[1:]
            self.assertEqual(others, [thread.native_id])
            for _ in range(100):
                natives._known.clear()
                found = natives.look(others)
                if found[0].library:
                    break
                # It was not waiting at that moment.
                time.sleep(0.01)
        finally:
            done.set()
            thread.join()
        self.assertRegex(found[0].library, "python")
        self.assertEqual(natives.look([]), [])

    def test_a_thread_that_has_ended_is_none(self) -> None:
        self.assertEqual(natives.look([2**22 + 1]), [])


class InACopy(unittest.TestCase):
    def test_an_executor_goes_on(self) -> None:
        with ThreadPoolExecutor(2) as executor:
            self.assertEqual(list(executor.map(abs, [-1, -2])), [1, 2])
            self.assertEqual(in_copy(lambda: list(executor.map(abs, [-3, -4, -5]))), "[3, 4, 5]")
            self.assertEqual(list(executor.map(abs, [-6])), [6])

    def test_what_waits_in_an_executor_is_done_and_what_was_at_work_has_failed(self) -> None:
        go = threading.Event()
        begun = threading.Event()

        def work() -> str:
            begun.set()
            go.wait(PATIENCE_S)
            return "done"

        def look() -> tuple[str, str]:
            return type(at_work.exception(PATIENCE_S)).__name__, waiting.result(PATIENCE_S)

        with ThreadPoolExecutor(1) as executor:
            at_work, waiting = executor.submit(work), executor.submit(lambda: "waited")
            begun.wait(PATIENCE_S)
            said = in_copy(look)
            go.set()
            self.assertEqual((at_work.result(), waiting.result()), ("done", "waited"))
        self.assertEqual(said, repr((BrokenExecutor.__name__, "waited")))

    def test_an_executor_that_was_shut_down_stays_so(self) -> None:
        executor = ThreadPoolExecutor(1)
        executor.submit(abs, -1).result()
        release = threading.Event()
        executor.submit(release.wait)
        executor.shutdown(wait=False)
        said = in_copy(lambda: executor.submit(abs, -1))
        release.set()
        self.assertIn("RuntimeError", said)

    def test_the_default_executor_of_a_loop_goes_on(self) -> None:
        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, abs, -1), PATIENCE_S))
            self.assertIn("executor", {revival._kind(each) for each in threading.enumerate()})
            executor = loop._default_executor  # type: ignore[attr-defined]
            self.assertEqual(in_copy(lambda: executor.submit(abs, -7).result(PATIENCE_S)), "7")
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    def test_pools_of_threads_and_of_processes_go_on(self) -> None:
        for kind in (ThreadPool, Pool):
            with self.subTest(kind.__name__), kind(2) as pool:
                self.assertEqual(pool.map(abs, [-1]), [1])
                self.assertEqual(in_copy(lambda pool=pool: map_and_end(pool, [-2, -3])), "[2, 3]")
                self.assertEqual(pool.map(abs, [-4]), [4])

    def test_an_executor_of_processes_goes_on(self) -> None:
        def use() -> int:
            result: int = executor.submit(abs, -2).result(PATIENCE_S)
            executor.shutdown()
            return result

        with ProcessPoolExecutor(1) as executor:
            self.assertEqual(executor.submit(abs, -1).result(PATIENCE_S), 1)
            self.assertEqual(in_copy(use), "2")
            self.assertEqual(executor.submit(abs, -3).result(PATIENCE_S), 3)

    def test_a_logging_listener_goes_on(self) -> None:
        heard: queue.Queue[str] = queue.Queue()

        class Ear(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                heard.put(record.getMessage())

        wire: queue.Queue[Any] = queue.Queue()
        listener = logging.handlers.QueueListener(wire, Ear())
        listener.start()

        def say() -> str:
            wire.put(logging.makeLogRecord({"msg": "hello"}))
            return heard.get(timeout=PATIENCE_S)

        try:
            self.assertEqual(say(), "hello")
            self.assertEqual(in_copy(say), "'hello'")
        finally:
            listener.stop()

    @unittest.skipIf(ctypes.util.find_library("gomp") is None, "there is no GNU OpenMP on this machine")
    def test_threads_of_openmp_come_back(self) -> None:
        # In a process of its own: the library stays loaded.
        code = (
            "import ctypes, os, signal, sys, threading\n"
            "sys.path.insert(0, sys.argv[1])\n"
            "from savepoint_worker.copies import openmp, natives\n"
            "import ctypes.util\n"
            "gomp = ctypes.CDLL(ctypes.util.find_library('gomp'))\n"
            "def run():\n"
            "    seen = []\n"
            "    body = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: seen.append(threading.get_native_id()))\n"
            "    gomp.GOMP_parallel(body, None, 3, 0)\n"
            "    return len(set(seen))\n"
            "assert run() == 3 and len(natives.tasks()) == 3\n"
            "assert openmp.pause() and openmp.pause()\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            f"    signal.alarm({PATIENCE_S})\n"
            "    os._exit(0 if run() == 3 else 1)\n"
            "assert os.waitpid(pid, 0)[1] == 0\n"
            "assert run() == 3\n"
        )
        source = Path(openmp.__file__).resolve().parents[2]
        done = subprocess.run([sys.executable, "-c", code, str(source)], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
