"""What is tried for an object that neither pickle nor a handler can take: its source, or dill.

A class or function of the user's can be made by running its statement again. Any other object is left to dill, if that
is installed, by itself: what it shares with others is then its own. Objects that were refused for a reason never get
here; dill would make some of them into things that look alive and are not.
"""

from __future__ import annotations

import ast
import importlib.util
import linecache
import types
from collections.abc import Iterator
from typing import Any

from . import rebuild_again, surroundings
from .verdict import REBUILT, Unsaveable

DILL_TIER, SOURCE_TIER = 3, 4
#: Classes that libraries make work as they are defined, so that only their statement can make them.
_MADE_BY_STATEMENT = ("sqlalchemy.orm.decl_api.DeclarativeMeta", "sqlalchemy.orm.decl_api.DeclarativeAttributeIntercept")


def only_by_statement(value: type) -> bool:
    """Is it of no use to write down what is in the class?"""
    kinds = (f"{each.__module__}.{each.__qualname__}" for each in type(value).__mro__)
    return value.__module__ == "__main__" and any(name in _MADE_BY_STATEMENT for name in kinds)


def from_source(pickler: Any, value: Any) -> Any:
    """A class or function by its statement, and what that refers to while it is run."""
    found = _statement(value)
    if found is None:
        raise Unsaveable(f"the source of {value.__qualname__} is not known", value)
    filename, line, text, tree = found
    namespace = pickler.namespace
    used = {name: namespace[name] for name in _names_at_once(tree) if name in namespace and namespace[name] is not value}
    pickler.rate(REBUILT, SOURCE_TIER)
    pickler.written_by_value.add(id(value))
    pickler.sources.add(filename)
    return rebuild_again.statement, (filename, line, text, value.__name__, used, namespace)


def _statement(value: Any) -> tuple[str, int, str, ast.stmt] | None:
    """File, line, text and tree of the last statement in the user's cells that defines a class or function."""
    if value.__module__ != "__main__" or "." in value.__qualname__:
        return None
    code = getattr(value, "__code__", None)
    names = [code.co_filename] if code is not None else list(reversed(linecache.cache))
    for name in names:
        entry: Any = linecache.cache.get(name)
        if entry is None or len(entry) != 4 or entry[1] is not None:
            continue
        text = "".join(entry[2])
        if value.__name__ not in text:
            continue
        try:
            tree = ast.parse(text)
        except SyntaxError:
            continue
        for each in reversed(tree.body):
            if isinstance(each, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and each.name == value.__name__:
                line = min([each.lineno, *(decorator.lineno for decorator in each.decorator_list)])
                lines = text.splitlines(keepends=True)[line - 1 : each.end_lineno]
                return name, line, "".join(lines), each
    return None


def _names_at_once(tree: ast.AST) -> Iterator[str]:
    """Names that are looked up while the statement is run, not when its functions are called."""
    if isinstance(tree, ast.Name):
        yield tree.id
    is_function = isinstance(tree, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
    for field, value in ast.iter_fields(tree):
        if is_function and field == "body":
            continue
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, ast.AST):
                yield from _names_at_once(each)


def another_way(value: Any, error: BaseException) -> Any:
    """How else an object could be kept that has failed with `error`: a function like a handler's, or None."""
    if isinstance(value, (type, types.FunctionType)):
        return from_source if _statement(value) is not None else None
    if importlib.util.find_spec("dill") is None or not surroundings.is_expendable():
        return None

    def by_dill(pickler: Any, value: Any) -> Any:
        contents = _kept_by_dill(value)
        if contents is None:
            raise error
        pickler.rate(REBUILT, DILL_TIER)
        pickler.note("what an object shares with others is its own now")
        return rebuild_again.by_dill, (contents,)

    return by_dill


def _kept_by_dill(value: Any) -> bytes | None:
    """What dill makes of it, if that makes an object of the same class again."""
    import dill

    try:
        contents: bytes = dill.dumps(value, recurse=True)
        return contents if type(dill.loads(contents)) is type(value) else None
    except Exception:
        return None
