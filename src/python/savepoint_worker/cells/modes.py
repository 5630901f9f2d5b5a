"""How a cell's code is classified: `simple_sync`, `blocking_sync`, `async_def`, `top_level_await` or `unknown`.

The class is told to clients in the reply's metadata; it does not change how the code runs, except that a cell with a
top-level await is run by the event loop. Most cells hold none of the words that matter, so those are looked for in the
text first, and the syntax tree, which is what decides, is only made when one is found.
"""

from __future__ import annotations

import ast
import re
import time
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple

BLOCKING_MODULES = frozenset({"requests", "urllib", "socket", "subprocess", "sqlite3", "psycopg2", "pymongo", "redis"})
BLOCKING_BUILTINS = frozenset({"open", "input"})

_WORDS = re.compile(r"\b(?:await|async|sleep|" + "|".join(sorted(BLOCKING_MODULES | BLOCKING_BUILTINS)) + r")\b")
_OWNERS = re.compile(r"\b([^\W\d]\w*)\s*\.")
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_AWAITS = (ast.Await, ast.AsyncFor, ast.AsyncWith)


class Mode(NamedTuple):
    """The class of a cell, and whether it has to be run as a coroutine."""

    name: str
    awaits: bool


SIMPLE = Mode("simple_sync", False)
UNKNOWN = Mode("unknown", False)


def classify(code: str, namespace: Mapping[str, Any]) -> Mode:
    """The mode of `code`, as transformed to Python, in view of the modules that `namespace` holds already."""
    if not _WORDS.search(code) and not any(_is_blocking(namespace.get(name)) for name in set(_OWNERS.findall(code))):
        return SIMPLE
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return UNKNOWN
    if _awaits_at_top(tree):
        return Mode("top_level_await", True)
    nodes = list(ast.walk(tree))
    if any(isinstance(node, ast.AsyncFunctionDef) for node in nodes):
        return Mode("async_def", False)
    return Mode("blocking_sync", False) if _blocks(nodes, namespace) else SIMPLE


def _awaits_at_top(tree: ast.AST) -> bool:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, _AWAITS) or (isinstance(node, ast.comprehension) and node.is_async):
            return True
        if isinstance(node, _FUNCTIONS):
            # Defaults and decorators are evaluated outside of the function, its body is not.
            waiting.extend(node.args.defaults)
            waiting.extend(default for default in node.args.kw_defaults if default is not None)
            waiting.extend(getattr(node, "decorator_list", ()))
        elif isinstance(node, ast.GeneratorExp):
            # Only the outermost iterable is evaluated here; the rest makes a generator, asynchronous or not.
            waiting.append(node.generators[0].iter)
        else:
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _blocks(nodes: list[ast.AST], namespace: Mapping[str, Any]) -> bool:
    modules: dict[str, str] = {}
    functions: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                modules[alias.asname or alias.name.partition(".")[0]] = alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            root = node.module.partition(".")[0]
            if root in BLOCKING_MODULES:
                return True
            if root == "time":
                functions.update(alias.asname or alias.name for alias in node.names if alias.name == "sleep")
    if not BLOCKING_MODULES.isdisjoint(modules.values()):
        return True
    own = _bound(nodes)
    used = {node.id for node in nodes if isinstance(node, ast.Name)} - own
    present = {name: namespace[name] for name in used if name in namespace}
    for node in nodes:
        if isinstance(node, ast.Name) and node.id not in modules and _is_blocking(present.get(node.id)):
            return True
        if isinstance(node, ast.Call) and _call_blocks(node.func, modules, functions, present, own):
            return True
    return False


def _bound(nodes: list[ast.AST]) -> set[str]:
    """Names that the code gives a meaning of its own: they are not the module or the builtin of that name any more."""
    own = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    own.update(node.name for node in nodes if isinstance(node, (*_DEFINITIONS, ast.ClassDef)))
    own.update(node.arg for node in nodes if isinstance(node, ast.arg))
    return own


def _call_blocks(
    function: ast.expr, modules: Mapping[str, str], functions: set[str], present: Mapping[str, Any], own: set[str]
) -> bool:
    if isinstance(function, ast.Name):
        name = function.id
        if name in BLOCKING_BUILTINS:
            return name not in own and (name not in present or _is_given(present[name]))
        return name in functions or present.get(name) is time.sleep
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.attr == "sleep":
        owner = function.value.id
        return modules.get(owner) == "time" or _root(present.get(owner)) == "time"
    return False


def _is_given(value: Any) -> bool:
    """Is this Python's own, or what IPython puts in its place?"""
    if type(value) is FunctionType:
        return value.__module__.startswith("IPython.")
    return type(value) is BuiltinFunctionType


def _root(value: Any) -> str | None:
    # `type` is asked, since isinstance would run a `__class__` property of the user's.
    return value.__name__.partition(".")[0] if type(value) is ModuleType else None


def _is_blocking(value: Any) -> bool:
    return _root(value) in BLOCKING_MODULES
