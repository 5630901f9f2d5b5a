"""Functions, classes and modules.

What can be imported is kept as its name. The user's own functions are kept as bytecode, and they get the *living*
namespace as their globals when they are loaded: a function that says `global n` changes the user's `n`, as before.
"""

from __future__ import annotations

import enum
import marshal
import sys
import types
from importlib.util import MAGIC_NUMBER
from typing import Any

from .. import rebuild
from ..again import from_source, only_by_statement
from ..handlers import register
from ..verdict import EXACT, REBUILT, Unsaveable
from .memory import reduce_ctypes_class

_BY_VALUE_TIER = 1
#: The last format without references, which it would write by the number of those that hold an object: the same code
#: is to be the same bytes after a restore.
_MARSHAL_VERSION = 2
_NAMES = frozenset(
    ["__module__", "__qualname__", "__name__", "__package__", "__file__"]
    + ["__abstractmethods__", "__slots__", "__match_args__"]
)
_OWN_OF_MEMBER = frozenset(["_value_", "_name_", "__objclass__", "_sort_order_"])


@register("builtins.function", rank=EXACT)
def function(pickler: Any, value: types.FunctionType) -> Any:
    """Functions of the user's cells; others are left to cloudpickle, or kept as their names."""
    owner = _module_made_by_hand(value)
    if owner is not None:
        _by_value(pickler, value)
        return rebuild.function_of_module, (owner, *_parts(value)), _state(value), None, None, rebuild.set_function
    if value.__globals__ is not pickler.namespace:
        reduced = pickler.by_value.reducer_override(value)
        if reduced is not NotImplemented:
            _by_value(pickler, value)
            pickler.sources.add(value.__code__.co_filename)
            _name_by_one(reduced)
        return reduced
    _by_value(pickler, value)
    code, name, closure = _parts(value)
    arguments = (code, pickler.namespace, name, closure)
    return rebuild.function, arguments, _state(value), None, None, rebuild.set_function


def _name_by_one(reduced: tuple[Any, ...]) -> None:
    """As `_one` does; in place, since functions of one file share the dict that becomes their globals."""
    _, arguments, state, *_ = reduced
    for names in (*arguments, *(state[1:] if isinstance(state, tuple) else ())):
        if type(names) is dict:
            names.update({key: _one(names[key]) for key in _NAMES & names.keys()})


def _parts(value: types.FunctionType) -> tuple[types.CodeType, str, Any]:
    return value.__code__, _one(value.__name__), value.__closure__


def _one(text: Any) -> Any:
    """The same object for equal names: what was loaded holds other ones than what was compiled."""
    if type(text) in (tuple, frozenset) and all(type(each) is str for each in text):
        return type(text)(map(sys.intern, text))
    return sys.intern(text) if type(text) is str else text


def _state(value: types.FunctionType) -> dict[str, Any]:
    return {
        "__defaults__": value.__defaults__,
        "__kwdefaults__": value.__kwdefaults__,
        "__annotations__": value.__annotations__,
        "__doc__": value.__doc__,
        "__module__": _one(value.__module__),
        "__qualname__": _one(value.__qualname__),
        "__type_params__": getattr(value, "__type_params__", ()),
        "__dict__": vars(value),
    }


def _module_made_by_hand(value: types.FunctionType) -> types.ModuleType | None:
    """The module whose globals the function has, if nobody can import it."""
    found = sys.modules.get(value.__globals__.get("__name__", ""))
    if found is None or found.__name__ == "__main__" or vars(found) is not value.__globals__:
        return None
    return None if found.__spec__ is not None or found.__name__ in sys.builtin_module_names else found


@register("builtins.code", tier=_BY_VALUE_TIER)
def code(pickler: Any, value: types.CodeType) -> Any:
    """Bytecode for this version of Python, and where to find its source for another one."""
    pickler.rate(REBUILT, _BY_VALUE_TIER)
    pickler.sources.add(value.co_filename)
    try:
        bytecode = _bytecode(value)
    except ValueError:
        # Somebody put an object among its constants that the compiler would not.
        raise Unsaveable("bytecode with constants that are no literals cannot be saved") from None
    place = (_one(value.co_filename), value.co_firstlineno, _one(value.co_name), value.co_freevars, value.co_flags)
    return rebuild.code, (MAGIC_NUMBER, bytecode, place)


def _bytecode(value: types.CodeType) -> bytes:
    try:
        return marshal.dumps(value, _MARSHAL_VERSION)
    except ValueError:
        # From Python 3.14 on, slices may be among the constants, which that format does not have.
        return marshal.dumps(value)


@register("builtins.cell", tier=_BY_VALUE_TIER)
def cell(pickler: Any, value: types.CellType) -> Any:
    """Variables that closures share: made empty at first, since a function may refer to itself through one."""
    try:
        contents = value.cell_contents
    except ValueError:
        return rebuild.empty_cell, ()
    return rebuild.empty_cell, (), (contents,), None, None, rebuild.set_cell


