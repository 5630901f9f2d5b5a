"""Checkpoints: saved, listed, restored; in the same kernel and in a new one after everything was killed."""

from __future__ import annotations

import os
import unittest
import uuid
from pathlib import Path

from support import processes
from support.case import KernelCase, fresh_kernel, main
from support.client import Cell, Client
from support.comms import Refused, Target, checkpoints, transactions
from support.subject import ours

RICH = """
import collections, datetime, functools, math
import numpy as np, pandas as pd
numbers = [1, 2, 3]
alias = numbers
array = np.arange(12).reshape(3, 4)
view = array[1]
frame = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})
def area(radius): return math.pi * radius ** 2
class Account:
    rate = 0.1
    def __init__(self, owner): self.owner, self.friends = owner, []
    def interest(self, amount): return round(amount * self.rate, 2)
ada, bob = Account('ada'), Account('bob')
ada.friends.append(bob); bob.friends.append(ada)
def counter():
    n = 0
    def count():
        nonlocal n
        n += 1
        return n
    return count
count = counter(); count()
double = lambda x: 2 * x
when = datetime.datetime(2026, 1, 2)
partial = functools.partial(pow, 2)
words = collections.defaultdict(list, {'a': ['b']})
big = 2 ** 200
"""
CHECKS = """
assert numbers == [1, 2, 3] and alias is numbers
assert array.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
array[1, 0] = 99
assert view[0] == 99
assert frame['b'].tolist() == ['x', 'y']
assert round(area(2), 3) == 12.566
assert ada.friends[0] is bob and bob.friends[0] is ada and type(ada) is Account and ada.interest(5) == 0.5
assert count() == 2 and double(4) == 8 and partial(5) == 32
assert when.year == 2026 and words['a'] == ['b'] and words['new'] == [] and big == 2 ** 200
assert math.floor(np.float64(2.5)) == 2
"""


def unique(name: str) -> str:
    """Names are looked up among all checkpoints of the data folder, which the tests share."""
    return f"{name}-{uuid.uuid4().hex[:8]}"


def object_file(checkpoint_id: str) -> Path:
    return Path(os.environ["SAVEPOINT_DATA_DIR"], "checkpoints", f"{checkpoint_id}.savepoint")


def kill_everything(client: Client, root: int) -> None:
    """SIGKILL for the kernel's whole family, and wait for its end."""
    family = processes.family(root)
    processes.kill(family)
    if left := processes.wait_until_gone(family):
        raise AssertionError(f"still there: {', '.join(map(str, left))}")


class CheckpointCase(KernelCase):
    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.target = checkpoints(self.client)
        self.addCleanup(self.target.close)
        self.run_ok("%reset -f")

    def refused(self, code: str, op: str, **fields: object) -> Refused:
        with self.assertRaises(Refused) as raised:
            self.target.ask(op, **fields)
        self.assertEqual(raised.exception.code, code, raised.exception.message)
        return raised.exception


