"""Event loops of graphical toolkits: they run between cells, requests are served meanwhile, and interrupts work."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
import unittest

from support.case import fresh_kernel
from support.client import Client
from support.subject import scratch

TICKS = {
    "tk": (
        "import tkinter\nroot = tkinter.Tk()\nticks = []\n"
        "def tick():\n    ticks.append(1)\n    root.after(5, tick)\nroot.after(5, tick); None"
    ),
    "qt6": (
        "from PyQt6 import QtCore, QtWidgets\nticks = []\n"
        "timer = QtCore.QTimer(); timer.timeout.connect(lambda: ticks.append(1)); timer.start(5)\n"
        "window = QtWidgets.QLabel('x'); window.show()"
    ),
    "asyncio": (
        "import asyncio\nticks = []\nasync def tick():\n    while True:\n        ticks.append(1)\n"
        "        await asyncio.sleep(0.005)\ntask = asyncio.get_event_loop().create_task(tick())"
    ),
}


class Loops(unittest.TestCase):
    def check(self, toolkit: str, environment: dict[str, str]) -> None:
        _, client = fresh_kernel(self, env={**os.environ, **environment})
        enabled = client.execute(f"%gui {toolkit}", timeout=60)
        self.assertEqual(enabled.status, "ok", enabled.content)
        cell = client.execute(TICKS[toolkit], timeout=60)
        self.assertEqual(cell.status, "ok", cell.content)
        self.wait_for_ticks(client)
        # Requests of every kind are served while the loop runs, each soon.
        for _ in range(10):
            began = time.monotonic()
            self.assertEqual(client.execute("6 * 7").result, "42")
            self.assertEqual(client.ask("is_complete_request", {"code": "1"})["status"], "complete")
            self.assertLess(time.monotonic() - began, 10)
        self.wait_for_ticks(client)
        # An interrupt of the idle kernel changes nothing, one of a cell ends the cell.
        client.ask("interrupt_request", {}, "control")
        self.assertEqual(client.execute("6 * 7").result, "42")
        busy = client.start("print('go')\nwhile True: pass")
        busy.wait_for_output("go")
        client.request("interrupt_request", {}, "control")
        self.assertEqual(busy.wait().content["ename"], "KeyboardInterrupt")
        self.wait_for_ticks(client)
        self.assertEqual(client.execute("%gui").status, "ok")
        self.assertEqual(client.execute("get_ipython().kernel.eventloop is None").result, "True")

    def wait_for_ticks(self, client: Client) -> None:
        """Wait until the toolkit has run between cells."""
        before = int(client.value("len(ticks)"))
        deadline = time.monotonic() + 20
        while int(client.value("len(ticks)")) < before + 3:
            self.assertLess(time.monotonic(), deadline, "The toolkit's loop does not run between cells.")
            time.sleep(0.02)

    def test_asyncio(self) -> None:
        self.check("asyncio", {})

    def test_qt(self) -> None:
        self.check("qt6", {"QT_QPA_PLATFORM": "offscreen", "QT_API": "pyqt6"})

    @unittest.skipUnless(shutil.which("Xvfb") or os.environ.get("DISPLAY"), "Tk wants a display, and there is no Xvfb")
    def test_tk(self) -> None:
        self.check("tk", {"DISPLAY": self.display()})

    @unittest.skipUnless(shutil.which("Xvfb") or os.environ.get("DISPLAY"), "Tk wants a display, and there is no Xvfb")
    def test_windows_of_matplotlib(self) -> None:
        display = {"DISPLAY": self.display()}
        for backend, environment in (("tk", display), ("qt6", {"QT_QPA_PLATFORM": "offscreen", **display})):
            with self.subTest(backend):
                _, client = fresh_kernel(self, env={**os.environ, **environment})
                code = f"%matplotlib {backend}\nimport matplotlib.pyplot as plt\nplt.plot([1]); plt.show()"
                shown = client.execute(code, timeout=60)
                self.assertEqual(shown.status, "ok", shown.content)
                drawn = client.execute("len(plt.get_fignums()), plt.gcf().canvas.get_width_height()[0] > 0")
                self.assertEqual(drawn.result, "(1, True)")
                self.assertEqual(client.execute("plt.close('all')").status, "ok")

    def display(self) -> str:
        """A display of our own, in memory."""
        if not shutil.which("Xvfb"):
            return os.environ["DISPLAY"]
        read, write = os.pipe()
        log = open(scratch("xvfb") / "log", "wb")
        self.addCleanup(log.close)
        server = subprocess.Popen(["Xvfb", "-displayfd", str(write), "-nolisten", "tcp"], pass_fds=[write], stderr=log)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        os.close(write)
        with open(read, encoding="ascii") as numbers:
            return f":{numbers.readline().strip()}"
