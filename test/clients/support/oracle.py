"""The kernel under test beside a real ipykernel in the same environment: the same cells, and what both made of them."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, ClassVar

from .case import KernelCase
from .client import PATIENCE_S, Cell, Client, start_kernel, stop_kernel

IPYKERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
#: What no two kernels have in common, and what is put in its place.
OWN = (
    (re.compile(r"0x[0-9a-f]{6,}"), "0xADDRESS"),
    (re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}(_\d+_\d+)?"), "ID"),
    (re.compile(r"ipykernel_\d+"), "ipykernel_PID"),
)
SHOWN = ("stream", "display_data", "update_display_data", "execute_result", "error", "clear_output")


class OracleCase(KernelCase):
    """One kernel of each kind for all tests of a class."""

    oracle: ClassVar[Client]
    #: The reply of the cell that was compared last.
    last: dict[str, Any]

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        manager, cls.oracle = start_kernel(argv=IPYKERNEL)
        cls.addClassCleanup(stop_kernel, manager, cls.oracle)

    def both(self, *cells: str) -> None:
        """Run cells in both kernels: reply and messages must be the same."""
        for code in cells:
            expected, found = (transcript(client.execute(code, timeout=60)) for client in (self.oracle, self.client))
            self.assertEqual(found, expected, code)
            self.last = found[0]

    def both_ok(self, *cells: str) -> None:
        """As `both`, and every cell must succeed."""
        for code in cells:
            self.both(code)
            self.assertEqual(self.last["status"], "ok", f"{code}\n{self.last}")

    def both_values(self, expressions: str) -> None:
        """Evaluate expressions, one a line, in both kernels: the values' representations must be the same."""
        wanted = {line.strip(): line.strip() for line in expressions.strip().splitlines()}
        expected, found = (
            client.execute("", silent=True, user_expressions=wanted).content["user_expressions"]
            for client in (self.oracle, self.client)
        )
        for line in wanted:
            with self.subTest(line):
                self.assertEqual(expected[line]["status"], "ok", expected[line].get("evalue"))
                self.assertEqual(_text(found[line]), _text(expected[line]))

    def both_told(self, msg_type: str, content: dict[str, Any] | str, data: Any = None, **options: Any) -> list[Any]:
        """Send both kernels a message of a comm, and compare what they publish; it is returned.

        Instead of content, an expression may be given for the widget or comm that the `data` is for.
        """
        said = []
        for client in (self.oracle, self.client):
            sent = content
            if isinstance(content, str):
                sent = {"comm_id": client.value(f"({content}).comm_id").strip("'"), "data": data}
            cell = client.request(msg_type, sent, **options)  # type: ignore[arg-type]
            client.wait_until(lambda cell=cell: "idle" in cell.states, PATIENCE_S, "idle")
            said.append(_published(cell))
        self.assertEqual(said[1], said[0])
        return said[1]

    def both_updated(self, widget: str, state: dict[str, Any], paths: Any = (), **options: Any) -> list[Any]:
        """Change the state of a widget as a client does, in both kernels."""
        data = {"method": "update", "state": state, "buffer_paths": list(paths)}
        return self.both_told("comm_msg", f"{widget}.comm", data, **options)


def _published(cell: Cell) -> list[Any]:
    """What came for a message of a comm. What is printed comes last: in ipykernel it has no order to the rest."""
    streams: dict[str, str] = {}
    said: list[Any] = []
    for message in cell.on("iopub"):
        kind, content = message["msg_type"], message["content"]
        if kind == "stream":
            # A traceback tells of files and lines that differ.
            streams[content["name"]] = streams.get(content["name"], "") + content["text"]
        elif kind != "status":
            said.append([kind, content, [bytes(buffer).hex() for buffer in message["buffers"]]])
    printed = [["stream", name, text.rstrip().rpartition("\n")[2]] for name, text in sorted(streams.items())]
    return json.loads(_common(json.dumps([*said, *printed], sort_keys=True, default=str)))


def transcript(cell: Cell) -> list[Any]:
    """What a cell answered and published, without what is each kernel's own; streams are joined."""
    reply = {key: cell.content.get(key) for key in ("status", "ename", "evalue", "payload")}
    said: list[Any] = [reply]
    for message in cell.on("iopub"):
        kind, content = message["msg_type"], dict(message["content"])
        if kind in ("status", "execute_input"):
            continue
        content.pop("execution_count", None)
        content.pop("traceback", None)
        if kind == "stream" and said[-1][0:2] == ["stream", content["name"]] if isinstance(said[-1], list) else False:
            said[-1][2] += content["text"]
        elif kind == "stream":
            said.append(["stream", content["name"], content["text"]])
        else:
            said.append([kind, content, message["metadata"], [len(buffer) for buffer in message["buffers"]]])
    return json.loads(_common(json.dumps(said, sort_keys=True, default=str)))


def _text(value: dict[str, Any]) -> str:
    return _common(value["data"]["text/plain"]) if value["status"] == "ok" else f"{value['ename']}: {value['evalue']}"


def _common(text: str) -> str:
    for pattern, word in OWN:
        text = pattern.sub(word, text)
    return text
