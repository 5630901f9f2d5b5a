"""Bad input to a real gateway: each gets its answer, and a client that does nothing wrong loses nothing meanwhile."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import struct
import tempfile
import threading
import time
import unittest
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import websocket
from gateway.client import Rest
from gateway.server import PATIENCE_S, Server
from support import processes
from support.case import main

#: Rounds of a kernel's whole life; memory is only compared over many.
ROUNDS = 1000 if os.environ.get("RUN_SLOW") else 16
BINARY, TEXT = websocket.ABNF.OPCODE_BINARY, websocket.ABNF.OPCODE_TEXT
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
V1 = ["v1.kernel.websocket.jupyter.org"]


def offsets(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}Q", *numbers)


class GoodClient:
    """Runs one cell after the other, and notes what is not as it has to be."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self.kernel = rest.start_kernel()
        self.cells = 0
        self.fault = ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            channels = self._rest.channels(self.kernel)
            channels.execute("n = 0")
            while not self._over.wait(0.02):
                self.cells += 1
                text = channels.text("n += 1; print('cell', n)")
                if text != f"cell {self.cells}\n":
                    self.fault = f"cell {self.cells} printed {text!r}"
                    return
            channels.close()
        except Exception as error:
            self.fault = f"cell {self.cells}: {error!r}"

    def end(self) -> None:
        self._over.set()
        self._thread.join(PATIENCE_S)


