"""Clients that have cells run: by WebSocket, by REST, by server-sent events, by ZeroMQ. Each says how its requests ended.

A request that got no busy and is not in the queue either was lost on the way, which nobody can help; it is then sent
again under another tag, and must not have run.
"""

from __future__ import annotations

import dataclasses
import json
import queue
import threading
import time
from collections import Counter
from typing import Any, Protocol

import requests
from jupyter_client import BlockingKernelClient

from asking import Rest
from cells import Cell, answer_of
from ledger import Entry, Findings, Said, compare_lines, lines_of, said
from listeners import Gone, SocketClient
from service import PATIENCE_S, Service

CELL_WITHIN_S = 60.0
AGAIN_MAX = 8


class Driver(Protocol):
    #: How it is called in findings.
    way: str
    #: WebSocket of the session that asks, if it is one.
    client: SocketClient | None

    def run(self, cells: list[Cell], together: bool) -> list[Entry]:
        """Have these run, in this order; `together`: all are sent before the first has ended."""

    def findings(self) -> Findings:
        """What it saw itself, and forget it."""

    def close(self) -> None: ...


def again(cell: Cell) -> Cell:
    """The same cell under another tag."""
    tag = cell.tag + "x"
    return dataclasses.replace(cell, tag=tag, code=cell.code.replace(cell.tag, tag))


def content_of(cell: Cell) -> dict[str, Any]:
    return {"code": cell.code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True, "stop_on_error": True}


def metadata_of(cell: Cell) -> dict[str, Any]:
    return {"savepoint": {"transaction": cell.policy}} if cell.policy else {}


def late(entry: Entry, found: Findings, why: str) -> None:
    entry.end = "late"
    found.wrong.append(f"cell {entry.cell.tag} ({entry.cell.kind}) did not end within {CELL_WITHIN_S:.0f} s: {why}")


class SocketDriver:
    def __init__(self, service: Service, kernel_id: str, v1: bool) -> None:
        self.way = "WebSocket v1" if v1 else "WebSocket legacy"
        self.client: SocketClient | None = SocketClient(service, kernel_id, v1, answers=True)
        self._found = Findings()

    def run(self, cells: list[Cell], together: bool) -> list[Entry]:
        entries: list[Entry] = []
        for group in [cells] if together else [[each] for each in cells]:
            for _ in range(AGAIN_MAX):
                sent = [self._send(each) for each in group]
                self._finish(sent)
                entries += [entry for entry, _ in sent]
                group = [again(entry.cell) for entry, _ in sent if entry.end == "gone"]
                if not group:
                    break
        return entries

    def _send(self, cell: Cell) -> tuple[Entry, int]:
        assert self.client
        msg_id, epoch = self.client.send("execute_request", content_of(cell), metadata=metadata_of(cell))
        return Entry(cell, msg_id, count=int(cell.counts)), epoch

    def _finish(self, sent: list[tuple[Entry, int]]) -> None:
        client = self.client
        assert client
        probe, probed = "", 0
        deadline = time.monotonic() + CELL_WITHIN_S
        while waiting := [(entry, epoch) for entry, epoch in sent if not entry.end]:
            told = list(client.told)
            busy = {each.parent for each in told if each.text == "busy" and each.type == "status"}
            idle = {each.parent for each in told if each.text == "idle" and each.type == "status"}
            replied = {each.parent for each in told if each.type == "execute_reply"}
            for entry, epoch in waiting:
                if entry.msg_id in idle and entry.msg_id in replied:
                    entry.end = "done"
                # The probe went behind it into the queue: had it arrived, its turn would have come before.
                elif entry.msg_id not in busy and probe in replied and epoch < probed:
                    entry.end = "gone"
                elif time.monotonic() > deadline:
                    late(entry, self._found, f"busy {entry.msg_id in busy}, idle {entry.msg_id in idle}, reply {entry.msg_id in replied}")
            if any(not entry.end and epoch < client.epoch for entry, epoch in waiting) and probed < client.epoch:
                probe, probed = client.send("execute_request", {"code": "", "silent": True, "store_history": False})
            heard = len(client.told)
            client.wait_until(lambda: len(client.told) > heard or client.epoch > probed > 0, 0.5)

    def findings(self) -> Findings:
        found, self._found = self._found, Findings()
        return found

    def close(self) -> None:
        assert self.client
        self.client.close()


