"""What is measured of a gateway. Each method takes one round of samples of one gateway."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateways import OURS, TOKEN, Gateway
from machine import cpu_seconds, memory, tree
from websocket import IDLE, LEGACY, REPLY, V1, Message, Rest, Timeout, WebSocket, now

ECHO = """
import comm
def target(channel, opened):
    channel.on_msg(lambda message: channel.send(message['content']['data'], buffers=message['buffers']))
comm.get_comm_manager().register_target('bench_echo', target)
"""
DISPLAYS = "from IPython.display import display\nfor i in range({}): display({{'text/plain': str(i)}}, raw=True)"


class GatewayMeasures:
    """Samples in seconds, plain values and failures, by gateway and figure."""

    def __init__(self, names: list[str], quick: bool) -> None:
        self.quick = quick
        self.samples: dict[str, dict[str, list[float]]] = {name: {} for name in names}
        self.values: dict[str, dict[str, list[Any]]] = {name: {} for name in names}
        self.failed: dict[str, dict[str, str]] = {name: {} for name in names}

    def sample(self, gateway: Gateway, figure: str, seconds: float) -> None:
        self.samples[gateway.name].setdefault(figure, []).append(seconds)

    def value(self, gateway: Gateway, figure: str, value: Any) -> None:
        self.values[gateway.name].setdefault(figure, []).append(value)

    def start(self, gateway: Gateway) -> None:
        self.sample(gateway, "server_start_to_api", gateway.start())
        time.sleep(0.5)  # What it still loads after it answers is a part of its memory.
        for key, mib in memory(tree(gateway.pids)).items():
            self.value(gateway, f"mem_no_kernels_{key}_mib", mib)

    def kernel_start(self, gateway: Gateway, round_: int) -> None:
        begun = now()
        kernel_id = gateway.new_kernel()
        self.sample(gateway, "post_kernel_201", now() - begun)
        socket = WebSocket(gateway.rest, kernel_id)
        self.sample(gateway, "post_to_websocket_open", now() - begun)
        reply = socket.until(socket.execute("1+1"), [REPLY], 60)[REPLY]
        self.sample(gateway, "post_to_first_execute_reply", reply.t - begun)
        socket.ready()
        self._restart(gateway, kernel_id, socket)
        socket.ready()
        msg_id = socket.execute("while True: pass")
        socket.until(msg_id, [("iopub", "busy")], 10)
        time.sleep(0.1)  # The cell is to be well inside its loop.
        begun = now()
        gateway.rest("POST", f"/api/kernels/{kernel_id}/interrupt", {})
        reply = socket.until(msg_id, [REPLY, IDLE], 10)[REPLY]
        self.sample(gateway, "interrupt_to_error_reply", reply.t - begun)
        socket.close()
        begun = now()
        gateway.delete(kernel_id)
        self.sample(gateway, "delete_204", now() - begun)

    def _restart(self, gateway: Gateway, kernel_id: str, socket: WebSocket) -> None:
        begun = now()
        gateway.rest("POST", f"/api/kernels/{kernel_id}/restart", {})
        self.sample(gateway, "restart_200", now() - begun)
        try:
            reply = socket.until(socket.execute("1+1"), [REPLY], 15)[REPLY]
            self.sample(gateway, "restart_to_execute_reply", reply.t - begun)
        except Timeout:
            self.failed[gateway.name]["restart_to_execute"] = "a cell sent after the 200 was not answered in 15 s"

    def rtt(self, gateway: Gateway, round_: int) -> None:
        for protocol, label in ((V1, "v1"), (LEGACY, "legacy")):
            socket = gateway.socket(protocol)
            for _ in range(40 if self.quick else 100):
                begun = now()
                reply, idle = socket.run("pass")
                self.sample(gateway, f"execute_reply_{label}", reply.t - begun)
                self.sample(gateway, f"execute_idle_{label}", idle.t - begun)
            gateway.close_socket(protocol)
        socket = gateway.socket(V1)
        socket.acknowledges_at_once = True
        for _ in range(30 if self.quick else 60):
            begun = now()
            _, idle = socket.run("pass")
            self.sample(gateway, "execute_idle_acknowledged_at_once", idle.t - begun)
        socket.acknowledges_at_once = False
        count = 100 if self.quick else 300
        begun = now()
        ids = [socket.execute("pass") for _ in range(count)]
        socket.until(ids[-1], [REPLY, IDLE], 60)
        self.value(gateway, "pipelined_cells_per_s", count / (now() - begun))

    def rest(self, gateway: Gateway, round_: int) -> None:
        gateway.socket()
        for path in ("/api", "/api/kernels", f"/api/kernels/{gateway.kernel_id}", "/api/kernelspecs"):
            figure = "GET " + path.replace(str(gateway.kernel_id), "{id}")
            for _ in range(15 if self.quick else 40):
                begun = now()
                status, _ = gateway.rest("GET", path)
                if status != 200:
                    self.failed[gateway.name][figure] = str(status)
                    break
                self.sample(gateway, figure, now() - begun)

    def execute(self, gateway: Gateway, round_: int) -> None:
        """A run of code by one request; others have no such thing. 20 at once, each with a connection of its own."""
        if gateway.name != OURS:
            return

        def run() -> None:
            rest = Rest(gateway.base, TOKEN)
            rest("GET", "/api")
            barrier.wait()
            begun = now()
            status, model = rest("POST", "/api/execute", {"code": "1+1"})
            if status == 200 and model["status"] == "ok":
                self.sample(gateway, figure, now() - begun)
            else:
                self.failed[gateway.name][figure] = f"{status} {str(model)[:200]}"
            rest.close()

        for figure, count in (("post_execute", 1), ("post_execute_20_at_once", 20)):
            for _ in range(5):
                barrier = threading.Barrier(count)
                threads = [threading.Thread(target=run) for _ in range(count)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                time.sleep(0.3)  # For the pool to be full again, as it is at most times.

    def flood(self, gateway: Gateway, label: str, code: str, is_complete: Callable[[list[Message]], bool]) -> None:
        """Run a cell with much output while somebody asks the gateway for something else."""
        if label in self.failed[gateway.name]:
            return
        gateway.close_socket(LEGACY)  # A second client would slow the server.
        socket = gateway.socket(V1)
        keep: list[Message] = []
        look = [sys.executable, str(Path(__file__).with_name("look.py")), gateway.base, TOKEN]
        looking = subprocess.Popen(look, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert looking.stdout and looking.stdout.readline() == "ready\n"
        begun = now()
        try:
            _, idle = socket.run(code, 60, keep)
        except Timeout as error:
            self.failed[gateway.name][label] = str(error)
            gateway.drop()
            return
        finally:
            for seconds in json.loads(looking.communicate()[0]):
                self.sample(gateway, f"GET_api_during_{label}", seconds)
        late = [message for message in socket.drain(0.3) if message.type in ("stream", "display_data")]
        outputs = [message for message in keep if message.type in ("stream", "display_data")]
        self.sample(gateway, label, idle.t - begun)
        self.value(gateway, f"{label}_messages", len(outputs))
        self.value(gateway, f"{label}_complete_in_order", is_complete(outputs))
        self.value(gateway, f"{label}_after_idle", len(late))

    def stream(self, gateway: Gateway, round_: int) -> None:
        lines, displays, size = (20_000, 2_000, 5_000_000) if self.quick else (100_000, 10_000, 50_000_000)

        def text(messages: list[Message]) -> str:
            return "".join(message.content["text"] for message in messages)

        numbers = "".join(f"{n}\n" for n in range(lines))
        self.flood(
            gateway, f"print_{lines // 1000}k_lines", f"for i in range({lines}): print(i)", lambda ms: text(ms) == numbers
        )
        self.flood(
            gateway,
            f"display_{displays // 1000}k",
            DISPLAYS.format(displays),
            # A peer that drops output says so in between.
            lambda ms: [m.content.get("data", {}).get("text/plain") for m in ms] == [str(n) for n in range(displays)],
        )
        self.flood(
            gateway, f"print_{size // 1_000_000}mb", f"print('x'*{size})", lambda ms: text(ms) == "x" * size + "\n"
        )

    def comm(self, gateway: Gateway, round_: int) -> None:
        socket = gateway.socket(V1)
        socket.run(ECHO)
        opened = {"comm_id": f"c{round_}", "target_name": "bench_echo", "data": {}}
        socket.until(socket.send("shell", "comm_open", opened), [IDLE], 10)
        for label, size, count in (("comm_1kib", 1024, 10), ("comm_5mb", 5_000_000, 3)):
            for _ in range(count):
                begun = now()
                content = {"comm_id": f"c{round_}", "data": {"a": 1}}
                msg_id = socket.send("shell", "comm_msg", content, [bytes(size)])
                echo = socket.until(msg_id, [("iopub", "comm_msg"), IDLE], 20)["iopub", "comm_msg"]
                self.sample(gateway, label, echo.t - begun)
                if [len(buffer) for buffer in echo.buffers] != [size]:
                    self.failed[gateway.name][label] = f"buffers of {[len(buffer) for buffer in echo.buffers]}"

    def clients(self, gateway: Gateway, round_: int) -> None:
        """Ten clients of one kernel: until all of them saw idle."""
        gateway.socket()
        sockets = [WebSocket(gateway.rest, str(gateway.kernel_id)) for _ in range(10)]
        try:
            for socket in sockets:
                socket.ready()
            for socket in sockets:
                socket.drain(0.02)
            for label, code, count in (("10_clients_idle", "pass", 15), ("10_clients_500_displays", DISPLAYS.format(500), 1)):
                for _ in range(count):
                    begun = now()
                    displays = self._until_all_idle(sockets, sockets[0].execute(code))
                    self.sample(gateway, label, now() - begun)
                    if count == 1:
                        self.value(gateway, f"{label}_messages_of_5000", displays)
        finally:
            for socket in sockets:
                socket.close()

    @staticmethod
    def _until_all_idle(sockets: list[WebSocket], msg_id: str) -> int:
        """How many displays came to all of them together."""
        waiting, displays = {socket.socket: socket for socket in sockets}, 0
        while waiting:
            ready = select.select(list(waiting), [], [], 30)[0]
            if not ready:
                raise Timeout("not all clients saw idle")
            for each in ready:
                socket = waiting[each]
                socket.fill()
                for message in socket.drain():
                    displays += message.type == "display_data"
                    if message.parent.get("msg_id") == msg_id and message.key == IDLE:
                        waiting.pop(each, None)
        return displays

    def many(self, gateway: Gateway, round_: int) -> None:
        """Kernels for many at once, each of them executing."""
        count = 8 if self.quick else 20
        kernels: list[str] = []
        errors: list[str] = []
        took: list[float] = []

        def one() -> None:
            try:
                rest, began = Rest(gateway.base, TOKEN), now()
                kernels.append(gateway.new_kernel(rest))
                socket = WebSocket(rest, kernels[-1])
                took.append(socket.until(socket.execute("1+1"), [REPLY], 120)[REPLY].t - began)
                socket.close()
                rest.close()
            except Exception as error:  # noqa: BLE001 -- it is the figure
                errors.append(repr(error))

        begun = now()
        threads = [threading.Thread(target=one) for _ in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        try:
            if errors:
                self.failed[gateway.name][f"start_{count}"] = f"{len(errors)} failed: {errors[0]}"[:200]
                return
            self.sample(gateway, f"start_{count}_all_executed", now() - begun)
            for seconds in took:
                self.sample(gateway, f"start_{count}_each", seconds)
            for key, mib in memory(tree(gateway.pids)).items():
                self.value(gateway, f"mem_{count}_kernels_{key}_mib", mib)
            used, begun = cpu_seconds(tree(gateway.pids)), now()
            time.sleep(1.5)  # What idle kernels use is measured over a while.
            spent = (cpu_seconds(tree(gateway.pids)) - used) * 1e3 / (now() - begun)
            self.value(gateway, f"idle_cpu_ms_per_s_{count}_kernels", spent)
        finally:
            for kernel_id in kernels:
                gateway.delete(kernel_id)


EVERY = {
    "kernel_start": 1,
    "rtt": 1,
    "rest": 1,
    "execute": 1,
    "comm": 1,
    "clients": 1,
    "stream": 2,
    "many": 3,
}
"""The measures in their order, and in how many rounds each one is taken once."""
