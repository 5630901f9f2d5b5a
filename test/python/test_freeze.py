"""What a frozen copy keeps, loses and opens anew."""

from __future__ import annotations

import ctypes
import fcntl
import os
import select
import socket
import stat
import sys
import tempfile
import traceback
import unittest
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.copies import events  # noqa: E402
from savepoint_worker.copies.freeze import Descriptor, Step, freeze, open_descriptors, plan, start_time, survey  # noqa: E402

NOTHING: frozenset = frozenset()


def descriptor(mode: int, target: str, *, rdev: int = 0, flags: int = 0, inode: int = 7) -> Descriptor:
    return Descriptor(9, mode, 1, inode, rdev, target, flags)


class Planning(unittest.TestCase):
    def assert_planned(self, wanted: str, each: Descriptor) -> None:
        ((_, action),) = plan([each], NOTHING, NOTHING)
        self.assertEqual(action, wanted, each)

    def test_what_connects_to_others_is_ended(self) -> None:
        self.assert_planned("end", descriptor(stat.S_IFIFO, "pipe:[7]"))
        self.assert_planned("end", descriptor(stat.S_IFSOCK, "socket:[7]"))
        self.assert_planned("end", descriptor(stat.S_IFIFO, "/tmp/fifo"))
        self.assert_planned("end", descriptor(stat.S_IFCHR, "/dev/pts/3", rdev=os.makedev(136, 3)))
        self.assert_planned("end", descriptor(stat.S_IFCHR, "/dev/ptmx", rdev=os.makedev(5, 2)))

    def test_event_objects_of_the_kernel_are_ended(self) -> None:
        kinds = "[eventpoll] [eventfd] [timerfd] [signalfd] inotify [fanotify] [pidfd] [io_uring] [userfaultfd]"
        for kind in kinds.split():
            self.assert_planned("end", descriptor(0o600, f"anon_inode:{kind}"))
            self.assert_planned("end", descriptor(stat.S_IFREG | 0o600, f"anon_inode:{kind}"))

    def test_regular_files_are_opened_anew_deleted_or_not(self) -> None:
        self.assert_planned("reopen", descriptor(stat.S_IFREG, "/tmp/x"))
        self.assert_planned("reopen", descriptor(stat.S_IFREG, "/tmp/x (deleted)"))

    def test_what_is_only_a_handle_stays(self) -> None:
        self.assert_planned("keep", descriptor(stat.S_IFREG | 0o777, "/memfd:x (deleted)"))
        self.assert_planned("keep", descriptor(stat.S_IFDIR, "/tmp"))
        self.assert_planned("keep", descriptor(stat.S_IFCHR, "/dev/null", rdev=os.makedev(1, 3)))
        self.assert_planned("keep", descriptor(stat.S_IFBLK, "/dev/vda"))
        self.assert_planned("keep", descriptor(stat.S_IFREG, "net:[4026531840]"))
        self.assert_planned("keep", descriptor(stat.S_IFREG, "/tmp/x", flags=os.O_PATH))
        self.assert_planned("keep", descriptor(stat.S_IFSOCK, "/tmp/socket", flags=os.O_PATH))
        self.assert_planned("keep", descriptor(0o600, "anon_inode:bpf-map"))

    def test_the_workers_own_fifos_and_what_is_to_be_kept_stay(self) -> None:
        own = descriptor(stat.S_IFIFO, "/run/stdout", inode=11)
        other = descriptor(stat.S_IFIFO, "/run/stdout", inode=12)
        fifos = frozenset({(1, 11)})
        self.assertEqual(plan([own, other], NOTHING, fifos), [(9, "keep"), (9, "end")])
        self.assertEqual(plan([other], frozenset({9}), fifos), [(9, "keep")])


