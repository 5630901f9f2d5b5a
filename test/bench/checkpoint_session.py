"""A kernel with a comm for checkpoints, as the bench uses it."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from wire import Kernel, Message, Timeout, now

ANSWER, REPLY, IDLE = ("iopub", "comm_msg"), ("shell", "execute_reply"), ("iopub", "idle")
TARGET = "savepoint.checkpoint"
#: For whatever a kernel is asked; a gigabyte on a slow disk takes its time.
PATIENCE_S = 180.0
COMM = "bench"


class Refused(Exception):
    """The kernel has answered an op with an error."""


class Shelf:
    """A data folder that kernels share, removed in the end."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="savepoint-bench-data-"))

    def stored(self) -> int:
        """Bytes of all checkpoints, their packs and their index."""
        found = 0
        for path in self.path.rglob("*"):
            try:
                if "checkpoint" in str(path.relative_to(self.path)) and path.is_file():
                    found += path.stat().st_size
            except OSError:
                # It was a draft, which has its name or is gone by now.
                continue
        return found

    def close(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


class Session:
    """A kernel whose checkpoints lie in `shelf`; `settings` are set in its environment."""

    def __init__(self, shelf: Shelf, **settings: str) -> None:
        settings["SAVEPOINT_DATA_DIR"] = str(shelf.path)
        before = {name: os.environ.get(name) for name in settings}
        os.environ.update(settings)
        try:
            self.kernel = Kernel("savepoint")
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
        self.shelf = shelf
        self.client = self.kernel.client
        self._strays: list[Message] = []
        try:
            keep: list[Message] = []
            opened = {"comm_id": COMM, "target_name": TARGET, "data": {}}
            self.client.until(self.client.send("shell", "comm_open", opened), [IDLE], 20, keep)
            ready = next(message.content["data"] for message in keep if message.type == "comm_msg")
            self.ops: list[str] = ready["ops"]
        except BaseException:
            self.kernel.kill()
            raise

    def close(self) -> None:
        self.kernel.kill()

    def cell(self, code: str) -> float:
        """Seconds until the reply of a cell. Raises RuntimeError if it fails."""
        begun = now()
        msg_id = self.client.execute(code)
        # The reply alone: what happens between it and idle is not waited for by a user who reads.
        got = self.client.until(msg_id, [REPLY, IDLE], PATIENCE_S, strays=self._strays)
        content = got[REPLY].content
        if content["status"] != "ok":
            raise RuntimeError(f"{code[:60]!r}: {content.get('ename')}: {content.get('evalue')}")
        return got[REPLY].t - begun

    def value(self, expression: str) -> Any:
        return self.client.value(expression, PATIENCE_S)

    def op(self, name: str, /, **fields: Any) -> tuple[dict[str, Any], float]:
        """The result of an op, and the seconds until its answer. Raises Refused."""
        begun = now()
        data = {"id": "1", **fields, "op": name}
        msg_id = self.client.send("shell", "comm_msg", {"comm_id": COMM, "data": data})
        keep: list[Message] = []
        got = self.client.until(msg_id, [IDLE], PATIENCE_S, keep, self._strays)
        del got
        for message in keep:
            answer = message.content.get("data", {}) if message.type == "comm_msg" else {}
            if "ok" in answer:
                if not answer["ok"]:
                    raise Refused(f"{name}: {answer['error']['code']}: {answer['error']['message']}")
                return answer["result"], message.t - begun
        raise Refused(f"{name}: no answer")

    def create(self, **fields: Any) -> dict[str, Any]:
        """A checkpoint that is stored."""
        return self.op("create", **fields)[0]

    def wait_stored(self, timeout_s: float = PATIENCE_S) -> dict[str, Any]:
        """The next automatic checkpoint that was not waited for yet. Raises Timeout."""
        end = now() + timeout_s
        while True:
            while self._strays:
                record = _stored(self._strays.pop(0))
                if record is not None:
                    return record
            left = end - now()
            if left <= 0:
                raise Timeout("no checkpoint was made")
            self._strays.append(self.client.receive(left))

    def forget(self) -> None:
        """What came unasked is of no interest."""
        self._strays = []
        self.client.drain(0.02)


def _stored(message: Message) -> dict[str, Any] | None:
    data = message.content.get("data", {}) if message.type == "comm_msg" else {}
    record = data.get("checkpoint", data) if data.get("event") == "checkpoint" else None
    return record if isinstance(record, dict) and record.get("state") in ("stored", "failed") else None
