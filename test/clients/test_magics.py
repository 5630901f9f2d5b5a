"""IPython's magics, shell lines and debugger: what they do here beside what they do in a real ipykernel."""

from __future__ import annotations

import os
import re
from pathlib import Path

from support.case import main
from support.oracle import OracleCase, transcript
from support.subject import scratch

#: Programs whose output tells times.
TIMES = re.compile(r"[\d.e+]+ (ns|μs|us|ms|s)\b")


class Magics(OracleCase):
    folder: Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.folder = scratch("magics")
        (cls.folder / "script.py").write_text("import sys\nprint(__name__, sys.argv)\nvalue = 5\n", encoding="utf-8")
        (cls.folder / "broken.py").write_text("def f():\n    1 / 0\nf()\n", encoding="utf-8")
        for client in (cls.client, cls.oracle):
            client.execute(f"%cd -q {cls.folder}")
            client.execute("import sys; ip = get_ipython(); import warnings; warnings.simplefilter('ignore')")

    def test_time_and_profile(self) -> None:
        self.both_ok(
            "%timeit -n1 -r1 -q pass",
            "t = %timeit -o -q -n1 -r1 pass\ntype(t).__name__",
            "%%timeit -n1 -r1 -q\npass",
            "%%prun -q\nsum(range(3))",
        )
        for code in ("%time 2 + 2", "%%time\n1 + 1"):
            found, expected = (TIMES.sub("T", str(transcript(c.execute(code)))) for c in (self.client, self.oracle))
            self.assertEqual(found, expected)

    def test_capture(self) -> None:
        self.both_ok(
            "%%capture c\nprint(1); display(2); 3",
            "c.stdout, c.stderr, len(c.outputs)",
            "c()",
            "%%capture --no-stderr\nprint('e', file=sys.stderr); 4",
        )

    def test_run(self) -> None:
        self.both_ok("%run script.py a b", "value", "%run -n script.py", "%run -i script.py")
        self.both("%run broken.py", "%run missing.py", "%run -m missing")

    def test_tracebacks(self) -> None:
        self.both("%xmode Plain", "1 / 0", "%xmode Minimal", "1 / 0", "%xmode Context", "%tb", "%run broken.py", "%tb")
        self.both_ok("%colors nocolor", "%colors linux")

    def test_the_namespace(self) -> None:
        self.both_ok(
            "%reset -f",
            "aa = 1; bb = 's'",
            "%who",
            "%whos",
            "%who_ls",
            "%who int",
            "%xdel aa",
            "%reset_selective -f bb",
            "%reset -f in",
            "%reset -f out",
            "import sys; ip = get_ipython(); sorted(name for name in globals() if not name.startswith('_'))",
        )

    def test_what_is_kept(self) -> None:
        self.both_ok(
            "kept = [1, 2]",
            "%store kept",
            "del kept",
            "%store -r kept",
            "kept",
            "%store",
            "%store -z",
            "%alias greet echo hello %s",
            "%greet you",
            "greet you",
            "%unalias greet",
            "%alias_magic t timeit",
            "%bookmark here",
            "%bookmark -l",
        )

    def test_folders(self) -> None:
        self.both_ok(
            "%pwd", "%pushd /", "%popd", "%dirs", "%cd /tmp", "%cd -", "pwd", f"%cd {self.folder}", "%ls script.py"
        )
        self.both("%cd missing")

    def test_history_and_macros(self) -> None:
        for client in (self.client, self.oracle):
            client.execute("%reset -f in")
        self.both_ok("print('m1')", "x1 = 1", "%history -n -l 3", "%hist -o -l 2", "%rerun -l 1")
        self.both_ok("name = 'macro'\n%macro -q again name", "type(again).__name__")

    def test_files(self) -> None:
        (self.folder / "w.txt").write_text("", encoding="utf-8")
        self.both_ok(
            "%%writefile w.txt\nabc",
            "%%writefile -a w.txt\nmore",
            "open('w.txt').read()",
            "%cat w.txt",
            "%load script.py",
            "%pycat script.py",
        )

    def test_logs(self) -> None:
        self.both("%logstate", "%logstart -o log.py over", "42", "%logoff", "%logon", "%logstop", "%logstate")

    def test_settings(self) -> None:
        self.both_ok(
            "%config",
            "%config IPCompleter.greedy",
            "%precision 3",
            "1.23456",
            "%precision",
            "%pprint",
            "list(range(30))",
            "%pprint",
            "%automagic",
            "%automagic",
            "%doctest_mode",
            "%doctest_mode",
            "%pdb on",
            "%pdb off",
            "%env SAVED=1",
            "!echo $SAVED",
            "%set_env OTHER 2",
            "%env OTHER",
            "%page ip",
        )
        self.both("%env MISSING_", "%config Missing.x = 1", "%load_ext missing", "%missing", "%%missing\nx")

    def test_how_cells_await(self) -> None:
        self.both_ok("%autoawait", "%autoawait off")
        self.both("await 1")
        self.both_ok("%autoawait asyncio", "%autoawait", "import asyncio\nawait asyncio.sleep(0, 8)")
        self.both("%autoawait missing", "asyncio.run(asyncio.sleep(0))")

    def test_rich_cells(self) -> None:
        self.both_ok(
            "%%html\n<b>x</b>",
            "%%javascript\n1",
            "%%js\n2",
            "%%latex\n$x$",
            "%%markdown\n*a*",
            "%%svg\n<svg xmlns='http://www.w3.org/2000/svg'/>",
        )

    def test_code_is_loaded_again_when_its_file_changes(self) -> None:
        module = self.folder / "changing.py"
        module.write_text("def f(): return 1\n", encoding="utf-8")
        self.both_ok("%load_ext autoreload", "%autoreload 2", "sys.path.insert(0, '')\nimport changing\nchanging.f()")
        module.write_text("def f(): return 22\n", encoding="utf-8")
        later = module.stat().st_mtime + 5
        os.utime(module, (later, later))
        self.both_ok("changing.f()", "%aimport")

    def test_inspection(self) -> None:
        self.both_ok(
            "def foo(a, b=1):\n    'what it does'\n    return a",
            "foo?",
            "foo??",
            "%pdef foo",
            "%psource foo",
            "%pdoc foo",
            "%pinfo2 foo",
            "%pfile json.dumps",
            "*int*?",
            "%%timeit?",
            "import inspect\ninspect.getsource(foo)",
            "%psearch foo*",
        )

    def test_wrong_syntax(self) -> None:
        for code in ("1 +", "  x\n y", "def f(:\n  pass", "'abc", "print 'x'", "return 5", "yield 1", "a b", "%", "%%"):
            with self.subTest(code):
                self.both(code)

    def test_errors(self) -> None:
        self.both(
            "raise SystemExit(3)",
            "raise KeyboardInterrupt('m')",
            "raise BaseException('b')",
            "class E(Exception):\n    def _render_traceback_(self): return ['own']\nraise E('a')",
            "raise ValueError() from KeyError('k')",
            "e = ValueError('n')\nraise e",
            "assert False, 'as'",
            "class N:\n    def _ipython_display_(self): print('disp')\nN()",
            "import asyncio\nraise asyncio.CancelledError",
            "ip.set_custom_exc((ZeroDivisionError,), lambda shell, kind, *rest, **options: print('own', kind))",
            "1 / 0",
            "ip.set_custom_exc((), None)",
        )


