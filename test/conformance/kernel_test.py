#!/usr/bin/env python3
"""jupyter_kernel_test with every optional attribute set, against a kernelspec.

  run.py [--kernel NAME] [--json FILE] [--verbose]

Without --kernel it is the build of this checkout. Prints what failed, the count of single samples, and as the last
line the count of test methods: `N passed, N failed`. The exit code is 1 when anything failed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import unittest
from pathlib import Path
from typing import Any, TextIO

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

ANSWER_WITHIN_S = 15.0
#: A whole kernel starts meanwhile.
WELCOME_WITHIN_S = 60.0


def suite(kernel: str) -> unittest.TestSuite:
    """All tests of jupyter_kernel_test for a Python kernel of that name."""
    # Imported here: jupyter_client reads the environment, which `--kernel` decides about, when it is imported.
    import jupyter_kernel_test as jkt

    class Impatient:
        """Some requests in jupyter_kernel_test wait without a limit; a kernel that never answers would hang the run."""

        in_cell = False

        @classmethod
        def setUpClass(cls) -> None:
            super().setUpClass()  # type: ignore[misc]
            for name in ("get_shell_msg", "get_iopub_msg"):

                def limited(
                    *args: Any, _get: Any = getattr(cls.kc, name), timeout: float | None = None, **options: Any
                ) -> Any:
                    return _get(*args, timeout=ANSWER_WITHIN_S if timeout is None else timeout, **options)

                setattr(cls.kc, name, limited)
            next_message = cls.kc.iopub_channel.get_msg

            def patient(timeout: float | None = None) -> Any:
                """A cell's messages are 0.1 s apart at most, they say; a machine with other work pauses longer."""
                return next_message(max(timeout, ANSWER_WITHIN_S) if timeout and cls.in_cell else timeout)

            cls.kc.iopub_channel.get_msg = patient

        def execute_helper(self, *args: Any, **options: Any) -> Any:
            type(self).in_cell = True
            try:
                return super().execute_helper(*args, **options)  # type: ignore[misc]
            finally:
                type(self).in_cell = False

        @classmethod
        def tearDownClass(cls) -> None:
            cls.kc.stop_channels()
            cls.km.shutdown_kernel(now=True)

    class Kernel(Impatient, jkt.KernelTests):
        kernel_name = kernel
        language_name = "python"
        file_extension = ".py"
        code_hello_world = "print('hello, world')"
        code_stderr = "import sys; print('test', file=sys.stderr)"
        completion_samples = [
            {"text": "zi", "matches": {"zip"}},
            {"text": "import os; os.path.isabs", "matches": {"isabs"}},
            {"text": "'abc'.swapc", "matches": {"swapcase"}},
        ]
        complete_code_samples = [
            "1",
            "print('hello, world')",
            "def f(x):\n  return x*2\n\n\n",
            "x = 1",
            "%time 1",
            "!ls",
            "@x\ndef f(): pass\n\n",
        ]
        incomplete_code_samples = [
            "print('''hello",
            "def f(x):\n  x*2",
            "for i in range(3):",
            "(1,\n2",
            "%%timeit",
            "try:\n  1",
        ]
        invalid_code_samples = ["import = 7q", "x = = 1"]
        code_page_something = "zip?"
        code_generate_error = "raise ValueError('x')"
        code_execute_result = [
            {"code": "1+2+3", "result": "6"},
            {"code": "[n*n for n in range(1, 4)]", "result": "[1, 4, 9]"},
            {"code": "'a'", "result": "'a'"},
        ]
        code_display_data = [
            {"code": f"from IPython.display import *; display({shown})", "mime": mime}
            for shown, mime in (
                ("HTML('<b>test</b>')", "text/html"),
                ("Math('\\\\frac{1}{2}')", "text/latex"),
                ("JSON({'a': 1})", "application/json"),
                ("Markdown('*test*')", "text/markdown"),
                ("SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')", "image/svg+xml"),
            )
        ]
        code_history_pattern = "1?2*"
        supported_history_operations = ("tail", "range", "search")
        code_inspect_sample = "zip"
        code_clear_output = "from IPython.display import clear_output; clear_output()"

    class Welcome(Impatient, jkt.IopubWelcomeTests):
        kernel_name = kernel
        support_iopub_welcome = True

        def test_recv_iopub_welcome_msg(self) -> None:
            """As in jupyter_kernel_test, where it waits without a limit."""
            self.kc.start_channels()
            self.assertEqual(self.kc.get_iopub_msg(timeout=WELCOME_WITHIN_S)["msg_type"], "iopub_welcome")

    load = unittest.defaultTestLoader.loadTestsFromTestCase
    return unittest.TestSuite([load(Kernel), load(Welcome)])


class Result(unittest.TextTestResult):
    """Counts test methods and, apart from them, the single samples (sub-tests) in them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.methods: dict[str, str] = {}
        self.samples: list[tuple[str, str, str]] = []

    def _note(self, test: unittest.TestCase, outcome: str, why: str = "") -> None:
        method = getattr(test, "test_case", test).id().split(".")[-1]
        if outcome != "passed" or method not in self.methods:
            self.methods[method] = outcome
        sample = test._subDescription() if hasattr(test, "_subDescription") else ""
        self.samples.append((f"{method} {sample}".strip(), outcome, why))

    def addSuccess(self, test: unittest.TestCase) -> None:
        super().addSuccess(test)
        self._note(test, "passed")

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        super().addFailure(test, err)
        self._note(test, "failed", f"{err[0].__name__}: {err[1]}"[:300])

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        super().addError(test, err)
        self._note(test, "failed", f"{err[0].__name__}: {err[1]}"[:300])

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        super().addSkip(test, reason)
        # Every attribute is set, so whatever is left out counts as not passed.
        self._note(test, "failed", f"left out: {reason}")

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        super().addSubTest(test, subtest, err)
        self._note(
            subtest, "passed" if err is None else "failed", "" if err is None else f"{err[0].__name__}: {err[1]}"[:300]
        )


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--verbose", action="store_true")
    chosen = arguments.parse_args()
    if chosen.kernel:
        os.environ["SAVEPOINT_TEST_KERNEL"] = chosen.kernel
    from support.subject import KERNEL

    stream: TextIO = sys.stderr if chosen.verbose else open(os.devnull, "w", encoding="utf-8")
    with stream:
        result = unittest.TextTestRunner(stream=stream, resultclass=Result, verbosity=2).run(suite(KERNEL))
        assert isinstance(result, Result)
        for sample, outcome, why in result.samples:
            if outcome == "failed":
                print(f"failed  {sample}  {why}".replace("\n", " "))
        passed, failed = ([*result.methods.values()].count(outcome) for outcome in ("passed", "failed"))
        good = sum(outcome == "passed" for _, outcome, _ in result.samples)
        if chosen.json:
            report = {"kernel": KERNEL, "passed": passed, "failed": failed, "samples": result.samples}
            chosen.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
        print(f"samples: {good} good, {len(result.samples) - good} bad")
        print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
