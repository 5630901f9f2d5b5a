"""Objects of all kinds, saved in one process and restored in a fresh one."""

from __future__ import annotations

import importlib.util
import re
import unittest

from awkward import CASES, Awkward
from checkpoint_case import CheckpointCase

#: What has to be restored of those objects that can exist here.
SHARE_MIN = 0.85


def own_names(case: Awkward, number: int, text: str) -> str:
    """The text of a case with names of its own: all cases live in one namespace."""
    prefix = f"c{number}"
    renamed = re.sub(r"(?<![\w.'])_(?=[a-zA-Z])(?!_)", f"{prefix}_", text)
    return re.sub(r"(?<![\w.'\"])x(?!\w)(?!')", f"{prefix}_x", renamed)


class AwkwardObjects(CheckpointCase):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "read.txt").write_text("one\ntwo\nthree\n")
        self.cases = [case for case in CASES if case.needs is None or importlib.util.find_spec(case.needs)]

    def test_none_is_silently_wrong_and_none_harms_another(self) -> None:
        manifest = self.save(*(own_names(case, n, case.make) for n, case in enumerate(self.cases)))
        checks = [own_names(case, n, case.check) for n, case in enumerate(self.cases)]
        report = self.run_process("restore", tuple(checks))
        lost = {entry["name"]: entry["reason"] for entry in report["restore"]["lost"]}
        verdicts = {entry["name"]: entry["verdict"] for entry in self.objects().values()}
        for number, case in enumerate(self.cases):
            name = f"c{number}_x"
            with self.subTest(case.name, verdict=verdicts.get(name)):
                self.assertEqual(name in lost, case.lost, lost.get(name))
                if not case.lost:
                    self.assertIsNone(report["raised"][number])
        expected = sum(not case.lost for case in self.cases)
        self.assertGreaterEqual(expected / len(self.cases), SHARE_MIN)


if __name__ == "__main__":
    unittest.main()
