"""What the tests that try checkpoints by force share: a store in a process of its own, and saves and restores with it.

Nothing here is a stand-in: the store is the gateway's, what is written is written by a worker's writer, and what is
restored by a worker's reader. Only the kernel between them is left out, so that thousands of tries take minutes.
"""

from __future__ import annotations

import base64
import json
import os
import random
import subprocess
import sys
import tempfile
import traceback
import unittest
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "python"))

from savepoint.errors import SavepointError  # noqa: E402
from savepoint.lost import LostVariable  # noqa: E402
from savepoint_worker import checkpoints  # noqa: E402
from savepoint_worker.serialize import process  # noqa: E402

LONG = os.environ.get("RUN_SLOW") == "1"
PATIENCE_S = 120
SEED = int(os.environ.get("SEED") or random.randrange(1 << 31))
#: What may be said of a checkpoint that somebody has meddled with.
REFUSALS = {"damaged_checkpoint", "foreign_checkpoint", "format_unsupported", "unknown_checkpoint", "storage_failed"}


class Refused(Exception):
    """The store has refused; `code` says why."""

    def __init__(self, code: str, message: str, retry: bool) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.retry = code, message, retry


class Store:
    """A store of `owner` in a data folder."""

    def __init__(self, folder: Path, owner: str = "ada") -> None:
        self.folder = folder
        program = [os.environ.get("SAVEPOINT_NODE", "node"), str(Path(__file__).with_name("force_store.mjs"))]
        self.process = subprocess.Popen(
            [*program, str(folder), owner], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._asked = 0

    def send(self, do: str, **fields: Any) -> None:
        """Ask, and do not wait."""
        assert self.process.stdin
        self._asked += 1
        self.process.stdin.write(json.dumps({"id": self._asked, "do": do, **fields}) + "\n")
        self.process.stdin.flush()

    def answer(self) -> Any:
        """The answer to what was asked last. Raises Refused."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise EOFError("the store has ended")
        told = json.loads(line)
        if "code" in told:
            raise Refused(told["code"], told["message"], told["retry"])
        return told["result"]

    def ask(self, do: str, **fields: Any) -> Any:
        self.send(do, **fields)
        return self.answer()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()


def fork_writer(variables: dict[str, Any], place: dict[str, Any], own_process: bool = True) -> int:
    """The pid of a process that writes `variables` where the store said; it ends with 0 if it could."""
    pid = os.fork()
    if pid:
        return pid
    try:
        extras = checkpoints.Extras(process.Baseline({}, list(sys.path)), process.before_fork(), [(1, "text")], 7)
        target = checkpoints.Target(place["path"], place["pack"], place["known"])
        checkpoints.write(dict(variables), target, (), extras)
        os._exit(0)
    except BaseException:
        if own_process:
            traceback.print_exc()
        os._exit(1)


def save(store: Store, variables: dict[str, Any], name: str, fresh: bool = False) -> dict[str, Any]:
    """The record of a checkpoint. `fresh`: nothing is taken to be stored already. Raises Refused."""
    place = store.ask("begin", name=name, fresh=fresh)
    status = os.waitpid(fork_writer(variables, place), 0)[1]
    if status:
        store.ask("abandon", checkpoint=place["checkpoint_id"])
        raise RuntimeError(f"the writer has ended with {status}")
    record: dict[str, Any] = store.ask("seal", checkpoint=place["checkpoint_id"])
    return record


def restore(store: Store, checkpoint: str) -> tuple[dict[str, Any], list[str]]:
    """Variables and warnings, as the gateway and a worker restore a checkpoint. Raises Refused, SavepointError."""
    opened = store.ask("open", checkpoint=checkpoint)
    root, places = (base64.b64decode(opened[part]) for part in ("root", "map"))
    namespace: dict[str, Any] = {}
    stored = checkpoints.Version2(root, opened["packs"], places)
    return namespace, checkpoints.restore_stored(stored, namespace, "merge", None).warnings


def lost_in(namespace: dict[str, Any]) -> set[str]:
    """Names of the variables of which the restore has said that they could not be had."""
    return {name for name, value in namespace.items() if isinstance(value, LostVariable)}


class ForceCase(unittest.TestCase):
    """A test with a data folder, and random numbers that a seed makes again."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="savepoint-force-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.random = random.Random(SEED)
        cwd = os.getcwd()
        self.addCleanup(os.chdir, cwd)
        print(f"{self.id().rpartition('.')[2]}: SEED={SEED}", file=sys.stderr)

    def store(self, folder: Path | None = None, owner: str = "ada") -> Store:
        opened = Store(folder or self.folder, owner)
        self.addCleanup(opened.close)
        return opened


__all__ = ["LONG", "PATIENCE_S", "REFUSALS", "ForceCase", "Refused", "SavepointError", "Store"]
__all__ += ["fork_writer", "lost_in", "restore", "save"]
