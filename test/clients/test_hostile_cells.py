"""Cells that are hard on a kernel: each has exactly one reply, and the kernel is there or said to be gone."""

from __future__ import annotations

import signal
import unittest

from jupyter_client.manager import KernelManager
from support import processes
from support.case import KernelCase, fresh_kernel, main
from support.client import Cell, Client
from support.subject import ours

OK, ANY = "ok", "ok or error"

# What a cell does, and how it ends. The kernel goes on after each of them.
SURVIVED = {
    "a repr that raises": ("class A:\n    def __repr__(self): raise ValueError('no')\nA()", "ValueError"),
    "a repr that exits": ("class A:\n    def __repr__(self): raise SystemExit(3)\nA()", "SystemExit"),
    "sys.exit": ("import sys; sys.exit(3)", "SystemExit"),
    "an error derived from BaseException": ("class Own(BaseException): pass\nraise Own", "Own"),
    "GeneratorExit": ("raise GeneratorExit", "GeneratorExit"),
    "CancelledError": ("import asyncio; raise asyncio.CancelledError", "CancelledError"),
    "StopIteration": ("raise StopIteration(5)", "StopIteration"),
    "StopAsyncIteration in an await": (
        "import asyncio\nawait asyncio.sleep(0)\nraise StopAsyncIteration",
        "StopAsyncIteration",
    ),
    "endless recursion": ("def f(): return f()\nf()", "RecursionError"),
    "no memory": ("bytearray(1 << 60)", "MemoryError"),
    "a builtin that is gone": (
        "import builtins\nkept = builtins.print, builtins.open, builtins.sorted\n"
        "del builtins.print, builtins.open, builtins.sorted\nprint('x')",
        "NameError",
    ),
    "a builtin put back": ("builtins.print, builtins.open, builtins.sorted = kept", OK),
    "modules that are gone": (
        "import sys\nkept = {n: sys.modules[n] for n in ('json', 'os', 'IPython', 'asyncio', 'traceback')}\n"
        "for n in kept: sys.modules[n] = None\n1 / 0",
        "ZeroDivisionError",
    ),
    "modules put back": ("import sys\nsys.modules.update(kept)", OK),
    "a deleted folder": ("import os, tempfile\nos.chdir(tempfile.mkdtemp()); os.rmdir(os.getcwd())", OK),
    "an error in a deleted folder": ("1 / 0", "ZeroDivisionError"),
    "a folder again": ("os.chdir('/')", OK),
    "a long result": ("'x' * 20_000_000", OK),
    "a result of many parts": ("list(range(10**6))", OK),
    "a generator as result": ("(n for n in range(3))", OK),
    "an endless generator as result": ("import itertools; itertools.count()", OK),
    "a coroutine as result": ("async def c(): pass\nc()", OK),
    "a result that is its own part": ("own = []; own.append(own); own", OK),
    "a source that is no Python": ("\0", "SyntaxError"),
    "a very deep source": ("-" * 50_000 + "1", ANY),
    "a surrogate": ("'\\ud800'", ANY),
    "an exception without text": ("class E(Exception):\n    def __str__(self): raise KeyError\nraise E", "E"),
    "an exception that is its own cause": ("e = ValueError('self'); e.__cause__ = e\nraise e", "ValueError"),
    "a trace function left behind": ("import sys\nsys.settrace(lambda *a: None)", OK),
    "a trace function removed": ("import sys; sys.settrace(None)", OK),
    "a display hook replaced": ("import sys\nhook, sys.displayhook = sys.displayhook, None\n5", ANY),
    "a display hook put back": ("sys.displayhook = hook", OK),
    "an excepthook replaced": ("import sys; sys.excepthook = None; 1 / 0", "ZeroDivisionError"),
    "signals ignored": ("import signal\nfor n in (2, 15): signal.signal(n, signal.SIG_IGN)", OK),
    "a child that leaves the cell": ("import os\npid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)[1]", OK),
    "a child that goes on": ("import os\npid = os.fork()\nif pid == 0: 1 / 0\nos.waitpid(pid, 0)[1] >> 8", OK),
    "the shell's history cleared": ("get_ipython().history_manager.reset()", OK),
}


