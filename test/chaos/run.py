#!/usr/bin/env python3
"""Savepoint tried by force, from outside: `npm run chaos -- SUITE [--long] [--seed N] [--rounds N]`.

Without a suite all of them run in their short form. What a suite tries, and what came of the long form, is in
docs/reliability.md. Each says its seed; the same seed tries the same things, at moments that the machine decides.
The last line is `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import importlib
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from service import CHECKOUT  # noqa: E402
from tally import Tally  # noqa: E402


class Suite(NamedTuple):
    short: int
    """Rounds, or whatever is counted, of the short form."""
    long: int
    module: str | None
    """With `run(seed, rounds, tally)`; None: a program of build/test/chaos that takes rounds and seed."""
    program: str = ""


SUITES = {
    "gateway-kill": Suite(3, 100, "gateway_kill"),
    "process-kill": Suite(5, 100, "process_kill"),
    "load": Suite(15, 600, None, "load"),
    "fuzz-frames": Suite(20_000, 1_000_000, None, "fuzz-frames"),
    "fuzz-http": Suite(2_000, 100_000, "fuzz_http"),
    "tokens": Suite(500, 10_000, "tokens"),
    "shutdown": Suite(1, 100, "shutdown"),
}


def main() -> int:
    # Whoever ends us, what was started is ended first; a shell's background jobs ignore SIGINT otherwise.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    parser = argparse.ArgumentParser(prog="npm run chaos --", description=__doc__.partition("\n")[0])
    parser.add_argument("suites", nargs="*", metavar="SUITE", help=", ".join(SUITES))
    parser.add_argument("--long", action="store_true", help="the long form, which takes minutes to hours")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--rounds", type=int, default=None, help="how often, instead of what the form says")
    given, more = parser.parse_known_args()
    if unknown := [name for name in given.suites if name not in SUITES]:
        parser.error(f"there is no suite {', '.join(unknown)}; there are {', '.join(SUITES)}")
    seed = random.randrange(1 << 31) if given.seed is None else given.seed
    passed = failed = 0
    for name in given.suites or SUITES:
        suite = SUITES[name]
        rounds = given.rounds or (suite.long if given.long else suite.short)
        print(f"== {name} --seed {seed} --rounds {rounds}", flush=True)
        good, bad = _run(name, suite, seed, rounds, more, given.long)
        passed, failed = passed + good, failed + bad
    print(f"{passed} passed, {failed} failed", flush=True)
    return 1 if failed or not passed else 0


def _run(name: str, suite: Suite, seed: int, rounds: int, more: list[str], long: bool) -> tuple[int, int]:
    if suite.module is None:
        program = str(CHECKOUT / "build" / "test" / "chaos" / f"{suite.program}.js")
        line = ["node", "--expose-gc", program, str(rounds), str(seed), *more, *(["--long"] if long else [])]
        said = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        assert said.stdout is not None
        last = ""
        for last in said.stdout:
            print(last, end="", flush=True)
        words = last.split()
        counts = (int(words[0]), int(words[2])) if said.wait() in (0, 1) and len(words) == 4 else (0, 1)
        return counts
    tally = Tally(name, seed)
    module = importlib.import_module(suite.module)
    try:
        module.run(seed, rounds, tally, **({"long": long} if getattr(module, "TAKES_FORM", False) else {}))
    except Exception as error:
        import traceback

        traceback.print_exc()
        tally.check(False, f"the trial itself ended with {error!r}")
    tally.end()
    return tally.passed, tally.failed


if __name__ == "__main__":
    sys.exit(main())
