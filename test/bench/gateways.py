"""The gateways that are measured: how each is started, and what it is asked for."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from machine import tree
from websocket import LEGACY, V1, Rest, WebSocket, now

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("SAVEPOINT_BENCH_HOME", os.path.expanduser("~/.cache/savepoint-bench")))
OURS = "savepoint"
PEERS = ("jupyter_server", "kernel_gateway", "enterprise_gateway")
TOKEN = "benchtoken"
START_S = 60


def command(name: str, port: int) -> str:
    """The command line of a gateway, on loopback."""
    servers, enterprise, python = (HOME / venv / "bin" for venv in ("venv-servers", "venv-eg", "venv"))
    commands = {
        "jupyter_server": f"{servers}/python -m jupyter_server --ServerApp.port={port} --ServerApp.ip=127.0.0.1"
        f" --ServerApp.port_retries=0 --IdentityProvider.token={TOKEN} --ServerApp.open_browser=False"
        f" --ServerApp.allow_root=True --ServerApp.root_dir={HOME}",
        "kernel_gateway": f"{servers}/jupyter-kernelgateway --KernelGatewayApp.port={port}"
        f" --KernelGatewayApp.ip=127.0.0.1 --KernelGatewayApp.port_retries=0 --KernelGatewayApp.auth_token={TOKEN}"
        " --JupyterWebsocketPersonality.list_kernels=True --KernelGatewayApp.allow_root=True",
        "enterprise_gateway": f"{enterprise}/jupyter-enterprisegateway --EnterpriseGatewayApp.port={port}"
        f" --EnterpriseGatewayApp.ip=127.0.0.1 --EnterpriseGatewayApp.port_retries=0"
        f" --EnterpriseGatewayApp.auth_token={TOKEN} --EnterpriseGatewayApp.list_kernels=True"
        f" --EnterpriseGatewayApp.response_address=127.0.0.1:{free_port()}",
        OURS: f"{os.environ.get('SAVEPOINT_NODE', 'node')} {os.environ.get('SAVEPOINT_BENCH_NODE_FLAGS', '')}"
        f" {ROOT / 'dist' / 'main.js'} serve --port {port} --token {TOKEN} --python {python}/python",
    }
    return commands[name]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


class Gateway:
    """One server, and a kernel of it that the measures of a running kernel share."""

    def __init__(self, name: str) -> None:
        port = free_port()
        self.name, self.base = name, f"http://127.0.0.1:{port}"
        self.kernel_name = "python3" if name == OURS else "ipykernel"
        self.rest = Rest(self.base, TOKEN)
        self.kernel_id: str | None = None
        self.sockets: dict[str, WebSocket] = {}
        self.command = command(name, port)
        self.process: subprocess.Popen[bytes] | None = None
        self.log_path = Path(tempfile.gettempdir()) / f"gateway-{name}-{port}.log"

    @property
    def pids(self) -> list[int]:
        return [self.process.pid] if self.process else []

    def start(self) -> float:
        """Seconds until it answers."""
        begun = now()
        env = {**os.environ, "JUPYTER_PATH": str(HOME / "share")}
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                shlex.split(self.command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, start_new_session=True
            )
        while True:
            try:
                if self.rest("GET", "/api")[0] == 200:
                    return now() - begun
            except OSError:
                pass
            if now() - begun > START_S or self.process.poll() is not None:
                raise RuntimeError(f"{self.name} did not come up; see {self.log_path}")
            time.sleep(0.002)

    def new_kernel(self, rest: Rest | None = None) -> str:
        body = {"name": self.kernel_name, "env": {"KERNEL_USERNAME": "bench"}}
        status, model = (rest or self.rest)("POST", "/api/kernels", body, timeout=120)
        if status != 201:
            raise RuntimeError(f"POST /api/kernels: {status} {str(model)[:200]}")
        return model["id"]

    def delete(self, kernel_id: str) -> None:
        self.rest("DELETE", f"/api/kernels/{kernel_id}")

    def socket(self, protocol: str = V1) -> WebSocket:
        """A WebSocket of the shared kernel, which is warmed up."""
        if self.kernel_id is None:
            self.kernel_id = self.new_kernel()
        if protocol not in self.sockets:
            opened = self.sockets[protocol] = WebSocket(self.rest, self.kernel_id, protocol)
            opened.ready()
            for _ in range(20):
                opened.run("pass")
        for other in self.sockets.values():
            other.drain(0.02)
        return self.sockets[protocol]

    def close_socket(self, protocol: str = LEGACY) -> None:
        closed = self.sockets.pop(protocol, None)
        if closed:
            closed.close()

    def drop(self) -> None:
        """Forget the shared kernel."""
        for protocol in list(self.sockets):
            self.close_socket(protocol)
        kernel_id, self.kernel_id = self.kernel_id, None
        if kernel_id:
            try:
                self.delete(kernel_id)
            except OSError as error:
                print(f"{self.name}: {error}", file=sys.stderr)

    def stop(self) -> None:
        if not self.process or self.process.poll() is not None:
            return
        left = tree([self.process.pid])
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(12)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pid in left:  # Kernels that a server leaves behind.
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue
