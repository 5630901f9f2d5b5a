"""IPython's kernel, built once in the zygote, with the transport replaced and nothing that runs by itself.

The classes are ipykernel's own: third parties recognise a notebook by their names and reach into their attributes.
There are no sockets, no threads, no heartbeat and no debugger until somebody needs one; the history is the gateway's.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import sys
import uuid
from typing import TYPE_CHECKING, Any

from . import lazy

# Of the package that ipykernel builds on, a kernel needs the session and little else.
lazy.defer("jupyter_client", {"write_connection_file": "jupyter_client.connect"})
# Of this one, what reads a date that a machine has written.
lazy.defer("dateutil.parser", {"isoparse": "dateutil.parser.isoparser"})

from ipykernel import compiler
from ipykernel.ipkernel import IPythonKernel
from ipykernel.kernelapp import IPKernelApp
from IPython.core.application import BaseIPythonApplication
from IPython.core.error import StdinNotImplementedError
from traitlets import Any as AnyTrait
from traitlets import default

from . import execution, interrupts, magics, prompt, transforms
from .besides import Iteration
from .debug import facts
from .reporting import Reporter
from .session import LinkSession
from .sockets import Channel, ControlThread
from .streams import Outlet, OutStream

#: The protocol whose messages the gateway and this kernel speak.
PROTOCOL_VERSION = "5.5"
#: What the engine keeps in the user's namespace, in addition to IPython's: how the last `!command` and the last error
#: ended. Their values at the beginning.
ENGINE_NAMES: dict[str, Any] = {"_exit_code": 0, "_exception": None}


class WorkerKernel(IPythonKernel):
    """An IPythonKernel that is served by a `Worker`."""

    if TYPE_CHECKING:
        session: LinkSession
        shell: Any
        parent: Any

    shell_stream = AnyTrait()
    control_stream = AnyTrait()
    #: Publishes the shell's errors.
    reporter: Reporter
    #: The worker that serves this kernel in this process; None in the zygote.
    worker: Any = None
    #: Follows the names of the namespace from one cell to the next.
    watch: Any = None
    #: The number of the latest cell, and what it changed of them; None before the first.
    latest_changes: Any = None
    #: Whether debugpy can be found.
    can_debug = False
    _supports_kernel_subshells = False

    @property
    def kernel_info(self) -> dict[str, Any]:  # type: ignore[override]
        """Content of a kernel_info_reply, `status` aside."""
        return {
            "protocol_version": PROTOCOL_VERSION,
            "implementation": self.implementation,
            "implementation_version": self.implementation_version,
            "language_info": self.language_info,
            "banner": self.banner,
            "help_links": self.help_links,
            "supported_features": ["debugger"] if self.can_debug else [],
            "debugger": self.can_debug,
        }

    @default("_control_lock")
    def _no_contention(self) -> asyncio.Lock:
        return asyncio.Lock()

    def pre_handler_hook(self) -> None:
        """Called before each request is handled. The handler of SIGINT is always the worker's own."""

    def post_handler_hook(self) -> None:
        """Called after each request was handled."""

    def _publish_status(self, status: str, channel: str, parent: Any = None) -> None:
        """Busy and idle are the gateway's to say."""

    def _input_request(self, text: str, ident: Any, parent: Any, password: bool = False) -> str:
        if self.session.link is None:
            # The zygote, or a process that the user forked: no client knows it.
            self._no_raw_input()
        return prompt.request(self.worker, text, parent, password)

    def do_one_iteration(self) -> Iteration:
        """Serve one message of a comm that has come while this cell runs. It may be awaited, and need not be."""
        if self.worker is not None and type(self.worker).current() is self.worker:
            subshell = self.worker.subshells.current() if self.worker.subshells else None
            (subshell or self.worker).besides.poll()
        return Iteration()
    async def await_input(self, text: str, password: bool) -> str:
        """`input` for coroutines. Raises StdinNotImplementedError if the client of the latest cell does not answer."""
        if not self._allow_stdin:
            raise StdinNotImplementedError("This client does not support input requests.")
        return await prompt.request_async(self.worker, text, self.get_parent("shell"), password)

    async def execute_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Run a cell and reply."""
        started = execution.now()
        outcome = await self._execute(parent["content"], parent["metadata"])
        self.worker.leave_fork(int(outcome.content["status"] != "ok"))
        metadata = execution.reply_metadata(self, started, outcome)
        self.session.reply(parent["msg_id"], outcome.content, metadata)

    async def complete_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Complete code, and reply."""
        # ipykernel's own warns that `do_complete` is no coroutine; where warnings are errors, nothing is completed.
        content = parent["content"]
        matches = self.do_complete(content["code"], content.get("cursor_pos"))
        self.session.reply(parent["msg_id"], matches, {})

    async def inspect_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Inspect a name, and reply."""
        content = parent["content"]
        code, position = content["code"], content.get("cursor_pos")
        reply = self.do_inspect(
            code,
            len(code) if position is None else position,
            content.get("detail_level", 0),
            set(content.get("omit_sections", ())),
        )
        self.session.reply(parent["msg_id"], reply, {})

    async def is_complete_request(self, stream: Any, ident: Any, parent: dict[str, Any]) -> None:
        """Tell whether code is complete, and reply."""
        self.session.reply(parent["msg_id"], self.do_is_complete(parent["content"]["code"]), {})

    async def do_execute(  # type: ignore[override]
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: dict[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        """Run a cell; the content of its reply."""
        content = {
            "code": code,
            "silent": silent,
            "store_history": store_history,
            "user_expressions": user_expressions,
            "allow_stdin": allow_stdin,
        }
        metadata = dict(cell_meta or {})
        if cell_id is not None:
            metadata["cellId"] = cell_id
        return (await self._execute(content, metadata)).content

    async def _execute(self, content: dict[str, Any], metadata: dict[str, Any]) -> execution.Outcome:
        if not isinstance(content.get("code"), str):
            raise ValueError("An execute_request has no code.")
        self._allow_stdin = bool(content.get("allow_stdin", False))
        prompt.put_back(self)
        return await execution.execute(self, content, metadata)

    async def do_debug_request(self, msg: Any) -> dict[str, Any]:
        """Not asked in this thread: see `debug`."""
        return {}


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


# Whoever prints them, reads them in an error or asks where they come from sees what he knows.
for _ours, _known in ((WorkerKernel, IPythonKernel), (WorkerApp, IPKernelApp)):
    _ours.__name__, _ours.__qualname__, _ours.__module__ = _known.__name__, _known.__qualname__, _known.__module__


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


def build(arguments: list[str]) -> WorkerKernel:
    """The kernel, ready to be forked. `arguments` are traitlets options, as ipykernel takes them on its command line.

    Raises SystemExit, after saying why on stderr, for options that IPython refuses.
    """
    app = WorkerApp.instance()
    app.initialize(list(arguments))
    kernel: WorkerKernel = app.kernel
    shell = kernel.shell
    kernel.reporter = Reporter(shell)
    kernel.can_debug = facts.available()
    _keep_engine_names(shell)
    _print_before_results(shell, app.outlet)
    # An interrupt inside of it would leave a lock behind, and the next cell would wait for ever.
    history = shell.history_manager
    history.store_inputs = interrupts.shielded(history.store_inputs)
    prompt.install(kernel)
    magics.register(shell)
    transforms.speed_up(shell.input_transformer_manager)
    return kernel


def _print_before_results(shell: Any, outlet: Outlet) -> None:
    """Send what was printed before IPython notes a result among a cell's outputs."""
    hook = shell.displayhook
    begin = hook.start_displayhook

    def start_displayhook() -> None:
        outlet.flush()
        begin()

    hook.start_displayhook = start_displayhook


