"""The kernel under test beside a real ipykernel in the same environment: the same cells, and what both made of them."""

from __future__ import annotations

import json
import re
import sys
from typing import Any, ClassVar

from .case import KernelCase
from .client import Cell, Client, start_kernel, stop_kernel

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

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        manager, cls.oracle = start_kernel(argv=IPYKERNEL)
        cls.addClassCleanup(stop_kernel, manager, cls.oracle)

    def both(self, *cells: str) -> None:
        """Run cells in both kernels: reply and messages must be the same."""
        for code in cells:
            expected, found = (transcript(client.execute(code)) for client in (self.oracle, self.client))
            self.assertEqual(found, expected, code)

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
