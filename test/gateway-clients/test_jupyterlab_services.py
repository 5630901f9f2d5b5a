"""@jupyterlab/services in Node, in both framings."""

from __future__ import annotations

import os
import subprocess
import unittest
from pathlib import Path

from gateway.server import PATIENCE_S, Running
from support.case import main

SCRIPT = Path(__file__).with_name("jupyterlab_services.mjs")


class JupyterLabServices(unittest.TestCase):
    def serve(self, framing: str) -> None:
        done = subprocess.run(
            [os.environ.get("SAVEPOINT_NODE", "node"), SCRIPT, Running.url, Running.token, framing],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        self.assertEqual(done.returncode, 0, done.stdout[-2000:] + done.stderr[-4000:])

    def test_are_served_in_the_framing_v1(self) -> None:
        self.serve("v1")

    def test_are_served_in_the_legacy_framing(self) -> None:
        self.serve("legacy")


if __name__ == "__main__":
    main()
