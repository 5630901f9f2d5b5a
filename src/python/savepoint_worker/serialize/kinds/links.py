"""Objects that refer to another one in a way that plain pickle drops: weak references, and views of dicts."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from .. import rebuild
from ..handlers import register


@register("weakref.ReferenceType")
def weak_reference(pickler: Any, value: weakref.ref[Any]) -> Any:
    """With what it refers to. If nothing else holds that after the load either, the reference is dead then."""
    return rebuild.weak_reference, (_referents(value()), value.__callback__, type(value))


@register("weakref.WeakMethod")
def weak_method(pickler: Any, value: Any) -> Any:
    """A method of an object that is referred to weakly."""
    return rebuild.weak_reference, (_referents(value()), None, weakref.WeakMethod)


@register("weakref.ProxyType", "weakref.CallableProxyType", "builtins.weakproxy", "builtins.weakcallableproxy")
def weak_proxy(pickler: Any, value: Any) -> Any:
    """Pickle sees through it, and would make it what it stands for."""
    try:
        referent = value.__repr__.__self__
    except ReferenceError:
        referent = None
    return rebuild.weak_proxy, (_referents(referent),)


@register("weakref.WeakValueDictionary", "weakref.WeakKeyDictionary")
def weak_mapping(pickler: Any, value: Any) -> Any:
    return rebuild.weak_mapping, (type(value), list(value.items()))


@register("_weakrefset.WeakSet")
def weak_set(pickler: Any, value: Any) -> Any:
    return rebuild.weak_set, (list(value),)


@register(
    "builtins.dict_keys",
    "builtins.dict_values",
    "builtins.dict_items",
    "builtins.odict_keys",
    "builtins.odict_values",
    "builtins.odict_items",
)
def view_of_dict(pickler: Any, value: Any) -> Any:
    """With the dict that it shows."""
    (mapping,) = gc.get_referents(value)
    return rebuild.view_of_dict, (mapping, type(value).__name__.partition("_")[2])


@register("builtins.mappingproxy")
def read_only(pickler: Any, value: Any) -> Any:
    """With the mapping that it protects; that of a class by the class."""
    (mapping,) = gc.get_referents(value)
    owner = getattr(mapping.get("__dict__") if type(mapping) is dict else None, "__objclass__", None)
    if isinstance(owner, type) and gc.get_referents(vars(owner))[0] is mapping:
        return rebuild.class_attributes, (owner,)
    return rebuild.read_only, (mapping,)


@register("weakref.finalize")
def finalizer(pickler: Any, value: Any) -> Any:
    """One that has not run calls its function when its object goes; one that has is dead."""
    return rebuild.finalizer, (value.peek(), value.atexit if value.alive else False)


def _referents(referent: Any) -> tuple[Any, ...]:
    return () if referent is None else (referent,)
