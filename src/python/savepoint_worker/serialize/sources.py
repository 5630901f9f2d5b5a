"""Source text of cells, so that functions from a checkpoint have theirs: in tracebacks, for `inspect`, and to compile
them anew for another version of Python."""

from __future__ import annotations

import ast
import linecache
import types
from collections.abc import Iterable, Iterator
from typing import Any

from .verdict import Unloadable

#: Flags of code that the compiler must be given again: `from __future__ import annotations` and the like.
_FUTURE_FLAGS = 0xFFFE0000


def collect(filenames: Iterable[str]) -> dict[str, str]:
    """Text of those files that are none: cells, which only linecache knows."""
    texts = {}
    for name in filenames:
        entry: Any = linecache.cache.get(name)
        if entry is not None and len(entry) == 4 and entry[1] is None:
            texts[name] = "".join(entry[2])
    return texts


def provide(texts: dict[str, str]) -> None:
    """Make source texts known in this process. Those that it has already are left alone."""
    for name, text in texts.items():
        if name not in linecache.cache:
            # No modification time: linecache then never looks for a file.
            linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)


def compile_anew(filename: str, line: int, name: str, freevars: tuple[str, ...], flags: int) -> types.CodeType:
    """The code that stands at `line` of a source text. Raises Unloadable if that is not there or not unmistakable."""
    text = "".join(linecache.getlines(filename))
    if not text:
        raise Unloadable("it was compiled by another version of Python, and its source is not there")
    try:
        options = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | flags & _FUTURE_FLAGS & _known_futures()
        whole = compile(text, filename, "exec", flags=options, dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise Unloadable(f"its source does not compile in this version of Python: {error}") from None
    found = [
        each
        for each in _codes(whole)
        if each.co_firstlineno == line and each.co_name == name and each.co_freevars == freevars
    ]
    if len(found) != 1:
        raise Unloadable("it was compiled by another version of Python, and its source is not unmistakable")
    return found[0]


def _codes(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _codes(constant)


def _known_futures() -> int:
    import __future__

    known = 0
    for name in __future__.all_feature_names:
        known |= getattr(__future__, name).compiler_flag
    return known
