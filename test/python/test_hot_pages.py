"""Pages that are written to all the time are found out, and copied before they are."""

from __future__ import annotations

import os
import sys
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.copies import hot_pages  # noqa: E402
from savepoint_worker.copies.hot_pages import PAGES_MAX, HotPages  # noqa: E402

WORDS = [f"word {number}" for number in range(2000)]


class Copy:
    """A copy of this process that waits until it is let go; then it ends with what `tell` says."""

    def __init__(self, tell: Callable[[], int] = lambda: 0) -> None:
        here, self._let_go = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._let_go)
            os.read(here, 1)
            os._exit(tell())
        os.close(here)

    def end(self) -> int:
        os.close(self._let_go)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


class AtOnce:
    """An event loop that does at once what it is asked for."""

    def call_soon(self, act: Callable[..., None], *arguments: object) -> None:
        act(*arguments)


def work() -> None:
    """What a cell does: it looks at objects, which writes to them."""
    list(WORDS)


class HotPagesTest(unittest.TestCase):
    def setUp(self) -> None:
        hot_pages.note_mappings()
        self.pages = HotPages()
        self.held = {id(word) // 4096 * 4096 for word in WORDS}

    def look(self) -> None:
        for _ in range(hot_pages.LOOKS):
            copy = Copy()
            work()
            self.pages.look()
            copy.end()

    def test_what_is_written_to_each_time_is_known(self) -> None:
        self.look()
        self.assertGreater(len(self.pages), 0)
        known = self.pages.pages()
        self.assertLessEqual(len(known), PAGES_MAX)
        self.assertGreater(len(known & self.held), len(self.held) // 2)

    def test_a_copy_that_was_made_before_knows_it_too(self) -> None:
        copy = Copy(lambda: min(len(self.pages), 100))
        self.look()
        self.assertEqual(copy.end(), min(len(self.pages), 100))

    def test_all_of_them_are_copied_at_rest(self) -> None:
        self.look()
        copy = Copy()
        self.addCleanup(copy.end)
        self.pages.copy_at_rest(AtOnce(), lambda: False)
        if self.pages._is_possible:
            self.assertLessEqual(self.pages.pages(), self.pages._written())

    def test_nothing_is_copied_while_something_else_is_wanted(self) -> None:
        self.look()
        copy = Copy()
        self.addCleanup(copy.end)
        self.pages.copy_at_rest(AtOnce(), lambda: True)
        here, there = os.pipe()
        os.write(there, b"x")
        self.pages.copy_downwards(here)
        self.assertFalse(self.pages.pages() <= self.pages._written())

    def test_a_look_that_sees_too_much_is_not_believed(self) -> None:
        with mock.patch.object(hot_pages, "PAGES_MAX", 1):
            self.look()
        self.assertEqual(len(self.pages), 0)

    def test_what_is_not_mapped_any_more_does_no_harm(self) -> None:
        self.look()
        self.pages._put(hot_pages.LOOKS, {4096})
        self.pages.copy_at_rest(AtOnce(), lambda: False)


if __name__ == "__main__":
    unittest.main()