class Freezing(unittest.TestCase):
    """Each test forks, as freezing is for good."""

    def in_copy(self, check: Callable[[list[Step]], None], kept: frozenset = frozenset((0, 1, 2))) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                check(survey(kept, NOTHING))
                os._exit(0)
            except BaseException:
                os.write(2, traceback.format_exc().encode())
                os._exit(1)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 0)

    def test_pipes_read_as_ended_and_numbers_stay_taken(self) -> None:
        reader, writer = os.pipe()
        os.write(writer, b"for the other")

        def check(steps: list[Step]) -> None:
            frozen = freeze(steps)
            assert os.read(reader, 100) == b""
            assert {reader, writer} <= set(frozen.streams)
            try:
                os.write(writer, b"x")
            except BrokenPipeError:
                pass
            else:
                raise AssertionError("Somebody reads this.")

        self.in_copy(check)
        os.close(writer)
        self.assertEqual(os.read(reader, 100) + os.read(reader, 100), b"for the other")
        os.close(reader)

    def test_who_waits_for_connections_goes_on_waiting(self) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        server.setblocking(False)
        address = server.getsockname()

        def check(steps: list[Step]) -> None:
            freeze(steps)
            assert select.select([server], [], [], 0) == ([], [], [])
            try:
                server.accept()
            except BlockingIOError:
                pass
            else:
                raise AssertionError("Somebody connects to this.")

        self.in_copy(check)
        with server, socket.create_connection(address):
            self.assertEqual(select.select([server], [], [], 5)[0], [server])

    def test_event_objects_are_made_anew_as_they_were(self) -> None:
        reader, writer = os.pipe()
        counter = os.eventfd(5, os.EFD_NONBLOCK | os.EFD_SEMAPHORE)
        inner, outer = select.epoll(), select.epoll()
        inner.register(counter, select.EPOLLIN)
        outer.register(inner.fileno(), select.EPOLLIN)
        outer.register(writer, select.EPOLLOUT)

        def check(steps: list[Step]) -> None:
            frozen = freeze(steps)
            assert frozen.limits == []
            events.revive(frozen.events)
            assert (inner.fileno(), select.EPOLLIN) in outer.poll(5)
            assert inner.poll(5) == [(counter, select.EPOLLIN)]
            assert [os.eventfd_read(counter) for _ in range(5)] == [1] * 5
            try:
                os.eventfd_read(counter)
            except BlockingIOError:
                return
            raise AssertionError("It has another count.")

        self.in_copy(check)
        self.assertEqual(os.eventfd_read(counter), 1)
        for each in (inner, outer):
            each.close()
        for number in (reader, writer, counter):
            os.close(number)

    def test_what_cannot_be_made_anew_is_named(self) -> None:
        number = ctypes.CDLL(None).inotify_init()
        self.addCleanup(os.close, number)

        def check(steps: list[Step]) -> None:
            assert freeze(steps).limits == [f"descriptor {number} (inotify), which hears of nothing after a rollback"]

        self.in_copy(check)

    def test_a_file_has_its_own_offset_and_no_lock_of_the_other(self) -> None:
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"0123456789")
            file.flush()
            file.seek(4)
            fcntl.flock(file, fcntl.LOCK_EX)
            number = file.fileno()
            os.set_inheritable(number, True)

            def check(steps: list[Step]) -> None:
                freeze(steps)
                assert os.lseek(number, 0, os.SEEK_CUR) == 4
                assert os.get_inheritable(number)
                assert fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDWR
                os.lseek(number, 0, os.SEEK_SET)
                assert os.read(number, 2) == b"01"
                try:
                    fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    return
                raise AssertionError("The copy holds the lock.")

            self.in_copy(check)
            self.assertEqual(os.lseek(number, 0, os.SEEK_CUR), 4)

    def test_a_file_that_is_appended_to_or_deleted_goes_on_as_it_was(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, folder)
        path = os.path.join(folder, "x")
        appended = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_EXCL, 0o600)
        os.write(appended, b"abc")
        os.unlink(path)

        def check(steps: list[Step]) -> None:
            freeze(steps)
            os.write(appended, b"def")
            assert os.fstat(appended).st_size == 6
            assert fcntl.fcntl(appended, fcntl.F_GETFL) & os.O_APPEND

        self.in_copy(check)
        self.assertEqual(os.fstat(appended).st_size, 6)
        os.close(appended)

    def test_memory_files_and_directories_stay_and_events_are_cut(self) -> None:
        memory, folder, epoll = os.memfd_create("x"), os.open("/", os.O_RDONLY), select.epoll()
        os.write(memory, b"shared")

        def check(steps: list[Step]) -> None:
            freeze(steps)
            assert os.pread(memory, 6, 0) == b"shared"
            assert "tmp" in os.listdir(folder)
            assert stat.S_ISSOCK(os.fstat(epoll.fileno()).st_mode)

        self.in_copy(check)
        for number in (memory, folder):
            os.close(number)
        epoll.close()

    def test_masters_of_pseudo_terminals_are_told_apart(self) -> None:
        (one, slave), (other, other_slave) = os.openpty(), os.openpty()
        try:
            found = {step.number: step.identity for step in survey(NOTHING, NOTHING)}
            self.assertEqual(len({found[one], found[other], found[slave], found[other_slave]}), 4)
        finally:
            for number in (one, slave, other, other_slave):
                os.close(number)

    def test_the_process_behind_a_pidfd_is_remembered(self) -> None:
        pidfd = os.pidfd_open(os.getpid())
        try:
            (step,) = (step for step in survey(NOTHING, NOTHING) if step.number == pidfd)
            self.assertEqual(step.process, (os.getpid(), start_time(os.getpid())))
        finally:
            os.close(pidfd)

    def test_a_socket_closed_by_the_other_is_gone(self) -> None:
        server = socket.create_server(("127.0.0.1", 0))
        address = server.getsockname()
        done, told = os.pipe()
        pid = os.fork()
        if pid == 0:
            freeze(survey(frozenset((done, told)), NOTHING))
            os.write(told, b"frozen")
            os.close(told)
            os.read(0, 1)
            os._exit(0)
        os.close(told)
        try:
            os.read(done, 10)
            server.close()
            with socket.socket() as client:
                self.assertNotEqual(client.connect_ex(address), 0)
        finally:
            os.close(done)
            os.waitpid(pid, 0)

    def test_looking_leaves_nothing_open(self) -> None:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(10):
            open_descriptors()
        self.assertEqual(len(os.listdir("/proc/self/fd")), before)


if __name__ == "__main__":
    unittest.main()
