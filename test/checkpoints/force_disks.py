"""A disk that is full in the middle of a save: that is said, earlier checkpoints stay whole, and the kernel goes on."""

from __future__ import annotations

import os
import resource
import subprocess
import unittest
from pathlib import Path

from force_support import ForceCase
from support import processes
from support.client import start_kernel, stop_kernel
from support.comms import Refused, checkpoints

MIB = 1 << 20
DISK_MIB = 24


class Disks(ForceCase):
    def kernel_with(self, data: Path) -> None:
        before = os.environ["SAVEPOINT_DATA_DIR"]
        os.environ["SAVEPOINT_DATA_DIR"] = str(data)
        try:
            self.manager, self.client = start_kernel()
        finally:
            os.environ["SAVEPOINT_DATA_DIR"] = before
        self.addCleanup(stop_kernel, self.manager, self.client)
        self.target = checkpoints(self.client)

    def cell(self, code: str) -> None:
        cell = self.client.execute(code)
        self.assertEqual(cell.status, "ok", cell.content.get("evalue"))

    def small_disk(self) -> Path:
        """A folder with room for little. Skips the test where nothing may be mounted."""
        disk = self.folder / "disk"
        disk.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=0700", "none", str(disk)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            raise unittest.SkipTest("nothing may be mounted here")
        self.addCleanup(subprocess.run, ["umount", "-l", str(disk)], check=True)
        return disk

    def check_refused_and_goes_on(self, too_much: int, make_room: str | None = None) -> None:
        """A save of so many bytes fails; what was there before is whole, and what fits is saved again."""
        self.cell("import os\nnumbers = [1, 2, 3]\nkept = bytearray(os.urandom(1 << 20))")
        good = self.target.ask("create", name="good")["checkpoint_id"]
        self.cell(f"numbers.append(4)\nnoise = bytearray(os.urandom({too_much}))")
        for _ in range(2):
            with self.assertRaises(Refused) as raised:
                self.target.ask("create", name="too much")
            self.assertEqual(raised.exception.code, "storage_failed", raised.exception.message)
        items = self.target.ask("list")["items"]
        self.assertEqual([item["checkpoint_id"] for item in items], [good])
        self.assertEqual(self.target.ask("validate", checkpoint=good), {"valid": True, "damaged": []})
        self.cell("assert len(numbers) == 4 and len(noise) > 1 << 20")
        self.assertEqual(self.target.ask("restore", checkpoint=good)["lost"], [])
        self.cell("assert numbers == [1, 2, 3] and len(kept) == 1 << 20 and 'noise' not in globals()")
        self.cell("numbers.append(5)")
        after = self.target.ask("create", name="after")["checkpoint_id"]
        self.assertEqual(self.target.ask("validate", checkpoint=after), {"valid": True, "damaged": []})

    def test_a_full_disk_costs_the_checkpoint_that_does_not_fit(self) -> None:
        disk = self.small_disk()
        self.kernel_with(disk)
        self.check_refused_and_goes_on(2 * DISK_MIB * MIB)
        left = [path for path in (disk / "checkpoints" / "writing").rglob("*") if path.is_file()]
        self.assertEqual([path.name for path in left if path.suffix != ".lock" and path.stat().st_size > MIB], [])

    def test_a_disk_that_is_full_to_the_last_byte_costs_the_checkpoint(self) -> None:
        disk = self.small_disk()
        self.kernel_with(disk)
        self.cell("numbers = [1, 2, 3]")
        good = self.target.ask("create", name="good")["checkpoint_id"]
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as file:
            for size in (MIB, 4096, 1):
                try:
                    while True:
                        file.write(b"x" * size)
                except OSError:
                    continue
        self.cell("numbers.append(4)")
        with self.assertRaises(Refused) as raised:
            self.target.ask("create", name="no room at all")
        self.assertEqual(raised.exception.code, "storage_failed", raised.exception.message)
        # What there is can be had without room for anything.
        self.assertEqual(self.target.ask("restore", checkpoint=good)["lost"], [])
        self.cell("assert numbers == [1, 2, 3]")
        filler.unlink()
        self.target.ask("create", name="room again")
        self.assertEqual(self.target.ask("validate", checkpoint=good), {"valid": True, "damaged": []})

    def test_a_limit_for_the_size_of_files_costs_the_checkpoint_that_is_larger(self) -> None:
        self.kernel_with(self.folder)
        self.cell("pass")
        for process in processes.family(self.manager.provisioner.pid):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (8 * MIB, 8 * MIB))
        self.check_refused_and_goes_on(32 * MIB)
