"""NS-9: variables that outlive a restart, where a kernel is started with `--restore last`."""

from __future__ import annotations

import os
import signal
import unittest
from pathlib import Path

from support.case import fresh_kernel, main
from support.comms import checkpoints
from support.subject import ours


@ours
class RestoreLast(unittest.TestCase):
    def test_NS_9_variables_outlive_a_restart_if_asked_for(self) -> None:
        manager, client = fresh_kernel(self, extra_arguments=["--restore", "last"])
        self.assertEqual(
            client.execute("x = [1, 2]\ndef f(): return sum(x)\nlock = __import__('threading').Lock()").status, "ok"
        )
        for round_ in range(2):
            manager.restart_kernel(now=False)
            client.kc.wait_for_ready(timeout=60)
            cell = client.execute("x, f()")
            self.assertEqual(cell.result, "([1, 2], 3)", f"round {round_}: {cell.content}")
            self.assertEqual(cell.content["execution_count"], 1)
        # Of the ends, only the newest is kept.
        (folder,) = Path(os.environ["SAVEPOINT_DATA_DIR"]).glob("checkpoints")
        ends = [each for each in checkpoints(client).ask("list")["items"] if each["note"] == "saved when the kernel ended"]
        self.assertEqual(len(ends), 1)
        self.assertEqual(len(list(folder.glob("cp_*"))), 1)

    def test_NS_9_a_restart_forgets_them_otherwise(self) -> None:
        manager, client = fresh_kernel(self)
        client.execute("x = 1")
        manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        self.assertEqual(client.execute("x").content["ename"], "NameError")

    def test_a_damaged_state_does_not_keep_a_kernel_from_starting(self) -> None:
        manager, client = fresh_kernel(self, extra_arguments=["--restore", "last"])
        client.execute(
            "class Bomb:\n    def __reduce__(self): return (__import__('os')._exit, (9,))\nbomb = Bomb(); x = 1"
        )
        manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        first = client.execute("'still here'")
        self.assertEqual(first.result, "'still here'")
        self.assertEqual(client.execute("1").ours["warnings"], [])

    def test_after_a_crash_it_is_an_older_state_and_the_first_reply_says_so(self) -> None:
        manager, client = fresh_kernel(self, extra_arguments=["--restore", "last"])
        client.execute("x = 'saved'\n%checkpoint by-hand")
        client.execute("x = 'lost'")
        os.killpg(os.getpgid(manager.provisioner.pid), signal.SIGKILL)
        manager.restart_kernel(now=True)
        client.kc.wait_for_ready(timeout=60)
        cell = client.execute("x")
        self.assertEqual(cell.result, "'saved'")
        self.assertIn("saved nothing at its end", cell.ours["warnings"][0])


if __name__ == "__main__":
    main()
