#!/usr/bin/env python3
"""docs/checkpoint-objects.md, made from the samples and from what their runs have noted (outcomes.txt); `--write`."""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "rollback"), str(HERE.parent / "python")]

from sample import Group, Sample  # noqa: E402
from samples import groups  # noqa: E402

DOCUMENT = HERE.parents[1] / "docs" / "checkpoint-objects.md"
NOTED = HERE / "outcomes.txt"
COLUMNS = 120
HEAD = """# What a checkpoint keeps of objects

Made by `test/checkpoints/table.py --write` from the samples in `test/checkpoints/samples`. Each sample is built in one
process, which writes a checkpoint and is ended with SIGKILL; a fresh process restores it and compares: arrays by their
items and types, frames by `equals`, models by what they predict, figures by their pixels, anything else by what it does.
`python test/checkpoints/run.py --all` does it again; its libraries are listed in `test/requirements-checkpoints.in`.

_Slanted_: lost, and named with the reason, or kept but for a part that the reason names. **Bold**: something is not kept,
and nobody is told: a known defect, or a number that only its process can read. An object that cannot be kept can be taught: `savepoint.register_handler`.
"""


def noted() -> dict[str, str]:
    """Verdicts of the samples that are not equal, by full name."""
    lines = NOTED.read_text(encoding="utf-8").splitlines() if NOTED.exists() else []
    return {name: verdict for verdict, _, name in (line.partition(": ") for line in lines)}


def rendered() -> str:
    """The whole document."""
    verdicts = noted()
    lines = ["| | samples | kept | partly | lost | not told |", "| --- | --- | --- | --- | --- | --- |"]
    paragraphs = []
    for group in groups():
        counted = [verdicts.get(f"{group.name} / {sample.name}", "equal") for sample in group.samples]
        counts = [counted.count(each) for each in ("equal", "named", "lost", "wrong")]
        lines.append(f"| {group.name} | {len(counted)} | {' | '.join(map(str, counts))} |")
        paragraphs.append(_paragraph(group, verdicts))
    return "\n".join([HEAD, *lines, "", *paragraphs])


def _paragraph(group: Group, verdicts: dict[str, str]) -> str:
    listed = "; ".join(_shown(sample, verdicts.get(f"{group.name} / {sample.name}", "equal")) for sample in group.samples)
    return textwrap.fill(f"**{group.name}:** {listed}.", COLUMNS, break_long_words=False, break_on_hyphens=False) + "\n"


def _shown(sample: Sample, verdict: str) -> str:
    name = sample.name.replace("_", r"\_").replace("*", r"\*")
    return {"equal": name, "wrong": f"**{name}**"}.get(verdict, f"_{name}_")


def _plain(text: str) -> str:
    """Without what a formatter does to it."""
    return re.sub(r"[\s|-]+", " ", text)


if __name__ == "__main__":
    if "--write" in sys.argv[1:]:
        DOCUMENT.write_text(rendered(), encoding="utf-8")
    elif not DOCUMENT.exists() or _plain(DOCUMENT.read_text(encoding="utf-8")) != _plain(rendered()):
        sys.exit("docs/checkpoint-objects.md does not show the samples that are here: table.py --write")
