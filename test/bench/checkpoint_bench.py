#!/usr/bin/env python3
"""Measure what checkpoints cost, beside Kishu (also with its experimental tracker), dill and cloudpickle, cell by cell.

  checkpoint_bench.py [--only script,notebooks,gigabyte,element,small,dicts,tracking,read_only,failover,thousand]
                      [--quick] [--max-seconds N] [--json FILE]

Every cell of a notebook is run in each subject before the next one is. Times vary by a quarter from run to run and more
from machine to machine: compare figures of one run. Run it with the Python that `setup` prints.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

HOME = Path(os.environ.get("SAVEPOINT_BENCH_HOME", os.path.expanduser("~/.cache/savepoint-bench")))
#: Of all subjects alike.
PYTHON = HOME / "venv-checkpoints" / "bin" / "python"
os.environ["SAVEPOINT_PYTHON"] = str(PYTHON)

from checkpoint_goals import goals  # noqa: E402
from checkpoint_measures import PARTS, Measures  # noqa: E402
from checkpoint_notebooks import NOTEBOOKS, READS, SCRIPT, Notebook  # noqa: E402
from checkpoint_session import Session, Shelf  # noqa: E402
from machine import facts, stats  # noqa: E402
from wire import now  # noqa: E402

PEERS = ("kishu", "kishu-experimental", "dill", "cloudpickle", "unique")
OURS = "savepoint"
#: Those that can go back to where they were.
CHECKED_OUT = (OURS, "kishu", "kishu-experimental")
#: Longer than that a peer is not waited for, in the script and in one notebook.
SCRIPT_MAX_S, NOTEBOOK_MAX_S = 120.0, 15.0


class Peer:
    """A process that saves in another way."""

    def __init__(self, kind: str) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="savepoint-bench-peer-")
        here = Path(__file__).parent
        program = [str(PYTHON), "-c", "import checkpoint_peers; checkpoint_peers.main()", kind, self.folder.name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        env = {**os.environ, "PYTHONPATH": str(here)}
        self.process: Any = subprocess.Popen(program, env=env, cwd=self.folder.name, **pipes)

    def __call__(self, do: str, **fields: Any) -> Any:
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else {"error": "it ended"}
        if "error" in answer:
            raise RuntimeError(f"{do}: {answer['error']}")
        return answer["result"]

    def cell(self, code: str) -> dict[str, Any]:
        return self("cell", code=code)

    def holds(self, check: str) -> bool:
        return self("value", code=check) is True

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        self.folder.cleanup()


class Ours:
    """A kernel, with a checkpoint after each cell that is waited for."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.session = Session(self.shelf)
        self.made: list[str] = []

    def cell(self, code: str) -> dict[str, Any]:
        took = self.session.cell(code)
        record, answered = self.session.op("create")
        self.made.append(record["checkpoint_id"])
        lost = [f"{each['name']}: {each['reason']}" for each in record["lost"]]
        return {
            "cell_s": took,
            "save_s": answered,
            "stored": self.shelf.stored(),
            "lost": lost,
            "pause_s": record["pause_ms"] / 1e3,
            "write_s": record["write_ms"] / 1e3,
        }

    def __call__(self, do: str, cells_back: int) -> float:
        """Seconds to come back from so many cells ago, as peers are asked with `do`."""
        for checkpoint in (self.made[-1 - cells_back], self.made[-1]):
            took = self.session.op("restore", checkpoint=checkpoint)[1]
        return took

    def holds(self, check: str) -> bool:
        """In a new kernel, after this one was killed."""
        self.session.close()
        self.session = Session(self.shelf)
        self.session.op("restore", checkpoint=self.made[-1])
        self.session.cell(f"assert {check}")
        return True

    def close(self) -> None:
        self.session.close()
        self.shelf.close()


