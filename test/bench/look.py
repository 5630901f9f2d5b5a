"""Ask a gateway for something small again and again until told to stop; the seconds that each answer took, as JSON.

A process of its own: the client that takes in a flood of output keeps Python's interpreter to itself for milliseconds
at a time, and that would be measured, the more so the faster the output comes.

  look.py BASE TOKEN        ends when its input does
"""

from __future__ import annotations

import json
import select
import sys

from websocket import Rest, now

PAUSE_S = 0.01


def main() -> None:
    rest = Rest(sys.argv[1], sys.argv[2])
    rest("GET", "/api")
    print("ready", flush=True)
    took: list[float] = []
    while not select.select([sys.stdin], [], [], PAUSE_S)[0]:
        begun = now()
        rest("GET", "/api")
        took.append(now() - begun)
    json.dump(took, sys.stdout)


if __name__ == "__main__":
    main()
