"""Other ways to keep a session after each cell, in a process of their own: Kishu, dill.dump_module, cloudpickle.

  python -c 'import checkpoint_peers; checkpoint_peers.main()' KIND FOLDER      a line of JSON for each line of JSON

The cells run in a `__main__` that is otherwise empty. What is stored is counted, and removed where it is whole each time.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import sys
import time
import types
from pathlib import Path
from typing import Any

now = time.perf_counter
#: Of a buffer, what differs in less than this is the same: unique bytes are counted by it.
BLOCK = 65536


class Plain:
    """A bare interpreter, in which a save is a call after each cell."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.namespace = vars(sys.modules["__main__"])
        self.own = set(self.namespace)
        self.stored = 0

    def cell(self, code: str) -> dict[str, Any]:
        """Run it, and store everything; seconds of both, and bytes stored since the beginning."""
        begun = now()
        exec(compile(code, "<cell>", "exec"), self.namespace)
        took = now() - begun
        begun, errors = now(), self.save()
        return {"cell_s": took, "save_s": now() - begun, "stored": self.stored, "lost": errors}

    def variables(self) -> dict[str, Any]:
        return {name: value for name, value in self.namespace.items() if name not in self.own}

    def value(self, code: str) -> Any:
        return eval(code, self.namespace)

    def save(self) -> list[str]:
        """Store what there is; what cannot be. Overridden."""
        return []

    def write(self, data: bytes) -> None:
        self.stored += len(data)
        path = self.folder / "saved"
        path.write_bytes(data)
        path.unlink()


class Dill(Plain):
    """All in one pickle: one object that cannot be, and nothing is saved."""

    def save(self) -> list[str]:
        import dill

        path = self.folder / "saved"
        try:
            dill.dump_module(str(path))
        except Exception as error:
            return [f"everything: {type(error).__name__}: {error}"[:100]]
        self.stored += path.stat().st_size
        path.unlink()
        return []


class CloudPickle(Plain):
    """Each variable by itself."""

    def save(self) -> list[str]:
        import cloudpickle

        failed = []
        for name, value in self.variables().items():
            if isinstance(value, types.ModuleType):
                continue
            try:
                self.write(cloudpickle.dumps(value, protocol=5))
            except Exception as error:
                failed.append(f"{name}: {type(error).__name__}")
        return failed


class Unique(Plain):
    """No way to save, but a measure: bytes that were never there before, buffers by blocks, everything else by variable."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seen: set[bytes] = set()

    def save(self) -> list[str]:
        import cloudpickle

        for value in self.variables().values():
            buffers: list[pickle.PickleBuffer] = []
            if isinstance(value, types.ModuleType):
                continue
            try:
                stream = cloudpickle.dumps(value, protocol=5, buffer_callback=buffers.append)
            except Exception:
                continue
            self._count(stream)
            for buffer in buffers:
                raw = buffer.raw()
                for start in range(0, len(raw), BLOCK):
                    self._count(raw[start : start + BLOCK])
        return []

    def _count(self, piece: Any) -> None:
        digest = hashlib.sha256(piece).digest()
        if digest not in self.seen:
            self.seen.add(digest)
            self.stored += len(piece)


class Kishu:
    """IPython in this process, with Kishu's hooks around each cell. It is driven as its own tests do it."""

    def __init__(self, folder: Path, experimental: bool = False) -> None:
        self.folder = folder
        os.environ.update({"ENV_KISHU_TEST_MODE": "1", "HOME": str(folder), "KISHU_PATH_ROOT": str(folder)})
        import nbformat
        from IPython.core.interactiveshell import InteractiveShell
        from kishu.jupyterint import KishuForJupyter
        from kishu.notebook_id import NotebookId
        from kishu.storage.config import Config

        Config.set("IDGRAPH", "experimental_tracker", experimental)
        self.shell = InteractiveShell.instance()
        self.shell.history_manager.enabled = False
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kishu"] = {"notebook_id": "bench", "session_count": 1}
        path = folder / "bench.ipynb"
        nbformat.write(notebook, path)
        self.kishu = KishuForJupyter(NotebookId("bench", path, "bench"), ip=self.shell)
        self.kishu._test_mode = True
        self.kishu._read_and_fill_notebook_state = lambda *_, **__: None
        self.kishu.install_kishu_hooks()
        self.times: dict[str, float] = {}
        self.commits: list[str] = []
        # Kishu works before and after these two.
        self.shell.events.register("pre_execute", lambda: self.times.update(begun=now()))
        self.shell.events.register("post_execute", lambda: self.times.update(ended=now()))

    def cell(self, code: str) -> dict[str, Any]:
        self.times.clear()
        begun = now()
        result = self.shell.run_cell(code, store_history=True)
        took = now() - begun
        result.raise_error()
        alone = self.times.get("ended", now()) - self.times.get("begun", begun)
        self.commits.append(str(self.kishu._kishu_branch.get_head().commit_id))
        return {"cell_s": alone, "save_s": took - alone, "stored": self._size(), "lost": []}

    def checkout(self, cells_back: int) -> float:
        """Seconds to go back by so many cells, and forth again."""
        for commit in (self.commits[-1 - cells_back], self.commits[-1]):
            begun = now()
            self.kishu.checkout(commit, skip_notebook=True)
            took = now() - begun
        return took

    def value(self, code: str) -> Any:
        return eval(code, self.shell.user_ns)

    def _size(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*.kishudb*"))


KINDS = {
    "dill": Dill,
    "cloudpickle": CloudPickle,
    "unique": Unique,
    "kishu": Kishu,
    "kishu-experimental": lambda folder: Kishu(folder, experimental=True),
}


def main() -> None:
    """Answer until there is nothing more to read."""
    # What cells print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    subject: Any = KINDS[sys.argv[1]](Path(sys.argv[2]))
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer: Any = {"result": getattr(subject, asked.pop("do"))(**asked)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer, default=str), file=answers, flush=True)
