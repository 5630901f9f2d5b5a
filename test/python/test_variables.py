"""The rules by which clients write into the namespace (MG-8, MG-9, MG-10), and what they are shown of it."""

from __future__ import annotations

import itertools
import json
import math
import random
import sys
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from fake_gateway import FakeGateway  # noqa: E402
from savepoint_worker.variables import MERGES, NAMES_MAX, PREVIEW_CHARACTERS_MAX, preview, update  # noqa: E402

GIVEN = object()
ENGINE = (
    "_",
    "__",
    "___",
    "_i",
    "_ii",
    "_iii",
    "In",
    "Out",
    "_ih",
    "_oh",
    "_dh",
    "_exit_code",
    "_exception",
    "_5",
    "_i5",
)
DUNDERS = ("__name__", "__builtins__", "__doc__")
NO_NAMES = ("", "1x", "a b", "a.b", "class", "None", "x\n")


def function() -> None:
    """Something that is no data."""


class Sub(dict):  # type: ignore[type-arg]
    """Something that is nearly data."""


DATA: tuple[Any, ...] = (None, True, 1, 1.5, "text", [1], (1,), {"a": 1, "b": 2})
OBJECTS: tuple[Any, ...] = (function, Sub, Sub(a=1), math, {1, 2}, object(), b"bytes", 1j)
JSON: tuple[Any, ...] = (None, False, 2, 2.5, "new", [2], {"b": 3, "c": 4})


class Rules(unittest.TestCase):
    def test_MG_10_every_row_of_the_table_holds(self) -> None:
        """All combinations: name, what it holds, merge and source."""
        names = [*ENGINE, *DUNDERS, *NO_NAMES, "exit", "taken", "fresh", "x"]
        for name, old, value, merge, source in itertools.product(
            names, [*DATA, *OBJECTS], JSON, MERGES, ("user", "engine")
        ):
            namespace: dict[str, Any] = {"taken": old, "x": old}
            if name in (*ENGINE, *DUNDERS):
                namespace[name] = old
            namespace["exit"] = GIVEN
            before = dict(namespace)
            report = update(namespace, {"exit": GIVEN, "taken": GIVEN}, {name: value}, merge, source)
            self.check(name, before, namespace, value, merge, source, report)

    def check(
        self, name: str, before: dict[str, Any], after: dict[str, Any], value: Any, merge: str, source: str, report: Any
    ) -> None:
        others = {key: held for key, held in after.items() if key != name}
        self.assertEqual(others, {key: held for key, held in before.items() if key != name})
        if name in NO_NAMES:
            self.assertEqual(report["refused"], [{"name": name, "reason": "no_name"}])
            self.assertNotIn(name, after)
        elif (name in (*ENGINE, *DUNDERS) or name == "exit") and source == "user":
            self.assertEqual(report["refused"], [{"name": name, "reason": "engine_name"}])
            self.assertIs(after[name], before[name])
        elif name not in before:
            self.assertEqual((report["set"], after[name]), ([name], value))
        elif merge == "preserve" or (merge == "smart" and not any(before[name] is each for each in DATA)):
            self.assertEqual(report["kept"], [name])
            self.assertIs(after[name], before[name])
        elif merge == "smart" and type(before[name]) is dict and type(value) is dict:
            self.assertEqual((report["set"], after[name]), ([name], {**before[name], **value}))
            self.assertIsNot(after[name], before[name])
        else:
            self.assertEqual(report["set"], [name])
            self.assertIs(after[name], value)
        self.assertEqual(sum(map(len, report.values())), 1)

    def test_MG_10_each_name_meets_one_fate_and_the_order_of_names_does_not_matter(self) -> None:
        for seed in range(300):
            chance = random.Random(seed)
            names = chance.sample([*ENGINE, *DUNDERS, *NO_NAMES, "exit", "a", "b", "c", "d"], 8)
            values = {name: chance.choice(JSON) for name in names}
            merge, source = chance.choice(MERGES), chance.choice(["user", "engine"])
            start = {name: chance.choice([*DATA, *OBJECTS]) for name in ("a", "b", "exit", "_")}
            hidden = {"exit": start["exit"]}
            one, other = dict(start), dict(start)
            report = update(one, hidden, values, merge, source)
            again = update(other, hidden, dict(reversed(values.items())), merge, source)
            self.assertEqual(one, other)
            fates = [*report["set"], *report["kept"], *(each["name"] for each in report["refused"])]
            self.assertEqual(sorted(fates), sorted(names))
            self.assertEqual({k: len(v) for k, v in report.items()}, {k: len(v) for k, v in again.items()})


class Previews(unittest.TestCase):
    def test_a_preview_is_short_whatever_the_value(self) -> None:
        class Long:
            def __repr__(self) -> str:
                return "x" * 10**6

        class Broken:
            def __repr__(self) -> str:
                raise ValueError

        nested: list[Any] = []
        nested.append(nested)
        for value in (10**5000, "x" * 10**6, list(range(10**6)), Long(), [Long()] * 100, Broken(), nested, {1: Long()}):
            self.assertLessEqual(len(preview(value)), PREVIEW_CHARACTERS_MAX)
        self.assertIn("Broken", preview(Broken()))
        self.assertEqual(preview({"a": [1, 2]}), "{'a': [1, 2]}")


