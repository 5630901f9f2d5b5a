"""Frames as jupyter_server writes them: `python make.py` writes jupyter_server.json beside this file; then `npm run format`."""

import json
from pathlib import Path

from jupyter_server.services.kernels.connection.base import serialize_binary_message, serialize_msg_to_ws_v1

here = Path(__file__).parent
HEADER = {
    "msg_id": "m-1",
    "msg_type": "comm_msg",
    "username": "ada",
    "session": "s-1",
    "date": "2026-01-02T03:04:05.678901Z",
    "version": "5.4",
}
PARENT = {**HEADER, "msg_id": "m-0", "msg_type": "execute_request"}


def pack(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf8", "surrogatepass")


def frames(case: dict) -> dict:
    buffers = [bytes.fromhex(each) for each in case.get("buffers", [])]
    parts = [pack(HEADER), pack(PARENT), pack({"tags": []}), pack(case["content"])]
    message = {
        "header": HEADER,
        "msg_id": HEADER["msg_id"],
        "msg_type": HEADER["msg_type"],
        "parent_header": PARENT,
        "metadata": {"tags": []},
        "content": case["content"],
        "channel": case["channel"],
        "buffers": buffers,
    }
    legacy = serialize_binary_message(message) if buffers else json.dumps(message).encode()
    return {
        "name": case["name"],
        "channel": case["channel"],
        "parts": [each.hex() for each in [*parts, *buffers]],
        "v1": serialize_msg_to_ws_v1([*parts, *buffers], case["channel"]).hex(),
        "legacy": legacy.hex(),
    }


cases = json.loads((here / "cases.json").read_text("utf8"))
(here / "jupyter_server.json").write_text(json.dumps([frames(case) for case in cases], indent=2) + "\n")
