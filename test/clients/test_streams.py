"""Output: complete, in order, at once, and with the cell that it belongs to, whoever writes it."""

from __future__ import annotations

import os
import subprocess
import unittest
from typing import Any

from support.case import KernelCase, fresh_kernel, main
from support.client import PATIENCE_S, Cell
from support.subject import CHECKOUT, IS_ORACLE, ours, scratch


class Streams(KernelCase):
    def has(self, cell: Cell, text: str, name: str = "stdout") -> None:
        """The stream holds the text when the cell is done. (ipykernel may send what C code wrote a little later.)"""
        if IS_ORACLE:
            self.client.wait_until(lambda: text in cell.stream(name), PATIENCE_S, f"{text!r} on {name}")
        self.assertIn(text, cell.stream(name))

    def test_both_streams_are_told_apart(self) -> None:
        cell = self.run_ok("import sys\nprint('out')\nprint('err', file=sys.stderr)")
        self.assertEqual((cell.stdout, cell.stderr), ("out\n", "err\n"))

    def test_text_without_a_newline_is_sent_too(self) -> None:
        self.assertEqual(self.run_ok("print('no newline', end='')").stdout, "no newline")

    def test_text_and_rich_output_keep_their_order(self) -> None:
        cell = self.run_ok("from IPython.display import display\nprint('a')\ndisplay('b')\nprint('c')\n'd'")
        kinds = [m["msg_type"] for m in cell.outputs]
        self.assertEqual(kinds, ["stream", "display_data", "stream", "execute_result"])

    def test_output_is_seen_while_the_cell_runs(self) -> None:
        cell = self.client.start("print('early')\ninput('wait ')")
        cell.wait_for_output("early")
        self.assertFalse(cell.is_done)
        cell.answer("")
        cell.wait()

    def test_output_without_flush_is_seen_while_the_cell_sleeps(self) -> None:
        cell = self.client.start("import time\nprint('early', end='')\ntime.sleep(30)")
        cell.wait_for_output("early", timeout=20)
        self.assertFalse(cell.is_done)
        self.client.request("interrupt_request", {}, channel="control")
        cell.wait()

    def test_three_megabytes_come_whole_and_in_order(self) -> None:
        cell = self.run_ok("for n in range(30000): print(f'{n:0100d}')", timeout=60)
        self.assertEqual(cell.stdout, "".join(f"{n:0100d}\n" for n in range(30000)))

    def test_one_print_of_eight_megabytes_comes_whole(self) -> None:
        cell = self.run_ok("print('x' * 8_000_000)", timeout=60)
        self.assertTrue(cell.stdout == "x" * 8_000_000 + "\n")

    def test_control_characters_and_wide_characters_survive(self) -> None:
        self.assertEqual(
            self.run_ok(r"print('10%\r20% \x1b[1m \0 \U0001F600', end='')").stdout, "10%\r20% \x1b[1m \0 \U0001f600"
        )

    @ours  # ipykernel raises in its output thread, and the text is lost.
    def test_a_lone_surrogate_costs_no_text(self) -> None:
        cell = self.run_ok(r"print('before \udce9 after')")
        self.assertTrue(cell.stdout.startswith("before ") and cell.stdout.endswith(" after\n"), ascii(cell.stdout))

    def test_c_level_output_is_output_of_the_cell(self) -> None:
        self.has(self.run_ok("import os\nos.write(1, b'from fd 1\\n')"), "from fd 1\n")
        self.has(self.run_ok("import os\nos.write(2, b'from fd 2\\n')"), "from fd 2\n", "stderr")

    def test_a_megabyte_of_c_level_output_comes_whole(self) -> None:
        cell = self.run_ok("import os\nfor n in range(20000): os.write(1, b'%063d\\n' % n)", timeout=60)
        self.has(cell, f"{19999:063d}\n")
        self.assertEqual(cell.stdout, "".join(f"{n:063d}\n" for n in range(20000)))

    def test_child_processes_write_into_the_cell(self) -> None:
        for code in (
            "import subprocess\nsubprocess.run(['echo', 'from a child'])",
            "import os\nos.system('echo from a child')",
            "!echo from a child",
            "%%bash\necho from a child",
            "import multiprocessing\n"
            "forking = multiprocessing.get_context('fork')\n"
            "p = forking.Process(target=print, args=('from a child',), kwargs={'flush': True})\n"
            "p.start()\n"
            "p.join()",
        ):
            with self.subTest(code.splitlines()[-1]):
                self.has(self.run_ok(code), "from a child")

    def test_the_exit_code_of_a_shell_line_is_kept(self) -> None:
        self.run_ok("!exit 3")
        self.assertEqual(self.run_ok("_exit_code").result, "3")

    def test_threads_write_whole_lines_into_the_cell(self) -> None:
        code = (
            "import sys, threading\n"
            "def count(name):\n    for n in range(500): sys.stdout.write(f'{name}{n}\\n')\n"
            "threads = [threading.Thread(target=count, args=(name,)) for name in 'abcd']\n"
            "[t.start() for t in threads]\n[t.join() for t in threads]\nNone"
        )
        lines = self.run_ok(code).stdout.splitlines()
        self.assertEqual(sorted(lines), sorted(f"{name}{n}" for name in "abcd" for n in range(500)))
        for name in "abcd":
            self.assertEqual([line for line in lines if line[0] == name], [f"{name}{n}" for n in range(500)])

    def test_a_replaced_stdout_is_put_back_by_its_user(self) -> None:
        self.run_ok("import io, sys\nkept, sys.stdout = sys.stdout, io.StringIO()\nprint('hidden')")
        self.run_ok("hidden, sys.stdout = sys.stdout.getvalue(), kept")
        self.assertEqual(self.run_ok("print(hidden.upper(), end='')").stdout, "HIDDEN\n")

    def test_closing_file_descriptor_1_costs_no_cell(self) -> None:
        code = "import os\nspare = os.dup(1)\nos.close(1)\nprint('still here')\nos.dup2(spare, 1)\nos.close(spare)"
        self.assertIn("still here", self.run_ok(code).stdout)

    def test_a_progress_bar_moves_on_stderr(self) -> None:
        cell = self.run_ok("from tqdm import tqdm\nfor _ in tqdm(range(3), desc='bar'): pass")
        self.assertIn("3/3", cell.stderr)

    def test_redirecting_into_dev_stderr_works_in_a_child(self) -> None:
        self.has(self.run_ok("import os\nos.system('echo aside > /dev/stderr')"), "aside", "stderr")

    def test_eight_threads_write_a_thousand_lines_each_and_tear_none(self) -> None:
        code = (
            "import threading\n"
            "def count(name):\n    for n in range(1000): print(f'{name} {n} ' + name * 40 + '\\n', end='')\n"
            "threads = [threading.Thread(target=count, args=(name,)) for name in 'abcdefgh']\n"
            "[t.start() for t in threads]\n[t.join() for t in threads]\nNone"
        )
        lines = self.run_ok(code, timeout=60).stdout.splitlines()
        for name in "abcdefgh":
            expected = [f"{name} {n} {name * 40}" for n in range(1000)]
            self.assertEqual([line for line in lines if line.startswith(name)], expected)
        self.assertEqual(len(lines), 8000)

    @ours  # ipykernel sends each stream by itself, so their order is lost.
    def test_both_streams_keep_the_order_in_which_they_were_written(self) -> None:
        cell = self.run_ok("import sys\nfor n in range(300): print(n, file=(sys.stdout, sys.stderr)[n % 2])")
        texts = "".join(m["content"]["text"] for m in cell.on("iopub", "stream"))
        self.assertEqual(texts, "".join(f"{n}\n" for n in range(300)))

    @ours  # ipykernel takes longer than a test may, and the limits of ZeroMQ apply to it.
    def test_fifty_megabytes_come_whole_and_in_order(self) -> None:
        cell = self.run_ok("for n in range(50_000): print(f'{n:01000d}')", timeout=60)
        self.assertTrue(cell.stdout == "".join(f"{n:01000d}\n" for n in range(50_000)))

    def test_a_flush_is_seen_at_once(self) -> None:
        cell = self.client.start("import threading\nprint('10 %', end='', flush=True)\ninput()")
        cell.wait_for_output("10 %")
        cell.answer("")
        cell.wait()

    def test_streams_behave_as_those_of_ipykernel(self) -> None:
        for code, expected in (
            ("sys.stdout.encoding, sys.stdout.errors, sys.stdout.isatty()", "('UTF-8', None, False)"),
            ("sys.stdout.writable(), sys.stdout.readable(), sys.stdout.seekable()", "(True, False, False)"),
            ("hasattr(sys.stdout, 'buffer'), sys.stdout.fileno() > 0", "(False, True)"),
        ):
            self.assertEqual(self.run_ok(f"import sys\n{code}").result, expected)
        for code, error in (
            ("sys.stdout.write(b'bytes')", "TypeError"),
            ("sys.stdout.write(None)", "TypeError"),
            ("sys.stdout.buffer.write(b'x')", "AttributeError"),
            ("sys.stdout.read()", "UnsupportedOperation"),
            ("sys.stdout.seek(0)", "UnsupportedOperation"),
            ("sys.stdout.detach()", "UnsupportedOperation"),
        ):
            with self.subTest(code):
                self.run_error(code, error)
        code = "class Text(str):\n    def __str__(self): return 'another'\nsys.stdout.write(Text('the text\\n'))"
        self.assertEqual(self.run_ok(code).stdout, "the text\n")

    def test_redirected_captured_and_shared_streams_work(self) -> None:
        cell = self.run_ok(
            "import contextlib, io, sys\n"
            "with contextlib.redirect_stdout(io.StringIO()) as kept: print('hidden')\n"
            "with contextlib.redirect_stderr(sys.stdout): print('aside', file=sys.stderr)\n"
            "print(repr(kept.getvalue()))"
        )
        self.assertEqual((cell.stdout, cell.stderr), ("aside\n'hidden\\n'\n", ""))
        cell = self.run_ok("%%capture kept\nprint('hidden')")
        self.assertEqual((cell.stdout, self.run_ok("kept.stdout").result), ("", r"'hidden\n'"))

    def test_a_handler_of_an_earlier_cell_logs_into_the_cell_at_work(self) -> None:
        self.run_ok(
            "import logging\nlogger = logging.getLogger('streams')\nlogger.propagate = False\n"
            "logger.addHandler(logging.StreamHandler())"
        )
        self.assertEqual(self.run_ok("logger.warning('careful')").stderr, "careful\n")

    def test_finalizers_print_into_the_cell(self) -> None:
        code = "class Ends:\n    def __del__(self): print('bye')\nends = Ends()\ndel ends"
        self.assertEqual(self.run_ok(code).stdout, "bye\n")

    def test_what_a_forked_process_prints_is_output_of_the_cell(self) -> None:
        for line in ("print('from a fork', flush=True)", "print('from a fork')", "os.write(1, b'from a fork\\n')"):
            with self.subTest(line):
                self.has(
                    self.run_ok(
                        "import os\nprint('before', end='')\npid = os.fork()\n"
                        f"if pid == 0:\n    {line}\n    os._exit(0)\nos.waitpid(pid, 0)[1]"
                    ),
                    "from a fork\n",
                )

    def test_what_processes_of_each_start_method_print_is_output_of_the_cell(self) -> None:
        folder = scratch("printing")
        (folder / "printing_module.py").write_text("def say(text): print(text, flush=True)\n")
        self.run_ok(f"import multiprocessing, sys\nsys.path.insert(0, {str(folder)!r})\nimport printing_module")
        for method in ("fork", "spawn"):
            with self.subTest(method):
                code = (
                    f"context = multiprocessing.get_context({method!r})\n"
                    f"p = context.Process(target=printing_module.say, args=({method!r},))\n"
                    "p.start()\np.join()\np.exitcode"
                )
                self.has(self.run_ok(code, timeout=60), f"{method}\n")

    @ours  # ipykernel replaces both halves.
    def test_a_character_that_is_written_in_two_halves_comes_whole(self) -> None:
        code = "import os, time\nos.write(1, b'\\xc3')\ntime.sleep(0.05)\nos.write(1, b'\\xa9\\n')"
        self.has(self.run_ok(code), "\u00e9\n")


