"""What forks of kernels and the guard cost, through a real gateway: REST and WebSocket."""

from __future__ import annotations

import os
import tempfile
import time
from typing import Any

from gateways import OURS, Gateway
from machine import memory, tree
from transaction_measures import THINK_S
from websocket import IDLE, REPLY, V1, WebSocket, now

ARRAY = "import numpy\nstate = numpy.ones({count})\nx = 0"
#: Of 1 GB.
COUNT = 1024 * 131072
FORKS = 100
SETTLE_S = 2.0
#: Cells for the guard: their state, the cell, and how often it is run.
CELLS = (
    ("small_state", "state = [1]", "x = 1", 60),
    ("1gb_read", ARRAY.format(count=COUNT), "total = state.sum()", 15),
    ("1gb_rewritten", ARRAY.format(count=COUNT), "state += 1", 12),
)
#: The first cells of a state are not counted: by then the guard has stepped back, where it does.
WARM_UP = 6


class GatewayMeasures:
    """A gateway for all of them. `samples` are seconds."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.samples: dict[str, list[float]] = {}
        self.values: dict[str, list[Any]] = {}
        self.folder = tempfile.TemporaryDirectory(prefix="savepoint-bench-")
        os.environ["SAVEPOINT_DATA_DIR"] = self.folder.name
        self.gateway = Gateway(OURS)
        self.gateway.start()

    def close(self) -> None:
        self.gateway.stop()
        self.folder.cleanup()

    def sample(self, figure: str, seconds: float) -> None:
        self.samples.setdefault(figure, []).append(seconds)

    def kernel(self, code: str, guard: bool | None = None) -> tuple[str, WebSocket]:
        """A kernel that has run a cell, and a connection to it. Raises RuntimeError."""
        wishes = {} if guard is None else {"savepoint": {"guard": guard}}
        status, model = self.gateway.rest("POST", "/api/kernels", {"name": self.gateway.kernel_name, **wishes})
        if status != 201:
            raise RuntimeError(f"POST /api/kernels: {status} {str(model)[:200]}")
        socket = WebSocket(self.gateway.rest, model["id"], V1)
        socket.ready()
        for _ in range(20):
            cell(socket, "pass")
        cell(socket, code)
        return model["id"], socket

    # ------------------------------------------------------------------------------------------------- forks

    def forks(self) -> None:
        """Fork a kernel, and run a cell in the fork."""
        for name, count, times in (("10mb", 1310720, 20), ("1gb", COUNT, 15)):
            source, socket = self.kernel(ARRAY.format(count=count))
            for number in range(3 if self.quick else times):
                time.sleep(THINK_S)
                begun = now()
                status, made = self.gateway.rest("POST", f"/api/kernels/{source}/fork", {})
                if status != 201:
                    raise RuntimeError(f"fork: {status} {str(made)[:200]}")
                told = now()
                fork = made["kernels"][0]["id"]
                forked = WebSocket(self.gateway.rest, fork, V1)
                cell(forked, "x = 1")
                if number:
                    self.sample(f"fork_of_{name}_to_first_reply", now() - begun)
                    self.sample(f"fork_of_{name}_answer", told - begun)
                    self.sample(f"fork_of_{name}_first_cell", _time(forked, "x = 2"))
                forked.close()
                self.gateway.delete(fork)
            socket.close()
            self.gateway.delete(source)

    def many_forks(self) -> None:
        """A hundred of them from 1 GB: how long that takes, and what it takes of memory."""
        source, socket = self.kernel(ARRAY.format(count=COUNT))
        count = 10 if self.quick else FORKS
        time.sleep(SETTLE_S)
        before = memory(tree(self.gateway.pids))["pss"]
        begun = now()
        status, made = self.gateway.rest("POST", f"/api/kernels/{source}/fork", {"count": count}, timeout=120)
        if status != 201:
            raise RuntimeError(f"fork: {status} {str(made)[:200]}")
        self.sample(f"{count}_forks_of_1gb", now() - begun)
        time.sleep(SETTLE_S)
        self.values[f"{count}_forks_of_1gb_pss_mib_more"] = [round(memory(tree(self.gateway.pids))["pss"] - before)]
        for each in made["kernels"]:
            self.gateway.delete(each["id"])
        socket.close()
        self.gateway.delete(source)

    # ------------------------------------------------------------------------------------------------- guard

    def guard(self) -> None:
        """The same cells in two kernels, one of which is guarded, in turn."""
        for name, make, code, times in CELLS:
            kernels = {label: self.kernel(make, guard=label == "guarded") for label in ("guarded", "bare")}
            for suffix, think_s in (("", 0.0), ("_after_30_ms", THINK_S)):
                for number in range(WARM_UP + (5 if self.quick else times)):
                    for label in sorted(kernels, reverse=bool(number % 2)):
                        time.sleep(think_s)
                        took = _time(kernels[label][1], code)
                        if number >= WARM_UP:
                            self.sample(f"cell_{name}_{label}{suffix}", took)
            for kernel_id, socket in kernels.values():
                socket.close()
                self.gateway.delete(kernel_id)

    def guarded_memory(self) -> None:
        """What an idle kernel with a guard has of its own: its worker, and its frozen copies."""
        before = tree(self.gateway.pids)
        kernel_id, socket = self.kernel("x = 1", guard=True)
        for _ in range(10):
            cell(socket, "x = 1")
        time.sleep(SETTLE_S)
        # A worker that was ready and was replaced counts as new.
        worker = int(_text(socket, "import os; print(os.getpid())"))
        time.sleep(SETTLE_S)
        mine = tree([worker]) - (before - {worker})
        self.values["guarded_idle_kernel_private_mib"] = [memory(mine)["uss"]]
        self.values["guarded_idle_kernel_processes"] = [len(mine)]
        socket.close()
        self.gateway.delete(kernel_id)


def cell(socket: WebSocket, code: str) -> None:
    reply, _ = socket.run(code, 120)
    if reply.content["status"] != "ok":
        raise RuntimeError(f"{code[:60]!r}: {reply.content.get('evalue')}")


def _time(socket: WebSocket, code: str) -> float:
    begun = now()
    got = socket.until(socket.execute(code), [REPLY, IDLE], 120)
    return got[REPLY].t - begun


def _text(socket: WebSocket, code: str) -> str:
    keep: list[Any] = []
    socket.run(code, 30, keep)
    return "".join(message.content["text"] for message in keep if message.type == "stream")
