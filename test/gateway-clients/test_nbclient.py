"""nbclient through jupyter_server's GatewayKernelManager, whose WebSocket sends neither a token nor a session."""

from __future__ import annotations

import unittest

import nbformat
from gateway.server import PATIENCE_S, Running
from jupyter_server.gateway.gateway_client import GatewayClient
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_notebook
from support.case import main


class NotebookClients(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        # The token is part of the path, which this client keeps for all that it asks.
        GatewayClient.instance(url=f"{Running.url}/t/{Running.token}")

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


if __name__ == "__main__":
    main()