@ours
class StreamMode(KernelCase):
    def run_buffered(self, code: str, **options: Any) -> Cell:
        return self.run_ok(code, metadata={"savepoint": {"stream_mode": "buffered"}}, **options)

    def test_a_buffered_cell_sends_one_message_a_stream_when_it_ends(self) -> None:
        cell = self.run_buffered(
            "import os, sys, time\nfrom IPython.display import display\nfor n in range(5):\n"
            "    print(n, flush=True)\n    print(-n, file=sys.stderr)\n    time.sleep(0.02)\n"
            "display('shown')\nos.system('echo child')\n7"
        )
        kinds = [(m["msg_type"], m["content"].get("name")) for m in cell.outputs]
        expected = [("display_data", None), ("execute_result", None), ("stream", "stdout"), ("stream", "stderr")]
        self.assertEqual(kinds, expected)
        self.assertEqual((cell.stdout, cell.stderr), ("0\n1\n2\n3\n4\nchild\n", "0\n-1\n-2\n-3\n-4\n"))

    def test_more_than_the_limit_is_sent_early_and_the_reply_says_so(self) -> None:
        cell = self.run_buffered("for n in range(20_000): print(f'{n:01000d}')", timeout=60)
        self.assertTrue(cell.stdout == "".join(f"{n:01000d}\n" for n in range(20_000)))
        self.assertEqual(len(cell.ours["warnings"]), 1)
        self.assertIn("16777216", cell.ours["warnings"][0])

    def test_a_wrong_mode_keeps_the_cell_from_running(self) -> None:
        cell = self.client.execute("ran = True", metadata={"savepoint": {"stream_mode": "loud"}})
        self.assert_refused(cell, "bad_request")
        self.assertEqual(self.client.value("'ran' in globals()"), "False")


