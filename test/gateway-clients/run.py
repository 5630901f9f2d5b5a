#!/usr/bin/env python3
"""Runs the tests with real clients of a real gateway: all, or the files named (`run.py rest serve`).

One `savepoint serve` is started for all of them, in private folders, and is asked to end when they are done; that it
leaves nothing behind is a test as well. Each file is a process of its own, and two run at a time. The last line is
`N passed, N failed`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "clients"))
AT_ONCE = 2
FILE_WITHIN_S = 1800 if os.environ.get("RUN_SLOW") else 800


def main() -> int:
    known = {file.stem.removeprefix("test_"): file for file in sorted(HERE.glob("test_*.py"))}
    names = sys.argv[1:] or list(known)
    if unknown := [name for name in names if name not in known]:
        print(f"There is no {', '.join(unknown)} here. There are: {', '.join(known)}", file=sys.stderr)
        return 2
    # Whoever ends us must not leave the gateway behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="savepoint-gateway-") as home:
        _private_folders(Path(home))
        # Only now: what it starts has these folders.
        from gateway.server import Server

        server = Server.start()
        os.environ["SAVEPOINT_TEST_GATEWAY"] = f"{server.url} {server.token} {server.pid}"
        try:
            with ThreadPoolExecutor(AT_ONCE) as pool:
                outcomes = list(pool.map(lambda name: _run(known[name]), names))
        finally:
            left = server.stop()
    if left:
        print(f"FAIL  the gateway left behind: {'; '.join(left)}\n{server.log()}")
    passed = sum(passed for passed, _, _ in outcomes) + int(not left)
    failed = sum(failed for _, failed, _ in outcomes) + int(bool(left))
    slowest = sorted((test for _, _, tests in outcomes for test in tests), reverse=True)[:5]
    print("slowest: " + ", ".join(f"{name} {seconds:.1f} s" for seconds, name in slowest))
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def _private_folders(home: Path) -> None:
    """Nothing of the user's is read or written."""
    os.environ["SAVEPOINT_TEST_HOME"] = str(home)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent / "clients"), str(HERE)])
    names = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "SAVEPOINT_DATA_DIR")
    for name in names:
        folder = home / name.lower()
        folder.mkdir(mode=0o700)
        os.environ[name] = str(folder)
    os.environ.setdefault("SAVEPOINT_PYTHON", sys.executable)
    os.environ.pop("SAVEPOINT_TOKEN", None)


def _run(file: Path) -> tuple[int, int, list[tuple[float, str]]]:
    began = time.monotonic()
    tests = subprocess.Popen(
        [sys.executable, str(file)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    late = False
    try:
        said, _ = tests.communicate(timeout=FILE_WITHIN_S)
    except subprocess.TimeoutExpired:
        late = True
        tests.kill()
        said, _ = tests.communicate()
    counts = re.findall(r"^(\d+) passed, (\d+) failed$", said, re.MULTILINE)
    passed, failed = (int(counts[-1][0]), int(counts[-1][1])) if counts else (0, 0)
    # One that failed without saying so, or did not get to say anything, is one failure.
    failed = failed or int(late or tests.returncode != 0)
    mark = "FAIL" if failed else "ok  "
    if failed:
        print(said)
    print(f"{mark}  {file.stem}: {passed} passed, {failed} failed in {time.monotonic() - began:.1f} s", flush=True)
    slow = re.findall(r"^slowest: (.*)$", said, re.MULTILINE)
    times = re.findall(r"(\S+) ([\d.]+) s", slow[-1]) if slow else []
    return passed, failed, [(float(seconds), name) for name, seconds in times]


if __name__ == "__main__":
    sys.exit(main())
