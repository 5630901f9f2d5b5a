"""What a transaction does outside of the process: told, and put back where that can be done."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from support.case import KernelCase, fresh_kernel, main
from support.client import Cell, start_kernel, stop_kernel
from support.comms import commit_all, transactions
from support.subject import ours

CHANGES = """
import os
open('kept.txt', 'a').write('more')
open('over.txt', 'w').write('other')
os.remove('gone.txt')
os.rename('old.txt', 'new.txt')
os.makedirs('folder/deep')
open('folder/deep/made.txt', 'w').write('made')
"""
EFFECTS = [
    ("file_written", "kept.txt", True),
    ("file_written", "over.txt", True),
    ("file_removed", "gone.txt", True),
    ("file_removed", "old.txt", True),
    ("file_written", "new.txt", True),
    ("file_written", "folder/", True),
    ("file_written", "folder/deep/", True),
    ("file_written", "folder/deep/made.txt", True),
]
POLICY = {"savepoint": {"transaction": "rollback_on_failure"}}


class InFolder(KernelCase):
    """Every test has a working folder of its own."""

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="savepoint-effects-")))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("kept", "over", "gone", "old"):
            (self.folder / f"{name}.txt").write_text(name)
        (self.folder / "kept.txt").chmod(0o640)
        os.utime(self.folder / "kept.txt", ns=(10**18, 10**18 + 1))
        self.before = self.files()
        self.run_ok(f"import os; os.chdir({str(self.folder)!r})")
        self.addCleanup(self.run_ok, "os.chdir('/')")
        self.addCleanup(commit_all, self.client)

    def files(self) -> dict[str, Any]:
        """Everything there is, with content, mode and time of change."""
        found: dict[str, Any] = {}
        for path in sorted(self.folder.rglob("*")):
            status = path.lstat()
            content = path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(self.folder))] = (content, status.st_mode, path.is_file() and status.st_mtime_ns)
        return found

    def assert_effects(self, effects: list[dict[str, Any]], expected: list[tuple[str, str, bool]] = EFFECTS) -> None:
        self.assertEqual([(each["kind"], each["target"], each["restored"]) for each in effects], expected)


@ours
class PutBack(InFolder):
    def test_a_failing_cell_with_a_policy(self) -> None:
        cell = self.client.execute(CHANGES + "raise ValueError", metadata=POLICY)
        self.assertEqual(self.files(), self.before)
        transaction = cell.reply["metadata"]["savepoint"]["transaction"]
        self.assert_effects(transaction["effects"])
        self.assertEqual(transaction["limits"], [])

    def test_a_cell_that_succeeds_changes_what_it_changes(self) -> None:
        cell = self.client.execute(CHANGES, metadata=POLICY)
        self.assertEqual(cell.status, "ok")
        self.assertEqual((self.folder / "over.txt").read_text(), "other")
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["effects"], [])
        # And what comes after it is no business of the transaction.
        self.run_ok("open('later.txt', 'w').write('later')")
        self.client.execute("raise ValueError", metadata=POLICY)
        self.assertEqual((self.folder / "later.txt").read_text(), "later")

    def test_a_block(self) -> None:
        body = "\n".join(f"        {line}" for line in CHANGES.strip().splitlines())
        self.run_ok(
            "import savepoint\ntry:\n    with savepoint.transaction():\n"
            f"{body}\n        1 / 0\nexcept savepoint.RolledBack as caught:\n    rolled_back = caught"
        )
        self.assertEqual(self.files(), self.before)
        told = self.run_ok("rolled_back.effects, rolled_back.limits").result
        effects, limits = ast.literal_eval(told or "")
        self.assert_effects(effects)
        self.assertEqual(limits, [])

    def test_begin_and_rollback_of_a_client(self) -> None:
        target = transactions(self.client)
        self.addCleanup(target.close)
        target.ask("begin")
        self.run_ok(CHANGES)
        self.run_ok("open('kept.txt', 'a').write('again')")
        result = target.ask("rollback")
        self.assertEqual(self.files(), self.before)
        self.assert_effects(result["effects"])

    def test_magics_say_how_many(self) -> None:
        self.run_ok("%begin")
        self.run_ok(CHANGES)
        printed = self.run_ok("%rollback").stdout
        self.assertRegex(printed, r"^Rolled back in [0-9.]+ ms; 8 files restored\.\n$")
        self.assertEqual(self.files(), self.before)

    def test_after_the_worker_was_killed(self) -> None:
        code = f"{CHANGES}\nimport signal\nos.kill(os.getpid(), signal.{signal.SIGKILL.name})"
        cell = self.client.execute(code, metadata=POLICY)
        self.assertEqual(cell.content["ename"], "WorkerDied")
        self.assertEqual(self.files(), self.before)
        self.assert_effects(cell.reply["metadata"]["savepoint"]["transaction"]["effects"])

    def test_to_a_savepoint_and_then_to_the_begin(self) -> None:
        self.run_ok("%begin")
        self.run_ok("open('kept.txt', 'a').write('first'); open('one.txt', 'w').write('1')")
        between = self.files()
        target = transactions(self.client)
        self.addCleanup(target.close)
        target.ask("savepoint", name="a")
        for _ in range(2):
            self.run_ok("open('kept.txt', 'w').write('second'); os.rename('one.txt', 'two.txt')")
            result = target.ask("rollback", to="a")
            self.assertEqual(self.files(), between)
            self.assert_effects(
                result["effects"],
                [
                    ("file_written", "kept.txt", True),
                    ("file_removed", "one.txt", True),
                    ("file_written", "two.txt", True),
                ],
            )
        result = target.ask("rollback")
        self.assertEqual(self.files(), self.before)
        self.assert_effects(
            result["effects"], [("file_written", "kept.txt", True), ("file_written", "one.txt", True)]
        )

    def test_an_inner_transaction_leaves_the_outer_ones_files(self) -> None:
        target = transactions(self.client)
        self.addCleanup(target.close)
        target.ask("begin")
        self.run_ok("open('over.txt', 'w').write('outer')")
        between = self.files()
        target.ask("begin")
        self.run_ok("open('over.txt', 'w').write('inner')")
        target.ask("rollback")
        self.assertEqual(self.files(), between)
        target.ask("begin")
        self.run_ok("open('over.txt', 'w').write('inner')")
        target.ask("commit")
        target.ask("rollback")
        self.assertEqual(self.files(), self.before)

    def test_copies_are_not_left_behind(self) -> None:
        look = "from savepoint_worker.worker import Worker; os.path.exists(Worker.current().recorder.folder)"
        for end in ("%commit", "%rollback"):
            with self.subTest(end):
                self.run_ok("%begin")
                self.run_ok("open('over.txt', 'a').write('x')")
                self.assertEqual(self.run_ok(look).result, "True")
                self.run_ok(end)
                self.assertEqual(self.run_ok(look).result, "False")

    def test_a_commit_and_a_begin_in_one_cell(self) -> None:
        self.run_ok("import savepoint; savepoint.begin(); open('over.txt', 'w').write('first')")
        self.run_ok("savepoint.commit(); savepoint.begin(); open('kept.txt', 'w').write('second')")
        self.run_ok("open('third.txt', 'w').write('third')")
        self.run_ok("savepoint.rollback()")
        after = self.files()
        self.assertEqual(after.pop("over.txt")[0], b"first")
        self.before.pop("over.txt")
        self.assertEqual(after, self.before)


@ours
class Told(InFolder):
    def test_what_cannot_be_put_back(self) -> None:
        outside = tempfile.mkdtemp(prefix="savepoint-outside-")
        self.addCleanup(shutil.rmtree, outside)
        cell = self.client.execute(
            f"open({outside!r} + '/x', 'w').write('x')\n"
            "import subprocess; subprocess.run(['true', 'secret'])\n"
            "!exit\n"
            "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.close()\n1 / 0",
            metadata=POLICY,
        )
        transaction = cell.reply["metadata"]["savepoint"]["transaction"]
        told = {(each["kind"], each["target"], each["restored"]) for each in transaction["effects"]}
        self.assertLessEqual(
            {
                ("file_written", f"{outside}/x", False),
                ("process_started", "true", False),
                ("socket_opened", "127.0.0.1:0", False),
            },
            told,
        )
        self.assertNotIn("secret", str(transaction))
        self.assertTrue(any("processes" in limit for limit in transaction["limits"]), transaction["limits"])

    def test_what_others_changed_is_named(self) -> None:
        cell = self.client.execute("import time; time.sleep(0.02)\n!echo x > stranger.txt\n1 / 0", metadata=POLICY)
        self.assertTrue(any("stranger.txt" in limit for limit in self.limits(cell)), self.limits(cell))

    def test_a_file_that_is_too_large_is_named(self) -> None:
        _, client = fresh_kernel(self, env={**os.environ, "SAVEPOINT_TRANSACTIONS_FILE_BYTES_MAX": "8"})
        (self.folder / "large.txt").write_text("more than eight bytes")
        cell = client.execute(
            f"import os; os.chdir({str(self.folder)!r})\n%begin\nopen('large.txt', 'w').write('x')\n"
            "open('over.txt', 'w').write('x')"
        )
        self.assertEqual(cell.status, "ok", cell.content)
        printed = client.execute("%rollback").stdout
        self.assertIn("; 1 file restored; 1 file not restored.", printed)
        self.assertEqual((self.folder / "large.txt").read_text(), "x")
        self.assertEqual((self.folder / "over.txt").read_text(), "over")

    def test_nothing_is_noted_where_that_is_not_wanted(self) -> None:
        _, client = fresh_kernel(self, env={**os.environ, "SAVEPOINT_TRANSACTIONS_EFFECTS": "off"})
        client.execute(f"import os; os.chdir({str(self.folder)!r})")
        cell = client.execute("open('over.txt', 'w').write('x')\n1 / 0", metadata=POLICY)
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["effects"], [])
        self.assertEqual((self.folder / "over.txt").read_text(), "x")

    def limits(self, cell: Cell) -> list[str]:
        limits: list[str] = cell.reply["metadata"]["savepoint"]["transaction"]["limits"]
        return limits

    def test_reading_is_no_effect(self) -> None:
        cell = self.client.execute(
            "open('kept.txt').read(); open('kept.txt', 'a').close(); os.listdir()\n1 / 0", metadata=POLICY
        )
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["effects"], [])


@ours
class WithGuard(InFolder):
    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel(extra_arguments=["--guard"])
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def test_a_death_in_an_open_transaction_costs_what_its_cell_did(self) -> None:
        self.run_ok("%begin")
        self.run_ok("open('over.txt', 'w').write('first')")
        self.run_ok("1")
        between = self.files()
        cell = self.client.execute("open('over.txt', 'w').write('second'); open('new.txt', 'w'); os._exit(3)")
        self.assertEqual(cell.content["ename"], "WorkerDied")
        self.assertEqual(self.files(), between)
        self.run_ok("open('kept.txt', 'w').write('third')")
        self.run_ok("%rollback")
        self.assertEqual(self.files(), self.before)

    def test_undo_is_for_what_the_process_holds(self) -> None:
        self.run_ok("x = 1")
        self.run_ok("x = 2; open('over.txt', 'w').write('second')")
        self.run_ok("%undo")
        self.assertEqual(self.run_ok("x").result, "1")
        self.assertEqual((self.folder / "over.txt").read_text(), "second")


@ours
class Databases(InFolder):
    MAKE = "import sqlite3; made = sqlite3.connect('data.db'); made.execute('create table t(a)'); made.commit()"

    def rows(self) -> list[Any]:
        connection = sqlite3.connect(self.folder / "data.db")
        with closing(connection):
            return [row[0] for row in connection.execute("select a from t")]

    def test_a_new_one_is_removed(self) -> None:
        cell = self.client.execute(f"{self.MAKE}\n1 / 0", metadata=POLICY)
        self.assertEqual(self.files(), self.before)
        effects = cell.reply["metadata"]["savepoint"]["transaction"]["effects"]
        self.assert_effects(effects, [("database", "data.db", True)])

    def test_one_that_is_there_is_put_back(self) -> None:
        for mode in ("delete", "wal"):
            with self.subTest(mode):
                (self.folder / "data.db").unlink(missing_ok=True)
                self.run_ok(f"{self.MAKE}; made.execute('pragma journal_mode={mode}').fetchall(); made.close()")
                cell = self.client.execute(
                    "c = sqlite3.connect('data.db'); c.execute('insert into t values (1)'); c.commit()\n1 / 0",
                    metadata=POLICY,
                )
                self.assertEqual(self.rows(), [])
                effects = cell.reply["metadata"]["savepoint"]["transaction"]["effects"]
                self.assert_effects(effects, [("database", "data.db", True)])

    def test_one_that_was_open_is_put_back_and_goes_on(self) -> None:
        for mode in ("delete", "wal"):
            with self.subTest(mode):
                (self.folder / "data.db").unlink(missing_ok=True)
                self.run_ok(f"{self.MAKE}; made.execute('pragma journal_mode={mode}').fetchall()")
                self.run_ok("made.execute('insert into t values (1)'); made.commit()")
                self.client.execute("made.execute('insert into t values (2)'); made.commit()\n1 / 0", metadata=POLICY)
                self.assertEqual(self.run_ok("made.execute('select a from t').fetchall()").result, "[(1,)]")
                self.run_ok("made.execute('insert into t values (3)'); made.commit()")
                self.assertEqual(self.rows(), [1, 3])
                self.run_ok("made.close()")

    def test_reading_is_no_effect(self) -> None:
        self.run_ok(f"{self.MAKE}; made.close()")
        cell = self.client.execute(
            "c = sqlite3.connect('data.db'); c.execute('select * from t').fetchall()\n1 / 0", metadata=POLICY
        )
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["effects"], [])


@ours
class OpenFiles(InFolder):
    """Files that were open before: their positions and what waits in their buffers come back with the rest."""

    def text(self, name: str = "kept.txt") -> str:
        return (self.folder / name).read_text()

    def fail(self, code: str) -> Cell:  # type: ignore[override]
        return self.client.execute(f"{code}\n1 / 0", metadata=POLICY)

    def test_what_waits_in_a_buffer_is_written_once(self) -> None:
        for mode in ("w", "a", "r+"):
            for flushed in ("", "f.flush()", "f.close()"):
                with self.subTest(mode, flushed=flushed):
                    (self.folder / "log.txt").write_text("")
                    self.run_ok(f"f = open('log.txt', {mode!r}); f.write('pending ')")
                    self.fail(f"f.write('lost '); {flushed}")
                    self.assertEqual(self.text("log.txt"), "")
                    self.run_ok("f.write('kept'); f.close()")
                    self.assertEqual(self.text("log.txt"), "pending kept")

    def test_what_was_written_before_stays(self) -> None:
        for mode in ("a", "r+", "w"):
            for buffering in (1, -1):
                with self.subTest(mode, buffering=buffering):
                    (self.folder / "log.txt").write_text("")
                    self.run_ok(f"f = open('log.txt', {mode!r}, {buffering}); f.write('first\\n'); f.flush()")
                    self.fail("f.write('lost\\n' * 10000)")
                    self.run_ok("f.write('second\\n'); f.close()")
                    self.assertEqual(self.text("log.txt"), "first\nsecond\n")

    def test_a_position_in_the_middle(self) -> None:
        (self.folder / "log.txt").write_text("0123456789")
        self.run_ok("f = open('log.txt', 'r+'); f.read(3); f.seek(3)")
        cell = self.fail("f.write('new'); f.flush(); f.seek(9)")
        self.assertEqual(self.text("log.txt"), "0123456789")
        effects = cell.reply["metadata"]["savepoint"]["transaction"]["effects"]
        self.assert_effects(effects, [("file_written", "log.txt", True)])
        self.run_ok("f.write('ab'); f.close()")
        self.assertEqual(self.text("log.txt"), "012ab56789")

    def test_a_reader_goes_on_where_it_was(self) -> None:
        (self.folder / "lines.txt").write_text("".join(f"{n}\n" for n in range(5000)))
        self.run_ok("f = open('lines.txt'); [next(f) for _ in range(1000)]")
        self.fail("rest = f.read(); os.remove('lines.txt'); open('lines.txt', 'w').write('other')")
        self.assertEqual(self.run_ok("next(f), len(f.read().split())").result, "('1000\\n', 3999)")

    def test_one_that_was_removed_and_made_again_is_the_same_file_again(self) -> None:
        (self.folder / "log.txt").write_text("")
        self.run_ok("f = open('log.txt', 'a'); f.write('first '); f.flush()")
        self.fail("os.remove('log.txt'); open('log.txt', 'w').write('other')")
        self.assertEqual(self.text("log.txt"), "first ")
        self.run_ok("f.write('second'); f.close()")
        self.assertEqual(self.text("log.txt"), "first second")

    def test_one_that_was_renamed_is_where_it_was(self) -> None:
        (self.folder / "log.txt").write_text("")
        self.run_ok("f = open('log.txt', 'a'); f.write('first '); f.flush()")
        self.fail("f.close(); os.rename('log.txt', 'log.1'); g = open('log.txt', 'w'); g.write('other'); g.close()")
        self.assertFalse((self.folder / "log.1").exists())
        self.run_ok("f.write('second'); f.close()")
        self.assertEqual(self.text("log.txt"), "first second")

    def test_a_large_one_that_is_added_to(self) -> None:
        size = 17 * 1024 * 1024
        with (self.folder / "log.txt").open("wb") as file:
            file.truncate(size)
        self.run_ok("f = open('log.txt', 'a'); f.write('first'); f.flush()")
        cell = self.fail("f.write('lost' * 1000); f.flush()")
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["limits"], [])
        self.assertEqual((self.folder / "log.txt").stat().st_size, size + 5)
        self.run_ok("f.close()")


@ours
class Processes(InFolder):
    def test_are_ended_where_that_is_wanted(self) -> None:
        _, client = fresh_kernel(self, env={**os.environ, "SAVEPOINT_TRANSACTIONS_END_PROCESSES": "on"})
        client.execute("import subprocess, os\nbefore = subprocess.Popen(['sleep', '100'])")
        for death in ("", "os.kill(os.getpid(), 9)"):
            with self.subTest(death):
                cell = client.execute(
                    "child = subprocess.Popen(['sleep', '100'])\n"
                    "other = subprocess.Popen(['sleep', '100'], start_new_session=True)\n"
                    "both = subprocess.Popen('sleep 100 & sleep 100', shell=True, start_new_session=True)\n"
                    f"print(child.pid, other.pid, both.pid, flush=True)\n{death}\n1 / 0",
                    metadata=POLICY,
                )
                told = cell.reply["metadata"]["savepoint"]["transaction"]["effects"]
                self.assertIn({"kind": "process_started", "target": "sleep", "restored": True}, told)
                pids = list(map(int, cell.stdout.split()))
                self.assertEqual(len(pids), 3)
                deadline = time.monotonic() + 60
                while any(map(is_alive, pids)):
                    self.assertLess(time.monotonic(), deadline)
                    time.sleep(0.01)
                self.assertEqual(client.execute("print(before.poll())").stdout, "None\n")
        client.execute("before.kill()")

    def test_go_on_otherwise(self) -> None:
        cell = self.client.execute(
            "import subprocess\nchild = subprocess.Popen(['sleep', '100'])\nprint(child.pid, flush=True)\n1 / 0",
            metadata=POLICY,
        )
        pid = int(cell.stdout)
        self.assertTrue(is_alive(pid))
        os.kill(pid, signal.SIGKILL)
        told = cell.reply["metadata"]["savepoint"]["transaction"]["effects"]
        self.assert_effects(told, [("process_started", "sleep", False)])


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


if __name__ == "__main__":
    main()
