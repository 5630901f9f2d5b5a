"""The files in which jedi keeps parsed code: whole or not there, and none that is broken keeps completion from working."""

from __future__ import annotations

import os
import pickle
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.ipython import parse_cache  # noqa: E402

class ParseCacheTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.module = self.folder / "module.py"
        self.module.write_text("alpha = 5\n")
        parse_cache.keep_whole()

    def kept(self) -> list[Path]:
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix == ".pkl"]

    def parsed(self, cache: Path) -> str:
        """The code of a module, as a process has it parsed that keeps parsed code in `cache` and has nothing yet."""
        import parso

        parso.cache.parser_cache.clear()
        grammar = parso.load_grammar()
        return str(grammar.parse(path=self.module, cache=True, cache_path=cache).get_code())

    def test_half_a_file_is_passed_by_and_becomes_a_whole_one(self) -> None:
        self.assertEqual(self.parsed(self.folder), "alpha = 5\n")
        (kept,) = self.kept()
        os.truncate(kept, kept.stat().st_size // 2)
        self.assertEqual(self.parsed(self.folder), "alpha = 5\n")
        self.assertEqual(pickle.loads(kept.read_bytes()).node.get_code(), "alpha = 5\n")

    def test_a_cache_that_cannot_be_had_is_done_without(self) -> None:
        # Where a folder is wanted there is a file; permissions would not stop root.
        self.assertEqual(self.parsed(self.module), "alpha = 5\n")

    def test_a_file_that_is_not_written_to_its_end_leaves_the_former_one(self) -> None:
        import parso.cache

        class Unwilling:
            def __reduce__(self) -> tuple[object, ...]:
                raise RuntimeError("ended in the middle")

        def save(item: object) -> None:
            parso.cache._save_to_file_system("grammar", "module.py", item, cache_path=self.folder)

        save("the former one")
        (target,) = self.kept()
        with self.assertRaisesRegex(RuntimeError, "in the middle"):
            save(["x" * 100_000, Unwilling()])
        self.assertEqual(pickle.loads(target.read_bytes()), "the former one")
        self.assertEqual(os.listdir(target.parent), [target.name])

    def test_a_full_disk_is_no_error(self) -> None:
        import parso.cache

        with mock.patch("os.replace", side_effect=OSError(28, "No space left on device")):
            parso.cache._save_to_file_system("grammar", "module.py", "an item", cache_path=self.folder)
        self.assertEqual(self.kept(), [])

    def test_a_parso_of_another_make_is_left_as_it_is(self) -> None:
        other = mock.Mock(spec=["_load_from_file_system"])
        load = other._load_from_file_system
        with mock.patch.dict(sys.modules, {"parso.cache": other}):
            parse_cache.keep_whole()
        self.assertIs(other._load_from_file_system, load)


if __name__ == "__main__":
    unittest.main()
