"""Locks, queues, executors, context variables, exceptions, random generators: objects that are mostly a state."""

from __future__ import annotations

import threading
from typing import Any

from .. import rebuild
from ..handlers import register, register_exact
from ..verdict import EQUAL, Unsaveable

register_exact(
    [
        "builtins.complex", "builtins.range", "builtins.slice", "builtins.ellipsis", "builtins.NotImplementedType",
        "builtins.NoneType", "builtins.builtin_function_or_method", "builtins.method", "builtins.method_descriptor",
        "builtins.wrapper_descriptor", "builtins.property", "builtins.staticmethod", "builtins.classmethod",
        "array.array", "collections.Counter", "collections.OrderedDict", "collections.defaultdict", "collections.deque",
        "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone",
        "decimal.Decimal", "fractions.Fraction", "functools.partial", "io.BytesIO", "io.StringIO", "_io.BytesIO",
        "_io.StringIO", "operator.attrgetter", "operator.itemgetter", "operator.methodcaller", "pathlib.PosixPath",
        "pathlib.PurePosixPath", "pathlib.PureWindowsPath", "pathlib._local.PosixPath", "random.Random", "re.Pattern",
        "types.GenericAlias", "types.SimpleNamespace", "types.UnionType", "typing._GenericAlias", "uuid.UUID",
        "zoneinfo.ZoneInfo", "numpy.dtype", "numpy.ufunc", "numpy.random._generator.Generator",
        "numpy._ArrayFunctionDispatcher",
        *(f"numpy.{name}" for name in (
            "bool", "bool_", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16",
            "float32", "float64", "complex64", "complex128", "str_", "bytes_", "datetime64", "timedelta64", "void",
        )),
    ]
)  # fmt: skip


@register("_thread.lock")
def lock(pickler: Any, value: Any) -> Any:
    return rebuild.lock, (value.locked(),)


@register("_thread.RLock")
def reentrant_lock(pickler: Any, value: Any) -> Any:
    """One that this thread holds stays held; one that another thread held is free, for that thread is no more."""
    if not value._is_owned():
        return rebuild.reentrant_lock, (0,)
    state = value._release_save()
    value._acquire_restore(state)
    return rebuild.reentrant_lock, (state[0],)


@register("_queue.SimpleQueue")
def simple_queue(pickler: Any, value: Any) -> Any:
    """Its items can only be seen by taking them out, so they are put back."""
    items = [value.get_nowait() for _ in range(value.qsize())]
    for item in items:
        value.put(item)
    return rebuild.simple_queue, (items,)


@register("_thread._local", subclasses=False)
def thread_local(pickler: Any, value: threading.local) -> Any:
    """What the main thread has stored in it."""
    return rebuild.thread_local, (dict(vars(value)),)


@register("concurrent.futures.thread.ThreadPoolExecutor")
def thread_pool(pickler: Any, value: Any) -> Any:
    """A new pool like it, if this one is at rest."""
    if value._shutdown or value._broken:
        raise Unsaveable("the executor was shut down")
    if value._work_queue.qsize() or len(value._threads) > value._idle_semaphore._value:
        raise Unsaveable("the executor is at work; wait for its futures first")
    arguments = (value._max_workers, value._thread_name_prefix, *_initializer(value))
    return rebuild.thread_pool, arguments


def _initializer(pool: Any) -> tuple[Any, tuple[Any, ...]]:
    # From 3.14 on the pool keeps them in a function only.
    return getattr(pool, "_initializer", None), getattr(pool, "_initargs", ())


@register("_contextvars.ContextVar")
def context_variable(pickler: Any, value: Any) -> Any:
    """A variable like it, with the value that it has in this context."""
    from contextvars import Context

    try:
        default: tuple[Any, ...] = (Context().run(value.get),)
    except LookupError:
        default = ()
    try:
        present: tuple[Any, ...] = (value.get(),)
    except LookupError:
        present = ()
    return rebuild.context_variable, (value.name, default, present if present != default else ())


@register("builtins.BaseException", rank=EQUAL)
def exception(pickler: Any, value: BaseException) -> Any:
    """With its causes, which pickle forgets; without its traceback, whose frames are gone."""
    if value.__traceback__ is not None:
        pickler.note("the traceback is not kept")
    make, arguments, *rest = value.__reduce_ex__(5)
    if len(rest) > 1:
        return NotImplemented
    state = (rest[0] if rest else None, value.__cause__, value.__context__, value.__suppress_context__)
    return make, arguments, state, None, None, rebuild.set_exception
