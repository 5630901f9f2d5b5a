"""Two processes with one data folder: one saves, and the other removes checkpoints and collects what nobody needs.

Whatever is listed in the end is whole, and what was told to be stored, and not removed, is listed.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import Counter
from typing import Any

from force_support import LONG, PATIENCE_S, ForceCase, Refused, Store, restore, save

SAVES = 400 if LONG else 25


def variables(turn: int, pool: list[bytearray]) -> dict[str, Any]:
    """Much that earlier checkpoints have, too, and that later ones come back to when it was removed with them."""
    return {
        "turn": turn,
        **{f"memory{place}": pool[(turn * 3 + place) % len(pool)] for place in range(3)},
        "own": [turn] * 1000,
    }


class Collecting(ForceCase):
    def test_a_collection_takes_nothing_from_a_save_in_another_process(self) -> None:
        pool = [bytearray(os.urandom(300_000)) for _ in range(7)]
        writer, collector = self.store(), self.store()
        told: Counter[str] = Counter()
        kept: dict[str, int] = {}
        removed: set[str] = set()
        lock, over = threading.Lock(), threading.Event()
        failures: list[BaseException] = []

        def collect() -> None:
            try:
                while not over.is_set():
                    with lock:
                        victims = [each for each in kept if self.random.random() < 0.2]
                        for victim in victims:
                            del kept[victim]
                            removed.add(victim)
                    for victim in victims:
                        collector.ask("remove", checkpoint=victim)
                    collector.ask("collect")
                    told["collections"] += 1
                    time.sleep(0.01)
            except BaseException as error:
                failures.append(error)

        collecting = threading.Thread(target=collect)
        collecting.start()
        try:
            for turn in range(SAVES):
                record = self.save_at_last(writer, variables(turn, pool), f"turn {turn}", told)
                with lock:
                    kept[record["checkpoint_id"]] = turn
        finally:
            over.set()
            collecting.join(PATIENCE_S)
        if failures:
            raise failures[0]
        fresh = self.store()
        for store in (writer, collector, fresh):
            listed = {item["checkpoint_id"] for item in store.ask("list")}
            self.assertEqual(listed, set(kept))
        for checkpoint, turn in kept.items():
            self.assertEqual(fresh.ask("validate", checkpoint=checkpoint), {"valid": True, "damaged": []})
            self.assertEqual(restore(fresh, checkpoint)[0], variables(turn, pool))
        for checkpoint in kept:
            collector.ask("remove", checkpoint=checkpoint)
        collector.ask("collect")
        print(f"{SAVES} saves beside {dict(told)}, {len(removed)} removed", file=sys.stderr)

    def save_at_last(
        self, store: Store, values: dict[str, Any], name: str, told: Counter[str], tries: int = 5
    ) -> dict[str, Any]:
        """A save whose chunks were collected meanwhile says so, and is made once more, as a gateway does."""
        for attempt in range(tries):
            try:
                return save(store, values, name, fresh=attempt > 0)
            except Refused as refused:
                if not refused.retry or attempt == tries - 1:
                    raise
                told["made once more"] += 1
        raise AssertionError("not reached")
