"""Copies of what variables hold, put back in place: whatever was done, objects, aliases and names are as they were."""

from __future__ import annotations

import importlib.util
import os
import pickle
import random
import sqlite3
import sys
import time
import unittest
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from object_cases import CASES, Case  # noqa: E402

from savepoint_worker.objects import memory  # noqa: E402
from savepoint_worker.objects.snapshot import Copy  # noqa: E402

#: A million objects take seconds; minutes would be another order.
BOUND_S = 120.0
STEPS = 400


def namespace(code: str) -> dict[str, Any]:
    made: dict[str, Any] = {"__name__": "__main__"}
    execute(code, made)
    return made


def execute(code: str, names: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(code, names)


def exists(needed: str) -> bool:
    if needed == "sqlite3.serialize":
        return hasattr(sqlite3.Connection, "serialize")
    return importlib.util.find_spec(needed) is not None


class Kinds(unittest.TestCase):
    def test_each_is_as_it_was_or_named(self) -> None:
        for case in CASES:
            if case.needs is None or exists(case.needs):
                with self.subTest(case.name):
                    self.look_at(case)

    def look_at(self, case: Case) -> None:
        names = namespace(case.make)
        # A copy can be put back more than once.
        copy = Copy(None, names)
        before = dict(names)
        for _ in range(2):
            exec(case.change, names)
            limits = copy.put_back()
            self.assertEqual(list(names), list(before))
            for name, value in before.items():
                self.assertIs(names[name], value, name)
        if case.named is None:
            self.assertEqual(limits, [])
            execute(case.check, names)
        else:
            self.assertIn(case.named, " ".join(limits))


class Names(unittest.TestCase):
    def test_names_are_bound_as_before_and_in_their_order(self) -> None:
        names = namespace("a = [1]; b = 2; c = a")
        a = names["a"]
        copy = Copy(None, names)
        execute("del a; b = 3; new = 1; c = None", names)
        self.assertEqual(copy.put_back(), [])
        self.assertEqual(list(names), ["__name__", "__builtins__", "a", "b", "c"])
        self.assertIs(names["a"], a)
        self.assertIs(names["c"], a)
        self.assertEqual(names["b"], 2)

    def test_inputs_stay_and_results_go(self) -> None:
        names = namespace("In = ['', 'a']; _ih = In; Out = {1: [1]}; _oh = Out; _1 = Out[1]; _ = _1; _i1 = 'a'")
        copy = Copy(None, names)
        execute("In.append('b'); _i2 = 'b'; Out[2] = 5; _2 = 5; _ = 5; Out[1].append(9)", names)
        copy.put_back()
        self.assertEqual((names["In"], names["_i2"]), (["", "a", "b"], "b"))
        self.assertEqual((names["Out"], names["_"]), ({1: [1]}, [1]))
        self.assertNotIn("_2", names)

    def test_modules_of_the_users_are_put_back_and_forgotten(self) -> None:
        folder = Path(self.folder_of_its_own())
        (folder / "savepoint_mine.py").write_text("v = [1]\ndef f(): v.append(2)\n")
        (folder / "savepoint_other.py").write_text("w = 1\n")
        sys.path.insert(0, str(folder))
        self.addCleanup(sys.path.remove, str(folder))
        self.addCleanup(sys.modules.pop, "savepoint_mine", None)
        names = namespace("import savepoint_mine as m")
        copy = Copy(None, names)
        execute("m.f(); m.new = 1; import savepoint_other; m.f = None", names)
        self.assertEqual(copy.put_back(), [])
        execute("assert m.v == [1] and not hasattr(m, 'new'); m.f(); assert m.v == [1, 2]", names)
        self.assertNotIn("savepoint_other", sys.modules)

    def folder_of_its_own(self) -> str:
        import tempfile

        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name


class Groups(unittest.TestCase):
    def test_variables_belong_together_by_what_can_change(self) -> None:
        code = "a = [1]; b = {'k': a}; c = 'text'; d = c; e = (c, 1); f = e; class_ = type('K', (), {}); i = class_(); j = class_()"
        groups = [set(group) for group in Copy(None, namespace(code)).groups]
        self.assertIn({"a", "b"}, groups)
        for name in "cdefij":
            self.assertIn({name}, groups)

    @unittest.skipUnless(exists("numpy"), "needs numpy")
    def test_arrays_belong_together_by_their_buffers_and_not_by_their_types(self) -> None:
        code = (
            "import numpy as np, ctypes\nx = np.arange(9.0); y = x[2:4]; z = np.arange(9.0)\n"
            "m = (ctypes.c_double * 4)()\nv = np.ctypeslib.as_array(m); w = np.frombuffer(m)[1:]\n"
        )
        groups = [set(group) for group in Copy(None, namespace(code)).groups]
        self.assertIn({"x", "y"}, groups)
        self.assertIn({"z"}, groups)
        self.assertTrue(any({"v", "w"} <= group for group in groups), groups)


class Cost(unittest.TestCase):
    def test_very_many_small_objects_take_a_bounded_time(self) -> None:
        pairs = 500_000 if os.environ.get("RUN_SLOW") else 50_000
        names = namespace(f"x = [[n, {{'a': n}}] for n in range({pairs})]")
        began = time.monotonic()
        copy = Copy(None, names)
        names["x"][5][1]["a"] = None
        self.assertEqual(copy.put_back(), [])
        self.assertEqual(names["x"][5], [5, {"a": 5}])
        self.assertLess(time.monotonic() - began, BOUND_S)
        self.assertGreater(len(copy), 2 * pairs)

    def test_what_does_not_fit_is_refused_before_it_is_copied(self) -> None:
        names = namespace("x = bytearray(4 << 20)")
        available = memory.available_bytes
        memory.available_bytes = lambda: memory.RESERVE_BYTES + (1 << 20)
        try:
            with self.assertRaises(MemoryError) as raised:
                Copy(None, names)
        finally:
            memory.available_bytes = available
        self.assertIn("4 MB", str(raised.exception))


class Nesting(unittest.TestCase):
    def test_copies_of_32_moments_are_put_back_in_any_order(self) -> None:
        names = namespace("x = []")
        copies = []
        for depth in range(32):
            copies.append(Copy(None, names))
            names["x"].append(depth)
        for depth in (31, 5, 20, 0):
            self.assertEqual(copies[depth].put_back(), [])
            self.assertEqual(names["x"], list(range(depth)))


class Node:
    """A part of a random graph."""


class RandomGraphs(unittest.TestCase):
    def test_whatever_was_done_to_a_graph_is_undone(self) -> None:
        seed = int(os.environ.get("SAVEPOINT_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
        with self.subTest(seed=seed):
            self.walk(random.Random(seed))

    def walk(self, chance: random.Random) -> None:
        objects: list[Any] = [[], {}, set(), Node()]
        names: dict[str, Any] = {"all": objects}
        for _ in range(STEPS):
            self.mutate(chance, names)
        copy = Copy(None, names)
        before, shape = dict(names), self.shape_of(names)
        kept = pickle.dumps(names)
        for _ in range(3):
            for _ in range(STEPS):
                self.mutate(chance, names)
            self.assertEqual(copy.put_back(), [])
            self.assertEqual({name: id(value) for name, value in names.items()}, {n: id(v) for n, v in before.items()})
            self.assertEqual(self.shape_of(names), shape)
            self.assertEqual(self.shape_of(pickle.loads(kept), identities=False), self.shape_of(names, identities=False))

    def mutate(self, chance: random.Random, names: dict[str, Any]) -> None:
        objects = names.setdefault("all", [])
        if type(objects) is not list or not objects:
            names["all"] = objects = [[], {}, Node()]
        target, other = chance.choice(objects), chance.choice(objects)
        make = chance.choice([list, dict, Node, bytearray, int, lambda: (other, chance.random())])
        what = chance.randrange(8)
        if what == 0:
            objects.append(make())
        elif what == 1:
            names[f"n{chance.randrange(9)}"] = other
        elif what == 2:
            names.pop(f"n{chance.randrange(9)}", None)
        elif what == 3 and len(objects) > 5:
            objects.pop(chance.randrange(len(objects)))
        elif isinstance(target, list):
            target.insert(chance.randrange(len(target) + 1), other) if chance.random() < 0.7 else target.clear()
        elif isinstance(target, dict):
            target[chance.randrange(9)] = other
        elif isinstance(target, bytearray):
            target.append(chance.randrange(256))
        elif isinstance(target, Node):
            setattr(target, f"a{chance.randrange(5)}", other)

    def shape_of(self, root: Any, identities: bool = True) -> list[Any]:
        """What is where, with each object by its number in the order in which it is met, or by its id."""
        numbers: dict[int, int] = {}
        found: list[Any] = []
        alive, waiting = [], [root]
        while waiting:
            value = waiting.pop()
            if id(value) in numbers:
                found.append(numbers[id(value)])
                continue
            numbers[id(value)] = len(numbers)
            alive.append(value)
            plain = not isinstance(value, (list, dict, tuple, Node))
            found.append((type(value).__name__, id(value) if identities and not plain else None))
            if isinstance(value, (list, tuple)):
                found.append(len(value))
                waiting += value
            elif isinstance(value, dict):
                found.append(list(value))
                waiting += value.values()
            elif isinstance(value, Node):
                found.append(list(vars(value)))
                waiting += vars(value).values()
            else:
                found.append(bytes(value) if isinstance(value, bytearray) else repr(value))
        return found


if __name__ == "__main__":
    unittest.main()
