"""Memory that processes share is found, and comes back."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.copies import shared  # noqa: E402
from savepoint_worker.copies.shared import Shared  # noqa: E402


class Finding(unittest.TestCase):
    def test_shared_memory_is_found_when_it_comes_and_forgotten_when_it_goes(self) -> None:
        finder = Shared()
        self.assertEqual(finder.find(), ([], []))
        memory = mmap.mmap(-1, 8192)
        ranges, limits = finder.find()
        self.assertEqual(([each.size for each in ranges], limits), ([8192], []))
        lock = multiprocessing.Lock()
        self.assertEqual(len(finder.find()[0]), 2)
        memory.close()
        del memory, lock
        self.assertEqual(finder.find(), ([], []))

    def test_private_memory_and_files_are_left_alone(self) -> None:
        with open(__file__, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ):
            private = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self.assertEqual(Shared().find(), ([], []))
            private.close()

    def test_memory_of_another_process_is_named(self) -> None:
        memory = mmap.mmap(-1, 4096)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(writer)
            os.read(reader, 1)
            os._exit(0)
        ranges, limits = Shared().find()
        os.close(writer)
        os.waitpid(pid, 0)
        os.close(reader)
        self.assertEqual((ranges, len(limits)), ([], 1))
        self.assertEqual(len(Shared().find()[0]), 1)
        memory.close()


class PuttingBack(unittest.TestCase):
    def test_contents_come_back_for_all_who_share_them_or_apart_from_the_others(self) -> None:
        for apart in (False, True):
            with self.subTest(apart=apart):
                memory = mmap.mmap(-1, 4096)
                memory[:4] = b"kept"
                saved = shared.save(Shared().find()[0])
                memory[:4] = b"gone"
                pid = os.fork()
                if pid == 0:
                    shared.put_back(saved, apart)
                    os._exit(0 if memory[:4] == b"kept" else 1)
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)
                self.assertEqual(memory[:4], b"gone" if apart else b"kept")
                memory.close()


if __name__ == "__main__":
    unittest.main()
