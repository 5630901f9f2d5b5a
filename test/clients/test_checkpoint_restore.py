"""Restores that fail, hang or end the process: a stable code, and the kernel as it was."""

from __future__ import annotations

import os

from support.case import KernelCase, main
from support.client import Cell, Gate
from support.comms import Refused, Target, checkpoints, transactions
from support.subject import ours

#: What loading it does, in the process that loads.
BOMBS = {
    "exits": "(__import__('os')._exit, (9,))",
    "hangs": "(__import__('time').sleep, (600,))",
    "spins": "(exec, ('while True: pass',))",
    "crashes": "(__import__('ctypes').string_at, (0,))",
    "raises": "(exec, ('1 / 0',))",
    "leaves": "(__import__('sys').exit, (3,))",
}


class BombCase(KernelCase):
    """A checkpoint for each bomb."""

    target: Target

    def setUp(self) -> None:
        super().setUp()
        self.target = checkpoints(self.client)
        self.addCleanup(self.target.close)

    def armed(self, how: str) -> str:
        """The id of a checkpoint whose restore does that."""
        self.run_ok("%reset -f")
        self.run_ok(f"class Bomb:\n    def __reduce__(self): return {BOMBS[how]}\nbomb = Bomb(); innocent = 1")
        saved: str = self.target.ask("create")["checkpoint_id"]
        self.run_ok("%reset -f")
        self.run_ok("kept = [1]; alias = kept; count = 1")
        return saved

    def refused(self, saved: str, code: str, **fields: object) -> Refused:
        with self.assertRaises(Refused) as raised:
            self.target.ask("restore", checkpoint=saved, **fields)
        self.assertEqual(raised.exception.code, code, raised.exception.message)
        return raised.exception

    def assert_as_it_was(self) -> None:
        self.assertEqual(self.run_ok("kept, alias is kept, 'innocent' in dir()").result, "([1], True, False)")

    def restored_by_cell(self, saved: str, behind: str = "") -> Cell:
        return self.client.execute(f"before = 1\ntry:\n    savepoint.restore({saved!r})\n{behind}")

    def assert_told_to_the_cell(self, how: str, code: str) -> None:
        saved = self.armed(how)
        self.run_ok("import savepoint")
        cell = self.restored_by_cell(saved, "except savepoint.SavepointError as error:\n    print(error.code, before)")
        self.assertEqual((cell.status, cell.stdout), ("ok", f"{code} 1\n"), cell.content)
        self.assert_as_it_was()


@ours
class Bombs(BombCase):
    def test_one_that_ends_the_process(self) -> None:
        for how in ("exits", "crashes"):
            with self.subTest(how):
                saved = self.armed(how)
                refused = self.refused(saved, "restore_failed")
                self.assertIn("as it was before", refused.message)
                self.assertEqual(refused.details["checkpoint"], saved)
                self.assert_as_it_was()

    def test_one_that_raises_costs_its_variable(self) -> None:
        for how in ("raises", "leaves"):
            with self.subTest(how):
                result = self.target.ask("restore", checkpoint=self.armed(how))
                self.assertEqual([each["name"] for each in result["lost"]], ["bomb"])
                self.assertEqual(self.run_ok("innocent, 'kept' in dir()").result, "(1, False)")

    def test_the_copy_is_given_up(self) -> None:
        self.run_ok("kept = [1]; alias = kept")
        saved = self.target.ask("create")["checkpoint_id"]
        self.target.ask("restore", checkpoint=saved)
        other = transactions(self.client)
        self.addCleanup(other.close)
        self.assertEqual(other.ask("snapshots")["items"], [])

    # ----------------------------------------------------------------------------------------------- in a cell

    def test_the_cell_goes_on_with_the_error(self) -> None:
        self.assert_told_to_the_cell("exits", "restore_failed")

    def test_a_magic_says_what_happened(self) -> None:
        saved = self.armed("exits")
        cell = self.client.execute(f"%restore {saved}")
        self.assert_refused(cell, "restore_failed")
        self.assert_as_it_was()
        self.assertEqual(self.run_ok("1").content["execution_count"], cell.content["execution_count"] + 2)

    def test_two_at_once_and_one_while_busy_take_their_turns(self) -> None:
        self.run_ok("%reset -f")
        ids = []
        for value in (1, 2):
            self.run_ok(f"value = {value}")
            ids.append(self.target.ask("create")["checkpoint_id"])
        gate = Gate()
        cell = self.client.start(f"{gate.code}seen = value")
        requests = [self.target.start("restore", checkpoint=each) for each in ids]
        self.client.wait_until_received()
        gate.open()
        self.assertEqual(cell.wait().status, "ok")
        for request, each in zip(requests, ids):
            self.assertEqual(self.target.answer_of(request)["result"]["checkpoint_id"], each)
        self.assertEqual(self.run_ok("value, 'seen' in dir()").result, "(2, False)")


@ours
class EndlessBombs(BombCase):
    """In a kernel whose restores may take a second: none of these is to be done with by then."""

    @classmethod
    def setUpClass(cls) -> None:
        os.environ["SAVEPOINT_CHECKPOINT_RESTORE_S"] = "1"
        cls.addClassCleanup(os.environ.pop, "SAVEPOINT_CHECKPOINT_RESTORE_S")
        super().setUpClass()

    def test_one_that_does_not_end(self) -> None:
        for how in ("hangs", "spins"):
            with self.subTest(how):
                self.refused(self.armed(how), "timeout")
                self.assert_as_it_was()

    def test_an_interrupt_goes_back(self) -> None:
        saved = self.armed("hangs")
        request = self.target.start("restore", checkpoint=saved)
        self.client.wait_until(lambda: "busy" in request.states, 30, "the restore to begin")
        self.client.ask("interrupt_request", channel="control")
        error = self.target.answer_of(request)["error"]
        # One that comes before the copy is there is not for the restore, which then comes to its deadline.
        self.assertIn(error["code"], ("cancelled", "timeout"))
        self.assert_as_it_was()

    def test_the_cell_goes_on_with_the_error(self) -> None:
        self.assert_told_to_the_cell("hangs", "timeout")


if __name__ == "__main__":
    main()
