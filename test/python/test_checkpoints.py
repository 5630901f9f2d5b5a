"""Checkpoints: what is in the file, what comes back, and what bad objects and damaged files cost."""

from __future__ import annotations

import os
import pickle
import socket
import time
import types
import unittest
from pathlib import Path
from typing import Any

from checkpoint_case import CheckpointCase, checkpoint_files

from savepoint import LostVariableError
from savepoint.lost import is_lost
from savepoint_worker import checkpoints, writer
from savepoint_worker.link import Link
from savepoint_worker.serialize import process, rebuild, sources
from savepoint_worker.serialize.namespace import user_variables
from savepoint_worker.serialize.progress import Progress
from savepoint_worker.serialize.saving import save
from savepoint_worker.serialize.verdict import Unloadable

#: C's pickler takes a twenty-fifth of what a Python one does; this is in between, with room for a busy machine.
SLOWNESS_MAX = 8


class Variables(CheckpointCase):
    def test_the_engines_names_are_not_the_users(self) -> None:
        namespace: dict[str, Any] = dict.fromkeys(
            "_ __ ___ _i _ii _iii _1 _i12 _ih _oh _dh In Out _exit_code _exception __name__ __builtins__".split()
            + ["exit", "open", "x", "_x", "_private", "__secret"]
        )
        given = {"exit": namespace["exit"], "open": namespace["open"]}
        self.assertEqual(list(user_variables(namespace, given)), ["x", "_x", "_private", "__secret"])
        namespace["open"] = 5
        self.assertEqual(list(user_variables(namespace, given, ("_*",))), ["open", "x"])

    def test_aliases_stay_aliases(self) -> None:
        self.save("a = [[1], {}]\nb = a[0]\nc = {'deep': {'er': a[1]}}\nd = (a,)\nt = [[{}]]\nu = t[0][0]")
        self.restore("assert b is a[0] and c['deep']['er'] is a[1] and d[0] is a and u is t[0][0]")

    def test_what_shares_nothing_that_matters_is_kept_apart(self) -> None:
        self.save(
            "s = 'text'\na = [s, int, 5]\nb = {s: (1, 2)}\nimport decimal\nd = [decimal.Decimal(1)]\ne = d + []"
        )
        self.assertEqual([line for line in self.lines() if len(line["objects"]) > 1], [])

    def test_instances_and_their_class_belong_together(self) -> None:
        self.save("class C: pass\na, b = C(), C()\na.other = b\nclass D(C): pass")
        self.restore("assert type(a) is C is type(b) and a.other is b and issubclass(D, C)")

    def test_each_restore_makes_classes_of_its_own(self) -> None:
        self.save("class C:\n    k = 1\nc = C()")
        again = "import sys\nimport checkpoint_files\nold, old.k = C, 2\n"
        again += f"checkpoint_files.restore({str(self.path)!r}, globals(), 'merge', None)\n"
        self.restore(again + "assert old.k == 2 and C.k == 1 and C is not old and type(c) is C")

    def test_functions_have_their_source(self) -> None:
        self.save("def f(a):\n    # why\n    return 1 / a")
        self.restore("import inspect\nassert '# why' in inspect.getsource(f)")

    def test_functions_of_another_python_are_compiled_anew(self) -> None:
        text = (
            "from __future__ import annotations\ndef outer(k):\n    def f(a, *, b=2): return a + b + k\n    return f\n"
        )
        sources.provide({"/tmp/elsewhere.py": text})
        made = rebuild.code(b"else", b"", ("/tmp/elsewhere.py", 3, "f", ("k",), 0x1000000))
        self.assertEqual(types.FunctionType(made, {}, "f", None, (types.CellType(5),))(1, b=1), 7)
        for place in (("/tmp/elsewhere.py", 2, "f", (), 0), ("/tmp/nowhere.py", 3, "f", (), 0)):
            with self.assertRaises(Unloadable):
                rebuild.code(b"else", b"", place)

    def test_what_is_excluded_is_not_there(self) -> None:
        self.save("secret_key = 1\npublic = 2", exclude=["secret_*"])
        self.restore("assert 'secret_key' not in globals() and public == 2")

    def test_two_hundred_thousand_dicts_go_at_the_speed_of_c(self) -> None:
        namespace = {"data": [{"id": i, "name": f"n{i}", "value": i * 0.5} for i in range(200_000)]}
        plain, ours = [], []
        # In turns, and the least of each: what else the machine does hits one or the other.
        for _ in range(3):
            began = time.perf_counter()
            pickle.dumps(namespace["data"], protocol=5)
            plain.append(time.perf_counter() - began)
            began = time.perf_counter()
            saved = save(namespace, namespace, Progress(), {})
            ours.append(time.perf_counter() - began)
            self.assertEqual(saved.lost, [])
        self.assertLess(min(ours), min(plain) * SLOWNESS_MAX)


