"""What nobody should send: the kernel lives on, or says clearly why it does not start."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import unittest

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from support import processes
from support.case import KernelCase, main
from support.client import connect_when_written
from support.subject import KERNEL, ours, scratch

DELIMITER = b"<IDS|MSG>"


class Frames(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.shell: zmq.Socket = self.client.channels["shell"]

    def signed(self, *parts: bytes) -> list[bytes]:
        return [DELIMITER, self.client.kc.session.sign(list(parts)), *parts]

    def header(self, msg_type: str = "execute_request", **fields: object) -> bytes:
        return json.dumps({**self.client.kc.session.msg_header(msg_type), **fields}, default=str).encode()

    def lives(self) -> None:
        self.assertEqual(self.run_ok("6 * 7").result, "42")

    def execute(self, content: bytes, *, metadata: bytes = b"{}") -> None:
        self.shell.send_multipart(self.signed(self.header(), b"{}", metadata, content))

    def test_a_message_with_a_wrong_signature_is_not_run(self) -> None:
        parts = [self.header(), b"{}", b"{}", b'{"code": "forged = 1", "silent": false}']
        for signature in (b"", b"0" * 64, b"not hex", self.client.kc.session.sign(parts)[:-1], b"\xff" * 64):
            with self.subTest(signature[:8]):
                self.shell.send_multipart([DELIMITER, signature, *parts])
        self.assertEqual(self.run_ok("'forged' in dir()").result, "False")

    def test_a_message_sent_twice_runs_once(self) -> None:
        self.run_ok("times = 0")
        message = self.signed(self.header(), b"{}", b"{}", b'{"code": "times += 1", "silent": false}')
        self.shell.send_multipart(message)
        self.shell.send_multipart(message)
        self.assertEqual(self.run_ok("times").result, "1")

    def test_missing_frames_are_survived(self) -> None:
        whole = self.signed(self.header(), b"{}", b"{}", b"{}")
        for length in range(1, len(whole)):
            self.shell.send_multipart(whole[:length])
        self.shell.send_multipart([b""])
        self.shell.send_multipart([b"no delimiter", b"at all"])
        self.shell.send_multipart([DELIMITER, DELIMITER, DELIMITER])
        self.lives()

    def test_junk_in_place_of_json_is_survived(self) -> None:
        for junk in (b"", b"{", b"junk", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"a": 1}{'):
            for place in range(4):
                parts = [self.header(), b"{}", b"{}", b'{"code": "1"}']
                parts[place] = junk
                self.shell.send_multipart(self.signed(*parts))
        self.lives()

    def test_headers_without_their_fields_are_survived(self) -> None:
        whole = json.loads(self.header())
        for key in whole:
            for value in (None, 7, [], {}):
                self.shell.send_multipart(
                    self.signed(json.dumps({**whole, key: value}).encode(), b"{}", b"{}", b'{"code": "1"}')
                )
            rest = {k: v for k, v in whole.items() if k != key}
            self.shell.send_multipart(self.signed(json.dumps(rest).encode(), b"{}", b"{}", b'{"code": "1"}'))
        self.lives()

    @ours
    def test_a_cell_without_code_is_answered_with_an_error(self) -> None:
        for content in ({}, {"code": None}, {"code": 7}, {"code": ["1"]}):
            with self.subTest(content):
                self.assertEqual(self.client.request("execute_request", content).wait().status, "error")
        self.lives()

    def test_odd_fields_of_other_requests_are_survived(self) -> None:
        for msg_type, content in (
            ("complete_request", {}),
            ("complete_request", {"code": "zi", "cursor_pos": 10**9}),
            ("complete_request", {"code": 7, "cursor_pos": "x"}),
            ("inspect_request", {"code": "zip", "cursor_pos": -5}),
            ("history_request", {"hist_access_type": "unheard of"}),
            ("is_complete_request", {}),
            ("comm_open", {}),
            ("comm_open", {"comm_id": 5, "target_name": None}),
            ("comm_msg", {"comm_id": "nobody's", "data": {}}),
            ("comm_close", {}),
            ("interrupt_request", {}),
            ("input_reply", {"value": "unasked"}),
        ):
            self.client.send("shell", msg_type, content)
        self.client.send("stdin", "input_reply", {"value": "unasked"})
        self.client.send("stdin", "execute_request", {"code": "1"})
        self.lives()

    def test_three_hundred_random_messages_are_survived(self) -> None:
        seed = 20260101
        dice = random.Random(seed)
        for channel in ("shell", "control", "stdin"):
            for _ in range(100):
                parts = [dice.randbytes(dice.randrange(40)) for _ in range(dice.randrange(1, 8))]
                if dice.random() < 0.5:
                    parts.insert(dice.randrange(len(parts)), DELIMITER)
                self.client.channels[channel].send_multipart(parts)
        self.lives()

    def test_a_stranger_on_the_ports_is_survived(self) -> None:
        info = self.manager.get_connection_info()
        for channel in ("shell", "iopub", "stdin", "control", "hb"):
            with socket.create_connection((info["ip"], info[f"{channel}_port"]), timeout=60) as stranger:
                stranger.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" + bytes(200))
        self.lives()

    def test_a_large_message_is_run(self) -> None:
        self.assertEqual(self.run_ok(f"len('{'x' * 5_000_000}')", timeout=60).result, "5000000")


@ours
class ConnectionFiles(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = scratch("connection")
        self.file = self.folder / "kernel.json"
        self.argv = KernelSpecManager().get_kernel_spec(KERNEL).argv

    def start(self) -> subprocess.Popen[str]:
        argv = [part.replace("{connection_file}", str(self.file)) for part in self.argv]
        kernel = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.addCleanup(self.end, kernel)
        return kernel

    def end(self, kernel: subprocess.Popen[str]) -> None:
        if kernel.poll() is None:
            kernel.kill()
        kernel.communicate()

    def refused(self, *words: str) -> None:
        """The kernel ends with code 1 or 2 and says why in words for a person, and leaves no process."""
        kernel = self.start()
        family = processes.family(kernel.pid)
        _, told = kernel.communicate(timeout=60)
        self.assertIn(kernel.returncode, (1, 2), told)
        for word in words:
            self.assertIn(word, told)
        for trace in ("    at ", "Traceback"):
            self.assertNotIn(trace, told, "a stack trace is not for a person")
        self.assertEqual(processes.wait_until_gone(family), [])

    def connection(self, **fields: object) -> dict[str, object]:
        ports = {f"{channel}_port": 0 for channel in ("shell", "iopub", "stdin", "control", "hb")}
        return {
            "ip": "127.0.0.1",
            "transport": "tcp",
            "key": "k" * 32,
            "signature_scheme": "hmac-sha256",
            **ports,
            **fields,
        }

    def test_a_malformed_connection_file_is_refused_by_name(self) -> None:
        cases: dict[str, object] = {
            "no JSON": "{junk",
            "no object": "[1, 2]",
            "empty": "",
            "a port that is no number": json.dumps(self.connection(shell_port="many")),
            "a port out of range": json.dumps(self.connection(iopub_port=70000)),
            "an unknown transport": json.dumps(self.connection(transport="pigeon")),
            "an unknown scheme": json.dumps(self.connection(signature_scheme="hmac-rot13")),
        }
        for name, text in cases.items():
            with self.subTest(name):
                self.file.write_text(str(text), encoding="utf-8")
                self.refused("kernel.json")

    def test_a_port_in_use_is_named(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            self.file.write_text(json.dumps(self.connection(control_port=port)), encoding="utf-8")
            self.refused(str(port), "control")

    def test_a_second_kernel_on_the_same_file_is_refused_and_the_first_lives_on(self) -> None:
        self.file.write_text(json.dumps(self.connection()), encoding="utf-8")
        client = connect_when_written(self.file, self.start())
        self.addCleanup(client.close)
        written = self.file.read_text(encoding="utf-8")
        self.refused("in use")
        self.assertEqual(self.file.read_text(encoding="utf-8"), written)
        self.assertEqual(client.execute("6 * 7").result, "42")

    def test_port_zero_is_written_back_and_the_file_stays_private(self) -> None:
        self.file.write_text(json.dumps(self.connection(extra="kept")), encoding="utf-8")
        kernel = self.start()
        client = connect_when_written(self.file, kernel)
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")
        written = json.loads(self.file.read_text(encoding="utf-8"))
        self.assertEqual((written["extra"], written["key"]), ("kept", "k" * 32))
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)

    def test_an_absent_file_is_made_and_removed_at_the_end(self) -> None:
        kernel = self.start()
        client = connect_when_written(self.file, kernel)
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")
        self.assertEqual(self.file.stat().st_mode & 0o777, 0o600)
        client.request("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(kernel.wait(timeout=60), 0)
        self.assertFalse(self.file.exists())

    def test_an_empty_key_means_no_signatures(self) -> None:
        self.file.write_text(json.dumps(self.connection(key="")), encoding="utf-8")
        client = connect_when_written(self.file, self.start())
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")


if __name__ == "__main__":
    main()
