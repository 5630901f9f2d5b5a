"""What was to be reached of checkpoints, and what a run says of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

KB, MB, MIB, GIB = 1e3, 1e6, 1 << 20, 1 << 30
#: Figure, and the most milliseconds that its median may be.
MILLISECONDS_MAX = (
    ("pause of 1 GB of numpy", "1gb_one_element_pause", 3.0),
    ("small session, restore to the first reply", "small_restore_to_first_cell", 150.0),
    ("1 GB, kill -9 of the worker to the next reply", "1gb_failover_to_next_reply", 1000.0),
    # 256 KiB at 1 GB/s is a quarter of a millisecond.
    ("between branches, one element of 100 MB", "between_branches", 50.3),
)
ELEMENT_BYTES_MAX = MIB + 65536
READ_BYTES_MAX = 10 * KB
ARRAYS_MB_PER_S, RESTORE_MB_PER_S = 800.0, 1000.0
#: Of what a disk did in the same run; a second look at it may differ by as much.
DISK_SHARE = 0.9
FLOOR_MS, READ_SHARE = 2.0, 1.03
KISHU_SHARE, UNIQUE_SHARE = 1 / 3, 1.1
GROWTH_MAX, COMMIT_MAX = 1.2, 1.2


def goals(report: dict[str, Any]) -> list[str]:
    """One line for each goal; those that this run has no figure of are named, too."""
    lines = []
    for what, limit, found, reached in _judged(report):
        verdict = "no figure" if found is None else "reached  " if reached else "MISSED   "
        lines.append(f"{verdict}  {what}: {'none' if found is None else found} ({limit})")
    return lines


def _judged(report: dict[str, Any]) -> Iterator[tuple[str, str, str | None, bool]]:
    """What, the goal, the figure, and whether it was reached."""
    median = {name: found["p50"] for name, found in report["figures"].items()}
    values = report["values"]
    for what, figure, most in MILLISECONDS_MAX:
        found = median.get(figure)
        yield what, f"at most {most:g} ms", _shown(found, "ms"), found is not None and found <= most
    for suffix, label in (("_after_30_ms", "client that thinks"), ("", "client that does not")):
        bare, tracked = (median.get(f"floor_{name}{suffix}") for name in ("bare", "tracked"))
        more = None if bare is None or tracked is None else tracked - bare
        yield f"tracking, a cell more, {label}", f"at most {FLOOR_MS:g} ms", _shown(more, "ms"), (more or 0) <= FLOOR_MS
        bare, tracked = (median.get(f"read_1gb_{name}{suffix}") for name in ("bare", "tracked"))
        known = bare is not None and tracked is not None
        text = f"{tracked:.4g} ms, {bare:.4g} without" if known else None
        limit = "at most 3 % + 2 ms more"
        yield f"a cell that reads 1 GB, {label}", limit, text, known and tracked <= bare * READ_SHARE + FLOOR_MS
    for key, what in (("written", "as told"), ("stored", "on the disk")):
        found = values.get(f"one_element_{key}_bytes")
        limit = "at most 1 MiB + 64 KiB"
        yield f"a[0] = 5 in 100 MB, {what}", limit, _shown(found, "bytes"), (found or 0) <= ELEMENT_BYTES_MAX
    yield from _speeds(median, values)
    yield from _script(report)
    first, second = (values.get(f"commit_bytes_{half}_half") for half in ("first", "second"))
    known = first is not None and second is not None
    text = f"{second:.0f} bytes a cell, {first:.0f} in the first half" if known else None
    yield "1000 cells, growth", f"at most {GROWTH_MAX:g} times", text, known and second <= first * GROWTH_MAX
    tenth, last = median.get("commit_10"), median.get("commit_1000")
    known = tenth is not None and last is not None
    text = f"{last:.3g} ms, {tenth:.3g} the tenth" if known else None
    yield "1000 cells, the last commit", f"at most {COMMIT_MAX:g} times", text, known and last <= tenth * COMMIT_MAX


def _speeds(median: dict[str, float], values: dict[str, float]) -> Iterator[tuple[str, str, str | None, bool]]:
    wrote, disk = values.get("write_mb_per_s"), values.get("disk_mb_per_s")
    known = wrote is not None and disk is not None
    text = f"{wrote:.0f} MB/s; the disk: {disk:.0f}" if known else None
    enough = known and wrote >= min(ARRAYS_MB_PER_S, disk * DISK_SHARE)
    yield "1 GB of numpy, written", f"at least {ARRAYS_MB_PER_S:g} MB/s, or the disk's", text, enough
    dicts, pickled, nothing = (median.get(name) for name in ("dicts_write", "dicts_pickle", "nothing_write"))
    known = dicts is not None and pickled is not None and nothing is not None
    text = f"{dicts - nothing:.0f} ms and {nothing:.0f} for nothing; pickle: {pickled:.0f}" if known else None
    yield "200,000 dicts, written", "as fast as pickle in C", text, known and dicts - nothing <= pickled
    took = median.get("1gb_restore_in_the_worker")
    speed = None if took is None else GIB / MB / (took / 1e3)
    limit = f"at least {RESTORE_MB_PER_S:g} MB/s"
    yield "1 GB of numpy, restored whole", limit, _shown(speed, "MB/s"), (speed or 0) >= RESTORE_MB_PER_S


def _script(report: dict[str, Any]) -> Iterator[tuple[str, str, str | None, bool]]:
    """Bytes of the long script, and of the notebooks."""
    scripts = [name for name in report["notebooks"] if name.startswith("script")]
    whose = report["notebooks"][scripts[0]] if scripts else {}
    total = {name: told["cells"][-1]["stored"] for name, told in whose.items() if told["cells"]}
    ours = None if "failed" in whose.get("savepoint", {}) else total.get("savepoint")
    for peer, share, limit in (
        ("kishu", KISHU_SHARE, "at most a third"),
        ("kishu-experimental", 1.0, "at most as much"),
        ("unique", UNIQUE_SHARE, "at most 1.1 times"),
    ):
        theirs = total.get(peer)
        known = ours is not None and theirs is not None
        # What was given up would have stored more.
        so_far = " so far" if "failed" in whose.get(peer, {}) else ""
        text = f"{ours / MB:.1f} MB, {theirs / MB:.1f}{so_far}" if known else None
        yield f"script of 26 cells, stored, to {peer}", limit, text, known and ours <= theirs * share
    cells = whose.get("savepoint", {}).get("cells", [])
    grown = [
        cells[number - 1]["stored"] - cells[number - 2]["stored"] for number in report["reads"] if number <= len(cells)
    ]
    most = max(grown, default=None)
    limit = f"at most {READ_BYTES_MAX:.0f} bytes"
    yield "a cell that only reads, stored", limit, _shown(most, "bytes"), (most or 0) <= READ_BYTES_MAX
    for name, others in report["notebooks"].items():
        told = others.get("savepoint", {})
        holds = told.get("failed") or told.get("holds")
        yield f"{name}, restored in a new kernel", "holds", None if holds is None else str(holds), holds is True


def _shown(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:.4g} {unit}"
