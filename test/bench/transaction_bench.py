#!/usr/bin/env python3
"""Measure what transactions cost, beside os.fork, copy.deepcopy, dill and Kishu on the same states, round by round.

  transaction_bench.py [--only 10MB,1GB,10GB,objects,rest,gateway] [--quick] [--max-seconds N] [--json FILE]

`_ms` figures are what the kernel says, `_answer` ones what a client sees. Times vary by a quarter from run to run and
more from machine to machine: compare figures of one run. Run it with the Python that `setup` prints.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from machine import facts, stats
from states import SPARE_MIB, STATES, State, available_mib
from transaction_gateway import GatewayMeasures
from transaction_goals import goals
from transaction_measures import Subject
from wire import now

HOME = Path(os.environ.get("SAVEPOINT_BENCH_HOME", os.path.expanduser("~/.cache/savepoint-bench")))
SHORT = dict(zip(("10MB", "1GB", "10GB", "objects"), STATES, strict=True))
PEER_TIMEOUT_S = 180.0
#: Peer, what it is asked to do, and how often a round.
PEERS = (("plain", "fork", 20), ("plain", "deepcopy", 1), ("plain", "dill", 1), ("kishu", "cell", 1))
#: What Kishu does in the first round only: it takes seconds.
KISHU_ONCE = ("change", "checkout")


class Peer:
    """A process that copies states in another way."""

    def __init__(self, kind: str, state: State, share: float) -> None:
        python = HOME / ("venv-kishu" if kind == "kishu" else "venv-dill") / "bin" / "python"
        program = [str(python), str(Path(__file__).with_name("state_peers.py")), kind]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL, "text": True}
        self.process: Any = subprocess.Popen(program, **pipes)
        self("make", code=state.make, share=share)

    def __call__(self, do: str, **fields: Any) -> list[float]:
        self.process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        answer = json.loads(line) if line else "it ended"
        if isinstance(answer, str):
            raise RuntimeError(f"{do}: {answer}")
        return answer

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


class Bench:
    """The run so far: figures of each state, ours and the peers'."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.begun = now()
        self.quick = chosen.quick
        self.max_seconds = chosen.max_seconds
        self.states: dict[str, dict[str, dict[str, list[float]]]] = {}
        self.values: dict[str, list[Any]] = {}
        self.failed: dict[str, str] = {}

    def take(self, what: str, act: Any, *arguments: Any) -> None:
        """Do one measure; the others are taken whatever becomes of it."""
        if what in self.failed:
            return
        try:
            act(*arguments)
        except Exception as error:
            self.failed[what] = f"{type(error).__name__}: {error}"[:300]
            traceback.print_exc()

    def is_over(self) -> bool:
        return now() - self.begun > self.max_seconds

    def state(self, state: State) -> None:
        """All rounds in one state: ours, then each peer."""
        # Of the largest state there is no room for two.
        alone = state.mib > 4096
        needed = state.mib * (1 if alone else 4) + SPARE_MIB
        if available_mib() < needed:
            self.failed[state.name] = f"left out: it takes {needed} MiB, and {available_mib()} are available"
            return
        found = self.states[state.name] = {}
        subject = Subject(state.make)
        found["savepoint"] = subject.samples
        peers: dict[str, Peer] = {}
        rounds = 1 if self.quick else state.rounds
        try:
            for number in range(rounds):
                if number and self.is_over():
                    break
                subject.round(state)
                if not alone:
                    self._peers(state, found, peers, number)
                print(f"{state.name}: round {number + 1} done after {now() - self.begun:.0f} s", file=sys.stderr)
            for _ in range(5):
                subject.rewritten(state)
        finally:
            subject.close()
            if alone:
                self._ask(state, found, peers, "plain", "fork", state.times)
            for peer in peers.values():
                peer.close()

    def _peers(self, state: State, found: dict[str, Any], peers: dict[str, Peer], number: int) -> None:
        for kind, do, times in PEERS:
            self._ask(state, found, peers, kind, do, times)
        if number == 0:
            for do in KISHU_ONCE:
                self._ask(state, found, peers, "kishu", do, 1, code=state.touch)

    def _ask(
        self, state: State, found: dict[str, Any], peers: dict[str, Peer], kind: str, do: str, times: int, **fields: Any
    ) -> None:
        name = {"fork": "os.fork", "deepcopy": "copy.deepcopy", "dill": "dill.dumps"}.get(do, f"kishu {do}")
        shared = do != "fork" and state.peers_share < 1
        key = f"{kind} small" if shared else kind
        what = f"{state.name}: {name}"
        if what in self.failed or f"{state.name}: {key}" in self.failed:
            return
        if shared:
            name += f" of {state.peers_share:g} of it"
        try:
            if key not in peers:
                peers[key] = Peer(kind, state, state.peers_share if shared else 1.0)
            found.setdefault(name, {}).setdefault("took", []).extend(peers[key](do, times=times, **fields))
        except (RuntimeError, OSError, ValueError) as error:
            self.failed[what] = str(error)[:300]

    def rest(self) -> None:
        """What does not depend on the state's size."""
        subject = Subject()
        self.states["depth and growth"] = {"savepoint": subject.samples}
        try:
            self.take("depth", subject.deep)
            self.take("growth", subject.growth, 100 if self.quick else 1000)
            self.values |= subject.values
        finally:
            subject.close()

    def gateway(self) -> None:
        """Forks and the guard."""
        measures = GatewayMeasures(self.quick)
        self.states["through the gateway"] = {"savepoint": measures.samples}
        try:
            for name in ("forks", "many_forks", "guard", "guarded_memory"):
                if not self.is_over():
                    self.take(name, getattr(measures, name))
            self.values |= measures.values
        finally:
            measures.close()

    def report(self) -> dict[str, Any]:
        """As it is written to a file."""
        told = {
            state: {who: {figure: stats(found) for figure, found in figures.items()} for who, figures in whose.items()}
            for state, whose in self.states.items()
        }
        seconds = round(now() - self.begun, 1)
        return {"machine": facts(), "seconds": seconds, "states": told, "values": self.values, "failed": self.failed}


