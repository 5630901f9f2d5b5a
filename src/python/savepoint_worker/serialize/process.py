"""What belongs to the process and that code depends on: folder, environment, search path, random states, options."""

from __future__ import annotations

import os
import pickle
import re
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from .settings import COMPARED, SETTINGS
from .verdict import reason_of

#: Changed by whoever starts a program, and meaningless in another process.
_VOLATILE = frozenset(["PYTHONPATH", "_", "SHLVL", "OLDPWD", "PWD"])
_OWN = ("SAVEPOINT_",)
#: What a variable of the environment may be called that holds a secret. None of them is ever written.
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW|PASSPHRASE|PWD|CREDENTIAL|PRIVATE|APIKEY|COOKIE|SESSION_?ID|DSN|(^|_)(KEY|KEYS|AUTH|PASS|SAS|PAT)(_|$)",
    re.IGNORECASE,
)


class Baseline(NamedTuple):
    """How the process was before any code of the user's ran."""

    environ: dict[str, str]
    path: list[str]
    #: Those of COMPARED, by name.
    settings: dict[str, Any] = {}


_at_start: Baseline | None = None


def note_start() -> None:
    """Remember the environment, the search path and some settings as they are before any code of the user's runs."""
    global _at_start
    _at_start = Baseline(dict(os.environ), list(sys.path), settings())


def settings() -> dict[str, Any]:
    """The settings that are compared with how they were at the beginning."""
    return {name: SETTINGS[name][1]() for name in COMPARED}


def baseline(changes: dict[str, str | None]) -> Baseline:
    """What the user began with: what was noted, with the `changes` (None: removed) that were made for him."""
    environ, path, found = _at_start or Baseline(dict(os.environ), list(sys.path), settings())
    changed: dict[str, str | None] = {**environ, **changes}
    return Baseline({name: value for name, value in changed.items() if value is not None}, path, found)


def collect(baseline: Baseline, before_fork: dict[str, Any]) -> dict[str, bytes]:
    """Each part of the process's state, pickled by itself; parts that cannot be had are left out.

    `before_fork`: parts that had to be looked at earlier, since they are others now: CPython seeds `random` anew after
    a fork, and a process that pickles raises the recursion limit.
    """
    getters: dict[str, Callable[[], Any]] = {
        "folder": os.getcwd,
        "environ": lambda: _environ_changes(baseline),
        "withheld": lambda: withheld(baseline),
        "path": lambda: _path_additions(baseline),
        **{name: get for name, (_, get, _) in SETTINGS.items()},
    }
    getters.update({name: lambda value=value: value for name, value in before_fork.items()})
    parts = {}
    for name, get in getters.items():
        try:
            value = get()
            if value and not (name in COMPARED and value == baseline.settings.get(name)):
                parts[name] = pickle.dumps(value, protocol=5)
        except Exception:
            # These are conveniences: none of them is worth failing for, and there is no variable to name as lost.
            continue
    return parts


def before_fork() -> dict[str, Any]:
    """Parts for `collect` that are others in a forked process."""
    random = sys.modules.get("random")
    found: dict[str, Any] = {"recursion": sys.getrecursionlimit()}
    if random is not None:
        found["random"] = random.getstate()
    return found


def apply(parts: dict[str, bytes], names: tuple[str, ...]) -> list[str]:
    """Put the parts of these names into force; what did not work, in words."""
    warnings = []
    for name in names:
        if name in parts:
            words, put = _PUT[name]
            try:
                told = put(pickle.loads(parts[name]))
                if isinstance(told, str):
                    warnings.append(told)
            except Exception as error:
                warnings.append(f"The {words} could not be restored: {reason_of(error)}.")
    return warnings


def withheld(baseline: Baseline) -> list[str]:
    """Names of variables of the environment that the user has set and that are not written."""
    return sorted(name for name, value in _all_changes(baseline).items() if _is_secret(name, value))


def _environ_changes(baseline: Baseline) -> dict[str, str | None]:
    changes = _all_changes(baseline)
    return {name: value for name, value in changes.items() if not _is_secret(name, value)}


def _is_secret(name: str, value: str | None) -> bool:
    return value is not None and _SECRET.search(name) is not None


def _all_changes(baseline: Baseline) -> dict[str, str | None]:
    present = dict(os.environ)
    changes: dict[str, str | None] = {
        name: value for name, value in present.items() if baseline.environ.get(name) != value
    }
    changes.update({name: None for name in baseline.environ if name not in present})
    return {
        name: value
        for name, value in changes.items()
        if name not in _VOLATILE and not (name.startswith(_OWN) and value is not None)
    }


def _change_environ(changes: dict[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _tell_withheld(names: list[str]) -> str | None:
    missing = [name for name in names if name not in os.environ]
    if not missing:
        return None
    return f"These variables of the environment were not saved, since they look like secrets: {', '.join(missing)}."


def _path_additions(baseline: Baseline) -> list[tuple[bool, str]]:
    """Entries that the user has added: was it before the first one that was there already?"""
    known = [index for index, entry in enumerate(sys.path) if entry in baseline.path]
    first = known[0] if known else 0
    return [(index < first, entry) for index, entry in enumerate(sys.path) if entry not in baseline.path]


def _add_to_path(additions: list[tuple[bool, str]]) -> None:
    missing = [(before, entry) for before, entry in additions if entry not in sys.path]
    sys.path[:0] = [entry for before, entry in missing if before]
    sys.path.extend(entry for before, entry in missing if not before)


def _set_random(state: Any) -> None:
    import random

    random.setstate(state)


_PUT: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "folder": ("working folder", os.chdir),
    "environ": ("environment", _change_environ),
    "withheld": ("names of secrets", _tell_withheld),
    "path": ("module search path", _add_to_path),
    "random": ("state of random", _set_random),
    **{name: (words, put) for name, (words, _, put) in SETTINGS.items()},
}
#: Needed to load the variables; and what loading them could change.
BEFORE = ("folder", "environ", "withheld", "path")
AFTER = ("random", *SETTINGS)
