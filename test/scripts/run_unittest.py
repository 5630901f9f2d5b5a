"""Runs one file of unittest tests and ends with the lines `slowest: ...` and `N passed, N failed`."""

from __future__ import annotations

import importlib.util
import sys
import time
import unittest
from pathlib import Path
from typing import Any


class TimedResult(unittest.TextTestResult):
    """Notes how long each test took and which ones failed; a test whose parts fail is one failure."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.seconds: dict[str, float] = {}
        self.bad: set[str] = set()

    def startTest(self, test: unittest.TestCase) -> None:
        super().startTest(test)
        self.seconds[test.id()] = -time.monotonic()

    def stopTest(self, test: unittest.TestCase) -> None:
        super().stopTest(test)
        self.seconds[test.id()] += time.monotonic()

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self.bad.add(test.id())

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self.bad.add(test.id())

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        super().addUnexpectedSuccess(test)
        self.bad.add(test.id())

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad.add(test.id())


def main(path: Path) -> int:
    # As if the file were run alone: its folder comes first, and the module has the file's name.
    sys.path[0] = str(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    suite = unittest.defaultTestLoader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(stream=sys.stderr, resultclass=TimedResult).run(suite)
    skipped = {test.id() for test, _ in result.skipped}
    slowest = sorted(result.seconds.items(), key=lambda item: -item[1])[:5]
    passed = len(result.seconds.keys() - result.bad - skipped)
    print("slowest: " + ", ".join(f"{name.rpartition('.')[2]} {seconds:.2f} s" for name, seconds in slowest))
    print(f"{passed} passed, {len(result.bad)} failed", flush=True)
    return 1 if result.bad or not passed else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]).resolve()))
