"""What completion keeps of parsed code between processes, whole or not at all.

jedi parses the stubs of Python's library, and keeps each parsed file in the user's `~/.cache/jedi` for every process to
come. parso, which does it, writes those files in place and takes a file that cannot be read for an error. So a process
that was ended while it wrote left half a file behind, and from then on each completion failed, in this user's every
kernel; all that was seen of it were completions without a name of the namespace, since IPython passes over what jedi
raises. Here a file has its name when it is whole, and one that cannot be read, or written, is done without.
"""

from __future__ import annotations

import importlib
import os
import pickle
import tempfile
from collections.abc import Callable
from types import ModuleType
from typing import Any

#: What this relies on. Where parso has it no more, its cache is left as it is.
_NEEDED = ("_load_from_file_system", "_save_to_file_system", "_remove_cache_and_update_lock", "_get_hashed_path")
#: Says that a module's functions are ours already.
_MARK = "_savepoint_keeps_whole"


def keep_whole() -> None:
    """To be called before jedi is asked for anything. It imports what jedi would import."""
    try:
        cache = importlib.import_module("parso.cache")
    except ImportError:
        # Without it there is no jedi, either.
        return
    if hasattr(cache, _MARK) or not all(hasattr(cache, name) for name in _NEEDED):
        return
    load, tidy = cache._load_from_file_system, cache._remove_cache_and_update_lock
    # Also a folder that cannot be made or read, and a pickle of which any part is missing or means nothing here.
    cache._load_from_file_system = _unless(Exception, load)
    cache._save_to_file_system = _unless(OSError, _saver(cache))
    cache._remove_cache_and_update_lock = _unless(OSError, tidy)
    setattr(cache, _MARK, True)


def _unless(error: type[Exception], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which returns None where it would raise `error`."""

    def call(*arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except error:
            return None

    return call


def _saver(cache: ModuleType) -> Callable[..., None]:
    def save(hashed_grammar: str, path: object, item: object, cache_path: object = None) -> None:
        target = cache._get_hashed_path(hashed_grammar, path, cache_path=cache_path)
        # In the same folder, where parso removes whatever nobody has read for a month.
        descriptor, draft = tempfile.mkstemp(prefix="draft-", dir=os.path.dirname(target))
        try:
            with open(descriptor, "wb") as file:
                pickle.dump(item, file, pickle.HIGHEST_PROTOCOL)
            os.replace(draft, target)
        except BaseException:
            os.unlink(draft)
            raise

    return save
