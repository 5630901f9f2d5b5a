"""What clients see of a gateway that is ended by force while cells run, and of others that do not read."""

from __future__ import annotations

import json
import os
import signal
import tempfile
import time
import unittest
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import requests
from gateway.client import Channels, Rest
from gateway.server import PATIENCE_S, Server
from support.case import main

#: Counts until it is told to end.
COUNT = """
import itertools, os, time
for n in itertools.count():
    print(n, flush=True)
    if os.path.exists({end!r}):
        break
    time.sleep(0.01)
"""


class Lasting(unittest.TestCase):
    """With a gateway of their own, in whose place another one comes now and then."""

    folder: str
    server: Server

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory(dir=os.environ["SAVEPOINT_TEST_HOME"])
        cls.addClassCleanup(folder.cleanup)
        cls.folder = folder.name
        cls.start()

    @classmethod
    def start(cls) -> None:
        cls.server = Server.start("--data-dir", cls.folder)
        cls.addClassCleanup(cls.server.stop)

    def setUp(self) -> None:
        self.rest = Rest(self.server.url, self.server.token)
        self.end = os.path.join(self.folder, self.id())

    def kernel(self) -> str:
        kernel = self.rest.start_kernel()
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{kernel}")
        return kernel

    def killed(self) -> None:
        """The gateway is gone, and another one has taken its place."""
        os.kill(self.server.pid, signal.SIGKILL)
        self.assertEqual(self.server.exit_code, -signal.SIGKILL)
        self.start()
        self.assertEqual(self.server.url, self.rest.url)

    def soon(self, kernel: str) -> None:
        """Until requests for the kernel are served."""
        deadline = time.monotonic() + PATIENCE_S
        while (answer := self.rest.ask("GET", f"/api/kernels/{kernel}")).status == 503:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        self.assertEqual(answer.status, 200, answer)

    def again(self, kernel: str, channels: Channels) -> Channels:
        """A new connection of the same session."""
        self.soon(kernel)
        return self.rest.channels(kernel, channels.session_id)

    def test_a_session_gets_each_message_once_over_several_gateways(self) -> None:
        kernel = self.kernel()
        channels = self.rest.channels(kernel)
        cell = channels.send("execute_request", {"code": COUNT.format(end=self.end), "silent": False})
        messages: list[dict[str, Any]] = []
        for _ in range(2):
            for _ in range(40):
                channels.receive()
            self.killed()
            # What was on its way when the gateway went.
            while channels.try_receive():
                pass
            messages += channels.messages[:-1]
            # The write that was under way may be repeated, and nothing else.
            last = channels.messages[-1]
            channels = self.again(kernel, channels)
            if channels.receive()["header"]["msg_id"] != last["header"]["msg_id"]:
                messages.append(last)
        Path(self.end).touch()
        channels.until("status", cell, execution_state="idle")
        messages += channels.messages
        ours = [each for each in messages if each["parent_header"].get("msg_id") == cell]
        ids = [each["header"]["msg_id"] for each in ours]
        self.assertEqual(len(ids), len(set(ids)))
        text = "".join(each["content"]["text"] for each in ours if each["msg_type"] == "stream")
        self.assertEqual(text, counted(text))
        self.assertEqual([each["msg_type"] for each in ours].count("execute_reply"), 1)

    def test_a_question_waits_for_its_session_or_the_next_one(self) -> None:
        kernel = self.kernel()
        channels = self.rest.channels(kernel)
        cell = channels.send("execute_request", {"code": "print(input('Who? '))", "silent": False, "allow_stdin": True})
        channels.until("input_request", cell)
        self.killed()
        channels = self.again(kernel, channels)
        channels.send("input_reply", {"value": "Ann"}, channel="stdin")
        self.assertEqual(channels.until("stream", cell)["content"]["text"], "Ann\n")

    def test_one_that_does_not_read_holds_nobody_up_and_gets_it_all_later(self) -> None:
        kernel = self.kernel()
        stalled, reader = self.rest.channels(kernel), self.rest.channels(kernel)
        # Somebody who has said something does not come for the first time.
        stalled.execute("pass")
        lines, line = 20_000, "x" * 999
        code = f"for n in range({lines // 100}):\n    print('\\n'.join(['{line}'] * 100), flush=True)"
        cell = reader.send("execute_request", {"code": code, "silent": False})
        for each in (reader, stalled):
            each.until("status", cell, execution_state="idle")
            said = [message for message in each.messages if message["parent_header"].get("msg_id") == cell]
            text = "".join(message["content"]["text"] for message in said if message["msg_type"] == "stream")
            self.assertEqual(len(text), lines * (len(line) + 1))
            ids = [message["header"]["msg_id"] for message in said]
            self.assertEqual(len(ids), len(set(ids)))

    def test_a_page_that_is_loaded_anew_and_a_second_tab_see_what_runs(self) -> None:
        kernel = self.kernel()
        page = self.rest.channels(kernel)
        cell = page.send("execute_request", {"code": COUNT.format(end=self.end), "silent": False})
        for _ in range(20):
            page.receive()
        page.close()
        loaded, tab = self.rest.channels(kernel), self.rest.channels(kernel)
        for each in (loaded, tab):
            each.until("stream", cell)
        Path(self.end).touch()
        for each in (loaded, tab):
            each.until("status", cell, execution_state="idle")
            text = "".join(message["content"]["text"] for message in each.messages if message["msg_type"] == "stream")
            self.assertEqual(text, counted(text))
            self.assertEqual(each.messages[0]["content"], {"execution_state": "busy"})

    def test_executions_by_rest_go_on_with_their_output_and_events(self) -> None:
        kernel = self.kernel()
        runs = f"/api/kernels/{kernel}/executions"
        body = {"code": COUNT.format(end=self.end), "idempotency_key": "k"}
        first = self.rest.ask("POST", f"{runs}?wait_s=0", body).body["id"]
        waiting = self.rest.ask("POST", f"{runs}?wait_s=0", {"code": "print('then')"}).body["id"]
        events = self.events(f"{runs}/{first}/events", 0)
        seen = [next(events) for _ in range(10)]
        self.killed()
        self.soon(kernel)
        Path(self.end).touch()
        seen += list(self.events(f"{runs}/{first}/events", seen[-1][0]))
        self.assertEqual([name for _, name, _ in seen][-1], "end")
        text = "".join(data["text"] for _, name, data in seen if name == "stream")
        self.assertEqual(text, counted(text))
        self.assertEqual(self.rest.ask("GET", f"{runs}/{first}").body["stdout"], text)
        done = self.rest.ask("GET", f"{runs}/{waiting}?wait_s=60").body
        self.assertEqual((done["status"], done["stdout"]), ("ok", "then\n"))
        self.assertEqual(self.rest.ask("POST", runs, body).body["id"], first)

    def events(self, path: str, last: int) -> Iterator[tuple[int, str, Any]]:
        """Number, name and data of each server-sent event."""
        answer = requests.get(
            f"{self.rest.url}{path}",
            headers={"Authorization": f"token {self.rest.token}", "Last-Event-ID": str(last)},
            stream=True,
            timeout=PATIENCE_S,
        )
        fields: dict[str, str] = {}
        for line in answer.iter_lines(decode_unicode=True):
            name, _, value = line.partition(": ")
            fields[name] = value
            if line == "" and "id" in fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


def counted(text: str) -> str:
    """All numbers up to the last one of these."""
    return "".join(f"{n}\n" for n in range(int(text.split()[-1]) + 1))


if __name__ == "__main__":
    main()
