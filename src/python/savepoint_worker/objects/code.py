"""Functions, classes and modules: those of the user's can change, those of libraries are left alone."""

from __future__ import annotations

import _abc  # type: ignore[import-not-found]
import gc
import sys
import types
import weakref
from typing import TYPE_CHECKING, Any

from . import layout
from .containers import put_back_dict
from .kinds import MISSING, NOTHING, Kind, hold, name_of, register
from .origin import is_libraries, is_users_module

if TYPE_CHECKING:
    from .walk import Walk

# From CPython 3.14 on annotations are computed when somebody asks for them.
_ANNOTATED = ("__annotations__",) if sys.version_info < (3, 14) else ()
_FUNCTION = ("__code__", "__defaults__", "__kwdefaults__", "__name__", "__qualname__", "__doc__", *_ANNOTATED)
_function = [types.FunctionType.__dict__[name] for name in _FUNCTION]
_function_dict = types.FunctionType.__dict__["__dict__"]
#: Of a class's attributes, not to be set.
_NEVER_SET = frozenset(["__dict__", "__weakref__", "__module__"])
_class_names = [type.__dict__[name] for name in ("__name__", "__qualname__")]
_class_bases: Any = type.__dict__["__bases__"]


def _save_function(obj: Any, walk: Walk) -> Any:
    if obj.__closure__ is None and is_libraries(obj, walk.users_modules):
        return NOTHING
    values = [each.__get__(obj) for each in _function]
    attributes = _function_dict.__get__(obj)
    walk.mark(attributes)
    copy = attributes.copy()
    walk.push(list(copy.values()))
    walk.push([*values, *(obj.__closure__ or ()), obj.__globals__])
    return values, attributes, copy


def _put_back_function(obj: Any, state: Any) -> None:
    values, attributes, copy = state
    for each, value in zip(_function, values):
        present = each.__get__(obj)
        if present is not value:
            hold(present)
            each.__set__(obj, value)
    if _function_dict.__get__(obj) is not attributes:
        hold(_function_dict.__get__(obj))
        _function_dict.__set__(obj, attributes)
    put_back_dict(attributes, copy)


def _save_class(obj: Any, walk: Walk) -> Any:
    if not layout.is_heap_type(obj):
        return NOTHING
    if is_libraries(obj, walk.users_modules):
        walk.push(list(_class_bases.__get__(obj)))
        values = list(layout.attributes_of(obj).values())
        walk.push([each for each in values if name_of(type(each)) == "numpy.ndarray"])
        for each in values:
            walk.shallow(each)
        return NOTHING
    attributes = dict(layout.attributes_of(obj))
    bases = _class_bases.__get__(obj)
    walk.push(list(attributes.values()))
    walk.push([*bases, type(obj)])
    names = [each.__get__(obj) for each in _class_names]
    return attributes, bases, names, type.__subclasses__(obj), _registered(obj, attributes)


def _registered(obj: Any, attributes: Any) -> list[Any] | None:
    """Classes that were registered with an abstract one; None if it is none."""
    if "_abc_impl" not in attributes:
        return None
    found = [reference() for reference in _abc._get_dump(obj)[0]]
    return [each for each in found if each is not None]


def _register_again(obj: Any, registered: list[Any], attributes: Any) -> None:
    present = _registered(obj, attributes)
    if present is not None and {*map(id, present)} != {*map(id, registered)}:
        _abc._reset_registry(obj)
        _abc._reset_caches(obj)
        for each in registered:
            _abc._abc_register(obj, each)


#: Classes that have more subclasses than they had; those of them that nobody needs any more are garbage.
_extended: list[tuple[Any, int]] = []


def forget_subclasses() -> list[str]:
    """Classes that were derived since go; words about those that do not."""
    if not _extended:
        return []
    gc.collect()
    left = [obj for obj, count in _extended if len(type.__subclasses__(obj)) > count]
    _extended.clear()
    return [f"a subclass of {name_of(obj)}" for obj in left]


def _put_back_class(obj: Any, state: Any) -> None:
    attributes, bases, names, subclasses, registered = state
    if _class_bases.__get__(obj) != bases:
        _class_bases.__set__(obj, bases)
    for each, name in zip(_class_names, names):
        if each.__get__(obj) != name:
            each.__set__(obj, name)
    present = dict(layout.attributes_of(obj))
    for name in present.keys() - attributes.keys() - _NEVER_SET:
        hold(present[name])
        type.__delattr__(obj, name)
    for name, value in attributes.items():
        if present.get(name, MISSING) is not value and name not in _NEVER_SET:
            hold(present.get(name))
            type.__setattr__(obj, name, value)
    if registered is not None:
        _register_again(obj, registered, attributes)
    if len(type.__subclasses__(obj)) > len(subclasses):
        _extended.append((obj, len(subclasses)))


def _save_module(obj: Any, walk: Walk) -> Any:
    attributes = vars(obj)
    if not is_users_module(obj) or attributes.get("__name__") == "__main__":
        return NOTHING
    walk.push([attributes])
    return NOTHING


def _save_frozen(obj: Any, walk: Walk) -> None:
    """It never changes itself, and refers to what may."""
    walk.push([each for each in gc.get_referents(obj) if type(each) is not type])


def _save_builtin(obj: Any, walk: Walk) -> None:
    walk.push([obj.__self__])


def _save_reference(obj: Any, walk: Walk) -> None:
    # Called past a subclass, which may do more. What it refers to lives as long as the copy does.
    walk.push([weakref.ref.__call__(obj), obj.__callback__])


def _save_proxy(obj: Any, walk: Walk) -> None:
    try:
        walk.push([obj.__repr__.__self__])
    except ReferenceError:
        pass


register(Kind(_save_function, _put_back_function), types.FunctionType)
register(Kind(_save_class, _put_back_class), type)
MODULE = Kind(_save_module)
register(MODULE, types.ModuleType)
FROZEN = Kind(_save_frozen)
register(
    FROZEN, types.MethodType, types.MethodWrapperType, property, staticmethod, classmethod, slice, super,
    types.MappingProxyType, type({}.keys()), type({}.values()), type({}.items()), types.GenericAlias,
    "functools.partial", "functools.partialmethod", "functools.cached_property", "functools._lru_list_elem",
    "collections.OrderedDict.keys", "odict_keys", "odict_values", "odict_items", "operator.itemgetter",
    "operator.attrgetter", "operator.methodcaller", "types.UnionType", "typing.Union",
)  # fmt: skip
register(Kind(_save_builtin), types.BuiltinFunctionType)
register(Kind(_save_reference), weakref.ReferenceType)
register(Kind(_save_proxy), weakref.ProxyType, weakref.CallableProxyType)
