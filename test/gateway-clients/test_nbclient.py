"""jupyter_server's managers of a gateway's kernels, whose WebSockets send neither a token nor a session: by themselves,
and as nbclient and papermill use them."""

from __future__ import annotations

import os
import unittest
from pathlib import Path
from typing import Any

import nbformat
import papermill
from gateway.server import PATIENCE_S, Running
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager, GatewayMappingKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from support.case import main


def setUpModule() -> None:
    # The token is part of the path, which this client keeps for all that it asks.
    GatewayClient.instance(url=f"{Running.url}/t/{Running.token}")


class NotebookClients(unittest.TestCase):
    def run_all(self, *cells: str) -> nbformat.NotebookNode:
        notebook = new_notebook(cells=[new_code_cell(each) for each in cells])
        client = NotebookClient(
            notebook, timeout=PATIENCE_S, kernel_name="python3", kernel_manager_class=GatewayKernelManager
        )
        return client.execute()

    def test_a_notebook_runs_to_its_end(self) -> None:
        done = self.run_all("x = 6", "print(x * 7)", "x * 7")
        self.assertEqual([cell.execution_count for cell in done.cells], [1, 2, 3])
        self.assertEqual(done.cells[1].outputs[0].text, "42\n")
        self.assertEqual(done.cells[2].outputs[0].data["text/plain"], "42")

    def test_an_error_ends_it(self) -> None:
        with self.assertRaises(CellExecutionError) as raised:
            self.run_all("1 / 0", "print('never')")
        self.assertEqual(raised.exception.ename, "ZeroDivisionError")

    def test_output_of_many_messages_comes_whole(self) -> None:
        done = self.run_all("from IPython.display import display", "for i in range(2000): display(i)")
        self.assertEqual([int(each.data["text/plain"]) for each in done.cells[1].outputs], list(range(2000)))

    def test_papermill_fills_in_parameters(self) -> None:
        folder = Path(os.environ["SAVEPOINT_TEST_HOME"])
        parameters = new_code_cell("x = 1", metadata={"tags": ["parameters"]})
        python = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
        notebook = new_notebook(cells=[parameters, new_code_cell("print(x)")], metadata=python)
        nbformat.write(notebook, folder / "parameters.ipynb")
        done = papermill.execute_notebook(
            folder / "parameters.ipynb",
            folder / "filled-in.ipynb",
            parameters={"x": 42},
            progress_bar=False,
            kernel_manager_class="jupyter_server.gateway.managers.GatewayKernelManager",
        )
        self.assertEqual(done.cells[-1].outputs[0].text, "42\n")


class Managers(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self) -> None:
        self.managers = GatewayMappingKernelManager()
        self.kernel_id = await self.managers.start_kernel(kernel_name="python3", cwd="/")
        self.manager = self.managers.get_kernel(self.kernel_id)
        self.client = self.manager.client()
        await self.client.start_channels()
        await self.client.wait_for_ready(timeout=PATIENCE_S)

    async def asyncTearDown(self) -> None:
        self.client.stop_channels()
        await self.managers.shutdown_kernel(self.kernel_id)
        self.assertNotIn(self.kernel_id, [each["id"] for each in await self.managers.list_kernels()])

    async def told(self, code: str) -> list[dict[str, Any]]:
        """What a cell publishes."""
        msg_id = self.client.execute(code)
        messages: list[dict[str, Any]] = []
        while not messages or messages[-1]["content"].get("execution_state") != "idle":
            message = await self.client.get_iopub_msg(timeout=PATIENCE_S)
            if message["parent_header"].get("msg_id") == msg_id:
                messages.append(message)
        return messages

    async def test_a_kernel_has_its_folder_and_widgets(self) -> None:
        told = await self.told("import ipywidgets, os\nprint(os.getcwd())\nipywidgets.IntSlider(3)")
        types = [each["msg_type"] for each in told]
        self.assertEqual(types.count("comm_open"), 3)
        self.assertEqual(told[types.index("stream")]["content"]["text"], "/\n")
        shown = told[types.index("execute_result")]["content"]["data"]
        self.assertIn("application/vnd.jupyter.widget-view+json", shown)

    async def test_a_kernel_is_interrupted_and_restarted(self) -> None:
        await self.told("x = 1")
        msg_id = self.client.execute("print('here')\nwhile True: pass")
        while (await self.client.get_iopub_msg(timeout=PATIENCE_S))["msg_type"] != "stream":
            pass
        await self.managers.interrupt_kernel(self.kernel_id)
        while (reply := await self.client.get_shell_msg(timeout=PATIENCE_S))["parent_header"]["msg_id"] != msg_id:
            pass
        self.assertEqual(reply["content"]["ename"], "KeyboardInterrupt")
        await self.managers.restart_kernel(self.kernel_id)
        self.assertTrue(await self.manager.is_alive())
        told = await self.told("print('x' in globals())")
        self.assertIn("False\n", [each["content"].get("text") for each in told])


if __name__ == "__main__":
    main()
