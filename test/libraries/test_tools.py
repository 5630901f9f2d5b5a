"""Programs of Jupyter that run notebooks and scripts, and qtconsole, as their users start them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import unittest
from collections.abc import Callable
from pathlib import Path

import nbformat
from nbformat import v4
from support.case import main
from support.subject import KERNEL, scratch

WITHIN_S = 60.0


class CommandLine(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = scratch("tools")
        cells = [v4.new_code_cell("x = 6 * 7\nprint('hello', x)"), v4.new_code_cell("x")]
        kernel = {"name": KERNEL, "display_name": KERNEL, "language": "python"}
        nbformat.write(v4.new_notebook(cells=cells, metadata={"kernelspec": kernel}), self.folder / "in.ipynb")

    def run_program(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "jupyter", *arguments]
        done = subprocess.run(
            command, cwd=self.folder, capture_output=True, text=True, check=False, timeout=2 * WITHIN_S
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def check_outputs(self, path: Path) -> None:
        first, second = nbformat.read(path, 4).cells
        self.assertEqual([output.text for output in first.outputs], ["hello 42\n"])
        self.assertEqual([output.data for output in second.outputs], [{"text/plain": "42"}])
        self.assertEqual([first.execution_count, second.execution_count], [1, 2])

    def test_nbconvert_runs_a_notebook(self) -> None:
        self.run_program("nbconvert", "--execute", "--to", "notebook", "--output", "out", "in.ipynb")
        self.check_outputs(self.folder / "out.ipynb")

    def test_jupyter_execute_runs_a_notebook(self) -> None:
        self.run_program("execute", "--output=out", "in.ipynb")
        self.check_outputs(self.folder / "out.ipynb")

    def test_jupyter_run_runs_a_script(self) -> None:
        (self.folder / "script.py").write_text("print('from a script')\n6 * 7\n")
        self.assertEqual(self.run_program("run", "--kernel", KERNEL, "script.py").split("\n"), ["from a script", "42"])


class QtConsole(unittest.TestCase):
    """The widget itself, with keys that are pressed and text that is read."""

    def setUp(self) -> None:
        os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
        from qtconsole.manager import QtKernelManager
        from qtconsole.rich_jupyter_widget import RichJupyterWidget
        from qtpy import QtCore, QtWidgets
        from qtpy.QtTest import QTest

        self.keys, self.press = QtCore.Qt, QTest
        self.app = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
        self.manager = QtKernelManager(kernel_name=KERNEL)
        self.manager.start_kernel()
        self.addCleanup(self.manager.shutdown_kernel)
        client = self.manager.client()
        client.start_channels()
        self.addCleanup(client.stop_channels)
        self.console = RichJupyterWidget()
        self.console.kernel_manager, self.console.kernel_client = self.manager, client
        self.console.resize(900, 700)
        self.console.show()
        self.addCleanup(self.console.close)
        self.until(self.prompt(1))

    def until(self, happened: Callable[[], bool]) -> None:
        """Let the console work until something has happened."""
        end = time.monotonic() + WITHIN_S
        while not happened():
            self.assertLess(time.monotonic(), end, self.text()[-1000:])
            self.app.processEvents()
            time.sleep(0.005)

    def text(self) -> str:
        return self.console._control.toPlainText()

    def prompt(self, count: int) -> Callable[[], bool]:
        return lambda: self.text().rstrip().endswith(f"In [{count}]:")

    def type(self, text: str) -> None:
        self.press.keyClicks(self.console._control, text)

    def key(self, name: str, widget: object = None) -> None:
        self.press.keyClick(widget or self.console._control, getattr(self.keys, f"Key_{name}"))

    def run_cell(self, code: str, then: int) -> str:
        """Run a cell; what the console shows after the last prompt before it."""
        began = len(self.text())
        self.console.execute(code)
        self.until(self.prompt(then))
        return self.text()[began:]

    def test_a_session(self) -> None:
        self.assertIn("Out[1]: 42", self.run_cell("x = 6 * 7\nx", 2))
        # The kernel says whether a line that was typed is complete.
        self.type("def double(a):")
        self.key("Return")
        self.until(lambda: self.text().splitlines()[-1].strip() == "...:")
        self.type("return 2 * a")
        self.key("Return")
        self.until(lambda: self.text().splitlines()[-1].strip() == "...:")
        self.key("Return")
        self.until(self.prompt(3))
        self.assertIn("Signature: double(a)", self.run_cell("double?", 4))
        # What is longer than the window is shown in a pager.
        pager = self.console._page_control
        self.console.execute("import json\njson??")
        self.until(lambda: "JSONDecoder" in pager.toPlainText())
        self.key("Q", pager)
        self.until(self.prompt(5))
        # History: the last cell, and the last that begins with what was typed.
        self.key("Up")
        self.assertEqual(self.console.input_buffer, "import json\njson??")
        self.console.input_buffer = ""
        self.type("x =")
        self.key("Up")
        self.assertEqual(self.console.input_buffer, "x = 6 * 7\nx")
        self.console.input_buffer = ""
        self.type("x.bit_le")
        self.key("Tab")
        self.until(lambda: self.console.input_buffer == "x.bit_length")
        self.console.input_buffer = ""
        self.type("double(")
        self.until(self.console._call_tip_widget.isVisible)
        self.console.input_buffer = ""
        self.console.execute("name = input('who? ')")
        self.until(lambda: self.text().rstrip().endswith("who?"))
        self.type("me")
        self.key("Return")
        self.until(self.prompt(6))
        self.assertIn("'me'", self.run_cell("name", 7))
        self.assertIn("ZeroDivisionError", self.run_cell("1 / 0", 8))
        self.console.execute("import time\nprint('go')\ntime.sleep(600)")
        self.until(lambda: self.text().rstrip().endswith("go"))
        self.console.request_interrupt_kernel()
        self.until(self.prompt(9))
        # A payload that fills the next cell, and one that closes the console.
        script = scratch("qtconsole") / "script.py"
        script.write_text("6 * 7\n")
        self.console.execute(f"%load {script}")
        self.until(lambda: "6 * 7" in self.console.input_buffer)
        self.console.input_buffer = ""
        left: list[object] = []
        self.console.exit_requested.connect(left.append)
        self.console.execute("exit")
        self.until(lambda: bool(left))


if __name__ == "__main__":
    main()
