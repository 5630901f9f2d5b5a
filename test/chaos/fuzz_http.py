"""Malformed HTTP requests, and malformed frames behind good upgrades, over real sockets to a real gateway."""

from __future__ import annotations

import base64
import json
import random
import socket
import threading
import time

from asking import Rest
from service import Home, Service, descriptors, pss_bytes
from tally import Tally

AT_ONCE = 4
ANSWER_WITHIN_S = 20.0
#: What the heap of a process may grow by, since it is not collected before it has to be.
GROWTH_BYTES_MAX = 80 * 1024 * 1024
DESCRIPTORS_MORE_MAX = 12
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "get", "", "\x00", "A" * 5000]
PATHS = [
    *("/api", "/api/kernels", "/api/kernels/{id}", "/api/kernels/{id}/channels", "/api/kernels/{id}/executions", "/api/execute"),
    *("/api/kernels/{id}/transactions", "/api/kernels/{id}/undo", "/api/kernels/{id}/connection", "/api/sessions", "/metrics"),
    *("/api/kernels/{id}/restore", "/api/kernels/{id}/checkpoints", "/api/savepoint/checkpoints/import", "/api/kernelspecs"),
    *("/api/savepoint/checkpoints", "/kernelspecs/python3/logo-64x64.png", "/api/spec.yaml", "/readyz", "/api/nothing"),
    *("/api/kernels/{id}/executions/x/events", "/api/kernels/{id}/interrupt", "/api/kernels/{id}/snapshots"),
]
TWISTS = [
    *("%00", "%", "%zz", "/../../etc/passwd", "//", "\\", "?token=%ff", "?replay=%00&session_id=", "/" + "a" * 9000, "\r\n", " ", "é"),
    *("?wait_s=1e999", "?wait_s=-1", "?" + "&".join(["a=b"] * 500), "#", ";", "/%2e%2e/", "/__proto__", "?__proto__=1", "?session_id[]=1"),
]
HEADERS = [
    *(b"Content-Length: -1", b"Content-Length: 99999999999999999999", b"Content-Length: 5\r\nContent-Length: 6", b"Content-Length: x"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked, identity", b"Transfer-Encoding: gzip", b"Expect: 100-continue"),
    *(b"X: " + b"y" * 20_000, b"X" * 9_000 + b": y", b": nameless", b"No colon", b"Folded: a\r\n b", b"\x00: a", b"A: \x00", b"A: \xff\xfe"),
    *(b"Host: evil.example", b"Host:", b"Host: 127.0.0.1\r\nHost: b", b"Content-Type: application/xml", b"Content-Type: \xff"),
    *(b"Origin: https://evil.example", b"Connection: Upgrade\r\nUpgrade: h2c", b"Connection: close, keep-alive", b"Last-Event-ID: \xff"),
    *(b"Authorization: token", b"Authorization: Bearer " + b"a" * 9_000, b"Authorization: \x00", b"Cookie: a=b; " * 300),
]
BODIES = [
    *({"code": "1"}, {"code": 1}, {"name": None, "env": {"A": 1}}, {"name": "python3", "path": "/x" * 400}, {"value": {}}, {"op": "begin"}),
    *({"n": 1e308}, {"to": ["a"]}, {"checkpoint": "\x00"}, [], None, "text", 7, {"__proto__": {"a": 1}}, {"constructor": 1}),
    *({"code": "1", "timeout_s": -1}, {"code": "1", "transaction": {"policy": []}}, {"count": 10**9}, {"mode": "sideways"}),
]


def _twisted(chance: random.Random, data: bytes) -> bytes:
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.randint(0, 20))
        new = chance.choice([b"", bytes([chance.randrange(256)]), data[at:to] * 2, chance.randbytes(chance.randint(1, 16))])
        data = data[:at] + new + data[to:]
    return data


def _request(chance: random.Random, port: int, token: str, kernel_id: str) -> bytes:
    path = chance.choice(PATHS).format(id=chance.choice([kernel_id, "00000000-0000-0000-0000-000000000000", "x", "%2e%2e"]))
    if chance.random() < 0.5:
        path += chance.choice(TWISTS)
    version = chance.choice(["HTTP/1.1"] * 9 + ["HTTP/1.0", "HTTP/9.9", "HTTP/2", "", "HTTP/1.1 x"])
    method = chance.choice(METHODS) if chance.random() < 0.3 else chance.choice(METHODS[:5])
    head = [f"{method} {path} {version}".encode()]
    if chance.random() < 0.95:
        head.append(f"Host: 127.0.0.1:{port}".encode())
    if chance.random() < 0.6:
        head.append(f"Authorization: token {token}".encode())
    body = b""
    if chance.random() < 0.6:
        body = json.dumps(chance.choice(BODIES)).encode()
        if chance.random() < 0.6:
            body = _twisted(chance, body)
        if chance.random() < 0.05:
            body = b"[" * 20_000 + body
        head.append(b"Content-Type: application/json")
        head.append(b"Content-Length: %d" % (len(body) + chance.choice([0] * 12 + [-1, 1, 1000])))
    head += chance.sample(HEADERS, chance.choice([0, 0, 0, 1, 1, 2]))
    data = b"\r\n".join(head) + b"\r\n\r\n" + body
    return _twisted(chance, data) if chance.random() < 0.3 else data


