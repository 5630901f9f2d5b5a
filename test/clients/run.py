#!/usr/bin/env python3
"""Runs the tests with real clients: all, the files named (`run.py streams console`), those that take long (`--lasting`),
or all but these (`--brief`).

Each file has a process, kernels and a private folder of its own, and two run at a time. What a file printed comes when
it has ended. The last line is `N passed, N failed`; the exit code is 1 when anything failed.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from support import subject

HERE = Path(__file__).resolve().parent
AT_ONCE = 2
FILE_WITHIN_S = 3600 if os.environ.get("RUN_SLOW") else 800
AFTERMATH_S = 15
#: What takes longest begins first, so that nothing long is left to run alone.
LONGEST = ("ipykernel", "hostile_clients", "leftovers", "disorder", "debugger", "interrupts", "input")
#: Minutes together: kernels that are killed, waited for, or taken through whole sessions.
LASTING = (
    *("hostile_clients", "leftovers", "debugger", "console", "hostile_cells", "bad_input", "twins"),
    *("lazy_worker", "environments", "disorder", "restore_last", "beside_ipykernel", "lifecycle", "history", "effects"),
    *("widgets", "transaction_trouble", "transactions_objects", "magics", "notebook", "checkpoint_timeline"),
    *("checkpoint_auto", "engine_names", "encryption"),
)


class Outcome(NamedTuple):
    file: str
    passed: int
    failed: int
    slowest: list[tuple[float, str]]
    seconds: float
    said: str


def main() -> int:
    known = {file.stem.removeprefix("test_"): file for file in sorted(HERE.glob("test_*.py"))}
    names = sys.argv[1:] or [*LONGEST, *(name for name in known if name not in LONGEST)]
    if names == ["--brief"]:
        names = [name for name in known if name not in LASTING]
    elif names == ["--lasting"]:
        names = list(LASTING)
    if unknown := [name for name in names if name not in known]:
        print(f"There is no {', '.join(unknown)} here. There are: {', '.join(known)}", file=sys.stderr)
        return 2
    # One kernelspec serves all; the other folders are each file's own.
    subject.prepare()
    environment = {name: value for name, value in os.environ.items() if name != "SAVEPOINT_TEST_HOME"}
    outcomes = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for outcome in pool.map(lambda name: _run(known[name], environment), names):
            print(outcome.said, flush=True)
            outcomes.append(outcome)
    for outcome in sorted(outcomes, key=lambda outcome: -outcome.seconds):
        counts = f"{outcome.passed} passed, {outcome.failed} failed"
        print(f"{'FAIL' if outcome.failed else 'ok  '}  {outcome.file}: {counts} in {outcome.seconds:.1f} s")
    slowest = sorted((test for outcome in outcomes for test in outcome.slowest), reverse=True)[:5]
    print("slowest: " + ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slowest))
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def _run(file: Path, environment: dict[str, str]) -> Outcome:
    began = time.monotonic()
    late = False
    # In our process group, so that nothing of it outlasts us, whoever ends us.
    tests = subprocess.Popen(
        [sys.executable, str(file)],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        said, _ = tests.communicate(timeout=FILE_WITHIN_S)
    except subprocess.TimeoutExpired:
        late = True
        tests.kill()
        # Its kernels end by themselves when it is gone, and may hold its output open until then.
        said, _ = tests.communicate(timeout=AFTERMATH_S)
        said += f"\n{file.name}: ended after {FILE_WITHIN_S} s, its deadline"
    seconds = time.monotonic() - began
    passed, failed = _counts(said)
    # One that failed without saying so, or did not get to say anything, is one failure.
    failed = failed or int(late or tests.returncode != 0)
    # The lines that are for the sum of all files are not those of one.
    rest = [line for line in said.splitlines() if not re.match(r"(slowest: |\d+ passed, )", line)]
    return Outcome(file.stem.removeprefix("test_"), passed, failed, _slowest(said), seconds, "\n".join(rest))


def _counts(said: str) -> tuple[int, int]:
    found = re.findall(r"^(\d+) passed, (\d+) failed$", said, re.MULTILINE)
    return (int(found[-1][0]), int(found[-1][1])) if found else (0, 0)


def _slowest(said: str) -> list[tuple[float, str]]:
    found = re.findall(r"^slowest: (.*)$", said, re.MULTILINE)
    return [(float(seconds), name) for name, seconds in re.findall(r"(\S+) ([\d.]+) s", found[-1])] if found else []


if __name__ == "__main__":
    sys.exit(main())
