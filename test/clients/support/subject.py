"""Which kernel is under test, and how a real client finds it.

The tests run against the kernelspec named by `SAVEPOINT_TEST_KERNEL` (default `savepoint`). Any other name makes that
kernel an oracle: the same tests run against it, without those that are about transactions and checkpoints, to show
that what is expected is what Jupyter does and not only what we do.

Unless `JUPYTER_PATH` already has a kernelspec of that name, one is written into a private folder; it starts the build
of this checkout with the interpreter that runs the tests.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO, TypeVar

CHECKOUT = Path(__file__).resolve().parents[3]
NOTEBOOK = CHECKOUT / "test" / "notebooks" / "first_slice.ipynb"
KERNEL = os.environ.get("SAVEPOINT_TEST_KERNEL", "savepoint")
IS_ORACLE = KERNEL != "savepoint"

Test = TypeVar("Test")


def ours(test: Test) -> Test | None:
    """Decorates a test, or a class of tests, of what only Savepoint does. Under an oracle it does not exist."""
    return None if IS_ORACLE else test


def scratch(prefix: str) -> Path:
    """A private folder that is removed when the tests end."""
    folder = Path(tempfile.mkdtemp(prefix=f"savepoint-{prefix}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


@functools.cache
def kernel_log() -> BinaryIO:
    """Where the standard error of all kernels goes; `SAVEPOINT_TEST_LOG` names a file that is kept.

    It stays open while the tests run, since a KernelManager restarts a kernel with the file that it was started with.
    """
    path = os.environ.get("SAVEPOINT_TEST_LOG") or Path(os.environ["SAVEPOINT_TEST_HOME"], "kernels.log")
    log = open(path, "ab", buffering=0)
    atexit.register(log.close)
    return log


def _on_jupyter_path() -> bool:
    folders = [Path(p) for p in os.environ.get("JUPYTER_PATH", "").split(os.pathsep) if p]
    return any((folder / "kernels" / KERNEL / "kernel.json").is_file() for folder in folders)


def _install_kernelspec(prefix: Path) -> None:
    """Install it as a user does, into a folder of this run."""
    program = CHECKOUT / "dist" / "main.js"
    if not program.is_file():
        sys.exit(f"There is no {program.relative_to(CHECKOUT)} yet. Build the kernel first: npm run build")
    node = os.environ.get("SAVEPOINT_NODE", "node")
    arguments = ["install", "--prefix", str(prefix), "--name", KERNEL, "--python", os.environ["SAVEPOINT_PYTHON"]]
    done = subprocess.run([node, str(program), *arguments], capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        sys.exit(f"The kernelspec could not be installed:\n{done.stdout}{done.stderr}")


def prepare() -> None:
    """Set the environment that kernels and clients are started in. Calling it twice does nothing more."""
    if "SAVEPOINT_TEST_HOME" in os.environ:
        return
    home = scratch("home")
    os.environ["SAVEPOINT_TEST_HOME"] = str(home)
    # Nothing of the user's is read or written: history, settings, and the data folder are private to this run.
    for name, folder in (
        ("IPYTHONDIR", "ipython"),
        ("JUPYTER_CONFIG_DIR", "config"),
        ("JUPYTER_RUNTIME_DIR", "runtime"),
        ("SAVEPOINT_DATA_DIR", "data"),
        ("MPLCONFIGDIR", "matplotlib"),
    ):
        (home / folder).mkdir(mode=0o700)
        os.environ[name] = str(home / folder)
    if kept := os.environ.get("SAVEPOINT_TEST_KEPT"):
        # What is saved there is found by processes of a later run.
        os.environ["SAVEPOINT_DATA_DIR"] = str(Path(kept, "data"))
    os.environ.setdefault("SAVEPOINT_PYTHON", sys.executable)
    # jupyter_console and the pager must see a plain terminal whatever the caller's is.
    os.environ.update({"TERM": "xterm", "PAGER": "cat"})
    if not IS_ORACLE and not _on_jupyter_path():
        _install_kernelspec(home)
        rest = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(p for p in (str(home / "share" / "jupyter"), rest) if p)


prepare()