def _keep_engine_names(shell: Any) -> None:
    """Put the engine's own names beside IPython's, now and after each `%reset`."""
    init_user_ns = shell.init_user_ns

    def init() -> None:
        init_user_ns()
        for name, value in ENGINE_NAMES.items():
            shell.user_ns.setdefault(name, value)
            shell.user_ns_hidden[name] = value

    shell.init_user_ns = init
    init()


def warm_up(kernel: WorkerKernel) -> None:
    """Run a cell without leaving a trace, so that what is imported and cached at first use is there before a fork."""
    shell = kernel.shell
    asyncio.run(kernel.do_execute("(1, 'a')[0]; None", True))
    shell.displayhook.compute_format_data([1, "a"])
    try:
        raise ValueError("warm-up")
    except ValueError:
        shell.InteractiveTB.structured_traceback(*sys.exc_info())
    kernel.do_is_complete("if x:")
    shell.last_execution_result = None


def become_worker(kernel: WorkerKernel, session: str) -> None:
    """Make the forked kernel one of its own: nothing that identifies it may be that of its siblings."""
    kernel.ident = str(uuid.uuid4())
    kernel.session.session = session
    kernel.session.pid = os.getpid()
    kernel.watch = kernel.latest_changes = None
    kernel.shell.displayhook.topic = kernel._topic("execute_result")
    # Cells are named after the first process of the kernel, so that a cell has one name before and after a rollback.
    folder = compiler.get_tmp_directory()
    compiler.get_tmp_directory = lambda: folder
    name = os.environ.get("JPY_SESSION_NAME")
    if name:
        kernel.shell.user_ns["__session__"] = name
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        # `random` does this by itself after a fork.
        numpy_random.seed()


def pad_history(shell: Any, execution_count: int) -> None:
    """Make `In` as long as the number of the next cell says, so that `In[n]` is cell n."""
    history = shell.history_manager
    for inputs in (history.input_hist_parsed, history.input_hist_raw):
        inputs.extend([""] * (execution_count - len(inputs)))


def remember_input(shell: Any, number: int, code: str) -> None:
    """Put the text of cell `number`, which another process ran, into `In`."""
    history = shell.history_manager
    pad_history(shell, number)
    if number < len(history.input_hist_raw):
        history.input_hist_raw[number] = history.input_hist_parsed[number] = code
        shell.user_ns[f"_i{number}"] = code
    else:
        history.store_inputs(number, code)
