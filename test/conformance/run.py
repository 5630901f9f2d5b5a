#!/usr/bin/env python3
"""Runs the tests of other projects, unmodified, on a kernel that is named python3, python and echo.

  run.py [--reference [--write]] [--suite NAME ...] [--all]

What passes on ipykernel has to pass here. The tests that pass there are listed in `expected`, one file a suite, and
`differences.txt` has those that cannot pass, each with the reason; they are run with --all only. With --reference the
kernel is ipykernel, and with --write the lists are made anew: to be done when `sources.lock` or the locked packages
change, on a quiet machine.

Prints a table, and as its last line `N passed, N failed`; the exit code is 1 when anything failed. A test that fails
is tried again, alone: some of these tests measure time, on a machine that runs several of them at once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from suites import HERE, SUITES, Suite, fetch  # noqa: E402
from support.subject import CHECKOUT, scratch  # noqa: E402

NAMES = ("python3", "python", "echo")
# Of these tests, most wait for most of their time.
AT_ONCE = 3
TEST_WITHIN_S = 30
SUITE_WITHIN_S = 300
# Theirs say what else is printed, and what of the environment is needed; ours that results are comparable.
OPTIONS = ["-p", "no:cacheprovider", "--color=no", "--quiet", "--tb=short", f"--timeout={TEST_WITHIN_S}"]
OVERRIDES = ["addopts=", "log_cli=false", "asyncio_default_fixture_loop_scope=function", "timeout_method=signal"]


Known = tuple[str, str]


class Outcome(NamedTuple):
    suite: Suite
    passed: set[str]
    failed: dict[str, str]
    skipped: set[str]
    seconds: float
    # What pytest said, if it gave no results.
    fault: str
    times: dict[str, float]


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--reference", action="store_true")
    arguments.add_argument("--write", action="store_true")
    arguments.add_argument("--suite", action="append", default=[])
    arguments.add_argument("--all", action="store_true")
    chosen = arguments.parse_args()
    if chosen.write and not chosen.reference:
        arguments.error("--write goes with --reference")
    suites = [suite for suite in SUITES if not chosen.suite or suite.name in chosen.suite]
    if not suites:
        arguments.error(f"there are {', '.join(suite.name for suite in SUITES)}")
    home = scratch("conformance")
    environment = _environment(home, chosen.reference)
    sources = fetch()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        left_out = [] if chosen.all or chosen.reference else _differences()
        tries = pool.map(lambda suite: _run(suite, sources[suite.project], home, environment, left_out), suites)
        outcomes = list(tries)
    outcomes = [_again(outcome, sources[outcome.suite.project], home, environment) for outcome in outcomes]
    if chosen.write:
        for outcome in outcomes:
            _expected(outcome.suite).write_text("".join(f"{test}\n" for test in sorted(outcome.passed)), "utf-8")
    return _report(outcomes)


def _environment(home: Path, reference: bool) -> dict[str, str]:
    """Nothing of the user's is read or written; the one kernel bears every name that these tests ask for."""
    for name in NAMES:
        if reference:
            folder = home / "share" / "jupyter" / "kernels" / name
            folder.mkdir(parents=True)
            argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
            metadata = {"debugger": True, "supported_encryption": ["curve"]}
            spec = {"argv": argv, "display_name": "Python 3", "language": "python", "metadata": metadata}
            (folder / "kernel.json").write_text(json.dumps(spec), "utf-8")
        else:
            _install(name, home)
    bending = ("PYTEST", "JUPYTER", "IPYTHON", "SAVEPOINT_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(bending)}
    return {
        **kept,
        "HOME": str(home),
        "JUPYTER_PATH": str(home / "share" / "jupyter"),
        "IPYTHONDIR": str(home / "ipython"),
        "SAVEPOINT_DATA_DIR": str(home / "data"),
        # Off by default, since they change how JupyterLab opens comms; these tests want what ipykernel has.
        "SAVEPOINT_KERNEL_SUBSHELLS": "on",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "TERM": "xterm",
    }


def _install(name: str, home: Path) -> None:
    program = CHECKOUT / "dist" / "main.js"
    node = os.environ.get("SAVEPOINT_NODE", "node")
    argv = [node, str(program), "install", "--prefix", str(home), "--name", name, "--python", sys.executable]
    env = {**os.environ, "SAVEPOINT_DATA_DIR": str(home / "data"), "HOME": str(home)}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120, env=env)
    if done.returncode != 0:
        sys.exit(f"The kernelspec could not be installed:\n{done.stdout}{done.stderr}")


def _run(
    suite: Suite,
    source: Path,
    home: Path,
    environment: dict[str, str],
    left_out: Collection[Known],
    tests: list[str] | None = None,
) -> Outcome:
    place = home / f"{suite.name.replace('/', '-')}-{time.monotonic_ns()}"
    # A package that brings its tests is imported from its copy, under its own name.
    copy = place / (source.name if source.name == suite.project else "sources")
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
    where = copy.parent if source.name == suite.project else copy
    report = place / "report.xml"
    options = [*OPTIONS, f"--junitxml={report}", *(part for override in OVERRIDES for part in ("-o", override))]
    only = ["-k", suite.only] if suite.only and tests is None else []
    only += [f"--deselect={suite.file}::{test}" for name, test in left_out if name == suite.name]
    argv = [sys.executable, "-m", "pytest", *options, *only, *(tests or [suite.file])]
    began = time.monotonic()
    with open(place / "log", "wb") as log, open(os.devnull, "rb") as nothing:
        pytest = subprocess.Popen(
            argv, cwd=where, env=environment, stdin=nothing, stdout=log, stderr=log, start_new_session=True
        )
    try:
        pytest.wait(SUITE_WITHIN_S)
    except subprocess.TimeoutExpired:
        pass
    # Some tests fork clients of their own, which would wait for ever for a pytest that was ended.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pytest.pid, signal.SIGKILL)
    pytest.wait()
    return _read(suite, report, place / "log", time.monotonic() - began)