class HostileCells(KernelCase):
    @ours
    def test_EX_11_every_cell_has_exactly_one_reply(self) -> None:
        for name, (code, end) in SURVIVED.items():
            with self.subTest(name):
                cell = self.client.execute(code)
                if end != ANY:
                    self.assertEqual(cell.content.get("ename", OK), end, cell.content.get("evalue"))
                self.assertEqual(self.client.execute("6 * 7").result, "42")
                self.assertEqual((len(cell.replies), cell.states), (1, ["busy", "idle"]))
                self.client.messages.clear()

    def test_EX_11_a_repr_that_does_not_end_is_interrupted(self) -> None:
        cell = self.client.start(
            "class Endless:\n    def __repr__(self):\n        print('in', flush=True)\n        while True: pass\nEndless()"
        )
        cell.wait_for_output("in")
        self.client.ask("interrupt_request", channel="control")
        self.assertIn(cell.wait().status, ("error", "ok"))
        self.assertEqual(len(cell.replies), 1)
        self.assertEqual(self.run_ok("6 * 7").result, "42")

    def test_what_is_sent_by_hand_comes_once_and_harms_nobody(self) -> None:
        cell = self.run_ok(
            "k = get_ipython().kernel\n"
            "def send(kind, **content): k.session.send(k.iopub_socket, kind, content, k.get_parent())\n"
            "send('stream', name='stdout', text='once\\n')\n"
            "send('stream', name='third', text='x')\n"
            "send('comm_open', comm_id=5, target_name=None, data={})\n"
            "send('comm_close', comm_id=5, data={})"
        )
        self.assertEqual(cell.stdout, "once\n")
        self.assertEqual(self.run_ok("6 * 7").result, "42")


@ours
class Ends(unittest.TestCase):
    """What ends the worker: the cell is answered, and the kernel ends rather than hangs."""

    def cell(self, code: str) -> tuple[KernelManager, Client, Cell]:
        manager, client = fresh_kernel(self)
        return manager, client, client.execute(code)

    def test_MG_11_exit_quit_and_ask_exit_end_the_kernel_with_a_reply(self) -> None:
        for code in ("exit", "quit()", "get_ipython().ask_exit()"):
            with self.subTest(code):
                manager, _, cell = self.cell(code)
                self.assertEqual((cell.status, len(cell.replies)), ("ok", 1))
                family = processes.family(manager.provisioner.pid)
                self.assertEqual(processes.wait_until_gone(family), [])

    def test_PR_1_what_nothing_can_run_without_does_not_hang_the_kernel_when_it_is_gone(self) -> None:
        for code in (
            "import os\nfor fd in range(21):\n    try: os.close(fd)\n    except OSError: pass",
            "import os\nos.closerange(3, 200)\nprint('after')",
            "import builtins\ndel builtins.len, builtins.repr, builtins.isinstance",
            "import os\nn = os.open('/dev/null', os.O_RDWR)\nfor fd in range(60):\n    if fd != n: os.dup2(n, fd)",
        ):
            with self.subTest(code):
                manager, _, cell = self.cell(code)
                self.assertEqual(len(cell.replies), 1)
                if cell.status == "error":
                    self.assertEqual(cell.content["ename"], "WorkerDied")
                    family = processes.family(manager.provisioner.pid)
                    self.assertEqual(processes.wait_until_gone(family), [])

    def test_PR_2_a_worker_that_says_what_is_no_message_is_ended_and_the_cell_is_told(self) -> None:
        link = "link = get_ipython().kernel.session.link\n"
        for code in (
            "link.send({'kind': 'nonsense'})\nwhile True: pass",
            "link.send({'kind': 'reply', 'seq': 'x', 'status': 'ok'}, b'{}', b'{}')\nwhile True: pass",
            "import os\nos.write(link.fileno(), b'garbage that is no frame at all')\nwhile True: pass",
            "import os\nos.close(link.fileno())\nwhile True: pass",
        ):
            with self.subTest(code):
                manager, _, cell = self.cell(link + code)
                self.assertEqual((cell.content["ename"], len(cell.replies)), ("WorkerDied", 1))
                self.assertIn("its connection with the kernel", cell.content["evalue"])
                self.assertEqual(manager.provisioner.process.wait(timeout=60), 128 + signal.SIGKILL)

    def test_PR_1_twenty_megabytes_are_displayed(self) -> None:
        _, client = fresh_kernel(self)
        cell = client.execute(
            "from IPython.display import display\ndisplay({'text/plain': 'x' * 20_000_000}, raw=True)"
        )
        self.assertEqual(len(cell.on("iopub", "display_data")[0]["content"]["data"]["text/plain"]), 20_000_000)
        self.assertEqual(cell.status, "ok")


if __name__ == "__main__":
    main()
