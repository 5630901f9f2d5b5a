"""What runs, or will: generators, coroutines, threads, futures, event loops, processes, sockets.

Where it stands in its code cannot be kept. But one that has not begun is a function and its arguments, and one that has
ended is its result; both can be made again.
"""

from __future__ import annotations

import gc
import inspect
import subprocess
import threading
import types
from typing import Any

from .. import rebuild_running, surroundings
from ..handlers import register
from ..verdict import Unsaveable

_STANDS = "where a generator or coroutine stands in its code cannot be saved"
#: Of a thread, what its successor makes for itself.
_OWN_OF_THREAD = (
    "_invoke_excepthook", "_stderr", "_started", "_handle", "_os_thread_handle", "_tstate_lock", "_is_stopped",
    "_join_lock", "_context",
)  # fmt: skip


@register("builtins.generator")
def generator(pickler: Any, value: types.GeneratorType[Any, Any, Any]) -> Any:
    """One that was not started, or has ended."""
    state = inspect.getgeneratorstate(value)
    return _generator(value, state, value.gi_code, value.gi_frame)


@register("builtins.coroutine")
def coroutine(pickler: Any, value: types.CoroutineType[Any, Any, Any]) -> Any:
    """One that was not awaited yet, or has ended."""
    state = inspect.getcoroutinestate(value).replace("CORO_", "GEN_")
    return _generator(value, state, value.cr_code, value.cr_frame)


@register("builtins.async_generator")
def async_generator(pickler: Any, value: types.AsyncGeneratorType[Any, Any]) -> Any:
    """One that was not started; older Pythons do not tell."""
    if not hasattr(inspect, "getasyncgenstate"):
        raise Unsaveable(_STANDS, value)
    state = inspect.getasyncgenstate(value).replace("AGEN_", "GEN_")
    if state == "GEN_CLOSED":
        raise Unsaveable("an asynchronous generator that has ended cannot be saved", value)
    return _generator(value, state, value.ag_code, value.ag_frame)


def _generator(value: Any, state: str, code: types.CodeType, frame: types.FrameType | None) -> Any:
    if state == "GEN_CLOSED":
        return rebuild_running.ended, (type(value).__name__, value.__name__, value.__qualname__)
    if state != "GEN_CREATED" or frame is None:
        raise Unsaveable(_STANDS, value)
    functions = [
        each for each in gc.get_referents(value) if type(each) is types.FunctionType and each.__code__ is code
    ]
    if len(functions) != 1:
        # Python 3.10 does not show it; without variables of other functions, another one does as well.
        if code.co_freevars:
            raise Unsaveable("the function that it comes from cannot be had in this version of Python", value)
        functions = [types.FunctionType(code, frame.f_globals, code.co_name)]
    given = frame.f_locals
    try:
        names = iter(code.co_varnames)
        positional = [given[next(names)] for _ in range(code.co_argcount)]
        named = {name: given[name] for name in (next(names) for _ in range(code.co_kwonlyargcount))}
        if code.co_flags & inspect.CO_VARARGS:
            positional += given[next(names)]
        if code.co_flags & inspect.CO_VARKEYWORDS:
            named |= given[next(names)]
    except KeyError:
        raise Unsaveable("its arguments cannot be had", value) from None
    return rebuild_running.begun, (functions[0], positional, named, value.__name__, value.__qualname__)


@register("threading.Thread")
def thread(pickler: Any, value: threading.Thread) -> Any:
    """One that was not started, or has ended."""
    began = value.ident is not None or value._started.is_set()  # type: ignore[attr-defined]
    if began and surroundings.may_run(value):
        raise Unsaveable("a running thread cannot be saved", value)
    state = {name: item for name, item in vars(value).items() if name not in _OWN_OF_THREAD}
    return rebuild_running.thread, (type(value), began), state, None, None, rebuild_running.set_thread


@register("_asyncio.Future", "asyncio.futures.Future")
def future(pickler: Any, value: Any) -> Any:
    """With its result, if it has one; without what waits for it."""
    task = "Task" in type(value).__name__
    if not value.done() and (task or "Gathering" in type(value).__name__):
        raise Unsaveable("a task that has not ended cannot be saved", value)
    if task:
        pickler.note("of a task that has ended, its result is kept, as a future's")
    if not value.done() and value._callbacks:
        pickler.note("what waits for a future is not kept")
    return rebuild_running.future, (value.get_loop(), *_result(value))


@register("concurrent.futures._base.Future")
def concurrent_future(pickler: Any, value: Any) -> Any:
    """One that is done."""
    if not value.done():
        raise Unsaveable("a future cannot be saved without the executor that works on it", value)
    return rebuild_running.concurrent_future, _result(value)


def _result(value: Any) -> tuple[str, Any]:
    if not value.done():
        return "pending", None
    if value.cancelled():
        return "cancelled", None
    # Read past the methods: asking for an exception marks it as seen.
    error = value._exception
    return ("failed", error) if error is not None else ("done", value._result)


@register("asyncio.unix_events._UnixSelectorEventLoop")
def event_loop(pickler: Any, value: Any) -> Any:
    """One that has nothing to do, or is closed."""
    if value.is_closed():
        return rebuild_running.event_loop, (True, value.get_debug())
    watched = value._selector.get_map() or {}
    if value.is_running() or value._ready or value._scheduled or len(watched) > 1:
        raise Unsaveable("an event loop that has something to do cannot be saved", value)
    return rebuild_running.event_loop, (False, value.get_debug())


@register("subprocess.Popen", subclasses=False)
def process(pickler: Any, value: subprocess.Popen[Any]) -> Any:
    """What is known of a process that has ended."""
    if value.returncode is None:
        raise Unsaveable("a process is not part of the kernel's state", value)
    if any(stream is not None and not stream.closed for stream in (value.stdin, value.stdout, value.stderr)):
        raise Unsaveable("the process has ended, but what it wrote was not read yet", value)
    state = {name: item for name, item in vars(value).items() if name not in ("_waitpid_lock", "stdin", "stdout", "stderr")}
    return rebuild_running.process, (), state, None, None, rebuild_running.set_process


@register("socket.socket", subclasses=False)
def idle_socket(pickler: Any, value: Any) -> Any:
    """One that is neither bound nor connected."""
    descriptor = value.fileno()
    if descriptor == -1:
        return rebuild_running.idle_socket, (int(value.family), int(value.type), value.proto, True, None, [])
    facts = surroundings.socket_facts(descriptor)
    if facts is None or not facts.idle:
        raise Unsaveable("an open connection cannot be saved", value)
    arguments = (int(value.family), int(value.type), value.proto, False, value.gettimeout(), facts.options)
    return rebuild_running.idle_socket, arguments