def table(report: dict[str, Any]) -> None:
    """All figures, as a table in Markdown."""
    print("| state | figure, ms | p50 | p99 | times |\n|---|---|---|---|---|")
    for state, whose in report["states"].items():
        for who, figures in whose.items():
            for figure, found in figures.items():
                label = figure if who == "savepoint" else who
                print(f"| {state} | {label} | {found['p50']:.3g} | {found['p99']:.3g} | {found['n']} |")
    for figure, values in report["values"].items():
        print(f"| | {figure} | {', '.join(map(str, values))} | | |")
    for what, why in report["failed"].items():
        print(f"FAILED {what}: {why}")


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--quick", action="store_true", help="for development; quote full runs only")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--max-seconds", type=float, default=600)
    chosen = arguments.parse_args()
    only = [name for name in chosen.only.split(",") if name]
    if chosen.json:
        chosen.json = chosen.json.resolve()
    # A rollback looks at the files in the working folder, for up to three milliseconds.
    with tempfile.TemporaryDirectory(prefix="savepoint-bench-") as folder:
        os.chdir(folder)
        report = _run(Bench(chosen), only)
        os.chdir("/")
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    table(report)
    for line in goals(report):
        print(line)
    return 0


def _run(bench: Bench, only: list[str]) -> dict[str, Any]:
    parts = {name: (bench.state, state) for name, state in SHORT.items()}
    for name, (act, *given) in {**parts, "rest": (bench.rest,), "gateway": (bench.gateway,)}.items():
        if (not only or name in only) and not bench.is_over():
            bench.take(name, act, *given)
    return bench.report()


if __name__ == "__main__":
    sys.exit(main())
