#!/usr/bin/env python3
"""Proves that a rollback brings everything back: the rows of the table, each in a real kernel.

    run.py                    the brief rows, and that docs/transactions.md shows the rows that are here
    run.py --all              all rows
    run.py WORD ...           all rows in whose names, or whose groups' names, is one of these words
    run.py --engine objects   with another engine: each row comes back, or is named in `limits`
    run.py --transplant       as if a library's threads kept copies from being the worker: likewise
    run.py --untouched        what the rows say, without anything that changes it: for who writes a row

One kernel serves a group. The last line is `N passed, N failed`.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "clients")]

import table  # noqa: E402
from row import Group, Row  # noqa: E402
from rows import groups  # noqa: E402
from support.client import Client, start_kernel, stop_kernel  # noqa: E402
from trial import EQUAL, WRONG, Broken, Outcome, Transaction, attempt, prepare  # noqa: E402

def main() -> int:
    """The exit code."""
    options = _arguments()
    transaction: Transaction = None if options.untouched else {"policy": "rollback_on_failure"}
    if options.engine and transaction:
        transaction["engine"] = options.engine
    outcomes: dict[tuple[str, str], Outcome | Broken] = {}
    for kernel, chosen in _by_kernel(options).items():
        began = time.monotonic()
        found = _try_groups(chosen, transaction, options.transplant)
        outcomes |= found
        print(f"      {kernel}: {len(found)} rows in {time.monotonic() - began:.1f} s", flush=True)
    counts = Counter(_verdict(outcome) for outcome in outcomes.values())
    rows = {(group.name, row.name): row for group in groups() for row in group.rows}
    bad = [key for key, outcome in outcomes.items() if _is_bad(rows[key], outcome, options)]
    way = "objects" if options.engine == "objects" else "transplant" if options.transplant else None
    if way is not None:
        found = [" / ".join(key) for key, outcome in outcomes.items() if _verdict(outcome) != EQUAL]
        if options.write:
            table.write_named(way, found)
        known = set(table.named_by(way) or ())
        for key in outcomes.keys() - set(bad):
            if (" / ".join(key) in known) != (" / ".join(key) in found):
                outcomes[key].why += f", which is not what outcomes/{way}.txt says"
                bad.append(key)
    for key in bad:
        outcome = outcomes[key]
        print(f"FAIL  {' / '.join(key)}: {_verdict(outcome)}: {outcome}")
    print(", ".join(f"{count} {verdict}" for verdict, count in sorted(counts.items())))
    stale = table.is_stale(groups())
    if stale:
        print("FAIL  docs/transactions.md does not show the rows that are here: test/rollback/table.py --write")
    print(f"{len(outcomes) - len(bad) + (not stale)} passed, {len(bad) + stale} failed", flush=True)
    return 1 if bad or stale or not outcomes else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="WORD")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--transplant", action="store_true")
    parser.add_argument("--write", action="store_true", help="note which rows are named by such an engine or mode")
    parser.add_argument("--untouched", action="store_true")
    parser.add_argument("--engine", choices=("auto", "fork", "objects"))
    return parser.parse_args()


def _by_kernel(options: argparse.Namespace) -> dict[str, list[tuple[Group, list[Row]]]]:
    """The rows that are wanted, by the kernel that tries them: one for each library, or one for all if they are few."""
    found: dict[str, list[tuple[Group, list[Row]]]] = {}
    for group in groups():
        rows = _chosen(group, options)
        if not rows:
            continue
        if group.package and find_spec(group.package) is None:
            print(f"skip  {group.name}: {group.package} is not installed")
            continue
        kernel = (group.package or "standard library") if options.all else "one kernel"
        found.setdefault(kernel, []).append((group, rows))
    return found


def _chosen(group: Group, options: argparse.Namespace) -> list[Row]:
    def wanted(row: Row) -> bool:
        full = f"{group.name} / {row.name}".lower()
        return any(word.lower() in full for word in options.words) if options.words else options.all or row.brief

    return [row for row in group.rows if wanted(row) and sys.version_info >= row.needs]


class _Spoiled(Exception):
    """A kernel is of no more use."""


def _try_groups(
    chosen: list[tuple[Group, list[Row]]], transaction: Transaction, transplant: bool
) -> dict[tuple[str, str], Outcome | Broken]:
    outcomes: dict[tuple[str, str], Outcome | Broken] = {}
    waiting = list(chosen)
    while waiting:
        manager, client = start_kernel()
        try:
            while waiting:
                group, rows = waiting.pop(0)
                prepare(client, group)
                while rows:
                    row = rows.pop(0)
                    outcomes[group.name, row.name] = outcome = _try(client, row, transaction, transplant)
                    if isinstance(outcome, Outcome) and outcome.verdict != EQUAL and not row.limit:
                        # Who knows what else is not as it was, or hangs: the others get a kernel that is in order.
                        waiting.insert(0, (group, rows))
                        raise _Spoiled
        except Broken as broken:
            outcomes |= {(group.name, row.name): broken for row in rows}
        except _Spoiled:
            pass
        finally:
            stop_kernel(manager, client)
    return outcomes


def _try(client: Client, row: Row, transaction: Transaction, transplant: bool) -> Outcome | Broken:
    client.messages.clear()
    try:
        return attempt(client, row, transaction, transplant)
    except Broken as broken:
        return broken
    except TimeoutError as error:
        return Outcome(WRONG, f"it hangs: {error}")


def _verdict(outcome: Outcome | Broken) -> str:
    return "proves nothing" if isinstance(outcome, Broken) else outcome.verdict


def _is_bad(row: Row, outcome: Outcome | Broken, options: argparse.Namespace) -> bool:
    """Whether a row came to nothing, or to what is not written down."""
    if isinstance(outcome, Broken) or outcome.verdict == WRONG:
        return True
    partly = options.engine == "objects" or options.transplant
    return not partly and (outcome.verdict == EQUAL) == bool(row.limit)


if __name__ == "__main__":
    sys.exit(main())
