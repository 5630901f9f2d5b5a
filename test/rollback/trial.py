"""Tries a row in a kernel: three cells, and what came of them."""

from __future__ import annotations

import ast
import re
import textwrap
from dataclasses import dataclass, field
from typing import Any

from row import Group, Row
from support.client import Cell, Client

#: What the failing cell's metadata say; None: there is no such cell.
Transaction = dict[str, Any] | None
# What a library with threads of its own brings about: the copy only hands its variables to a fresh process.
TRANSPLANT = """
import sys as _sys
_probe = _sys.modules["savepoint_worker.copies.probe"]
if not hasattr(_probe, "_row_look"):
    _probe._row_look = _probe.look
    _probe.look = lambda worker: _probe._row_look(worker)._replace(
        mode="transplant", why="A test wants it so.", waiting=frozenset(["a test"])
    )
"""

IDENTITY = "x and alias are the objects that they were"
UNCHANGED = "not changed by it"
EQUAL, NAMED, WRONG = "equal", "named", "wrong"

# Bound in each kernel, so that they are looked up no other way than what a cell of the user's finds.
HELPERS = """
def _row_works(code, scope):
    import ast
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<works>", "exec"), scope)
    return last is None or eval(compile(ast.Expression(last.value), "<works>", "eval"), scope) is not False
def _row_forget(scope):
    for name in [name for name in scope if name not in scope["_row_known"] and not name.startswith("_")]:
        del scope[name]
"""


@dataclass
class Outcome:
    """What came of one row."""

    verdict: str
    why: str = ""
    limits: list[str] = field(default_factory=list)
    engine: str | None = None

    def __str__(self) -> str:
        return f"{self.why} (limits: {'; '.join(self.limits) or 'none'})"


class Broken(Exception):
    """A row that proves nothing: it does not build its object, or does not change it."""


def prepare(client: Client, group: Group) -> None:
    """Give a new kernel what the rows of the group find. Raises Broken."""
    # A traceback of the usual kind takes longer than all the rest of a row.
    quick = "get_ipython().run_line_magic('xmode', 'Minimal')"
    forget = "'_row_known' in globals() and _row_forget(globals())"
    known = "_row_known = {*globals()}"
    _ok(client.execute(f"{HELPERS}\n{forget}\n{quick}\n{group.imports}\n{known}", timeout=120), f"the imports of {group.name}")


def attempt(client: Client, row: Row, transaction: Transaction, transplant: bool = False) -> Outcome:
    """Build, spoil, look. Raises Broken."""
    _ok(client.execute(_make(row) + (TRANSPLANT if transplant else "")), "make")
    outcome = Outcome(EQUAL) if transaction is None else _spoiled(client, row, transaction)
    if outcome.verdict != EQUAL:
        return outcome
    looked = client.execute(_look(row))
    if looked.status == "ok":
        wrong = [name for name, holds in ast.literal_eval(looked.result or "{}").items() if not holds]
        if any("identity" in limit for limit in outcome.limits):
            wrong = [each for each in wrong if each != IDENTITY]
    else:
        wrong = [f"{looked.content['ename']}: {looked.content['evalue']}"]
    if wrong:
        outcome.verdict = NAMED if _names_it(row, outcome.limits) else WRONG
        outcome.why = "; ".join(wrong)
    return outcome


def _spoiled(client: Client, row: Row, transaction: dict[str, Any]) -> Outcome:
    """Run the cell that fails."""
    cell = client.execute(_spoil(row), metadata={"savepoint": {"transaction": transaction}})
    said = cell.content.get("evalue", "")
    told = cell.ours["transaction"] or {}
    outcome = Outcome(EQUAL, limits=told.get("limits", []), engine=told.get("engine"))
    if cell.content.get("ename") == "SavepointError":
        # Refused before it ran: nothing happened, and whoever asked was told why.
        return Outcome(NAMED, said, [said])
    if not said.startswith("spoiled") and not (outcome.engine == "objects" and said == UNCHANGED):
        raise Broken(f"spoil: {cell.content.get('ename', 'it does not fail')}: {said}")
    if told.get("outcome") != "rolled_back":
        outcome.verdict, outcome.why = WRONG, f"the outcome is {told.get('outcome')}"
    return outcome


def _make(row: Row) -> str:
    note = f"alias = ({row.part})" if row.part else "alias = None"
    return f"_row_forget(globals())\nx = None\n{row.make}\n{note}\nnoted = id(x), id(alias)"


def _spoil(row: Row) -> str:
    check = textwrap.dedent(
        """
        try:
            spoiled = not ({same})
        except Exception:
            spoiled = True
        raise RuntimeError("spoiled" if spoiled else "{unchanged}")
        """
    )
    return f"{row.spoil}{check.replace('{same}', row.same).replace('{unchanged}', UNCHANGED)}"


def _look(row: Row) -> str:
    # Identity before all else, since what is looked at later may be used up.
    entries = [
        f"{IDENTITY!r}: (id(x), id(alias)) == noted",
        f"'alias is the part': ({row.part or 'alias'}) is alias",
        "'names of the failed cell are gone': 'spoiled' not in globals()",
        f"'equal': bool({row.same})",
        f"'works': _row_works({row.works or 'None'!r}, globals())",
    ]
    return "{" + ",\n".join(entries) + "}"


def _names_it(row: Row, limits: list[str]) -> bool:
    """Whether what could not be taken back is named: as the row says, or by a name that it binds."""
    patterns = [pattern for pattern in (row.limit, row.otherwise) if pattern]
    if any(re.search(pattern, limit) for pattern in patterns for limit in limits):
        return True
    names = {"x", "alias"} | {
        node.id
        for node in ast.walk(ast.parse(row.make))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    words = {word for limit in limits for word in re.findall(r"\w+", limit)}
    return bool(names & words)


def _ok(cell: Cell, what: str) -> None:
    if cell.status != "ok":
        raise Broken(f"{what}: {cell.content.get('ename')}: {cell.content.get('evalue')}")
