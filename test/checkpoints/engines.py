"""What keeps a namespace in a folder, and brings it back in another process: this project's checkpoints, and its peers.

A peer gets the best that it can do: all variables in one piece, so that what they share stays shared, but for those that
it cannot take; and modules by their names.
"""

from __future__ import annotations

import importlib
import os
import pickle
import sys
import types
from pathlib import Path
from typing import Any

from savepoint_worker import checkpoints, writer
from savepoint_worker.copies import openmp
from savepoint_worker.serialize import index, manifest, process, surroundings

STALL_TIMEOUT_S = 20.0


class Savepoint:
    """Written by a process of its own, as in a kernel."""

    def save(self, namespace: dict[str, Any], folder: Path, own: set[str]) -> dict[str, tuple[str, str]]:
        """Verdict and reason, by variable."""
        baseline = process.Baseline(dict(os.environ), list(sys.path), process.settings())
        extras = checkpoints.Extras(baseline, process.before_fork(), [(1, "text")], 7)
        target = checkpoints.Target(str(folder / "manifest"), str(folder / "chunks.pack"), None)
        job = writer.Job(namespace, target, tuple(own), extras)
        openmp.pause()
        surroundings.note_threads()
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            try:
                writer.cut_off(frozenset((writing, 2)))
                with open(writing, "w") as pipe:
                    writer.write_watched(job, None, STALL_TIMEOUT_S)
                    pipe.write("done")
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading) as pipe:
            if pipe.read() != "done":
                raise RuntimeError("the checkpoint was not written")
        os.waitpid(pid, 0)
        stored = self._stored(folder)
        try:
            lines, _ = index.read_lines(stored._parts["variables"], stored._packs)
        finally:
            stored.close()
        entries = [entry for line in lines for entry in line["objects"]]
        return {each["name"]: (each["verdict"], each["reason"] or "") for each in entries}

    def restore(self, namespace: dict[str, Any], folder: Path) -> dict[str, str]:
        """Names and reasons of what is lost."""
        report = checkpoints.restore_stored(self._stored(folder), namespace, "merge", None)
        return {each["name"]: each["reason"] for each in report.lost}

    def _stored(self, folder: Path) -> checkpoints.Version2:
        return checkpoints.Version2(manifest.read(str(folder / "manifest")), _packs(folder), b"")


def _packs(folder: Path) -> list[str]:
    return [str(path) for path in folder.glob("*.pack")]


class Peer:
    """A library with `dumps` and `loads`."""

    def __init__(self, name: str) -> None:
        self._library = importlib.import_module(name)

    def save(self, namespace: dict[str, Any], folder: Path, own: set[str]) -> dict[str, tuple[str, str]]:
        values = {name: value for name, value in namespace.items() if name not in own and name != "__builtins__"}
        modules = {name: value.__name__ for name, value in values.items() if type(value) is types.ModuleType}
        modules = {name: module for name, module in modules.items() if sys.modules.get(module) is values[name]}
        values = {name: value for name, value in values.items() if name not in modules}
        told = {name: ("equal", "") for name in (*values, *modules)}
        try:
            whole = self._library.dumps(values)
        except BaseException:
            for name, value in list(values.items()):
                try:
                    self._library.dumps(value)
                except BaseException as error:
                    told[name] = ("lost", f"{type(error).__name__}: {error}"[:300])
                    del values[name]
            whole = self._library.dumps(values)
        lost = {name: reason for name, (verdict, reason) in told.items() if verdict == "lost"}
        (folder / "kept").write_bytes(pickle.dumps((whole, modules, lost)))
        return told

    def restore(self, namespace: dict[str, Any], folder: Path) -> dict[str, str]:
        whole, modules, lost = pickle.loads((folder / "kept").read_bytes())
        namespace.update({name: importlib.import_module(module) for name, module in modules.items()})
        namespace.update(self._library.loads(whole))
        return lost


def load_helper(path: Path) -> Any:
    """A module of the tests', without their folder being on the path of the user's modules."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(f"checkpoint_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def engine(name: str) -> Savepoint | Peer:
    return Savepoint() if name == "savepoint" else Peer(name)
