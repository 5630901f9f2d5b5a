"""Random steps for a kernel, and how each is done by a real client."""

from __future__ import annotations

import ast
import copy
import os
import random
import signal
from typing import Any

from model import NAMES, Expected, Model, Step
from subjects import GatewayKernel, Subject
from support.client import Cell, Client
from support.comms import Refused, Target

#: Kind of step, and how often.
WEIGHTS = {
    "cell": 40,
    "failing": 10,
    "policy": 12,
    "death": 1,
    "begin": 9,
    "savepoint": 8,
    "rollback": 9,
    "to": 7,
    "release": 3,
    "commit": 5,
    "fork": 1,
    "undo": 8,
    "redo": 4,
    "kill": 1,
}
#: What only some kernels can do, and the attribute that tells it.
ABILITIES = {"fork": "forks", "undo": "guarded", "redo": "guarded", "kill": "guarded"}
STATEMENTS = (
    "{a} = []",
    "{a} = [{n}, {n}]",
    "{a} = {{'k': {n}}}",
    "{a} = {b}",
    "{a} = [{b}]",
    "{a}.append({n})",
    "{a}.append({b})",
    "{a}[0] = {n}",
    "{a}[:] = [{n}]",
    "{a}.clear()",
    "{a}['k'] = {b}",
    "{a} += [{n}]",
    "del {a}",
    "globals()['{a}'] = [{n}]",
    "exec('{a} = [{n}]', globals())",
    "for each in {a}:\n    if isinstance(each, list): each.append({n})",
    "def store(value):\n    global {a}\n    {a} = value\nstore([{n}])\ndel store",
)
SAVEPOINTS = ("p", "q", "r")
SAVEPOINTS_MAX = 8
DEPTH = 5
DEATHS = ("import os; os.kill(os.getpid(), 9)", "import ctypes; ctypes.string_at(0)", "import os; os._exit(3)")


def random_step(choose: random.Random, model: Model, subject: Subject) -> Step:
    """A step that is legal, mostly, and that this kernel can do."""
    able = {kind: often for kind, often in WEIGHTS.items() if getattr(subject, ABILITIES.get(kind, "client"))}
    kind = choose.choices(tuple(able), tuple(able.values()))[0]
    at = choose.randrange(len(model.open)) if model.open and choose.random() < 0.25 else 0
    by = choose.choice(("comm", "magic", "python"))
    by = "comm" if at else by
    if kind == "begin":
        if len(model.open) >= DEPTH:
            kind = "commit"
        else:
            policy = choose.choice(("explicit", "explicit", "rollback_always", "rollback_on_failure"))
            return Step("begin", policy=policy, by=by)
    if kind == "savepoint":
        if sum(len(each.savepoints) for each in model.open) >= SAVEPOINTS_MAX:
            kind = "to"
        else:
            return Step("savepoint", choose.choice(SAVEPOINTS), at=at, by=by)
    if kind in ("to", "release"):
        return Step("rollback" if kind == "to" else kind, choose.choice(SAVEPOINTS), at=at, by=by)
    if kind in ("rollback", "commit"):
        return Step(kind, at=at, by=by)
    code = "\n".join(_statement(choose) for _ in range(choose.randint(1, 3)))
    if kind == "failing":
        return Step("cell", f"{code}\n1 / 0")
    if kind == "policy":
        policies = ["rollback_on_failure", "rollback_always", "dry_run", "commit_on_success"]
        if len(model.open) < DEPTH:
            policies.append("explicit")
        return Step("cell", choose.choice((code, f"{code}\n1 / 0")), choose.choice(policies))
    if kind in ("undo", "redo"):
        return Step(kind, at=choose.choice((1, 1, 1, 2, 3)))
    if kind == "kill":
        return Step(kind)
    if kind == "fork":
        return Step("fork", code, choose.choice(("leave", "join")))
    if kind == "death":
        # An error of its own would keep it from dying.
        tried = "\n".join(f"    {line}" for line in code.splitlines())
        ending = f"try:\n{tried}\nexcept Exception: pass\n{choose.choice(DEATHS)}"
        return Step("death", ending, "" if subject.guarded and choose.random() < 0.5 else "rollback_on_failure")
    return Step("cell", code)


def _statement(choose: random.Random) -> str:
    a, b = choose.choices(NAMES, k=2)
    return choose.choice(STATEMENTS).format(a=a, b=b, n=choose.randrange(100))


class Wrong(AssertionError):
    """The kernel did something else than the model."""


