"""Checkpoints that nobody asks for: after each cell, at intervals, at rest, at the end."""

from __future__ import annotations

import os
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from support.case import fresh_kernel, main
from support.client import PATIENCE_S, Client
from support.comms import Target, checkpoints
from support.subject import ours

#: Runs until a checkpoint is prepared, and a moment longer, so that the kernel hears of it first.
SECOND = """
import pathlib, time
late = time.monotonic() + 20
while not list(pathlib.Path({writing!r}).rglob("cp_*")):
    assert time.monotonic() < late, "no checkpoint is prepared"
    time.sleep(0.02)
time.sleep(1)
"""


def eventually(is_so: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


@ours
class Automatic(unittest.TestCase):
    def kernel(self, auto: str, **settings: str) -> Client:
        for name, value in {"AUTO": auto, **settings}.items():
            os.environ[f"SAVEPOINT_CHECKPOINT_{name}"] = value
            self.addCleanup(os.environ.pop, f"SAVEPOINT_CHECKPOINT_{name}", None)
        self.manager, client = fresh_kernel(self, extra_arguments=["--recover"])
        return client

    def run_ok(self, client: Client, code: str) -> int:
        cell = client.execute(code)
        self.assertEqual(cell.status, "ok", cell.content.get("evalue"))
        return int(cell.content["execution_count"])

    def stored(self, target: Target) -> list[dict[str, Any]]:
        records = [event["checkpoint"] for event in target.events if event["event"] == "checkpoint"]
        return [each for each in records if each["state"] == "stored"]

    def test_after_each_cell_and_a_death_costs_that_cell_alone(self) -> None:
        client = self.kernel("cell", EXCLUDE="secret*")
        target = checkpoints(client)
        for code in ("values = []", "values.append(1); secret_key = 1"):
            count = self.run_ok(client, code)
            event = target.wait_for_event("checkpoint", state="stored", execution_count=count)["checkpoint"]
            self.assertEqual((event["name"], event["note"]), (None, f"automatic: after cell {count}"))
        # Nothing ran since, so there is nothing to save.
        client.ask("is_complete_request", {"code": "1"})
        self.assertEqual(len(self.stored(target)), 2)
        cell = client.execute("values.append(2)\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        self.assertEqual((cell.ours["recovery"]["restored_from"], cell.ours["recovery"]["lost"]), ("checkpoint", []))
        self.assertEqual(client.execute("values, 'secret_key' in dir()").result, "([1], False)")

    def test_many_cells_in_a_row_are_not_held_up_and_share_one(self) -> None:
        client = self.kernel("cell")
        target = checkpoints(client)
        # Each takes a while to be written, so that what becomes due meanwhile is one.
        self.run_ok(client, "class Slow:\n    def __reduce__(self):\n        import time; time.sleep(0.5)\n        return (list, ())")
        cells = [client.start(f"slow = Slow(); value = {i}") for i in range(10)]
        for cell in cells:
            self.assertEqual(cell.wait().status, "ok")
        last = cells[-1].content["execution_count"]
        target.wait_for_event("checkpoint", state="stored", execution_count=last)
        self.assertLess(len(self.stored(target)), 8)

    def test_the_last_of_cells_in_a_row_is_saved_although_a_copy_was_made_right_before_it(self) -> None:
        client = self.kernel("cell")
        target = checkpoints(client)
        # Once the store is warm and holds something, each checkpoint that it prepares begins with a file.
        count = self.run_ok(client, "import numpy\nwarm = numpy.arange(10_000)")
        target.wait_for_event("checkpoint", state="stored", execution_count=count)
        writing = Path(os.environ["SAVEPOINT_DATA_DIR"], "checkpoints", "writing")
        self.assertTrue(eventually(lambda: not list(writing.rglob("cp_*"))), "what was stored is still being written")
        # The first one is due while the second runs, so that its copy is made between the second and the third.
        second = SECOND.format(writing=str(writing))
        cells = [client.start(code) for code in ("first = 1", second, "last = 3")]
        counts = [cell.wait().content["execution_count"] for cell in cells]
        target.wait_for_event("checkpoint", state="stored", execution_count=counts[1])
        target.wait_for_event("checkpoint", state="stored", execution_count=counts[2])
        client.execute("import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        self.assertEqual(client.execute("first, last").result, "(1, 3)")

    def test_at_rest(self) -> None:
        client = self.kernel("idle", IDLE_S="1")
        target = checkpoints(client)
        self.run_ok(client, "value = 1")
        event = target.wait_for_event("checkpoint", state="stored")["checkpoint"]
        self.assertEqual(event["note"], "automatic: at rest")

    def test_at_the_end(self) -> None:
        client = self.kernel("shutdown")
        self.run_ok(client, "value = 'of the end'")
        self.manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        self.assertEqual(client.execute("'value' in dir()").result, "False")
        (saved,) = [e for e in checkpoints(client).ask("list")["items"] if e["note"] == "automatic: shutdown"][:1]
        checkpoints(client).ask("restore", checkpoint=saved["checkpoint_id"])
        self.assertEqual(client.execute("value").result, "'of the end'")


if __name__ == "__main__":
    main()
