"""Which module lies in which file: what `inspect` is told is what it would find out."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
import tempfile
import types
import unittest
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "src" / "python"
sys.path.insert(0, str(SOURCES))

from savepoint_worker.cells.module_files import note_cells, note_module_files  # noqa: E402

SAY = """
import inspect, json, sys
import asyncio, ctypes, decimal, email.message, IPython, ipykernel.ipkernel, xml.dom.minidom
import linked
if sys.argv[1] == "ours":
    sys.path.insert(0, sys.argv[2])
    before = set(sys.modules)
    from savepoint_worker.cells.module_files import note_module_files
    for name in set(sys.modules) - before:
        del sys.modules[name]
    note_module_files()
else:
    inspect.getmodule(compile("", "<nowhere>", "exec"))
ours = {name: file for name, file in inspect._filesbymodname.items() if name != "__main__"}
print(json.dumps([ours, inspect.modulesbyfile]))
"""


class ModuleFiles(unittest.TestCase):
    def test_inspect_knows_what_it_would_have_found_out_also_behind_links(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            real = Path(folder, "real")
            real.mkdir()
            (real / "linked.py").write_text("")
            os.symlink(real, Path(folder, "link"))
            environment = {**os.environ, "PYTHONPATH": str(Path(folder, "link"))}
            said = [
                json.loads(
                    subprocess.run(
                        [sys.executable, "-c", SAY, who, str(SOURCES)],
                        capture_output=True,
                        text=True,
                        check=True,
                        env=environment,
                        timeout=60,
                    ).stdout
                )
                for who in ("ours", "theirs")
            ]
        (names, files), (all_names, all_files) = said
        self.assertGreater(len(names), 300)
        self.assertEqual(names, {name: all_names[name] for name in names})
        left_out = {name for name in all_names if name not in names}
        self.assertLess(len(left_out), 10, left_out)
        self.assertEqual(files, {file: all_files[file] for file in files})
        self.assertTrue(any(file.endswith("link/linked.py") for file in files))
        self.assertTrue(any(file.endswith("real/linked.py") for file in files))

    def test_a_module_that_loads_itself_is_not_looked_at_and_anything_else_is_passed_by(self) -> None:
        class Lazy(types.ModuleType):
            def __getattribute__(self, name: str) -> object:
                raise AssertionError(f"{name} was asked for")

        strange = {"lazy": Lazy("lazy"), "number": 5, "nowhere": types.ModuleType("nowhere")}
        strange["nowhere"].__dict__.update(__file__=7, __name__=None)
        sys.modules.update(strange)  # type: ignore[arg-type]
        try:
            note_module_files()
        finally:
            for name in strange:
                del sys.modules[name]

    def test_modules_that_come_later_are_noted_as_well(self) -> None:
        note_module_files()
        with tempfile.TemporaryDirectory() as folder:
            module = types.ModuleType("came_later")
            module.__file__ = os.path.join(os.path.realpath(folder), "came_later.py")
            sys.modules["came_later"] = module
            try:
                note_module_files()
                self.assertEqual(inspect.modulesbyfile[module.__file__], "came_later")  # type: ignore[attr-defined]
            finally:
                del sys.modules["came_later"]

    def test_for_a_cell_no_module_is_looked_at(self) -> None:
        class Watched(types.ModuleType):
            def __getattribute__(self, name: str) -> object:
                raise AssertionError(f"{name} was asked for")

        cells = {"/nowhere/a.py": 1, "<ipython-input-2>": 2}
        note_cells(cells)
        note_cells(cells | {"/nowhere/b.py": 3})
        note_cells(None)
        sys.modules["watched"] = Watched("watched")
        try:
            for name in ("/nowhere/a.py", "/nowhere/b.py"):
                self.assertIsNone(inspect.getmodule(compile("", name, "exec")))
            with self.assertRaises(AssertionError):
                inspect.getmodule(compile("", "/nowhere/c.py", "exec"))
        finally:
            del sys.modules["watched"]


if __name__ == "__main__":
    unittest.main()
