"""Objects of the standard library that can be asked for their state, and be given it."""

from __future__ import annotations

import gc
import random
import types
from typing import TYPE_CHECKING, Any

from .code import FROZEN
from .containers import is_same_dict
from .kinds import MISSING, NOTHING, Kind, atoms_named, hold, name_of, register

if TYPE_CHECKING:
    from .walk import Walk

_generator: Any = random.Random.__mro__[1]


def _save_random(obj: Any, walk: Walk) -> Any:
    return _generator.getstate(obj)


def _put_back_random(obj: Any, state: Any) -> None:
    _generator.setstate(obj, state)


def attributes(*names: str, frozen: bool = False) -> Kind:
    """Objects whose state is what attributes of these names hold; what there is not is left out."""

    def save(obj: Any, walk: Walk) -> Any:
        values = [getattr(obj, name, MISSING) for name in names]
        walk.push(values)
        return values

    def put_back(obj: Any, values: list[Any]) -> None:
        for name, value in zip(names, values):
            present = getattr(obj, name, MISSING)
            if present is not value:
                hold(present)
                setattr(obj, name, value)

    return Kind(save, None if frozen else put_back, links=True)


def _fields_of(obj: BaseException) -> list[Any]:
    """Descriptors of what an exception has in C, beside what all exceptions have."""
    return [
        each
        for kind in type(obj).__mro__
        if kind.__module__ == "builtins"
        for each in vars(kind).values()
        if type(each) is types.MemberDescriptorType
    ]


_ERROR = [BaseException.__dict__[name] for name in ("args", "__traceback__", "__context__", "__cause__")]
_suppress: Any = BaseException.__dict__["__suppress_context__"]


def _save_error(obj: Any, walk: Walk) -> Any:
    values = [(each, each.__get__(obj)) for each in [*_ERROR, *_fields_of(obj)]]
    walk.push([value for _, value in values])
    return values, _suppress.__get__(obj)


def _put_back_error(obj: Any, state: Any) -> None:
    values, suppress = state
    for each, value in values:
        present = each.__get__(obj)
        if present is not value and each is not _suppress:
            hold(present)
            each.__set__(obj, value)
    _suppress.__set__(obj, suppress)


def _save_view(obj: Any, walk: Walk) -> Any:
    try:
        walk.push([obj.obj])
    except ValueError:
        # It was released.
        return NOTHING
    return True


def _put_back_view(obj: Any, state: Any) -> str | None:
    try:
        return None if obj.obj is not None else "memoryview"
    except ValueError:
        return "memoryview, which was released,"


def _save_map(obj: Any, walk: Walk) -> Any:
    if obj.closed or memoryview(obj).readonly:
        return NOTHING
    content: list[bytes] = []
    walk.buffer(len(obj), lambda: content.append(obj[:]))
    return content, obj.tell()


def _put_back_map(obj: Any, state: Any) -> None:
    content, position = state
    if len(obj) != len(content[0]):
        obj.resize(len(content[0]))
    obj[:] = content[0]
    obj.seek(position)


def _save_queue(obj: Any, walk: Walk) -> Any:
    # Its items can only be seen by taking them out.
    items = [obj.get_nowait() for _ in range(obj.qsize())]
    for item in items:
        obj.put(item)
    walk.push(items)
    return items


def _put_back_queue(obj: Any, items: list[Any]) -> None:
    hold([obj.get_nowait() for _ in range(obj.qsize())])
    for item in items:
        obj.put(item)


def _save_context_variable(obj: Any, walk: Walk) -> Any:
    value = obj.get(MISSING)
    walk.push([value])
    return value


def _put_back_context_variable(obj: Any, value: Any) -> str | None:
    if obj.get(MISSING) is value:
        return None
    if value is MISSING:
        return f"the value of the context variable {obj.name!r}"
    obj.set(value)
    return None


def _save_context(obj: Any, walk: Walk) -> Any:
    values = dict(obj.items())
    walk.push(list(values.values()))
    return values


def _put_back_context(obj: Any, values: dict[Any, Any]) -> str | None:
    present = dict(obj.items())
    for variable, value in values.items():
        if present.pop(variable, MISSING) is not value:
            obj.run(variable.set, value)
    return "values of context variables" if present else None


def _save_element(obj: Any, walk: Walk) -> Any:
    values = [getattr(obj, name) for name in _ELEMENT]
    children = list(obj)
    walk.push(values)
    walk.push(children)
    return values, children


def _put_back_element(obj: Any, state: Any) -> None:
    values, children = state
    for name, value in zip(_ELEMENT, values):
        if getattr(obj, name) is not value:
            setattr(obj, name, value)
    hold(list(obj))
    obj[:] = children


_ELEMENT = ("tag", "text", "tail", "attrib")


