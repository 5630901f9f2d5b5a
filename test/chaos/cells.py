"""What the kernels run: cells that leave a trace of each step, so that one too few or one too many can be named.

A cell has a tag. It counts itself in the kernel's state (`_ran`), and prints lines `TAG/SERIES/NUMBER;`, each series by
another way: Python, C level, child processes, displays, answers to `input()`.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

LINE = re.compile(r"([A-Za-z0-9-]+)/(py|err|c|child|display|in)/(\d+);")

PRELUDE = """
import json as _json, os as _os, subprocess as _subprocess, sys as _sys, time as _time
from IPython.display import display as _display
_ran, _heard = {}, []
def _begin(tag):
    _ran[tag] = _ran.get(tag, 0) + 1
def _talk(comm, opened):
    def hear(message):
        _heard.append(message["content"]["data"]["n"])
        comm.send({"n": message["content"]["data"]["n"]})
    comm.on_msg(hear)
get_ipython().kernel.comm_manager.register_target("echo", _talk)
"""
#: Run by the checker.
STATE = "print('STATE' + _json.dumps({'ran': _ran, 'heard': _heard, 'mark': _mark, 'held': globals().get('held')}))"


@dataclass
class Cell:
    tag: str
    kind: str
    code: str
    #: How many lines each series has to have.
    lines: dict[str, int] = field(default_factory=dict)
    fails: bool = False
    #: Of a transaction that belongs to the cell alone.
    policy: str | None = None
    asks: bool = False
    #: Its count stays in the kernel's state.
    counts: bool = True


def cell(kind: str, tag: str, chance: random.Random) -> Cell:
    """One cell of that kind."""
    n, pause = chance.randint(4, 14), chance.choice([0.0, 0.01, 0.03, 0.08])
    begin = f"_begin('{tag}')\n"
    if kind == "py":
        text = f"for i in range({n}):\n    print(f'{tag}/py/{{i}};', flush={chance.random() < 0.5})\n    _time.sleep({pause})\n"
        return Cell(tag, kind, begin + text, {"py": n})
    if kind == "both":
        text = f"for i in range({n}):\n    print(f'{tag}/py/{{i}};')\n    print(f'{tag}/err/{{i}};', file=_sys.stderr)\n    _time.sleep({pause})\n"
        return Cell(tag, kind, begin + text, {"py": n, "err": n})
    if kind == "c":
        text = f"for i in range({n}):\n    _os.write(1, b'{tag}/c/%d;\\n' % i)\n    _time.sleep({pause})\n"
        return Cell(tag, kind, begin + text, {"c": n})
    if kind == "child":
        shell = f"i=0; while [ $i -lt {n} ]; do echo \"{tag}/child/$i;\"; i=$((i+1)); sleep {pause}; done"
        return Cell(tag, kind, begin + f"_ = _subprocess.run(['sh', '-c', {shell!r}])\n", {"child": n})
    if kind == "display":
        text = f"for i in range({n}):\n    _display({{'text/plain': f'{tag}/display/{{i}};'}}, raw=True)\n    _time.sleep({pause})\n"
        return Cell(tag, kind, begin + text, {"display": n})
    if kind == "input":
        text = f"print('{tag}/py/0;')\n_answer = input('{tag}?')\nprint(f'{{_answer}}')\n"
        return Cell(tag, kind, begin + text, {"py": 1, "in": 1}, asks=True)
    if kind == "rolled-back":
        text = f"for i in range({n}):\n    print(f'{tag}/py/{{i}};')\n    _time.sleep({pause})\nheld = '{tag}'\nraise ValueError('{tag}')\n"
        return Cell(tag, kind, begin + text, {"py": n}, fails=True, policy="rollback_on_failure", counts=False)
    if kind == "error":
        return Cell(tag, kind, begin + f"print('{tag}/py/0;')\nraise ValueError('{tag}')\n", {"py": 1}, fails=True)
    raise ValueError(kind)


def transaction(tag: str, ending: str, chance: random.Random) -> list[Cell]:
    """Cells around and in a transaction that stays open between them; `ending` is `rollback` or `commit`."""
    kept = ending == "commit"
    inner = cell("py", f"{tag}-2", chance)
    inner.code += f"held = '{tag}'\n"
    inner.counts = kept
    last = Cell(f"{tag}-3", ending, f"_begin('{tag}-3')\nprint('{tag}-3/py/0;')\n%{ending}\n", {"py": 1}, counts=kept)
    return [Cell(f"{tag}-1", "begin", f"_begin('{tag}-1')\nprint('{tag}-1/py/0;')\n%begin\n", {"py": 1}), inner, last]


KINDS = ("py", "py", "both", "c", "child", "display", "input", "rolled-back", "error")


def answer_of(prompt: str) -> str:
    """What a client answers to a cell's question: the line that the cell then prints."""
    return f"{prompt.rstrip('?')}/in/0;"
