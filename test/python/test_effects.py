"""The record of effects: what is noted, what is taken back, and what becomes of all that can go wrong."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from contextlib import closing
from pathlib import Path
from unittest import mock

from fake_gateway import PACKAGES

sys.path.insert(0, PACKAGES)

from savepoint_worker.birth import undo_folder  # noqa: E402
from savepoint_worker.effects import copies, hook, undo  # noqa: E402
from savepoint_worker.effects.ledger import Ledger, Mark  # noqa: E402
from savepoint_worker.effects.paths import Places  # noqa: E402
from savepoint_worker.effects.recorder import Recorder  # noqa: E402
from savepoint_worker.effects.report import Undone  # noqa: E402


class TheLedger(unittest.TestCase):
    def test_gives_back_what_was_written_behind_a_mark(self) -> None:
        ledger = Ledger(10_000)
        ledger.append({"do": "first"})
        mark = ledger.mark()
        ledger.append({"do": "second", "path": "\udcff\n\u20ac"})
        ledger.append({"do": "third"})
        self.assertEqual([each["do"] for each in ledger.since(mark)], ["second", "third"])
        self.assertEqual(next(ledger.since(mark))["path"], "\udcff\n\u20ac")
        ledger.cut(mark)
        self.assertEqual(list(ledger.since(mark)), [])

    def test_a_mark_means_nothing_in_another_epoch(self) -> None:
        ledger = Ledger(10_000)
        ledger.begin_epoch()
        mark = ledger.mark()
        ledger.begin_epoch()
        ledger.append({"do": "later"})
        self.assertEqual(list(ledger.since(mark)), [])
        ledger.cut(mark)
        self.assertEqual(len(list(ledger.since(ledger.mark()._replace(position=mark.position)))), 1)

    def test_counts_what_it_has_no_room_for(self) -> None:
        ledger = Ledger(1_000)
        written = sum(ledger.append({"do": "x" * 80}) for _ in range(20))
        self.assertTrue(0 < written < 20)
        self.assertEqual(ledger.missed, 20 - written)

    def test_outlives_the_process_that_writes_it(self) -> None:
        ledger = Ledger(10_000)
        mark = ledger.mark()
        pid = os.fork()
        if pid == 0:
            ledger.append({"do": "last words"})
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        self.assertEqual(list(ledger.since(mark)), [{"do": "last words"}])


class Case(unittest.TestCase):
    number = 0

    def setUp(self) -> None:
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="savepoint-effects-")))
        self.addCleanup(shutil.rmtree, self.folder)
        self.work = self.folder / "work"
        self.work.mkdir()
        os.chdir(self.work)
        self.addCleanup(os.chdir, "/")
        self.private = self.folder / "private"
        self.recorder = Recorder(str(self.private), str(self.private / "undo"))
        self.addCleanup(hook.stop)

    def begin(self, **wishes: object) -> Mark:
        Case.number += 1
        mark = self.recorder.mark({"recording": Case.number, **wishes})
        self.recorder.record()
        assert mark is not None
        return mark

    def savepoint(self) -> Mark:
        return self.begin(recording=Case.number)

    def told(self, undone: Undone) -> list[tuple[str, str, bool]]:
        return [(each["kind"], each["target"], each["restored"]) for each in undone.effects]


class Noting(Case):
    def test_ends_with_the_recording(self) -> None:
        mark = self.begin()
        self.recorder.stop(self.recorder.recording)
        Path("new").write_text("x")
        self.assertEqual(self.recorder.undo(mark), Undone([], []))
        self.assertTrue(Path("new").exists())

    def test_the_end_of_an_earlier_recording_ends_nothing(self) -> None:
        self.begin()
        mark = self.begin()
        self.recorder.stop(Case.number - 1)
        Path("new").write_text("x")
        self.assertEqual(self.told(self.recorder.undo(mark)), [("file_written", "new", True)])

    def test_a_copy_that_is_woken_when_its_recording_has_ended_notes_nothing(self) -> None:
        begin = self.begin()
        mark = self.savepoint()
        self.recorder.stop(self.recorder.recording)
        # As in a copy that was frozen at the savepoint.
        self.recorder.on = True
        self.assertEqual(self.recorder.undo(mark), Undone([], []))
        Path("new").write_text("x")
        self.assertEqual(self.recorder.undo(begin), Undone([], []))
        self.assertFalse(self.recorder.is_listening())

    def test_copies_are_removed_with_the_recording(self) -> None:
        Path("a").write_text("a")
        for end in (lambda mark: self.recorder.stop(self.recorder.recording), self.undo_as_a_copy):
            mark = self.begin()
            savepoint = self.savepoint()
            Path("a").write_text("b")
            open("a", "a").close()
            self.recorder.undo(savepoint)
            self.assertEqual(os.listdir(self.private / "undo"), [])
            Path("a").write_text("c")
            end(mark)
            self.assertFalse((self.private / "undo").exists())

    def undo_as_a_copy(self, mark: Mark) -> None:
        self.recorder.on = False
        self.recorder.undo(mark)

    def test_goes_on_in_threads(self) -> None:
        mark = self.begin()

        def write(name: str) -> None:
            for number in range(20):
                Path(f"{name}-{number}").write_text("x")

        threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        undone = self.recorder.undo(mark)
        self.assertEqual(len(undone.effects), 100)
        self.assertEqual(os.listdir(), [])

    def test_a_process_that_the_user_forks_is_told_and_does_as_it_likes(self) -> None:
        mark = self.begin()
        pid = os.fork()
        if pid == 0:
            Path("by-child").write_text("x")
            os._exit(0)
        os.waitpid(pid, 0)
        undone = self.recorder.undo(mark)
        self.assertIn(("process_started", "fork", False), self.told(undone))
        self.assertTrue(Path("by-child").exists())
        self.assertIn("what processes did that were started (fork)", undone.limits)

    def test_no_secret_of_a_command_is_told(self) -> None:
        mark = self.begin()
        subprocess.run(["true", "--password=secret"], check=True)
        subprocess.run("TOKEN=secret true", shell=True, check=True)
        subprocess.run("true secret", shell=True, check=True)
        os.system("true secret")
        os.waitpid(os.posix_spawn("/bin/true", ["true", "secret"], {}), 0)
        subprocess.run(["sh", "-c", "true secret"], check=True)
        undone = self.recorder.undo(mark)
        self.assertNotIn("secret", str(undone))
        self.assertEqual({target for _, target, _ in self.told(undone)}, {"true", "sh"})

    def test_a_process_of_multiprocessing_is_told(self) -> None:
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import multiprocessing, os\n"
            "from savepoint_worker.effects.recorder import Recorder\n"
            "recorder = Recorder(os.getcwd() + '/p', os.getcwd() + '/p/u')\n"
            "mark = recorder.mark({'recording': 1}); recorder.record()\n"
            "process = multiprocessing.get_context('spawn').Process(target=print); process.start(); process.join()\n"
            "print([e['target'] for e in recorder.undo(mark).effects if e['kind'] == 'process_started'])"
        )
        done = subprocess.run([sys.executable, "-c", code, PACKAGES], capture_output=True, text=True, check=True)
        self.assertIn(os.path.basename(sys.executable), done.stdout)

    def test_addresses_of_sockets(self) -> None:
        mark = self.begin()
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)):
                pass
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram:
                datagram.sendto(b"x", ("127.0.0.1", port))
        with socket.socket(socket.AF_UNIX) as named:
            named.bind(str(self.folder / "socket"))
        told = self.told(self.recorder.undo(mark))
        targets = [target for kind, target, _ in told if kind == "socket_opened"]
        self.assertEqual(targets, ["127.0.0.1:0", f"127.0.0.1:{port}", str(self.folder / "socket")])

    def test_what_is_ours_is_not_told(self) -> None:
        mark = self.begin()
        self.private.mkdir(exist_ok=True)
        (self.private / "file").write_text("x")
        Path(os.devnull).write_text("x")
        Path("module.py").write_text("value = 1")
        sys.path.insert(0, os.getcwd())
        self.addCleanup(sys.path.remove, os.getcwd())
        with mock.patch.object(sys, "dont_write_bytecode", False):
            import module  # type: ignore[import-not-found]  # noqa: F401
        del sys.modules["module"]
        self.assertEqual(self.told(self.recorder.undo(mark))[0], ("file_written", "module.py", True))

    def test_a_call_that_fails_leaves_nothing_to_undo(self) -> None:
        Path("there").write_text("there")
        mark = self.begin()
        for call in (
            lambda: open("nowhere/x", "w"),
            lambda: open("there", "x"),
            lambda: os.remove("nowhere"),
            lambda: os.rename("nowhere", "there"),
            lambda: os.rename("there", "nowhere/there"),
            lambda: os.mkdir("there"),
            lambda: os.rmdir("there"),
            lambda: os.chmod("nowhere", 0o600),
            lambda: open("\0", "w"),
            lambda: os.open("nowhere", os.O_WRONLY),
        ):
            with self.assertRaises((OSError, ValueError)):
                call()
        undone = self.recorder.undo(mark)
        self.assertEqual(undone.effects, [])
        self.assertEqual(Path("there").read_text(), "there")


class Undoing(Case):
    def test_to_a_savepoint_and_then_to_the_begin(self) -> None:
        Path("a").write_text("0")
        begin = self.begin()
        Path("a").write_text("1")
        savepoint = self.savepoint()
        for _ in range(3):
            Path("a").write_text("2")
            os.rename("a", "b")
            self.recorder.undo(savepoint)
            self.assertEqual((Path("a").read_text(), os.listdir()), ("1", ["a"]))
        Path("c").write_text("c")
        self.recorder.undo(begin)
        self.assertEqual((Path("a").read_text(), os.listdir()), ("0", ["a"]))

    def test_after_the_death_of_the_process_that_did_it(self) -> None:
        Path("a").write_text("0")
        mark = self.recorder.mark({"recording": 1})
        pid = os.fork()
        if pid == 0:
            self.recorder.record()
            Path("a").write_text("1")
            Path("b").write_text("1")
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(pid, 0)
        undone = self.recorder.undo(mark)
        self.assertEqual(self.told(undone), [("file_written", "a", True), ("file_written", "b", True)])
        self.assertEqual((Path("a").read_text(), os.listdir()), ("0", ["a"]))

    def test_again_after_the_death_of_the_process_that_was_undoing_it(self) -> None:
        for name in ("a", "b", "c"):
            Path(name).write_text(name)
        mark = self.begin()
        Path("a").write_text("other")
        os.remove("b")
        os.rename("c", "d")
        os.makedirs("e/f")
        pid = os.fork()
        if pid == 0:
            with mock.patch.object(undo, "reopen", lambda _: os.kill(os.getpid(), signal.SIGKILL)):
                self.recorder.undo(mark)
        os.waitpid(pid, 0)
        undone = self.recorder.undo(mark)
        self.assertEqual(undone.limits, ["what processes did that were started (fork)"])
        self.assertEqual({name: Path(name).read_text() for name in os.listdir()}, {"a": "a", "b": "b", "c": "c"})

    def test_waits_until_the_other_process_writes_no_more(self) -> None:
        mark = self.recorder.mark({"recording": 1})
        pid = os.fork()
        if pid == 0:
            self.recorder.record()
            while True:
                Path("busy").write_text("x")
        while not Path("busy").exists():
            time.sleep(0.001)
        timer = threading.Timer(0.1, os.kill, (pid, signal.SIGKILL))
        timer.start()
        undone = self.recorder.undo(mark)
        self.assertEqual((undone.limits, os.listdir()), ([], []))
        os.waitpid(pid, 0)

    def test_what_was_not_copied_is_named_with_the_reason(self) -> None:
        for name, size in (("large", 200), ("one", 60), ("two", 60)):
            Path(name).write_bytes(bytes(size))
        mark = self.begin(file_bytes_max=100, bytes_max=100)
        for name in ("large", "one", "two"):
            Path(name).write_text("x")
        undone = self.recorder.undo(mark)
        self.assertEqual(
            self.told(undone),
            [("file_written", "large", False), ("file_written", "one", True), ("file_written", "two", False)],
        )
        self.assertEqual(
            undone.limits,
            [
                "two: not copied before it was changed (copies of this transaction would be too large)",
                "large: not copied before it was changed (it is too large)",
            ],
        )

    def test_what_is_not_below_the_working_folder_is_told_and_left(self) -> None:
        outside = self.folder / "outside"
        outside.write_text("x")
        (self.folder / "other").mkdir()
        mark = self.begin()
        outside.write_text("y")
        (self.folder / "new").write_text("new")
        os.rename(self.folder / "other", self.folder / "renamed")
        told = self.told(self.recorder.undo(mark))
        self.assertEqual(
            told,
            [
                ("file_written", str(outside), False),
                ("file_written", str(self.folder / "new"), False),
                ("file_removed", f"{self.folder}/other/", False),
                ("file_written", f"{self.folder}/renamed/", False),
            ],
        )
        self.assertEqual(outside.read_text(), "y")

    def test_what_was_moved_out_comes_back(self) -> None:
        Path("a").write_text("a")
        mark = self.begin()
        os.rename("a", self.folder / "a")
        self.recorder.undo(mark)
        self.assertEqual(Path("a").read_text(), "a")
        self.assertFalse((self.folder / "a").exists())

    def test_a_folder_that_holds_more_than_python_wrote_stays(self) -> None:
        mark = self.begin()
        os.mkdir("made")
        subprocess.run(["touch", "made/by-another"], check=True)
        undone = self.recorder.undo(mark)
        self.assertIn("made: not removed, as it holds files that Python did not write", undone.limits)
        self.assertTrue(Path("made/by-another").exists())

    def test_what_another_process_changed_is_named(self) -> None:
        mark = self.begin()
        while not self.recorder.ledger or not list(self.recorder.ledger.since(mark)):
            subprocess.run(["touch", "stranger"], check=True)
            time.sleep(0.02)
            subprocess.run(["touch", "stranger", "book.ipynb"], check=True)
        undone = self.recorder.undo(mark)
        self.assertIn("files that C code or other processes have changed (stranger)", undone.limits)

    def test_in_place_of_a_file_that_became_a_folder(self) -> None:
        Path("a").write_text("a")
        mark = self.begin()
        Path("a").write_text("b")
        subprocess.run("rm a && mkdir a && touch a/x", shell=True, check=True)
        undone = self.recorder.undo(mark)
        self.assertIn("a: a folder has come in its place", undone.limits)
        self.assertIn(("file_written", "a/", False), self.told(undone))

    def test_a_copy_that_is_gone_is_named(self) -> None:
        Path("a").write_text("a")
        Path("b").write_text("b")
        mark = self.begin()
        Path("a").write_text("other")
        os.remove("b")
        shutil.rmtree(self.private / "undo")
        undone = self.recorder.undo(mark)
        self.assertEqual(self.told(undone), [("file_written", "a", False), ("file_removed", "b", False)])
        self.assertEqual(len(undone.limits), 2)

    def test_many_effects_are_counted(self) -> None:
        mark = self.begin()
        for number in range(1_100):
            Path(f"f{number}").write_text("x")
        undone = self.recorder.undo(mark)
        self.assertEqual(len(undone.effects), 1_000)
        self.assertEqual(undone.limits, ["100 more effects, which are not listed"])
        self.assertEqual(os.listdir(), [])

    def test_a_full_record_is_named(self) -> None:
        self.recorder.ledger = Ledger(2_000)
        mark = self.begin()
        for number in range(100):
            Path(f"f{number}").write_text("x")
        undone = self.recorder.undo(mark)
        self.assertTrue(any("no room in the record" in each for each in undone.limits), undone.limits)

    def test_it_does_not_use_what_the_user_put_in_place_of_functions_of_os(self) -> None:
        Path("a").write_text("a")
        mark = self.begin()
        Path("a").write_text("b")
        os.rename("a", "c")

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError

        with mock.patch.multiple(os, rename=refuse, unlink=refuse, chmod=refuse, utime=refuse, open=refuse):
            undone = self.recorder.undo(mark)
        self.assertEqual((Path("a").read_text(), undone.limits), ("a", []))

    def test_the_root_of_everything_is_no_working_folder(self) -> None:
        os.chdir("/")
        mark = self.begin()
        target = self.folder / "x"
        target.write_text("x")
        self.assertEqual(self.told(self.recorder.undo(mark)), [("file_written", str(target), False)])


class Databases(Case):
    def make(self, name: str = "data.db") -> None:
        with closing(sqlite3.connect(name)) as connection, connection:
            connection.execute("create table t(a)")

    def test_an_address_is_told_without_what_may_be_secret(self) -> None:
        mark = self.begin()
        sqlite3.connect("file:data.db?key=secret", uri=True).close()
        sqlite3.connect(f"file://{os.getcwd()}/other%20one.db?mode=rwc", uri=True).close()
        sqlite3.connect("file::memory:?cache=shared", uri=True).close()
        sqlite3.connect(":memory:").close()
        for name in ("data.db", "other one.db"):
            self.make(name)
        undone = self.recorder.undo(mark)
        self.assertEqual(self.told(undone), [("database", "data.db", True), ("database", "other one.db", True)])
        self.assertEqual(os.listdir(), [])

    def test_one_that_is_locked_is_named(self) -> None:
        self.make()
        mark = self.begin()
        self.make_row()
        with closing(sqlite3.connect("data.db", isolation_level=None)) as other:
            other.execute("begin exclusive")
            with mock.patch("savepoint_worker.effects.databases.LOCKED_S", 0.05):
                undone = self.recorder.undo(mark)
        self.assertEqual(self.told(undone), [("database", "data.db", False)])
        self.assertEqual(undone.limits, ["data.db: not put back (database is locked)"])

    def make_row(self) -> None:
        with closing(sqlite3.connect("data.db")) as connection, connection:
            connection.execute("insert into t values (1)")

    def test_one_that_is_none_is_a_file(self) -> None:
        Path("data.db").write_text("no database at all, but long enough to be looked at " * 10)
        mark = self.begin()
        with self.assertRaises(sqlite3.DatabaseError):
            self.make()
        self.assertEqual(self.told(self.recorder.undo(mark)), [])

    def test_one_that_was_removed(self) -> None:
        self.make()
        mark = self.begin()
        self.make_row()
        os.remove("data.db")
        self.recorder.undo(mark)
        with closing(sqlite3.connect("data.db")) as connection:
            self.assertEqual(connection.execute("select count(*) from t").fetchall(), [(0,)])


class Copies(Case):
    def test_are_whole_however_they_are_made(self) -> None:
        content = os.urandom(3_000_000)
        Path("a").write_bytes(content)
        ways = ("_by_range", "_by_sendfile", "_by_hand")
        for number in range(len(ways)):
            broken = {name: mock.Mock(side_effect=OSError(18, "no")) for name in ways[:number]}
            with self.subTest(ways[number]), mock.patch.multiple(copies, **broken, FICLONE=0):
                self.assertEqual(copies.copy_to("a", "b"), len(content))
                self.assertEqual(Path("b").read_bytes(), content)

    def test_half_of_one_is_not_left(self) -> None:
        Path("a").write_bytes(bytes(100))
        full = mock.Mock(side_effect=OSError(28, "No space left"))
        failing = dict.fromkeys(("_by_range", "_by_sendfile", "_by_hand"), full)
        with mock.patch.multiple(copies, **failing), self.assertRaises(OSError):
            copies.copy_to("a", "b")
        self.assertEqual(os.listdir(), ["a"])

    def test_leave_no_trace_of_reading(self) -> None:
        Path("a").write_text("a")
        os.utime("a", (1, 2))
        copies.copy_to("a", "b")
        self.assertEqual(os.stat("a").st_atime, 1)


class Folders(Case):
    def test_copies_are_kept_where_the_gateway_looks_for_them(self) -> None:
        self.assertEqual(undo_folder("/run/k.1/w7.out"), "/run/k.1/w7.undo")
        self.assertEqual(undo_folder("/run/k.1/stdout"), "/run/k.1/stdout.undo")

    def test_caches_are_nobodys_work(self) -> None:
        home = self.folder / "home"
        (home / ".cache").mkdir(parents=True)
        with mock.patch.dict(os.environ, {"HOME": str(home), "MPLCONFIGDIR": str(home / "mpl")}):
            os.environ.pop("XDG_CACHE_HOME", None)
            places = Places(str(home), None)
        self.assertTrue(places.is_kept(f"{home}/project/x"))
        for name in (".cache/x", ".ipython/x", "mpl/x"):
            self.assertFalse(places.is_kept(f"{home}/{name}"))

    def test_long_and_odd_names_can_be_told(self) -> None:
        places = Places("/project", None)
        self.assertEqual(len(places.shown("/" + "x" * 2_000)), 500)
        self.assertEqual(places.shown("/project/\udcff"), "\\udcff")


class Ending(Case):
    def test_a_process_that_does_not_end_is_named(self) -> None:
        mark = self.recorder.mark({"recording": 1})
        pid = os.fork()
        if pid == 0:
            self.recorder.record()
            Path("a").write_text("x")
            time.sleep(100)
        try:
            while not Path("a").exists():
                time.sleep(0.001)
            with mock.patch.object(undo, "END_TIMEOUT_S", 0.05):
                undone = self.recorder.undo(mark)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self.assertEqual(undone.limits, ["the process that was rolled back had not ended when files were put back"])


if __name__ == "__main__":
    unittest.main()
