"""What a worker lets code have of memory, and what it keeps for itself."""

from __future__ import annotations

import gc
import os
import resource
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker import own_limits  # noqa: E402

MIB = 1 << 20


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def collections() -> int:
    """Of all that is old, so far."""
    return int(gc.get_stats()[2]["collections"])


def fits(mebibytes: int) -> bool:
    try:
        bytearray(mebibytes * MIB)
    except MemoryError:
        return False
    return True


class Memory(unittest.TestCase):
    def in_a_child(self, does: object) -> str:
        """What it returns or raises, in a process of its own."""
        here, there = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                said = str(does())  # type: ignore[operator]
            except BaseException as error:
                said = repr(error)
            os.write(there, said.encode())
            os._exit(0)
        os.close(there)
        with os.fdopen(here) as file:
            said = file.read()
        os.waitpid(pid, 0)
        return said

    def test_there_is_some_to_tell_of_an_error_with(self) -> None:
        def does() -> list[bool]:
            own_limits.put_on({"memory_bytes": 128 * MIB})
            before = resource.getrlimit(resource.RLIMIT_DATA)
            held = []
            while fits(4):
                held.append(bytearray(4 * MIB))
            with own_limits.Spare():
                told = fits(8)
            return [bool(held), told, fits(8), resource.getrlimit(resource.RLIMIT_DATA) == before]

        self.assertEqual(self.in_a_child(does), "[True, True, False, True]")

    def test_between_cells_there_is_as_much_more(self) -> None:
        def does() -> list[int]:
            own_limits.put_on({"memory_bytes": 128 * MIB})
            limits = [resource.getrlimit(resource.RLIMIT_DATA)[0]]
            for change in (own_limits.tighten, own_limits.relax, own_limits.relax, own_limits.tighten):
                change()
                limits.append(resource.getrlimit(resource.RLIMIT_DATA)[0])
            return [(each - limits[0]) // MIB for each in limits]

        self.assertEqual(self.in_a_child(does), "[0, 0, 16, 16, 0]")

    def test_those_who_overlap_leave_the_limit_as_it_was(self) -> None:
        def does() -> list[int]:
            own_limits.put_on({"memory_bytes": 128 * MIB})
            before = resource.getrlimit(resource.RLIMIT_DATA)[0]
            one, other = own_limits.Spare(), own_limits.Spare()
            one.__enter__()
            other.__enter__()
            own_limits.relax()
            one.__exit__()
            other.__exit__()
            relaxed = resource.getrlimit(resource.RLIMIT_DATA)[0]
            own_limits.tighten()
            return [(relaxed - before) // MIB, resource.getrlimit(resource.RLIMIT_DATA)[0] - before]

        self.assertEqual(self.in_a_child(does), "[16, 0]")

    def test_what_was_freed_is_given_back_where_the_limit_is_near(self) -> None:
        def does() -> list[bool]:
            held = [bytes(1000) for _ in range(200_000)]
            # What is behind all that keeps the C library from giving it back by itself.
            last = bytes(1000)
            del held
            before = _resident()
            own_limits.give_back()
            far = _resident()
            own_limits.put_on({"memory_bytes": 200 * MIB})
            own_limits.give_back()
            return [before - far < 50 * MIB, far - _resident() > 100 * MIB, len(last) == 1000]

        self.assertEqual(self.in_a_child(does), "[True, True, True]")

    def test_garbage_is_collected_before_a_copy_where_the_limit_is_near_and_much_has_become_old(self) -> None:
        def does() -> list[int]:
            full = []

            def look() -> None:
                before = collections()
                own_limits.give_back()
                full.append(collections() - before)

            large = [bytes(1000) for _ in range(150_000)]
            held = [[each] for each in range(400_000)]
            look()
            own_limits.put_on({"memory_bytes": 200 * MIB})
            for more in (0, 0, 90_000, 1_000, 90_000):
                held += [[each] for each in range(more)]
                look()
            gc.disable()
            held += [[each] for each in range(200_000)]
            look()
            return [*full, len(large)]

        # Far from the limit; near it; nothing since; much; little; much; nobody wants it.
        self.assertEqual(self.in_a_child(does), "[0, 1, 0, 1, 0, 1, 0, 150000]")

    def test_what_was_near_the_limit_before_does_not_spare_what_is_there_now(self) -> None:
        def does() -> list[int]:
            own_limits.put_on({"memory_bytes": 300 * MIB})
            held: list[Any] = [bytes(1000) for _ in range(150_000)]
            own_limits.give_back()
            # No larger than before, and of containers.
            held = [[None] for _ in range(400_000)]
            gc.collect()
            held += [[None] for _ in range(80_000)]
            before = collections()
            own_limits.give_back()
            return [collections() - before, len(held)]

        self.assertEqual(self.in_a_child(does), "[1, 480000]")

    def test_where_there_is_no_limit_there_is_none_afterwards(self) -> None:
        def does() -> bool:
            before = resource.getrlimit(resource.RLIMIT_DATA)
            with own_limits.Spare():
                within = resource.getrlimit(resource.RLIMIT_DATA)
            return before == within == resource.getrlimit(resource.RLIMIT_DATA)

        self.assertEqual(self.in_a_child(does), "True")


if __name__ == "__main__":
    unittest.main()
