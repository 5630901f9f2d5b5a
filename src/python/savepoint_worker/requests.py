"""One request of a client: from the frame to the reply. Every request is answered by exactly one `reply` frame."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from datetime import datetime
from resource import RUSAGE_SELF, getrusage, struct_rusage
from typing import TYPE_CHECKING, Any

from savepoint.errors import SavepointError

from . import interrupts
from .ahead import Ahead, following
from .ipython import history
from .ipython.session import pack
from .link import Bytes, Frame, LinkClosed, Queued, encode_frame, parse
from .reporting import safe_text

if TYPE_CHECKING:
    from .besides import Besides
    from .worker import Worker

#: Enough to say what failed; the whole text is in the reply's content.
EVALUE_CHARACTERS_MAX = 2000
#: Fewer page faults are not told of.
FAULTS_MIN = 1000
#: How a request can end, as the gateway sees it.
STATUSES = ("ok", "error", "aborted")


class Request:
    """A request that is being served."""

    def __init__(self, frame: Frame) -> None:
        envelope = frame.envelope
        self.seq: int = envelope["seq"]
        self.type: str = envelope["type"]
        self.execution_count: int | None = envelope.get("execution_count")
        self.permit: dict[str, str] | None = envelope.get("permit")
        #: For the guard: a copy before the cell, and one behind its reply.
        self.refresh: dict[str, str] | None = envelope.get("refresh")
        self.guard: dict[str, str] | None = envelope.get("guard")
        #: Header of the latest request on control; None if it is known.
        self.control: dict[str, Any] | None = envelope.get("control")
        self.message = _message(frame, self.type)
        self.msg_id: str | None = self.message["msg_id"]
        #: What the process had used when the cell began, and when that was; None: nobody wants to know.
        self.began: tuple[struct_rusage, float] | None = None
        #: False once it was answered, or belongs to a past that was rolled back.
        self.open = True
        #: The reply, once there is one.
        self.answer: Queued | None = None
        #: The cell that is begun behind the reply.
        self.ahead: Ahead | None = None


async def serve(worker: Worker, frame: Frame) -> None:
    """Serve the request in `frame` and answer it. Raises only what ends the worker."""
    request = worker.request = Request(frame)
    try:
        try:
            if request.type == "execute_request":
                _cell_begins(worker)
            await _handle(worker, request)
        except BaseException as error:
            fail(worker, request, error)
        answer_at_last(worker, request)
    finally:
        worker.request = None
        worker.warmth.cell_ends()
        interrupts.end_request(request.seq)
        guarded(worker, interrupts.reinstall)
        if request.guard is not None:
            # Behind the reply, so that it is frozen while the client takes its turn. In a copy that was woken nothing
            # of this request is left to be done.
            guarded(worker, freeze, worker, request.guard)
        if request.ahead is not None:
            guarded(worker, request.ahead.begin, worker._requests._queue)  # type: ignore[attr-defined]


def _cell_begins(worker: Worker) -> None:
    worker.warmth.cell_begins()
    if worker.debugger is not None:
        worker.debugger.cell_begins()
    if worker.besides.waiting:
        # They are served when the cell lets the loop run.
        worker.loop.call_soon(worker.besides.serve_waiting)


def answer_at_last(worker: Worker, request: Request, besides: Besides | None = None) -> None:
    """At the end of `request`: send what is still to be sent, and answer it if nobody has, whatever is broken."""
    flush(worker)
    if request.answer is not None:
        worker.link.send_once(request.answer)
    elif request.open:
        guarded(worker, reply, worker, request, {}, {}, besides)
        if request.answer is not None:
            worker.link.send_once(request.answer)


def flush(worker: Worker) -> None:
    """Send what was written so far, even if a stream of the user's own cannot be flushed."""
    guarded(worker, worker.flush_streams)
    guarded(worker, worker.outlet.flush)


