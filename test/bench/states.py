"""The states that transactions are measured on: cells that make them, and cells that change them in place."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class State(NamedTuple):
    """One state. `mib` is how much it is, `rounds` and `times` how often each thing is measured in it."""

    name: str
    mib: int
    make: str
    #: Changes a tenth of it, or one object, in place.
    rewrite: str
    touch: str
    #: Reads all of it.
    read: str
    rounds: int
    times: int
    #: How much of it peers get that copy object by object: for all of it they take minutes.
    peers_share: float = 1.0


def _array(name: str, mib: int, rounds: int, times: int) -> State:
    count = mib * 131072
    return State(
        name,
        mib,
        f"import numpy\nstate = numpy.ones({count})",
        f"state[:{count // 10}] += 1",
        "state[5] += 1",
        "state.sum()",
        rounds,
        times,
    )


def _objects(name: str, count: int, share: float) -> State:
    return State(
        name,
        1024,
        f"state = [[number] for number in range({count})]",
        f"for each in state[:{count // 10}]: each[0] += 1",
        "state[5][0] += 1",
        "sum(map(len, state))",
        3,
        8,
        share,
    )


STATES = (
    _array("10 MB of numpy", 10, 4, 25),
    _array("1 GB of numpy", 1024, 4, 20),
    _array("10 GB of numpy", 10240, 3, 8),
    _objects("1 GB of small objects", 9_000_000, 0.02),
)
#: Memory in MiB that a state takes while it is measured, beside itself: what is rewritten, and a snapshot's own pages.
SPARE_MIB = 1500


def available_mib() -> int:
    """Memory that is to be had now."""
    for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
        if line.startswith("MemAvailable"):
            return int(line.split()[1]) // 1024
    raise RuntimeError("no MemAvailable")
