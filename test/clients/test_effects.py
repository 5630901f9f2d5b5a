"""What a transaction does outside of the process: told, and put back where that can be done."""

from __future__ import annotations

import ast
import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Any

from support.case import KernelCase, main
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

    def test_reading_is_no_effect(self) -> None:
        cell = self.client.execute(
            "open('kept.txt').read(); open('kept.txt', 'a').close(); os.listdir()\n1 / 0", metadata=POLICY
        )
        self.assertEqual(cell.reply["metadata"]["savepoint"]["transaction"]["effects"], [])


if __name__ == "__main__":
    main()
