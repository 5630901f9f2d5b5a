"""Output: complete, in order, at once, and with the cell that it belongs to, whoever writes it."""

from __future__ import annotations

from support.case import KernelCase, main
from support.client import Cell
from support.subject import IS_ORACLE, ours


class Streams(KernelCase):
    def has(self, cell: Cell, text: str, name: str = "stdout") -> None:
        """The stream holds the text when the cell is done. (ipykernel may send what C code wrote a little later.)"""
        if IS_ORACLE:
            self.client.wait_until(lambda: text in cell.stream(name), 5, f"{text!r} on {name}")
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
        cell.wait_for_output("early", timeout=5)
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


if __name__ == "__main__":
    main()
