#!/usr/bin/env python3
"""Runs the tests with real libraries: all, or the files named (`run.py loops`). Ends with `N passed, N failed`."""

from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients")]
# Toolkits draw into memory.
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ["QT_API"] = "pyqt6"

from support.case import run_suite  # noqa: E402


def main() -> int:
    """The exit code."""
    modules = [f"test_{name}" for name in sys.argv[1:]] or sorted(file.stem for file in HERE.glob("test_*.py"))
    return run_suite(unittest.defaultTestLoader.loadTestsFromNames(modules))


if __name__ == "__main__":
    sys.exit(main())
