"""What kernels may use: each limit, held by the system's control groups and by the watch, and what a death says of it."""

from __future__ import annotations

import tempfile
import time
import unittest
from collections.abc import Callable
from typing import Any, ClassVar

from gateway.client import Channels, Rest
from gateway.server import PATIENCE_S, Server
from support.case import main

MIB = 1 << 20
MEMORY = 256 * MIB
#: Touches so many MiB in a process that is no Python's own, so that no limit inside of it is seen first.
GROW = """
import mmap
held = []
for _ in range({mib} // 16):
    block = mmap.mmap(-1, 16 << 20, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    block.write(b'x' * (16 << 20))
    held.append(block)
"""


def error_of(messages: list[dict[str, Any]]) -> dict[str, str]:
    return next((each["content"] for each in messages if each["msg_type"] == "error"), {"ename": "", "evalue": ""})


def text_of(messages: list[dict[str, Any]]) -> str:
    return "".join(each["content"]["text"] for each in messages if each["msg_type"] == "stream")


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


class Held(unittest.TestCase):
    """Limits of one kernel, as far as they are told of alike however they are held."""

    GROUPS: ClassVar[str]
    server: ClassVar[Server]
    rest: ClassVar[Rest]

    @classmethod
    def setUpClass(cls) -> None:
        if cls is Held:
            raise unittest.SkipTest("Only what is derived from this class is a test.")
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write("kernelspecs: {hasty: {limits: {cell_s: 2}}}\n")
            file.flush()
            cls.server = cls.start(file.name)
        cls.addClassCleanup(cls.server.stop)
        cls.rest = Rest(cls.server.url, cls.server.token)

    @classmethod
    def start(cls, config: str) -> Server:
        return Server.start(
            "--config",
            config,
            "--log-level",
            "info",
            SAVEPOINT_LIMITS_MEMORY_BYTES=str(MEMORY),
            SAVEPOINT_LIMITS_PROCESSES="24",
            SAVEPOINT_LIMITS_FILE_BYTES=str(MIB),
            SAVEPOINT_LIMITS_CONTROL_GROUPS=cls.GROUPS,
        )

    def kernel(self, name: str = "python3") -> tuple[str, Channels]:
        kernel_id = self.rest.start_kernel(name=name)
        channels = self.rest.channels(kernel_id)
        self.addCleanup(channels.close)
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{kernel_id}")
        return kernel_id, channels

    def last_death(self, kernel_id: str) -> dict[str, Any]:
        return dict(self.rest.ask("GET", f"/api/kernels/{kernel_id}").body["savepoint"]["last_death"] or {})

    def test_a_kernel_that_takes_too_much_memory_is_ended_alone_and_says_so(self) -> None:
        other_id, other = self.kernel()
        other.execute("x = 'here'")
        kernel_id, channels = self.kernel()
        channels.execute("kept = 'before'")
        error = error_of(channels.execute(GROW.format(mib=1024) + "\nimport time\ntime.sleep(60)"))
        self.assertEqual(error["ename"], "WorkerDied", error)
        self.assertIn(f"limits.memory_bytes is {MEMORY} (256 MiB)", error["evalue"])
        self.assertIn(f"limits.memory_bytes is {MEMORY}", self.last_death(kernel_id)["reason"])
        self.assertEqual(self.last_death(kernel_id)["signal"], "SIGKILL")
        # The guard brings back what was there before the cell.
        self.assertEqual(channels.text("print(kept)"), "before\n")
        self.assertEqual(other.text("print(x)"), "here\n")
        self.assertEqual(self.last_death(other_id), {})
        self.assertIn("memory_limit", self.server.log())

    def test_python_sees_a_memory_error_where_that_is_possible(self) -> None:
        kernel_id, channels = self.kernel()
        self.assertEqual(error_of(channels.execute("b = bytearray(2 << 30)"))["ename"], "MemoryError")
        grows = "held = []\nwhile True: held.append(bytearray(1 << 20))"
        self.assertEqual(error_of(channels.execute(grows))["ename"], "MemoryError")
        self.assertEqual(error_of(goes_on := channels.execute("del held; print('goes on')"))["evalue"], "")
        self.assertEqual(text_of(goes_on), "goes on\n")
        self.assertEqual(self.last_death(kernel_id), {})
        small = "held = []\nwhile True: held.append([None])"
        self.assertIn(error_of(channels.execute(small))["ename"], ("MemoryError", "WorkerDied"))
        self.assertEqual(error_of(freed := channels.execute("held = None; print('goes on')"))["evalue"], "")
        self.assertEqual(text_of(freed), "goes on\n")

    def test_moments_that_can_be_missed_go_before_the_kernel_does(self) -> None:
        kernel_id, channels = self.kernel()
        holds = "import mmap, time\nheld = mmap.mmap(-1, 150 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
        fills = f"{holds}\nfor _ in range(150): held.write(b'x' * (1 << 20))"
        # The moment behind the first cell keeps what the second gives back.
        for code in (fills, "held.close()", f"{fills}\ntime.sleep(3)", "print('goes on')"):
            self.assertEqual(error_of(messages := channels.execute(code))["evalue"], "")
        self.assertEqual(text_of(messages), "goes on\n")
        self.assertEqual(self.last_death(kernel_id), {})

    def test_a_cell_that_changes_in_place_what_it_has_goes_on(self) -> None:
        kernel_id, channels = self.kernel()
        holds = "import mmap, time\nheld = mmap.mmap(-1, 150 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)"
        self.assertEqual(error_of(channels.execute(f"{holds}\nfor _ in range(150): held.write(b'x' * (1 << 20))"))["evalue"], "")
        # The moment behind the first cell keeps what was there before: both together are more than the limit.
        changes = "held.seek(0)\nfor _ in range(150): held.write(b'y' * (1 << 20))\ntime.sleep(2.5)\nprint(held[0], held[-1])"
        self.assertEqual(error_of(changed := channels.execute(changes))["evalue"], "")
        self.assertEqual(text_of(changed), "121 121\n")
        self.assertEqual(channels.text("print('goes on')"), "goes on\n")
        self.assertEqual(self.last_death(kernel_id), {})

    def test_what_its_children_take_counts(self) -> None:
        kernel_id, channels = self.kernel()
        grow = GROW.format(mib=1024) + "\nimport time\ntime.sleep(60)"
        code = f"import subprocess, sys\nprint(subprocess.run([sys.executable, '-c', {grow!r}]).returncode)"
        messages = channels.execute(code)
        told = text_of(messages)
        # The system ends the largest process; the watch ends the worker with them.
        if told != "-9\n":
            self.assertIn("limits.memory_bytes", error_of(messages)["evalue"])
            self.assertIn("limits.memory_bytes", self.last_death(kernel_id)["reason"])
        self.assertEqual(channels.text("print('goes on')"), "goes on\n")

    def test_a_file_that_grows_too_large_is_an_error(self) -> None:
        _, channels = self.kernel()
        error = error_of(channels.execute("import tempfile\nwith tempfile.TemporaryFile() as f: f.write(bytes(2 << 20))"))
        self.assertEqual(error["ename"], "OSError")
        self.assertIn("too large", error["evalue"])
        # What we write ourselves is not the user's file.
        channels.execute("import random\nbig = random.randbytes(4 << 20)\n%checkpoint large")
        channels.execute("big = None\n%restore large")
        self.assertEqual(channels.text("print(len(big))"), f"{4 << 20}\n")

    def test_a_cell_that_takes_too_long_is_interrupted_and_told_why(self) -> None:
        _, channels = self.kernel("hasty")
        messages = channels.execute("import time\ntime.sleep(60)")
        self.assertEqual(error_of(messages)["ename"], "KeyboardInterrupt")
        told = text_of(messages)
        self.assertIn("Interrupted after 2 s: no cell may run longer in this kernel (limits.cell_s).", told)


