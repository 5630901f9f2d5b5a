"""What goes wrong in a notebook with an hour's work in it: each cell would cost the state in another kernel."""

from __future__ import annotations

import everyday
import nbformat

CELLS = {
    "guard": "%guard on",
    "state": """
import ctypes, os, re, time
import ipywidgets as widgets
from IPython.display import display

work = {"rows": [1, 2, 3]}
rows = work["rows"]
slider = widgets.IntSlider(3, 0, 10)
heard = []
slider.observe(lambda change: heard.append(change["new"]), "value")
display(slider)
""",
    "look": 'print("rows", rows, rows is work["rows"], "slider", slider.value)',
    "fails": 'rows.append("by a cell that failed")\n1 / 0',
    "block": """
import savepoint
try:
    with savepoint.transaction():
        rows.clear()
        raise KeyError("half way")
except savepoint.RolledBack as rolled_back:
    print("taken back:", rolled_back.ename)
""",
    "change": "rows.append(4)",
    "undo": "%undo",
    "redo": "%redo",
    "segfault": 'rows.append("by a cell that crashed")\nctypes.string_at(0)',
    "abort": 'rows.append("by a cell that aborted")\nos.abort()',
    "exit": 'rows.append("by a cell that left")\nos._exit(3)',
    "killed": 'rows.append("by a cell that was killed")\nprint("pid", os.getpid(), flush=True)\ntime.sleep(100)',
    "regex": 'rows.append("by an expression")\nprint("begun", flush=True)\nre.match("(a+)+$", "a" * 60 + "b")',
    "stubborn": 'rows.append("by code in C")\nprint("begun", flush=True)\nsum(range(10**12))',
    "comes-back": """
with savepoint.transaction() as tx:
    rows.append("tried")
    again = tx.savepoint("here")
    print("came back:", again, rows[-1])
    if not again:
        rows.append("and tried again")
        tx.rollback(to="here")
    tx.rollback()
""",
}

#: Metadata as JupyterLab sends it with the cell.
POLICIES = {"fails": "rollback_on_failure"}


def build(kernel: str) -> nbformat.NotebookNode:
    """The notebook, for the kernelspec of that name."""
    notebook = everyday.build(CELLS, kernel)
    for cell in notebook.cells:
        if cell.id in POLICIES:
            cell.metadata["savepoint"] = {"transaction": POLICIES[cell.id]}
    return notebook
