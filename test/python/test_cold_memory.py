"""Memory of this process alone becomes huge pages, and what is in it stays as it is."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker import cold_memory  # noqa: E402
from savepoint_worker.cold_memory import HUGE, PAGE  # noqa: E402


class ColdMemoryTest(unittest.TestCase):
    def setUp(self) -> None:
        self.memory = mmap.mmap(-1, 3 * HUGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        self.address = -(-start // HUGE) * HUGE
        self.offset = self.address - start
        for at in range(self.offset, self.offset + HUGE, PAGE):
            self.memory[at : at + 4] = (at // PAGE).to_bytes(4, "little")

    def huge_kib(self) -> int:
        """Of the mapping that the memory is in."""
        inside = False
        for line in Path("/proc/self/smaps").read_text(encoding="ascii").splitlines():
            head = line.split(None, 1)[0]
            if not head.endswith(":"):
                start, end = (int(part, 16) for part in head.split("-"))
                inside = start <= self.address < end
            elif inside and head == "AnonHugePages:":
                return int(line.split()[1])
        return 0

    def test_what_is_all_there_is_found_and_keeps_its_content(self) -> None:
        self.assertIn(self.address, cold_memory.candidates())
        cold_memory.condense(self.address)
        for at in range(self.offset, self.offset + HUGE, PAGE):
            self.assertEqual(self.memory[at : at + 4], (at // PAGE).to_bytes(4, "little"))

    def test_what_another_process_shares_is_left_alone(self) -> None:
        before = self.huge_kib()
        here, there = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(there)
            os.read(here, 1)
            os._exit(0)
        os.close(here)
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.close, there)
        self.assertTrue(cold_memory.condense(self.address))
        self.assertEqual(self.huge_kib(), before)

    def test_what_is_hardly_there_is_left_alone(self) -> None:
        before = self.huge_kib()
        self.assertTrue(cold_memory.condense(self.address + HUGE))
        self.assertEqual(self.huge_kib(), before)

    def test_what_is_not_mapped_does_no_harm(self) -> None:
        cold_memory.condense(HUGE)


if __name__ == "__main__":
    unittest.main()
