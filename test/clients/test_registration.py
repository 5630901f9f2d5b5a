"""Kernels that choose their ports and tell a launcher: a small one for each dialect, written from its description."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import unittest
from datetime import datetime, timezone
from typing import Any

import zmq
from jupyter_client.kernelspec import KernelSpecManager
from support.case import main
from support.client import Client
from support.subject import KERNEL, ours, scratch

DELIMITER = b"<IDS|MSG>"
KEY = "a key of the launcher"
PATIENCE_MS = 30_000
CHANNELS = ("shell", "iopub", "stdin", "control", "hb")


def sign(*frames: bytes) -> bytes:
    digest = hmac.new(KEY.encode(), digestmod=hashlib.sha256)
    for frame in frames:
        digest.update(frame)
    return digest.hexdigest().encode()


@ours
class Registration(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = scratch("registration")
        self.runtime = self.folder / "runtime"
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)

    def launch(self, kind: int, fields: dict[str, Any]) -> tuple[zmq.Socket, subprocess.Popen[str]]:
        """A launcher's socket, and a kernel that was given a registration file."""
        socket = self.context.socket(kind)
        port = socket.bind_to_random_port("tcp://127.0.0.1")
        file = self.folder / "registration.json"
        common = {"transport": "tcp", "signature_scheme": "hmac-sha256", "key": KEY, "registration_port": port}
        file.write_text(json.dumps({**common, **fields}))
        self.given = file.read_text()
        argv = [
            part.replace("{connection_file}", str(file)) for part in KernelSpecManager().get_kernel_spec(KERNEL).argv
        ]
        kernel = subprocess.Popen(
            argv,
            env={**os.environ, "JUPYTER_RUNTIME_DIR": str(self.runtime)},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(self.end, kernel)
        return socket, kernel

    def end(self, kernel: subprocess.Popen[str]) -> None:
        if kernel.poll() is None:
            kernel.terminate()
        kernel.communicate(timeout=60)

    def receive(self, socket: zmq.Socket) -> list[bytes]:
        self.assertTrue(socket.poll(PATIENCE_MS), "no kernel registered")
        return socket.recv_multipart()

    def serves(self, kernel: subprocess.Popen[str], ports: dict[str, int], name: str) -> None:
        """The kernel works at these ports, and has written a connection file for others, which goes with it."""
        (file,) = self.runtime.glob("kernel-*.json")
        self.assertIn(name, file.name)
        self.assertEqual(file.stat().st_mode & 0o777, 0o600)
        written = json.loads(file.read_text())
        self.assertEqual({c: written[f"{c}_port"] for c in CHANNELS}, ports)
        self.assertNotIn("registration_port", written)
        client = Client.connect(str(file))
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")
        self.assertEqual((self.folder / "registration.json").read_text(), self.given)
        client.request("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(kernel.wait(60), 0)
        self.assertFalse(file.exists())

    def test_the_dialect_of_the_specification(self) -> None:
        socket, kernel = self.launch(zmq.ROUTER, {"kernel_id": "k-17", "registration_ip": "127.0.0.1"})
        routing, delimiter, signature, content = self.receive(socket)
        self.assertEqual((delimiter, signature), (DELIMITER, sign(content)))
        told = json.loads(content)
        self.assertEqual(told.pop("kernel_id"), "k-17")
        self.assertEqual(told.keys(), {f"{c}_port" for c in CHANNELS})
        self.assertTrue(all(type(port) is str for port in told.values()))
        acknowledgement = b'{"status": "ok"}'
        socket.send_multipart([routing, DELIMITER, sign(acknowledgement), acknowledgement])
        self.serves(kernel, {c: int(told[f"{c}_port"]) for c in CHANNELS}, "k-17")

    def test_the_dialect_of_positron(self) -> None:
        socket, kernel = self.launch(zmq.REP, {"ip": "127.0.0.1"})
        delimiter, signature, header, parent, metadata, content = self.receive(socket)
        self.assertEqual((delimiter, signature), (DELIMITER, sign(header, parent, metadata, content)))
        self.assertEqual(json.loads(header)["msg_type"], "handshake_request")
        told = json.loads(content)
        self.assertEqual(told.keys(), {f"{c}_port" for c in CHANNELS})
        self.assertTrue(all(type(port) is int for port in told.values()))
        date = datetime.now(timezone.utc).isoformat()
        answer = {
            "msg_id": "1",
            "msg_type": "handshake_reply",
            "session": "s",
            "username": "u",
            "date": date,
            "version": "5.3",
        }
        frames = [json.dumps(answer).encode(), header, b"{}", b'{"status": "ok"}']
        socket.send_multipart([DELIMITER, sign(*frames), *frames])
        self.serves(kernel, {c: told[f"{c}_port"] for c in CHANNELS}, "kernel-")

    def test_an_answer_that_is_not_signed_does_not_count(self) -> None:
        socket, kernel = self.launch(zmq.REP, {"ip": "127.0.0.1"})
        self.receive(socket)
        socket.send_multipart([DELIMITER, sign(b"other"), b"{}"])
        self.assertNotEqual(kernel.wait(60), 0)
        self.assertIn("not the launcher", kernel.stderr.read())
        self.assertEqual(list(self.runtime.glob("*.json")), [])

    def test_a_kernel_that_is_refused_ends(self) -> None:
        socket, kernel = self.launch(zmq.ROUTER, {"kernel_id": "k", "registration_ip": "127.0.0.1"})
        routing, *_ = self.receive(socket)
        content = b'{"status": "error"}'
        socket.send_multipart([routing, DELIMITER, sign(content), content])
        self.assertNotEqual(kernel.wait(60), 0)
        self.assertIn("refused", kernel.stderr.read())

    def test_a_registration_file_without_a_usable_port_is_refused(self) -> None:
        _, kernel = self.launch(zmq.ROUTER, {"registration_ip": "127.0.0.1", "registration_port": "many"})
        self.assertIn(kernel.wait(60), (1, 2))
        self.assertIn("registration_port", kernel.stderr.read())


if __name__ == "__main__":
    main()
