#!/usr/bin/env python3
"""What a kernel of our gateway costs, waiting, leased and used: memory and processor time per worker.

  gateway_memory.py [--kernels N] [--mappings]     (or: npm run bench -- --gateway-memory ...)

`available` is the fall of MemAvailable per kernel, everything included (page tables, sockets, Node's share); on a
machine where others work it is the least certain. `node` is the growth of Node's own memory per kernel.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from gateways import OURS, Gateway
from machine import cpu_seconds, tree
from websocket import V1, WebSocket

KEYS = ("Pss", "Private_Dirty", "Pss_Anon", "AnonHugePages")
SETTLE_S = 1.5


def available() -> int:
    """MemAvailable in KiB."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1])
    raise RuntimeError("no MemAvailable")


def rollup(pid: int) -> dict[str, int]:
    """KiB of one process, and its page tables."""
    found: dict[str, int] = {}
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
        key, _, value = line.partition(":")
        if key in KEYS:
            found[key] = int(value.split()[0])
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmPTE"):
            found["page_tables"] = int(line.split()[1])
    return found


def mappings(pid: int) -> dict[str, int]:
    """KiB that the process has changed, by what is mapped there."""
    dirty: dict[str, int] = defaultdict(int)
    name = ""
    for line in Path(f"/proc/{pid}/smaps").read_text(encoding="ascii").splitlines():
        first = line.split(None, 1)[0]
        if not first.endswith(":"):
            parts = line.split(None, 5)
            name = parts[5] if len(parts) > 5 else "anonymous"
        elif first == "Private_Dirty:":
            dirty[os.path.basename(name)] += int(line.split()[1])
    return dirty


def workers(gateway: Gateway) -> list[int]:
    """The processes below the zygotes."""
    found = tree(gateway.pids) - set(gateway.pids)
    return sorted(pid for pid in found if _parent(pid) not in gateway.pids)


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[1])


class Stage:
    """A state of N kernels, compared with the one before any of them."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.before_available, self.before_node = available(), rollup(gateway.pids[0])["Pss"]

    def tell(self, name: str, count: int, pids: list[int], by_mapping: bool) -> None:
        """One line of figures per worker."""
        found = [rollup(pid) for pid in pids]
        mean = {key: sum(each.get(key, 0) for each in found) / len(found) / 1024 for key in (*KEYS, "page_tables")}
        spent = cpu_seconds(pids) / len(pids) * 1e3
        fell = (self.before_available - available()) / count / 1024
        node = (rollup(self.gateway.pids[0])["Pss"] - self.before_node) / count / 1024
        print(
            f"{name:8} {len(pids):4} workers: PSS {mean['Pss']:5.2f}  private dirty {mean['Private_Dirty']:5.2f}"
            f"  page tables {mean['page_tables']:4.2f}  huge {mean['AnonHugePages']:4.2f}  node {node:5.2f}"
            f"  available {fell:5.2f} MiB  cpu {spent:5.1f} ms",
            flush=True,
        )
        if by_mapping:
            dirty: dict[str, int] = defaultdict(int)
            for pid in pids:
                for key, kib in mappings(pid).items():
                    dirty[key] += kib
            top = sorted(dirty.items(), key=lambda item: -item[1])[:8]
            print("         " + ", ".join(f"{key} {kib / len(pids):.0f} KiB" for key, kib in top))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", type=int, default=50)
    parser.add_argument("--mappings", action="store_true", help="what the private memory is")
    parser.add_argument("--code", default="pass", help="what the cell is")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="savepoint-bench-") as folder:
        os.environ["SAVEPOINT_DATA_DIR"] = folder
        gateway = Gateway(OURS)
        gateway.command += f" --pool-size {chosen.kernels}"
        _measure(gateway, chosen)


def _measure(gateway: Gateway, chosen: argparse.Namespace) -> None:
    count = chosen.kernels
    gateway.start()
    try:
        while gateway.rest("GET", "/api/savepoint/pool")[1]["states"].get("ready", 0) < count:
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        stage = Stage(gateway)
        waiting = workers(gateway)
        stage.tell("waiting", count, waiting, chosen.mappings)
        kernels = [gateway.new_kernel() for _ in range(count)]
        while gateway.rest("GET", "/api/savepoint/pool")[1]["states"].get("ready", 0) < count:
            time.sleep(0.1)
        time.sleep(SETTLE_S)
        # As many wait again, so that the difference is what kernels cost.
        leased = [pid for pid in waiting if os.path.exists(f"/proc/{pid}")]
        stage.tell("leased", count, leased, chosen.mappings)
        for kernel in kernels:
            socket = WebSocket(gateway.rest, kernel, V1)
            socket.ready()
            socket.run(chosen.code)
            socket.close()
        time.sleep(SETTLE_S)
        stage.tell("used", count, leased, chosen.mappings)
    finally:
        gateway.stop()


if __name__ == "__main__":
    main()
