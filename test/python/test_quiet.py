"""Work for the quiet moments of an event loop: done if nothing comes up, dropped and begun anew otherwise."""

from __future__ import annotations

import asyncio
import gc
import selectors
import sys
import threading
import unittest
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.cells import quiet, warmth  # noqa: E402
from savepoint_worker.cells.quiet import Foresight, attempt, has_work  # noqa: E402


class QuietTest(unittest.TestCase):
    def setUp(self) -> None:
        self.loop: Any = asyncio.SelectorEventLoop(selectors.PollSelector())
        self.addCleanup(self.loop.close)

    def in_loop(self, function: Any) -> Any:
        """What `function` returns, called by the loop."""

        async def call() -> Any:
            return function()

        return self.loop.run_until_complete(call())

    def test_work_is_done_when_nothing_comes_up(self) -> None:
        done: list[int] = []
        self.assertTrue(self.in_loop(lambda: attempt(self.loop, lambda: done.append(1))))
        self.assertEqual(done, [1])

    def test_work_is_dropped_when_something_comes_up_and_leaves_nothing_behind(self) -> None:
        rounds = 0

        def call() -> None:
            nonlocal rounds
            rounds += 1

        def work() -> None:
            # As a thread, or what is heard on a socket, does it.
            self.loop.call_soon_threadsafe(lambda: None)
            while True:
                call()

        self.assertFalse(self.in_loop(lambda: attempt(self.loop, work)))
        self.assertGreater(rounds, 0)
        self.assertIsNone(sys.getprofile())
        self.assertTrue(gc.isenabled())

    def test_what_comes_up_when_the_work_has_ended_drops_nothing(self) -> None:
        def work() -> None: ...

        for calls in range(1, 8):
            # At each of the calls that are followed in turn: those of the work, then those that end it.
            with mock.patch.multiple(quiet, CALLS=calls, GLANCE_S=0.0, has_work=lambda _: True):
                attempt(self.loop, work)
            self.assertIsNone(sys.getprofile())
            self.assertTrue(gc.isenabled())

    def test_a_timer_that_is_due_is_work(self) -> None:
        def look() -> bool:
            self.loop.call_at(self.loop.time(), lambda: None)
            return has_work(self.loop)

        self.assertTrue(self.in_loop(look))
        self.assertFalse(self.in_loop(lambda: has_work(self.loop)))

    def test_nothing_is_begun_where_somebody_follows_each_call(self) -> None:
        def profile(*_: object) -> None: ...

        def work() -> None:
            self.fail("It was begun.")

        sys.setprofile(profile)
        try:
            self.assertFalse(attempt(self.loop, work))
            self.assertIs(sys.getprofile(), profile)
        finally:
            sys.setprofile(None)

    def test_what_a_first_completion_needs_is_there_afterwards_and_little_else_is_changed(self) -> None:
        limit = sys.getrecursionlimit()
        foresight = Foresight(self.loop, SimpleNamespace(use_jedi=True))
        self.assertTrue(self.in_loop(foresight.prepare))
        import parso.cache

        paths = [str(path) for paths in parso.cache.parser_cache.values() for path in paths]
        self.assertTrue(any(path.endswith("builtins.pyi") for path in paths), paths)
        self.assertEqual(sys.getrecursionlimit(), limit)
        self.assertEqual(threading.active_count(), 1)

    def test_who_does_without_jedi_gets_none(self) -> None:
        foresight = Foresight(self.loop, SimpleNamespace(use_jedi=False))
        self.assertNotIn("jedi", foresight._modules)
        self.assertTrue(self.in_loop(foresight.prepare))

    def test_what_a_first_transaction_needs_is_there_afterwards(self) -> None:
        self.assertTrue(self.in_loop(Foresight(self.loop, SimpleNamespace(use_jedi=False)).prepare))
        self.assertIn("savepoint_worker.effects.recorder", sys.modules)

    def test_what_cannot_be_imported_is_left_to_the_first_completion(self) -> None:
        foresight = Foresight(self.loop, SimpleNamespace(use_jedi=True))
        foresight._modules = ["no_such_module"]
        self.assertTrue(self.in_loop(foresight.prepare))


class InheritedTest(unittest.TestCase):
    def test_what_a_zygote_has_prepared_its_workers_do_not_prepare_again(self) -> None:
        loop: Any = asyncio.SelectorEventLoop(selectors.PollSelector())
        self.addCleanup(loop.close)
        tracebacks: list[object] = []
        formatter = SimpleNamespace(structured_traceback=lambda *error: tracebacks.append(error))
        shell = SimpleNamespace(InteractiveTB=formatter, Completer=SimpleNamespace(use_jedi=False))
        with mock.patch.object(warmth, "_inherited", False):
            self.assertFalse(warmth.Warmth(loop, shell, lambda: False).ready)
            self.assertEqual(len(loop._scheduled), 2)
            loop._scheduled.clear()
            warmth.prepare_for_workers(shell)
            self.assertEqual(len(tracebacks), 1)
            self.assertTrue(warmth.Warmth(loop, shell, lambda: False).ready)
            self.assertEqual(len(loop._scheduled), 0)


if __name__ == "__main__":
    unittest.main()
