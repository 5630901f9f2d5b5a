"""What else can take a state and bring it back, in a process of its own: os.fork, copy.deepcopy, dill, Kishu.

  state_peers.py plain|kishu      reads lines of JSON, answers each with one: {"do", "times", ...} -> [seconds] or null

`make` runs the code that makes the state. `fork` is what a snapshot cannot be cheaper than: the call, in a bare Python
with this state in it. Kishu has no begin: it stores what changed after each cell, so that is its cost a cell.
"""

from __future__ import annotations

import copy
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

now = time.perf_counter


class Plain:
    """A bare interpreter."""

    def __init__(self) -> None:
        self.namespace: dict[str, Any] = {}

    def make(self, code: str, share: float = 1.0) -> None:
        exec(code, self.namespace)
        if share < 1:
            self.namespace["state"] = self.namespace["state"][: int(len(self.namespace["state"]) * share)]

    def fork(self) -> float:
        begun = now()
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        took = now() - begun
        os.waitpid(pid, 0)
        return took

    def deepcopy(self) -> float:
        state = {name: value for name, value in self.namespace.items() if name == "state"}
        begun = now()
        copied = copy.deepcopy(state)
        took = now() - begun
        del copied
        return took

    def dill(self) -> float:
        import dill

        begun = now()
        stored = dill.dumps(self.namespace["state"])
        took = now() - begun
        del stored
        return took


class Kishu:
    """IPython in this process, with Kishu's hooks around each cell. It is driven as its own tests do it."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="savepoint-bench-kishu-")
        os.environ.update({"ENV_KISHU_TEST_MODE": "1", "HOME": self.folder.name})
        import nbformat
        from IPython.core.interactiveshell import InteractiveShell
        from kishu.jupyterint import KishuForJupyter
        from kishu.notebook_id import NotebookId

        self.shell = InteractiveShell.instance()
        self.shell.history_manager.enabled = False
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kishu"] = {"notebook_id": "bench", "session_count": 1}
        path = Path(self.folder.name) / "bench.ipynb"
        nbformat.write(notebook, path)
        self.kishu = KishuForJupyter(NotebookId("bench", path, "bench"), ip=self.shell)
        self.kishu._test_mode = True
        self.kishu._read_and_fill_notebook_state = lambda *_, **__: None
        self.kishu.install_kishu_hooks()

    def make(self, code: str, share: float = 1.0) -> None:
        self._cell(code if share == 1 else f"{code}\nstate = state[:int(len(state) * {share})]")

    def cell(self) -> float:
        """A cell that changes nothing of the state."""
        return self._cell("x = 1")

    def change(self, code: str) -> float:
        """A cell that changes a little of it."""
        return self._cell(code)

    def checkout(self, code: str) -> float:
        """Back to before such a cell."""
        before = str(self.kishu._kishu_branch.get_head().commit_id)
        self._cell(code)
        begun = now()
        self.kishu.checkout(before, skip_notebook=True)
        return now() - begun

    def _cell(self, code: str) -> float:
        begun = now()
        self.shell.run_cell(code, store_history=True).raise_error()
        return now() - begun


def main() -> None:
    # What libraries print must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    subject = {"plain": Plain, "kishu": Kishu}[sys.argv[1]]()
    for line in sys.stdin:
        asked = json.loads(line)
        act, times = getattr(subject, asked.pop("do")), asked.pop("times", 1)
        try:
            answer: Any = [act(**asked) for _ in range(times)]
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"[:300]
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
