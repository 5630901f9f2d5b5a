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
EQUAL, NAMED, WRONG = "equal", "named", "wrong"

# Bound in each kernel, so that they are looked up no other way than what a cell of the user's finds.
HELPERS = """
def _row_works(code, scope):
    import ast
    tree = ast.parse(code)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "<works>", "exec"), scope)
    return last is None or eval(compile(ast.Expression(last.value), "<works>", "eval"), scope) is not False
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
    _ok(client.execute(f"{HELPERS}\n{quick}\n{group.imports}", timeout=120), f"the imports of {group.name}")


def attempt(client: Client, row: Row, transaction: Transaction) -> Outcome:
    """Build, spoil, look. Raises Broken."""
    _ok(client.execute(_make(row)), "make")
    outcome = Outcome(EQUAL) if transaction is None else _spoiled(client, row, transaction)
    if outcome.verdict != EQUAL:
        return outcome
    looked = client.execute(_look(row))
    if looked.status == "ok":
        wrong = [name for name, holds in ast.literal_eval(looked.result or "{}").items() if not holds]
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
    if not said.startswith("spoiled"):
        raise Broken(f"spoil: {cell.content.get('ename', 'it does not fail')}: {said}")
    if told.get("outcome") != "rolled_back":
        outcome.verdict, outcome.why = WRONG, f"the outcome is {told.get('outcome')}"
    return outcome


def _make(row: Row) -> str:
    note = f"alias = ({row.part})" if row.part else "alias = None"
    return f"x = None\n{row.make}\n{note}\nnoted = id(x), id(alias)"


def _spoil(row: Row) -> str:
    check = textwrap.dedent(
        """
        try:
            spoiled = not ({same})
        except Exception:
            spoiled = True
        raise RuntimeError("spoiled" if spoiled else "not changed by it")
        """
    )
    return f"{row.spoil}{check.replace('{same}', row.same)}"


def _look(row: Row) -> str:
    # Identity before all else, since what is looked at later may be used up.
    entries = [
        "'x is the object that it was': id(x) == noted[0]",
        f"'alias is the part that it was': ({row.part or 'alias'}) is alias and id(alias) == noted[1]",
        "'names of the failed cell are gone': 'spoiled' not in globals()",
        f"'equal': bool({row.same})",
        f"'works': _row_works({row.works or 'None'!r}, globals())",
    ]
    return "{" + ",\n".join(entries) + "}"


def _names_it(row: Row, limits: list[str]) -> bool:
    """Whether what could not be taken back is named: as the row says, or by a name that it binds."""
    if row.limit:
        return any(re.search(row.limit, limit) for limit in limits)
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
