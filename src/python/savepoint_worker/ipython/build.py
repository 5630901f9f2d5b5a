"""From nothing to a kernel that can be forked, and from the fork to a kernel of its own."""

from __future__ import annotations

import asyncio
import os
import sys
import uuid
from typing import Any

from ipykernel import compiler

from .. import interrupts
from ..debug import facts
from ..reporting import Reporter
from . import magics, prompt, transforms
from .app import WorkerApp
from .kernel import WorkerKernel
from .streams import Outlet

#: What the engine keeps in the user's namespace, in addition to IPython's: how the last `!command` and the last error
#: ended. Their values at the beginning.
ENGINE_NAMES: dict[str, Any] = {"_exit_code": 0, "_exception": None}


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
    _show_results_apart(type(shell.displayhook))
    # An interrupt inside of it would leave a lock behind, and the next cell would wait for ever.
    manager = shell.history_manager
    manager.store_inputs = interrupts.shielded(manager.store_inputs)
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


def _show_results_apart(hook: type) -> None:
    """Let each thread have the result that it is about to publish; cells of subshells would exchange theirs."""

    def msg(self: Any) -> dict[str, Any] | None:
        return getattr(self._thread_local, "msg", None)

    def set_msg(self: Any, message: dict[str, Any] | None) -> None:
        self._thread_local.msg = message

    setattr(hook, "msg", property(msg, set_msg))  # noqa: B010


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
