"""`console.py FILE`: jupyter console on the kernel of a connection file, in a pseudo-terminal, for the browser tests.

Each line on stdin is JSON, and so is its answer on stdout: `{"enter": CELL}` is answered at once, `{"wait": PATTERN}`
when the screen matches; with `{}`, or `{"error": TEXT}`. So is the first prompt. The end of stdin ends it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "clients"))

from support.console import Console  # noqa: E402


def main() -> None:
    console = Console(existing=sys.argv[1])
    try:
        print(json.dumps(_answer(console, {"wait": r"In \[\d+\]: "})), flush=True)
        for line in sys.stdin:
            print(json.dumps(_answer(console, json.loads(line))), flush=True)
    finally:
        console.close()


def _answer(console: Console, wish: dict[str, str]) -> dict[str, str]:
    try:
        if "enter" in wish:
            console.enter(wish["enter"])
        else:
            console.wait_for(wish["wait"], timeout=60)
        return {}
    except TimeoutError as error:
        return {"error": str(error)}


if __name__ == "__main__":
    main()
