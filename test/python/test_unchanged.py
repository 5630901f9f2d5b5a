"""What has the page frame that it had is unchanged; whatever was written to, by whom and how ever, is not."""

from __future__ import annotations

import ctypes
import gc
import mmap
import os
import signal
import subprocess
import sys
import tempfile
import traceback
import unittest
from array import array
from collections.abc import Callable
from multiprocessing import shared_memory
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.serialize import unchanged  # noqa: E402
from savepoint_worker.serialize.unchanged import PAGE, Unchanged, born  # noqa: E402

try:
    import numpy as np
except ImportError:
    np = None  # type: ignore[assignment]

libc = ctypes.CDLL(None, use_errno=True)
MIB = 1 << 20
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
CAP_SYS_ADMIN = 21
MADV_DONTNEED, MADV_PAGEOUT, MADV_MERGEABLE = 4, 21, 12


def can_see_frames() -> bool:
    with open("/proc/self/pagemap", "rb", buffering=0) as file:
        memory = ctypes.create_string_buffer(b"x" * PAGE, 2 * PAGE)
        file.seek((ctypes.addressof(memory) // PAGE) * 8)
        return int.from_bytes(file.read(8), "little") & ((1 << 55) - 1) != 0


def address_of(memory: Any) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


def pages(count: int, flags: int = PRIVATE) -> mmap.mmap:
    return mmap.mmap(-1, count * PAGE, flags=flags)


class Sleeper:
    """A fork of this process that does nothing."""

    def __init__(self) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            libc.prctl(1, signal.SIGKILL)
            while True:
                signal.pause()

    def end(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def in_fork(act: Callable[[], bool]) -> bool:
    """What `act` says in a later fork of this process: that is where memory is compared."""
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(int(act()))
        except BaseException:
            traceback.print_exc()
            os._exit(99)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if code not in (0, 1):
        raise RuntimeError(f"the fork ended with {code}")
    return bool(code)


class UnchangedCase(unittest.TestCase):
    """Each test makes memory, has `sleeper` forked, changes something, and asks in a fork."""

    def setUp(self) -> None:
        self.sleepers: list[Sleeper] = []

    def tearDown(self) -> None:
        for each in self.sleepers:
            each.end()

    def sleep(self) -> Sleeper:
        self.sleepers.append(Sleeper())
        return self.sleepers[-1]

    def same(self, sleeper: Sleeper, address: int, length: int) -> bool:
        def ask() -> bool:
            found = Unchanged.open(sleeper.pid, born(sleeper.pid))
            assert found is not None
            return found.same(address, length)

        return in_fork(ask)


@unittest.skipUnless(can_see_frames(), "frames are shown to processes with CAP_SYS_ADMIN only")
class FramesTest(UnchangedCase):
    def check_writes(self, memory: Any, length: int, write: Callable[[], None]) -> None:
        """Unchanged at first, after a second fork and after being read; changed by `write`."""
        address = address_of(memory)
        sleeper = self.sleep()
        self.assertTrue(self.same(sleeper, address, length))
        bytes(memoryview(memory).cast("B")[:length])
        self.assertTrue(self.same(sleeper, address, length))
        write()
        self.assertFalse(self.same(sleeper, address, length))

    def test_a_store_is_seen(self) -> None:
        memory = pages(64)
        memory.write(b"x" * 64 * PAGE)
        self.check_writes(memory, 64 * PAGE, lambda: memory.__setitem__(33 * PAGE + 5, 1))

    def test_a_store_of_the_same_byte_counts_as_a_change(self) -> None:
        memory = pages(4)
        memory.write(b"x" * 4 * PAGE)
        self.check_writes(memory, 4 * PAGE, lambda: memory.__setitem__(PAGE, ord("x")))

    def test_a_store_through_a_view_is_seen(self) -> None:
        memory = bytearray(b"x" * MIB)
        view = memoryview(memory)[MIB // 2 :][::-1]

        def write() -> None:
            view[7] = 0

        self.check_writes(memory, MIB, write)

    def test_a_store_by_c_code_is_seen(self) -> None:
        memory = array("d", [1.0]) * (MIB // 8)
        address = memory.buffer_info()[0]
        self.check_writes(memory, MIB, lambda: ctypes.memset(address + MIB - 1, 0, 1) and None)

    def test_what_a_system_call_writes_is_seen(self) -> None:
        memory = bytearray(b"x" * MIB)
        with tempfile.TemporaryFile() as file:
            file.write(b"new")
            file.flush()
            self.check_writes(memory, MIB, lambda: os.preadv(file.fileno(), [memoryview(memory)[99:102]], 0) and None)

    def test_what_another_process_writes_is_seen(self) -> None:
        memory = bytearray(b"x" * MIB)
        address, own = address_of(memory), os.getpid()

        def write() -> None:
            def act() -> bool:
                with open(f"/proc/{own}/mem", "r+b", buffering=0) as file:
                    file.seek(address + MIB // 3)
                    return file.write(b"y") == 1

            self.assertTrue(in_fork(act))

        self.check_writes(memory, MIB, write)

    def test_what_else_lies_in_the_page_at_either_end_does_not_count(self) -> None:
        memory = pages(16)
        memory.write(b"x" * 16 * PAGE)
        address = address_of(memory) + 100
        sleeper = self.sleep()
        memory[99] = memory[15 * PAGE + 100] = 0
        self.assertTrue(self.same(sleeper, address, 15 * PAGE))
        self.assertTrue(self.same(sleeper, address, 5))
        self.assertFalse(self.same(sleeper, address - 1, 5))
        self.assertFalse(self.same(sleeper, address, 15 * PAGE + 1))
        memory[100] = 0
        self.assertFalse(self.same(sleeper, address, 15 * PAGE))

    def test_only_the_pieces_that_were_written_to_are_changed(self) -> None:
        memory = pages(256)
        memory.write(b"x" * len(memory))
        sleeper = self.sleep()
        memory[70 * PAGE] = memory[255 * PAGE] = 0

        def ask() -> bool:
            found = Unchanged.open(sleeper.pid)
            assert found is not None
            pieces = found.pieces(address_of(memory), len(memory) - 5, 64 * PAGE)
            assert pieces == [True, False, True, False], pieces
            odd = found.pieces(address_of(memory) + 3, 100 * PAGE, 10 * PAGE + 1)
            assert odd == [True] * 6 + [False, False] + [True] * 2, odd
            return found.pieces(address_of(memory), 0, 64) == []

        self.assertTrue(in_fork(ask))

    def test_shared_memory_never_counts_as_unchanged(self) -> None:
        with tempfile.TemporaryFile() as file:
            file.write(b"x" * 4 * PAGE)
            file.flush()
            block = shared_memory.SharedMemory(create=True, size=4 * PAGE)
            assert block.buf is not None
            block.buf[:] = b"x" * len(block.buf)
            memories = {
                "anonymous": pages(4, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS),
                "of a file": mmap.mmap(file.fileno(), 4 * PAGE, flags=mmap.MAP_SHARED),
                # What another process writes to the file shows through until it is written to here.
                "a private copy of a file": mmap.mmap(file.fileno(), 4 * PAGE, flags=mmap.MAP_PRIVATE),
                "with a name": block.buf,
            }
            for memory in memories.values():
                bytes(memory[:])
            sleeper = self.sleep()
            for name, memory in memories.items():
                with self.subTest(name):
                    self.assertFalse(self.same(sleeper, address_of(memory), 4 * PAGE))
            del memories, memory
            gc.collect()
            block.close()
            block.unlink()

    def test_memory_of_the_system_never_counts_as_unchanged(self) -> None:
        sleeper = self.sleep()
        with open("/proc/self/maps", encoding="ascii") as maps:
            places = [line.split() for line in maps if line.endswith(("[vvar]\n", "[vvar_vclock]\n", "[vdso]\n"))]
        for place in places:
            start, end = (int(part, 16) for part in place[0].split("-"))
            with self.subTest(place[5]):
                self.assertFalse(self.same(sleeper, start, end - start))

    def test_memory_that_nobody_ever_wrote_to_is_unchanged(self) -> None:
        memory = pages(64)
        sleeper = self.sleep()
        self.assertTrue(self.same(sleeper, address_of(memory), 64 * PAGE))
        memory[9 * PAGE] = 1
        self.assertFalse(self.same(sleeper, address_of(memory), 64 * PAGE))

    def test_memory_that_was_emptied_is_changed(self) -> None:
        memory = pages(64)
        memory.write(b"x" * 64 * PAGE)

        def write() -> None:
            libc.madvise(ctypes.c_void_p(address_of(memory) + 8 * PAGE), ctypes.c_size_t(PAGE), MADV_DONTNEED)

        self.check_writes(memory, 64 * PAGE, write)

    def test_memory_that_was_mapped_again_at_its_place_is_changed(self) -> None:
        libc.mmap.restype = ctypes.c_void_p
        place = libc.mmap(None, ctypes.c_size_t(8 * PAGE), 3, PRIVATE, -1, ctypes.c_long(0))
        ctypes.memset(place, 1, 8 * PAGE)
        sleeper = self.sleep()
        self.assertTrue(self.same(sleeper, place, 8 * PAGE))
        for fill in (None, 1):
            libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(8 * PAGE))
            fixed = PRIVATE | 0x10
            again = libc.mmap(ctypes.c_void_p(place), ctypes.c_size_t(8 * PAGE), 3, fixed, -1, ctypes.c_long(0))
            self.assertEqual(again, place)
            if fill is not None:
                ctypes.memset(place, fill, 8 * PAGE)
            self.assertFalse(self.same(sleeper, place, 8 * PAGE))
        libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(8 * PAGE))
        self.assertFalse(in_fork(lambda: Unchanged.open(sleeper.pid).same(place, PAGE)))  # type: ignore[union-attr]

    def test_memory_that_the_reference_does_not_have_is_changed(self) -> None:
        sleeper = self.sleep()
        memory = pages(512)
        self.assertFalse(self.same(sleeper, address_of(memory), 512 * PAGE))

    def test_memory_that_is_swapped_out_is_never_wrongly_unchanged(self) -> None:
        memory = pages(64)
        memory.write(b"x" * 64 * PAGE)
        sleeper = self.sleep()
        memory[5 * PAGE] = 7
        libc.madvise(ctypes.c_void_p(address_of(memory)), ctypes.c_size_t(64 * PAGE), MADV_PAGEOUT)
        self.assertFalse(self.same(sleeper, address_of(memory), 64 * PAGE))

    def test_pages_that_the_system_has_merged_are_the_same_bytes(self) -> None:
        # Whether they are merged while this runs is the system's business; either way a change has to be seen.
        memory = pages(64)
        libc.madvise(ctypes.c_void_p(address_of(memory)), ctypes.c_size_t(64 * PAGE), MADV_MERGEABLE)
        memory.write(b"x" * 64 * PAGE)
        self.check_writes(memory, 64 * PAGE, lambda: memory.__setitem__(5 * PAGE, 0))

    def test_a_reference_that_ended_leaves_everything_changed(self) -> None:
        memory = pages(4)
        sleeper = Sleeper()
        found = Unchanged.open(sleeper.pid)
        assert found is not None
        since = born(sleeper.pid)
        sleeper.end()
        self.assertFalse(found.same(address_of(memory), 4 * PAGE))
        found.close()
        self.assertIsNone(Unchanged.open(sleeper.pid, since))
        self.assertIsNone(born(sleeper.pid))

    def test_another_process_is_not_taken_for_the_reference(self) -> None:
        sleeper = self.sleep()
        self.assertIsNone(Unchanged.open(sleeper.pid, (born(sleeper.pid) or 0) - 1))
        self.assertIsNone(Unchanged.open(1))

    def test_a_fork_of_the_one_that_compares_can_compare_too(self) -> None:
        memory = pages(4)
        memory.write(b"x" * 4 * PAGE)
        sleeper = self.sleep()

        def ask() -> bool:
            return Unchanged.open(sleeper.pid) is not None and in_fork(
                lambda: self.same(sleeper, address_of(memory), PAGE)
            )

        self.assertTrue(in_fork(ask))

    def test_nothing_is_unchanged_for_a_process_that_may_not_see_frames(self) -> None:
        sleeper = self.sleep()

        def ask() -> bool:
            drop(CAP_SYS_ADMIN)
            return Unchanged.open(sleeper.pid) is None

        self.assertTrue(in_fork(ask))


@unittest.skipUnless(np is not None and can_see_frames(), "takes numpy, and CAP_SYS_ADMIN")
class ArraysTest(UnchangedCase):
    def check(self, made: Callable[[], Any], writes: tuple[Callable[[Any], Any], ...]) -> None:
        for number, write in enumerate(writes):
            with self.subTest(number):
                values = made()
                address, length = values.ctypes.data, values.nbytes
                sleeper = self.sleep()
                self.assertTrue(self.same(sleeper, address, length))
                values.sum()
                self.assertTrue(self.same(sleeper, address, length))
                write(values)
                self.assertFalse(self.same(sleeper, address, length))

    WRITES = (
        lambda values: values.__setitem__(0, 5),
        lambda values: values[1000:2000].__iadd__(1),
        lambda values: values[::-1].reshape(-1, 2).T.__setitem__((0, 0), 7),
        lambda values: values.sort(),
        lambda values: np.multiply(values, 2, out=values),
        lambda values: memoryview(values).cast("B").__setitem__(9999, 3),
        lambda values: ctypes.memset(values.ctypes.data + values.nbytes - 8, 1, 1),
    )

    def test_writes_to_an_array_in_huge_pages_are_seen(self) -> None:
        self.check(lambda: np.random.default_rng(1).random(2 * MIB), self.WRITES)

    def test_writes_to_an_array_in_normal_pages_are_seen(self) -> None:
        self.check(lambda: np.random.default_rng(1).random(MIB // 16), self.WRITES)

    def test_one_element_changes_few_pieces_of_an_array_in_huge_pages(self) -> None:
        values = np.ones(4 * MIB)
        sleeper = self.sleep()
        values[MIB] = 5

        def ask() -> bool:
            found = Unchanged.open(sleeper.pid)
            assert found is not None
            pieces = found.pieces(values.ctypes.data, values.nbytes, 256 * 1024)
            return 1 <= pieces.count(False) <= 9

        self.assertTrue(in_fork(ask))

    def test_an_array_that_takes_the_place_of_another_is_changed(self) -> None:
        values = np.ones(MIB)
        address, length = values.ctypes.data, values.nbytes
        sleeper = self.sleep()
        del values
        others = [np.full(MIB, 2.0) for _ in range(3)]
        self.assertFalse(self.same(sleeper, address, length))
        del others

    def test_random_writes_are_all_seen(self) -> None:
        """What is said to be unchanged has the bytes that it had, whatever was written."""
        random = np.random.default_rng(int(os.environ.get("SEED", "7")))
        values = np.zeros(MIB, dtype="u8")
        for _ in range(10):
            before = values.copy()
            sleeper = self.sleep()
            for at in random.integers(0, len(values), random.integers(0, 40)):
                values[at : at + random.integers(1, 900)] += 1

            def ask(sleeper: Sleeper = sleeper, before: Any = before) -> bool:
                found = Unchanged.open(sleeper.pid)
                assert found is not None
                pieces = found.pieces(values.ctypes.data, values.nbytes, PAGE)
                size = PAGE // 8
                for number, same in enumerate(pieces):
                    part = slice(number * size, (number + 1) * size)
                    assert not same or np.array_equal(values[part], before[part]), number
                return True

            self.assertTrue(in_fork(ask))


class NotSeenTest(unittest.TestCase):
    def test_a_process_that_is_gone_is_no_reference(self) -> None:
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        os.waitpid(pid, 0)
        self.assertIsNone(Unchanged.open(pid))

    def test_a_reference_in_which_the_probe_is_not_yet_there_is_none(self) -> None:
        self.assertTrue(unchanged._probe[0])
        other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        try:
            self.assertIsNone(Unchanged.open(other.pid))
        finally:
            other.kill()
            other.communicate()


def drop(capability: int) -> None:
    """Take one capability from this process."""
    head = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.capget(head, data):
        raise OSError(ctypes.get_errno(), "capget")
    for at in range(3):
        data[at] &= ~(1 << capability)
    if libc.capset(head, data):
        raise OSError(ctypes.get_errno(), "capset")


if __name__ == "__main__":
    unittest.main()
