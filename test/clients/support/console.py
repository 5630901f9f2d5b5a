"""jupyter console in a pseudo-terminal: typed to, and read as a person reads it."""

from __future__ import annotations

import os
import re
import sys
import time

import pexpect

from .subject import KERNEL

# Everything that moves the cursor or colours text: CSI sequences, OSC titles, and two-character escapes.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_=>()][0-9A-B]?|[\x00\x08]")
PATIENCE_S = 60.0
OTHERS_TOO = "--ZMQTerminalInteractiveShell.include_other_output=True"
INTERRUPT = "\x03"
END_OF_FILE = "\x04"


class Console:
    """One console and the kernel that it starts; or the one of a connection file, whose other clients it shows as well."""

    def __init__(self, existing: str | None = None) -> None:
        # Without an answer to "where is the cursor?" the prompt would warn and wait; this terminal does not answer.
        env = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "NO_COLOR": "1"}
        of_whom = ["--kernel", KERNEL] if existing is None else ["--existing", existing, OTHERS_TOO]
        arguments = ["-m", "jupyter_console", *of_whom, "--ZMQTerminalInteractiveShell.banner="]
        self.terminal = pexpect.spawn(
            sys.executable, arguments, env=env, encoding="utf-8", dimensions=(50, 200), timeout=None
        )
        self.written = ""
        self.prompt = 0
        self._seen_to = 0

    @property
    def fresh(self) -> str:
        """What was shown since the last prompt, without colours and cursor movements."""
        return ESCAPES.sub("", self.written[self._seen_to :]).replace("\r", "")

    def read(self, deadline: float, what: str) -> None:
        try:
            self.written += self.terminal.read_nonblocking(65536, max(0.01, deadline - time.monotonic()))
        except pexpect.TIMEOUT:
            raise TimeoutError(f"no {what} in the console; it shows:\n{self.fresh[-2000:]}") from None

    def wait_for(self, pattern: str, timeout: float = PATIENCE_S) -> re.Match[str]:
        """Wait until what was shown since the last prompt matches."""
        deadline = time.monotonic() + timeout
        while not (match := re.search(pattern, self.fresh)):
            self.read(deadline, repr(pattern))
        return match

    def wait_for_prompt(self, timeout: float = PATIENCE_S) -> str:
        """Wait for the next prompt; returns what was shown before it."""
        number = self.prompt + 1
        match = self.wait_for(rf"In \[{number}\]: ", timeout)
        shown = self.fresh[: match.start()]
        self._seen_to = len(self.written)
        self.prompt = number
        return shown

    def type(self, keys: str) -> None:
        self.terminal.send(keys)

    def enter(self, cell: str) -> None:
        """Paste a cell and run it, without waiting."""
        lines = cell.splitlines()
        # An indented or magic cell is complete only after an empty line, as for a person who types it.
        open_end = lines[0].startswith("%%") or lines[-1].startswith((" ", "\t"))
        self.type(f"\x1b[200~{cell}{chr(10) if open_end else ''}\x1b[201~")
        self.type("\r")

    def run(self, cell: str, timeout: float = PATIENCE_S) -> str:
        """Run a cell; everything shown until the next prompt, the cell itself included."""
        self.enter(cell)
        return self.wait_for_prompt(timeout)

    def wait_for_exit(self, timeout: float = PATIENCE_S) -> int:
        """Wait until the console has ended; its exit code."""
        deadline = time.monotonic() + timeout
        try:
            while True:
                self.read(deadline, "end")
        except pexpect.EOF:
            self.terminal.wait()
        return int(
            self.terminal.exitstatus
            if self.terminal.exitstatus is not None
            else 128 + (self.terminal.signalstatus or 0)
        )

    def close(self) -> None:
        self.terminal.close(force=True)