class Bench:
    """The run so far."""

    def __init__(self, quick: bool, max_seconds: float) -> None:
        self.begun = now()
        self.quick, self.max_seconds = quick, max_seconds
        self.measures = Measures(quick)
        #: Notebook, subject: what each of its cells took and stored.
        self.notebooks: dict[str, dict[str, dict[str, Any]]] = {}
        self.failed: dict[str, str] = {}

    def take(self, what: str, act: Callable[[], None]) -> None:
        """Do one part; the others are done whatever becomes of it."""
        if now() - self.begun > self.max_seconds:
            self.failed[what] = "left out: the time was over"
            return
        begun = now()
        try:
            act()
        except Exception as error:
            self.failed[what] = f"{type(error).__name__}: {error}"[:300]
            traceback.print_exc()
        print(f"{what}: {now() - begun:.0f} s", file=sys.stderr, flush=True)

    def notebook(self, notebook: Notebook) -> None:
        """All its cells, each in all subjects by turns."""
        subjects: dict[str, Any] = {}
        found: dict[str, dict[str, Any]] = {}
        most_s = SCRIPT_MAX_S if notebook is SCRIPT else NOTEBOOK_MAX_S
        try:
            subjects[OURS] = Ours()
            subjects.update({kind: Peer(kind) for kind in PEERS})
            for code in notebook.cells:
                for name, subject in subjects.items():
                    told = found.setdefault(name, {"cells": [], "seconds": 0.0})
                    if "failed" not in told:
                        _do_cell(subject, code, told, most_s if name != OURS else 1e9)
            if notebook is SCRIPT:
                for name in CHECKED_OUT:
                    if "failed" not in found[name] and not self.quick:
                        self.take(f"checkout by {name}", lambda name=name: self.checkout(name, subjects[name]))
            for name, subject in subjects.items():
                if "failed" not in found[name] and name != "unique":
                    found[name]["holds"] = _holds(subject, notebook.check)
        finally:
            for subject in subjects.values():
                subject.close()
            self.notebooks[notebook.name] = found

    def checkout(self, name: str, subject: Any) -> None:
        """From before `a[0] = 5` to the end of the script."""
        self.measures.values[f"script_checkout_s_{name}"] = subject("checkout", cells_back=22)

    def report(self) -> dict[str, Any]:
        """As it is written to a file."""
        return {
            "machine": facts(),
            "seconds": round(now() - self.begun, 1),
            "figures": {name: stats(found) for name, found in self.measures.samples.items()},
            "values": self.measures.values,
            "notebooks": self.notebooks,
            "reads": READS,
            "failed": self.failed,
        }


def _do_cell(subject: Any, code: str, told: dict[str, Any], most_s: float) -> None:
    begun = now()
    try:
        told["cells"].append(subject.cell(code))
    except Exception as error:
        told["failed"] = f"cell {len(told['cells']) + 1}: {type(error).__name__}: {error}"[:300]
    told["seconds"] += now() - begun
    if told["seconds"] > most_s:
        told["failed"] = f"given up after cell {len(told['cells'])}, {told['seconds']:.0f} s"


def _holds(subject: Any, check: str) -> Any:
    try:
        return subject.holds(check)
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]


def table(report: dict[str, Any]) -> None:
    """All figures, as tables in Markdown."""
    print("| figure, ms | p50 | p99 | times |\n|---|---|---|---|")
    for figure, found in report["figures"].items():
        print(f"| {figure} | {found['p50']:.3g} | {found['p99']:.3g} | {found['n']} |")
    for figure, value in report["values"].items():
        print(f"| {figure} | {value:.4g} | | |")
    print("\n| notebook | by | stored MB | saving, ms a cell, p50 | all of it, s | state holds | lost, at the end |\n|---|---|---|---|---|---|---|")
    for notebook, whose in report["notebooks"].items():
        for name, told in whose.items():
            cells = told["cells"]
            if not cells:
                print(f"| {notebook} | {name} | | | | {told.get('failed')} | |")
                continue
            saves = sorted(cell["save_s"] for cell in cells)
            middle = saves[len(saves) // 2] * 1e3
            holds = told.get("failed") or told.get("holds", "")
            stored = cells[-1]["stored"] / 1e6
            print(f"| {notebook} | {name} | {stored:.1f} | {middle:.3g} | {sum(saves):.1f} | {holds} | {len(cells[-1]['lost'])} |")
    for what, why in report["failed"].items():
        print(f"FAILED {what}: {why}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--quick", action="store_true", help="for development; quote full runs only")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--max-seconds", type=float, default=480)
    chosen = arguments.parse_args()
    only = {name for name in chosen.only.split(",") if name}
    bench = Bench(chosen.quick, chosen.max_seconds)
    if not only or "script" in only:
        bench.take("script", lambda: bench.notebook(SCRIPT))
    for name, act in PARTS:
        if not only or name in only:
            bench.take(name, lambda act=act: act(bench.measures))
    for notebook in NOTEBOOKS:
        if not only or "notebooks" in only or notebook.name in only:
            bench.take(notebook.name, lambda notebook=notebook: bench.notebook(notebook))
    report = bench.report()
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    table(report)
    for line in goals(report):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main())
