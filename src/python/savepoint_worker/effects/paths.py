"""Which file is meant, and whose business it is."""

from __future__ import annotations

import functools
import os
import stat
from typing import Any

# User code may put its own in their place.
_getcwd, _readlink, _lstat, _fspath, _fsdecode = os.getcwd, os.readlink, os.lstat, os.fspath, os.fsdecode
_join, _split, _realpath = os.path.join, os.path.split, os.path.realpath

SYSTEM_FOLDERS = ("/dev/", "/proc/", "/sys/")
#: Caches below the home folder: they are made anew, and are nobody's work.
CACHES = (".cache", ".ipython", ".matplotlib", ".config/matplotlib")
TARGET_CHARACTERS_MAX = 500


@functools.lru_cache(maxsize=32)
def _resolved(folder: str) -> str:
    """Where a folder of ours, or a cache, is: looked up once, not for each transaction."""
    return _realpath(folder)


class Places:
    """The folders that decide what becomes of a file."""

    def __init__(self, root: str, private: str | None) -> None:
        """`root`: what below it is changed is put back. `private`: ours, and not to be spoken of."""
        self.root = _realpath(root)
        self._below = self.root + "/"
        self._private = None if private is None else _resolved(private) + "/"
        home = os.path.expanduser("~")
        found = [_join(home, each) for each in CACHES]
        found += [each for each in map(os.environ.get, ("XDG_CACHE_HOME", "MPLCONFIGDIR", "IPYTHONDIR")) if each]
        self._caches = tuple(_resolved(each) + "/" for each in found)

    def is_ours(self, path: str) -> bool:
        """Is it nothing to be told of: a device, a file of ours, or what the interpreter keeps of a module?"""
        if path.startswith(SYSTEM_FOLDERS) or (self._private is not None and f"{path}/".startswith(self._private)):
            return True
        return "/__pycache__" in path and path.partition("/__pycache__")[2][:1] in ("", "/")

    def is_kept(self, path: str) -> bool:
        """Is it to be put back?"""
        # Below the root of everything is nobody's work: there `_below` is "//".
        return path.startswith(self._below) and not path.startswith(self._caches)

    def shown(self, path: str) -> str:
        """The path as it is told: relative where it is below the working folder."""
        return cut(path[len(self._below) :] if path.startswith(self._below) else path)


def located(path: Any, folder: int = -1) -> str | None:
    """The absolute path that a call means, its last part not followed; None for a descriptor. Raises OSError.

    `folder`: the descriptor that it is relative to, or -1.
    """
    if isinstance(path, int):
        return None
    text = _fsdecode(_fspath(path))
    if not text:
        return None
    if not text.startswith("/"):
        text = _join(_getcwd() if folder < 0 else _readlink(f"/proc/self/fd/{folder}"), text)
    head, name = _split(text.rstrip("/") or "/")
    if name in ("", ".", ".."):
        return _realpath(text)
    return _join(_realpath(head), name)


def followed(path: Any, folder: int = -1) -> str | None:
    """The same with the last part followed, as opening does; for a descriptor the file that is open there."""
    if isinstance(path, int):
        target = _readlink(f"/proc/self/fd/{path}")
        return target if target.startswith("/") and not target.endswith(" (deleted)") else None
    found = located(path, folder)
    try:
        return _realpath(found) if found is not None and stat.S_ISLNK(_lstat(found).st_mode) else found
    except OSError:
        # Nothing is there, or nothing that could be reached.
        return found


def cut(text: str) -> str:
    """A text that is not too long to be told, and that can be encoded."""
    text = text.encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= TARGET_CHARACTERS_MAX else text[: TARGET_CHARACTERS_MAX - 1] + "…"
