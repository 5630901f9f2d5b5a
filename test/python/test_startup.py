"""How a zygote that starts along with its gateway finds it."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
import threading
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker import startup
from savepoint_worker.link import Link
from savepoint_worker.zygote import Options

PATIENCE_S = 20


class Meeting(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name) / "root"
        self.root.mkdir(mode=0o700)
        self.path = self.root / "k1" / "link"

    def meet(self) -> Link:
        return startup._meet_gateway(Options(str(self.path), "token", "k1", None, 0), os.getppid())

    def bound(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.addCleanup(listener.close)
        listener.bind(str(self.path))
        return listener

    def check(self, gateway: threading.Timer) -> None:
        gateway.start()
        link = self.meet()
        gateway.join(PATIENCE_S)
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(PATIENCE_S)
            self.assertIn(b"hello", connection.recv(1000))
        link.close()

    def test_it_waits_for_one_that_is_not_there_yet(self) -> None:
        def come() -> None:
            self.path.parent.mkdir(mode=0o700)
            self.listener = self.bound()
            self.listener.listen()

        self.check(threading.Timer(0.05, come))

    def test_it_waits_for_one_that_has_a_socket_and_does_not_listen_yet(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.listener = self.bound()
        self.check(threading.Timer(0.05, self.listener.listen))

    def test_what_a_process_of_the_same_number_has_left_is_passed_by(self) -> None:
        self.path.parent.mkdir(mode=0o700)
        self.bound().close()

        def come() -> None:
            self.path.unlink()
            self.listener = self.bound()
            self.listener.listen()

        self.check(threading.Timer(0.05, come))

    def test_it_ends_with_the_process_that_started_it(self) -> None:
        with self.assertRaises(SystemExit):
            startup._meet_gateway(Options(str(self.path), "token", "k1", None, 0), os.getppid() + 1)

    def test_a_folder_that_is_open_to_others_is_refused(self) -> None:
        self.root.chmod(0o755)
        with self.assertRaisesRegex(PermissionError, "open to others"):
            self.meet()


if __name__ == "__main__":
    unittest.main()