class BadObjects(CheckpointCase):
    def test_an_object_is_named_with_its_place(self) -> None:
        manifest = self.save("class C: pass\ng = (n for n in 'ab'); next(g)\nc = C(); c.data = {'conn': [1, g]}\ngood = [1]")
        self.assertIn("in data['conn'][1] (generator): ", self.lost(manifest)["c"])
        self.restore("assert good == [1]")

    def test_what_is_refused_itself_is_not_searched(self) -> None:
        manifest = self.save("import asyncio\nloop = asyncio.new_event_loop(); loop.call_soon(print)\nholder = {'loop': loop}")
        reason = "an event loop that has something to do cannot be saved"
        self.assertEqual(self.lost(manifest)["loop"], reason)
        self.assertRegex(self.lost(manifest)["holder"], rf"^in \['loop'\] \(asyncio\.\S+\): {reason}$")

    def test_whatever_reduce_raises_costs_only_its_variable(self) -> None:
        raising = "RuntimeError('no')", "SystemExit(3)", "KeyboardInterrupt()", "RecursionError()", "MemoryError()"
        cells = [
            f"class C{n}:\n    def __reduce__(self): raise {error}\nx{n} = [C{n}()]" for n, error in enumerate(raising)
        ]
        manifest = self.save(*cells, "good = [1]")
        self.assertEqual(list(self.lost(manifest)), [f"x{n}" for n in range(len(raising))])
        self.assertIn("RuntimeError: no", self.lost(manifest)["x0"])
        self.restore("assert good == [1] and C0")

    def test_one_that_ends_the_process_costs_only_its_variable(self) -> None:
        ends = (
            "import os; os._exit(0)",
            "import os; os._exit(5)",
            "import os; os.kill(os.getpid(), 9)",
            "import ctypes; ctypes.string_at(0)",
        )
        cells = [f"class C{n}:\n    def __reduce__(self): {end}\nx{n} = [C{n}()]" for n, end in enumerate(ends)]
        manifest = self.save("before = [1]", *cells, "after = [2]")
        lost = self.lost(manifest)
        self.assertEqual(list(lost), ["x0", "x1", "x2", "x3"])
        for text, name in (("exit code 0", "x0"), ("exit code 5", "x1"), ("SIGKILL", "x2"), ("SIGSEGV", "x3")):
            self.assertIn(text, lost[name])
        self.restore("assert before == [1] and after == [2]")

    def test_one_that_hangs_costs_only_its_variable(self) -> None:
        cell = "class C:\n    def __reduce__(self):\n        while True: pass\nx = [C()]"
        manifest = self.save("before = [1]", cell, "after = [2]", stall_timeout_s=3)
        self.assertIn("no progress for 3 s", self.lost(manifest)["x"])
        self.restore("assert before == [1] and after == [2] and C")

    def test_one_that_finds_itself_by_its_name_is_lost(self) -> None:
        manifest = self.save("class C:\n    def __reduce__(self): return 'x'\nx = C()")
        self.assertIn("__main__", self.lost(manifest)["x"])

    def test_what_cannot_be_loaded_costs_only_what_contains_it(self) -> None:
        (self.folder / "absent_soon.py").write_text("class Thing: pass\n")
        self.save(
            "import sys; sys.path.append(FOLDER)\nimport absent_soon\nshared = ['shared']\nkept = {'shared': shared}\n"
            "gone = [shared, absent_soon.Thing()]\nuses = {'gone': gone[1]}\nlater = ['text', shared]\napart = [1]"
        )
        (self.folder / "absent_soon.py").unlink()
        report = self.restore("assert kept['shared'] is shared is later[1] and apart == [1]")
        self.assertEqual(list(self.lost(report)), ["absent_soon", "gone", "uses"])
        self.assertIn("absent_soon", self.lost(report)["gone"])

    def test_a_class_that_fails_to_load_costs_only_its_objects(self) -> None:
        self.save("class C:\n    def __setstate__(self, state): raise SystemExit('stop')\nx = C(); x.a = 1\ngood = [1]")
        report = self.restore("assert good == [1] and C")
        self.assertEqual(self.lost(report), {"x": "SystemExit: stop"})

    def test_a_file_with_unwritten_text_is_lost_and_not_harmed(self) -> None:
        manifest = self.save("f = open(FOLDER + '/f.txt', 'w'); f.write('once')")
        self.assertIn("not written yet", self.lost(manifest)["f"])
        self.assertEqual((self.folder / "f.txt").read_text(), "once")


