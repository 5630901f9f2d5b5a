"""`savepoint serve` as a command: what it prints, where it listens, how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import unittest
from pathlib import Path

from gateway.client import Rest
from gateway.server import PATIENCE_S, Server, command
from support.case import main


class Serve(unittest.TestCase):
    def start(self, *arguments: str, **options: str) -> Server:
        server = Server.start(*arguments, **options)
        self.addCleanup(server.stop)
        return server

    def folder(self) -> str:
        folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        self.addCleanup(folder.cleanup)
        return folder.name

    def test_it_ends_in_order_with_all_of_its_kernels(self) -> None:
        server = self.start("--data-dir", self.folder())
        rest = Rest(server.url, server.token)
        channels = rest.channels(rest.start_kernel())
        channels.execute("import subprocess; p = subprocess.Popen(['sleep', '1000'])")
        channels.send("execute_request", {"code": "while True: pass", "silent": False})
        channels.until("status", execution_state="busy")
        self.assertEqual(server.stop(), [])
        self.assertEqual(server.exit_code, 0, server.log())

    def test_the_token_is_kept_for_the_next_start(self) -> None:
        folder = self.folder()
        first = self.start("--data-dir", folder)
        self.assertEqual(Path(folder, "token").stat().st_mode & 0o777, 0o600)
        self.assertNotIn(first.token, first.log())
        record = json.loads(Path(folder, "gateway.json").read_text(encoding="utf-8"))
        self.assertEqual((record["pid"], record["url"]), (first.pid, first.url))
        self.assertEqual(first.stop(signal.SIGINT), [])
        self.assertFalse(Path(folder, "gateway.json").exists())
        second = self.start("--data-dir", folder)
        self.assertEqual(second.token, first.token)

    def test_a_port_in_use_is_an_error_that_says_so(self) -> None:
        port = Rest().url.rsplit(":", 1)[1]
        done = self.run_serve("--port", port, "--data-dir", self.folder())
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"Port {port} of 127.0.0.1 is in use", done.stderr)
        # Of the same data folder it is known who has it.
        done = self.run_serve("--port", port)
        self.assertEqual(done.returncode, 1)
        self.assertIn(f"A gateway runs at {Rest().url} already", done.stderr)
        self.assertNotIn("Another gateway", done.stderr)

    def test_wrong_usage_is_exit_code_2_and_starts_nothing(self) -> None:
        folder = self.folder()
        for arguments, said in (
            (("--port", "high"), "--port is"),
            (("--nope",), "There is no option --nope"),
            (("--ip", "0.0.0.0", "--token", ""), "only listen on loopback"),
            (("--config", f"{folder}/none.yaml"), "cannot be read"),
        ):
            done = self.run_serve("--port", "0", "--data-dir", folder, *arguments)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn(said, done.stderr)

    def test_a_kernelspec_of_the_file_below_a_base_url_has_its_name_and_environment(self) -> None:
        folder = self.folder()
        file = Path(folder, "savepoint.yaml")
        file.write_text("kernelspecs:\n  lab:\n    display_name: The lab\n    env: {ANSWER: 42}\n", encoding="utf-8")
        server = self.start("--config", str(file), "--data-dir", folder, "--base-url", "/a/b")
        self.assertTrue(server.url.endswith("/a/b"))
        rest = Rest(server.url, server.token)
        specs = rest.ask("GET", "/api/kernelspecs").body["kernelspecs"]
        self.assertEqual(specs["lab"]["spec"]["display_name"], "The lab")
        # Nobody has to choose between names of one and the same; who knows another name may use it.
        self.assertTrue({"python", "savepoint"}.isdisjoint(specs), list(specs))
        self.assertEqual(rest.ask("GET", "/api/kernelspecs/savepoint").body["name"], "savepoint")
        channels = rest.channels(rest.start_kernel(name="lab"))
        self.assertEqual(channels.text("import os; print(os.environ['ANSWER'])"), "42\n")

    def run_serve(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command("serve", *arguments), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )


if __name__ == "__main__":
    main()
