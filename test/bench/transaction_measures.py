"""What is measured of our transactions, through a real kernel over ZeroMQ. Each method takes one round of samples."""

from __future__ import annotations

import glob
import time
from typing import Any

from machine import memory, tree
from states import State
from wire import Kernel, Message, now

ANSWER, REPLY, IDLE = ("iopub", "comm_msg"), ("shell", "execute_reply"), ("iopub", "idle")
TARGET = "savepoint.transaction"
#: How long a client thinks before each thing, for the figures with that suffix; the others are at once.
THINK_S = 0.03
DEPTH = 32
#: Long enough for all that a kernel does when it has nothing to do.
REST_S = 4.0


class Refused(Exception):
    """The kernel has answered an op with an error."""


class Subject:
    """A kernel with a state in it, and a comm for transactions."""

    def __init__(self, code: str = "state = [1]", spec: str = "savepoint") -> None:
        self.kernel = Kernel(spec)
        self.samples: dict[str, list[float]] = {}
        self.values: dict[str, list[Any]] = {}
        try:
            self._set_up(code)
        except BaseException:
            self.kernel.kill()
            raise

    def _set_up(self, code: str) -> None:
        for _ in range(30):
            self.client.run("pass")
        time.sleep(REST_S)
        self.cell(code)
        keep: list[Message] = []
        opened = {"comm_id": "bench", "target_name": TARGET, "data": {}}
        self.client.until(self.client.send("shell", "comm_open", opened), [IDLE], 10, keep)
        ready = next(message.content["data"] for message in keep if message.type == "comm_msg")
        #: What this kernel has of transactions.
        self.ops: list[str] = ready["ops"]
        for _ in range(2):
            self.op("begin")
            self.cell("x = 1")
            self.op("rollback")
            self.cell("x = 1")

    @property
    def client(self) -> Any:
        return self.kernel.client

    def close(self) -> None:
        self.kernel.kill()

    def sample(self, figure: str, seconds: float) -> None:
        self.samples.setdefault(figure, []).append(seconds)

    def cell(self, code: str) -> float:
        """Seconds until the reply of a cell that must not fail."""
        begun = now()
        reply, _ = self.client.run(code, 120)
        if reply.content["status"] != "ok":
            raise RuntimeError(f"{code[:60]!r}: {reply.content.get('evalue')}")
        return reply.t - begun

    def op(self, name: str, /, **fields: Any) -> tuple[dict[str, Any], float]:
        """The result of an op over the comm, and the seconds until its answer. Raises Refused."""
        begun = now()
        data = {"id": "1", **fields, "op": name}
        msg_id = self.client.send("shell", "comm_msg", {"comm_id": "bench", "data": data})
        got = self.client.until(msg_id, [ANSWER, IDLE], 60)
        answer = got[ANSWER].content["data"]
        if not answer["ok"]:
            raise Refused(answer["error"]["message"])
        return answer["result"], got[ANSWER].t - begun

    # ---------------------------------------------------------------------------------------------- measures

    def round(self, state: State) -> None:
        """Begin, commit and rollback, with a client that thinks, and with one that does not."""
        for suffix, think_s in (("", 0.0), ("_after_30_ms", THINK_S)):
            for _ in range(state.times):
                self._commit(suffix, think_s)
                self._rollback(suffix, think_s, "")
            for _ in range(max(2, state.times // 4)):
                self._rollback(suffix, think_s, state.rewrite)

    def _begin(self, suffix: str, think_s: float) -> None:
        time.sleep(think_s)
        self.sample(f"cell{suffix}", self.cell("x = 1"))
        time.sleep(think_s)
        result, took = self.op("begin")
        self.sample(f"begin_ms{suffix}", result["begin_ms"] / 1e3)
        self.sample(f"begin_answer{suffix}", took)
        time.sleep(think_s)
        self.sample(f"cell_after_begin{suffix}", self.cell("x = 2"))
        time.sleep(think_s)

    def _commit(self, suffix: str, think_s: float) -> None:
        self._begin(suffix, think_s)
        self.sample(f"commit_answer{suffix}", self.op("commit")[1])
        time.sleep(think_s)
        self.sample(f"cell_after_commit{suffix}", self.cell("x = 3"))

    def _rollback(self, suffix: str, think_s: float, code: str) -> None:
        self._begin(suffix, think_s)
        kind = "_of_a_rewritten_tenth" if code else ""
        if code:
            self.sample(f"rewriting_a_tenth{suffix}", self.cell(code))
            time.sleep(think_s)
        begun = now()
        result, took = self.op("rollback")
        self.cell("x = 3")
        self.sample(f"rollback{kind}_to_next_answer{suffix}", now() - begun)
        self.sample(f"rollback{kind}_answer{suffix}", took)
        self.sample(f"rollback{kind}_ms{suffix}", result["rollback_ms"] / 1e3)

    def rewritten(self, state: State) -> None:
        """The same cell without a transaction, for comparison."""
        self.sample("rewriting_a_tenth_without", self.cell(state.rewrite))

    def deep(self) -> None:
        """As many levels as there may be: nested transactions, and savepoints where there are any."""
        for op, undo in (("begin", "rollback"), ("savepoint", "rollback")):
            if op not in self.ops:
                continue
            if op == "savepoint":
                self.op("begin")
            for level in range(DEPTH):
                _, took = self.op(op, name=f"s{level}")
                self.sample(f"{op}_{DEPTH}_deep", took)
                self.cell("x = 1")
            for level in reversed(range(DEPTH)):
                fields = {} if op == "begin" else {"to": f"s{level}"}
                begun = now()
                self.op(undo, **fields)
                self.cell("x = 1")
                self.sample(f"{undo}_of_{op}_{DEPTH}_deep_to_next_answer", now() - begun)
            if op == "savepoint":
                self.op("rollback")

    def growth(self, rounds: int) -> None:
        """What so many rounds of begin and rollback leave behind: memory, descriptors, processes."""
        before = None
        for number in range(rounds + 50):
            if number == 50:
                before = self._size()
            self.op("begin")
            self.op("rollback")
        time.sleep(0.5)
        after = self._size()
        assert before is not None
        self.values["rounds_of_begin_and_rollback"] = [rounds]
        for key in before:
            self.values[f"{key}_before_and_after_them"] = [before[key], after[key]]

    def _size(self) -> dict[str, Any]:
        self.cell("x = 1")
        pids = tree(self.kernel.roots())
        open_now = sum(len(glob.glob(f"/proc/{pid}/fd/*")) for pid in pids)
        worker = self.client.value("__import__('os').getpid()")
        pss = {"worker_pss_mib": memory([worker])["pss"], "pss_mib": memory(pids)["pss"]}
        return {"processes": len(pids), "descriptors": open_now, **pss}
