"""What is measured of a kernel. Each method takes one round of samples of one kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from machine import cpu_seconds, memory, tree
from wire import Client, Kernel, Message, Timeout, now

LINK_PROBE = Path(__file__).with_name("link_probe.mjs")
REPLY = ("shell", "execute_reply")
IDLE = ("iopub", "idle")
STREAM = ("iopub", "stream")
ECHO = """
import comm
def target(channel, opened):
    channel.on_msg(lambda message: channel.send(message['content']['data'], buffers=message['buffers']))
comm.get_comm_manager().register_target('bench_echo', target)
"""
THREADS = """
import threading, sys
def write(name):
    for n in range(5000): sys.stdout.write(f'{name}:{n}\\n')
threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
[t.start() for t in threads]
[t.join() for t in threads]
None
"""


class Measures:
    """Samples in seconds, plain values and failures, by kernel and figure."""

    def __init__(self, names: Sequence[str], quick: bool, shared: dict[str, set[int]]) -> None:
        self.quick = quick
        self.shared = shared
        """Processes that serve all kernels of a name (a zygote, a daemon): they count in its memory figures."""
        self.samples: dict[str, dict[str, list[float]]] = {name: {} for name in names}
        self.values: dict[str, dict[str, list[Any]]] = {name: {} for name in names}
        self.failed: dict[str, dict[str, str]] = {name: {} for name in names}
        self.live: dict[str, Kernel] = {}

    def sample(self, name: str, figure: str, seconds: float) -> None:
        self.samples[name].setdefault(figure, []).append(seconds)

    def value(self, name: str, figure: str, value: Any) -> None:
        self.values[name].setdefault(figure, []).append(value)

    def kernel(self, name: str) -> Kernel:
        """The kernel that the measures of a running kernel share, warmed up."""
        if name not in self.live:
            kernel = self.live[name] = Kernel(name)
            for _ in range(50):
                kernel.client.run("pass")
        return self.live[name]

    def drop(self, name: str) -> None:
        kernel = self.live.pop(name, None)
        if kernel:
            kernel.kill()

    # ------------------------------------------------------------------------------------------ a kernel's life

    def startup(self, name: str, round_: int) -> None:
        kernel = Kernel(name, wait=False)
        client = kernel.client
        try:
            msg_id = client.send("shell", "kernel_info_request", {})
            info = client.until(msg_id, [("shell", "kernel_info_reply")], 60)["shell", "kernel_info_reply"]
            self.sample(name, "start_to_kernel_info", info.t - kernel.t_start)
            self.sample(name, "start_spawn_call", kernel.t_spawned - kernel.t_start)
            told = f"{info.content.get('implementation')} {info.content.get('implementation_version')}"
            self.values[name]["implementation"] = [told]
            reply = client.until(client.execute("pass"), [REPLY], 60)[REPLY]
            self.sample(name, "start_to_first_execute", reply.t - kernel.t_start)
            client.ready()
            roots = kernel.roots()
            for key, mib in memory(tree(roots)).items():
                self.value(name, f"mem_start_{key}_mib", mib)
            begun = now()
            reply, _ = client.run("import numpy")
            if reply.content["status"] == "ok":
                self.sample(name, "import_numpy", reply.t - begun)
                for key, mib in memory(tree(roots)).items():
                    self.value(name, f"mem_numpy_{key}_mib", mib)
        finally:
            kernel.stop()

    def interrupt(self, name: str, round_: int) -> None:
        for label, code in (("loop", "while True: pass"), ("sleep", "import time; time.sleep(100)")):
            figure = f"interrupt_{label}"
            if figure in self.failed[name]:
                continue
            kernel = Kernel(name)
            client = kernel.client
            try:
                msg_id = client.execute(code)
                client.until(msg_id, [("iopub", "busy")], 5)
                time.sleep(0.15)  # The cell is to be well inside its loop.
                begun = now()
                kernel.manager.interrupt_kernel()
                reply = client.until(msg_id, [REPLY, IDLE], 3)[REPLY]
                if reply.content["status"] != "error":
                    self.failed[name][figure] = f"status {reply.content['status']}"
                else:
                    self.sample(name, figure, reply.t - begun)
                    client.run("1", 5)
            except Timeout as error:
                code_of_exit = kernel.exit_code()
                self.failed[name][figure] = (
                    str(error) if code_of_exit is None else f"the kernel exited ({code_of_exit})"
                )
            finally:
                kernel.kill()

    def restart(self, name: str, round_: int) -> None:
        if any(figure.startswith("restart") for figure in self.failed[name]):
            return
        kernel = Kernel(name)
        try:
            for label, is_now in (("now", True), ("polite", False)):
                begun = now()
                kernel.manager.restart_kernel(now=is_now)
                kernel.client.close()
                kernel.client = Client(kernel.manager.get_connection_info())
                try:
                    reply = kernel.client.until(kernel.client.execute("pass"), [REPLY], 8)[REPLY]
                except Timeout:
                    self.failed[name][f"restart_{label}"] = f"no reply in 8 s; exit code {kernel.exit_code()}"
                    return
                self.sample(name, f"restart_{label}_to_execute", reply.t - begun)
            kernel.client.ready()
            begun = now()
            msg_id = kernel.client.send("control", "shutdown_request", {"restart": False})
            try:
                got = kernel.client.until(msg_id, [("control", "shutdown_reply")], 5)
                self.sample(name, "shutdown_reply", got["control", "shutdown_reply"].t - begun)
            except Timeout as error:
                self.failed[name]["shutdown_reply"] = str(error)
            while kernel.exit_code() is None and now() - begun < 5:
                time.sleep(0.0005)
            self.sample(name, "shutdown_to_exit", now() - begun)
        finally:
            kernel.kill()

    # --------------------------------------------------------------------------------------------------- cells

    def rtt(self, name: str, round_: int) -> None:
        client = self.kernel(name).client
        for i in range(40 if self.quick else 100):
            begun = now()
            reply, idle = client.run("pass" if i % 2 else "x=1")
            self.sample(name, "execute_reply", reply.t - begun)
            self.sample(name, "execute_idle", idle.t - begun)

    def link(self, name: str, round_: int) -> None:
        """A cell without a client: from Node over the link to a worker and back. Other kernels have no such thing."""
        if name != "savepoint":
            return
        node = os.environ.get("SAVEPOINT_NODE", "node")
        argv = [node, str(LINK_PROBE), sys.executable, "40" if self.quick else "100"]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=150, check=True)
        for figure, samples in json.loads(done.stdout).items():
            self.samples[name].setdefault(f"link_{figure}", []).extend(samples)

    def pipelined(self, name: str, round_: int) -> None:
        """Cells sent without waiting."""
        client = self.kernel(name).client
        count = 100 if self.quick else 300
        begun = now()
        ids = [client.execute("pass") for _ in range(count)]
        client.until(ids[-1], [REPLY, IDLE], 60)
        self.value(name, "pipelined_cells_per_s", count / (now() - begun))

    def first_output(self, name: str, round_: int) -> None:
        client = self.kernel(name).client
        result = ("iopub", "execute_result")
        for _ in range(15 if self.quick else 40):
            begun = now()
            got = client.until(client.execute("print('x')"), [STREAM, REPLY, IDLE], 10)
            self.sample(name, "first_stream", got[STREAM].t - begun)
            if "execute_result" in self.failed[name]:
                continue
            begun = now()
            try:
                got = client.until(client.execute("1+1"), [result, REPLY, IDLE], 3)
                self.sample(name, "execute_result", got[result].t - begun)
            except Timeout as error:
                self.failed[name]["execute_result"] = str(error)
        # What a user sees of a progress bar.
        for _ in range(2 if self.quick else 4):
            for figure, flush in (
                ("stream_flush_in_running_cell", ", flush=True"),
                ("stream_noflush_in_running_cell", ""),
            ):
                begun = now()
                msg_id = client.execute(f"print('x'{flush})\nimport time; time.sleep(0.3)")
                self.sample(name, figure, client.until(msg_id, [STREAM, REPLY, IDLE], 10)[STREAM].t - begun)

    def flood(self, name: str, label: str, code: str, is_complete: Callable[[list[Message]], bool]) -> None:
        """Run a cell with much output; what comes after its idle is counted as the fault that it is."""
        if label in self.failed[name]:
            return
        client = self.kernel(name).client
        keep: list[Message] = []
        begun = now()
        try:
            reply, idle = client.run(code, 60, keep)
        except Timeout as error:
            self.failed[name][label] = str(error)
            self.drop(name)
            return
        if reply.content["status"] != "ok":
            self.failed[name][label] = f"{reply.content.get('ename')}: {str(reply.content.get('evalue'))[:80]}"
            return
        late = client.drain()
        outputs = [message for message in keep if message.type in ("stream", "display_data")]
        self.sample(name, label, max([idle.t] + [message.t for message in late]) - begun)
        self.value(name, f"{label}_messages", len(outputs))
        self.value(name, f"{label}_complete_in_order", is_complete(outputs))
        self.value(name, f"{label}_after_idle", sum(message.type in ("stream", "display_data") for message in late))

    def stream(self, name: str, round_: int) -> None:
        lines = 20_000 if self.quick else 100_000
        flushed = 2_000 if self.quick else 10_000

        def text(messages: list[Message]) -> str:
            return "".join(message.content["text"] for message in messages)

        def numbers(count: int) -> str:
            return "".join(f"{n}\n" for n in range(count))

        self.flood(
            name,
            f"print_{lines // 1000}k_lines",
            f"for i in range({lines}): print(i)",
            lambda ms: text(ms) == numbers(lines),
        )
        self.flood(
            name,
            f"print_flush_{flushed // 1000}k_lines",
            f"for i in range({flushed}): print(i, flush=True)",
            lambda ms: text(ms) == numbers(flushed),
        )
        for size in (10_000_000, 50_000_000)[: 1 if self.quick else 2]:
            expected = "x" * size + "\n"
            self.flood(
                name,
                f"print_{size // 1_000_000}mb",
                f"print('x'*{size})",
                lambda ms, expected=expected: text(ms) == expected,
            )
        self.flood(
            name,
            f"display_{flushed // 1000}k",
            "from IPython.display import display\n"
            f"for i in range({flushed}): display({{'text/plain': str(i)}}, raw=True)",
            lambda ms: [m.content.get("data", {}).get("text/plain") for m in ms] == [str(n) for n in range(flushed)],
        )
        self.flood(
            name,
            "print_from_4_threads",
            THREADS,
            lambda ms: sorted(text(ms).split()) == sorted(f"{k}:{n}" for k in range(4) for n in range(5000)),
        )

    def stdin(self, name: str, round_: int) -> None:
        if "input" in self.failed[name]:
            return
        client = self.kernel(name).client
        question = ("stdin", "input_request")
        for _ in range(8 if self.quick else 20):
            begun = now()
            msg_id = client.execute("v=input('?')", allow_stdin=True)
            try:
                asked = client.until(msg_id, [question], 3)[question]
            except Timeout as error:
                self.failed[name]["input"] = str(error)
                client.drain()
                return
            self.sample(name, "input_request", asked.t - begun)
            begun = now()
            client.send("stdin", "input_reply", {"value": "y", "status": "ok"}, parent=asked.header)
            self.sample(name, "input_reply_to_execute_reply", client.until(msg_id, [REPLY, IDLE], 10)[REPLY].t - begun)

    # ------------------------------------------------------------------------------------ beside the cells

    def introspect(self, name: str, round_: int) -> None:
        client = self.kernel(name).client
        if round_ == 0:
            client.run("import os, json\nclass Foo:\n  '''doc'''\n  def bar(self): pass\nfoo = Foo()")
        requests: dict[str, tuple[str, dict[str, Any]]] = {
            "complete": ("complete", {"code": "os.path.isd", "cursor_pos": 11}),
            "complete_local": ("complete", {"code": "foo.b", "cursor_pos": 5}),
            "inspect": ("inspect", {"code": "os.path.join", "cursor_pos": 8, "detail_level": 0}),
            "is_complete": ("is_complete", {"code": "for i in range(3):"}),
            "kernel_info": ("kernel_info", {}),
            "comm_info": ("comm_info", {}),
            "history_tail": ("history", {"output": False, "raw": True, "hist_access_type": "tail", "n": 10}),
        }
        for figure, (kind, content) in requests.items():
            if figure in self.failed[name]:
                continue
            for i in range(8 if self.quick else 20):
                begun = now()
                answer = ("shell", f"{kind}_reply")
                try:
                    reply = client.until(client.send("shell", f"{kind}_request", content), [answer], 1.5)[answer]
                except Timeout as error:
                    self.failed[name][figure] = str(error)
                    break
                self.sample(name, figure if (round_ or i) else f"{figure}_first", reply.t - begun)
            client.drain(0.02)

    def comm(self, name: str, round_: int) -> None:
        if "comm" in self.failed[name]:
            return
        client = self.kernel(name).client
        reply, _ = client.run(ECHO)
        if reply.content["status"] != "ok":
            self.failed[name]["comm"] = reply.content.get("ename", "error")
            return
        comm_id = f"echo {round_}"
        client.send("shell", "comm_open", {"comm_id": comm_id, "target_name": "bench_echo", "data": {}})
        client.drain()
        echo = ("iopub", "comm_msg")
        for figure, size, count in (("comm_1kib", 1024, 20), ("comm_10mb", 10_000_000, 2 if self.quick else 4)):
            for _ in range(count):
                begun = now()
                msg_id = client.send("shell", "comm_msg", {"comm_id": comm_id, "data": {}}, buffers=[bytes(size)])
                try:
                    answer = client.until(msg_id, [echo], 5)[echo]
                except Timeout as error:
                    self.failed[name]["comm"] = f"{figure}: {error}"
                    return
                self.sample(name, figure, answer.t - begun)
                if size > 1_000_000:
                    self.value(name, "comm_echo_mb_per_s_both_ways", 2 * size / 1e6 / (answer.t - begun))
        client.drain()

    def transactions(self, name: str, round_: int) -> None:
        """Begin and rollback over the comm, as the client sees them and as they are told. Other kernels have none."""
        client = self.kernel(name).client
        target = f"transactions {round_}"
        answer = ("iopub", "comm_msg")
        msg_id = client.send(
            "shell", "comm_open", {"comm_id": target, "target_name": "savepoint.transaction", "data": {}}
        )
        keep: list[Message] = []
        client.until(msg_id, [IDLE], 10, keep)
        if not any(message.type == "comm_msg" for message in keep):
            return
        client.run("state = [1]")
        for i in range(20 if self.quick else 60):
            for op in ("begin", "rollback"):
                begun = now()
                data = {"id": str(i), "op": op}
                got = client.until(
                    client.send("shell", "comm_msg", {"comm_id": target, "data": data}), [answer, IDLE], 10
                )
                result = got[answer].content["data"]["result"]
                self.sample(name, f"{op}_answer", got[answer].t - begun)
                self.sample(name, f"{op}_told", result[f"{op}_ms"] / 1e3)
                if op == "begin":
                    client.run("state.append(2)")
        if client.value("state") != [1]:
            self.failed[name]["transactions"] = "the state is not as it was before"

    def many(self, name: str, round_: int) -> None:
        for count in (5,) if self.quick else (10, 20):
            kernels: list[Kernel] = []
            try:
                begun = now()
                waiting = []
                for _ in range(count):
                    kernel = Kernel(name, wait=False)
                    kernels.append(kernel)
                    waiting.append((kernel, kernel.client.execute("pass")))
                for kernel, msg_id in waiting:
                    kernel.client.until(msg_id, [REPLY], 120)
                self.sample(name, f"start_{count}_all_ready", now() - begun)
                if count > 10:
                    continue
                for kernel in kernels:
                    kernel.client.ready()
                roots = set().union(*(kernel.roots() for kernel in kernels), self.shared.get(name, ()))
                for key, mib in memory(tree(roots)).items():
                    self.value(name, f"mem_{count}_kernels_{key}_mib_each", round(mib / count, 2))
                used, begun = cpu_seconds(tree(roots)), now()
                time.sleep(1.5)  # What an idle kernel uses is measured over a while.
                spent = (cpu_seconds(tree(roots)) - used) * 1e3 / (now() - begun) / count
                self.value(name, f"idle_cpu_ms_per_s_each_of_{count}", spent)
            finally:
                for kernel in kernels:
                    kernel.kill()


EVERY = {
    "startup": 1,
    "rtt": 1,
    "link": 2,
    "pipelined": 1,
    "first_output": 1,
    "stdin": 1,
    "introspect": 1,
    "comm": 1,
    "transactions": 1,
    "stream": 2,
    "interrupt": 1,
    "restart": 2,
    "many": 3,
}
"""The measures in their order, and in how many rounds each one is taken once."""
