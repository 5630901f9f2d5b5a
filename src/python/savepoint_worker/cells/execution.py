"""Running one cell: what ipykernel's `do_execute` does, without its detours.

The order of events, the errors and the reply are ipykernel's. What is left out costs time and has no use here: a
signature looked up per cell, a pause before each reply, a task per asynchronous cell. Both kinds of cells run in the
one task that serves requests, so that they share its context variables.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from inspect import signature
from typing import Any, NamedTuple

from IPython.core import history
from IPython.core.interactiveshell import InteractiveShell, _asyncio_runner

from .. import interrupts, own_limits
from ..reporting import LeaveCell, Reporter, safe_text
from . import exit_codes, modes
from .changes import Changes, Watch

#: How IPython 9 keeps an output.
HistoryOutput: Any = getattr(history, "HistoryOutput", None)
#: How much of what a cell prints is kept for `%notebook`.
OUTPUT_HISTORY_CHARACTERS_MAX = 1_000_000

# Which of these IPython's method takes depends on its version.
_CELL_PARAMETERS = signature(InteractiveShell.run_cell_async).parameters.keys() & {"cell_id", "cell_meta"}


NO_CHANGES = Changes([], [], [])


class Outcome(NamedTuple):
    """What becomes of a cell: the content of its reply, and facts about it."""

    content: dict[str, Any]
    mode: str
    seconds: float
    changes: Changes


class _Run:
    """A cell while it runs."""

    def __init__(self, kernel: Any, content: dict[str, Any], metadata: dict[str, Any]) -> None:
        self.shell = kernel.shell
        self.reporter: Reporter = kernel.reporter
        self.code: str = content["code"]
        self.silent: bool = content.get("silent", False)
        self.store_history: bool = content.get("store_history", not self.silent) and not self.silent
        self.user_expressions: dict[str, str] = content.get("user_expressions") or {}
        self.metadata = metadata
        self.mode = modes.UNKNOWN
        self.result: Any = None
        self.expressions: dict[str, Any] = {}

    async def run(self) -> None:
        """Run the cell, then what listens for its end, then the user's expressions if all went well."""
        shell = self.shell
        failure = None
        try:
            transformed = shell.transform_cell(self.code)
        except Exception:
            transformed, failure = self.code, sys.exc_info()
        else:
            self.mode = modes.classify(transformed, shell.user_ns)
        if self.mode.awaits and shell.autoawait and shell.loop_runner is not _asyncio_runner:
            # Another framework's runner (trio, curio) takes the thread for the length of the cell.
            self.result = shell.run_cell(
                self.code,
                store_history=self.store_history,
                silent=self.silent,
                **_cell_arguments(self.metadata),
            )
        else:
            try:
                self.result = await shell.run_cell_async(
                    self.code,
                    store_history=self.store_history,
                    silent=self.silent,
                    transformed_cell=transformed,
                    preprocessing_exc_tuple=failure,
                    **_cell_arguments(self.metadata),
                )
            finally:
                shell.events.trigger("post_execute")
                if not self.silent:
                    shell.events.trigger("post_run_cell", self.result)
        if isinstance(self.result.error_before_exec, SyntaxError):
            self.mode = modes.UNKNOWN
        if self.user_expressions and self.succeeded:
            self.expressions = shell.user_expressions(self.user_expressions)

    @property
    def error(self) -> BaseException | None:
        result = self.result
        return result.error_before_exec if result.error_before_exec is not None else result.error_in_exec

    @property
    def succeeded(self) -> bool:
        return isinstance(self.error, LeaveCell) or (self.error is None and not self.reporter.result_failed)