class Restoring(CheckpointCase):
    def restore_here(self, namespace: dict[str, Any], mode: str, names: list[str] | None = None) -> Any:
        return checkpoint_files.restore(self.path, namespace, mode, names)

    def test_clear_removes_the_users_other_variables(self) -> None:
        self.save("a = 1\nb = [2]")
        namespace: dict[str, Any] = {"a": 5, "newcomer": 1, "_ih": ["kept"], "__name__": "kept"}
        report = self.restore_here(namespace, "clear")
        self.assertEqual(namespace, {"_ih": ["kept"], "__name__": "kept", "FOLDER": str(self.folder), "a": 1, "b": [2]})
        self.assertEqual((report.restored, report.lost), (3, []))

    def test_merge_keeps_them_and_names_choose(self) -> None:
        self.save("a, b = 1, 1")
        namespace: dict[str, Any] = {"a": 2, "b": 2, "c": 2}
        report = self.restore_here(namespace, "merge", ["a", "unheard_of"])
        self.assertEqual(namespace, {"a": 1, "b": 2, "c": 2})
        self.assertEqual((report.restored, report.warnings), (1, ["The checkpoint has no variable 'unheard_of'."]))

    def test_a_lost_variable_raises_whatever_is_done_with_it(self) -> None:
        self.save("x = (n for n in (1, 2)); next(x)")
        namespace: dict[str, Any] = {}
        self.restore_here(namespace, "merge", ["x"])
        x = namespace["x"]
        self.assertTrue(is_lost(x))
        deeds = (
            repr, str, bool, len, iter, next, hash, dir, list, int, bytes, pickle.dumps,
            lambda x: x == 1, lambda x: x != 1, lambda x: x.a, lambda x: x(), lambda x: x[0], lambda x: x + 1,
            lambda x: 1 + x, lambda x: -x, lambda x: 1 in x, lambda x: f"{x}", lambda x: setattr(x, "a", 1),
            lambda x: x.__class__, lambda x: isinstance(x, int),
            lambda x: x < 1, lambda x: x.__enter__(), lambda x: [*x], lambda x: {**x}, lambda x: operator_or(x),
        )  # fmt: skip
        for number, deed in enumerate(deeds):
            with self.subTest(number), self.assertRaises(LostVariableError) as raised:
                deed(x)
            self.assertEqual((raised.exception.code, raised.exception.details["name"]), ("lost_variable", "x"))
        self.assertIsInstance(raised.exception, NameError)

    def test_a_lost_variable_is_lost_in_the_next_checkpoint_too(self) -> None:
        self.save("x = (n for n in (1, 2)); next(x)")
        first = self.path
        self.path = self.folder / "second.savepoint"
        cell = (
            f"import checkpoint_files\ncheckpoint_files.restore({str(first)!r}, globals(), 'merge', None)"
        )
        manifest = self.save(cell)
        self.assertIn("generator", self.lost(manifest)["x"])
        self.assertEqual(self.lost(self.restore())["x"], self.lost(manifest)["x"])

    def test_the_state_of_the_process_comes_back(self) -> None:
        self.save(
            "import os, sys, random\nos.chdir(FOLDER); os.environ['MINE'] = '1'\nsys.path.append('/tmp/mine')\n"
            "random.seed(5); expected = random.Random(5).random()"
        )
        self.restore(
            "import os, sys, random\nassert os.getcwd() == os.path.realpath(FOLDER) and os.environ['MINE'] == '1'\n"
            "assert '/tmp/mine' in sys.path and random.random() == expected"
        )

    def test_settings_come_back(self) -> None:
        self.save(
            "import decimal, logging, sys, warnings\ndecimal.getcontext().prec = 7; sys.setrecursionlimit(4321)\n"
            "logging.getLogger('mine').setLevel(10); warnings.filterwarnings('error', 'mine')"
        )
        self.restore(
            "import decimal, logging, sys, warnings\nassert decimal.getcontext().prec == 7\n"
            "assert sys.getrecursionlimit() == 4321 and logging.getLogger('mine').level == 10\n"
            "try: warnings.warn('mine')\nexcept UserWarning: pass\nelse: assert False"
        )

    def test_secrets_of_the_environment_are_named_and_not_written(self) -> None:
        names = ("MY_TOKEN", "db_password", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "SAVEPOINT_ANY")
        self.save(f"import os\nfor name in {names}: os.environ[name] = 'precious' + 'ness'\nos.environ['KEYBOARD'] = 'de'")
        written = b"".join(path.read_bytes() for path in self.folder.iterdir())
        self.assertNotIn(b"preciousness", written)
        report = self.restore("import os\nassert os.environ['KEYBOARD'] == 'de' and 'MY_TOKEN' not in os.environ")
        (warning,) = report["warnings"]
        for name in names[:-1]:
            self.assertIn(name, warning)

    def test_attributes_that_cells_assigned_to_modules_come_back(self) -> None:
        cells = (
            "import json, string, collections, pathlib as p\nfrom fractions import Fraction\nshared = ['shared']",
            "def show(self): return f'<{self.numerator}>', shared\nFraction.show = show\nstring.mine = shared",
            "def patch():\n    p.PurePath.hello = 5\npatch(); setattr(json, 'loud', lambda text: text.upper())",
            "p.unknown, string.digits = 1, '01'\nstring.hexdigits = '0x'; collections.UserDict == 5",
        )
        self.save(*cells, history=list(enumerate(cells, 1)))
        marked = [name for name, entry in self.objects().items() if entry.get("attribute")]
        expected = ["fractions:Fraction.show", "json:loud", "pathlib:PurePath.hello", "string:hexdigits", "string:mine"]
        self.assertEqual(sorted(marked), expected)
        self.restore(
            "assert Fraction(1, 2).show() == ('<1>', shared) and string.mine is shared and string.hexdigits == '0x'\n"
            "assert json.loud('a') == 'A' and p.PurePath.hello == 5"
        )

    def test_a_folder_that_is_gone_is_a_warning(self) -> None:
        self.save("import os\nos.mkdir(FOLDER + '/gone'); os.chdir(FOLDER + '/gone')\na = 1")
        (self.folder / "gone").rmdir()
        self.assertIn("working folder", self.restore("assert a == 1")["warnings"][0])

    def test_a_file_that_is_gone_is_a_lost_variable(self) -> None:
        self.save("f = open(FOLDER + '/f.txt', 'w+')")
        (self.folder / "f.txt").unlink()
        report = self.restore()
        self.assertIn("is not there", self.lost(report)["f"])
        self.assertFalse((self.folder / "f.txt").exists())

    def test_a_restore_can_be_saved_again(self) -> None:
        self.save("data = {'a': [1]}\nalias = data['a']\nclass C:\n    def f(self): return alias\nc = C()")
        for _ in range(3):
            previous = self.path
            self.path = self.folder / f"{previous.name}.next"
            self.save(
                "import checkpoint_files as k\n"
                f"k.restore({str(previous)!r}, globals(), 'merge', None)\ndel k"
            )
        self.restore("assert c.f() is alias is data['a'] and type(c) is C")