class InAWorker(unittest.TestCase):
    gateway: FakeGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()
        cls.addClassCleanup(cls.gateway.close)

    def setUp(self) -> None:
        self.gateway.execute("%reset -f")

    def ask(self, op: str, **data: Any) -> Any:
        content = json.dumps({"comm_id": "c", "data": {"id": "1", "op": op, **data}}).encode()
        self.gateway.link.send({"kind": "namespace", "id": "n1", "op": op}, content)
        frame = self.gateway.wait_for("namespace", id="n1")
        return frame.envelope.get("error", {}).get("code") or json.loads(bytes(frame.parts[0]))

    def test_MG_8_a_user_does_not_overwrite_the_engines_names(self) -> None:
        answer = self.ask("set", values={"Out": 1, "x": 2, "exit": 3})
        self.assertEqual(answer["set"], ["x"])
        self.assertEqual([each["name"] for each in answer["refused"]], ["Out", "exit"])
        self.assertEqual(answer["changes"], {"added": ["x"], "changed": [], "removed": []})
        self.assertEqual(
            self.gateway.execute("type(Out), x").published("execute_result")[0]["data"]["text/plain"], "(dict, 2)"
        )
        self.assertEqual(self.ask("set", values={"_exit_code": 7}, source="engine")["set"], ["_exit_code"])

    def test_MG_9_preserve_keeps_what_is_there(self) -> None:
        self.gateway.execute("x = 1")
        answer = self.ask("set", values={"x": 5, "y": 6}, merge="preserve")
        self.assertEqual((answer["kept"], answer["set"]), (["x"], ["y"]))
        self.assertEqual(self.ask("get", names=["x", "y", "z"])["missing"], ["z"])

    def test_variables_are_listed_shown_and_removed(self) -> None:
        self.gateway.execute("import math\nx = [1, 2]\nclass A: pass\na = A()")
        listed = self.ask("list")
        self.assertEqual([each["name"] for each in listed["items"]], ["math", "x", "A", "a"])
        self.assertEqual(listed["total_count"], 4)
        self.assertEqual(len(self.ask("list", limit=2)["items"]), 2)
        (shown,) = self.ask("get", names=["x"])["items"]
        self.assertEqual((shown["type"], shown["preview"]), ("list", "[1, 2]"))
        self.assertGreater(shown["bytes"], 0)
        answer = self.ask("delete", names=["x", "nothing", "In"])
        self.assertEqual(
            (answer["deleted"], answer["missing"], answer["refused"][0]["name"]), (["x"], ["nothing"], "In")
        )
        self.assertEqual(answer["changes"]["removed"], ["x"])
        self.assertEqual(self.gateway.execute("x").content["ename"], "NameError")

    def test_the_latest_cells_changes_can_be_asked_for(self) -> None:
        count = self.gateway.execute("x = 1").content["execution_count"]
        self.ask("set", values={"y": 1})
        self.assertEqual(self.ask("changes"), {"execution_count": count, "added": ["x"], "changed": [], "removed": []})
        told = self.gateway.execute("z = 1").metadata["savepoint"]["changes"]
        self.assertEqual(told, {"added": ["z"], "changed": [], "removed": []})

    def test_what_makes_no_sense_is_refused(self) -> None:
        for op, data in (
            ("get", {}),
            ("get", {"names": "x"}),
            ("get", {"names": ["x"] * (NAMES_MAX + 1)}),
            ("set", {"values": [1]}),
            ("set", {"values": {}, "merge": "gently"}),
            ("set", {"values": {}, "source": "thread"}),
            ("delete", {"names": [5]}),
            ("list", {"limit": 0}),
        ):
            with self.subTest(op=op, data=data):
                self.assertEqual(self.ask(op, **data), "bad_request")

    def test_values_arrive_as_python_reads_them(self) -> None:
        self.ask("set", values={"big": 2**70, "pair": [1.5, None], "text": "\udce9é"})
        self.assertEqual(
            self.gateway.execute("big == 2**70, pair").published("execute_result")[0]["data"]["text/plain"],
            "(True, [1.5, None])",
        )

    def test_a_repr_that_does_not_end_can_be_interrupted(self) -> None:
        self.gateway.execute(
            "class Endless:\n    def __repr__(self):\n        print('in', flush=True)\n        while True: pass\ne = Endless()"
        )
        content = json.dumps({"comm_id": "c", "data": {"names": ["e"]}}).encode()
        self.gateway.link.send({"kind": "namespace", "id": "n2", "op": "get"}, content)
        self.gateway.wait_for("stream")
        self.gateway.interrupt()
        self.assertEqual(self.gateway.wait_for("namespace", id="n2").envelope["error"]["code"], "cancelled")
        self.assertEqual(self.gateway.execute("1 + 1").content["status"], "ok")


if __name__ == "__main__":
    unittest.main()