def _save_zone(obj: Any, walk: Walk) -> Any:
    return obj.key if obj.key is not None and type(obj)(obj.key) is obj else None


def _put_back_zone(obj: Any, key: Any) -> str | None:
    return None if key is None or type(obj)(key) is obj else "the cache of time zones"


def _save_comm(obj: Any, walk: Walk) -> Any:
    callbacks = [obj._msg_callback, obj._close_callback]
    walk.push(callbacks)
    return callbacks, obj._closed


def _put_back_comm(obj: Any, state: Any) -> str | None:
    (obj._msg_callback, obj._close_callback), closed = state
    return None if obj._closed == closed else "a comm, which was closed,"


def _save_cache(obj: Any, walk: Walk) -> Any:
    walk.name(obj, "the cache of a function, which a rollback empties,", looked_at=True)
    entries = [each for each in gc.get_referents(obj) if type(each) is dict]
    for each in entries:
        walk.push(list(each.values()))
    return [(each, each.copy()) for each in entries]


def _put_back_cache(obj: Any, entries: list[tuple[Any, Any]]) -> str | None:
    # What was computed with values that are gone must not be found in it.
    if all(is_same_dict(each, copy) for each, copy in entries):
        return None
    obj.cache_clear()
    return "the cache of a function, which was emptied,"


_CONTEXT = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp")


def _save_decimal_context(obj: Any, walk: Walk) -> Any:
    return [getattr(obj, name) for name in _CONTEXT], dict(obj.flags), dict(obj.traps)


def _put_back_decimal_context(obj: Any, state: Any) -> None:
    values, flags, traps = state
    for name, value in zip(_CONTEXT, values):
        setattr(obj, name, value)
    obj.flags.update(flags)
    obj.traps.update(traps)


def _save_ctypes(obj: Any, walk: Walk) -> Any:
    if obj._objects:
        # It points to what something else holds.
        walk.name(obj)
        return NOTHING
    return memoryview(obj).cast("B").tobytes()


def _put_back_ctypes(obj: Any, content: bytes) -> str | None:
    if obj._objects:
        return name_of(type(obj))
    memoryview(obj).cast("B")[:] = content
    return None


register(Kind(_save_random, _put_back_random, links=True), _generator)
register(Kind(_save_error, _put_back_error, links=True), BaseException)
register(Kind(_save_view, _put_back_view, links=True), memoryview)
register(Kind(_save_map, _put_back_map, links=True), "mmap.mmap")
register(Kind(_save_queue, _put_back_queue, links=True), "_queue.SimpleQueue")
register(Kind(_save_context_variable, _put_back_context_variable), "_contextvars.ContextVar", "ContextVar")
register(Kind(_save_context, _put_back_context, links=True), "_contextvars.Context", "Context")
register(Kind(_save_element, _put_back_element, links=True), "xml.etree.ElementTree.Element")
register(Kind(_save_comm, _put_back_comm), "ipykernel.comm.comm.Comm", "ipykernel.comm.comm.BaseComm", "comm.DummyComm")
register(Kind(_save_zone, _put_back_zone), "zoneinfo.ZoneInfo")
register(Kind(_save_cache, _put_back_cache), "functools._lru_cache_wrapper")
register(Kind(_save_ctypes, _put_back_ctypes, links=True), "_ctypes.Array", "_ctypes._SimpleCData", "_ctypes.Structure", "_ctypes.Union")
register(Kind(_save_decimal_context, _put_back_decimal_context, links=True), "decimal.Context")
register(FROZEN, "_thread._local", types.SimpleNamespace, "_io._BytesIOBuffer")
atoms_named(
    "datetime.date", "datetime.datetime", "datetime.time", "datetime.timedelta", "datetime.timezone",
    "decimal.Decimal", "decimal.SignalDictMixin", "re.Pattern", "re.Match", "_abc._abc_data",
    "_struct.Struct", "_collections._tuplegetter", "collections._tuplegetter", "_thread._localdummy", "_ctypes.CField", "typing.TypeVar", "typing.ParamSpec", "typing.TypeVarTuple", "typing.TypeAliasType",
    "typing.ParamSpecArgs", "typing.ParamSpecKwargs", "typing.NoDefaultType", "_sre.SRE_Template",
    "Token", "_contextvars.Token", "ast.AST", "string.templatelib.Template",
    "cython_function_or_method", "_cython_3_2_0.cython_function_or_method", "fused_cython_function",
    "_operator.itemgetter", "PyCapsule", "types.CapsuleType", "os.stat_result", "time.struct_time", "stderrprinter",
    "EncodingMap", "_random.Random_", "_ctypes.CFuncPtr", "_ctypes.PyCFuncPtr",
)  # fmt: skip
