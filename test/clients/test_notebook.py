"""The notebook of the first slice, run by nbclient as papermill and nbconvert do."""

from __future__ import annotations

import sys
import unittest

from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbformat import NotebookNode
from support import processes
from support.case import main
from support.subject import CHECKOUT, IS_ORACLE, KERNEL, NOTEBOOK, ours, scratch

sys.path.insert(0, str(CHECKOUT / "test" / "notebooks"))
import make_notebook  # noqa: E402


def split(notebook: NotebookNode) -> tuple[NotebookNode, NotebookNode]:
    """What is run before the kernel is killed, and what after."""

    def tagged(tag: str) -> list[NotebookNode]:
        return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]

    second = tagged("second-life")
    # nbclient does not send a cell's metadata.
    first = [cell for cell in notebook.cells if cell not in second + tagged("by-metadata")]
    return NotebookNode({**notebook, "cells": first}), NotebookNode({**notebook, "cells": second})


def stream(cell: NotebookNode, name: str = "stdout") -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream" and output.name == name)


def data(cell: NotebookNode) -> dict[str, str]:
    """All data of all outputs of a cell."""
    return {kind: value for output in cell.outputs for kind, value in output.get("data", {}).items()}


def run(notebook: NotebookNode, kill: bool) -> dict[str, NotebookNode]:
    """Run a notebook in a new kernel; its cells by id. With `kill` the kernel gets SIGKILL, not an orderly end."""
    folder = scratch("notebook")
    client = NotebookClient(notebook, timeout=60, kernel_name=KERNEL, resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        assert isinstance(client.km, AsyncKernelManager)
        family = processes.family(client.km.provisioner.pid)
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        client.set_widgets_metadata()
        if kill:
            client.km.provisioner.process.kill()
            left = processes.wait_until_gone(family)
            assert IS_ORACLE or not left, left
    return {cell.id: cell for cell in notebook.cells}


class Notebook(unittest.TestCase):
    cells: dict[str, NotebookNode]
    widgets: dict[str, object]

    @classmethod
    def setUpClass(cls) -> None:
        first, second = split(make_notebook.build(KERNEL))
        cls.cells = run(first, kill=True)
        cls.widgets = first.metadata.get("widgets", {})
        if second.cells:
            cls.cells |= run(second, kill=False)

    def test_the_file_is_what_its_maker_writes(self) -> None:
        self.assertEqual(NOTEBOOK.read_text(encoding="utf-8"), make_notebook.text())

    def test_the_plot_is_a_picture(self) -> None:
        self.assertIn("image/png", data(self.cells["plot"]))

    def test_the_error_has_a_traceback(self) -> None:
        (error,) = self.cells["error"].outputs
        self.assertEqual((error.output_type, error.ename), ("error", "ZeroDivisionError"))
        self.assertIn("divide", "".join(error.traceback))

    def test_a_client_without_stdin_is_not_asked(self) -> None:
        self.assertEqual(stream(self.cells["input"]), "Hello, nobody!\n")

    def test_the_progress_bar_is_a_widget_and_the_total_follows(self) -> None:
        self.assertIn("application/vnd.jupyter.widget-view+json", data(self.cells["progress"]))
        self.assertEqual(stream(self.cells["progress"]), "The total is 780.\n")

    def test_the_slider_and_its_state_are_saved(self) -> None:
        model = data(self.cells["slider"])["application/vnd.jupyter.widget-view+json"]["model_id"]
        saved = self.widgets["application/vnd.jupyter.widget-state+json"]["state"][model]
        self.assertEqual((saved["model_name"], saved["state"]["value"]), ("IntSliderModel", 3))
        self.assertEqual(stream(self.cells["slider-value"]), "The slider stands at 3.\n")

    def test_the_cell_that_awaits_ran(self) -> None:
        self.assertEqual(stream(self.cells["await"]), "['first', 'second']\n")

    def test_the_state_is_seen_after_it(self) -> None:
        self.assertEqual(stream(self.cells["state-after"]), "[20.5, 21.0, 19.5] {'unit': 'degrees'}\n")

    @ours
    def test_the_failing_cell_failed_in_the_midst(self) -> None:
        cell = self.cells["failing-transaction"]
        self.assertRegex(stream(cell), r"^Before the failure there are 4 readings\.\nRolled back .*\n$")
        self.assertEqual([o.ename for o in cell.outputs if o.output_type == "error"], ["TypeError"])

    @ours
    def test_a_new_kernel_has_what_the_killed_one_saved(self) -> None:
        self.assertIn("saved", stream(self.cells["checkpoint"]))
        self.assertEqual(self.cells["restored"].execution_count, 2)
        self.assertEqual(
            stream(self.cells["restored"]),
            "[20.5, 21.0, 19.5] {'unit': 'degrees'}\n"
            "The mean is 20.33, the total was 780.\n"
            "There are 200 angles; 1 / 2 is 0.5.\n",
        )


if __name__ == "__main__":
    main()
