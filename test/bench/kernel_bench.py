#!/usr/bin/env python3
"""Measure Jupyter kernels side by side, interleaved round by round.

  kernel_bench.py [--kernel NAME_OR_FOLDER ...] [--quick] [--only startup,rtt,...] [--json FILE]

Without --kernel: ipykernel and xeus-python as `setup` installed them, and the build of this checkout (`savepoint`).
Times vary by a quarter from run to run and more from machine to machine: compare kernels of one run, and quote ratios.
Run it with the Python that `setup` prints.
"""

from __future__ import annotations

import argparse
import json
import sys
import traceback
from pathlib import Path
from typing import Any

from machine import facts, stats
from measures import EVERY, Measures
from wire import Timeout, now

PEERS, OURS = ("ipykernel", "xpython"), "savepoint"
DEFAULT_KERNELS = (*PEERS, OURS)
# Figure, and the largest ratios to ipykernel and to xeus-python that it may have; None: no goal.
RATIOS_MAX: dict[str, tuple[float | None, float | None]] = {
    "execute_idle": (0.28, 0.6),
    "first_stream": (0.45, 0.7),
    "print_flush_10k_lines": (0.15, 0.8),
    "display_10k": (0.1, 1.0),
    "print_100k_lines": (0.4, None),
    "print_10mb": (1.0, 1.0),
    "complete": (None, 1.0),
    "inspect": (None, 1.0),
    "input_reply_to_execute_reply": (0.3, None),
    "comm_10mb": (1.0, None),
    "start_to_first_execute": (0.75, None),
    "restart_now_to_execute": (0.2, None),
    "restart_polite_to_execute": (0.2, None),
    "shutdown_to_exit": (None, 1.0),
    "interrupt_loop": (0.2, None),
}
# The same of figures that are better when they are larger: the smallest ratios.
RATIOS_MIN: dict[str, tuple[float | None, float | None]] = {"pipelined_cells_per_s": (5.0, 1.1)}
MILLISECONDS_MAX = {
    "stream_noflush_in_running_cell": 10.0,
    "link_execute": 0.62,
    "link_first_output": 1.12,
    "begin_told": 2.0,
    "rollback_told": 10.0,
}


def measure(names: list[str], chosen: argparse.Namespace) -> dict[str, Any]:
    """Take all rounds; the report as it is written to a file."""
    shared = {
        name: {int(pid) for pid in pids.split(",")} for name, _, pids in (s.partition("=") for s in chosen.shared)
    }
    measures = Measures(names, chosen.quick, shared)
    only = [name for name in chosen.only.split(",") if name]
    begun, done = now(), 0
    try:
        for round_ in range(chosen.rounds or (2 if chosen.quick else 5)):
            spent = now() - begun
            if round_ and spent + spent / round_ > chosen.max_seconds:
                print(f"stopped after {round_} rounds for --max-seconds", file=sys.stderr)
                break
            for position, (name, every) in enumerate(EVERY.items()):
                if (only and name not in only) or round_ % every:
                    continue
                # Each kernel is first, in the middle and last equally often.
                shift = (round_ + position) % len(names)
                for kernel in names[shift:] + names[:shift]:
                    take(measures, name, kernel, round_)
            done += 1
            print(f"round {done} done after {now() - begun:.0f} s", file=sys.stderr)
    finally:
        for kernel in list(measures.live):
            measures.drop(kernel)
    return {
        "machine": facts(),
        "rounds": done,
        "seconds": round(now() - begun, 1),
        "kernels": {
            name: {
                "ms": {figure: stats(samples) for figure, samples in measures.samples[name].items()},
                "values": {figure: summary(values) for figure, values in measures.values[name].items()},
                "failed": measures.failed[name],
            }
            for name in names
        },
    }


def take(measures: Measures, name: str, kernel: str, round_: int) -> None:
    """One measure of one kernel; a kernel that fails it is not asked for it again."""
    if name in measures.failed[kernel]:
        return
    try:
        getattr(measures, name)(kernel, round_)
    except Exception as error:
        measures.failed[kernel][name] = f"{type(error).__name__}: {error}"[:200]
        if not isinstance(error, Timeout):
            traceback.print_exc()
        measures.drop(kernel)


def summary(values: list[Any]) -> Any:
    is_number = isinstance(values[0], (int, float)) and not isinstance(values[0], bool)
    return stats(values, 1) if is_number else values


def cell(figures: dict[str, Any], kind: str, figure: str) -> str:
    value = figures[kind].get(figure)
    if value is None:
        return "FAIL" if any(figure.startswith(f) or f.startswith(figure) for f in figures["failed"]) else "-"
    if not isinstance(value, dict):
        return " ".join(sorted({str(each)[:40] for each in value}))
    if value["n"] >= 20:
        return f"{value['p50']:.4g} / {value['p99']:.4g}"
    return f"{value['p50']:.4g}" + (f" ({value['min']:.4g}..{value['max']:.4g})" if value["n"] > 1 else "")


def table(report: dict[str, Any]) -> None:
    """All figures of all kernels, as a table in Markdown."""
    kernels = report["kernels"]
    print(f"| figure (p50 / p99, or p50 (min..max)) | {' | '.join(kernels)} |")
    print("|---" * (len(kernels) + 1) + "|")
    for kind, unit in (("ms", " [ms]"), ("values", "")):
        for figure in dict.fromkeys(figure for figures in kernels.values() for figure in figures[kind]):
            print(f"| {figure}{unit} | {' | '.join(cell(figures, kind, figure) for figures in kernels.values())} |")
    for name, figures in kernels.items():
        for figure, why in figures["failed"].items():
            print(f"FAILED {name} {figure}: {why}")


def goals(report: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """What was to be reached of this run's figures: (figure, reached, goal, whether it was)."""
    kernels = report["kernels"]
    if OURS not in kernels:
        return []
    ours, reached = kernels[OURS], []
    for kind, bounds, sign, word in (("ms", RATIOS_MAX, 1, "at most"), ("values", RATIOS_MIN, -1, "at least")):
        for figure, limits in bounds.items():
            for peer, limit in zip(PEERS, limits, strict=True):
                theirs = kernels.get(peer, {kind: {}})[kind].get(figure)
                if limit is None or not theirs or figure not in ours[kind]:
                    continue
                ratio = ours[kind][figure]["p50"] / theirs["p50"]
                reached.append((f"{figure}, ratio to {peer}", ratio, f"{word} {limit:g}", sign * (ratio - limit) <= 0))
    for figure, limit in MILLISECONDS_MAX.items():
        if figure in ours["ms"]:
            p50 = ours["ms"][figure]["p50"]
            reached.append((f"{figure}, ms", p50, f"at most {limit:g}", p50 <= limit))
    return reached


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--kernel", action="append")
    arguments.add_argument("--json", type=Path)
    arguments.add_argument("--rounds", type=int)
    arguments.add_argument("--quick", action="store_true", help="for development; quote full runs only")
    arguments.add_argument("--only", default="", help=f"of {', '.join(EVERY)}")
    arguments.add_argument("--shared", action="append", default=[], metavar="NAME=PID,...")
    arguments.add_argument("--max-seconds", type=float, default=290)
    chosen = arguments.parse_args()
    report = measure(chosen.kernel or list(DEFAULT_KERNELS), chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(report, indent=1), encoding="utf-8")
    table(report)
    for figure, value, goal, is_reached in goals(report):
        print(f"{'reached' if is_reached else 'MISSED '}  {figure}: {value:.3g} ({goal})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
