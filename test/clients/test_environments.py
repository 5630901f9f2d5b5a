"""Kernels in surroundings that are the user's: folders with files of all names, variables that bend Python, Pythons."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from jupyter_client.manager import KernelManager
from support.case import fresh_kernel, main
from support.client import Client, stop_kernel
from support.subject import CHECKOUT, KERNEL, ours, scratch

#: Names that a beginner gives a file, and names that a kernel imports, early or late.
SHADOWS = (
    *(
        "abc",
        "asyncio",
        "code",
        "email",
        "enum",
        "inspect",
        "json",
        "logging",
        "queue",
        "random",
        "selectors",
        "signal",
    ),
    *("socket", "string", "test", "threading", "token", "tokenize", "types", "warnings"),
    *("IPython", "cloudpickle", "ipykernel", "traitlets", "zmq"),
)


@ours  # ipykernel does not start in such a folder.
class Shadows(unittest.TestCase):
    def test_files_in_the_current_folder_shadow_nothing_that_the_kernel_needs(self) -> None:
        folder = scratch("shadows")
        for name in SHADOWS:
            (folder / f"{name}.py").write_text(f"raise RuntimeError('{name} of the user')\n")
        (folder / "mine.py").write_text("value = 42\n")
        _, client = fresh_kernel(self, cwd=str(folder))
        self.assertEqual(client.value("__import__('mine').value"), "42")
        self.assertEqual(client.value("__import__('random').__name__"), "'random'")
        self.assertEqual(client.execute("%%transaction rollback_always\nx = 1").status, "ok")
        self.assertEqual(client.execute("1 / 0").content["ename"], "ZeroDivisionError")


class Variables(unittest.TestCase):
    def kernel(self, without: tuple[str, ...] = (), **variables: str) -> Client:
        environment = {name: value for name, value in os.environ.items() if name not in without}
        return fresh_kernel(self, env={**environment, **variables})[1]

    def test_a_start_hook_that_prints_and_fails_and_strict_warnings_keep_no_kernel_from_starting(self) -> None:
        folder = scratch("hooks")
        for hook in ("sitecustomize", "usercustomize"):
            noise = "import os\nos.write(1, b'noise')\nprint('noise')\nraise RuntimeError('broken')\n"
            (folder / f"{hook}.py").write_text(noise)
        client = self.kernel(PYTHONPATH=f"{folder}::/nonexistent", PYTHONWARNINGS="error", PYTHONSTARTUP="/nonexistent")
        self.assertEqual(client.execute("print('seen')").stdout, "seen\n")
        self.assertEqual(client.value("__import__('os').environ['PYTHONPATH']"), repr(f"{folder}::/nonexistent"))
        self.assertEqual(client.execute("import warnings; warnings.warn('w')").content["ename"], "UserWarning")

    def test_a_locale_without_unicode_and_no_home_are_no_hindrance(self) -> None:
        client = self.kernel(without=("HOME",), LANG="C", LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
        self.assertEqual(client.execute("print('é ✓')").stdout, "é ✓\n")
        self.assertEqual(client.value("'é ✓'"), "'é ✓'")

    @ours  # ipykernel insists on a folder for its history and its connection file.
    def test_a_home_in_which_nothing_can_be_made_costs_the_history_alone(self) -> None:
        for home in ("/proc/nobody", "/dev/null"):
            folders = {"SAVEPOINT_DATA_DIR": f"{home}/data", "IPYTHONDIR": f"{home}/ipython", "XDG_CACHE_HOME": home}
            client = self.kernel(HOME=home, MPLCONFIGDIR=f"{home}/mpl", **folders)
            self.assertEqual(client.execute("%%transaction rollback_always\nprint(6 * 7)").stdout.split()[0], "42")

    def test_options_of_python_are_passed_on(self) -> None:
        client = self.kernel(PYTHONSAFEPATH="1", PYTHONOPTIMIZE="1", PYTHONDONTWRITEBYTECODE="1", PYTHONUNBUFFERED="1")
        flags = "(lambda f: (f.optimize, f.dont_write_bytecode))(__import__('sys').flags)"
        self.assertEqual(client.value(flags), "(1, 1)")


@ours
class Silence(unittest.TestCase):
    def test_a_kernel_with_a_python_that_is_new_to_it_and_lacks_nothing_writes_nothing_to_its_terminal(self) -> None:
        bending = ("SAVEPOINT_NODE", "SAVEPOINT_TEST", "SAVEPOINT_LOG")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(bending)}
        environment["PYTHONPATH"] = str(scratch("new"))
        manager = KernelManager(kernel_name=KERNEL)
        with tempfile.TemporaryFile() as said:
            manager.start_kernel(stdout=said, stderr=said, env=environment)
            client = Client(manager.client())
            self.addCleanup(stop_kernel, manager, client)
            client.kc.wait_for_ready(timeout=60)
            self.assertEqual(client.value("6 * 7"), "42")
            said.seek(0)
            self.assertEqual(said.read(), b"")


@ours
class Refusals(unittest.TestCase):
    """What cannot run a kernel is told apart, with what to do, before anything is started."""

    def refusal(self, python: str | Path, **variables: str) -> str:
        with tempfile.TemporaryDirectory() as data:
            environment = {**os.environ, "SAVEPOINT_DATA_DIR": data, **variables}
            argv = [os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js"), "kernel"]
            argv += ["-f", f"{data}/connection.json", "--python", str(python)]
            done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60, env=environment)
        self.assertNotEqual(done.returncode, 0)
        self.assertNotIn("    at ", done.stderr)
        return done.stderr.strip().splitlines()[-1]

    def test_what_is_no_python_or_not_there(self) -> None:
        self.assertIn("does not run as a Python", self.refusal("/bin/true"))
        self.assertIn("There is no program", self.refusal("/nonexistent/python"))
        self.assertIn("There is no program", self.refusal("/etc"))

    def test_a_python_that_finds_no_library_is_told_by_its_own_words(self) -> None:
        self.assertIn("Fatal Python error", self.refusal(sys.executable, PYTHONHOME="/nonexistent"))

    def test_an_old_python_and_another_implementation(self) -> None:
        folder = scratch("pythons")
        for name, version, implementation in (("old", [3, 9, 18], "cpython"), ("other", [3, 11, 9], "pypy")):
            fake = folder / name
            answer = (
                f'{{"version":{version},"implementation":"{implementation}","prefix":"/","search_path":[],'
                '"venv":false,"pip":false,"packages":{}}'
            )
            fake.write_text(f"#!/bin/sh\necho '{answer}'\n")
            fake.chmod(0o755)
        self.assertIn("is Python 3.9.18, and a kernel needs Python 3.10", self.refusal(folder / "old"))
        self.assertIn("is pypy, and a kernel needs CPython", self.refusal(folder / "other"))

    def test_a_kernel_that_cannot_start_leaves_no_python_that_loads(self) -> None:
        folder = scratch("refused")
        # It loads for as long as it is let: the launcher's error output is open until it has ended.
        python = folder / "python"
        python.write_text("#!/bin/sh\nexec sleep 600\n")
        python.chmod(0o755)
        connection = folder / "connection.json"
        connection.write_text("{")
        launcher = CHECKOUT / "src" / "main" / "start-kernel.sh"
        node, program = os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js")
        argv = ["/bin/sh", str(launcher), str(python), "-", node, program, "kernel", "-f", str(connection)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 1)
        self.assertIn("is no JSON", done.stderr)


@ours
@unittest.skipUnless(os.environ.get("RUN_SLOW"), "fetches what a kernel needs for every Python")
class Bare(unittest.TestCase):
    """Pythons with nothing in them."""

    def test_a_kernel_needs_nothing_there_writes_nothing_there_and_no_network_later(self) -> None:
        for tested in os.environ.get("SAVEPOINT_TEST_PYTHONS", sys.executable).split(os.pathsep):
            base = subprocess.check_output([tested, "-c", "import sys; print(sys._base_executable)"], text=True).strip()
            with self.subTest(base):
                folder = scratch("bare")
                subprocess.run([base, "-m", "venv", "--without-pip", folder / "venv"], check=True, timeout=120)
                before = contents(folder / "venv")
                python = folder / "venv" / "bin" / "python"
                environment = {**os.environ, "SAVEPOINT_DATA_DIR": str(folder / "data")}
                # uv, which is fast, is beside the Python of the tests.
                environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
                argv = [os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js"), "install"]
                argv += ["--prefix", str(folder), "--python", str(python)]
                subprocess.run(argv, check=True, capture_output=True, timeout=300, env=environment)
                dead = dict.fromkeys(("http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy"), "http://127.0.0.1:9")
                spec = folder / "share" / "jupyter" / "kernels" / "savepoint" / "kernel.json"
                started = json.loads(spec.read_text("utf-8"))["argv"]
                _, client = fresh_kernel(self, argv=started, env={**environment, **dead})
                self.assertEqual(client.value("__import__('sys').prefix"), repr(str(folder / "venv")))
                self.assertEqual(client.execute("%%transaction rollback_always\nx = 1").status, "ok")
                self.assertEqual(client.execute("%checkpoint kept").status, "ok")
                self.assertEqual(contents(folder / "venv"), before)


def contents(folder: Path) -> dict[str, tuple[int, str]]:
    """Of every file below: when it was changed, and a digest of what is in it."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in files
    }


if __name__ == "__main__":
    main()
