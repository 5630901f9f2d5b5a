#!/usr/bin/env python3
"""Runs the tests with real clients: all, or the files named (`run.py streams console`).

The last line is `N passed, N failed`; the exit code is 1 when anything failed.
"""

from __future__ import annotations

import sys
import unittest
from pathlib import Path

from support.case import run_suite


def main() -> int:
    here = Path(__file__).resolve().parent
    names = sys.argv[1:]
    files = sorted(here.glob("test_*.py"))
    known = {file.stem.removeprefix("test_"): file for file in files}
    if unknown := [name for name in names if name not in known]:
        print(f"There is no {', '.join(unknown)} here. There are: {', '.join(known)}", file=sys.stderr)
        return 2
    modules = [known[name].stem for name in names] if names else [file.stem for file in files]
    return run_suite(unittest.defaultTestLoader.loadTestsFromNames(modules))


if __name__ == "__main__":
    sys.exit(main())
