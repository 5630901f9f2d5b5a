#!/usr/bin/env python3
"""Checkpoints tried by force: files that somebody meddles with, processes that are killed, disks that are full.

  force.py [tampering|kills|disks|collecting]      RUN_SLOW=1: thousands of tries instead of some; SEED=N: the same ones
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients"), str(HERE.parent.parent / "src" / "python")]
PARTS = tuple(sorted(path.stem.removeprefix("force_") for path in HERE.glob("force_*.py") if "support" not in path.stem))


def main() -> int:
    chosen = [part for part in PARTS if not sys.argv[1:] or part in sys.argv[1:]]
    suite = unittest.defaultTestLoader.loadTestsFromNames([f"force_{part}" for part in chosen])
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed} passed, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
