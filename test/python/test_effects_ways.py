"""Every way in which Python code changes files: noted, told, and undone byte for byte, with mode and times."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fake_gateway import PACKAGES
from zygote_gateway import PYTHONS

sys.path.insert(0, PACKAGES)

from savepoint_worker.effects.recorder import Recorder  # noqa: E402

WRITTEN, REMOVED = "file_written", "file_removed"
#: name, what it does, what is told of it by target, module that it needs
WAYS: list[tuple[str, Callable[[], object], dict[str, str], str | None]] = []


def way(needs: str | None = None, **told: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Adds a way. `told`: kinds by names of files, with `__` for a dot, and `_in_` behind the name of a folder."""

    def add(function: Callable[[], object]) -> Callable[[], object]:
        targets = {name.replace("_in_", "/").replace("__", "."): kind for name, kind in told.items()}
        WAYS.append((function.__name__, function, targets, needs))
        return function

    return add


# ------------------------------------------------------------------------------------------------------- written to


@way(text__txt=WRITTEN)
def open_to_write() -> None:
    with open("text.txt", "w") as file:
        file.write("other")


@way(text__txt=WRITTEN)
def open_to_append() -> None:
    with open("text.txt", "a") as file:
        file.write("more")


@way(text__txt=WRITTEN)
def open_to_update() -> None:
    with open("text.txt", "r+b") as file:
        file.seek(1)
        file.write(b"X")


@way(new__txt=WRITTEN)
def open_what_is_new() -> None:
    with open("new.txt", "x") as file:
        file.write("new")


@way(new__txt=WRITTEN)
def open_a_path_of_bytes() -> None:
    with open(b"new.txt", "wb") as file:
        file.write(b"new")


@way(text__txt=WRITTEN)
def open_an_absolute_path() -> None:
    with open(os.path.abspath("text.txt"), "w"):
        pass


@way(text__txt=WRITTEN)
def open_a_symbolic_link() -> None:
    with open("link", "w") as file:
        file.write("through the link")


@way(text__txt=WRITTEN)
def open_in_a_roundabout_way() -> None:
    with open("sub/../link", "w") as file:
        file.write("roundabout")


@way(text__txt=WRITTEN)
def open_in_another_working_folder() -> None:
    os.chdir("sub")
    try:
        with open("../text.txt", "w") as file:
            file.write("from below")
    finally:
        os.chdir("..")


@way(text__txt=WRITTEN)
def io_open() -> None:
    import io

    with io.open("text.txt", "w") as file:
        file.write("other")


@way(text__txt=WRITTEN)
def file_io() -> None:
    import io

    with io.FileIO("text.txt", "w") as file:
        file.write(b"other")


@way(text__txt=WRITTEN)
def codecs_open() -> None:
    import codecs

    with codecs.open("text.txt", "w", "utf-16") as file:
        file.write("other")


@way(text__txt=WRITTEN)
def os_open() -> None:
    descriptor = os.open("text.txt", os.O_WRONLY)
    os.write(descriptor, b"other")
    os.close(descriptor)


@way(new__txt=WRITTEN)
def os_open_of_what_is_new() -> None:
    os.close(os.open("new.txt", os.O_RDONLY | os.O_CREAT, 0o600))


@way(sub_in_a__txt=WRITTEN)
def an_opener() -> None:
    with open("sub/a.txt", "w", opener=lambda path, flags: os.open(path, flags)) as file:
        file.write("opened")


@way(text__txt=WRITTEN)
def fdopen() -> None:
    with os.fdopen(os.open("text.txt", os.O_RDWR), "r+") as file:
        file.write("X")


@way(text__txt=WRITTEN)
def os_truncate() -> None:
    os.truncate("text.txt", 2)


@way(text__txt=WRITTEN)
def os_ftruncate() -> None:
    descriptor = os.open("text.txt", os.O_RDWR)
    os.ftruncate(descriptor, 100)
    os.close(descriptor)


