"""Whatever is done to files: undoing it leads back to what was there. A failure names its seed."""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import unittest
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from fake_gateway import PACKAGES

sys.path.insert(0, PACKAGES)

from savepoint_worker.effects import hook  # noqa: E402
from savepoint_worker.effects.ledger import Mark  # noqa: E402
from savepoint_worker.effects.recorder import Recorder  # noqa: E402

ROUNDS = 1_000 if os.environ.get("RUN_SLOW") else 25
STEPS = 40
NAMES = ("a", "b", "c", "d")


class World:
    """A folder in which things happen."""

    def __init__(self, root: Path, chance: random.Random) -> None:
        self.root = root
        self.chance = chance
        self.trace: list[str] = []
        self.held: list[Any] = []

    def path(self) -> str:
        """Some path, one to three deep, which may or may not be there."""
        return "/".join(self.chance.choices(NAMES, k=self.chance.choice((1, 1, 1, 2, 2, 3))))

    def happen(self) -> None:
        """Something happens, or fails."""
        ways: list[Callable[[], None]] = [
            *[self.write] * 4,
            self.append,
            self.update,
            *[self.remove] * 2,
            *[self.rename] * 3,
            *[self.make_folder] * 2,
            self.remove_folder,
            self.remove_tree,
            self.symlink,
            self.chmod,
            self.utime,
            self.truncate,
            self.copy,
            self.copy_tree,
            self.draft,
            self.hold,
            self.write_held,
        ]
        way = self.chance.choice(ways)
        self.trace.append(way.__name__)
        with suppress(OSError, shutil.Error):
            way()

    def _named(self, *paths: str) -> tuple[str, ...]:
        self.trace[-1] += f" {' '.join(paths)}"
        return paths

    def write(self) -> None:
        (path,) = self._named(self.path())
        with open(path, "w") as file:
            file.write(str(self.chance.random()))

    def append(self) -> None:
        (path,) = self._named(self.path())
        with open(path, "a") as file:
            file.write("more")

    def update(self) -> None:
        (path,) = self._named(self.path())
        with open(path, "r+") as file:
            file.write("X")

    def remove(self) -> None:
        (path,) = self._named(self.path())
        os.remove(path)

    def rename(self) -> None:
        old, new = self._named(self.path(), self.path())
        os.rename(old, new)

    def make_folder(self) -> None:
        (path,) = self._named(self.path())
        os.makedirs(path)

    def remove_folder(self) -> None:
        (path,) = self._named(self.path())
        os.rmdir(path)

    def remove_tree(self) -> None:
        (path,) = self._named(self.path())
        shutil.rmtree(path)

    def symlink(self) -> None:
        old, new = self._named(self.path(), self.path())
        os.symlink(self.root / old, new)

    def chmod(self) -> None:
        (path,) = self._named(self.path())
        os.chmod(path, self.chance.choice((0o600, 0o644, 0o750)))

    def utime(self) -> None:
        (path,) = self._named(self.path())
        os.utime(path, (1, self.chance.randrange(10**9)))

    def truncate(self) -> None:
        (path,) = self._named(self.path())
        os.truncate(path, self.chance.randrange(30))

    def copy(self) -> None:
        old, new = self._named(self.path(), self.path())
        shutil.copy2(old, new)

    def copy_tree(self) -> None:
        old, new = self._named(self.path(), self.path())
        shutil.copytree(old, new, symlinks=True)

    def draft(self) -> None:
        (path,) = self._named(self.path())
        Path(f"{path}.draft").write_text("draft")
        os.replace(f"{path}.draft", path)

    def hold(self) -> None:
        (path,) = self._named(self.path())
        self.held.append(open(path, self.chance.choice(("a", "r+"))))

    def write_held(self) -> None:
        if self.held:
            file = self.chance.choice(self.held)
            file.write("held")
            file.flush()

    def seen(self) -> dict[str, Any]:
        """All that there is."""
        found: dict[str, Any] = {}
        for path in sorted(self.root.rglob("*")):
            status = path.lstat()
            if path.is_symlink():
                found[str(path)] = os.readlink(path)
            elif path.is_dir():
                found[str(path)] = oct(status.st_mode)
            else:
                found[str(path)] = (path.read_bytes(), oct(status.st_mode), status.st_mtime_ns)
        return found

    def close(self) -> None:
        for file in self.held:
            file.close()


class AnyOrder(unittest.TestCase):
    def test_leads_back(self) -> None:
        for _ in range(ROUNDS):
            seed = random.randrange(10**9)
            with self.subTest(seed=seed):
                self.live(seed)

    def live(self, seed: int) -> None:
        folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="savepoint-random-")))
        root = folder / "work"
        root.mkdir()
        os.chdir(root)
        chance = random.Random(seed)
        world = World(root, chance)
        recorder = Recorder(str(folder / "private"), str(folder / "private" / "undo"))
        try:
            for _ in range(15):
                world.happen()
            marks: list[tuple[Mark, dict[str, Any]]] = []
            for _ in range(STEPS):
                if not marks or chance.random() < 0.1:
                    mark = recorder.mark({"recording": 1})
                    recorder.record()
                    assert mark is not None
                    marks.append((mark, world.seen()))
                    world.trace.append(f"mark {len(marks)}")
                elif chance.random() < 0.1:
                    to = chance.randrange(len(marks))
                    del marks[to + 1 :]
                    world.trace.append(f"undo to {to + 1}")
                    self.check(recorder, world, *marks[to])
                    # A savepoint is taken again when one went back to it.
                    recorder.mark({"recording": 1})
                    recorder.record()
                else:
                    world.happen()
            self.check(recorder, world, *marks[0])
        finally:
            hook.stop()
            world.close()
            os.chdir("/")
            shutil.rmtree(folder)

    def check(self, recorder: Recorder, world: World, mark: Mark, before: dict[str, Any]) -> None:
        undone = recorder.undo(mark)
        self.assertEqual(world.seen(), before, "\n".join([*world.trace, *undone.limits]))
        self.assertEqual(undone.limits, [], "\n".join(world.trace))


if __name__ == "__main__":
    unittest.main()
