"""Writes outputs.json: messages of cells, and the outputs that nbclient makes of them.

Run it with a Python that has nbclient, from the folder that it lies in.
"""

from __future__ import annotations

import json
import random
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionComplete

Message = tuple[str, dict[str, Any]]


def stream(name: str, text: str) -> Message:
    return "stream", {"name": name, "text": text}


def display(kind: str, text: str, display_id: str | None = None, **more: Any) -> Message:
    transient = {} if display_id is None else {"display_id": display_id}
    return kind, {"data": {"text/plain": text}, "metadata": {}, "transient": transient, **more}


def clear(wait: bool) -> Message:
    return "clear_output", {"wait": wait}


ERROR: Message = ("error", {"ename": "ValueError", "evalue": "no", "traceback": ["a", "b"]})

CASES: list[list[list[Message]]] = [
    [[stream("stdout", "a"), stream("stdout", "b"), stream("stderr", "c"), stream("stdout", "d")]],
    [[stream("stdout", "a"), clear(False), stream("stdout", "b")]],
    [[stream("stdout", "a"), clear(True)]],
    [[stream("stdout", "a"), clear(True), display("display_data", "b"), stream("stdout", "c")]],
    [[display("display_data", "1", "x"), display("update_display_data", "2", "x")]],
    [[display("display_data", "1", "x"), display("display_data", "2", "x"), display("update_display_data", "3", "x")]],
    [[display("display_data", "1", "x"), clear(False), display("update_display_data", "2", "x")]],
    [[display("display_data", "1", "x")], [display("update_display_data", "2", "x"), stream("stdout", "c")]],
    [[display("execute_result", "1", execution_count=3), ERROR]],
    [[display("display_data", "1", "x"), display("execute_result", "2", "x", execution_count=1)]],
    [[display("display_data", "1", "x")], [display("display_data", "2", "x")]],
    [[("comm_msg", {"comm_id": "c", "data": {}}), ("execute_input", {"code": "1", "execution_count": 1})]],
]


def random_case(chance: random.Random) -> list[list[Message]]:
    def message() -> Message:
        kind = chance.choice(["stream", "stream", "display_data", "update_display_data", "execute_result", "clear"])
        if kind == "stream":
            return stream(chance.choice(["stdout", "stderr"]), chance.choice("abc\n"))
        if kind == "clear":
            return clear(chance.random() < 0.5)
        more = {"execution_count": 1} if kind == "execute_result" else {}
        return display(kind, str(chance.randrange(99)), chance.choice([None, "x", "y"]), **more)

    return [[message() for _ in range(chance.randrange(1, 12))] for _ in range(chance.randrange(1, 3))]


def outputs_of(cells: list[list[Message]]) -> list[list[dict[str, Any]]]:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell() for _ in cells])
    client = NotebookClient(notebook, record_timing=False)
    client.reset_execution_trackers()
    for index, messages in enumerate(cells):
        client.clear_before_next_output = False
        for kind, content in messages:
            message = {"msg_type": kind, "header": {"msg_type": kind}, "parent_header": {}, "content": content}
            try:
                client.process_message(json.loads(json.dumps(message)), notebook.cells[index], index)
            except CellExecutionComplete:
                break
    return [merged(cell.outputs) for cell in notebook.cells]


def merged(outputs: list[Any]) -> list[dict[str, Any]]:
    """Neighbouring pieces of one stream as one output, as front ends keep them."""
    result: list[dict[str, Any]] = []
    for output in json.loads(json.dumps(outputs)):
        last = result[-1] if result else {}
        if output["output_type"] == "stream" == last.get("output_type") and output["name"] == last["name"]:
            last["text"] += output["text"]
        else:
            result.append(output)
    return result


if __name__ == "__main__":
    chance = random.Random(7)
    cases = CASES + [random_case(chance) for _ in range(60)]
    with open("outputs.json", "w", encoding="utf-8") as file:
        lines = [json.dumps({"cells": cells, "outputs": outputs_of(cells)}) for cells in cases]
        file.write("[\n" + ",\n".join(lines) + "\n]\n")
