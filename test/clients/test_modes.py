"""What works after a rollback although the threads that did it were left behind, and what is said of that."""

from __future__ import annotations

from typing import Any

from support.case import KernelCase, main
from support.client import Cell
from support.comms import commit_all, transactions
from support.subject import ours

#: A thread of the name that a library's have which hangs without them.
LIKE_POLARS = """
import _thread, ctypes, time
def wait():
    ctypes.CDLL(None).prctl(15, b'polars-0', 0, 0, 0)
    named.set()
    time.sleep(3600)
import threading
named = threading.Event()
_thread.start_new_thread(wait, ())
named.wait()
del named
"""


class ModesCase(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(commit_all, self.client)

    def there_and_back(self, use: str) -> dict[str, Any]:
        """Use something, begin, use it again, roll back, and use it once more: always the same. The transaction."""
        target = transactions(self.client)
        before = self.run_ok(use).result
        self.assertIsNotNone(before)
        begun = target.ask("begin")
        self.assertEqual(self.run_ok(use).result, before)
        ended = target.ask("rollback")
        for _ in range(2):
            self.assertEqual(self.run_ok(use).result, before)
        target.close()
        return {**begun, **ended}


@ours
class Threads(ModesCase):
    def test_numpy_multiplies(self) -> None:
        self.run_ok("import numpy as np\na = np.ones((300, 300))")
        told = self.there_and_back("float((a @ a).sum())")
        self.assertEqual((told["engine"], told["mode"], told["limits"]), ("fork", "child", []))
        self.assertTrue(told["why"])

    def test_an_executor_works(self) -> None:
        self.run_ok("from concurrent.futures import ThreadPoolExecutor\nexecutor = ThreadPoolExecutor(2)")
        told = self.there_and_back("list(executor.map(abs, [-1, -2, -3]))")
        self.assertEqual((told["mode"], told["limits"]), ("child", []))

    def test_asyncio_gives_work_to_threads_and_tasks_go_on(self) -> None:
        self.run_ok(
            "import asyncio\n"
            "ticks = 0\n"
            "async def tick():\n"
            "    global ticks\n"
            "    while True:\n"
            "        await asyncio.sleep(0.001)\n"
            "        ticks += 1\n"
            "task = asyncio.create_task(tick())\n"
            "async def use():\n"
            "    seen = ticks\n"
            "    while ticks == seen:\n"
            "        await asyncio.sleep(0.001)\n"
            "    return await asyncio.to_thread(abs, -4), task.done()\n"
        )
        self.assertEqual(self.there_and_back("await use()")["limits"], [])
        self.run_ok("task.cancel()")

    def test_pools_of_processes_work(self) -> None:
        self.run_ok("import multiprocessing\npool = multiprocessing.Pool(1)")
        self.there_and_back("pool.map_async(abs, [-1, -2]).get(20)")
        self.run_ok("pool.terminate()\npool.join()")

    def test_a_thread_of_the_users_is_named(self) -> None:
        self.run_ok("import threading, time")
        self.run_ok("threading.Thread(target=time.sleep, args=(60,), name='mine', daemon=True).start()")
        told = self.there_and_back("1 + 1")
        self.assertEqual(told["mode"], "child")
        self.assertTrue(any("mine" in limit for limit in told["limits"]), told["limits"])


@ours
class Transplants(ModesCase):
    """With a thread that looks like those of a library that hangs, since that is what is looked at."""

    def setUp(self) -> None:
        super().setUp()
        self.run_ok(LIKE_POLARS)

    def mode(self, cell: Cell) -> tuple[str, str]:
        told = cell.ours["transaction"]
        return told["mode"], told["outcome"]

    def test_the_variables_move_to_a_fresh_process(self) -> None:
        self.run_ok("import os, random\nrandom.seed(5)\nstate = [1]\nalias = state\nos.environ['MODE'] = 'kept'")
        expected = self.run_ok("alias, 'a result'").result
        cell = self.run_error(
            "state.append(2)\nrandom.random()\n1 / 0",
            "ZeroDivisionError",
            metadata={"savepoint": {"transaction": "rollback_on_failure"}},
        )
        self.assertEqual(self.mode(cell), ("transplant", "rolled_back"))
        self.assertTrue(any("polars" in limit for limit in cell.ours["transaction"]["limits"]))
        self.assertEqual(self.run_ok("_").result, expected)
        facts = "state, state is alias, os.environ['MODE'], random.random()"
        self.assertEqual(self.run_ok(facts).result, "([1], True, 'kept', 0.6229016948897019)")
        failed = cell.content["execution_count"]
        self.assertIn("1 / 0", self.run_ok(f"In[{failed}]").result or "")
        self.assertEqual(self.run_ok(f"Out[{failed - 1}]").result, expected)
        # No such thread came along.
        again = self.client.execute("1 / 0", metadata={"savepoint": {"transaction": "rollback_on_failure"}})
        self.assertEqual(self.mode(again), ("child", "rolled_back"))

    def test_what_cannot_be_moved_stays_and_is_named(self) -> None:
        self.run_ok("counting = iter(n for n in range(10)); next(counting)")
        cell = self.run_error(
            "next(counting)\n1 / 0",
            "ZeroDivisionError",
            metadata={"savepoint": {"transaction": "rollback_on_failure"}},
        )
        limits = cell.ours["transaction"]["limits"]
        self.assertTrue(any("calls of polars" in limit and "'counting'" in limit for limit in limits), limits)
        self.assertEqual(self.run_ok("next(counting)").result, "1")
        # A copy of a copy has no such threads either.
        again = self.client.execute("1 / 0", metadata={"savepoint": {"transaction": "rollback_on_failure"}})
        self.assertEqual(self.mode(again), ("transplant", "rolled_back"))
        self.run_ok("del counting")

    def test_a_block_goes_on_in_the_copy_and_is_told(self) -> None:
        cell = self.run_ok(
            "import savepoint\n"
            "state = [1]\n"
            "try:\n"
            "    with savepoint.transaction() as tx:\n"
            "        state.append(2)\n"
            "        raise ValueError('no')\n"
            "except savepoint.RolledBack as rolled_back:\n"
            "    limits = rolled_back.limits\n"
            "state, any('calls of polars' in limit for limit in limits)"
        )
        self.assertEqual(cell.result, "([1], True)")
        # With the cell the need for that process has ended.
        after = self.run_ok("state, id(state)")
        self.assertEqual((after.result or "")[:6], "([1], ")
        self.assertTrue(any("polars" in warning for warning in after.ours["warnings"]), after.ours["warnings"])
        self.assertGreater(after.ours["worker"]["generation"], cell.ours["worker"]["generation"])
        again = self.client.execute("1 / 0", metadata={"savepoint": {"transaction": "rollback_on_failure"}})
        self.assertEqual(self.mode(again), ("child", "rolled_back"))


if __name__ == "__main__":
    main()