class Telling(unittest.TestCase):
    def test_it_says_how_far_it_is_and_ends_when_nobody_listens(self) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            gateways, writers = socket.socketpair()
            self.addCleanup(gateways.close)
            pid = os.fork()
            if pid == 0:
                gateways.close()
                os._exit(_write_for_ever(folder, Link(writers)))
            writers.close()
            link = Link(gateways)
            event = link.receive(30).envelope
            link.close()
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 17)
        self.assertEqual((event["kind"], event["checkpoint"], event["variable"]), ("writing", "cp_1", "stuck"))
        self.assertEqual((event["total_bytes"], event["done_bytes"]), (None, 0))


class Stuck:
    def __reduce__(self) -> Any:
        time.sleep(1000)


def _write_for_ever(folder: str, link: Link) -> int:
    """17 if the writer was told to end, and left no process behind."""
    extras = checkpoints.Extras(process.baseline({}), process.before_fork(), [], 1)
    job = writer.Job({"ready": 1, "stuck": Stuck()}, checkpoint_files.target(Path(folder, "c")), (), extras)
    job.checkpoint = "cp_1"
    try:
        writer.write_watched(job, link)
    except writer.WriteFailed:
        try:
            os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return 17
    return 1


class CutOff(unittest.TestCase):
    def test_a_writer_can_neither_write_nor_move_what_was_open(self) -> None:
        import tempfile

        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "file")
            with open(path, "wb+") as file:
                file.write(b"abc")
                file.flush()
                file.seek(1)
                pid = os.fork()
                if pid == 0:
                    writer.cut_off()
                    try:
                        os.write(file.fileno(), b"harm")
                    except OSError:
                        os._exit(10 if os.read(file.fileno(), 2) == b"bc" else 1)
                    os._exit(2)
                self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), 10)
                self.assertEqual((path.read_bytes(), os.lseek(file.fileno(), 0, os.SEEK_CUR)), (b"abc", 1))

    def test_the_environment_of_the_start_is_what_changes_are_told_from(self) -> None:
        found = process.baseline({"ADDED": "1", "PATH": None})
        self.assertEqual((found.environ["ADDED"], "PATH" in found.environ), ("1", False))


def operator_or(x: Any) -> Any:
    return x | {}


if __name__ == "__main__":
    unittest.main()
