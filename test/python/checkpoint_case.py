"""What the tests of checkpoints share: a folder, and processes that save and restore in it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

import checkpoint_files  # noqa: E402

from savepoint_worker.serialize import index  # noqa: E402

PROGRAM = str(Path(__file__).with_name("checkpoint_process.py"))
TIMEOUT_S = 120


class CheckpointCase(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.path = self.folder / "test.savepoint"

    def run_process(
        self, task: str, cells: tuple[str, ...], python: str = sys.executable, **options: Any
    ) -> dict[str, Any]:
        """What a fresh process reports that runs `cells`, before it saves or after it restored."""
        done = subprocess.run(
            [python, "-W", "ignore", PROGRAM, str(self.folder), str(self.path), task],
            input=json.dumps({"cells": cells, **options}),
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
        )
        self.assertEqual(done.returncode, 0, done.stderr[-3000:])
        report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return report

    def save(self, *cells: str, **options: Any) -> dict[str, Any]:
        """The manifest of a checkpoint of what `cells` make."""
        report = self.run_process("save", cells, **options)
        self.assertEqual(report["raised"], [None] * len(cells))
        manifest: dict[str, Any] = report["manifest"]
        return manifest

    def lines(self, part: str = "variables") -> list[Any]:
        """The lines of a part of the manifest that was saved last."""
        stored = checkpoint_files.stored(self.path)
        self.addCleanup(stored.close)
        lines, wrong = index.read_lines(stored._parts[part], stored._packs)
        self.assertEqual(wrong, [])
        return lines

    def objects(self) -> dict[str, dict[str, Any]]:
        """What the manifest that was saved last says of each variable."""
        return {entry["name"]: entry for line in self.lines() for entry in line["objects"]}

    def restore(self, *cells: str, **options: Any) -> dict[str, Any]:
        """What a restore in a fresh process reports, after which all of `cells` must run."""
        report = self.run_process("restore", cells, **options)
        self.assertEqual(report["raised"], [None] * len(cells))
        done: dict[str, Any] = report["restore"]
        return done

    def lost(self, manifest: dict[str, Any]) -> dict[str, str]:
        """Names and reasons of what a manifest or a report says is lost."""
        return {entry["name"]: entry["reason"] for entry in manifest["lost"]}
