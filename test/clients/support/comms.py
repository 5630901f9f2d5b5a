"""The comm targets of Savepoint, as a client uses them."""

from __future__ import annotations

import uuid
from typing import Any

from .client import PATIENCE_S, Cell, Client, Message


class Refused(Exception):
    """An answer with `ok: false`."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"{error['code']}: {error['message']}")
        self.code: str = error["code"]
        self.message: str = error["message"]
        self.details: dict[str, Any] = error["details"]


class Target:
    """An open comm to one of Savepoint's targets."""

    def __init__(self, client: Client, name: str) -> None:
        self.client = client
        self.comm_id = uuid.uuid4().hex
        opening = client.request("comm_open", {"comm_id": self.comm_id, "target_name": name, "data": {}})
        self.ready: dict[str, Any] = opening.wait_for("iopub", "comm_msg")["content"]["data"]
        self._asked = 0

    def close(self) -> None:
        closing = self.client.request("comm_close", {"comm_id": self.comm_id, "data": {}})
        self.client.wait_until(lambda: "idle" in closing.states, PATIENCE_S, "idle")

    def send(self, data: Any) -> Cell:
        """Send data as it is, and do not wait."""
        return self.client.request("comm_msg", {"comm_id": self.comm_id, "data": data})

    def start(self, op: str, **fields: Any) -> Cell:
        """Send a request and do not wait."""
        self._asked += 1
        return self.send({"id": f"request {self._asked}", "op": op, **fields})

    def answer_of(self, request: Cell) -> dict[str, Any]:
        """The answer to a request, once it is done. It must lie between the request's busy and its idle."""
        self.client.wait_until(lambda: "idle" in request.states, PATIENCE_S, "idle")
        kinds = [self._kind(m) for m in request.on("iopub") if self._is_relevant(m)]
        if kinds != ["busy", "answer", "idle"]:
            raise AssertionError(f"expected busy, answer, idle; got {kinds}")
        return next(m["content"]["data"] for m in request.on("iopub", "comm_msg") if self._is_answer(m))

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        """The result of a request. Raises `Refused`."""
        request = self.start(op, **fields)
        answer = self.answer_of(request)
        if answer["id"] != f"request {self._asked}" or answer["op"] != op:
            raise AssertionError(f"an answer to another request: {answer}")
        if not answer["ok"]:
            raise Refused(answer["error"])
        return answer["result"]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What this comm was told unasked, in order."""
        return [
            m["content"]["data"]
            for m in self.client.messages
            if m["msg_type"] == "comm_msg"
            and m["content"]["comm_id"] == self.comm_id
            and "event" in m["content"]["data"]
        ]

    def wait_for_event(self, event: str, **fields: Any) -> dict[str, Any]:
        """The first event of that name whose record has these fields."""

        def matching() -> dict[str, Any] | None:
            for data in self.events:
                record = data.get(event, data)
                if data["event"] == event and all(record.get(key) == value for key, value in fields.items()):
                    return data
            return None

        return self.client.wait_until(matching, PATIENCE_S, f"event {event} {fields}")

    def _is_answer(self, message: Message) -> bool:
        content = message["content"]
        return content["comm_id"] == self.comm_id and "ok" in content["data"]

    def _is_relevant(self, message: Message) -> bool:
        return message["msg_type"] == "status" or (message["msg_type"] == "comm_msg" and self._is_answer(message))

    def _kind(self, message: Message) -> str:
        return message["content"]["execution_state"] if message["msg_type"] == "status" else "answer"


def transactions(client: Client) -> Target:
    return Target(client, "savepoint.transaction")


def commit_all(client: Client) -> None:
    """Leave no transaction open to the next test."""
    target = transactions(client)
    for record in target.ask("status")["transactions"][:1]:
        target.ask("commit", transaction=record["id"])
    target.close()


def checkpoints(client: Client) -> Target:
    return Target(client, "savepoint.checkpoint")
