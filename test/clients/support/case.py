"""The base of the tests on one running kernel, and what runs a file of them."""

from __future__ import annotations

import re
import sys
import time
import unittest
from typing import Any, ClassVar

from jupyter_client.manager import KernelManager

from .client import Cell, Client, start_kernel, stop_kernel


class KernelCase(unittest.TestCase):
    """One kernel for all tests of a class. A test that may end the kernel uses `fresh_kernel` instead."""

    manager: ClassVar[KernelManager]
    client: ClassVar[Client]

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel()
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def setUp(self) -> None:
        self.client.messages.clear()

    def run_ok(self, code: str, **options: Any) -> Cell:
        """Run a cell that must succeed."""
        cell = self.client.execute(code, **options)
        self.assertEqual(cell.status, "ok", cell.content.get("evalue"))
        return cell

    def run_error(self, code: str, ename: str, **options: Any) -> Cell:
        """Run a cell that must fail with this error, and say so on iopub just as in its reply."""
        cell = self.client.execute(code, **options)
        self.assert_error(cell, ename)
        return cell

    def assert_error(self, cell: Cell, ename: str) -> None:
        self.assertEqual(cell.status, "error")
        self.assertEqual(cell.content["ename"], ename, cell.content["evalue"])
        errors = cell.on("iopub", "error")
        self.assertEqual(len(errors), 1)
        for key in ("ename", "evalue", "traceback"):
            self.assertEqual(errors[0]["content"][key], cell.content[key])

    def assert_refused(self, cell: Cell, code: str) -> None:
        """The cell failed with a SavepointError of this code."""
        self.assert_error(cell, "SavepointError")
        self.assertTrue(cell.content["evalue"].startswith(f"{code}: "), cell.content["evalue"])

    def second_client(self) -> Client:
        """Another client, with an identity of its own, on the same kernel."""
        client = Client.connect(self.manager.connection_file)
        self.addCleanup(client.close)
        return client


def fresh_kernel(test: unittest.TestCase, **options: Any) -> tuple[KernelManager, Client]:
    """A kernel for one test alone."""
    manager, client = start_kernel(**options)
    test.addCleanup(stop_kernel, manager, client)
    return manager, client


def plain(text: str) -> str:
    """Text without the colours of a terminal."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


class _Timed(unittest.TextTestResult):
    """Notes how long each test took."""

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

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.bad.add(test.id())


def run_suite(suite: unittest.TestSuite) -> int:
    """Run, print the five slowest and, as the last line, `N passed, N failed`. Returns the exit code.

    A class whose kernel does not start counts as one failure; a test with several failing parts does too.
    """
    result = unittest.TextTestRunner(stream=sys.stderr, resultclass=_Timed, verbosity=2).run(suite)
    assert isinstance(result, _Timed)
    slowest = sorted(result.seconds.items(), key=lambda item: -item[1])[:5]
    print("slowest: " + ", ".join(f"{name.split('.')[-1]} {seconds:.1f} s" for name, seconds in slowest))
    passed = len(result.seconds.keys() - result.bad)
    print(f"{passed} passed, {len(result.bad)} failed", flush=True)
    return 1 if result.bad or not result.seconds else 0


def main() -> None:
    """Run the tests of the calling file; arguments choose classes or tests as unittest takes them."""
    load = unittest.defaultTestLoader
    names = sys.argv[1:]
    module = sys.modules["__main__"]
    suite = load.loadTestsFromNames(names, module) if names else load.loadTestsFromModule(module)
    sys.exit(run_suite(suite))
