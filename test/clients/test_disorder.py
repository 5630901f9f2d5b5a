"""Hundreds of cells of every kind in one kernel, from a seed: nothing hangs or is lost, each has one reply (EX-2).

`DISORDER_SEEDS=3-7` and `DISORDER_CELLS=200` choose others; the slow tests have 20 seeds of 500 cells.
"""

from __future__ import annotations

import os
import sys
import unittest

from support.case import fresh_kernel, main
from support.client import Client
from support.disorder import Day
from support.subject import ours

SLOW = os.environ.get("RUN_SLOW") == "1"


def seeds() -> range:
    first, _, last = os.environ.get("DISORDER_SEEDS", "1-20" if SLOW else "1").partition("-")
    return range(int(first), int(last or first) + 1)


def cells() -> int:
    return int(os.environ.get("DISORDER_CELLS", "500" if SLOW else "120"))


class Disorder(unittest.TestCase):
    @ours
    def test_a_long_mixed_day(self) -> None:
        for seed in seeds():
            with self.subTest(seed=seed):
                self.spend_a_day(seed)

    def spend_a_day(self, seed: int) -> None:
        manager, client = fresh_kernel(
            self, extra_arguments=["--recover"], env={**os.environ, "SAVEPOINT_KERNEL_SUBSHELLS": "on"}
        )
        other = Client.connect(manager.connection_file)
        try:
            day = Day(seed, client, other, manager)
            day.live(cells())
            if SLOW:
                print(f"seed {seed}: {len(day.cells)} cells", file=sys.stderr, flush=True)
        finally:
            other.close()
            client.close()
            manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()
