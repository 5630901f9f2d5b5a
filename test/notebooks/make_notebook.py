#!/usr/bin/env python3
"""Writes first_slice.ipynb: one notebook that a real front end can run from the first cell to the last.

  make_notebook.py [--kernel NAME] [OUTPUT]

Tags: `answered` asks for input; `fails` is meant to fail; `by-metadata` is for clients that send a cell's metadata with
it (nbclient and jupyter console do not); `second-life` is run in a new kernel after the first one was killed. For a
kernel other than `savepoint` the cells that only Savepoint can run are left out, so that the same notebook shows what
an ordinary kernel does in the same place.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

HERE = Path(__file__).resolve().parent
DEFAULT_OUTPUT = HERE / "first_slice.ipynb"


@dataclass(frozen=True)
class Step:
    """One code cell, under the id by which tests know it."""

    id: str
    title: str
    code: str
    tags: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    only_savepoint: bool = False


STEPS = (
    Step(
        "plot",
        "A plot",
        """
import matplotlib.pyplot as plt
import numpy as np

angles = np.linspace(0, 2 * np.pi, 200)
plt.figure(figsize=(4, 2.5))
plt.plot(angles, np.sin(angles))
plt.title("A sine")
plt.show()
""",
    ),
    Step(
        "error",
        "An error, with its traceback",
        "def divide(a, b):\n    return a / b\n\ndivide(1, 0)",
        ("fails", "raises-exception"),
    ),
    Step(
        "input",
        "A question (a client that cannot answer is not asked)",
        """
try:
    name = input("What is your name? ")
except NotImplementedError:
    name = "nobody"
print(f"Hello, {name}!")
""",
        ("answered",),
    ),
    Step(
        "progress",
        "A progress bar",
        """
import time
from tqdm.auto import tqdm

total = 0
for number in tqdm(range(40), desc="Adding"):
    total += number
    time.sleep(0.01)
print(f"The total is {total}.")
""",
    ),
    Step(
        "slider",
        "A slider",
        """
import ipywidgets

slider = ipywidgets.IntSlider(value=3, min=0, max=10, description="Level")
slider
""",
    ),
    Step("slider-value", "Where the slider stands", 'print(f"The slider stands at {slider.value}.")'),
    Step(
        "await",
        "Awaiting at the top level",
        """
import asyncio

async def later(value):
    await asyncio.sleep(0.05)
    return value

print(await asyncio.gather(later("first"), later("second")))
""",
    ),
    Step(
        "state",
        "A list that must survive",
        'readings = [20.5, 21.0, 19.5]\nlabels = {"unit": "degrees"}\nreadings',
    ),
    Step(
        "failing-transaction",
        "A cell that changes the list in place and then fails, rolled back by its magic",
        """
%%transaction
readings.append("not a number")
readings.sort(key=str)
labels.clear()
print(f"Before the failure there are {len(readings)} readings.")
sum(readings)
""",
        ("fails", "raises-exception"),
        only_savepoint=True,
    ),
    Step(
        "failing-by-metadata",
        "The same by the cell's metadata, which JupyterLab sends with the cell",
        'labels["unit"] = "furlongs"\nreadings.clear()\nreadings[0]',
        ("fails", "raises-exception", "by-metadata"),
        {"savepoint": {"transaction": "rollback_on_failure"}},
        only_savepoint=True,
    ),
    Step("state-after", "The state is as it was before", "print(readings, labels)"),
    Step("checkpoint", "Everything is saved", "%checkpoint saved", only_savepoint=True),
    Step(
        "restore",
        "In a new kernel, after the first one was killed",
        "%restore saved",
        ("second-life",),
        only_savepoint=True,
    ),
    Step(
        "restored",
        "The values are there again",
        """
print(readings, labels)
print(f"The mean is {sum(readings) / len(readings):.2f}, the total was {total}.")
print(f"There are {len(angles)} angles; 1 / 2 is {divide(1, 2)}.")
""",
        ("second-life",),
        only_savepoint=True,
    ),
)


def build(kernel: str = "savepoint") -> nbformat.NotebookNode:
    """The notebook for a kernel."""
    name = "Python 3 (Savepoint)" if kernel == "savepoint" else kernel
    notebook = new_notebook(
        metadata={
            "kernelspec": {"display_name": name, "language": "python", "name": kernel},
            "language_info": {"name": "python", "file_extension": ".py"},
        }
    )
    notebook.cells.append(new_markdown_cell("# One notebook, run by every client", id="title"))
    for step in STEPS:
        if step.only_savepoint and kernel != "savepoint":
            continue
        notebook.cells.append(new_markdown_cell(f"{step.title}.", id=f"about-{step.id}"))
        metadata = {**step.metadata, **({"tags": list(step.tags)} if step.tags else {})}
        notebook.cells.append(new_code_cell(step.code.strip(), id=step.id, metadata=metadata))
    nbformat.validate(notebook)
    return notebook


def text(kernel: str = "savepoint") -> str:
    """The notebook as it is written to a file."""
    return nbformat.writes(build(kernel)) + "\n"


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel", default="savepoint")
    arguments.add_argument("output", nargs="?", type=Path, default=DEFAULT_OUTPUT)
    chosen = arguments.parse_args()
    chosen.output.write_text(text(chosen.kernel), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
