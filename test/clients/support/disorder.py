"""A long, mixed day of a kernel, drawn from a seed: what is done, and what each cell must answer.

The day keeps a model of the one number that all cells share (`n`, counted up by most of them), so that a state that was
lost, brought back wrongly or run twice is seen at the next cell. Nothing here measures time; the only deadline is that
of a hang.
"""

from __future__ import annotations

import functools
import os
import random
import signal
import uuid
from typing import Any

from . import deeds
from .client import Cell, Client, Message
from .comms import Target
from .deeds import COUNT, HANG_S, Wrong, check

ECHO = """
import comm
def _echo(c, opening):
    c.on_msg(lambda m: c.send({"echo": m["content"]["data"]["x"]}, buffers=m["buffers"]))
comm.get_comm_manager().register_target("echo", _echo)
"""
#: With how often each is done, in proportion to the others.
MORE = [
    (deeds.debugs, 1),
    (deeds.subshells, 3),
    (deeds.variables, 3),
    (deeds.awaits_input, 3),
    (deeds.buffered, 3),
    (deeds.checkpoint, 3),
    (deeds.deadline, 2),
]


class Day:
    """One kernel's day. `live` it; then `audit` what was recorded."""

    def __init__(self, seed: int, client: Client, other: Client, manager: Any) -> None:
        self.random = random.Random(seed)
        self.client, self.other, self.manager = client, other, manager
        self.n = 0
        self.last_count = 0
        self.course: list[str] = []
        self.cells: list[Cell] = []
        self.transactions = Target(client, "savepoint.transaction")
        #: The model's `n` at each open transaction's begin, outermost first.
        self.begun: list[int] = []
        self.echo_known = False
        self.deeds = [
            (self.prints, 10),
            (self.writes_from_below, 4),
            (self.threads, 3),
            (self.result, 6),
            (self.displays, 4),
            (self.asks, 5),
            (self.interrupted_question, 2),
            (self.interrupted_cell, 4),
            (self.fails, 5),
            (self.awaits, 5),
            (self.comms, 3),
            (self.policy, 6),
            (self.block, 3),
            (self.begin, 3),
            (self.end, 3),
            (self.burst, 4),
            (self.crowd, 3),
            (self.dies, 2),
            (self.dies_in_policy, 2),
            (self.requests, 4),
            *((functools.partial(deed, self), weight) for deed, weight in MORE),
        ]

    def live(self, cells: int) -> None:
        """Do one thing after the other until so many cells were sent."""
        deeds, weights = zip(*self.deeds, strict=True)
        while len(self.cells) < cells:
            deed = self.random.choices(deeds, weights)[0]
            self.course.append(getattr(deed, "func", deed).__name__)
            try:
                deed()
                self.forget_checked()
            except (AssertionError, TimeoutError) as error:
                recent = ", ".join(self.course[-12:])
                raise Wrong(f"cell {len(self.cells)} (after {recent}): {error}") from error

    # ------------------------------------------------------------------------------------------------ the deeds

    def prints(self) -> None:
        lines = [self.word() for _ in range(self.random.randint(1, 60))]
        errors = [self.word() for _ in range(self.random.randint(0, 5))]
        cell = self.run(
            f"{COUNT}\nimport sys\nfor w in {lines}: print(w)\nfor w in {errors}: print(w, file=sys.stderr)"
        )
        self.counted(cell)
        check(cell.stdout.split() == lines, f"stdout {cell.stdout!r}")
        check(cell.stderr.split() == errors, f"stderr {cell.stderr!r}")

    def writes_from_below(self) -> None:
        word = self.word()
        how = self.random.choice(
            (
                f"import os; os.write(1, b'{word}')",
                f"import os; _ = os.system('printf {word}')",
                f"import subprocess; _ = subprocess.run(['printf', '{word}'])",
                f"!printf {word}",
                f"import os\npid = os.fork()\nif not pid:\n    print('{word}', end='', flush=True); os._exit(0)\n_ = os.waitpid(pid, 0)",
            )
        )
        cell = self.run(f"{COUNT}\n{how}")
        self.counted(cell)
        check(cell.stdout.strip() == word, f"{how}: {cell.stdout!r}")

    def threads(self) -> None:
        workers, lines = self.random.choice((2, 4, 8)), self.random.randint(1, 100)
        # With `print(x)` the end of the line is a write of its own, and another thread's may come between.
        cell = self.run(
            f"{COUNT}\nimport threading\ndef say(k):\n    for i in range({lines}): print(f'{{k}}-{{i}}\\n', end='')\n"
            f"crowd = [threading.Thread(target=say, args=(k,)) for k in range({workers})]\n"
            "for t in crowd: t.start()\nfor t in crowd: t.join()\ndel crowd, t"
        )
        self.counted(cell)
        expected = sorted(f"{k}-{i}" for k in range(workers) for i in range(lines))
        seen = sorted(cell.stdout.split())
        check(seen == expected, f"lines of threads: {set(seen) ^ set(expected)}")

    def result(self) -> None:
        word = self.word()
        cell = self.run(f"{COUNT}\n({word!r}, n)")
        self.n += 1
        self.done(cell, "ok")
        check(cell.result == f"({word!r}, {self.n})", f"result {cell.result}")

    def displays(self) -> None:
        count = self.random.randint(1, 20)
        cell = self.run(
            f"{COUNT}\nfrom IPython.display import display\nfor i in range({count}):\n    print(i)\n    display(i)"
        )
        self.counted(cell)
        seen = [
            m["content"].get("text", "").strip() or m["content"]["data"]["text/plain"]
            for m in cell.on("iopub", "stream", "display_data")
        ]
        check(seen == [str(i) for i in range(count) for _ in (0, 1)], f"order of displays {seen}")

    def asks(self) -> None:
        count = self.random.randint(1, 3)
        kind = self.random.choice(("input", "__import__('getpass').getpass"))
        cell = self.start(f"{COUNT}\nprint(*[{kind}('?') for _ in range({count})])")
        words = [self.word() for _ in range(count)]
        for at, word in enumerate(words, 1):
            question = cell.wait_for("stdin", "input_request", HANG_S, count=at)
            check(question["content"]["password"] == (kind != "input"), "password")
            self.client.send("stdin", "input_reply", {"value": word}, parent=question)
        self.wait(cell)
        self.counted(cell)
        check(cell.stdout.split() == words, f"answers {cell.stdout!r}")

    def interrupted_question(self) -> None:
        cell = self.start(f"{COUNT}\ninput('?')")
        question = cell.wait_for("stdin", "input_request", HANG_S)
        self.interrupt()
        self.wait(cell)
        self.counted(cell, "KeyboardInterrupt")
        # Too late: it must not feed anybody.
        self.client.send("stdin", "input_reply", {"value": "late"}, parent=question)

    def interrupted_cell(self) -> None:
        how = self.random.choice(
            (
                "while True: pass",
                "import time; time.sleep(600)",
                "import asyncio; await asyncio.sleep(600)",
                "import threading; threading.Event().wait(600)",
                "import subprocess; subprocess.run(['sleep', '600'])",
            )
        )
        cell = self.start(f"{COUNT}\nprint('in', flush=True)\n{how}")
        cell.wait_for_output("in", HANG_S)
        self.interrupt()
        self.wait(cell)
        self.n += 1
        self.done(cell, "error")
        check(cell.content["ename"] in ("KeyboardInterrupt", "CancelledError"), f"{how}: {cell.content['ename']}")

    def fails(self) -> None:
        word = self.word()
        cell = self.run(f"{COUNT}\nprint({word!r})\nraise ValueError({word!r})")
        self.counted(cell, "ValueError")
        check(cell.content["evalue"] == word and cell.stdout.strip() == word, "what the error says")

    def awaits(self) -> None:
        tasks = self.random.randint(1, 10)
        cell = self.run(
            f"{COUNT}\nimport asyncio\nasync def one(i):\n    await asyncio.sleep(0.001 * (i % 3))\n    print(i)\n    return i\n"
            f"sum(await asyncio.gather(*[one(i) for i in range({tasks})]))"
        )
        self.n += 1
        self.done(cell, "ok")
        check(cell.result == str(sum(range(tasks))), f"sum {cell.result}")
        check(sorted(map(int, cell.stdout.split())) == list(range(tasks)), f"tasks {cell.stdout!r}")

    def comms(self) -> None:
        if not self.echo_known:
            self.done(self.run(ECHO), "ok")
            self.echo_known = True
        comm_id = uuid.uuid4().hex
        self.client.request("comm_open", {"comm_id": comm_id, "target_name": "echo", "data": {}})
        # While they travel, a cell may be at work.
        busy = self.start(f"{COUNT}\nimport asyncio\nawait asyncio.sleep(0.02)") if self.random.random() < 0.5 else None
        sent = [self.random.randrange(10**6) for _ in range(self.random.randint(1, 5))]
        for x in sent:
            content = {"comm_id": comm_id, "data": {"x": x}}
            self.client.request("comm_msg", content, buffers=[x.to_bytes(4, "big")])

        def echoes() -> list[Message]:
            return [
                m
                for m in self.client.messages
                if m["msg_type"] == "comm_msg" and m["content"]["comm_id"] == comm_id and m["channel"] == "iopub"
            ]

        self.client.wait_until(lambda: len(echoes()) == len(sent), HANG_S, "echoes")
        check([m["content"]["data"]["echo"] for m in echoes()] == sent, "order of echoes")
        check([int.from_bytes(m["buffers"][0], "big") for m in echoes()] == sent, "buffers of echoes")
        self.client.request("comm_close", {"comm_id": comm_id, "data": {}})
        if busy:
            self.wait(busy)
            self.counted(busy)

    def policy(self) -> None:
        policy = self.random.choice(("rollback_on_failure", "commit_on_success", "dry_run", "rollback_always"))
        fails = self.random.random() < 0.5
        code = f"{COUNT}\nL = [n]\nprint('ran', n)" + ("\n1/0" if fails else "")
        cell = self.run(code, metadata={"savepoint": {"transaction": policy}})
        check(cell.stdout.split()[:2] == ["ran", str(self.n + 1)], f"{policy}: {cell.stdout!r}")
        self.done(cell, "error" if fails else "ok")
        if fails:
            self.failed_in_transactions()
        elif policy not in ("dry_run", "rollback_always"):
            self.n += 1
        self.forget_echo()

    def block(self) -> None:
        keeps = self.random.random() < 0.5
        ending = "" if keeps else "\n        1/0"
        cell = self.run(
            f"import savepoint\ntry:\n    with savepoint.transaction():\n        {COUNT}{ending}\n"
            "except savepoint.RolledBack as r: print('back', r.ename)\nelse: print('kept')"
        )
        self.n += keeps
        self.done(cell, "ok")
        check(cell.stdout.split()[0] == ("kept" if keeps else "back"), f"block {cell.stdout!r}")
        self.forget_echo()

    def begin(self) -> None:
        if len(self.begun) < 4:
            self.transactions.ask("begin")
            self.begun.append(self.n)

    def end(self) -> None:
        if not self.begun:
            return
        if self.random.random() < 0.5:
            self.transactions.ask("commit")
            self.begun.pop()
        else:
            self.transactions.ask("rollback")
            self.n = self.begun.pop()
            self.forget_echo()

    def burst(self) -> None:
        """Many cells at once; one may fail, and those after it that stop on errors are aborted."""
        count = self.random.randint(2, 25)
        failing = self.random.randrange(count) if self.random.random() < 0.5 else None
        stops = self.random.random() < 0.5
        cells = [
            self.start(f"{COUNT}\nprint({at})" + ("\n1/0" if at == failing else ""), stop_on_error=stops)
            for at in range(count)
        ]
        for at, cell in enumerate(cells):
            self.wait(cell)
            if failing is not None and stops and at > failing:
                self.done(cell, "aborted", counts=False)
                check(not cell.outputs, "an aborted cell has output")
            else:
                self.counted(cell, "ZeroDivisionError" if at == failing else None)
                check(cell.stdout.strip() == str(at), f"burst {cell.stdout!r}")

    def crowd(self) -> None:
        """Two clients at once, and what they ask of control meanwhile."""
        count = self.random.randint(1, 6)
        mine = [self.start(f"{COUNT}\nprint('mine', {at})") for at in range(count)]
        theirs = [self.other.start(f"{COUNT}\nprint('theirs', {at})") for at in range(count)]
        asked = self.client.request("kernel_info_request", {}, "control")
        for at in range(count):
            self.wait(mine[at])
            theirs[at].wait(HANG_S)
        asked.wait(HANG_S)
        self.n += 2 * count
        for at, (one, two) in enumerate(zip(mine, theirs, strict=True)):
            check(one.status == two.status == "ok", "cells of a crowd")
            check(one.stdout.split() == ["mine", str(at)], f"crowd {one.stdout!r}")
            check(two.stdout.split() == ["theirs", str(at)], f"crowd {two.stdout!r}")
        self.last_count = max(self.last_count, *(cell.content["execution_count"] for cell in mine + theirs))

    def dies(self) -> None:
        how = self.random.choice(
            (
                "import os; os._exit(3)",
                "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
                "import ctypes; ctypes.string_at(0)",
            )
        )
        deeds.died(self, self.run(f"print('in', flush=True)\n{how}"))

    def dies_in_policy(self) -> None:
        cell = self.run(
            f"{COUNT}\nimport os; os._exit(5)", metadata={"savepoint": {"transaction": "rollback_on_failure"}}
        )
        self.done(cell, "error")
        check(cell.content["ename"] == "WorkerDied", cell.content["ename"])
        check(cell.ours["transaction"]["outcome"] == "rolled_back", f"{cell.ours['transaction']}")
        self.forget_echo()

    def requests(self) -> None:
        kind, content = self.random.choice(
            (
                ("complete_request", {"code": "impor", "cursor_pos": 5}),
                ("inspect_request", {"code": "print", "cursor_pos": 3, "detail_level": 0}),
                ("is_complete_request", {"code": "for i in x:"}),
                ("history_request", {"hist_access_type": "tail", "n": 3, "raw": True, "output": False}),
                ("comm_info_request", {}),
                ("kernel_info_request", {}),
            )
        )
        answered = self.client.request(kind, content).wait(HANG_S)
        status = answered.status
        check(status == ("incomplete" if kind == "is_complete_request" else "ok"), f"{kind}: {answered.content}")

    # ------------------------------------------------------------------------------------------------ what they use

    def word(self) -> str:
        return "".join(self.random.choices("abcdefgh", k=self.random.randint(1, 12)))

    def start(self, code: str, **options: Any) -> Cell:
        cell = self.client.start(code, **options)
        self.cells.append(cell)
        return cell

    def wait(self, cell: Cell) -> None:
        cell.wait(HANG_S)

    def run(self, code: str, **options: Any) -> Cell:
        cell = self.start(code, **options)
        self.wait(cell)
        return cell

    def interrupt(self) -> None:
        if self.random.random() < 0.5:
            # As a terminal or `interrupt_mode: signal` does it.
            os.killpg(os.getpgid(self.manager.provisioner.pid), signal.SIGINT)
        else:
            self.client.request("interrupt_request", {}, "control").wait(HANG_S)

    def counted(self, cell: Cell, ename: str | None = None) -> None:
        """The cell counted up, and ended like this."""
        self.n += 1
        self.done(cell, "error" if ename else "ok")
        if ename:
            check(cell.content["ename"] == ename, f"{cell.content['ename']}: {cell.content['evalue']}")

    def done(self, cell: Cell, status: str, *, counts: bool = True) -> None:
        check(cell.status == status, f"{status} expected, got {cell.content}")
        check(len(cell.replies) == 1, f"{len(cell.replies)} replies")
        number = cell.content["execution_count"]
        check(number > self.last_count if counts else number == 0, f"{number} after {self.last_count}")
        self.last_count = max(self.last_count, number)

    def failed_in_transactions(self) -> None:
        """A failing cell leaves `explicit` transactions open."""

    def forget_echo(self) -> None:
        """The process is, or may be, another one: its comm targets may be gone."""
        self.echo_known = False

    def forget_checked(self) -> None:
        """Check the model against the kernel, and each request's course; then let go of what was recorded."""
        seen = self.client.value("globals().get('n', 0)")
        check(seen == str(self.n), f"n is {seen}, not {self.n}")
        for client in (self.client, self.other):
            audit(client)
            client.messages.clear()


def audit(client: Client) -> None:
    """Each request that this client saw had one busy, then one idle, and nothing after it.

    But for what a debugger says of itself: that comes when it happens.
    """
    courses: dict[str, list[str]] = {}
    for message in client.messages:
        parent = message["parent_header"].get("msg_id")
        if message["channel"] == "iopub" and parent and message["msg_type"] != "debug_event":
            state = message["content"].get("execution_state")
            courses.setdefault(parent, []).append(state or message["msg_type"])
    for parent, course in courses.items():
        check(course.count("idle") <= 1 and course.count("busy") <= 1, f"{parent}: {course}")
        if "idle" in course and "busy" in course:
            check(course.index("busy") == 0 and course[-1] == "idle", f"{parent}: {course}")
