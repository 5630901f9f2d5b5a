"""An evening's work that is saved, and the next morning in new processes: it goes on, and a branch is tried and dropped."""

from __future__ import annotations

import everyday
import nbformat

CELLS = {
    "work": """
import numpy as np

class Model:
    def __init__(self, weights):
        self.weights = weights

    def predict(self, rows):
        return rows @ self.weights

rows = np.arange(3_000_000, dtype=float).reshape(-1, 3)
recent = rows[-100:]
model = Model(np.ones(3))
notes = ["loaded"]
best = {"notes": notes, "model": model}
print("rows", rows.shape, "sum", rows.sum())
""",
    "save": '%checkpoint evening --note "before the weekend"',
    "change": 'rows[0, 0] = 42\nnotes.append("marked")\nscore = float(model.predict(recent).mean())',
    "save-again": "%checkpoint marked",
    "tree": "%checkpoints",
    "restore": "%restore marked",
    "look": """
import inspect
print("rows", rows[0, 0], "shared", best["notes"] is notes, recent.base is not None and bool((recent == rows[-100:]).all()))
print("notes", notes, "score", score, "model", model.predict(np.ones((1, 3)))[0])
print("source", "rows @ self.weights" in inspect.getsource(Model.predict))
""",
    "view": "rows[-1, 0] = -5.0\nprint('a view', recent[-1, 0])",
    "branch": "%branch evening try",
    "tried": 'model.weights[:] = 0\nnotes.append("tried zeros")\nforest = list(range(1000))\nprint("tried", notes)',
    "save-tried": "%checkpoint zeros",
    "compare": "%diff marked",
    "drop": "%restore marked",
    "tree-again": "%checkpoints",
    "unknown": "%restore never-saved",
    "after-unknown": "print('still', notes, rows[0, 0])",
}


def build(kernel: str) -> nbformat.NotebookNode:
    """The notebook, for the kernelspec of that name."""
    return everyday.build(CELLS, kernel)
