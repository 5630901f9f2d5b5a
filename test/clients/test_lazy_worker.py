"""NS-3: a kernel that starts Python only when it is needed."""

from __future__ import annotations

import json
import subprocess
import unittest

from jupyter_client.kernelspec import KernelSpecManager
from support import processes, subject
from support.case import main
from support.client import Client, connect_when_written
from support.debugger import Debugger
from support.subject import ours


@ours
class LazyWorker(unittest.TestCase):
    def start(self, *options: str) -> tuple[subprocess.Popen[bytes], Client]:
        """A kernel started as its kernelspec says, with options of its own."""
        folder = subject.scratch("lazy")
        file = folder / "kernel-lazy.json"
        ports = {f"{channel}_port": 0 for channel in ("shell", "iopub", "stdin", "control", "hb")}
        scheme = {"key": "k" * 32, "signature_scheme": "hmac-sha256"}
        file.write_text(json.dumps({"ip": "127.0.0.1", "transport": "tcp", **scheme, **ports}), encoding="utf-8")
        spec = KernelSpecManager().get_kernel_spec(subject.KERNEL)
        argv = [part.replace("{connection_file}", str(file)) for part in spec.argv] + list(options)
        kernel = subprocess.Popen(argv, stdout=subject.kernel_log(), stderr=subject.kernel_log())
        self.addCleanup(self.end, kernel)
        client = connect_when_written(file, kernel)
        self.addCleanup(client.close)
        return kernel, client

    def end(self, kernel: subprocess.Popen[bytes]) -> None:
        kernel.terminate()
        kernel.wait(15)

    def pythons(self, kernel: subprocess.Popen[bytes]) -> int:
        return len([each for each in processes.family(kernel.pid) if "start_worker.py" in each.command])

    def test_NS_3_there_is_no_python_until_the_first_cell_and_one_worker_after_it(self) -> None:
        first, _ = self.start("--lazy-worker")
        # Nothing is known of this Python yet: its zygote tells, and no worker is forked.
        self.assertEqual(self.pythons(first), 1)
        kernel, client = self.start("--lazy-worker")
        self.assertEqual(self.pythons(kernel), 0)
        self.assertEqual(client.ask("kernel_info_request")["implementation"], "ipython")
        history = {"hist_access_type": "tail", "n": 1, "output": False, "raw": True}
        self.assertEqual(client.ask("history_request", history)["status"], "ok")
        self.assertEqual(self.pythons(kernel), 0)
        cells = [client.start(f"{n} + 1") for n in range(3)]
        self.assertEqual([cell.wait(60).result for cell in cells], ["1", "2", "3"])
        # The zygote and its one worker.
        self.assertEqual(self.pythons(kernel), 2)
        client.ask("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(kernel.wait(15), 0)

    def test_a_debugger_wakes_it_and_a_question_about_usage_does_not(self) -> None:
        self.start("--lazy-worker")
        kernel, client = self.start("--lazy-worker")
        self.assertEqual(client.ask("usage_request", channel="control")["pid"], None)
        self.assertEqual(self.pythons(kernel), 0)
        debugger = Debugger(client)
        debugger.attach()
        self.assertEqual(self.pythons(kernel), 2)
        code = "a = 1\nb = a + 1\nb"
        debugger.set_breakpoints(code, 2)
        cell, thread = debugger.run_into(code)
        self.assertGreater(client.ask("usage_request", channel="control")["pid"], 0)
        debugger.go_on(thread)
        self.assertEqual(cell.wait(60).result, "2")
        debugger.detach()
        client.ask("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(kernel.wait(15), 0)

    def test_what_a_debugger_asks_first_and_a_shutdown_while_it_wakes_are_answered(self) -> None:
        self.start("--lazy-worker")
        kernel, client = self.start("--lazy-worker")
        self.assertEqual(Debugger(client).body("debugInfo")["isStarted"], False)
        kernel, client = self.start("--lazy-worker")
        cell, info = client.start("1"), Debugger(client).send("debugInfo")
        # The cell has come when Python is started for it.
        client.wait_until(lambda: self.pythons(kernel) or client.receive(0.01) and False, 60, "Python")
        family = processes.family(kernel.pid)
        client.ask("shutdown_request", {"restart": False}, channel="control")
        for each in (cell, info):
            client.wait_until(lambda each=each: each.is_done, 15, "an answer before the end")
        self.assertEqual(kernel.wait(15), 0)
        self.assertEqual(processes.wait_until_gone(family), [])

    def test_a_kernel_that_was_never_needed_ends_at_once(self) -> None:
        kernel, client = self.start("--lazy-worker")
        family = processes.family(kernel.pid)
        client.ask("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(kernel.wait(15), 0)
        self.assertEqual(processes.wait_until_gone(family), [])


if __name__ == "__main__":
    main()
