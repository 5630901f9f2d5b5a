"""What was to be reached of transactions, and what a run says of it."""

from __future__ import annotations

from typing import Any

#: State, figure, percentile, and the most milliseconds that it may take.
MILLISECONDS_MAX = (
    ("10 MB of numpy", "begin_ms", "p50", 1.0),
    ("1 GB of numpy", "begin_ms", "p50", 3.0),
    ("10 GB of numpy", "begin_ms", "p50", 15.0),
    ("1 GB of small objects", "begin_ms", "p50", 20.0),
    *((state, "commit_answer", "p50", 1.0) for state in ("10 MB of numpy", "1 GB of numpy", "10 GB of numpy")),
    *(
        (state, "rollback_to_next_answer", percentile, most)
        for state in ("10 MB of numpy", "1 GB of numpy", "10 GB of numpy")
        for percentile, most in (("p50", 10.0), ("p99", 30.0))
    ),
)


def goals(report: dict[str, Any]) -> list[str]:
    """One line for each goal that this run has a figure of."""
    lines = []
    for state, figure, percentile, most in MILLISECONDS_MAX:
        found = report["states"].get(state, {}).get("savepoint", {}).get(figure)
        if found is not None:
            verdict = "reached" if found[percentile] <= most else "MISSED "
            lines.append(f"{verdict}  {state}, {figure} {percentile}: {found[percentile]:.3g} ms (at most {most:g})")
    return lines
