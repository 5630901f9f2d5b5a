"""Which names a cell added, bound anew and removed (NS-7)."""

from __future__ import annotations

import random
import sys
import timeit
import unittest
import weakref
from importlib.util import find_spec
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.cells import changes  # noqa: E402
from savepoint_worker.cells.changes import NAMES_MAX, Changes, Watch  # noqa: E402


class Sample:
    """What `weakref` can point to."""


def run(namespace: dict[str, Any], code: str, before: str = "") -> Changes:
    exec(before, namespace)
    watch = Watch(namespace, {})
    watch.cell_begins(code)
    exec(code, namespace)
    return watch.changes()


class ChangesOfACell(unittest.TestCase):
    def test_NS_7_names_are_added_changed_and_removed(self) -> None:
        self.assertEqual(run({}, "x = 1; y = 2"), (["x", "y"], [], []))
        self.assertEqual(run({}, "del x; y = 3; z = 4", "x = 1; y = 2"), (["z"], ["y"], ["x"]))
        self.assertEqual(run({}, "import math\ndef f(): pass"), (["math", "f"], [], []))

    def test_what_stays_the_same_object_is_not_changed(self) -> None:
        before = "x = object(); y = [1]; z = {}; n = 1"
        self.assertEqual(run({}, "x = x; y.append(2); z['a'] = 1; n = 1", before), ([], [], []))

    def test_an_object_at_the_address_of_its_predecessor_is_another_one(self) -> None:
        for rounds in range(1, 9):
            for begin, step in (("1.5", "x + 1.5"), ("10**20", "x + 1"), ("(0,)", "x + (1,)")):
                with self.subTest(begin=begin, rounds=rounds):
                    code = f"for i in range({rounds}): x = {step}"
                    self.assertEqual(run({}, code, f"x = {begin}").changed, ["x"])
        for rounds in range(1, 5):
            namespace: dict[str, Any] = {"Sample": Sample}
            self.assertEqual(run(namespace, f"for i in range({rounds}): x = Sample()", "x = Sample()").changed, ["x"])

    def test_a_name_that_was_removed_and_bound_again_is_changed(self) -> None:
        self.assertEqual(run({}, "del x; x = 1", "x = 1; y = 2"), ([], ["x"], []))
        self.assertEqual(run({}, "del y; y = y2; del x", "x = 1; y = 2; y2 = 2; z = 3"), ([], ["y"], ["x"]))

    def test_names_of_the_engine_are_left_out(self) -> None:
        given = object()
        namespace = {"exit": given, "_i1": "", "In": [], "open": given}
        watch = Watch(namespace, {"exit": given, "open": given})
        namespace |= {
            "_": 1,
            "__": 2,
            "_5": 3,
            "_i5": "",
            "Out": {},
            "_exit_code": 2,
            "__name__": "m",
            "_own": 1,
            "I": 1,
        }
        namespace["open"] = 5
        del namespace["_i1"]
        self.assertEqual(watch.changes(), (["_own", "I"], ["open"], []))

    def test_nothing_is_kept_alive(self) -> None:
        namespace: dict[str, Any] = {"x": Sample(), "y": [Sample()]}
        gone = weakref.ref(namespace["x"]), weakref.ref(namespace["y"][0])
        watch = Watch(namespace, {})
        watch.cell_begins("del x, y")
        before = sys.getrefcount(namespace["y"])
        del namespace["x"]
        self.assertIsNone(gone[0]())
        self.assertEqual(before, 2)
        namespace["y"] = 5
        self.assertIsNone(gone[1]())
        self.assertEqual(watch.changes(), ([], ["y"], ["x"]))

    @unittest.skipIf(find_spec("numpy") is None, "numpy is not installed")
    def test_an_array_can_be_resized_while_it_is_watched(self) -> None:
        import numpy

        namespace: dict[str, Any] = {"x": numpy.arange(4)}
        watch = Watch(namespace, {})
        watch.cell_begins("x.resize(8, refcheck=False)")
        namespace["x"].resize(8, refcheck=False)
        self.assertEqual(watch.changes(), ([], [], []))

    def test_one_look_follows_the_other(self) -> None:
        namespace: dict[str, Any] = {}
        watch = Watch(namespace, {})
        namespace["x"] = 1
        self.assertEqual(watch.changes(), (["x"], [], []))
        self.assertEqual(watch.changes(), ([], [], []))

    def test_names_that_are_no_text_are_left_alone(self) -> None:
        self.assertEqual(run({5: 1}, "globals()[6] = 1; globals().pop(5); x = 1"), (["x"], [], []))  # type: ignore[dict-item]

    def test_a_thousand_names_are_listed_and_the_rest_is_counted(self) -> None:
        found = run({}, f"for i in range({NAMES_MAX + 5}): globals()[f'n{{i}}'] = i")
        self.assertEqual(len(found.report()["added"]), NAMES_MAX)
        self.assertEqual(found.warnings(), [f"Of {NAMES_MAX + 6} names added, the first {NAMES_MAX} are listed."])

    def test_any_sequence_of_bindings_is_followed(self) -> None:
        for look in (changes._addresses_at_once, changes._addresses_one_by_one):
            self.addCleanup(setattr, changes, "_addresses", changes._addresses)
            changes._addresses = look
            for seed in range(200):
                self._follow(random.Random(seed))

    def _follow(self, chance: random.Random) -> None:
        kept: list[object] = []  # Nothing is freed, so that identity is exact.
        names = [f"name{i}" for i in range(80)]
        namespace: dict[str, Any] = {}
        for name in chance.sample(names, chance.randrange(80)):
            namespace[name] = Sample()
        watch = Watch(namespace, {})
        for _ in range(3):
            before = dict(namespace)
            touched = set()
            for name in chance.choices(names, k=chance.choice([1, 3, 40])):
                if name in namespace and chance.random() < 0.3:
                    kept.append(namespace.pop(name))
                    touched.add(name)
                elif chance.random() < 0.8:
                    kept.append(namespace.get(name))
                    namespace[name] = Sample()
            added, changed, removed = watch.changes()
            self.assertEqual(set(added), namespace.keys() - before.keys())
            self.assertEqual(set(removed), before.keys() - namespace.keys())
            rebound = {n for n in namespace.keys() & before.keys() if namespace[n] is not before[n]}
            self.assertEqual(set(changed), rebound)
            self.assertEqual(len(changed), len(set(changed)))

    def test_a_thousand_names_take_microseconds(self) -> None:
        namespace = {f"name_{i}": object() for i in range(1000)}
        watch = Watch(namespace, {})

        def cell() -> None:
            watch.cell_begins("name_5 = f(name_6)")
            namespace["name_5"] = object()
            watch.changes()

        def copy() -> None:
            list(map(id, namespace.values()))

        # In turns, and the least of each: what else the machine does hits one or the other.
        rounds = [(timeit.timeit(cell, number=20), timeit.timeit(copy, number=20)) for _ in range(200)]
        least, copying = (min(times) for times in zip(*rounds, strict=True))
        # 14 µs on a machine at rest; measured in the time that asking for each name's identity takes once.
        self.assertLess(least, 2 * copying)


if __name__ == "__main__":
    unittest.main()
