"""A browser behind a real Jupyter server behind the gateway: with that server as it is, and with the companion."""

from __future__ import annotations

import unittest
from typing import ClassVar

from gateway.jupyter_server import V1, Browser, JupyterServer, text_of
from support.case import main

WIDGET = "import ipywidgets\nimage = ipywidgets.Image(value=b'\\xff\\xfe' * 10)\nimage"
MIB = 2**20


class BehindJupyterServer(unittest.IsolatedAsyncioTestCase):
    ours: ClassVar[bool]
    framing: ClassVar[str | None] = V1
    server: ClassVar[JupyterServer]

    @classmethod
    def setUpClass(cls) -> None:
        if cls is BehindJupyterServer:
            raise unittest.SkipTest("what the others have in common")
        cls.server = JupyterServer(ours=cls.ours)
        cls.addClassCleanup(cls.server.stop)

    async def asyncSetUp(self) -> None:
        self.kernel = self.server.ask("POST", "/api/kernels", {"name": "python3"})["id"]
        self.browser = await self.server.browser(self.kernel, "a-session", self.framing)

    async def asyncTearDown(self) -> None:
        self.browser.connection.close()
        self.server.ask("DELETE", f"/api/kernels/{self.kernel}")

    async def printed(self, code: str) -> str:
        return text_of(await self.browser.execute(code))


class Stock(BehindJupyterServer):
    ours = False

    async def test_only_text_arrives_and_the_connection_outlives_what_cannot_be_passed_on(self) -> None:
        self.assertFalse(self.browser.framing)
        told = await self.browser.execute(WIDGET)
        self.assertEqual([each.buffers for each in told if each.buffers], [])
        self.assertIn("savepoint-gateway-client", text_of(told, "stderr"))
        self.assertEqual([each.type for each in told].count("comm_open"), 2)
        large = await self.browser.execute(f"print('x' * {11 * MIB})")
        self.assertEqual(len(text_of(large)), 11 * MIB + 1)
        shown = await self.browser.execute(f"from IPython.display import HTML\nHTML('x' * {11 * MIB})")
        [result] = [each for each in shown if each.type == "execute_result"]
        self.assertEqual(list(result.content["data"]), ["text/plain"])
        self.assertEqual(await self.printed("print('still here')"), "still here\n")


class WithTheCompanion(BehindJupyterServer):
    ours = True

    async def test_buffers_and_large_messages_go_both_ways(self) -> None:
        self.assertEqual(self.browser.framing, V1)
        told = await self.browser.execute(WIDGET)
        self.assertIn([b"\xff\xfe" * 10], [each.buffers for each in told if each.type == "comm_open"])
        self.assertEqual(text_of(told, "stderr"), "")
        comm_id = next(each.content["comm_id"] for each in told if each.buffers)
        data = {"method": "update", "state": {}, "buffer_paths": [["value"]]}
        await self.browser.send("comm_msg", {"comm_id": comm_id, "data": data}, [b"\x00\xff" * 5])
        self.assertEqual(await self.printed("print(bytes(image.value))"), f"{bytes(5 * [0, 255])!r}\n")
        shown = await self.browser.execute(f"from IPython.display import HTML\nHTML('x' * {11 * MIB})")
        [result] = [each for each in shown if each.type == "execute_result"]
        self.assertEqual(len(result.content["data"]["text/html"]), 11 * MIB)

    async def test_the_browser_is_told_when_the_kernel_has_ended(self) -> None:
        await self.printed("print('hello')")
        self.server.ask("DELETE", f"/api/kernels/{self.kernel}")
        while await self.browser.receive() is not None:
            pass
        self.assertEqual(self.browser.connection.close_code, 1000)
        self.kernel = self.server.ask("POST", "/api/kernels", {"name": "python3"})["id"]

    async def test_a_restart_keeps_the_connection(self) -> None:
        await self.printed("x = 1")
        self.server.ask("POST", f"/api/kernels/{self.kernel}/restart", {})
        self.assertEqual(await self.printed("print('x' in globals())"), "False\n")

    async def test_two_browsers_share_a_kernel(self) -> None:
        other: Browser = await self.server.browser(self.kernel, "another-session", None)
        self.addCleanup(other.connection.close)
        await self.printed("y = 2")
        self.assertEqual(text_of(await other.execute("print(y)")), "2\n")


if __name__ == "__main__":
    main()
