"""An encrypted kernel, as KernelManager starts one that is told to encrypt."""

from __future__ import annotations

import json
import subprocess
import unittest

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager
from support.case import main
from support.client import SHUTDOWN_S, Client, Gate, stop_kernel
from support.subject import KERNEL, kernel_log, scratch

#: How long a client that must not be served is waited for.
SILENCE_MS = 500


class Encryption(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.manager = KernelManager(kernel_name=KERNEL, transport_encryption="required")
        cls.manager.shutdown_wait_time = SHUTDOWN_S
        cls.manager.start_kernel(stdout=kernel_log(), stderr=kernel_log())
        kc = cls.manager.client()
        cls.client = Client(kc)
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)
        kc.wait_for_ready(timeout=60)
        cls.info = cls.manager.get_connection_info()

    def test_a_kernel_that_must_encrypt_runs_cells(self) -> None:
        self.assertTrue(self.info["curve_publickey"])
        self.assertEqual(self.client.execute("6 * 7").result, "42")
        self.assertEqual(self.client.ask("kernel_info_request", channel="control")["status"], "ok")

    def test_cells_may_ask(self) -> None:
        cell = self.client.start("print(input('name? '))")
        cell.answer("ada")
        self.assertEqual(cell.wait().stdout, "ada\n")

    def test_its_heart_beats(self) -> None:
        self.client.kc.hb_channel.unpause()
        gate = Gate()
        cell = self.client.start(f"print('in', flush=True)\n{gate.code}")
        cell.wait_for_output("in")
        self.client.wait_for_echo()
        self.assertFalse(cell.is_done)
        gate.open()
        self.assertEqual(cell.wait().status, "ok")

    def test_another_client_with_the_connection_file_is_served(self) -> None:
        client = Client.connect(self.manager.connection_file)
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")

    def test_a_restart_keeps_the_keys(self) -> None:
        self.client.execute("x = 1")
        self.manager.restart_kernel(now=False)
        self.client.kc.wait_for_ready(timeout=60)
        self.assertEqual(self.client.execute("'x' in dir()").result, "False")

    def _sees_nothing(self, **changes: object) -> None:
        """A client with another connection file than the kernel's gets no reply, no publication and no echo."""
        info = {k: v.decode() if isinstance(v, bytes) else v for k, v in self.info.items()}
        file = scratch("encryption") / "kernel.json"
        file.write_text(json.dumps({k: v for k, v in {**info, **changes}.items() if v is not None}))
        kc = BlockingKernelClient(connection_file=str(file))
        kc.load_connection_file()
        # `start_channels` waits for nothing; the sockets connect in the background.
        client = Client(kc)
        self.addCleanup(client.close)
        client.send("shell", "kernel_info_request", {})
        client.send("control", "kernel_info_request", {})
        self.client.execute("print('secret')")
        poller = zmq.Poller()
        # A channel object of jupyter_client takes a heart for beating until it has been silent for a second.
        heart = kc.connect_hb()
        self.addCleanup(heart.close, 0)
        heart.send(b"ping")
        for socket in (*client.channels.values(), heart):
            poller.register(socket, zmq.POLLIN)
        self.assertEqual(poller.poll(SILENCE_MS), [])

    def test_a_client_without_keys_sees_nothing(self) -> None:
        self._sees_nothing(curve_publickey=None, curve_secretkey=None)

    def test_a_client_with_other_keys_sees_nothing(self) -> None:
        public, secret = zmq.curve_keypair()
        self._sees_nothing(curve_publickey=public.decode(), curve_secretkey=secret.decode())

    def test_half_a_pair_and_halves_of_two_are_refused_in_words(self) -> None:
        public, secret = (key.decode() for key in zmq.curve_keypair())
        other = zmq.curve_keypair()[1].decode()
        ports = {f"{channel}_port": 0 for channel in ("shell", "iopub", "stdin", "control", "hb")}
        argv = KernelSpecManager().get_kernel_spec(KERNEL).argv
        file = scratch("encryption") / "kernel.json"
        for keys, word in (
            ({"curve_secretkey": secret}, "curve_publickey"),
            ({"curve_publickey": public, "curve_secretkey": other}, "pairs"),
        ):
            with self.subTest(word):
                file.write_text(json.dumps({"ip": "127.0.0.1", "key": "k" * 32, **ports, **keys}))
                command = [part.replace("{connection_file}", str(file)) for part in argv]
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
                )
                self.assertIn(done.returncode, (1, 2))
                self.assertIn(word, done.stderr)
                self.assertNotIn(secret, done.stderr)


if __name__ == "__main__":
    main()
