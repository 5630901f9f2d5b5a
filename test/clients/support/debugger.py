"""A client of the debugger: requests of the debug adapter protocol over the control channel."""

from __future__ import annotations

from typing import Any

from .client import PATIENCE_S, Cell, Client, Message

INITIALIZE = {
    "clientID": "test-client",
    "clientName": "testClient",
    "adapterID": "",
    "pathFormat": "path",
    "linesStartAt1": True,
    "columnsStartAt1": True,
    "supportsVariableType": True,
    "supportsVariablePaging": True,
    "supportsRunInTerminalRequest": True,
    "locale": "en",
}


class Debugger:
    """Speaks for one client."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._seq = 0

    def send(self, command: str, arguments: dict[str, Any] | None = None) -> Cell:
        """Send a request and do not wait."""
        self._seq += 1
        content = {"type": "request", "seq": self._seq, "command": command, "arguments": arguments or {}}
        return self.client.request("debug_request", content, "control")

    def ask(self, command: str, arguments: dict[str, Any] | None = None, timeout: float = PATIENCE_S) -> dict[str, Any]:
        """Send a request; the content of its reply."""
        return self.send(command, arguments).wait(timeout).content

    def body(self, command: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request that must succeed; the body of the response."""
        answer = self.ask(command, arguments)
        if not answer.get("success"):
            raise AssertionError(f"{command} failed: {answer}")
        return answer["body"]

    def attach(self) -> None:
        """Begin to debug, as JupyterLab does it."""
        for command, arguments in (("initialize", INITIALIZE), ("attach", {})):
            answer = self.ask(command, arguments)
            if not answer.get("success"):
                raise AssertionError(f"{command} failed: {answer}")

    def detach(self) -> None:
        """End debugging."""
        answer = self.ask("disconnect", {"restart": False, "terminateDebuggee": False})
        if not answer.get("success"):
            raise AssertionError(f"disconnect failed: {answer}")

    def set_breakpoints(self, code: str, *lines: int) -> str:
        """Set the breakpoints of the cell `code`; the name of its file."""
        path: str = self.body("dumpCell", {"code": code})["sourcePath"]
        wished = {"breakpoints": [{"line": line} for line in lines], "source": {"path": path}, "sourceModified": False}
        verified = [each["verified"] for each in self.body("setBreakpoints", wished)["breakpoints"]]
        if verified != [True] * len(lines):
            raise AssertionError(f"Not all of the breakpoints were set: {verified}")
        self.ask("configurationDone")
        return path

    def run_into(self, code: str) -> tuple[Cell, int]:
        """Send a cell that stops somewhere; it, and the number of the thread that has stopped."""
        since = len(self.client.messages)
        cell = self.client.start(code)
        return cell, self.stopped(since)["threadId"]

    def stopped(self, since: int) -> dict[str, Any]:
        """What the next `stopped` event says, from message number `since` on."""

        def is_stop(message: Message) -> bool:
            return message["msg_type"] == "debug_event" and message["content"]["event"] == "stopped"

        return self.client.wait_for(is_stop, since=since)["content"]["body"]

    def step(self, thread: int, command: str = "next") -> list[tuple[str, int]]:
        """Take a step that stops again; where the thread stands then."""
        since = len(self.client.messages)
        self.ask(command, {"threadId": thread})
        self.stopped(since)
        return self.stack(thread)

    def go_on(self, thread: int) -> None:
        """Let the thread run."""
        self.ask("continue", {"threadId": thread})

    def frames(self, thread: int) -> list[dict[str, Any]]:
        """Where the thread stands, innermost first."""
        return self.body("stackTrace", {"threadId": thread})["stackFrames"]

    def stack(self, thread: int) -> list[tuple[str, int]]:
        """The same, as function and line."""
        return [(frame["name"], frame["line"]) for frame in self.frames(thread)]

    def scope(self, frame: int, name: str) -> int:
        """Reference of the variables of a frame: `Locals` or `Globals`."""
        scopes = self.body("scopes", {"frameId": frame})["scopes"]
        return next(scope["variablesReference"] for scope in scopes if scope["name"] == name)

    def variables(self, frame: int, scope: str) -> dict[str, str]:
        """The variables of a frame, and how they look."""
        found = self.body("variables", {"variablesReference": self.scope(frame, scope)})["variables"]
        return {each["name"]: each["value"] for each in found}
