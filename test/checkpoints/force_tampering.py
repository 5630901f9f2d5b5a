"""Whatever is done to the files of a checkpoint, a restore gives what was saved, or says that it does not.

Each try changes something, restores as a gateway and a worker do, and puts everything right again. What may not happen:
a variable that has another value than it had, and nobody has said so.
"""

from __future__ import annotations

import base64
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from force_support import LONG, REFUSALS, ForceCase, Refused, SavepointError, Store, lost_in, restore, save

TRIES = 10_000 if LONG else 150
EXPORT_TRIES = 300 if LONG else 10
#: So often a store is opened that knows nothing, and has to make its index of what it finds.
FRESH_EVERY = 10 if LONG else 25
#: So often what could not be restored whole is validated, too, which reads everything.
VALIDATE_EVERY = 3


def variables(turn: int) -> dict[str, Any]:
    """Small ones, one in several chunks, and some that share objects; others in each turn."""
    shared = [turn, "shared"]
    return {
        "turn": turn,
        "words": [f"word {number * turn}" for number in range(300)],
        "table": {number: {"key": number, "text": str(number + turn)} for number in range(3000)},
        "memory": bytearray((b"%07d" % turn) * 40_000),
        "noise": bytearray(os.urandom(70_000)),
        "one": shared,
        "two": {"holds": shared},
        "text": f"some text {turn}" * 5,
    }


