"""What outlives the gateway's process: a kill, a takeover, the loss of all Python; and that an end in order leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any

import websocket
from gateway.client import Channels, Rest
from gateway.server import PATIENCE_S, Server, _lives
from jupyter_client.blocking.client import BlockingKernelClient
from support import processes
from support.case import main

#: Waits for one file, and tells by another that it goes on.
AFTER_THE_KILL = """
import os, time
while not os.path.exists({killed!r}): time.sleep(0.01)
open({goes_on!r}, "w").close()
{code}
"""


class Recovery(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.server = self.start()

    def start(self, *arguments: str, **environment: str) -> Server:
        server = Server.start("--data-dir", self.folder, *arguments, **environment)
        self.addCleanup(lambda: self.assertEqual(server.stop(), []))
        self.rest = Rest(server.url, server.token)
        return server

    def again(self) -> None:
        """Kill the gateway, and start it again."""
        url = self.server.url
        self.server.kill()
        self.server = self.start()
        self.assertEqual(self.server.url, url)
        self.until_ready()

    def until_ready(self) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while self.rest.ask("GET", "/readyz").status != 200:
            self.assertLess(time.monotonic(), deadline, self.server.log())
            time.sleep(0.05)

    def model(self, kernel: str) -> dict[str, Any]:
        return dict(self.rest.ask("GET", f"/api/kernels/{kernel}").body)

    def run_cell(self, kernel: str, code: str) -> dict[str, Any]:
        answer = self.rest.ask("POST", f"/api/kernels/{kernel}/executions?wait_s=60", {"code": code})
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(answer.body["status"], "ok", answer.body)
        return dict(answer.body)

    def zeromq(self, connection: str | dict[str, Any]) -> BlockingKernelClient:
        """A client of ZeroMQ, by the connection file or what is in it."""
        client = BlockingKernelClient()
        if isinstance(connection, str):
            client.load_connection_file(connection)
        else:
            client.load_connection_info(connection)
        # A busy machine may leave an echo for longer than the second that is usual.
        client.hb_channel.time_to_dead = 10.0
        client.start_channels()
        self.addCleanup(client.stop_channels)
        client.wait_for_ready(timeout=PATIENCE_S)
        return client

    def test_a_kernel_goes_on_where_it_was_when_the_gateway_was_killed(self) -> None:
        kernel = self.rest.start_kernel()
        session = self.rest.ask(
            "POST", "/api/sessions", {"path": "a.ipynb", "type": "notebook", "kernel": {"id": kernel}}
        ).body["id"]
        before = self.rest.channels(kernel, "one")
        before.execute("import time; x = 1")
        begun = self.rest.ask("POST", f"/api/kernels/{kernel}/transactions", {"op": "begin", "name": "t"})
        self.assertEqual(begun.status, 201, begun.body)
        before.execute("x = 2")
        code = "for i in range(20):\n    print(i, flush=True)\n    time.sleep(0.1)"
        cell = before.send("execute_request", {"code": code, "silent": False})
        before.until("stream", cell)
        worker = self.model(kernel)["savepoint"]["worker"]
        self.again()
        # What was on its way when the gateway went is not sent again, but the write that was under way may be.
        while before.try_receive():
            pass
        self.assertEqual(self.model(kernel)["savepoint"]["worker"]["pid"], worker["pid"])
        after = self.rest.channels(kernel, "one")
        after.until("status", cell, execution_state="idle")
        texts = {
            each["header"]["msg_id"]: each["content"]["text"]
            for each in before.messages + after.messages
            if each["msg_type"] == "stream" and each["parent_header"].get("msg_id") == cell
        }
        self.assertEqual("".join(texts.values()), "".join(f"{i}\n" for i in range(20)))
        self.assertEqual(after.text("print(x)"), "2\n")
        status = self.rest.ask("GET", f"/api/kernels/{kernel}/transactions").body
        self.assertEqual([each["name"] for each in status["items"]], ["t"])
        self.assertEqual(self.rest.ask("DELETE", f"/api/kernels/{kernel}/transactions/{begun.body['id']}").status, 200)
        self.assertEqual(after.text("print(x)"), "1\n")
        self.assertEqual(self.rest.ask("POST", f"/api/kernels/{kernel}/undo", {}).status, 200)
        found = self.rest.ask("GET", "/api/sessions").body
        self.assertEqual([(each["id"], each["kernel"]["id"]) for each in found], [(session, kernel)])
        self.assertEqual(self.rest.ask("DELETE", f"/api/sessions/{session}").status, 204)

    def test_a_question_that_waits_can_be_answered_afterwards(self) -> None:
        kernel = self.rest.start_kernel()
        before = self.rest.channels(kernel, "one")
        cell = before.send("execute_request", {"code": "name = input('who? ')", "allow_stdin": True})
        before.until("input_request", cell)
        self.again()
        self.assertEqual(self.model(kernel)["execution_state"], "busy")
        after = self.rest.channels(kernel, "one")
        after.send("input_reply", {"value": "ann"}, channel="stdin")
        after.until("status", cell, execution_state="idle")
        self.assertEqual(after.text("print(name)"), "ann\n")

    def test_clients_of_zeromq_go_on_with_the_same_connection_file(self) -> None:
        kernel = self.rest.start_kernel()
        facts = self.rest.ask("PUT", f"/api/kernels/{kernel}/connection", {}).body
        del facts["warnings"]
        client = self.zeromq(facts["connection_file"])
        client.execute_interactive("import time; x = 5", timeout=PATIENCE_S)
        running = client.execute("time.sleep(3); y = 6")
        while client.get_iopub_msg(timeout=PATIENCE_S)["msg_type"] != "execute_input":
            pass
        self.again()
        self.assertEqual(self.rest.ask("GET", f"/api/kernels/{kernel}/connection").body, facts)
        self.assertEqual(reply_to(running, client)["content"]["status"], "ok")
        # An echo to what is sent now; a client takes a heart for beating until it has been silent for long.
        heart = client.connect_hb()
        self.addCleanup(heart.close, 0)
        heart.send(b"ping")
        self.assertTrue(heart.poll(PATIENCE_S * 1000))
        deadline = time.monotonic() + PATIENCE_S
        while not client.is_alive():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        said: list[str] = []
        client.execute_interactive(
            "print(x, y)",
            timeout=PATIENCE_S,
            output_hook=lambda message: said.append(message["content"].get("text", "")),
        )
        self.assertIn("5 6\n", "".join(said))
        self.server.stop()
        self.assertFalse(Path(facts["connection_file"]).exists())

    def test_what_ends_while_there_is_no_gateway_is_told_to_clients_of_zeromq(self) -> None:
        kernel = self.rest.start_kernel()
        client = self.zeromq(self.rest.ask("PUT", f"/api/kernels/{kernel}/connection", {}).body["connection_info"])
        for code, asks in (("1", False), ("answer = input()", True)):
            home = Path(os.environ["SAVEPOINT_TEST_HOME"])
            killed, goes_on = home / f"{kernel}-{asks}-killed", home / f"{kernel}-{asks}-goes-on"
            cell = AFTER_THE_KILL.format(killed=str(killed), goes_on=str(goes_on), code=code)
            running = client.execute(cell, allow_stdin=True)
            while client.get_iopub_msg(timeout=PATIENCE_S)["msg_type"] != "execute_input":
                pass
            self.server.kill()
            killed.touch()
            deadline = time.monotonic() + PATIENCE_S
            while not goes_on.exists():
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)
            # What is left of the cell takes no time.
            time.sleep(0.5)
            self.server = self.start()
            if asks:
                client.get_stdin_msg(timeout=PATIENCE_S)
                client.input("here")
            self.assertEqual(reply_to(running, client)["content"]["status"], "ok")
        self.until_ready()
        self.assertIn("here", str(self.run_cell(kernel, "print(answer)")))

    def test_a_takeover_keeps_kernels_and_has_clients_come_back(self) -> None:
        kernel = self.rest.start_kernel()
        channels = self.rest.channels(kernel)
        channels.execute("x = 7")
        old = self.server
        new = self.start("--takeover")
        self.assertEqual(old.exit_code, 0, old.log())
        self.assertEqual(new.url, old.url)
        self.assertEqual(closed_with(channels), 1012)
        self.until_ready()
        self.assertEqual(self.rest.channels(kernel).text("print(x)"), "7\n")
        # An end in order is an end: the next gateway begins anew.
        self.assertEqual(new.stop(), [])
        self.assertEqual(list(Path(self.folder, "gateways").iterdir()), [])
        self.server = self.start()
        self.assertEqual(self.rest.ask("GET", "/api/kernels").body, [])

    def test_a_takeover_with_a_port_is_of_the_gateway_there(self) -> None:
        younger = self.start()
        port = self.server.url.rstrip("/").rpartition(":")[2]
        new = Server.start("--data-dir", self.folder, "--takeover", port=port)
        self.addCleanup(lambda: self.assertEqual(new.stop(), []))
        self.assertEqual((self.server.exit_code, new.url), (0, self.server.url))
        self.assertEqual(Rest(younger.url, younger.token).ask("GET", "/api/kernels").status, 200)

    def test_kernels_of_several_killed_gateways_are_taken_up_at_one_start(self) -> None:
        servers = [self.server, self.start()]
        kernels: list[str] = []
        files: list[str] = []
        pids: list[int] = []
        for at, server in enumerate(servers):
            self.rest = Rest(server.url, server.token)
            kernels.append(self.rest.start_kernel())
            self.run_cell(kernels[-1], f"x = {at}")
            pids.append(self.model(kernels[-1])["savepoint"]["worker"]["pid"])
            files.append(self.rest.ask("PUT", f"/api/kernels/{kernels[-1]}/connection", {}).body["connection_file"])
            self.rest.ask("POST", "/api/sessions", {"path": f"{at}.ipynb", "type": "notebook", "kernel": {"id": kernels[-1]}})
        family = {each for server in servers for each in processes.family(server.pid)}
        # The third start goes on with what the second one had taken in.
        for _ in range(2):
            for server in servers:
                server.kill()
            self.server = self.start()
            servers = [self.server]
            self.until_ready()
            workers = [self.model(kernel)["savepoint"]["worker"]["pid"] for kernel in kernels]
            self.assertEqual(workers, pids)
            for at, (kernel, file) in enumerate(zip(kernels, files, strict=True)):
                self.assertEqual(self.run_cell(kernel, "print(x)")["stdout"], f"{at}\n")
                self.zeromq(file).stop_channels()
        self.assertEqual(sorted(each["path"] for each in self.rest.ask("GET", "/api/sessions").body), ["0.ipynb", "1.ipynb"])
        self.assertEqual(list(Path(self.folder, "gateways").iterdir()), [Path(self.folder, "gateways", self.server_instance())])
        self.assertEqual(self.server.stop(), [])
        self.assertEqual(left_of(family), [])

    def server_instance(self) -> str:
        owners = {each.parent.name: json.loads(each.read_text()) for each in Path(self.folder, "gateways").glob("*/owner.json")}
        return next(name for name, owner in owners.items() if owner["pid"] == self.server.pid)

    def test_a_kernel_without_processes_sleeps_until_it_is_asked_for(self) -> None:
        kernel, other = self.rest.start_kernel(), self.rest.start_kernel()
        self.run_cell(kernel, "x = 1")
        made = self.rest.ask("POST", f"/api/kernels/{kernel}/checkpoints", {"name": "kept"})
        self.assertEqual(made.status, 201, made.body)
        self.run_cell(kernel, "y = 2")
        family = processes.family(self.server.pid)
        self.server.kill()
        # As after a restart of the machine: nothing is left but the disk.
        for each in family:
            try:
                os.kill(each.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.server = self.start()
        self.until_ready()
        for each in self.rest.ask("GET", "/api/kernels").body:
            self.assertEqual((each["execution_state"], each["savepoint"]["phase"]), ("idle", "asleep"))
            self.assertIsNone(each["savepoint"]["worker"])
        done = self.run_cell(kernel, "print(x, 'y' in globals())")
        self.assertEqual(done["stdout"], "1 False\n")
        warnings = " ".join(done["savepoint"]["warnings"])
        self.assertIn("The state of the checkpoint 'kept'", warnings)
        self.assertIn("what cell 2 did", warnings)
        self.assertIn("no gateway was there", self.model(kernel)["savepoint"]["last_death"]["reason"])
        self.assertEqual(self.model(other)["savepoint"]["phase"], "asleep")
        # Nothing of it was kept, and it says so.
        channels = self.rest.channels(other)
        reply = channels.send("execute_request", {"code": "1", "silent": False})
        warned = channels.until("execute_reply", reply)["metadata"]["savepoint"]["warnings"]
        self.assertIn("Its variables are gone.", " ".join(warned))

    def test_a_gateway_without_kernels_leaves_nothing_that_nobody_ends(self) -> None:
        # Its pool is ready.
        self.rest.ask("DELETE", f"/api/kernels/{self.rest.start_kernel()}")
        family = processes.family(self.server.pid)
        self.server.kill()
        self.server = self.start()
        self.until_ready()
        self.assertEqual(self.server.stop(), [])
        self.assertEqual(left_of(family), [])

    def test_requests_about_a_kernel_that_is_not_back_yet_are_asked_to_wait(self) -> None:
        kernel = self.rest.start_kernel()
        self.server.kill()
        # The zygote is held up, so that its workers are not found at once.
        notes = [json.loads(each.read_text()) for each in Path(self.folder, "gateways").glob("*/zygotes/*.json")]
        for note in notes:
            os.kill(note["pid"], signal.SIGSTOP)
        try:
            self.server = self.start()
            self.assertEqual([each["id"] for each in self.rest.ask("GET", "/api/kernels").body], [kernel])
        finally:
            for note in notes:
                os.kill(note["pid"], signal.SIGCONT)
        self.until_ready()
        self.run_cell(kernel, "1")

    def test_kernels_whose_zygote_stays_away_come_up_anew(self) -> None:
        # More than are taken up at a time: the last ones find it given up.
        kernels = [self.rest.start_kernel() for _ in range(10)]
        self.run_cell(kernels[-1], "x = 1")
        self.server.kill()
        notes = [json.loads(each.read_text()) for each in Path(self.folder, "gateways").glob("*/zygotes/*.json")]
        for note in notes:
            os.kill(note["pid"], signal.SIGSTOP)
        self.server = self.start(SAVEPOINT_RECOVERY_TAKEUP_S="1")
        self.until_ready()
        for kernel in kernels:
            self.assertEqual(self.run_cell(kernel, "print('x' in globals())")["stdout"], "False\n")
            self.assertEqual(self.model(kernel)["savepoint"]["phase"], "idle")


def reply_to(request: str, client: BlockingKernelClient) -> dict[str, Any]:
    """The reply to a request; others are passed over."""
    while True:
        reply = client.get_shell_msg(timeout=PATIENCE_S)
        if reply["parent_header"].get("msg_id") == request:
            return dict(reply)


def left_of(family: set[processes.Process]) -> list[processes.Process]:
    """Those that still live after a while."""
    deadline = time.monotonic() + PATIENCE_S
    while left := [each for each in family if _lives(each)]:
        if time.monotonic() > deadline:
            break
        time.sleep(0.05)
    return left


def closed_with(channels: Channels) -> int | None:
    """The code of the close that comes."""
    try:
        while True:
            frame = channels._socket.recv_frame()
            if frame.opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(frame.data[:2], "big")
    except (websocket.WebSocketException, OSError):
        return None


if __name__ == "__main__":
    main()