async def execute(kernel: Any, content: dict[str, Any], metadata: dict[str, Any]) -> Outcome:
    """Run the cell of an execute_request, and make the content of its reply. Raises nothing that the cell raised."""
    shell = kernel.shell
    cell = _Run(kernel, content, metadata)
    count = shell.execution_count
    shell._last_traceback = None
    kernel.reporter.cell_begins()
    # Interrupts, and the account of what became of names and outputs, are the main shell's.
    in_main = threading.get_ident() == threading.main_thread().ident
    watch = watch_of(kernel) if in_main else None
    outlet = kernel.parent.outlet
    if watch is not None:
        watch.cell_begins(cell.code)
        exit_codes.before_cell(shell, cell.code)
        outlet.flush()
        outlet.listener = _output_history(shell, count)
    began = time.perf_counter()
    own_limits.tighten()
    try:
        await (interrupts.run(cell.run()) if in_main else cell.run())
        escaped = None
    except BaseException as raised:
        # IPython reports what the cell's own code raises. This was raised in IPython itself, or by a listener.
        escaped = raised
    own_limits.relax()
    seconds = time.perf_counter() - began
    if cell.store_history and shell.execution_count == count and not _is_blank(cell.code):
        # The number was shown to clients already.
        shell.execution_count += 1
    error = escaped if escaped is not None else cell.error
    if isinstance(error, LeaveCell) or (escaped is None and cell.succeeded):
        reply: dict[str, Any] = {"status": "ok"}
    else:
        if escaped is not None:
            shell.showtraceback((type(escaped), escaped, escaped.__traceback__))
        if error is not None:
            shell.user_ns["_exception"] = error
            exit_codes.note_exit(shell, error)
        reply = _error_content(kernel, error)
    reply["execution_count"] = shell.execution_count - 1
    reply["user_expressions"] = cell.expressions
    if in_main:
        outlet.flush()
        outlet.listener = None
    reply["payload"] = shell.payload_manager.read_payload()
    shell.payload_manager.clear_payload()
    changes = NO_CHANGES
    if watch is not None:
        changes = watch.changes()
        kernel.latest_changes = (reply["execution_count"], changes)
    return Outcome(reply, cell.mode.name, seconds, changes)


def watch_of(kernel: Any) -> Watch:
    """What follows the kernel's namespace."""
    shell = kernel.shell
    if kernel.watch is None or kernel.watch.namespace is not shell.user_ns:
        kernel.watch = Watch(shell.user_ns, shell.user_ns_hidden)
    return kernel.watch


def _output_history(shell: Any, count: int) -> Callable[[str, str], None] | None:
    """Keeps what cell `count` prints where IPython keeps outputs, for `%notebook`. None if this IPython keeps none."""
    if HistoryOutput is None:
        return None
    room = OUTPUT_HISTORY_CHARACTERS_MAX
    outputs = shell.history_manager.outputs

    def listen(name: str, text: str) -> None:
        nonlocal room
        if room <= 0:
            return
        kind = "out_stream" if name == "stdout" else "err_stream"
        recorded = outputs[count]
        if not recorded or recorded[-1].output_type != kind:
            recorded.append(HistoryOutput(output_type=kind, bundle={"stream": []}))
        recorded[-1].bundle["stream"].append(text[:room])
        room -= len(text)

    return listen


def _error_content(kernel: Any, error: BaseException | None) -> dict[str, Any]:
    """The part of an execute_reply that says what failed; without an error, what was shown last."""
    shown = kernel.reporter.shown
    if error is not None or shown is None:
        ename, evalue = type(error).__name__, safe_text(error)
    else:
        # Raised while the result was made presentable.
        ename, evalue = shown
    return {
        "status": "error",
        "ename": ename,
        "evalue": evalue,
        "traceback": kernel.reporter.lines,
        "engine_info": {"engine_uuid": kernel.ident, "engine_id": kernel.int_id, "method": "execute"},
    }


def reply_metadata(kernel: Any, started: datetime, outcome: Outcome) -> dict[str, Any]:
    """The metadata of an execute_reply."""
    return {
        "started": started.isoformat().replace("+00:00", "Z"),
        "dependencies_met": outcome.content.get("ename") != "UnmetDependency",
        "engine": kernel.ident,
        "status": outcome.content["status"],
        "savepoint": {
            "mode": outcome.mode,
            "execution_time": outcome.seconds,
            "changes": outcome.changes.report(),
            "warnings": outcome.changes.warnings(),
        },
    }


def now() -> datetime:
    """The present, in UTC."""
    return datetime.now(timezone.utc)


def _cell_arguments(metadata: dict[str, Any]) -> dict[str, Any]:
    given = {"cell_id": metadata.get("cellId"), "cell_meta": metadata}
    return {name: given[name] for name in _CELL_PARAMETERS}


def _is_blank(code: str) -> bool:
    return not code or code.isspace()