class Tampering(ForceCase):
    def setUp(self) -> None:
        super().setUp()
        self.ada = self.store()
        self.saved: dict[str, dict[str, Any]] = {}
        values: dict[str, Any] = {}
        for turn in (1, 2, 3):
            # What one turn does not change is in the packs of earlier ones.
            values = {**variables(turn), **({"noise": values["noise"]} if values else {})}
            self.saved[save(self.ada, values, f"turn {turn}")["checkpoint_id"]] = values
        self.eve = self.store(owner="eve")
        self.of_eve = save(self.eve, variables(66), "eve's")["checkpoint_id"]
        self.elsewhere = self.folder / "elsewhere"
        self.stranger = self.store(self.elsewhere)
        self.of_stranger = save(self.stranger, variables(77), "a stranger's")["checkpoint_id"]
        self.told: Counter[str] = Counter()
        self.undo: list[Callable[[], object]] = []

    # ------------------------------------------------------------------------------------------------- the files

    @property
    def shelf(self) -> Path:
        return self.folder / "checkpoints"

    def manifest(self, checkpoint: str) -> Path:
        return self.shelf / f"{checkpoint}.savepoint"

    def pack(self, checkpoint: str) -> Path:
        return self.shelf / "packs" / f"pk_{checkpoint[3:]}.pack"

    def change(self, path: Path, contents: bytes) -> None:
        before = path.read_bytes()
        self.undo.append(lambda: path.write_bytes(before))
        path.write_bytes(contents)

    def some_file(self, checkpoint: str) -> Path:
        manifest, packs = self.manifest(checkpoint), [self.pack(each) for each in self.saved]
        return self.random.choice([manifest, *(pack for pack in packs if pack.exists())])

    # ------------------------------------------------------------------------------------------------- what is done

    def flip_a_bit(self, checkpoint: str) -> None:
        path = self.some_file(checkpoint)
        contents = bytearray(path.read_bytes())
        contents[self.random.randrange(len(contents))] ^= 1 << self.random.randrange(8)
        self.change(path, contents)

    def flip_a_bit_near_an_end(self, checkpoint: str) -> None:
        """Lengths, labels, tables and codes lie there."""
        path = self.some_file(checkpoint)
        contents = bytearray(path.read_bytes())
        at = self.random.randrange(min(600, len(contents)))
        contents[self.random.choice((at, -at - 1))] ^= 1 << self.random.randrange(8)
        self.change(path, contents)

    def cut_off_the_end(self, checkpoint: str) -> None:
        path = self.some_file(checkpoint)
        contents = path.read_bytes()
        self.change(path, contents[: self.random.choice((self.random.randrange(len(contents)), len(contents) - 1, 0))])

    def add_to_the_end(self, checkpoint: str) -> None:
        path = self.some_file(checkpoint)
        self.change(path, path.read_bytes() + os.urandom(self.random.choice((1, 8, 4096))))

    def lose_a_sector(self, checkpoint: str) -> None:
        path = self.some_file(checkpoint)
        contents = bytearray(path.read_bytes())
        at = self.random.randrange(0, len(contents), 512)
        length = len(contents[at : at + 512])
        contents[at : at + 512] = self.random.choice((bytes(length), os.urandom(length)))
        self.change(path, contents)

    def swap_two_places(self, checkpoint: str) -> None:
        """Valid bytes where others should be: chunks, entries of a table, parts of either."""
        path = self.some_file(checkpoint)
        contents = bytearray(path.read_bytes())
        length = self.random.choice((1, 32, 49, 1000, 20_000))
        if len(contents) < 2 * length + 1:
            length = 1
        one, other = (self.random.randrange(len(contents) - length) for _ in range(2))
        first, second = contents[one : one + length], contents[other : other + length]
        contents[one : one + length], contents[other : other + length] = second, first
        self.change(path, contents)

    def put_another_pack_there(self, checkpoint: str) -> None:
        others = [path for path in (*map(self.pack, (*self.saved, self.of_eve)), *self._of_stranger("packs/*.pack"))]
        target = self.pack(self.random.choice(list(self.saved)))
        self.change(target, self.random.choice([path for path in others if path != target]).read_bytes())

    def replay_another_manifest(self, checkpoint: str) -> None:
        others = [self.manifest(each) for each in self.saved if each != checkpoint]
        self.change(self.manifest(checkpoint), self.random.choice(others).read_bytes())

    def put_a_manifest_of_somebody_else_there(self, checkpoint: str) -> None:
        self.change(self.manifest(checkpoint), self.manifest(self.of_eve).read_bytes())

    def put_a_manifest_of_another_key_there(self, checkpoint: str) -> None:
        (path,) = self._of_stranger("*.savepoint")
        self.change(self.manifest(checkpoint), path.read_bytes())

    def bring_in_what_another_key_has_signed(self, checkpoint: str) -> None:
        """With its packs, under its own name; and ask for that."""
        for path in (*self._of_stranger("*.savepoint"), *self._of_stranger("packs/*.pack")):
            target = self.shelf / path.relative_to(self.elsewhere / "checkpoints")
            shutil.copy(path, target)
            self.undo.append(target.unlink)

    def take_a_pack_away(self, checkpoint: str) -> None:
        path = self.pack(self.random.choice(list(self.saved)))
        if path.exists():
            aside = path.with_suffix(".aside")
            path.rename(aside)
            self.undo.append(lambda: aside.rename(path))

    def _of_stranger(self, pattern: str) -> list[Path]:
        return list((self.elsewhere / "checkpoints").glob(pattern))

    # ------------------------------------------------------------------------------------------------- the tries

    def test_nothing_is_restored_wrongly_whatever_is_done_to_the_files(self) -> None:
        deeds = [
            *(self.flip_a_bit, self.flip_a_bit_near_an_end) * 3,
            *(self.cut_off_the_end, self.add_to_the_end, self.lose_a_sector, self.swap_two_places) * 2,
            *(self.put_another_pack_there, self.replay_another_manifest, self.take_a_pack_away),
            *(self.put_a_manifest_of_somebody_else_there, self.put_a_manifest_of_another_key_there),
            self.bring_in_what_another_key_has_signed,
        ]
        for number in range(TRIES):
            deed = self.random.choice(deeds)
            checkpoint = self.random.choice(list(self.saved))
            deed(checkpoint)
            asked = self.of_stranger if deed == self.bring_in_what_another_key_has_signed else checkpoint
            with self.subTest(number=number, deed=deed.__name__):
                if number % FRESH_EVERY == 0:
                    self.try_in_a_store_that_knows_nothing(deed.__name__, asked)
                elif self.try_to_restore(self.ada, deed.__name__, asked) != "right" and number % VALIDATE_EVERY == 0:
                    self.require_invalid(self.ada, asked)
            while self.undo:
                self.undo.pop()()
        for checkpoint in self.saved:
            self.assertEqual(self.try_to_restore(self.ada, "nothing", checkpoint), "right")
            self.assertEqual(self.ada.ask("validate", checkpoint=checkpoint), {"valid": True, "damaged": []})
        print(f"{TRIES} tries: {dict(self.told)}", file=sys.stderr)

    def test_an_export_that_was_changed_is_refused(self) -> None:
        for checkpoint, wanted in self.saved.items():
            whole = bytearray(base64.b64decode(self.ada.ask("export", checkpoint=checkpoint)))
            for number in range(EXPORT_TRIES):
                changed = bytearray(whole)
                at = self.random.choice((self.random.randrange(len(whole)), self.random.randrange(3000)))
                if number % 2:
                    changed[self.random.choice((at, -at - 1))] ^= 1 << self.random.randrange(8)
                else:
                    del changed[self.random.choice((at, len(whole) - 1 - at)) :]
                with self.subTest(number=number), self.assertRaises(Refused) as raised:
                    self.ada.ask("import", bytes=base64.b64encode(changed).decode())
                self.assertIn(raised.exception.code, {*REFUSALS, "too_large"})
            taken = self.ada.ask("import", bytes=base64.b64encode(whole).decode())
            self.assertEqual(restore(self.ada, taken["checkpoint_id"])[0], wanted)
            with self.assertRaises(Refused) as raised:
                self.stranger.ask("import", bytes=base64.b64encode(whole).decode())
            self.assertEqual(raised.exception.code, "foreign_checkpoint")

    def test_what_belongs_to_somebody_else_is_refused(self) -> None:
        for store, checkpoint in ((self.ada, self.of_eve), *((self.eve, each) for each in self.saved)):
            for do in ("open", "validate"):
                with self.assertRaises(Refused) as raised:
                    store.ask(do, checkpoint=checkpoint)
                self.assertEqual(raised.exception.code, "foreign_checkpoint")

    def try_in_a_store_that_knows_nothing(self, deed: str, checkpoint: str) -> None:
        copy = self.folder / "copy"
        for part in ("checkpoints", "keys"):
            shutil.copytree(self.folder / part, copy / part, ignore=shutil.ignore_patterns("writing", "*.aside"))
        store = Store(copy)
        try:
            self.try_to_restore(store, f"{deed} before a start", checkpoint)
        finally:
            store.close()
            shutil.rmtree(copy)

    def try_to_restore(self, store: Store, deed: str, checkpoint: str) -> str:
        """How it went: `right`, `told`, or the code of the refusal. Anything else fails the test."""
        try:
            found, warnings = restore(store, checkpoint)
        except (Refused, SavepointError) as refused:
            self.assertIn(refused.code, REFUSALS, deed)
            self.told[refused.code] += 1
            return refused.code
        self.assertIn(checkpoint, self.saved, "what another key has signed was restored")
        wanted = self.saved[checkpoint]
        lost = lost_in(found)
        for name in found.keys() - lost:
            self.assertEqual(found[name], wanted[name], f"{deed}: {name} is another one")
        if {"one", "two"} <= found.keys() - lost:
            self.assertIs(found["one"], found["two"]["holds"])
        how = "told" if lost or warnings else "right"
        self.told[how] += 1
        if how == "right":
            self.assertEqual(found.keys(), wanted.keys(), f"{deed}: variables are missing, and nobody says so")
        return how

    def require_invalid(self, store: Store, checkpoint: str) -> None:
        try:
            found = store.ask("validate", checkpoint=checkpoint)
        except Refused as refused:
            self.assertIn(refused.code, REFUSALS)
        else:
            self.assertFalse(found["valid"])
            self.assertTrue(found["damaged"])