class Hands:
    """Does steps to a kernel, and compares."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self._count = 0
        #: The states before and after each cell that can be undone, by its number.
        self._moments: dict[int, tuple[dict[str, Any], dict[str, Any]]] = {}

    @property
    def client(self) -> Client:
        return self.subject.client

    @property
    def target(self) -> Target:
        return self.subject.target

    def do(self, step: Step, model: Model) -> None:
        """Do it, and let the model do it. Raises Wrong if the answer is not the expected one."""
        self.client.messages.clear()
        if step.kind in ("undo", "redo"):
            self._go(step, model)
            return
        before = model.names
        model.names = copy.deepcopy(before)
        expected, count = model.take(step), self._count
        self._check(step, expected)
        if self._count != count:
            self._moments[self._count] = before, copy.deepcopy(model.names)

    def _check(self, step: Step, expected: Expected) -> None:
        if step.kind == "fork":
            self._fork(step)
            return
        if step.kind == "kill":
            self._kill()
            return
        if step.kind in ("cell", "death"):
            found = self._run(step)
        elif step.by == "comm":
            found = self._ask(step)
        else:
            found = self._asked_in_a_cell(step)
        if found != expected:
            raise Wrong(f"the kernel answers {tuple(found)}, not {tuple(expected)}")

    def look(self, wanted: str) -> None:
        """Compare the state. Raises Wrong."""
        self.client.messages.clear()
        cell = self.client.execute("", silent=True, user_expressions={"state": "canonical(globals())"})
        answer = cell.content["user_expressions"]["state"]
        if answer["status"] != "ok":
            raise Wrong(f"the state cannot be seen: {answer['evalue']}")
        found = ast.literal_eval(answer["data"]["text/plain"])
        if found != wanted:
            raise Wrong(f"the state is {found!r}, not {wanted!r}")

    def _go(self, step: Step, model: Model) -> None:
        """Undo or redo: how many cells a step takes back is the kernel's to say, what the state is then is not."""
        depth = self.target.ask("status")[f"{step.kind}_depth"]
        nothing = f"nothing_to_{step.kind}" if depth < step.at else None
        refusal = "transaction_open" if model.open else nothing
        try:
            cells = self.target.ask(step.kind, n=step.at)[{"undo": "undone", "redo": "redone"}[step.kind]]
        except Refused as refused:
            if refused.code != refusal:
                raise Wrong(f"{step.kind} is refused with {refused.code}, not {refusal}") from None
            return
        if refusal is not None or not cells:
            raise Wrong(f"{step.kind} takes {cells} at depth {depth}, and should be refused with {refusal}")
        at = cells[0] if step.kind == "undo" else cells[-1]
        model.names = copy.deepcopy(self._moments[at][0 if step.kind == "undo" else 1])

    def _kill(self) -> None:
        """End the process from outside, between two cells."""
        pid = int(self.client.value("__import__('os').getpid()"))
        os.kill(pid, signal.SIGKILL)
        self.target.wait_for_event("recovery")

    def _fork(self, step: Step) -> None:
        """Let one of the two go: the fork after it has done something that the other must not see, or the other one."""
        assert isinstance(self.subject, GatewayKernel)
        fork = self.subject.fork()
        stays, goes = (self.subject, fork) if step.policy == "leave" else (fork, self.subject)
        goes.client.execute(step.text)
        goes.end()
        self.subject = stays

    def _run(self, step: Step) -> Expected:
        wishes = {"savepoint": {"transaction": step.policy}} if step.policy else {}
        cell = self._executed(step.text, wishes)
        if step.kind == "death" and cell.content.get("ename") != "WorkerDied":
            raise Wrong(f"it did not die: {cell.content}")
        transaction = cell.ours["transaction"] if step.policy else None
        return Expected(cell.status, transaction and transaction["outcome"])

    def _ask(self, step: Step) -> Expected:
        fields = {"policy": step.policy} if step.kind == "begin" else {}
        if step.text:
            fields["to" if step.kind == "rollback" else "name"] = step.text
        opened = self.target.ask("status")["transactions"] if step.at else []
        if opened:
            fields["transaction"] = opened[len(opened) - 1 - min(step.at, len(opened) - 1)]["id"]
        try:
            self.target.ask(step.kind, **fields)
        except Refused as refused:
            return Expected(refused.code)
        return Expected("ok")

    def _asked_in_a_cell(self, step: Step) -> Expected:
        named = f"'{step.text}'" if step.text else ""
        if step.by == "magic":
            code = f"%{step.kind} {step.text}" + (f" --policy {step.policy}" if step.policy else "")
        elif step.kind == "begin":
            code = f"import savepoint\nsavepoint.begin(policy='{step.policy}');"
        else:
            code = f"import savepoint\nsavepoint.{step.kind}({named});"
        cell = self._executed(code, {})
        if cell.status == "ok":
            return Expected("ok")
        return Expected(cell.content["evalue"].partition(":")[0])

    def _executed(self, code: str, metadata: dict[str, object]) -> Cell:
        cell = self.client.execute(code, metadata=metadata)
        count = cell.content["execution_count"]
        if count <= self._count:
            raise Wrong(f"the count went from {self._count} to {count}")
        self._count = count
        return cell
