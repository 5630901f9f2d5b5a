"""What a trial counts and says: checks that passed, those that failed and why, and figures for the report."""

from __future__ import annotations

import sys
import threading
import time

#: Failures that are printed in full; a trial that goes wrong goes wrong often.
SAID_MAX = 40


class Tally:
    def __init__(self, suite: str, seed: int) -> None:
        self.suite, self.seed = suite, seed
        self.passed, self.failed = 0, 0
        self.figures: dict[str, object] = {}
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def check(self, holds: bool, what: str) -> bool:
        """Count one check; `what` is said when it does not hold."""
        with self._lock:
            if holds:
                self.passed += 1
            else:
                self.failed += 1
                if self.failed <= SAID_MAX:
                    print(f"FAIL {self.suite} (--seed {self.seed}): {what}", flush=True)
        return holds

    def add(self, name: str, number: float = 1) -> None:
        """Add to a figure."""
        with self._lock:
            self.figures[name] = self.figures.get(name, 0) + number  # type: ignore[operator]

    def progress(self, done: int, of: int, more: str = "") -> None:
        print(f"{self.suite}: {done} of {of} in {time.monotonic() - self._began:.0f} s{more and ', ' + more}", flush=True)

    def end(self) -> int:
        """Say all figures and the sum; the exit code."""
        for name, value in self.figures.items():
            print(f"  {name}: {round(value, 3) if isinstance(value, float) else value}")
        print(f"  {time.monotonic() - self._began:.0f} s with --seed {self.seed}")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        sys.stdout.flush()
        return 1 if self.failed or not self.passed else 0
