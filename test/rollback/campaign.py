#!/usr/bin/env python3
"""Random steps on real kernels, beside a model of them in plain Python: assignments and changes in place, cells with
policies that fail or end their process, begin, savepoints, rollback, release, commit; with a guard also undo, redo and ends
of the process at any time; and forks, in a gateway.

    campaign.py [--steps N] [--seed S]

After every step the kernel's answer and its whole state, shared parts included, have to be those of the model. The seed
is printed; with it the same steps are done again. Steps that led to a difference are shortened before they are shown.
The last line is `N passed, N failed`, counted in hundreds of steps.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients"), str(HERE.parent / "gateway-clients")]

from model import Model, Step  # noqa: E402
from steps import Hands, Wrong, random_step  # noqa: E402
from subjects import Subject, of_gateway, of_kernelspec  # noqa: E402

Started = Callable[[], AbstractContextManager[Subject]]
KINDS: tuple[Started, ...] = (lambda: of_kernelspec(False), of_gateway, lambda: of_kernelspec(True))
#: A kernel takes this many steps, then there is a new one; so what led to a difference is no longer than that.
A_KERNEL = 500
SHORTEN_S = 60.0
SHOWN = 30


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=None)
    options = parser.parse_args()
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(2**32)
    print(f"seed {seed}: campaign.py --seed {seed} --steps {options.steps} does the same again", flush=True)
    began, counts, done = time.monotonic(), Counter[str](), 0
    for part in range(0, options.steps, A_KERNEL):
        started = KINDS[part // A_KERNEL % len(KINDS)]
        taken, wrong = _part(started, random.Random(f"{seed} {part}"), min(A_KERNEL, options.steps - part), counts)
        done += len(taken)
        if wrong is not None:
            print(f"after {done} steps: {wrong}")
            for step in _shortened(started, taken)[-SHOWN:]:
                print(f"    {step!r}")
            print(f"{done // 100} passed, 1 failed")
            return 1
        print(f"  {done} steps after {time.monotonic() - began:.0f} s", flush=True)
    seconds = time.monotonic() - began
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.most_common())
    print(f"{done} steps in {seconds:.1f} s ({1000 * seconds / done:.1f} ms each): {listed}")
    print(f"{done // 100} passed, 0 failed")
    return 0


def _part(
    started: Started, choose: random.Random, size: int, counts: Counter[str]
) -> tuple[list[Step], Exception | None]:
    """The steps that one kernel took, and what went wrong with the last of them."""
    taken: list[Step] = []
    model = Model()
    with started() as subject:
        hands = Hands(subject)
        for _ in range(size):
            step = random_step(choose, model, subject)
            taken.append(step)
            counts[step.kind] += 1
            if wrong := _differs(hands, model, step):
                return taken, wrong
    return taken, None


def _differs(hands: Hands, model: Model, step: Step) -> Exception | None:
    try:
        hands.do(step, model)
        hands.look(model.canonical())
    except (Wrong, TimeoutError, AssertionError) as error:
        return error
    return None


def _shortened(started: Started, steps: list[Step]) -> list[Step]:
    """Fewer steps that end in a difference, too; those found within a minute."""
    deadline = time.monotonic() + SHORTEN_S
    size = max(1, len(steps) // 2)
    while time.monotonic() < deadline:
        for begin in range(0, len(steps) - 1, size):
            fewer = steps[:begin] + steps[min(begin + size, len(steps) - 1) :]
            if time.monotonic() < deadline and (found := _still_differs(started, fewer)):
                steps = found
                break
        else:
            if size == 1:
                break
            size //= 2
    return steps


def _still_differs(started: Started, steps: list[Step]) -> list[Step] | None:
    """The steps up to that which differs."""
    model = Model()
    with started() as subject:
        hands = Hands(subject)
        for at, step in enumerate(steps):
            if _differs(hands, model, step):
                return steps[: at + 1]
    return None


if __name__ == "__main__":
    sys.exit(main())