def guarded(worker: Worker, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call what must not keep a reply back: what it raises is logged, and None returned. Only a lost link is fatal."""
    try:
        return function(*arguments)
    except LinkClosed:
        raise
    except BaseException as error:
        worker.leave_fork(1)
        name = getattr(function, "__qualname__", "A function")
        try:
            worker.log("warn", f"{name} failed around a reply: {type(error).__name__}: {safe_text(error)}")
        except LinkClosed:
            raise
        except BaseException:
            # A signal handler of the user's again. The line is queued, or it is not.
            pass
        return None


def fail(worker: Worker, request: Request, error: BaseException, besides: Besides | None = None) -> None:
    """Answer a request whose handler has raised `error`. Raises it if it is the end of the link."""
    worker.leave_fork(1)
    if isinstance(error, LinkClosed):
        raise error
    if request.type.startswith("comm_"):
        worker.log("error", f"A {request.type} message could not be handled: {type(error).__name__}.")
    elif request.open:
        content = error_content(error)
        if request.type == "execute_request":
            guarded(worker, worker.kernel.reporter.publish, type(error), error, content["traceback"])
        reply(worker, request, content, {}, besides)


async def _handle(worker: Worker, request: Request) -> None:
    kernel, message = worker.kernel, request.message
    header = message["header"]
    guarded(worker, kernel.set_parent, [str(header.get("session", "")).encode()], message)
    if request.control is not None:
        # The gateway has served it; libraries may ask the kernel whose it was.
        parent = {"header": request.control, "parent_header": {}, "metadata": {}, "content": {}, "buffers": []}
        guarded(worker, kernel.set_parent, [str(request.control.get("session", "")).encode()], parent, "control")
    guarded(worker, worker.attribute_streams, header)
    if type(message["content"]) is not dict:
        reply(worker, request, error_content(ValueError("The content of the request is no JSON object.")), {})
        return
    # Libraries that poll the client in mid-cell put handlers of their own into this table.
    handler = kernel.shell_handlers.get(request.type)
    if handler is None:
        return
    guarded(worker, kernel.pre_handler_hook)
    try:
        if request.type == "execute_request":
            if request.execution_count is not None:
                count = request.execution_count
                # Subshells count, too: one of their cells may have ended since the gateway chose the number.
                worker._set_execution_count(max(count, worker.shell.execution_count) if worker.subshells else count)
            if request.refresh is not None and freeze(worker, request.refresh):
                return
            if request.permit is not None and worker.take(request.permit) is not None:
                # This copy was woken, so the cell was rolled back, and the gateway has answered.
                return
            if request.guard is not None or request.refresh is not None:
                request.began = getrusage(RUSAGE_SELF), time.perf_counter()
            # It aims interrupts at the cell by itself.
            result = handler(kernel.shell_stream, kernel._parent_ident["shell"], message)
            if inspect.isawaitable(result):
                await result
        else:
            await interrupts.run(_call(handler, kernel.shell_stream, kernel._parent_ident["shell"], message))
    except BaseException as error:
        fail(worker, request, error)
    finally:
        guarded(worker, kernel.post_handler_hook)


def freeze(worker: Worker, permit: dict[str, str]) -> bool:
    """Freeze a copy for the guard. True in the copy, once it was woken. That it cannot be made is told by `taken`."""
    try:
        return worker.take(permit) is not None
    except SavepointError:
        return False


async def _call(handler: Any, *arguments: Any) -> None:
    result = handler(*arguments)
    if inspect.isawaitable(result):
        await result


@interrupts.held
def reply(
    worker: Worker,
    request: Request,
    content: dict[str, Any],
    metadata: dict[str, Any],
    besides: Besides | None = None,
) -> None:
    """Answer `request`, unless that was done already or it belongs to a past that was rolled back.

    Whatever is broken, it is answered: what cannot be found out is left out, and content that cannot be sent becomes
    an error. `besides`: what waits beside the cell, unless that runs in the main thread.
    """
    if not request.open or request.answer is not None:
        return
    flush(worker)
    facts: dict[str, Any] = {}
    next_cell: Ahead | None = None
    if request.type == "execute_request":
        if besides is None and content.get("status") == "ok":
            next_cell = guarded(worker, following, worker, request)
        besides = besides or worker.besides
        if besides.waiting or besides.begun:
            facts |= guarded(worker, besides.leave) or {}
            if besides.waiting:
                # They are given back by the loop.
                besides.serve_soon()
        facts |= _cost(request)
        facts |= guarded(worker, history.told, worker.shell, request.execution_count) or {}
    if worker.link.got:
        facts["got"] = worker.link.got
    try:
        begins = {} if next_cell is None else {"begins": next_cell.seq}
        answer = _encoded(request, content, metadata, facts | begins)
    except BaseException as error:
        if next_cell is not None:
            next_cell.forget()
            next_cell = None
        failure = ValueError(f"The reply could not be sent: {type(error).__name__}: {safe_text(error)}")
        answer = _encoded(request, error_content(failure), {}, facts)
    request.ahead = next_cell
    request.answer = answer, []
    request.open = False
    worker.link.send_once(request.answer)


def _cost(request: Request) -> dict[str, Any]:
    if request.began is None:
        return {}
    before, began = request.began
    after = getrusage(RUSAGE_SELF)
    faults = after.ru_minflt - before.ru_minflt
    if faults < FAULTS_MIN:
        return {}
    system = after.ru_stime - before.ru_stime
    cpu = system + after.ru_utime - before.ru_utime
    return {
        "faults": faults,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": cpu,
        "system_seconds": system,
    }


def _encoded(request: Request, content: dict[str, Any], metadata: dict[str, Any], facts: dict[str, Any]) -> list[Bytes]:
    # Some replies have words of their own there: whether code is complete, or what a library made up.
    status = content.get("status")
    known = status is None or (isinstance(status, str) and status in STATUSES)
    envelope = {"kind": "reply", "seq": request.seq, "status": status if known else "ok"}
    if status == "error":
        envelope["ename"] = str(content.get("ename"))[:EVALUE_CHARACTERS_MAX]
        envelope["evalue"] = str(content.get("evalue"))[:EVALUE_CHARACTERS_MAX]
    return encode_frame(envelope | facts, (pack(content), pack(metadata)))


def error_content(error: BaseException) -> dict[str, Any]:
    """The content of a reply to a request that failed outside of user code."""
    name, text = type(error).__name__, safe_text(error)
    return {"status": "error", "ename": name, "evalue": text, "traceback": [f"{name}: {text}"]}


def _message(frame: Frame, kind: str) -> dict[str, Any]:
    """The message as ipykernel's handlers and third parties expect it."""
    header = _object(frame.parts[0])
    if type(header) is not dict:
        header = {}
    date = header.get("date")
    if type(date) is str:
        try:
            # CPython 3.10 does not know the letter.
            header["date"] = datetime.fromisoformat(date.replace("Z", "+00:00"))
        except ValueError:
            # A client's own idea of a date is passed on as it is.
            pass
    metadata = _object(frame.parts[1])
    return {
        "header": header,
        "msg_id": header.get("msg_id"),
        "msg_type": kind,
        "parent_header": {},
        "metadata": metadata if type(metadata) is dict else {},
        "content": _object(frame.parts[2]),
        "buffers": frame.parts[3:],
    }


def _object(part: memoryview) -> Any:
    try:
        return parse(str(part, "utf-8", "surrogateescape"))
    except (ValueError, RecursionError):
        return None
