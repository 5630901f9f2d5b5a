#!/usr/bin/env python3
"""Shows what a checkpoint keeps of objects: each sample is made in one process, which is ended with SIGKILL, and
looked at in a fresh one.

    run.py                   the brief samples
    run.py --all             all samples
    run.py WORD ...          all samples in whose names, or whose groups' names, is one of these words
    run.py --with dill       with a peer instead: pickle, cloudpickle, dill
    run.py --note            note in outcomes.txt which samples are not equal; then table.py --write

One process of each kind serves a group; one that ends too early costs the sample that it was at. The last line is
`N passed, N failed`.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "rollback"), str(HERE.parent / "python")]

from sample import Group, Sample  # noqa: E402
from samples import groups  # noqa: E402

TIMEOUT_S = 180.0
CHANGED_FILE = "the restore has changed a file"
NOTED = HERE / "outcomes.txt"


@dataclass
class Outcome:
    """What came of a sample."""

    #: equal: kept, and the comparison holds. lost: told, with the reason. named: kept, but for something that was told.
    #: wrong: none of these. broken: proves nothing.
    verdict: str
    #: What was said of it when it was saved.
    told: str = ""
    why: str = ""
    where: str = ""


class Playing:
    """A process that makes or looks, started anew whenever it has ended."""

    def __init__(self, task: str, engine: str) -> None:
        self._command = [sys.executable, "-W", "ignore", str(HERE / "process.py"), task, engine]
        self._process: subprocess.Popen[bytes] | None = None

    def ask(self, **request: Any) -> dict[str, Any]:
        """Its answer, or why there is none."""
        process = self._running()
        os.write(self._requests, json.dumps(request).encode() + b"\n")
        deadline = time.monotonic() + TIMEOUT_S
        answer = b""
        while not answer.endswith(b"\n"):
            ready, _, _ = select.select([self._answers], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(self._answers, 65536) if ready else b""
            if not piece:
                self.end()
                how = f"its process ended with {process.returncode}" if ready else "it hangs"
                return {"outcome": "crashed", "why": how}
            answer += piece
        return dict(json.loads(answer))

    def end(self) -> None:
        """Let it end itself, or end it."""
        process, self._process = self._process, None
        if process is None:
            return
        os.close(self._requests)
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(self._answers)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            for_requests, self._requests = os.pipe()
            self._answers, for_answers = os.pipe()
            given = (for_requests, for_answers)
            env = {**os.environ, "MPLBACKEND": "agg", "KERAS_BACKEND": "torch", "PYTHONHASHSEED": "random"}
            self._process = subprocess.Popen(
                [*self._command, *map(str, given)],
                pass_fds=given,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=sys.stderr if os.environ.get("VERBOSE") else subprocess.DEVNULL,
            )
            for each in given:
                os.close(each)
        return self._process


def try_group(group: Group, samples: list[Sample], engine: str) -> dict[str, Outcome]:
    """Outcomes by name."""
    with tempfile.TemporaryDirectory(prefix="savepoint-checkpoints-") as scratch:
        outcomes: dict[str, Outcome] = {}
        made: dict[str, Any] = {}
        requests = {
            sample.name: {
                "folder": f"{scratch}/{number}", "imports": group.imports, "make": sample.make, "check": sample.check
            }
            for number, sample in enumerate(samples)
        }  # fmt: skip
        maker = Playing("make", engine)
        for name, request in requests.items():
            answer = maker.ask(**request)
            if "told" in answer:
                made[name] = answer
            else:
                outcomes[name] = Outcome("broken", "", answer.get("why", ""), answer.get("where", ""))
        # From here on, nothing of what was made is left but files.
        maker.end()
        looker = Playing("look", engine)
        for name, answer in made.items():
            seen = looker.ask(**requests[name])
            told, reason = answer["told"]
            outcomes[name] = _judged(told, reason, answer["notes"], seen)
        looker.end()
    return outcomes


def _judged(told: str, reason: str, notes: str, seen: dict[str, Any]) -> Outcome:
    outcome, why = seen["outcome"], seen.get("why", "")
    if outcome == "wrong" and notes and why != CHANGED_FILE:
        return Outcome("named", told, f"{notes} ({why})", seen.get("where", ""))
    if outcome in ("raised", "crashed"):
        # The whole restore has failed, where one variable should have.
        return Outcome("wrong", told, f"{outcome}: {why}")
    if outcome == "lost" and told == "lost":
        why = reason or why
    return Outcome(outcome, told, why, seen.get("where", ""))


def main() -> int:
    """The exit code."""
    options = _arguments()
    outcomes: dict[tuple[str, str], Outcome] = {}
    began = time.monotonic()
    for group, samples in _chosen(options):
        started = time.monotonic()
        found = try_group(group, samples, options.engine)
        outcomes |= {(group.name, name): outcome for name, outcome in found.items()}
        print(f"      {group.name}: {len(found)} samples in {time.monotonic() - started:.1f} s", flush=True)
    noted = _noted()
    bad = []
    for key, outcome in outcomes.items():
        full = " / ".join(key)
        expected = noted.get(full, "equal")
        if options.engine != "savepoint" or outcome.verdict != expected:
            if options.engine == "savepoint" and not (options.note and outcome.verdict != "broken"):
                bad.append(key)
            if outcome.verdict != "equal":
                print(f"{'FAIL ' if key in bad else '     '} {full}: {outcome.verdict} (told {outcome.told}): {outcome.why}")
                if os.environ.get("WHERE") and outcome.where:
                    print(outcome.where)
    counts = Counter(outcome.verdict for outcome in outcomes.values())
    told = Counter(outcome.told for outcome in outcomes.values() if outcome.verdict == "equal")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())), dict(told))
    print(f"      together {time.monotonic() - began:.1f} s")
    if options.note:
        lines = [f"{outcome.verdict}: {' / '.join(key)}\n" for key, outcome in outcomes.items() if outcome.verdict != "equal"]
        NOTED.write_text("".join(sorted(lines)), encoding="utf-8")
    if options.save:
        rows = [{"group": key[0], "name": key[1], **vars(outcome)} for key, outcome in outcomes.items()]
        Path(options.save).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    print(f"{len(outcomes) - len(bad)} passed, {len(bad)} failed", flush=True)
    return 1 if bad or not outcomes else 0


def _noted() -> dict[str, str]:
    """Verdicts of the samples that are not equal."""
    lines = NOTED.read_text(encoding="utf-8").splitlines() if NOTED.exists() else []
    return {name: verdict for verdict, _, name in (line.partition(": ") for line in lines)}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--note", action="store_true")
    parser.add_argument("--save", metavar="FILE", help="write the outcomes as JSON")
    parser.add_argument(
        "--with", dest="engine", default="savepoint", choices=("savepoint", "pickle", "cloudpickle", "dill")
    )
    return parser.parse_args()


def _chosen(options: argparse.Namespace) -> list[tuple[Group, list[Sample]]]:
    found = []
    for group in groups():
        samples = [sample for sample in group.samples if _is_wanted(group, sample, options)]
        if not samples:
            continue
        if group.package and find_spec(group.package) is None:
            print(f"skip  {group.name}: {group.package} is not installed")
            continue
        found.append((group, samples))
    return found


def _is_wanted(group: Group, sample: Sample, options: argparse.Namespace) -> bool:
    if sys.version_info < sample.needs or (sample.package and find_spec(sample.package) is None):
        return False
    full = f"{group.name} / {sample.name}".lower()
    return any(word.lower() in full for word in options.words) if options.words else options.all or sample.brief


if __name__ == "__main__":
    sys.exit(main())