@ours
class Comm(CheckpointCase):
    def test_an_opened_comm_is_ready_and_says_what_it_can(self) -> None:
        self.assertEqual((self.target.ready["event"], self.target.ready["version"]), ("ready", 1))
        self.assertLessEqual({"create", "list", "restore"}, set(self.target.ready["ops"]))

    def test_a_checkpoint_is_described(self) -> None:
        self.run_ok("a = 1\nb = [a]\ndef f(): pass\nclass C: pass")
        name = unique("described")
        record = self.target.ask("create", name=name, note="why")
        self.assertRegex(record["checkpoint_id"], r"^cp_")
        expected = {
            "name": name, "note": "why", "state": "stored", "branch": "main", "namespace_size": 4, "function_count": 1,
            "class_count": 1, "data": None, "format_version": 2, "lost": [], "in_transaction": False,
        }  # fmt: skip
        self.assertEqual({key: record[key] for key in expected}, expected)
        self.assertEqual(sum(record["verdicts"].values()), 4)
        for key in ("checkpoint_size", "written_bytes", "pause_ms", "write_ms"):
            self.assertGreater(record[key], 0, key)
        self.assertGreater(record["written_bytes"], object_file(record["checkpoint_id"]).stat().st_size)

    def test_checkpoints_are_listed_newest_first_with_the_head(self) -> None:
        ids = [self.target.ask("create", name=unique("listed"))["checkpoint_id"] for _ in range(3)]
        listed = self.target.ask("list")
        self.assertEqual([item["checkpoint_id"] for item in listed["items"]][:3], ids[::-1])
        self.assertEqual((listed["head"], listed["total_count"]), (ids[-1], len(listed["items"])))
        self.assertEqual(listed["items"][0]["parent_id"], ids[-2])
        page = self.target.ask("list", limit=1)
        self.assertEqual((len(page["items"]), page["total_count"]), (1, listed["total_count"]))

    def test_restore_puts_the_state_back(self) -> None:
        self.run_ok("kept = [1, 2]\nother = kept")
        namespace = self.run_ok("id(globals())").result
        saved = self.target.ask("create")
        self.run_ok("kept.append(3)\nnewcomer = 1\ndel other")
        result = self.target.ask("restore", checkpoint=saved["checkpoint_id"])
        self.assertEqual((result["checkpoint_id"], result["restored"], result["lost"]), (saved["checkpoint_id"], 2, []))
        self.assertGreater(result["restore_ms"], 0)
        self.assertEqual(self.run_ok("kept, other is kept, 'newcomer' in dir()").result, "([1, 2], True, False)")
        self.assertEqual(self.run_ok("id(globals())").result, namespace)

    def test_restore_may_merge_and_choose(self) -> None:
        self.run_ok("a, b = 1, 1")
        saved = self.target.ask("create")["checkpoint_id"]
        self.run_ok("a, b, c = 2, 2, 2")
        self.target.ask("restore", checkpoint=saved, mode="merge", names=["a"])
        self.assertEqual(self.run_ok("a, b, c").result, "(1, 2, 2)")
        self.target.ask("restore", checkpoint=saved, mode="merge")
        self.assertEqual(self.run_ok("a, b, c").result, "(1, 1, 2)")

    def test_what_is_excluded_is_not_saved(self) -> None:
        self.run_ok("secret_key, public = 1, 2")
        saved = self.target.ask("create", exclude=["secret_*"])["checkpoint_id"]
        self.target.ask("restore", checkpoint=saved)
        self.assertEqual(self.run_ok("'secret_key' in dir(), public").result, "(False, 2)")

    def test_the_newest_of_a_name_is_restored(self) -> None:
        name = unique("twice")
        for value in (1, 2):
            self.run_ok(f"value = {value}")
            self.target.ask("create", name=name)
        self.run_ok("value = 3")
        self.target.ask("restore", checkpoint=name)
        self.assertEqual(self.run_ok("value").result, "2")

    def test_writing_need_not_be_waited_for(self) -> None:
        self.run_ok("value = 1")
        record = self.target.ask("create", name=unique("later"), wait=False)
        self.assertEqual(record["state"], "writing")
        self.target.wait_for_event("checkpoint", checkpoint_id=record["checkpoint_id"], state="stored")

    def test_what_does_not_fit_is_refused_with_its_code(self) -> None:
        self.assertEqual(
            self.refused("unknown_checkpoint", "restore", checkpoint="nope").details, {"checkpoint": "nope"}
        )
        self.refused("unknown_checkpoint", "restore", checkpoint="cp_0000")
        for name in ("", "a/b", "cp_mine", "x" * 201, "bell\x07"):
            self.refused("name_invalid", "create", name=name)
        self.refused("unknown_op", "levitate")
        self.refused("bad_request", "restore")
        self.refused("bad_request", "restore", checkpoint="x", mode="sideways")

    def test_inside_a_transaction_one_may_save_but_not_restore(self) -> None:
        self.run_ok("value = 1")
        before = self.target.ask("create")["checkpoint_id"]
        target = transactions(self.client)
        target.ask("begin")
        self.assertTrue(self.target.ask("create")["in_transaction"])
        self.refused("transaction_open", "restore", checkpoint=before)
        target.ask("rollback")
        self.target.ask("restore", checkpoint=before)

    def test_the_kernel_goes_on_while_a_large_state_is_written(self) -> None:
        self.run_ok("import numpy as np\nlarge = np.random.default_rng(0).random(10_000_000)")
        record = self.target.ask("create", name=unique("large"), wait=False)
        self.assertEqual(self.run_ok("large[0] = -1.0; 6 * 7").result, "42")
        stored = self.target.wait_for_event("checkpoint", checkpoint_id=record["checkpoint_id"], state="stored")[
            "checkpoint"
        ]
        self.assertGreater(stored["checkpoint_size"], 80_000_000)
        self.target.ask("restore", checkpoint=record["checkpoint_id"])
        self.assertEqual(self.run_ok("large[0] >= 0, large.shape").result, "(np.True_, (10000000,))")


