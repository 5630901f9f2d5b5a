"""A kernel that blows are dealt to, the client that has it run cells, and what must hold of each cell."""

from __future__ import annotations

import time
from typing import Any

from asking import Rest
from cells import LINE, PRELUDE, Cell
from drivers import content_of
from listeners import Gone, SocketClient
from service import Service
from tally import Tally

CELL_WITHIN_S = 60.0
#: Blows after which the cell that ran goes on.
HARMLESS = {"worker SIGSTOP", "snapshot SIGKILL", "snapshot SIGSTOP", "zygote SIGSTOP"}


class Kernel:
    def __init__(self, service: Service, number: int, seed: int) -> None:
        self.service, self.number, self.rest = service, number, Rest(service)
        self.id = self.rest.start_kernel()
        self.client = SocketClient(service, self.id, v1=number % 2 == 0, answers=True)
        self.mark = f"mark {seed} {number}"
        self.steps = 0
        self.setup()

    def setup(self) -> None:
        told = self.run(Cell("setup", "setup", PRELUDE + f"_mark = {self.mark!r}"))
        assert told["status"] == "ok", told

    def run(self, cell: Cell) -> dict[str, Any]:
        """What came of it: status, states, text, replies. Raises Gone when it does not end."""
        began = len(self.client.told)
        msg_id, _ = self.client.send("execute_request", content_of(cell))
        return self.outcome(msg_id, began, cell.tag)

    def outcome(self, msg_id: str, began: int, tag: str) -> dict[str, Any]:
        def ended() -> bool:
            told = [each for each in self.client.told[began:] if each.parent == msg_id]
            return any(each.type == "execute_reply" for each in told) and any(each.text == "idle" for each in told)

        if not self.client.wait_until(ended, CELL_WITHIN_S):
            raise Gone(f"cell {tag} did not end within {CELL_WITHIN_S:.0f} s")
        told = [each for each in self.client.told[began:] if each.parent == msg_id]
        replies = [each.status for each in told if each.type == "execute_reply"]
        content, metadata = self.client.replies[msg_id]
        return {
            "status": replies[0],
            "error": f"{content.get('ename')}: {content.get('evalue')}",
            "recovery": (metadata.get("savepoint") or {}).get("recovery"),
            "replies": replies,
            "states": [each.text for each in told if each.type == "status"],
            "text": "".join(each.text for each in told if each.type in ("stream", "display_data")),
        }

    def worker(self) -> int:
        """Its pid, as soon as there is one. Raises Gone."""
        deadline = time.monotonic() + CELL_WITHIN_S
        while time.monotonic() < deadline:
            worker = self.rest.ask("GET", f"/api/kernels/{self.id}").body["savepoint"]["worker"]
            if worker and worker["pid"]:
                return int(worker["pid"])
            time.sleep(0.05)
        raise Gone("the kernel has no worker")

    def guarded(self) -> bool:
        """Wait until there is a copy of its state: it is made after a reply, and who is struck before has none."""
        deadline = time.monotonic() + CELL_WITHIN_S
        while time.monotonic() < deadline:
            found = self.rest.ask("GET", f"/api/kernels/{self.id}/snapshots").body
            if any(each["kind"] == "guard" for each in found["items"]):
                return True
            time.sleep(0.05)
        return False

    def text(self, code: str) -> str:
        """What it prints. Asked again where the worker had been struck already, and nobody knew."""
        for _ in range(4):
            told = self.run(Cell("ask", "ask", code))
            if told["status"] == "ok":
                break
        return str(told["text"])


def check_cell(name: str, ran: Cell, told: dict[str, Any], blow: str, tally: Tally) -> None:
    tally.check(told["states"] == ["busy", "idle"], f"{name}: the states of the cell were {told['states']}")
    tally.check(len(told["replies"]) == 1, f"{name}: {len(told['replies'])} replies")
    if blow in HARMLESS:
        tally.check(told["status"] == "ok", f"{name}: the cell ended as {told['error']}, {told['recovery']}")
    numbers: dict[str, list[int]] = {}
    for tag, series, number in LINE.findall(told["text"]):
        if tag == ran.tag:
            numbers.setdefault(series, []).append(int(number))
    for series, wanted in ran.lines.items():
        had = numbers.get(series, [])
        if told["status"] == "ok":
            tally.check(had == list(range(wanted)), f"{name}: of {wanted} lines of {series} came {had}")
        else:
            tally.check(had == list(range(len(had))), f"{name}: lines of {series} came as {had}")