class ByGroups(Held):
    GROUPS = "on"

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if "limits_without_control_groups" in cls.server.log():
            raise unittest.SkipTest("The control groups of this machine are not writable for us.")

    def test_more_processes_than_allowed_cannot_be_started(self) -> None:
        kernel_id, channels = self.kernel()
        code = (
            "import threading, time\nthreading.stack_size(1 << 18)\n"
            "for _ in range(100): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()"
        )
        self.assertEqual(error_of(channels.execute(code))["ename"], "RuntimeError")
        self.assertEqual(channels.text("print('goes on')"), "goes on\n")
        self.assertEqual(self.last_death(kernel_id), {})


class ByWatch(Held):
    GROUPS = "off"

    def test_more_processes_than_allowed_end_the_kernel(self) -> None:
        kernel_id, channels = self.kernel()
        code = "import threading, time\nthreading.stack_size(1 << 18)\nfor _ in range(60): threading.Thread(target=time.sleep, args=(9,)).start()\ntime.sleep(9)"
        self.assertIn("limits.processes is 24", error_of(channels.execute(code))["evalue"])
        self.assertIn("limits.processes is 24", self.last_death(kernel_id)["reason"])


class OfUser(unittest.TestCase):
    """The memory of all kernels of one user."""

    def check(self, groups: str) -> None:
        server = Server.start(
            SAVEPOINT_LIMITS_USER_MEMORY_BYTES=str(384 * MIB), SAVEPOINT_LIMITS_CONTROL_GROUPS=groups
        )
        self.addCleanup(server.stop)
        rest = Rest(server.url, server.token)
        first, second = rest.start_kernel(), rest.start_kernel()
        one, other = rest.channels(first), rest.channels(second)
        # It holds twice as much: the guard's copy, which is made after the cell, keeps shared memory for itself.
        one.execute(GROW.format(mib=64))
        time.sleep(2)
        error = error_of(other.execute(GROW.format(mib=1024) + "\nimport time; time.sleep(60)"))
        self.assertIn(f"limits.user_memory_bytes is {384 * MIB}", error["evalue"])
        self.assertEqual(one.text("print(len(held))"), "4\n")
        self.assertIsNone(rest.ask("GET", f"/api/kernels/{first}").body["savepoint"]["last_death"])
        error = error_of(one.execute(GROW.format(mib=352)))
        if not error["ename"]:
            refused = lambda: rest.ask("POST", "/api/kernels", {}).body.get("code") == "quota_exceeded"  # noqa: E731
            self.assertTrue(eventually(refused))
        one.close()
        other.close()

    def test_by_groups(self) -> None:
        self.check("on")

    def test_by_watch(self) -> None:
        self.check("off")


if __name__ == "__main__":
    main()
