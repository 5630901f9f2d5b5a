"""Something is killed at a random moment of a save; the last checkpoint that was stored restores, and there is no half one.

Each round, a kernel saves and somebody kills the writer, the process in it that runs the user's code, or the kernel
itself; then what is listed is looked at, and the newest one is restored.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from force_support import LONG, ForceCase
from support import processes
from support.client import Client, start_kernel, stop_kernel
from support.comms import Target, checkpoints

ROUNDS = 500 if LONG else 8
NOISE_BYTES = (24 if LONG else 8) << 20
#: Memory that is another each time, some that stays, and objects.
STATE = f"""
import os
kept = bytearray(os.urandom(4 << 20))
def change(turn):
    global n, noise, table
    n, noise = turn, bytearray(os.urandom({NOISE_BYTES}))
    table = {{i: {{'turn': turn, 'i': i}} for i in range(20_000)}}
"""
#: Later than that a save is usually over.
LATEST_S = 0.5 if LONG else 0.3


class Kills(ForceCase):
    def setUp(self) -> None:
        super().setUp()
        before = os.environ["SAVEPOINT_DATA_DIR"]
        os.environ["SAVEPOINT_DATA_DIR"] = str(self.folder)
        self.addCleanup(os.environ.__setitem__, "SAVEPOINT_DATA_DIR", before)
        self.manager: Any = None
        self.client: Client
        self.target: Target
        #: Turns by the checkpoints that are known to be stored.
        self.stored: dict[str, int] = {}
        self.told: Counter[str] = Counter()
        self.addCleanup(self.end)

    def begin(self) -> None:
        self.manager, self.client = start_kernel()
        self.target = checkpoints(self.client)

    def end(self) -> None:
        if self.manager is not None:
            manager, self.manager = self.manager, None
            stop_kernel(manager, self.client)

    def cell(self, code: str) -> None:
        cell = self.client.execute(code)
        self.assertEqual(cell.status, "ok", cell.content.get("evalue"))

    # ------------------------------------------------------------------------------------------------- a round

    def test_the_last_checkpoint_restores_whatever_was_killed_during_a_save(self) -> None:
        self.begin()
        self.cell(STATE)
        for turn in range(1, ROUNDS + 1):
            victim = self.random.choice(("writer", "serializer", "kernel", "everything"))
            with self.subTest(turn=turn, victim=victim):
                self.cell(f"change({turn})")
                self.client.messages.clear()
                if turn % 6 == 1:
                    # Also without anything in the way, so that there is something to come back to.
                    self.stored[self.target.ask("create", name=f"turn {turn}")["checkpoint_id"]] = turn
                self.save_and_kill(turn, victim)
                self.look(turn)
        print(f"{ROUNDS} kills: {dict(self.told)}", file=sys.stderr)

    def save_and_kill(self, turn: int, victim: str) -> None:
        worker = processes.find(int(self.client.value("os.getpid()")))
        before = {process.pid for process in processes.family(worker.pid)}
        request = self.target.start("create", name=f"turn {turn} with a kill")
        delay = self.random.uniform(0, LATEST_S) ** 2 / LATEST_S
        if victim in ("kernel", "everything"):
            time.sleep(delay)
            root = self.manager.provisioner.pid
            family = processes.family(root) if victim == "everything" else [processes.find(root)]
            for process in family:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)
            self.told[victim] += 1
            self.end()
            self.begin()
            return
        if self.kill_child(worker.pid, before, victim, delay):
            self.told[victim] += 1
        else:
            self.told["too late"] += 1
        try:
            record = self.target.answer_of(request)
        except AssertionError as error:
            raise AssertionError(f"{victim}: {error}") from None
        if record["ok"]:
            # The process that was killed is done anew, without the variable that it was at.
            lost = [each["name"] for each in record["result"]["lost"]]
            self.told["stored all the same" if not lost else f"lost {', '.join(lost)}"] += 1
            if "n" not in lost:
                self.stored[record["result"]["checkpoint_id"]] = turn
        else:
            self.told[record["error"]["code"]] += 1

    def kill_child(self, worker: int, before: set[int], victim: str, delay: float) -> bool:
        """Kill the writer or the process that it watches, a moment after it began. False: it was over by then."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            found = [pid for pid in _children(worker) if pid not in before]
            if victim == "serializer" and found:
                found = [pid for writer in found for pid in _children(writer)]
            if found:
                time.sleep(delay)
                alive = [pid for pid in found if os.path.exists(f"/proc/{pid}")]
                for pid in alive:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                return bool(alive)
        return False

    # ------------------------------------------------------------------------------------------------- afterwards

    def look(self, turn: int) -> None:
        """All that is listed is whole, and the newest restores."""
        items = self.target.ask("list", limit=1000)["items"]
        self.assertEqual({item["state"] for item in items} - {"stored"}, set())
        listed = {item["checkpoint_id"]: item for item in items}
        # Another kernel began since: what the one before it had stored is found by its name or id only.
        for checkpoint in set(self.stored) - set(listed):
            listed[checkpoint] = self.target.ask("get", checkpoint=checkpoint)
        newest = max(listed, default=None)
        if newest is None:
            return
        for checkpoint in {newest, *self.random.sample(sorted(listed), min(2, len(listed)))}:
            self.assertEqual(self.target.ask("validate", checkpoint=checkpoint), {"valid": True, "damaged": []})
        self.assertFalse([path for path in self.half_ones() if path.stem in listed])
        done = self.target.ask("restore", checkpoint=newest)
        lost = {each["name"] for each in done["lost"]}
        name = listed[newest]["name"]
        expected = self.stored.get(newest, int(name.split()[1]))
        if not lost & {"n", "table", "noise"}:
            self.cell(f"assert n == {expected} and table[5]['turn'] == n and len(noise) == {NOISE_BYTES}")
        if lost:
            # It said so when it was made; the next rounds need all of it.
            self.cell(STATE)

    def half_ones(self) -> list[Path]:
        return [path for path in (self.folder / "checkpoints").glob("*.savepoint") if path.stat().st_size < 100]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found
