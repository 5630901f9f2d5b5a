"""@jupyterlab/services in Node, in both framings: as JupyterLab uses it, and as VS Code does."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

from gateway.server import PATIENCE_S, Running
from support.case import main

JUPYTERLAB = Path(__file__).with_name("jupyterlab_services.mjs")
VSCODE = Path(__file__).with_name("vscode.mjs")


class JupyterLabServices(unittest.TestCase):
    def serve(self, script: Path, framing: str) -> None:
        done = subprocess.run(
            [os.environ.get("SAVEPOINT_NODE", "node"), script, Running.url, Running.token, framing],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-4000:])

    def test_are_served_in_the_framing_v1(self) -> None:
        self.serve(JUPYTERLAB, "v1")

    def test_are_served_in_the_legacy_framing(self) -> None:
        self.serve(JUPYTERLAB, "legacy")

    def test_let_vs_code_in_by_the_framing_v1(self) -> None:
        self.serve(VSCODE, "v1")

    def test_let_vs_code_in_by_the_legacy_framing(self) -> None:
        self.serve(VSCODE, "legacy")


if __name__ == "__main__":
    main()