def _read(suite: Suite, report: Path, log: Path, seconds: float) -> Outcome:
    passed, failed, skipped = set[str](), dict[str, str](), set[str]()
    times: dict[str, float] = {}
    if not report.is_file():
        said = log.read_text("utf-8", "replace").strip().splitlines()[-5:]
        return Outcome(suite, passed, failed, skipped, seconds, " | ".join(said) or "no result", times)
    for case in ElementTree.parse(report).iter("testcase"):
        # tests.test_client.TestExecute + test_x: only what follows the module names the test in its file.
        module = suite.file.removesuffix(".py").replace("/", ".")
        inside = case.get("classname", "").removeprefix(module).strip(".").replace(".", "::")
        name = f"{inside}::{case.get('name')}" if inside else str(case.get("name"))
        times[name] = float(case.get("time", 0))
        fault = next((part for part in case if part.tag in ("failure", "error")), None)
        if fault is not None:
            failed[name] = (fault.get("message") or "").splitlines()[0] if fault.get("message") else fault.tag
        elif case.find("skipped") is not None:
            skipped.add(name)
        else:
            passed.add(name)
    return Outcome(suite, passed - set(failed), failed, skipped, seconds, "", times)


def _again(outcome: Outcome, source: Path, home: Path, environment: dict[str, str]) -> Outcome:
    suite = outcome.suite
    known = _differences()
    wanted = _listed(suite)
    doubtful = [test for test in outcome.failed if (suite.name, test) not in known and (not wanted or test in wanted)]
    if not doubtful:
        return outcome
    for test in doubtful:
        print(f"again   {suite.name}  {test}  {outcome.failed[test][:200]}", flush=True)
    retried = _run(suite, source, home, environment, [], [f"{suite.file}::{test}" for test in doubtful])
    better = retried.passed & set(doubtful)
    failed = {test: why for test, why in outcome.failed.items() if test not in better}
    return outcome._replace(passed=outcome.passed | better, failed=failed, seconds=outcome.seconds + retried.seconds)


def _report(outcomes: list[Outcome]) -> int:
    differences = _differences()
    total_passed = total_failed = total_known = 0
    for outcome in outcomes:
        suite = outcome.suite
        known = {test for name, test in differences if name == suite.name}
        # Without a list (a suite that is new) every test counts.
        counted = (_listed(suite) or outcome.passed | set(outcome.failed)) - known
        good, bad = counted & outcome.passed, counted - outcome.passed
        for test in sorted(bad):
            why = outcome.fault or outcome.failed.get(test) or ("skipped" if test in outcome.skipped else "not run")
            print(f"failed  {suite.name}  {test}  {why[:200]}")
        for test in sorted(known & set(outcome.failed)):
            print(f"known   {suite.name}  {test}  {differences[suite.name, test]}")
        for test in sorted(known & outcome.passed):
            print(f"passes, so it need not be in differences.txt: {suite.name}  {test}")
        differ = f", {len(known)} known to differ" if known else ""
        state = "FAIL" if bad else "ok  "
        print(f"{state}  {suite.name}: {len(good)} of {len(counted)}{differ}, {outcome.seconds:.1f} s", flush=True)
        total_passed += len(good)
        total_failed += len(bad)
        total_known += len(known)
    if total_known:
        print(f"{total_known} tests are known to differ, for the reasons in test/conformance/differences.txt")
    times = [(time, f"{outcome.suite.name} {test}") for outcome in outcomes for test, time in outcome.times.items()]
    print("slowest: " + ", ".join(f"{test} {time:.1f} s" for time, test in sorted(times, reverse=True)[:5]))
    print(f"{total_passed} passed, {total_failed} failed", flush=True)
    return 1 if total_failed or not total_passed else 0


def _expected(suite: Suite) -> Path:
    return HERE / "expected" / f"{suite.name.replace('/', '-')}.txt"


def _listed(suite: Suite) -> set[str]:
    path = _expected(suite)
    return set(path.read_text("utf-8").splitlines()) if path.is_file() else set()


def _differences() -> dict[Known, str]:
    """The tests that cannot pass, and why: paragraphs of lines with suite and test that end in the reason."""
    found: dict[Known, str] = {}
    for paragraph in (HERE / "differences.txt").read_text("utf-8").split("\n\n"):
        lines = [line for line in paragraph.splitlines() if line and not line.startswith("#")]
        reason = " ".join(line.strip() for line in lines if line.startswith(" "))
        for line in lines:
            if not line.startswith(" "):
                suite, _, test = line.partition(" ")
                found[suite, test] = reason
    return found


if __name__ == "__main__":
    sys.exit(main())
