"""What a checkpoint's bytes call to make objects. Invariant: the names here and the meaning of their arguments never
change, since checkpoints of earlier releases refer to them; a new way gets a new name.
"""

from __future__ import annotations

import functools
import importlib
import marshal
import sys
import threading
import types
import typing
from importlib.util import MAGIC_NUMBER
from typing import Any

from savepoint.handlers import Handler, take_over

from . import anchors, sources
from .verdict import Unloadable

# ------------------------------------------------------------------------------------------------ code and classes


def anchor(name: str) -> Any:
    """What belongs to this process; see `anchors`."""
    found = anchors.find(name)
    if found is None:
        raise Unloadable(f"there is no {name} in this process")
    return found


def module(name: str) -> Any:
    """A module by its name."""
    return importlib.import_module(name)


def made_module(name: str, listed: bool) -> types.ModuleType:
    """A module that was made by hand; `listed`: it was to be found in sys.modules."""
    made = types.ModuleType(name)
    if listed:
        sys.modules.setdefault(name, made)
    return made


def set_module(made: types.ModuleType, contents: dict[str, Any]) -> None:
    vars(made).update(contents)


def code(magic: bytes, bytecode: bytes, place: tuple[str, int, str, tuple[str, ...], int]) -> types.CodeType:
    """Bytecode, compiled anew from its source where another version of Python has made it."""
    if magic != MAGIC_NUMBER:
        return sources.compile_anew(*place)
    made: types.CodeType = marshal.loads(bytecode)
    return made


def function(code: types.CodeType, namespace: dict[str, Any], name: str, closure: Any) -> types.FunctionType:
    """A function of the user's, over the living namespace."""
    return types.FunctionType(code, namespace, name, None, closure)


def function_of_module(owner: types.ModuleType, code: types.CodeType, name: str, closure: Any) -> types.FunctionType:
    """A function of a module that was made by hand."""
    return types.FunctionType(code, vars(owner), name, None, closure)


def set_enum(made: Any, state: tuple[Any, Any, dict[str, dict[str, Any]]]) -> None:
    """An Enum, whose members have attributes."""
    set_class, of_class, carried = state
    set_class(made, of_class)
    for name, attributes in carried.items():
        vars(made[name]).update(attributes)


def set_function(made: types.FunctionType, state: dict[str, Any]) -> None:
    for name, value in state.items():
        if name == "__dict__":
            vars(made).update(value)
        elif name != "__type_params__" or value:
            setattr(made, name, value)


def empty_cell() -> types.CellType:
    return types.CellType()


def set_cell(cell: types.CellType, contents: tuple[Any]) -> None:
    (cell.cell_contents,) = contents


def cached_function(wrapped: Any, maxsize: int | None, typed: bool) -> Any:
    return functools.lru_cache(maxsize, typed)(wrapped)


def set_plainly(made: Any, state: Any) -> None:
    """The state of an object whose class answers for attributes that are not there: nothing is asked of it."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    if attributes:
        object.__getattribute__(made, "__dict__").update(attributes)
    for name, value in (slots or {}).items():
        object.__setattr__(made, name, value)


def set_attributes(made: Any, attributes: dict[str, Any]) -> None:
    vars(made).update(attributes)


def new_type(name: str, supertype: Any, module: str, qualname: str) -> Any:
    made = typing.NewType(name, supertype)
    made.__module__, made.__qualname__ = module, qualname
    return made


def type_parameter(kind: str, name: str, module: str, bound: dict[str, Any]) -> Any:
    made = getattr(typing, kind)(name, **bound)
    made.__module__ = module
    return made


def set_exception(error: BaseException, state: tuple[Any, Any, Any, bool]) -> None:
    attributes, error.__cause__, error.__context__, error.__suppress_context__ = state
    if isinstance(attributes, dict):
        vars(error).update(attributes)
    elif attributes is not None:
        error.__setstate__(attributes)  # type: ignore[attr-defined]


def by_handler(kind: str, save: Any, load: Any, verdict: str, state: Any) -> Any:
    """An object of a class for which the user had registered a handler, which serves here from now on, too."""
    take_over(Handler(kind, save, load, verdict))
    return load(state)


# --------------------------------------------------------------------------------------------------------- states


def lock(locked: bool) -> Any:
    made = threading.Lock()
    if locked:
        made.acquire()
    return made


def reentrant_lock(count: int) -> Any:
    made = threading.RLock()
    for _ in range(count):
        made.acquire()
    return made


def simple_queue(items: list[Any]) -> Any:
    import queue

    made: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for item in items:
        made.put(item)
    return made


def thread_local(attributes: dict[str, Any]) -> threading.local:
    made = threading.local()
    vars(made).update(attributes)
    return made


def thread_pool(workers: int, prefix: str, initializer: Any, arguments: tuple[Any, ...]) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    return ThreadPoolExecutor(workers, prefix, initializer, arguments)


def context_variable(name: str, default: tuple[Any, ...], present: tuple[Any, ...]) -> Any:
    from contextvars import ContextVar

    made: ContextVar[Any] = ContextVar(name, default=default[0]) if default else ContextVar(name)
    if present:
        made.set(present[0])
    return made


# ---------------------------------------------------------------------------------------------------------- links


class _Nothing:
    """Something to refer to weakly, and to let go."""


def weak_reference(referents: tuple[Any, ...], callback: Any, kind: Any) -> Any:
    """A weak reference; to nothing if there is no referent. It dies as usual unless something else holds it."""
    return kind(*(referents or (_Nothing(),)), *(() if callback is None else (callback,)))


def weak_proxy(referents: tuple[Any, ...]) -> Any:
    import weakref

    return weakref.proxy(*(referents or (_Nothing(),)))


def weak_mapping(kind: type, items: list[tuple[Any, Any]]) -> Any:
    made = kind()
    for key, value in items:
        made[key] = value
    return made


def weak_set(items: list[Any]) -> Any:
    import weakref

    return weakref.WeakSet(items)


def finalizer(call: Any, atexit: bool) -> Any:
    import weakref

    if call is None:
        made = weakref.finalize(_Nothing, print)
        made.detach()
        return made
    referent, function, arguments, named = call
    made = weakref.finalize(referent, function, *arguments, **named)
    made.atexit = atexit
    return made


def view_of_dict(mapping: dict[Any, Any], name: str) -> Any:
    """`mapping.keys()`, `.values()` or `.items()`."""
    return getattr(mapping, name)()


def read_only(mapping: Any) -> Any:
    return types.MappingProxyType(mapping)


def class_attributes(owner: type) -> Any:
    return vars(owner)


def memory(exporter: Any, offset: int, nbytes: int, format: str, shape: tuple[int, ...], readonly: bool) -> memoryview:
    """A memoryview of a part of `exporter`."""
    view = memoryview(exporter).cast("B")[offset : offset + nbytes]
    view = view.toreadonly() if readonly else view
    if format == "B" and len(shape) == 1:
        return view
    return view.cast(format, shape)  # type: ignore[call-overload, no-any-return]