class Attribution(KernelCase):
    """Which cell output belongs to, by the rules of ipykernel 7.4."""

    THREAD = (
        "import threading\nfrom IPython.display import display\n"
        "may_go, is_done = threading.Event(), threading.Event()\n"
        "parent = get_ipython().get_parent()\n"
        "def report():\n    {begin}\n"
        "    for word in ('first', 'second', 'third'):\n"
        "        may_go.wait(60); may_go.clear()\n        print(word, flush=True); display(word)\n"
        "        is_done.set()\n"
        "thread = threading.Thread(target=report)\nthread.start()\n"
    )
    STEP = "may_go.set()\nis_done.wait(60); is_done.clear()\nNone"

    def words(self, begin: str) -> tuple[str, str, str]:
        """What each of three cells was given of a thread that prints during each of them."""
        codes = (self.THREAD.format(begin=begin) + self.STEP, self.STEP, self.STEP)
        cells = [self.run_ok(code) for code in codes]
        self.run_ok("thread.join()")
        self.client.wait_until(lambda: sum(len(c.stdout.split()) for c in cells) == 3, PATIENCE_S, "three words")
        for cell in cells:
            shown = [m["content"]["data"]["text/plain"].strip("'") for m in cell.on("iopub", "display_data")]
            self.assertEqual(shown, cell.stdout.split())
        return cells[0].stdout, cells[1].stdout, cells[2].stdout

    def test_a_thread_prints_into_the_cell_at_work(self) -> None:
        self.assertEqual(self.words("pass"), ("first\n", "second\n", "third\n"))

    def test_a_thread_with_a_parent_of_its_own_prints_there(self) -> None:
        begin = "get_ipython().set_thread_parent(parent)"
        self.assertEqual(self.words(begin), ("first\nsecond\nthird\n", "", ""))

    def test_a_thread_that_sets_the_parent_prints_there(self) -> None:
        self.assertEqual(self.words("get_ipython().set_parent(parent)"), ("first\nsecond\nthird\n", "", ""))

    def test_a_task_prints_into_the_cell_that_created_it(self) -> None:
        cell = self.run_ok(
            "import asyncio\nasync def count():\n    for n in range(3):\n        print(n, end='', flush=True)\n"
            "        await asyncio.sleep(0.02)\ntask = asyncio.ensure_future(count())\nNone"
        )
        following = self.run_ok("await task")
        self.client.wait_until(lambda: cell.stdout == "012", PATIENCE_S, "the task's output")
        self.assertEqual(following.stdout, "")

    def test_a_thread_prints_into_the_latest_cell_when_none_is_at_work(self) -> None:
        cell = self.run_ok("import threading\nthreading.Timer(0.1, print, ('between cells',)).start()\nNone")
        self.client.wait_until(lambda: cell.stdout == "between cells\n", PATIENCE_S, "the thread's output")


@ours  # ipykernel's sockets are closed by then.
class LastWords(unittest.TestCase):
    def test_exit_handlers_print_into_the_latest_cell(self) -> None:
        _, client = fresh_kernel(self)
        cell = client.execute("import atexit\natexit.register(print, 'good bye')\nNone")
        client.request("shutdown_request", {"restart": False}, channel="control")
        client.wait_until(lambda: cell.stdout == "good bye\n", PATIENCE_S, "last words")


@ours
class Settings(unittest.TestCase):
    def test_a_wrong_setting_keeps_the_kernel_from_starting(self) -> None:
        environment = {**os.environ, "SAVEPOINT_OUTPUT_MERGE_MS": "soon"}
        command = [os.environ.get("SAVEPOINT_NODE", "node"), str(CHECKOUT / "dist" / "main.js"), "kernel", "-f", "none"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, 2)
        self.assertIn('SAVEPOINT_OUTPUT_MERGE_MS is "soon"', done.stderr)


if __name__ == "__main__":
    main()
