"""What a checkpoint's bytes call to run statements again, or to ask dill. As in `rebuild`, names and arguments never
change."""

from __future__ import annotations

import linecache
from typing import Any

from .verdict import Unloadable


def statement(filename: str, line: int, text: str, name: str, used: dict[str, Any], namespace: dict[str, Any]) -> Any:
    """The class or function that a statement of the user's defines, with the living namespace as its globals."""
    if filename not in linecache.cache:
        lines = "\n" * (line - 1) + text
        linecache.cache[filename] = (len(lines), None, lines.splitlines(keepends=True), filename)
    code = compile("\n" * (line - 1) + text, filename, "exec", dont_inherit=True)
    missing = object()
    before = {each: namespace.get(each, missing) for each in used}
    namespace.update(used)
    made: dict[str, Any] = {}
    try:
        exec(code, namespace, made)
    finally:
        for each, value in before.items():
            if value is missing:
                namespace.pop(each, None)
            else:
                namespace[each] = value
    if name not in made:
        raise Unloadable(f"its statement does not define {name}")
    return made[name]


def by_dill(contents: bytes) -> Any:
    try:
        import dill
    except ImportError:
        raise Unloadable("it was kept by dill, which is not installed here") from None
    return dill.loads(contents)
