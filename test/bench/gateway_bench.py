#!/usr/bin/env python3
"""Measure Jupyter gateways side by side over REST and WebSocket, interleaved round by round.

  gateway_bench.py [--server NAME ...] [--quick] [--only kernel_start,rtt,...] [--json FILE]

Without --server: jupyter_server, kernel_gateway and enterprise_gateway as `setup` installed them, with ipykernel, and
the build of this checkout (`savepoint`). Times vary by a quarter from run to run and more from machine to machine:
compare gateways of one run, and quote ratios. Run it with the Python that `setup` prints.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from gateway_measures import EVERY, GatewayMeasures
from gateways import OURS, PEERS, Gateway
from machine import facts, stats
from websocket import Timeout, now

# Figure, percentile, and the largest ratio to the best peer that it may have.
RATIOS_MAX: dict[str, tuple[str, float]] = {
    "execute_idle_v1": ("p50", 0.03),
    "execute_idle_acknowledged_at_once": ("p50", 0.3),
    "post_to_first_execute_reply": ("p50", 0.04),
    "start_20_all_executed": ("p50", 0.08),
    "restart_to_execute_reply": ("p50", 0.12),
    "10_clients_500_displays": ("p50", 0.3),
    "display_10k": ("p50", 0.25),
    "GET_api_during_print_50mb": ("p99", 0.1),
}
MILLISECONDS_MAX = {"post_execute_20_at_once": 15.0}


def measure(names: list[str], chosen: argparse.Namespace) -> dict[str, Any]:
    """Take all rounds; the report as it is written to a file."""
    measures = GatewayMeasures(names, chosen.quick)
    only = [name for name in chosen.only.split(",") if name]
    gateways = [Gateway(name) for name in names]
    begun, done = now(), 0
    try:
        up = [gateway for gateway in gateways if started(measures, gateway)]
        for round_ in range(chosen.rounds or (1 if chosen.quick else 4)):
            spent = now() - begun
            if round_ and spent + spent / round_ > chosen.max_seconds:
                print(f"stopped after {round_} rounds for --max-seconds", file=sys.stderr)
                break
            for position, (name, every) in enumerate(EVERY.items()):
                if (only and name not in only) or round_ % every:
                    continue
                # Each gateway is first, in the middle and last equally often.
                shift = (round_ + position) % max(len(up), 1)
                for gateway in up[shift:] + up[:shift]:
                    take(measures, name, gateway, round_)
            done += 1
            print(f"round {done} done after {now() - begun:.0f} s", file=sys.stderr)
    finally:
        for gateway in gateways:
            gateway.drop()
            gateway.stop()
    return {"facts": facts(), "rounds": done, "gateways": {name: report(measures, name) for name in names}}


def started(measures: GatewayMeasures, gateway: Gateway) -> bool:
    try:
        measures.start(gateway)
        return True
    except (RuntimeError, OSError) as error:
        measures.failed[gateway.name]["server"] = str(error)
        print(error, file=sys.stderr)
        return False


def take(measures: GatewayMeasures, name: str, gateway: Gateway, round_: int) -> None:
    if name in measures.failed[gateway.name]:
        return
    try:
        getattr(measures, name)(gateway, round_)
    except Exception as error:  # noqa: BLE001 -- whatever a peer does, the others are measured
        measures.failed[gateway.name][name] = f"{type(error).__name__}: {error}"[:200]
        if not isinstance(error, Timeout):
            traceback.print_exc()
        gateway.drop()


def report(measures: GatewayMeasures, name: str) -> dict[str, Any]:
    values = {
        key: stats(found, 1) if isinstance(found[0], (int, float)) and not isinstance(found[0], bool) else found
        for key, found in measures.values[name].items()
    }
    times = {key: stats(found) for key, found in measures.samples[name].items()}
    return {"ms": times, "values": values, "failed": measures.failed[name]}


def show(told: dict[str, Any]) -> None:
    """A table: figures down, gateways across; then goals."""
    gateways = told["gateways"]
    names = list(gateways)
    print(f"{'p50, ms':44}" + "".join(f"{name:>20}" for name in names))
    for kind in ("ms", "values"):
        for figure in dict.fromkeys(key for name in names for key in gateways[name][kind]):
            cells = [shown(gateways[name][kind].get(figure)) for name in names]
            print(f"{figure:44}" + "".join(f"{cell:>20}" for cell in cells))
    for name in names:
        for what, why in gateways[name]["failed"].items():
            print(f"FAILED {name} {what}: {why}")
    for line in goals(gateways):
        print(line)


def shown(found: Any) -> str:
    if found is None:
        return "-"
    return f"{found['p50']:.3g}" if isinstance(found, dict) else str(all(found))


def goals(gateways: dict[str, Any]) -> list[str]:
    ours = gateways.get(OURS, {}).get("ms", {})
    lines = []
    for figure, (at, most) in RATIOS_MAX.items():
        peers = [found["ms"][figure][at] for name, found in gateways.items() if name != OURS and figure in found["ms"]]
        # A peer that loses output is no measure for how fast it can be delivered.
        if figure == "display_10k":
            peers = [
                found["ms"][figure][at]
                for name, found in gateways.items()
                if name != OURS and all(found["values"].get("display_10k_complete_in_order", [False]))
            ]
        if figure not in ours or not peers:
            continue
        ratio = ours[figure][at] / min(peers)
        verdict = "reached" if ratio <= most else "MISSED"
        lines.append(f"goal {figure} {at}: {ratio:.3f} of the best peer, at most {most}: {verdict}")
    for figure, most in MILLISECONDS_MAX.items():
        if figure in ours:
            verdict = "reached" if ours[figure]["p50"] <= most else "MISSED"
            lines.append(f"goal {figure} p50: {ours[figure]['p50']:.1f} ms, at most {most}: {verdict}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", action="append", choices=(*PEERS, OURS))
    parser.add_argument("--only", default="", help="measures, separated by commas")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="few samples, for development")
    parser.add_argument("--max-seconds", type=float, default=900)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="savepoint-bench-") as folder:
        os.environ["SAVEPOINT_DATA_DIR"] = folder
        told = measure(chosen.server or [*PEERS, OURS], chosen)
    if chosen.json:
        chosen.json.write_text(json.dumps(told, indent=1), encoding="utf-8")
    show(told)


if __name__ == "__main__":
    main()
