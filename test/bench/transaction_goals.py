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
    ("through the gateway", "fork_of_10mb_to_first_reply", "p50", 10.0),
    ("through the gateway", "fork_of_1gb_to_first_reply", "p50", 10.0),
    ("through the gateway", "100_forks_of_1gb", "p50", 2000.0),
)
#: Cells of a guarded kernel, and the largest ratio to those of one that is not.
GUARD_MAX = (("small_state", 1.05), ("1gb_read", 1.05), ("1gb_rewritten", 1.2))
#: Figure, and the most MiB that it may be.
MIB_MAX = (("100_forks_of_1gb_pss_mib_more", 1024.0), ("guarded_idle_kernel_private_mib", 10.0))


def goals(report: dict[str, Any]) -> list[str]:
    """One line for each goal that this run has a figure of."""
    lines = []
    for state, figure, percentile, most in MILLISECONDS_MAX:
        found = report["states"].get(state, {}).get("savepoint", {}).get(figure)
        if found is not None:
            verdict = "reached" if found[percentile] <= most else "MISSED "
            lines.append(f"{verdict}  {state}, {figure} {percentile}: {found[percentile]:.3g} ms (at most {most:g})")
    through = report["states"].get("through the gateway", {}).get("savepoint", {})
    for name, most in GUARD_MAX:
        for suffix in ("_after_30_ms", ""):
            guarded, bare = (through.get(f"cell_{name}_{label}{suffix}") for label in ("guarded", "bare"))
            if guarded and bare:
                ratio = guarded["p50"] / bare["p50"]
                verdict = "reached" if ratio <= most else "MISSED "
                lines.append(f"{verdict}  guard, {name}{suffix}: {ratio:.3g} times the cell without (at most {most:g})")
    for figure, limit in MIB_MAX:
        for value in report["values"].get(figure, ()):
            lines.append(f"{'reached' if value <= limit else 'MISSED '}  {figure}: {value:g} (at most {limit:g})")
    return lines