class Shell(OracleCase):
    def test_shell_lines_have_a_terminal(self) -> None:
        self.both_ok(
            "!echo hi; echo $TERM; stty size",
            "!python3 -c 'import sys; print(sys.stdout.isatty(), sys.stdin.isatty())'",
            "lines = !echo a; echo b\nlines, lines.n, lines.s",
            "!!echo l",
            "%sx echo s",
            "word = 'w'\n!echo \"{1 + 1} $word\"",
            "!cat < /dev/null",
            "get_ipython().getoutput('echo 1; echo 2')",
            "get_ipython().system('exit 3')\n_exit_code",
        )
        self.both("!echo in the background &", "!sh -c 'kill -9 $$'")

    def test_script_cells(self) -> None:
        self.both_ok(
            "%%bash\necho out; echo err >&2",
            "%%bash --out o --err e\necho 1; echo 2 >&2",
            "o, e",
            "%%sh\necho sh",
            "%%script cat\nsome text",
            "%%perl\nprint 1",
            "%%!\necho x\necho y",
        )
        self.both("%%bash\nexit 2", "%%script missing-program\nx")

    def test_a_raised_exit_code(self) -> None:
        self.both(
            "get_ipython().system_raise_on_error = True", "!exit 1", "get_ipython().system_raise_on_error = False"
        )

    def test_an_interrupt_ends_the_program(self) -> None:
        cell = self.client.start("!echo started; sleep 600")
        cell.wait_for_output("started")
        self.client.request("interrupt_request", {}, "control")
        cell.wait()
        self.assertEqual(self.client.execute("!pgrep -f '[s]leep 600' -P $PPID; true").status, "ok")
        self.assertEqual(self.client.value("6 * 7"), "42")

    def test_work_in_other_processes_and_threads(self) -> None:
        self.both_ok(
            "from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor\nimport multiprocessing as mp\n"
            "def square(x): return x * x",
            "with ThreadPoolExecutor(2) as pool: r = list(pool.map(square, range(4)))\nr",
            "with ProcessPoolExecutor(2, mp.get_context('fork')) as pool: r = list(pool.map(square, range(4)))\nr",
            "with mp.get_context('fork').Pool(2) as pool: r = pool.map(square, range(3))\nr",
            "with mp.get_context('spawn').Pool(1) as pool: r = pool.map(len, ['ab'])\nr",
        )


class Debugger(OracleCase):
    def debug(self, code: str, *answers: str) -> None:
        """Run a cell that asks for commands, in both kernels."""
        found = []
        for client in (self.oracle, self.client):
            cell = client.start(code)
            for number, answer in enumerate(answers, 1):
                cell.answer(answer, number)
            cell.wait()
            prompts = [m["content"]["prompt"] for m in cell.on("stdin")]
            found.append((prompts, transcript(cell)))
        self.assertEqual(found[1], found[0])
        self.assertEqual(len(found[0][0]), len(answers))

    def test_it_stops_where_it_should(self) -> None:
        self.both("def f(x): return 1 / x", "f(0)")
        self.debug("%debug", "p x", "up", "q")
        self.debug("%debug f(1)", "n", "c")
        self.debug("import pdb\npdb.set_trace()\nz = 3", "p 1 + 1", "c")
        self.both("f(0)")
        self.debug("import sys\npdb.post_mortem(sys.last_value.__traceback__)", "p x", "q")
        self.debug("from IPython.core.debugger import set_trace\nset_trace()\n1", "c")
        self.debug("%pdb on\nf(0)", "p x", "q")
        self.both("%pdb off")
        # In ipykernel debugpy, once it is imported, makes it do nothing.
        cell = self.client.start("breakpoint()\n5")
        cell.answer("p 6 * 7")
        cell.answer("c", 2)
        self.assertEqual(cell.wait().result, "5")
        self.assertIn("42", cell.stdout)


if __name__ == "__main__":
    main()
