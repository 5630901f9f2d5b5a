"""A `savepoint serve` of this checkout, as a process that is started, asked, and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import IO

from support import processes

CHECKOUT = Path(__file__).resolve().parents[3]
#: Nothing here is waited for longer; what is right comes much sooner.
PATIENCE_S = 60.0


def command(*arguments: str) -> list[str]:
    """The command line of `savepoint` with these arguments."""
    return [os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js"), *arguments]


class Server:
    """A gateway that runs."""

    def __init__(self, process: subprocess.Popen[str], log: IO[bytes]) -> None:
        self._process = process
        self._log = log
        stdout = process.stdout
        assert stdout is not None
        first = stdout.readline()
        if not first:
            process.wait(PATIENCE_S)
            raise AssertionError(f"The gateway did not start:\n{self.log()}")
        said = json.loads(first)
        self.url: str = said["url"]
        self.token: str = said["token"]
        self.pid: int = said["pid"]

    @classmethod
    def start(cls, *arguments: str, port: str = "0", **environment: str) -> Server:
        """On any free port. `arguments` are those of `savepoint serve`; `environment` is set besides."""
        log = tempfile.TemporaryFile(dir=os.environ["SAVEPOINT_TEST_HOME"])
        process = subprocess.Popen(
            command("serve", "--port", port, "--json", *arguments),
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        return cls(process, log)

    def log(self) -> str:
        """What it wrote on stderr so far."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace")

    def stop(self, by: int = signal.SIGTERM) -> list[str]:
        """Ask it to end; what is left of it and of its descendants afterwards."""
        family = processes.family(self.pid)
        if self._process.poll() is None:
            self._process.send_signal(by)
        try:
            self._process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return [f"the gateway itself, which did not end on signal {by}"]
        deadline = time.monotonic() + processes.GONE_WITHIN_S
        while left := [each for each in family if _lives(each)]:
            if time.monotonic() > deadline:
                return [str(each) for each in left]
            time.sleep(0.05)
        return []

    def kill(self) -> None:
        """End it by force, and nothing of what it started."""
        self._process.kill()
        self._process.wait()

    @property
    def exit_code(self) -> int:
        return self._process.wait(PATIENCE_S)


def _lives(process: processes.Process) -> bool:
    try:
        return processes.find(process.pid) == process
    except ProcessLookupError:
        return False


class Running:
    """The gateway that `run.py` started, for tests that need none of their own."""

    url, token, _pid = os.environ.get("SAVEPOINT_TEST_GATEWAY", "  ").split(" ")