class Hostile(unittest.TestCase):
    server: ClassVar[Server]
    rest: ClassVar[Rest]
    good: ClassVar[GoodClient]
    #: A kernel that is treated badly.
    victim: ClassVar[str]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        cls.addClassCleanup(folder.cleanup)
        cls.server = Server.start("--data-dir", folder.name, SAVEPOINT_SERVER_HEADERS_TIMEOUT_S="2")
        cls.addClassCleanup(cls.server.stop)
        cls.rest = Rest(cls.server.url, cls.server.token)
        cls.good = GoodClient(cls.rest)
        cls.addClassCleanup(cls.good.end)
        cls.victim = cls.rest.start_kernel()

    def tearDown(self) -> None:
        self.assertEqual(self.good.fault, "")
        self.assertTrue(self.good.cells)

    # ----------------------------------------------------------------------------------------------------- requests

    def assert_refused(
        self, method: str, path: str, statuses: Iterable[int], body: object = None, **headers: str
    ) -> None:
        answer = self.rest.ask(method, path, body, **headers)
        self.assertIn(answer.status, [*statuses], f"{method} {path[:80]}: {answer}")
        self.assertTrue({"code", "message", "reason"} <= set(answer.body), answer)

    def headers(self) -> str:
        return f"Host: 127.0.0.1\r\nAuthorization: token {self.rest.token}\r\n"

    def assert_answer(self, data: bytes, status: int) -> None:
        """These bytes are answered with an error of that status, and then the gateway hangs up."""
        host, port = self.server.url.removeprefix("http://").split(":")
        answer = b""
        with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
            try:
                connection.sendall(data)
                while chunk := connection.recv(65536):
                    answer += chunk
            except ConnectionError:
                pass
        self.assertRegex(answer, rb"^HTTP/1.1 %d " % status)
        self.assertIn(b'"code"', answer)

    def test_bodies(self) -> None:
        wrong: list[object] = [
            [],
            "x",
            3,
            {"name": 3},
            {"name": "nothing"},
            {"env": []},
            {"env": {"KERNEL_X": 3}},
            {"env": {"KERNEL_X": "a\0"}},
            {"env": {"KERNEL_X": "\ud800"}},
            {"env": {"KERNEL_X": "x" * 5000}},
            {"env": {f"KERNEL_{i}": "" for i in range(1000)}},
            {"env": {"KERNEL_ID": "../x"}},
            {"path": 3},
            *({"kernel_id": each} for each in (7, "a", "../../etc/passwd", "a-b-c-d-e\n", "x" * 5000, "a-b-c-d-é")),
            {"savepoint": 3},
            {"savepoint": {"lease": 3}},
        ]
        for body in wrong:
            with self.subTest(body=str(body)[:60]):
                self.assert_refused("POST", "/api/kernels", (400, 404), body)
        head = f"POST /api/kernels HTTP/1.1\r\n{self.headers()}Connection: close\r\n"
        deep = b'{"env":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        for body in (b"{", b"\0\1\2", b"{} x", b'"\xff\xfe"', deep):
            with self.subTest(body=body[:20]):
                self.assert_answer(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body, 400)
        self.assert_answer(f"{head}Content-Length: 20000000\r\n\r\n".encode(), 413)

    def test_what_decides_which_code_is_loaded_is_not_taken(self) -> None:
        environment = {"LD_PRELOAD": "/nothing.so", "PYTHONPATH": "/nothing", "KERNEL_LINES": "a\r\nSet-Cookie: b"}
        kernel = self.rest.start_kernel(env=environment, path="../../../nothing/at/all")
        channels = self.rest.channels(kernel)
        code = "import os; print([os.environ.get(name) for name in ('LD_PRELOAD', 'KERNEL_LINES')])"
        self.assertEqual(channels.text(code), f"{[None, environment['KERNEL_LINES']]}\n")
        channels.close()
        self.rest.ask("DELETE", f"/api/kernels/{kernel}")

    def test_paths_hosts_and_origins(self) -> None:
        for path in (
            f"/api/kernels/{uuid.uuid4()}",
            f"/api/kernels/{'x' * 600}",
            "/api/kernels/__proto__",
            "/api/kernels/%00",
            "/api/kernels/%ff",
            "/api/kernelspecs/constructor",
            "/kernelspecs/python3/..%2f..%2f..%2fetc%2fpasswd",
            "/kernelspecs/python3/%2e%2e/kernel.json",
            "/kernelspecs/__proto__/logo-64x64.png",
            "/api/sessions/__proto__",
        ):
            with self.subTest(path=path[:60]):
                self.assert_refused("GET", path, (400, 404))
        self.assert_refused("GET", "/api/kernels", (403,), Host="elsewhere.example")
        self.assert_refused("GET", "/api/kernels", (401,), Authorization="token wrong")
        token = f"?token={self.rest.token}"
        for origin in ("https://elsewhere.example", "null"):
            self.assert_refused("POST", f"/api/kernels{token}", (403,), {}, Origin=origin, Authorization="")

    def test_what_is_no_request(self) -> None:
        host = self.headers()
        upgrade = f"{host}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{KEY}\r\n"
        foreign = f"{upgrade}Origin: https://elsewhere.example\r\n"
        chunked = "Transfer-Encoding: chunked\r\n"
        post = f"POST /api/kernels HTTP/1.1\r\n{host}"
        nobody = uuid.uuid4()
        for data, status in (
            ("hello\r\n\r\n", 400),
            ("\x16\x03\x01\x02\x00", 400),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
            (f"GET /api HTTP/1.1\r\n{host}X: {'a' * 200_000}\r\n\r\n", 431),
            (f"{post}Content-Length: 5\r\n{chunked}\r\n0\r\n\r\n", 400),
            (f"{post}Content-Length: -5\r\n\r\n", 400),
            (f"{post}{chunked}\r\nzz\r\n", 400),
            (f"GET /api HTTP/1.1\r\nHost: 127.0.0.1\r\n{host[:10]}", 408),
            (f"GET /api/kernels/{nobody}/channels HTTP/1.1\r\n{upgrade}\r\n", 404),
            (f"GET /api/kernels HTTP/1.1\r\n{upgrade}\r\n", 404),
            (f"GET /api/kernels/{self.victim}/channels HTTP/1.1\r\n{foreign}\r\n", 403),
        ):
            with self.subTest(data=data[:60]):
                self.assert_answer(data.encode("latin1"), status)

    def test_many_requests_for_a_kernel_that_is_gone(self) -> None:
        path = f"/api/kernels/{uuid.uuid4()}"
        with ThreadPoolExecutor(8) as pool:
            statuses = set(pool.map(lambda _: self.rest.ask("GET", path).status, range(200)))
        self.assertEqual(statuses, {404})

    # --------------------------------------------------------------------------------------------------- WebSockets

    def close_code(self, data: bytes, opcode: int, subprotocols: list[str]) -> int | None:
        """With which code a connection ends after this frame; None: it goes on."""
        connection = websocket.create_connection(
            f"{self.rest.url.replace('http', 'ws', 1)}/api/kernels/{self.victim}/channels?session_id={uuid.uuid4()}",
            header={"Authorization": f"token {self.rest.token}"},
            subprotocols=subprotocols,
            timeout=PATIENCE_S,
        )
        try:
            connection.send(data, opcode)
            # What follows is answered, unless the connection is over.
            connection.ping("after")
            while True:
                frame = connection.recv_frame()
                if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                    return int(struct.unpack("!H", frame.data[:2])[0])
                if frame.opcode == websocket.ABNF.OPCODE_PING:
                    connection.pong(frame.data)
                if frame.opcode == websocket.ABNF.OPCODE_PONG:
                    return None
        finally:
            connection.close()

    def test_frames(self) -> None:
        beyond = offsets(6, 56, 60, 64, 68, 72, 9999) + b"shell{}{}{}{}"
        descending = offsets(6, 100, 90, 80, 70, 60, 50) + bytes(200)
        bad_v1 = (b"", b"\1", offsets(0), offsets(2**64 - 1), offsets(6, 2**63, 1, 2, 3, 4, 5), beyond, descending)
        for data in bad_v1:
            with self.subTest(v1=data[:40]):
                self.assertEqual(self.close_code(data, BINARY, V1), 1007)
        self.assertEqual(self.close_code(b"{}", TEXT, V1), 1003)
        for data in (b"hello", b"[" * 200_000 + b"]" * 200_000):
            with self.subTest(legacy=data[:20]):
                self.assertEqual(self.close_code(data, TEXT, []), 1007)
        for data in (b"\0\0\0\5", b"\xff\xff\xff\xff\0\0\0\0"):
            with self.subTest(legacy=data):
                self.assertEqual(self.close_code(data, BINARY, []), 1007)

    def test_messages(self) -> None:
        def message(**more: object) -> bytes:
            header = {"msg_id": "m", "msg_type": "kernel_info_request", "session": "s"}
            whole = {"channel": "shell", "header": header, "parent_header": {}, "metadata": {}, "content": {}}
            return json.dumps({**whole, **more}).encode()

        for data in (
            message(channel="nowhere"),
            message(channel="iopub"),
            message(header=[], content=None),
            message(header={"msg_id": 3, "msg_type": 4}),
            message(header={"msg_id": "m", "msg_type": "destroy_request"}),
            message(header={"msg_id": "m", "msg_type": "execute_request"}),
            message(header={"msg_id": "n", "msg_type": "execute_request"}, content={"code": 3}),
        ):
            with self.subTest(data=data[:80]):
                self.assertIsNone(self.close_code(data, TEXT, []))
        channels = self.rest.channels(self.victim)
        # A cell that failed takes those along that came before its reply; whoever has one aborted has seen it.
        channels.execute("pass")
        self.assertEqual(channels.text("print('alive')"), "alive\n")
        channels.close()

    # -------------------------------------------------------------------------------------------------------- races

    def at_once(self, *requests: tuple[str, str]) -> list[int]:
        with ThreadPoolExecutor(len(requests)) as pool:
            return [each.status for each in pool.map(lambda request: self.rest.ask(*request), requests)]

    def test_ends_and_restarts_at_once(self) -> None:
        kernel = self.rest.start_kernel()
        path = f"/api/kernels/{kernel}"
        restarts = self.at_once(*[("POST", f"{path}/restart")] * 4, ("POST", f"{path}/interrupt"))
        self.assertEqual(restarts, [200] * 4 + [204])
        deletes = self.at_once(*[("DELETE", path)] * 20)
        self.assertTrue(set(deletes) <= {204, 404}, deletes)
        self.assert_refused("GET", path, (404,))
        kernel = self.rest.start_kernel()
        path = f"/api/kernels/{kernel}"
        deleted, restarted = self.at_once(("DELETE", path), ("POST", f"{path}/restart"))
        self.assertEqual(deleted, 204)
        self.assertIn(restarted, (200, 404, 410))

    def test_an_id_that_comes_again_is_another_kernel(self) -> None:
        kernel = str(uuid.uuid4())
        path = f"/api/kernels/{kernel}"
        seen = []
        for _ in range(2):
            self.rest.start_kernel(kernel_id=kernel)
            ran = self.rest.ask("POST", f"{path}/executions", {"code": "print('x' in dir()); x = 1"})
            self.assertEqual((ran.status, ran.body["stdout"]), (200, "False\n"), ran)
            seen += [each["id"] for each in self.rest.ask("GET", f"{path}/executions").body["items"]]
            self.rest.ask("DELETE", path)
        self.assertEqual(len(set(seen)), 2)
        self.assertEqual(len(seen), 2)

    # ------------------------------------------------------------------------------------------------------- deaths

    def test_nothing_of_a_kernel_is_left(self) -> None:
        def facts() -> dict[str, float]:
            text = self.rest.ask("GET", "/metrics").body
            return {name: float(value) for name, value in re.findall(r"^(process_\w+) (\S+)$", text, re.MULTILINE)}

        def live(number: int) -> None:
            kernel = self.rest.start_kernel()
            channels = self.rest.channels(kernel)
            self.assertEqual(channels.text("print(6 * 7)"), "42\n")
            if number % 3:
                channels.close()
            if number % 5 == 0:
                self.rest.ask("POST", f"/api/kernels/{kernel}/executions", {"code": "1"})
            if number % 7 == 0:
                self.rest.ask("PUT", f"/api/kernels/{kernel}/connection")
            if number % 9 == 0:
                self.rest.ask("POST", f"/api/kernels/{kernel}/restart")
            self.assertEqual(self.rest.ask("DELETE", f"/api/kernels/{kernel}").status, 204)
            channels.close()

        for number in range(ROUNDS // 4):
            live(number)
        before = facts()
        for number in range(ROUNDS):
            live(number)
        deadline = time.monotonic() + PATIENCE_S
        while (after := facts())["process_open_fds"] > before["process_open_fds"] + 4 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertLessEqual(after["process_open_fds"], before["process_open_fds"] + 4)
        if ROUNDS >= 1000:
            grown = after["process_resident_memory_bytes"] / before["process_resident_memory_bytes"]
            self.assertLess(grown, 1.05)


class Deaths(unittest.TestCase):
    def start(self, **environment: str) -> tuple[Server, Rest]:
        folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        self.addCleanup(folder.cleanup)
        server = Server.start("--data-dir", folder.name, **environment)
        self.addCleanup(server.stop)
        return server, Rest(server.url, server.token)

    def busy(self, rest: Rest) -> Any:
        channels = rest.channels(rest.start_kernel())
        code = """
import subprocess, time
child = subprocess.Popen(["sleep", "1000"])
while True:
    try:
        print("busy"); time.sleep(0.05)
    except KeyboardInterrupt:
        pass
"""
        channels.send("execute_request", {"code": code, "silent": False})
        channels.until("stream", text="busy\n")
        return channels

    def test_of_a_gateway_that_is_killed_nothing_is_left_if_it_was_told_so(self) -> None:
        server, rest = self.start(SAVEPOINT_RECOVERY_ORPHAN_S="0")
        for _ in range(3):
            self.busy(rest)
        self.assertEqual(server.stop(signal.SIGKILL), [])

    def test_who_is_connected_outlives_worker_and_zygote_but_not_the_gateway(self) -> None:
        server, rest = self.start()
        channels = rest.channels(rest.start_kernel())
        worker = int(channels.text("import os; print(os.getpid())"))
        zygote = int(channels.text("print(os.getppid())"))
        msg_id = channels.send("execute_request", {"code": "import time; time.sleep(1000)", "silent": False})
        channels.until("execute_input", msg_id)
        os.kill(worker, signal.SIGKILL)
        self.assertIn("WorkerDied", channels.until("execute_reply", msg_id)["content"]["ename"])
        self.assertEqual(channels.text("print('again')"), "again\n")
        self.assertIn(zygote, [each.pid for each in processes.family(server.pid)])
        os.kill(zygote, signal.SIGKILL)
        channels.until("status", execution_state="restarting")
        self.assertEqual(channels.text("print('and again')"), "and again\n")
        self.assertEqual(rest.ask("DELETE", f"/api/kernels/{rest.start_kernel()}").status, 204)
        for _ in range(6):
            self.busy(rest)
        self.assertEqual(server.stop(), [])


if __name__ == "__main__":
    main()