class RestDriver:
    """POST …/executions with an idempotency key, asked again as long as nobody answers; then polls, or follows events."""

    client: SocketClient | None = None

    def __init__(self, service: Service, kernel_id: str, follows: bool) -> None:
        self.way = "REST, events" if follows else "REST"
        self._rest = Rest(service)
        self._path = f"/api/kernels/{kernel_id}/executions"
        self._follows = follows
        self._found = Findings()

    def run(self, cells: list[Cell], together: bool) -> list[Entry]:
        entries = []
        for group in [cells] if together else [[each] for each in cells]:
            started = [(Entry(each, None, count=int(each.counts)), self._start(each)) for each in group]
            for entry, execution in started:
                if execution is not None:
                    self._follow(entry, execution)
            entries += [entry for entry, _ in started]
        return entries

    def _start(self, cell: Cell) -> str | None:
        body = {"code": cell.code, "idempotency_key": cell.tag, "allow_stdin": True}
        if cell.policy:
            body["transaction"] = cell.policy
        answer = self._rest.ask("POST", f"{self._path}?wait_s=0", body)
        if answer.status in (200, 202):
            return str(answer.body["id"])
        self._found.wrong.append(f"cell {cell.tag} over REST was refused: {answer}")
        return None

    def _follow(self, entry: Entry, execution: str) -> None:
        path, cell = f"{self._path}/{execution}", entry.cell
        stop = threading.Event()
        events: list[tuple[int, str, Any]] = []
        follower = threading.Thread(target=self._events, args=(path, events, stop), daemon=True)
        if self._follows:
            follower.start()
        deadline = time.monotonic() + CELL_WITHIN_S
        model: dict[str, Any] = {}
        while time.monotonic() < deadline:
            answer = self._rest.ask("GET", path)
            if answer.status != 200:
                self._found.wrong.append(f"cell {cell.tag} over REST is not there any more: {answer}")
                entry.end = "late"
                break
            model = answer.body
            if model["status"] not in ("queued", "running"):
                entry.end = "done"
                break
            if model.get("input"):
                self._rest.ask("POST", f"{path}/input", {"value": answer_of(model["input"]["prompt"])})
            time.sleep(0.1)
        else:
            late(entry, self._found, f"it is {model.get('status')}")
        if entry.end != "done":
            stop.set()
            return
        wanted = "error" if cell.fails else "ok"
        if model["status"] != wanted:
            self._found.wrong.append(f"cell {cell.tag} ({cell.kind}) over REST is {model['status']}, should be {wanted}: {model['error']}")
        displays = "".join(str(each["data"].get("text/plain")) for each in model["outputs"] if each["output_type"] == "display_data")
        self._compare("in GET of", cell, model["stdout"] + model["stderr"] + displays)
        outputs = self._rest.ask("GET", f"{path}/outputs").body
        if not isinstance(outputs, list):
            self._found.wrong.append(f"the outputs of cell {cell.tag} ({cell.kind}) are {outputs}")
            return
        text = "".join(str(each.get("text") or each.get("data", {}).get("text/plain", "")) for each in outputs)
        self._compare("in the outputs of", cell, text)
        if self._follows:
            follower.join(30)
            stop.set()
            self._check_events(cell, events)

    def _compare(self, where: str, cell: Cell, text: str) -> None:
        compare_lines(f"{where} cell {cell.tag} ({cell.kind})", cell, lines_of(text)[cell.tag], self._found)

    def _events(self, path: str, events: list[tuple[int, str, Any]], stop: threading.Event) -> None:
        while not stop.is_set():
            headers = {**self._rest.headers, "Last-Event-ID": str(events[-1][0] if events else 0)}
            try:
                answer = requests.get(self._rest.service.url + path + "/events", headers=headers, stream=True, timeout=PATIENCE_S)
                number, name = 0, ""
                for line in answer.iter_lines(chunk_size=None, decode_unicode=True) if answer.status_code == 200 else ():
                    key, _, value = (line or "").partition(": ")
                    if key == "id":
                        number = int(value)
                    elif key == "event":
                        name = value
                    elif key == "data":
                        events.append((number, name, json.loads(value)))
                        if name == "end":
                            return
            except (requests.RequestException, ValueError, AttributeError):
                pass
            stop.wait(0.1)

    def _check_events(self, cell: Cell, events: list[tuple[int, str, Any]]) -> None:
        name = f"in the events of cell {cell.tag} ({cell.kind})"
        if [name for _, name, _ in events][-1:] != ["end"]:
            self._found.wrong.append(f"{name}: no end among {len(events)}")
        numbers = [number for number, _, _ in events]
        if len(set(numbers)) != len(numbers):
            self._found.wrong.append(f"{name}: numbers came twice: {[each for each, n in Counter(numbers).items() if n > 1]}")
        if any(kind == "snapshot" for _, kind, _ in events):
            self._found.counts["streams of events that began again with a snapshot"] += 1
            return
        streams = "".join(data["text"] for _, kind, data in events if kind == "stream")
        displays = "".join(str(data["data"].get("text/plain")) for _, kind, data in events if kind == "display_data")
        compare_lines(name, cell, lines_of(streams + displays)[cell.tag], self._found)
        self._found.counts["server-sent events"] += len(events)

    def findings(self) -> Findings:
        found, self._found = self._found, Findings()
        return found

    def close(self) -> None:
        pass


