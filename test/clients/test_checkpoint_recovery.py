"""A worker that died and left no copy: its kernel comes back from the newest checkpoint, and tells what is missing."""

from __future__ import annotations

import os
import signal
import unittest
from pathlib import Path

from support.case import KernelCase, fresh_kernel, main
from support.client import Cell, start_kernel, stop_kernel
from support.comms import Target, checkpoints
from support.subject import ours

KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"


def files_of(checkpoint_id: str) -> Path:
    return Path(os.environ["SAVEPOINT_DATA_DIR"], "checkpoints", f"{checkpoint_id}.savepoint")


@ours
class Recovered(KernelCase):
    target: Target

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel(extra_arguments=["--recover"])
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def setUp(self) -> None:
        super().setUp()
        self.target = checkpoints(self.client)
        self.addCleanup(self.target.close)

    def assert_died(self, cell: Cell, restored_from: str) -> dict[str, object]:
        self.assert_error(cell, "WorkerDied")
        recovery: dict[str, object] = cell.ours["recovery"]
        self.assertEqual((recovery["cause"], recovery["restored_from"]), ("SIGKILL", restored_from))
        return recovery

    def test_a_death_in_a_cell_costs_what_came_after_the_checkpoint(self) -> None:
        self.run_ok("%reset -f")
        self.run_ok("kept = [1]; alias = kept\ndef double(x): return 2 * x")
        self.run_ok("class Never:\n    def __reduce_ex__(self, protocol): raise TypeError('never')\nline = Never()")
        saved = self.target.ask("create")["checkpoint_id"]
        later = self.run_ok("kept.append(2); later = 1").content["execution_count"]
        cell = self.client.execute(KILL)
        recovery = self.assert_died(cell, "checkpoint")
        self.assertEqual(recovery["lost"], ["line", f"what cell {later} did"])
        self.assertEqual(recovery["checkpoint"]["checkpoint_id"], saved)  # type: ignore[index]
        self.assertIn(saved, cell.content["evalue"])
        self.assertIn(f"what cell {later} did", cell.stderr)
        event = self.target.wait_for_event("recovery")
        self.assertEqual(event["recovery"]["restored_from"], "checkpoint")
        after = self.run_ok("kept, alias is kept, double(4), 'later' in dir()")
        self.assertEqual(after.result, "([1], True, 8, False)")
        self.assertEqual(after.content["execution_count"], cell.content["execution_count"] + 1)
        self.assertEqual(self.client.execute("line.x").content["ename"], "LostVariableError")
        # What is saved next follows from what came back.
        self.assertEqual(self.target.ask("create")["parent_id"], saved)

    def test_killed_at_rest_the_next_cell_finds_the_state(self) -> None:
        self.run_ok("%reset -f\nvalue = 'saved'")
        self.target.ask("create")
        pid = int(self.client.value("__import__('os').getpid()"))
        os.kill(pid, signal.SIGKILL)
        recovery = self.target.wait_for_event("recovery")["recovery"]
        self.assertEqual(recovery["restored_from"], "checkpoint")
        cell = self.run_ok("value")
        self.assertEqual(cell.result, "'saved'")
        self.assertTrue(any("is back" in each for each in cell.ours["warnings"]), cell.ours["warnings"])

    def test_one_that_cannot_be_restored_gives_way_to_the_one_before_and_that_to_nothing(self) -> None:
        self.run_ok("%reset -f\nvalue = 'first'")
        first = self.target.ask("create")["checkpoint_id"]
        self.run_ok("value = 'second'")
        second = self.target.ask("create")["checkpoint_id"]
        files_of(second).write_bytes(b"no checkpoint")
        cell = self.client.execute(KILL)
        recovery = self.assert_died(cell, "checkpoint")
        self.assertEqual(recovery["checkpoint"]["checkpoint_id"], first)  # type: ignore[index]
        self.assertTrue(any(second in each for each in cell.ours["warnings"]), cell.ours["warnings"])
        self.assertEqual(self.run_ok("value").result, "'first'")
        for each in self.target.ask("list", limit=1000)["items"]:
            files_of(each["checkpoint_id"]).unlink(missing_ok=True)
        cell = self.client.execute(KILL)
        self.assert_died(cell, "none")
        self.assertTrue(any(first in each for each in cell.ours["warnings"]), cell.ours["warnings"])
        self.assertEqual(self.run_ok("'value' in dir()").result, "False")

    def test_one_that_kills_who_loads_it_is_passed_by(self) -> None:
        self.run_ok("%reset -f\nvalue = 'good'")
        good = self.target.ask("create")["checkpoint_id"]
        self.run_ok("class Bomb:\n    def __reduce__(self): return (__import__('os')._exit, (9,))\nbomb = Bomb()")
        self.target.ask("create")
        recovery = self.assert_died(self.client.execute(KILL), "checkpoint")
        self.assertEqual(recovery["checkpoint"]["checkpoint_id"], good)  # type: ignore[index]
        self.assertEqual(self.run_ok("value, 'bomb' in dir()").result, "('good', False)")


@ours
class Alone(unittest.TestCase):
    def test_a_copy_of_the_guards_comes_first(self) -> None:
        _, client = fresh_kernel(self, extra_arguments=["--guard"])
        client.execute("value = 'saved'\n%checkpoint")
        client.execute("value = 'newer'")
        cell = client.execute(KILL)
        self.assertEqual(cell.ours["recovery"]["restored_from"], "guard")
        self.assertEqual(client.execute("value").result, "'newer'")

    def test_a_restart_gives_an_empty_namespace(self) -> None:
        manager, client = fresh_kernel(self, extra_arguments=["--recover"])
        client.execute("value = 'saved'\n%checkpoint")
        manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        self.assertEqual(client.execute("'value' in dir()").result, "False")
        # And a death after it brings back nothing from before.
        self.assertEqual(client.execute(KILL).ours["recovery"]["restored_from"], "none")
        self.assertEqual(client.execute("'value' in dir()").result, "False")


if __name__ == "__main__":
    main()