@register("functools._lru_cache_wrapper")
def cached_function(pickler: Any, value: Any) -> Any:
    """`functools.lru_cache`: with an empty cache."""
    if _is_importable(value):
        return value.__qualname__
    if value.cache_info().currsize:
        pickler.note("cached results are not kept")
    parameters = value.cache_parameters()
    attributes = {key: item for key, item in vars(value).items() if key not in ("__wrapped__", "cache_parameters")}
    arguments = (value.__wrapped__, parameters["maxsize"], parameters["typed"])
    return rebuild.cached_function, arguments, attributes, None, None, rebuild.set_attributes


def reduce_class(pickler: Any, value: type) -> Any:
    """Classes that cannot be imported are kept by value, each load making a new one."""
    if type(value).__module__ == "_ctypes" and not _is_importable(value):
        made = reduce_ctypes_class(pickler, value)
        if made is not None:
            _by_value(pickler, value)
            return made
    if only_by_statement(value):
        return from_source(pickler, value)
    reduced = pickler.by_value.reducer_override(value)
    if reduced is NotImplemented or reduced[0] is type:
        return reduced
    _by_value(pickler, value)
    reduced = _with_names_of_one(_untracked(reduced))
    return _with_members(value, reduced) if issubclass(value, enum.Enum) else reduced


def _with_members(value: type[enum.Enum], reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same, with what the members of an Enum carry besides their values."""
    members = value.__members__.values()
    carried = {
        each.name: {key: item for key, item in vars(each).items() if key not in _OWN_OF_MEMBER}
        for each in members
        if vars(each).keys() - _OWN_OF_MEMBER
    }
    if not carried:
        return reduced
    make, arguments, state, *_ = reduced
    return make, arguments, (reduced[5], state, carried), None, None, rebuild.set_enum


def _with_names_of_one(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same, each name that it goes by being one object, wherever it stands."""
    make, arguments, *rest = reduced
    arguments = tuple(_names_of_one(each) if isinstance(each, dict) else _one(each) for each in arguments)
    state = rest[0] if rest else None
    if isinstance(state, tuple) and state and isinstance(state[0], dict):
        rest[0] = (_names_of_one(state[0]), *state[1:])
    return (make, arguments, *rest)


def _names_of_one(attributes: dict[str, Any]) -> dict[str, Any]:
    return {
        _one(key): _one(value) if key in _NAMES else value
        for key, value in attributes.items()
        # What copyreg remembers of a class once one of its objects was copied.
        if key != "__slotnames__"
    }


def _untracked(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same, without the id by which cloudpickle knows a class again.

    With it, loading would write into a class that an earlier load has made and that the user has changed since.
    """
    make, arguments, *rest = reduced
    if len(arguments) >= 2 and isinstance(arguments[-2], str) and len(arguments[-2]) == 32:
        arguments = (*arguments[:-2], None, arguments[-1])
    return (make, arguments, *rest)


@register("builtins.module", rank=EXACT)
def module(pickler: Any, value: types.ModuleType) -> Any:
    """Modules by their names; those that were made by hand, with what is in them."""
    name = value.__name__
    if sys.modules.get(name) is value and (value.__spec__ is not None or name in sys.builtin_module_names):
        pickler.rate(REBUILT)
        return rebuild.module, (name,)
    _by_value(pickler, value)
    contents = {key: item for key, item in vars(value).items() if key not in ("__builtins__", "__loader__", "__spec__")}
    return rebuild.made_module, (name, sys.modules.get(name) is value), contents, None, None, rebuild.set_module


@register("typing.NewType")
def new_type(pickler: Any, value: Any) -> Any:
    """Pickle would look for it under its name in `__main__`."""
    if _is_importable(value):
        return value.__qualname__
    return rebuild.new_type, (value.__name__, value.__supertype__, value.__module__, value.__qualname__)


@register("typing.ParamSpec", "typing.TypeVarTuple")
def type_parameter(pickler: Any, value: Any) -> Any:
    """As above."""
    if _is_importable(value):
        return value.__name__
    bound = {"bound": value.__bound__} if getattr(value, "__bound__", None) is not None else {}
    return rebuild.type_parameter, (type(value).__name__, value.__name__, value.__module__, bound)


def _by_value(pickler: Any, value: Any) -> None:
    pickler.rate(REBUILT, _BY_VALUE_TIER)
    pickler.written_by_value.add(id(value))


def _is_importable(value: Any) -> bool:
    """Is there a module where this very object is to be found under its name?"""
    module_name = getattr(value, "__module__", None)
    if module_name in (None, "__main__"):
        return False
    found: Any = sys.modules.get(module_name)
    for part in getattr(value, "__qualname__", value.__name__).split("."):
        found = getattr(found, part, None)
    return found is value
