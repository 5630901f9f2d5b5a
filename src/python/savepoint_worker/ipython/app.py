"""ipykernel's application without its sockets: it reads IPython's configuration, and builds the kernel's parts."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any

from ipykernel.kernelapp import IPKernelApp
from IPython.core.application import BaseIPythonApplication
from traitlets import Any as AnyTrait
from traitlets import default

from .kernel import WorkerKernel
from .session import LinkSession
from .sockets import Channel, ControlThread
from .streams import Outlet, OutStream


class WorkerApp(IPKernelApp):
    """What reads IPython's configuration and command line, and runs its start-up files."""

    kernel_class = WorkerKernel  # type: ignore[assignment]
    # The mixin's default is a client, and resolving it would import all of jupyter_client.
    blocking_class = AnyTrait()
    #: Where both streams go.
    outlet: Outlet

    @default("connection_file")
    def _no_connection_file(self) -> str:
        # The gateway has it. Whoever wants it known to `%connect_info` passes `-f FILE`.
        return ""

    @property
    def connection(self) -> dict[str, Any]:
        """What the connection file says; empty without a file."""
        try:
            with open(self.abs_connection_file, encoding="utf-8") as file:
                return dict(json.load(file))
        except (OSError, ValueError):
            return {}

    def _fact(self, name: str, otherwise: Any) -> Any:
        return self.connection.get(name, otherwise)

    @default("ip")
    def _connection_ip(self) -> str:
        return self._fact("ip", "127.0.0.1")

    @default("transport")
    def _connection_transport(self) -> str:
        return self._fact("transport", "tcp")

    @default("shell_port")
    def _connection_shell_port(self) -> int:
        return self._fact("shell_port", 0)

    @default("iopub_port")
    def _connection_iopub_port(self) -> int:
        return self._fact("iopub_port", 0)

    @default("stdin_port")
    def _connection_stdin_port(self) -> int:
        return self._fact("stdin_port", 0)

    @default("control_port")
    def _connection_control_port(self) -> int:
        return self._fact("control_port", 0)

    @default("hb_port")
    def _connection_hb_port(self) -> int:
        return self._fact("hb_port", 0)

    def initialize(self, argv: list[str] | None = None) -> None:
        """Do what IPKernelApp does at this point, except for everything that has to do with sockets."""
        BaseIPythonApplication.initialize(self, argv)
        # What IPython logs is for whoever runs the kernel; on stderr it would be published as the cell's output.
        self.log.handlers = [_GatewayLog(self.log_level)]
        self.log.propagate = False
        # The gateway keeps the history. In memory, IPython's own serves the magics of this session, without a thread.
        self.config.HistoryManager.hist_file = ":memory:"
        self.session = LinkSession(parent=self)
        self.init_pdb()
        self.init_io()
        self.init_kernel()
        self.init_path()
        self.init_shell()
        self.init_gui_pylab()
        self.init_extensions()
        self.init_code()
        sys.stdout.flush()

    def init_io(self) -> None:
        """Replace the streams and the display hook."""
        self.configure_tornado_logger()
        self.outlet = Outlet()
        self.session.flush_streams = self.outlet.flush
        self.session.publish = self.outlet.publish
        sys.stdout = self.stdout = OutStream(self.outlet, "stdout")
        sys.stderr = self.stderr = OutStream(self.outlet, "stderr")
        self.stdout.session = self.stderr.session = self.session
        for stream in (sys.__stdout__, sys.__stderr__):
            if isinstance(stream, io.TextIOWrapper):
                # They end in a FIFO, but what is written to them is meant to be seen soon.
                stream.reconfigure(line_buffering=True)
        self.iopub_socket = self.iopub_thread = Channel("iopub", self.session)
        self.shell_socket = Channel("shell", self.session)
        self.control_socket = Channel("control", self.session)
        self.stdin_socket = Channel("stdin", self.session)
        from ipykernel.displayhook import ZMQDisplayHook

        self.displayhook = ZMQDisplayHook(self.session, self.iopub_socket)
        sys.displayhook = self.displayhook
        self.patch_io()

    def init_kernel(self) -> None:
        """Build the kernel and its shell."""
        with _WithoutDebugger():
            self.kernel = WorkerKernel.instance(
                parent=self,
                session=self.session,
                shell_stream=self.shell_socket,
                control_stream=self.control_socket,
                control_thread=ControlThread(),
                iopub_thread=self.iopub_thread,
                iopub_socket=self.iopub_socket,
                stdin_socket=self.stdin_socket,
                log=self.log,
                profile_dir=self.profile_dir,
                user_ns=self.user_ns,
            )
        self.displayhook.get_execution_count = lambda: self.kernel.execution_count


class _GatewayLog(logging.Handler):
    """Puts what IPython logs into the gateway's log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Send one line, or write it to stderr as long as there is no worker."""
        kernel = WorkerKernel._instance
        worker = kernel.worker if kernel is not None else None
        try:
            if worker is None:
                print(self.format(record), file=sys.__stderr__)
            else:
                worker.log("error" if record.levelno >= logging.ERROR else "warn", self.format(record))
        except Exception:
            self.handleError(record)


class _WithoutDebugger:
    """While the kernel is built, debugpy cannot be imported: it starts threads, and 100 ms are a third of a start."""

    def __enter__(self) -> None:
        self._hidden = "debugpy" not in sys.modules
        if self._hidden:
            sys.modules["debugpy"] = None  # type: ignore[assignment]

    def __exit__(self, *_: object) -> None:
        if self._hidden:
            del sys.modules["debugpy"]
            # Who imports it later shall find out for himself whether there is a debugger.
            sys.modules.pop("ipykernel.debugger", None)
            vars(sys.modules["ipykernel"]).pop("debugger", None)


WorkerApp.__name__, WorkerApp.__qualname__ = IPKernelApp.__name__, IPKernelApp.__qualname__
# Whoever prints it, reads it in an error or asks where it comes from sees what he knows.
WorkerApp.__module__ = IPKernelApp.__module__