@ours
class Damage(CheckpointCase):
    def test_a_changed_file_is_not_restored(self) -> None:
        self.run_ok("value = 'intact' * 1000")
        saved = self.target.ask("create")["checkpoint_id"]
        file = object_file(saved)
        original = file.read_bytes()
        for place in (0, 9, 30, len(original) // 2, len(original) - 1):
            with self.subTest(place=place):
                file.write_bytes(original[:place] + bytes([original[place] ^ 1]) + original[place + 1 :])
                self.run_ok("value = 'present'")
                with self.assertRaises(Refused) as raised:
                    self.target.ask("restore", checkpoint=saved)
                self.assertIn(raised.exception.code, ("damaged_checkpoint", "foreign_checkpoint", "format_unsupported"))
                self.assertEqual(self.run_ok("value").result, "'present'")
        file.write_bytes(original[:-10])
        self.refused("damaged_checkpoint", "restore", checkpoint=saved)
        file.write_bytes(original)
        self.target.ask("restore", checkpoint=saved)
        self.assertEqual(self.run_ok("len(value)").result, "6000")

    def test_a_link_in_place_of_the_file_is_not_followed(self) -> None:
        self.run_ok("value = 1")
        saved = self.target.ask("create")["checkpoint_id"]
        file = object_file(saved)
        elsewhere = file.with_name("elsewhere")
        file.rename(elsewhere)
        file.symlink_to(elsewhere)
        with self.assertRaises(Refused):
            self.target.ask("restore", checkpoint=saved)
        elsewhere.replace(file)


@ours
class Magics(CheckpointCase):
    def test_checkpoint_and_restore(self) -> None:
        name = unique("magic")
        self.run_ok("value = [1]")
        self.assertIn(name, self.run_ok(f"%checkpoint {name} --note 'in passing'").stdout)
        self.run_ok("value.append(2)\nnewcomer = 1")
        self.run_ok(f"%restore {name}")
        self.assertEqual(self.run_ok("value, 'newcomer' in dir()").result, "([1], False)")
        shown = self.run_ok("%checkpoints").on("iopub", "display_data")[0]["content"]["data"]
        self.assertRegex(shown["text/plain"], rf"●  *{name}: in passing +main +← you are here ")
        self.assertIn(f"<b>{name}: in passing</b>", shown["text/html"])

    def test_restore_may_merge_and_choose(self) -> None:
        name = unique("parts")
        self.run_ok("a, b = 1, 1")
        self.run_ok(f"%checkpoint {name}")
        self.run_ok("a, b, c = 2, 2, 2")
        self.run_ok(f"%restore {name} --merge --only a")
        self.assertEqual(self.run_ok("a, b, c").result, "(1, 2, 2)")

    def test_refusals_are_errors_of_the_cell(self) -> None:
        self.assert_refused(self.client.execute("%restore nope"), "unknown_checkpoint")
        self.assert_refused(self.client.execute("%checkpoint a/b"), "name_invalid")
        self.assert_refused(self.client.execute("%restore nope\nx = 1"), "must_be_last")

    def test_a_name_that_the_checkpoint_does_not_have_costs_nothing(self) -> None:
        name = unique("typo")
        self.run_ok("kept = [1]")
        self.run_ok(f"%checkpoint {name}")
        self.run_ok("later = 2")
        self.assert_refused(self.client.execute(f"%restore {name} --only kpt,other"), "bad_request")
        self.assertEqual(self.run_ok("kept, later").result, "([1], 2)")

    def test_counts_go_on_and_in_keeps_every_cell(self) -> None:
        name = unique("counts")
        self.run_ok(f"%checkpoint {name}")
        count = self.run_ok("'between'").content["execution_count"]
        restoring = self.run_ok(f"%restore {name}")
        self.assertEqual(restoring.content["execution_count"], count + 1)
        self.assertEqual(self.run_ok(f"In[{count}]").result, "\"'between'\"")

    def test_python_has_the_same(self) -> None:
        name = unique("python")
        self.run_ok("import savepoint\nvalue = 1")
        self.assertEqual(self.run_ok(f"made = savepoint.checkpoint({name!r})\nmade.name == {name!r}").result, "True")
        self.run_ok("value = 2")
        self.run_ok(f"savepoint.restore({name!r})")
        self.assertEqual(self.run_ok("value").result, "1")

    def test_what_cannot_be_saved_is_named_and_raises_when_touched(self) -> None:
        name = unique("lost")
        self.run_ok("import socket\nline, peer = socket.socketpair()\nsteps = (n for n in range(3)); next(steps)\nkept = 1")
        told = self.run_ok(f"%checkpoint {name}").stdout
        self.assertIn("line", told)
        self.run_ok(f"%restore {name}")
        self.assertEqual(self.run_ok("kept, 'line' in dir()").result, "(1, True)")
        for code in ("line.close()", "str(line)", "line == 1", "line + 1", "next(steps)"):
            with self.subTest(code):
                self.assertEqual(self.client.execute(code).content["ename"], "LostVariableError")
        self.run_ok("line = 5\nassert line == 5\ndel steps")


@ours
class AfterAKill(unittest.TestCase):
    def run_ok(self, client: Client, code: str) -> Cell:
        cell = client.execute(code, timeout=60)
        self.assertEqual(cell.status, "ok", "\n".join(cell.content.get("traceback", [])))
        return cell

    def test_a_new_kernel_restores_what_a_killed_one_saved(self) -> None:
        name = unique("survivor")
        manager, client = fresh_kernel(self)
        self.run_ok(client, RICH)
        self.run_ok(client, f"%checkpoint {name}")
        kill_everything(client, manager.provisioner.pid)
        _, successor = fresh_kernel(self)
        self.run_ok(successor, f"%restore {name}")
        self.run_ok(successor, CHECKS)

    def test_a_checkpoint_that_was_being_written_does_not_hurt_the_earlier_ones(self) -> None:
        name = unique("earlier")
        manager, client = fresh_kernel(self)
        self.run_ok(client, "value = 1")
        self.run_ok(client, f"%checkpoint {name}")
        self.run_ok(client, "import numpy as np\nlarge = np.random.default_rng(0).random(10_000_000)")
        checkpoints(client).ask("create", name=name, wait=False)
        kill_everything(client, manager.provisioner.pid)
        _, successor = fresh_kernel(self)
        self.run_ok(successor, f"%restore {name}")
        self.assertEqual(self.run_ok(successor, "value").result, "1")


if __name__ == "__main__":
    main()
