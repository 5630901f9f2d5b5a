"""The tests of other projects that drive a kernel through a real client, and where their sources come from.

Tests that only import a project's own modules say nothing about the kernel and are not here: in ipykernel's sources,
for instance, all that build a kernel inside pytest (`test_*_direct`, `test_connect`, `test_kernelapp`, `test_io`,
`test_zmq_shell`, `inprocess`, ...) or run a kernel of their own making (`test_start_kernel`, `test_embed_kernel`); in
jupyter_client's all that use its `signaltest` kernel.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
LOCK = HERE / "sources.lock"
DOWNLOAD_WITHIN_S = 180.0


class Suite(NamedTuple):
    """One file of tests."""

    project: str
    file: str
    # An expression for pytest's -k, where only some tests of the file start our kernel.
    only: str = ""

    @property
    def name(self) -> str:
        return f"{self.project}/{Path(self.file).stem}"


# The longest first: several run at a time.
SUITES = [
    Suite("nbclient", "tests/test_client.py"),
    Suite("jupyter_client", "tests/test_client.py"),
    Suite("ipykernel", "tests/test_kernel.py"),
    Suite("ipykernel", "tests/test_debugger.py"),
    Suite("ipykernel", "tests/test_subshells.py"),
    Suite("jupyter_client", "tests/test_multikernelmanager.py"),
    Suite("papermill", "papermill/tests/test_execute.py"),
    Suite("ipykernel", "tests/test_message_spec.py"),
    Suite(
        "jupyter_client",
        "tests/test_kernelmanager.py",
        "(TestKernelManager or TestAsyncKernelManager) and not signal and not start_new and not templated",
    ),
    Suite("nbclient", "tests/test_cli.py"),
    Suite("ipykernel", "tests/test_async.py"),
    Suite("jupyter_console", "jupyter_console/tests/test_console.py"),
    Suite("jupyter_client", "tests/test_kernelapp.py"),
]


def fetch() -> dict[str, Path]:
    """A folder with each project's tests, fetched once where no package brings them. Exits if that fails.

    Nothing may be written there: tests run in a copy.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "savepoint-test")
    folder = cache / f"sources-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    versions = dict(re.findall(r"^([a-z_]+)==(\S+)", LOCK.read_text("utf-8"), re.MULTILINE))
    if not folder.is_dir():
        print(f"Fetching the tests of {', '.join(versions)} (once)", flush=True)
        draft = folder.with_name(f"{folder.name}.{os.getpid()}")
        try:
            _download(draft, list(versions))
            draft.rename(folder)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    fetched = {name: folder / f"{name}-{version}" for name, version in versions.items()}
    # These two install their tests along with themselves.
    return {**fetched, "jupyter_console": _installed("jupyter_console"), "papermill": _installed("papermill")}


def _installed(package: str) -> Path:
    found = importlib.util.find_spec(package)
    if found is None or found.origin is None:
        sys.exit(f"{package} is not installed in {sys.executable}")
    return Path(found.origin).parent


def _download(folder: Path, names: list[str]) -> None:
    folder.mkdir(parents=True)
    # pip asks each package what it is, which needs the tool that would build it: that one is in our list of packages.
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    exact = ["--no-deps", "--no-build-isolation", "--no-binary", ",".join(names), "--require-hashes", "-r", str(LOCK)]
    command = [sys.executable, "-m", "pip", "download", *quiet, *exact, "--dest", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=DOWNLOAD_WITHIN_S)
    if done.returncode != 0:
        sys.exit(f"The sources of the tests could not be fetched:\n{done.stderr[-2000:]}")
    for archive in folder.glob("*.tar.gz"):
        with tarfile.open(archive) as opened:
            opened.extractall(folder, filter="data")
