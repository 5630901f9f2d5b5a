"""A `savepoint serve` that is killed, started again with the same command, and ended; and what it leaves behind."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
#: Nothing is waited for longer; what is right comes much sooner.
PATIENCE_S = 60.0
GONE_WITHIN_S = 5.0
#: What is late is looked at for so long; it counts as in time if a short sleep was that much too long, too.
LATE_WITHIN_S = 20.0
PAUSE_S = 0.5
LOOK_S = 0.1
_FOLDERS = ("XDG_RUNTIME_DIR", "SAVEPOINT_DATA_DIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "MPLCONFIGDIR")


def command(*arguments: str) -> list[str]:
    """The command line of `savepoint` with these arguments."""
    return [os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js"), *arguments]


class Home:
    """Private folders, by which every process of ours can be told from those of others."""

    def __init__(self, data: Path | None = None) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("SAVEPOINT_")}
        for name in _FOLDERS:
            # Short names: sockets lie there.
            folder = self.path / "".join(part[0] for part in name.lower().split("_"))
            folder.mkdir(mode=0o700, exist_ok=True)
            self.environment[name] = str(folder)
        if data is not None:
            self.environment["SAVEPOINT_DATA_DIR"] = str(data)
        self.environment["SAVEPOINT_PYTHON"] = os.environ.get("SAVEPOINT_TEST_PYTHON", "python3")
        self.environment["CHAOS_HOME"] = str(self.path)
        self.data = Path(self.environment["SAVEPOINT_DATA_DIR"])
        #: What ends with it, such as clients that would go on looking for their gateway.
        self.endings: list[Callable[[], object]] = []

    def processes(self) -> dict[int, str]:
        """Pid and command line of all that live and belong here: their environment, folder or command say so."""
        mark = str(self.path).encode()
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                line = (entry / "cmdline").read_bytes()
                fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
                where = os.readlink(entry / "cwd").encode()
                ours = mark in line or mark in (entry / "environ").read_bytes() or where.startswith(mark)
            except OSError:
                continue
            if ours and fields[0] not in "ZX":
                found[int(entry.name)] = line.replace(b"\0", b" ").decode(errors="replace").strip()[:150]
        return found

    def remains(self) -> list[str]:
        """Processes, sockets, pipes, runtime folders and connection files that are there now."""
        left = [f"process {pid}: {line}" for pid, line in self.processes().items()]
        for folder, _, files in os.walk(self.path):
            for name in files:
                path = Path(folder, name)
                try:
                    mode = path.lstat().st_mode
                except OSError:
                    continue
                if stat.S_ISSOCK(mode) or stat.S_ISFIFO(mode):
                    left.append(f"{'socket' if stat.S_ISSOCK(mode) else 'pipe'} {path}")
                elif name.startswith("kernel-") and name.endswith(".json") and "gateways" not in folder:
                    left.append(f"connection file {path}")
        for root in Path(self.environment["XDG_RUNTIME_DIR"]).glob("savepoint-*"):
            left += [f"runtime folder {each}" for each in root.iterdir()]
        return left

    def remains_after(self) -> list[str]:
        """What remains when it is to be gone."""
        return left_after(self.remains)

    def clear(self) -> None:
        """End what is left, by its pid, and remove the folders."""
        for end in self.endings:
            end()
        for _ in range(5):
            for pid in self.processes():
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            time.sleep(0.05)
            if not self.processes():
                break
        self._folder.cleanup()


class Service:
    """A gateway at one port, over all of its processes."""

    def __init__(
        self, home: Home, *arguments: str, environment: dict[str, str] | None = None, within: tuple[str, ...] = ()
    ) -> None:
        """`within`: a command that runs the command line that follows it."""
        self.home = home
        self._within = within
        self.port = _free_port()
        self._arguments = arguments
        self._environment = {**home.environment, **(environment or {})}
        self._log = open(home.path / "gateway.log", "ab")  # noqa: SIM115
        self._process: subprocess.Popen[bytes] | None = None
        self.url, self.token, self.pid = "", "", 0

    def start(self, *more: str, within_s: float = PATIENCE_S) -> float:
        """Start it, or start it again with the same command. The seconds until it said where it is. Raises RuntimeError."""
        began = time.monotonic()
        line = command("serve", "--port", str(self.port), "--data-dir", str(self.home.data), "--json", *self._arguments, *more)
        process = subprocess.Popen(
            [*self._within, *line], env=self._environment, cwd=self.home.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log
        )
        self._process = process
        self.pid = process.pid
        said = _first_line(process, within_s)
        if not said:
            raise RuntimeError(f"the gateway did not start: {self.log()[-2000:]}")
        facts = json.loads(said)
        self.url, self.token = facts["url"], facts["token"]
        return time.monotonic() - began

    def kill(self) -> None:
        """SIGKILL, as a machine out of memory does it."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def stop(self, *by: int, within_s: float = PATIENCE_S) -> int | None:
        """Send these signals, one after the other; its exit code, or None if it did not end (it then is killed)."""
        assert self._process is not None
        for number in by or (signal.SIGTERM,):
            if self._process.poll() is None:
                self._process.send_signal(number)
                time.sleep(0.05 if len(by) > 1 else 0)
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """What it wrote on stderr, in all of its lives."""
        return (self.home.path / "gateway.log").read_text(errors="replace")


def left_after(look: Callable[[], list[str]]) -> list[str]:
    """What `look` still sees after `GONE_WITHIN_S`, with how long it was there; nothing as soon as nothing is.

    On a machine that pauses meanwhile, it may take until `LATE_WITHIN_S`.
    """
    began, longest_pause_s = time.monotonic(), 0.0
    late: list[str] = []
    while left := look():
        passed = time.monotonic() - began
        if passed >= GONE_WITHIN_S and not late:
            late = left
        if passed >= LATE_WITHIN_S:
            break
        before = time.monotonic()
        time.sleep(LOOK_S)
        longest_pause_s = max(longest_pause_s, time.monotonic() - before - LOOK_S)
    if not late:
        return []
    took = f"{'there still' if left else 'gone'} after {time.monotonic() - began:.1f} s"
    took += f", pauses of the machine up to {longest_pause_s:.1f} s"
    if not left and longest_pause_s > PAUSE_S:
        print(f"  late on a machine that pauses ({took}): {late[:3]}", flush=True)
        return []
    return [f"({took})", *late]


def pss_bytes(pid: int) -> int:
    """The memory of a process, shared pages by their share."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def _first_line(process: subprocess.Popen[bytes], within_s: float) -> bytes:
    assert process.stdout is not None
    deadline, said = time.monotonic() + within_s, b""
    while not said.endswith(b"\n") and time.monotonic() < deadline:
        if select.select([process.stdout], [], [], 0.2)[0]:
            more = os.read(process.stdout.fileno(), 65536)
            if not more:
                break
            said += more
    return said.partition(b"\n")[0]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
