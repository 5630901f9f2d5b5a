"""The code in docs/using-gateway.md runs as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import unittest
from pathlib import Path

from gateway.server import CHECKOUT, PATIENCE_S, Running, command
from support.case import main

DOCUMENT = CHECKOUT / "docs" / "using-gateway.md"
SAVEPOINT = 'savepoint() { "$SAVEPOINT_NODE" "$SAVEPOINT_PROGRAM" "$@"; }\n'


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


class Documents(unittest.TestCase):
    def run_all(self, language: str, *argv: str, before: str = "") -> list[str]:
        """What each block of that language prints."""
        node, program = command()
        environment = {
            **os.environ,
            "URL": Running.url,
            "TOKEN": Running.token,
            "SAVEPOINT_NODE": node,
            "SAVEPOINT_PROGRAM": program,
        }
        said = []
        for block in blocks(language):
            done = subprocess.run(
                [*argv, before + block],
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                stdin=subprocess.DEVNULL,
                cwd=Path.home(),
            )
            self.assertEqual(done.returncode, 0, f"{block}\n{done.stdout}{done.stderr}")
            said.append(done.stdout)
        return said

    def test_the_commands(self) -> None:
        execute, commands = self.run_all("bash", "bash", "-euo", "pipefail", "-c", before=SAVEPOINT)
        self.assertIn('"stdout":"42\\n"', execute)
        self.assertIn("hello\n45\n", commands)
        self.assertIn(f"A gateway runs at {Running.url}", commands)

    def test_the_programs_in_python(self) -> None:
        self.assertEqual(len(self.run_all("python", sys.executable, "-c")), 3)

    def test_the_program_in_javascript(self) -> None:
        node, _ = command()
        self.assertEqual(len(self.run_all("javascript", node, "--input-type=module", "-e")), 1)


if __name__ == "__main__":
    main()