def _frame(chance: random.Random) -> bytes:
    """A frame of a WebSocket, often a bad one, with something in it that is often no message."""
    header = {"msg_id": f"f{chance.random()}", "msg_type": chance.choice(["kernel_info_request", "comm_msg", "x", "input_reply"])}
    message = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": {}}
    payload = chance.choice([json.dumps(message).encode(), chance.randbytes(chance.randint(0, 300)), b"{}", b""])
    payload = _twisted(chance, payload)
    opcode = chance.choice([1, 1, 2, 2, 0, 3, 8, 9, 10, 15])
    first = opcode | chance.choice([0x80, 0x80, 0x80, 0, 0xC0])
    said = len(payload) if chance.random() < 0.9 else chance.choice([0, 125, 126, 127, 2**16, 2**31, 2**63 - 1])
    masked = 0x80 if chance.random() < 0.9 else 0
    if said < 126:
        head = bytes([first, masked | said])
    elif said < 2**16:
        head = bytes([first, masked | 126]) + said.to_bytes(2, "big")
    else:
        head = bytes([first, masked | 127]) + said.to_bytes(8, "big")
    mask = chance.randbytes(4)
    return head + (mask + bytes(each ^ mask[at % 4] for at, each in enumerate(payload)) if masked else payload)


def _upgrade(chance: random.Random, port: int, token: str, kernel_id: str) -> bytes:
    key = base64.b64encode(chance.randbytes(16)).decode()
    lines = [
        f"GET /api/kernels/{kernel_id}/channels?session_id=fuzz{chance.randrange(4)} HTTP/1.1",
        *(f"Host: 127.0.0.1:{port}", "Connection: Upgrade", "Upgrade: websocket", f"Authorization: token {token}"),
        *(f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13"),
    ]
    if chance.random() < 0.5:
        lines.append("Sec-WebSocket-Protocol: v1.kernel.websocket.jupyter.org")
    head = "\r\n".join(lines).encode() + b"\r\n\r\n"
    if chance.random() < 0.2:
        head = _twisted(chance, head)
    return head + b"".join(_frame(chance) for _ in range(chance.randint(1, 8)))


def _answer(port: int, data: bytes) -> bytes:
    """What comes back first; empty when the connection was closed without an answer."""
    try:
        with socket.create_connection(("127.0.0.1", port), ANSWER_WITHIN_S) as connection:
            connection.sendall(data)
            # Whoever has been promised more waits for it, which is right: nothing more comes.
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(200)
    except (ConnectionError, TimeoutError) as error:
        return b"" if not isinstance(error, TimeoutError) else b"silence"


def run(seed: int, count: int, tally: Tally) -> None:
    home = Home()
    try:
        _run(home, seed, count, tally)
    finally:
        home.clear()


def _run(home: Home, seed: int, count: int, tally: Tally) -> None:
    service = Service(home, "--max-kernels", "4", "--pool-size", "1")
    service.start()
    rest = Rest(service)
    kernel_id = rest.start_kernel()
    statuses: dict[str, int] = {}
    lock = threading.Lock()

    def thread(number: int, times: int) -> None:
        chance = random.Random(f"{seed}/{number}")
        for at in range(times):
            make = _request if chance.random() < 0.85 else _upgrade
            data = make(chance, service.port, service.token, kernel_id)
            while data[:8].upper().lstrip().startswith(b"DEL") and kernel_id.encode() in data:
                data = make(chance, service.port, service.token, kernel_id)  # That one is needed.
            said = _answer(service.port, data)
            status = said[9:12].decode(errors="replace") if said.startswith(b"HTTP/1.") else (said[:7] or b"closed").decode()
            with lock:
                statuses[status] = statuses.get(status, 0) + 1
            if status in ("500", "502"):
                tally.check(False, f"thread {number}, request {at} was answered with {status}: {data[:300]!r}")

    def batch(times: int) -> None:
        threads = [threading.Thread(target=thread, args=(number, times // AT_ONCE)) for number in range(AT_ONCE)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def costs() -> tuple[int, int]:
        """What the gateway holds without the kernels that the requests happened to start, as each holds some by right."""
        for each in rest.ask("GET", "/api/kernels").body:
            if each["id"] != kernel_id:
                rest.ask("DELETE", f"/api/kernels/{each['id']}")
        time.sleep(2)
        return descriptors(service.pid), pss_bytes(service.pid)

    # Its sockets of ZeroMQ are opened when somebody first asks for them, which a request would do at some time.
    tally.check(rest.ask("PUT", f"/api/kernels/{kernel_id}/connection").status < 300, "the kernel's connection was refused")
    # Caches, tables and the heap have their size after a part of it.
    batch(max(400, count // 4))
    before = costs()
    tally.progress(count // 4, count)
    batch(count - count // 4)
    tally.progress(count, count)
    if not tally.check(service.alive, f"the gateway has ended: {service.log()[-1500:]}"):
        return
    after = costs()
    tally.check(after[0] <= before[0] + DESCRIPTORS_MORE_MAX, f"descriptors: {before[0]} before, {after[0]} after")
    tally.check(after[1] <= before[1] + GROWTH_BYTES_MAX, f"memory: {before[1]} bytes before, {after[1]} after")
    log = service.log().lower()
    tally.check("unhandled" not in log and "uncaught" not in log, "the log tells of an error that nobody handled")
    good = rest.ask("POST", f"/api/kernels/{kernel_id}/executions?wait_s=30", {"code": "print(6 * 7)"})
    tally.check(good.status == 200 and good.body["stdout"] == "42\n", f"a good request afterwards: {good}")
    tally.check(service.stop() == 0, "the gateway did not end in order")
    tally.check(not (left := home.remains_after()), f"left behind: {left}")
    tally.figures["requests"] = sum(statuses.values())
    tally.figures["answers"] = ", ".join(f"{status} {times}" for status, times in sorted(statuses.items()))
    tally.figures["memory of the gateway, MiB"] = f"{before[1] / 2**20:.0f} after a quarter, {after[1] / 2**20:.0f} at the end"
    tally.figures["descriptors"] = f"{before[0]} after a quarter, {after[0]} at the end"
