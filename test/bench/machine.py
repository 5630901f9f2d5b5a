"""Figures about processes and samples, and the facts about this machine that go with them."""

from __future__ import annotations

import glob
import os
import platform
import statistics
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import psutil
import zmq


def tree(roots: Iterable[int]) -> set[int]:
    """The pids of these processes and of all that descend from them."""
    found: set[int] = set()
    for root in roots:
        try:
            process = psutil.Process(root)
            found.add(process.pid)
            found.update(child.pid for child in process.children(recursive=True))
        except psutil.Error:
            continue
    return found


def memory(pids: Iterable[int]) -> dict[str, float]:
    """Sums of resident (rss), proportional (pss) and private (uss) memory of processes, in MiB."""
    total = {"rss": 0, "pss": 0, "uss": 0}
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as rollup:
                lines = rollup.readlines()
        except OSError:
            continue
        for line in lines:
            key, _, value = line.partition(":")
            if key == "Rss":
                total["rss"] += int(value.split()[0])
            elif key == "Pss":
                total["pss"] += int(value.split()[0])
            elif key in ("Private_Clean", "Private_Dirty"):
                total["uss"] += int(value.split()[0])
    return {key: round(kib / 1024, 2) for key, kib in total.items()}


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor time used so far by all threads of processes."""
    nanoseconds = 0
    for pid in pids:
        for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
            try:
                with open(path, encoding="ascii") as schedstat:
                    nanoseconds += int(schedstat.read().split()[0])
            except OSError:
                continue
    return nanoseconds / 1e9


def stats(samples: Iterable[float], scale: float = 1e3) -> dict[str, float]:
    """Percentiles of samples, which are seconds and come out as milliseconds unless `scale` says otherwise."""
    ordered = sorted(sample * scale for sample in samples)

    def at(fraction: float) -> float:
        return ordered[min(len(ordered) - 1, int(fraction * len(ordered)))]

    summary = {"n": len(ordered), "min": ordered[0], "p50": statistics.median(ordered), "p90": at(0.9), "p99": at(0.99)}
    return {key: round(value, 4) for key, value in {**summary, "max": ordered[-1]}.items()}


def facts() -> dict[str, Any]:
    """What a reader needs to know to compare the figures of two machines."""
    versions = {}
    for package in ("ipykernel", "ipython", "xeus-python", "jupyter_client", "pyzmq"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "linux": platform.release(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg(),
        "versions": versions,
        "libzmq": zmq.zmq_version(),
        "time": time.strftime("%F %T"),
    }
