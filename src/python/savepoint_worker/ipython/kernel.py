"""ipykernel's kernel with the transport replaced, and nothing that runs by itself.

The classes are ipykernel's own: third parties recognise a notebook by their names and reach into their attributes.
There are no sockets, no threads, no heartbeat and no debugger until somebody needs one; the history is the gateway's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from ipykernel.ipkernel import IPythonKernel
from IPython.core.error import StdinNotImplementedError
from traitlets import Any as AnyTrait
from traitlets import default

from ..besides import Iteration
from ..cells import execution
from ..reporting import Reporter
from . import parse_cache, prompt
from .session import LinkSession

#: The protocol whose messages the gateway and this kernel speak.
PROTOCOL_VERSION = "5.5"


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

    def do_complete(self, code: str, cursor_pos: int | None) -> dict[str, Any]:
        """What the code may go on with at `cursor_pos`, in code points; the content of the reply."""
        if getattr(self.shell.Completer, "use_jedi", False):
            parse_cache.keep_whole()
        return super().do_complete(code, cursor_pos)

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


WorkerKernel.__name__, WorkerKernel.__qualname__ = IPythonKernel.__name__, IPythonKernel.__qualname__
# Whoever prints it, reads it in an error or asks where it comes from sees what he knows.
WorkerKernel.__module__ = IPythonKernel.__module__