@way(text__txt=WRITTEN)
def a_mapping() -> None:
    import mmap

    with open("text.txt", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapping:
        mapping[:1] = b"X"


@way(text__txt=WRITTEN)
def write_text_of_a_path() -> None:
    Path("text.txt").write_text("other")


@way(data__bin=WRITTEN)
def write_bytes_of_a_path() -> None:
    Path("data.bin").write_bytes(b"other")


@way(new__txt=WRITTEN)
def touch_of_a_path() -> None:
    Path("new.txt").touch()


@way(text__txt=WRITTEN)
def file_input_in_place() -> None:
    import fileinput

    with fileinput.input("text.txt", inplace=True) as lines:
        for line in lines:
            print(line.upper(), end="")


@way(log__txt=WRITTEN)
def a_handler_of_logging() -> None:
    import logging

    handler = logging.FileHandler("log.txt")
    handler.emit(logging.LogRecord("x", 20, "x", 1, "logged", None, None))
    handler.close()


@way(shelf=WRITTEN)
def a_shelf() -> None:
    import dbm.dumb
    import pickle

    with dbm.dumb.open("shelf", "c") as database:
        database["a"] = pickle.dumps(1)


@way(new__json=WRITTEN)
def json_dump() -> None:
    import json

    with open("new.json", "w") as file:
        json.dump({"a": 1}, file)


@way(new__gz=WRITTEN)
def gzip_open() -> None:
    import gzip

    with gzip.open("new.gz", "wt") as file:
        file.write("packed")


@way(new__bz2=WRITTEN)
def bz2_open() -> None:
    import bz2

    with bz2.open("new.bz2", "wb") as file:
        file.write(b"packed")


@way(new__xz=WRITTEN)
def lzma_open() -> None:
    import lzma

    with lzma.open("new.xz", "wb") as file:
        file.write(b"packed")


@way(new__zip=WRITTEN)
def a_zip_file() -> None:
    import zipfile

    with zipfile.ZipFile("new.zip", "w") as archive:
        archive.write("text.txt")


@way(new__tar=WRITTEN)
def a_tar_file() -> None:
    import tarfile

    with tarfile.open("new.tar", "w") as archive:
        archive.add("sub")


@way(new__ini=WRITTEN)
def a_configuration() -> None:
    import configparser

    parser = configparser.ConfigParser()
    parser["a"] = {"b": "c"}
    with open("new.ini", "w") as file:
        parser.write(file)


@way(new__csv=WRITTEN)
def csv_writer() -> None:
    import csv

    with open("new.csv", "w", newline="") as file:
        csv.writer(file).writerow([1, 2])


# ------------------------------------------------------------------------------------- made, removed, named, copied


@way(text__txt=REMOVED)
def os_remove() -> None:
    os.remove("text.txt")


@way(text__txt=REMOVED)
def os_unlink() -> None:
    os.unlink("text.txt")


@way(data__bin=REMOVED)
def unlink_of_a_path() -> None:
    Path("data.bin").unlink()


@way(link=REMOVED)
def removing_a_symbolic_link() -> None:
    os.remove("link")


@way(sub_in_a__txt=REMOVED)
def removing_below_an_open_folder() -> None:
    folder = os.open("sub", os.O_RDONLY)
    os.remove("a.txt", dir_fd=folder)
    os.close(folder)


@way(text__txt=WRITTEN)
def removing_and_making_again() -> None:
    os.remove("text.txt")
    Path("text.txt").write_text("again")


@way(text__txt=REMOVED, moved__txt=WRITTEN)
def os_rename() -> None:
    os.rename("text.txt", "moved.txt")


@way(text__txt=REMOVED, data__bin=WRITTEN)
def os_replace() -> None:
    os.replace("text.txt", "data.bin")


@way(text__txt=WRITTEN)
def replacing_by_a_draft() -> None:
    Path("text.txt.draft").write_text("draft")
    os.replace("text.txt.draft", "text.txt")


@way(text__txt=REMOVED, moved__txt=WRITTEN)
def rename_of_a_path() -> None:
    Path("text.txt").rename("moved.txt")


@way(text__txt=WRITTEN, data__bin=WRITTEN)
def changing_places() -> None:
    os.rename("text.txt", "between")
    os.rename("data.bin", "text.txt")
    os.rename("between", "data.bin")


@way(**{"sub/": REMOVED, "moved/": WRITTEN, "moved/a.txt": WRITTEN})
def renaming_a_folder_and_writing_in_it() -> None:
    os.rename("sub", "moved")
    Path("moved/a.txt").write_text("other")
    os.makedirs("sub", exist_ok=True)
    Path("sub/a.txt").write_text("another")
    os.remove("sub/a.txt")
    os.rmdir("sub")


@way(hard=WRITTEN)
def os_link() -> None:
    os.link("text.txt", "hard")


@way(hard=WRITTEN)
def writing_through_a_hard_link() -> None:
    os.link("text.txt", "hard")
    Path("hard").write_text("other")


@way(soft=WRITTEN)
def os_symlink() -> None:
    os.symlink("text.txt", "soft")


@way(**{"made/": WRITTEN})
def os_mkdir() -> None:
    os.mkdir("made")


@way(**{"made/": WRITTEN, "made/deep/": WRITTEN, "made/deep/x": WRITTEN})
def os_makedirs() -> None:
    os.makedirs("made/deep")
    Path("made/deep/x").write_text("x")


@way(**{"made/": WRITTEN})
def mkdir_of_a_path() -> None:
    Path("made").mkdir()


@way(**{"empty/": REMOVED})
def os_rmdir() -> None:
    os.rmdir("empty")


@way(**{"sub/": REMOVED, "sub/a.txt": REMOVED, "sub/b.txt": REMOVED})
def rmtree() -> None:
    shutil.rmtree("sub")


@way(**{"sub/": WRITTEN, "sub/a.txt": WRITTEN, "sub/b.txt": REMOVED})
def rmtree_and_making_again() -> None:
    shutil.rmtree("sub")
    os.mkdir("sub")
    Path("sub/a.txt").write_text("again")


@way(copy__txt=WRITTEN)
def copy() -> None:
    shutil.copy("text.txt", "copy.txt")


@way(data__bin=WRITTEN)
def copy2_onto_another() -> None:
    shutil.copy2("text.txt", "data.bin")


@way(**{"copied/": WRITTEN, "copied/a.txt": WRITTEN, "copied/b.txt": WRITTEN})
def copytree() -> None:
    shutil.copytree("sub", "copied")


@way(**{"text.txt": REMOVED, "sub/text.txt": WRITTEN})
def move_into_a_folder() -> None:
    shutil.move("text.txt", "sub")


@way(archive__zip=WRITTEN)
def make_archive() -> None:
    shutil.make_archive("archive", "zip", "sub")


@way()
def a_temporary_file() -> None:
    with tempfile.NamedTemporaryFile(dir=".") as file:
        file.write(b"for a moment")


@way()
def a_temporary_folder() -> None:
    with tempfile.TemporaryDirectory(dir=".") as folder:
        Path(folder, "x").write_text("for a moment")


@way()
def a_nameless_file() -> None:
    with tempfile.TemporaryFile(dir=".") as file:
        file.write(b"for a moment")


@way(kept__tmp=WRITTEN)
def a_temporary_file_that_is_kept() -> None:
    descriptor, name = tempfile.mkstemp(dir=".")
    os.close(descriptor)
    os.rename(name, "kept.tmp")


# ------------------------------------------------------------------------------------------------ mode, owner, times


@way(text__txt=WRITTEN)
def chmod() -> None:
    os.chmod("text.txt", 0o600)


@way(text__txt=WRITTEN)
def fchmod_and_writing() -> None:
    with open("text.txt", "w") as file:
        os.fchmod(file.fileno(), 0o400)
        file.write("other")


@way(text__txt=WRITTEN)
def utime() -> None:
    os.utime("text.txt", (1, 2))


@way(**{"sub/": WRITTEN})
def mode_of_a_folder() -> None:
    os.chmod("sub", 0o700)


# ---------------------------------------------------------------------------------------------------------- libraries


@way(needs="numpy", array__npy=WRITTEN)
def numpy_save() -> None:
    import numpy

    numpy.save("array.npy", numpy.arange(3))


@way(needs="numpy", array__txt=WRITTEN)
def numpy_savetxt() -> None:
    import numpy

    numpy.savetxt("array.txt", numpy.arange(3))


@way(needs="numpy", arrays__npz=WRITTEN)
def numpy_savez() -> None:
    import numpy

    numpy.savez("arrays.npz", a=numpy.arange(3))


@way(needs="numpy", data__bin=WRITTEN)
def numpy_tofile() -> None:
    import numpy

    numpy.arange(3).tofile("data.bin")


@way(needs="numpy", data__bin=WRITTEN)
def numpy_memmap() -> None:
    import numpy

    mapped = numpy.memmap("data.bin", mode="r+")
    mapped[:2] = 7
    mapped.flush()


@way(needs="pandas", frame__csv=WRITTEN)
def pandas_to_csv() -> None:
    import pandas

    pandas.DataFrame({"a": [1]}).to_csv("frame.csv")


@way(needs="pandas", frame__pkl=WRITTEN)
def pandas_to_pickle() -> None:
    import pandas

    pandas.DataFrame({"a": [1]}).to_pickle("frame.pkl")


@way(needs="joblib", dumped__joblib=WRITTEN)
def joblib_dump() -> None:
    import joblib

    joblib.dump({"a": 1}, "dumped.joblib")


@way(needs="PIL", image__png=WRITTEN)
def an_image() -> None:
    from PIL import Image

    Image.new("L", (2, 2)).save("image.png")


@way(needs="matplotlib", figure__svg=WRITTEN)
def a_figure() -> None:
    from matplotlib.figure import Figure

    Figure().savefig("figure.svg")


# --------------------------------------------------------------------------------------------------------------- test


class EveryWay(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = Path(os.path.realpath(tempfile.mkdtemp(prefix="savepoint-ways-")))
        self.addCleanup(shutil.rmtree, self.folder)
        self.work = self.folder / "work"
        self.work.mkdir()
        os.chdir(self.work)
        self.addCleanup(os.chdir, "/")

    def make_files(self) -> None:
        for path in self.work.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in ("sub", "empty"):
            os.mkdir(name)
        for name, content in (("text.txt", "text\n"), ("data.bin", "data"), ("sub/a.txt", "a"), ("sub/b.txt", "b")):
            Path(name).write_text(content)
            os.chmod(name, 0o640)
            os.utime(name, ns=(10**18, 10**18 + 7))
        os.symlink("text.txt", "link")

    def files(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path in sorted(self.work.rglob("*")):
            status = path.lstat()
            content = os.readlink(path) if path.is_symlink() else path.is_file() and path.read_bytes()
            times = path.is_file() and not path.is_symlink() and status.st_mtime_ns
            found[str(path.relative_to(self.work))] = (content, oct(status.st_mode), status.st_nlink, times)
        return found

    def test_leads_back(self) -> None:
        recorder = Recorder(str(self.folder / "private"), str(self.folder / "private" / "undo"))
        tried = 0
        for number, (name, function, told, needs) in enumerate(WAYS):
            if needs is not None and importlib.util.find_spec(needs) is None:
                continue
            tried += 1
            if needs is not None:
                # What it loads, and what it makes of its settings, is no effect of the call.
                self.make_files()
                function()
            with self.subTest(name):
                self.make_files()
                before = self.files()
                mark = recorder.mark({"recording": number})
                recorder.record()
                with contextlib.suppress(PermissionError):
                    function()
                changed = self.files() != before
                undone = recorder.undo(mark)
                self.assertEqual(self.files(), before)
                self.assertEqual(changed, bool(told))
                expected = {(kind, target, True) for target, kind in told.items()}
                if name == "a_shelf":
                    expected = {(WRITTEN, f"shelf.{suffix}", True) for suffix in ("bak", "dat", "dir")}
                here = [each for each in undone.effects if not each["target"].startswith("/")]
                self.assertEqual({(e["kind"], e["target"], e["restored"]) for e in here}, expected)
                self.assertEqual(undone.limits, [])
                recorder.stop(number)
                self.assertFalse((self.folder / "private" / "undo").exists())
        self.assertGreaterEqual(tried, 40)


class EveryPython(unittest.TestCase):
    def test_knows_them_all(self) -> None:
        for python in PYTHONS[1:]:
            with self.subTest(python):
                command = [python, __file__, "EveryWay"]
                done = subprocess.run(command, capture_output=True, text=True, timeout=120)
                self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    unittest.main()