class ZmqDriver:
    """jupyter_client, on sockets that were opened by PUT …/connection. Nothing in that protocol tells what got lost."""

    client: SocketClient | None = None
    way = "ZeroMQ"

    def __init__(self, service: Service, kernel_id: str, journal: Any) -> None:
        """`journal()` reads the kernel's journal: what became of a request of which nothing was heard any more."""
        answer = Rest(service).ask("PUT", f"/api/kernels/{kernel_id}/connection", {})
        assert answer.status in (200, 201), answer
        self._service, self._journal = service, journal
        self._zmq = BlockingKernelClient()
        self._zmq.load_connection_info(answer.body["connection_info"])
        self._zmq.start_channels(hb=False)
        self._zmq.wait_for_ready(timeout=PATIENCE_S)
        self._found = Findings()
        self.told: list[Said] = []
        self._questions: dict[str, dict[str, Any]] = {}
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._hear, args=(each,), daemon=True) for each in ("iopub", "shell", "stdin")]
        for each in self._threads:
            each.start()

    def _hear(self, channel: str) -> None:
        get = {"iopub": self._zmq.get_iopub_msg, "shell": self._zmq.get_shell_msg, "stdin": self._zmq.get_stdin_msg}[channel]
        while not self._stop.is_set():
            try:
                message = get(timeout=0.5)
            except queue.Empty:
                continue
            except Exception:  # A message that was cut off, at worst.
                self._found.counts["ZeroMQ messages that could not be read"] += 1
                continue
            self.told.append(said(message, channel))
            if channel == "stdin":
                self._questions[message["parent_header"]["msg_id"]] = message
                self._zmq.input(answer_of(message["content"]["prompt"]))

    def run(self, cells: list[Cell], together: bool) -> list[Entry]:
        entries: list[Entry] = []
        for group in [cells] if together else [[each] for each in cells]:
            for _ in range(AGAIN_MAX):
                sent = [self._send(each) for each in group]
                self._finish(sent)
                entries += sent
                group = [again(entry.cell) for entry in sent if entry.end == "gone"]
                if not group:
                    break
        return entries

    def _send(self, cell: Cell) -> Entry:
        message = self._zmq.session.msg("execute_request", content_of(cell), metadata=metadata_of(cell))
        self._zmq.shell_channel.send(message)
        return Entry(cell, message["header"]["msg_id"], count=int(cell.counts))

    def _finish(self, sent: list[Entry]) -> None:
        deadline = time.monotonic() + CELL_WITHIN_S
        asked = quiet = time.monotonic()
        heard = len(self.told)
        answered = ""
        while waiting := [entry for entry in sent if not entry.end]:
            if len(self.told) > heard:
                quiet, heard = time.monotonic(), len(self.told)
            idle = {each.parent for each in self.told if each.text == "idle" and each.type == "status"}
            replied = {each.parent for each in self.told if each.type == "execute_reply"}
            for entry in waiting:
                if entry.msg_id in idle and entry.msg_id in replied:
                    entry.end = "done"
            # Nothing is heard any more: something was lost. The journal tells of it, once the probe behind it is through.
            if time.monotonic() - quiet > 3 and time.monotonic() - asked > 3:
                asked = time.monotonic()
                answered = self._zmq.session.msg("execute_request", {"code": "", "silent": True, "store_history": False})
                self._zmq.shell_channel.send(answered)
                probe, until = answered["header"]["msg_id"], time.monotonic() + 6
                while time.monotonic() < until and not any(each.parent == probe and each.type == "execute_reply" for each in self.told):
                    time.sleep(0.1)
                    for question in list(self._questions.values()):
                        if question["parent_header"]["msg_id"] in {entry.msg_id for entry in waiting} and time.monotonic() > until - 3:
                            # The question was heard, and its answer got lost.
                            self._zmq.input(answer_of(question["content"]["prompt"]))
                            self._questions.pop(question["parent_header"]["msg_id"])
                if any(each.parent == probe and each.type == "execute_reply" for each in self.told):
                    self._by_journal(waiting)
            if time.monotonic() > deadline:
                for entry in waiting:
                    if not entry.end:
                        late(entry, self._found, "neither idle nor reply came, and the probe behind it was not answered")
            time.sleep(0.05)

    def _by_journal(self, waiting: list[Entry]) -> None:
        try:
            journal = self._journal()
        except Gone:
            return
        states = {(each.parent, each.text) for each in journal if each.type == "status"}
        for entry in waiting:
            if (entry.msg_id, "idle") in states:
                entry.end = "done"
                self._found.counts["ZeroMQ requests of which reply or idle got lost"] += 1
            elif (entry.msg_id, "busy") not in states:
                entry.end = "gone"

    def missed(self, journal: list[Said], since: set[str]) -> int:
        """How many messages of the journal it never had: they were in flight, or sent while it was not connected."""
        seen = {each.id for each in self.told}
        return sum(each.id not in seen for each in journal if each.id not in since)

    def findings(self) -> Findings:
        found, self._found = self._found, Findings()
        twice = [each for each, times in Counter(each.id for each in self.told).items() if times > 1]
        found.counts["messages that a ZeroMQ client saw twice"] += len(twice)
        return found

    def close(self) -> None:
        self._stop.set()
        for each in self._threads:
            each.join(2)
        self._zmq.stop_channels()
