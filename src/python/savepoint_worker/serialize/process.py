"""What belongs to the process and that code depends on: folder, environment, search path, random states, options."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from .verdict import reason_of

#: Changed by whoever starts a program, and meaningless in another process.
_VOLATILE = frozenset(["PYTHONPATH", "_", "SHLVL", "OLDPWD", "PWD"])


class Baseline(NamedTuple):
    """How the process was before any code of the user's ran."""

    environ: dict[str, str]
    path: list[str]


_at_start: Baseline | None = None


def note_start() -> None:
    """Remember the environment and the module search path as they are now, before any code of the user's runs."""
    global _at_start
    _at_start = Baseline(dict(os.environ), list(sys.path))


def baseline(changes: dict[str, str | None]) -> Baseline:
    """What the user began with: what was noted, with the `changes` (None: removed) that were made for him."""
    environ, path = _at_start or Baseline(dict(os.environ), list(sys.path))
    changed: dict[str, str | None] = {**environ, **changes}
    return Baseline({name: value for name, value in changed.items() if value is not None}, path)


def collect(baseline: Baseline, random_state: Any) -> dict[str, bytes]:
    """Each part of the process's state, pickled by itself; parts that cannot be had are left out.

    `random_state` is that of `random`: CPython seeds it anew after a fork, so it has to be taken before.
    """
    parts = {}
    for name, (get, _) in _PARTS.items():
        try:
            value = random_state if name == "random" else get(baseline)
            if value:
                parts[name] = pickle.dumps(value, protocol=5)
        except Exception:
            # These are conveniences: none of them is worth failing for, and there is no variable to name as lost.
            continue
    return parts


def apply(parts: dict[str, bytes], names: tuple[str, ...]) -> list[str]:
    """Put the parts of these names into force; what did not work, in words."""
    warnings = []
    for name in names:
        if name in parts:
            try:
                _PARTS[name][1](pickle.loads(parts[name]))
            except Exception as error:
                warnings.append(f"The {_WORDS[name]} could not be restored: {reason_of(error)}.")
    return warnings


#: Needed to load the variables; and what loading them could change.
BEFORE = ("folder", "environ", "path")
AFTER = ("random", "numpy_random", "numpy_print", "pandas", "matplotlib")
_WORDS = {
    "folder": "working folder",
    "environ": "environment",
    "path": "module search path",
    "random": "state of random",
    "numpy_random": "state of numpy.random",
    "numpy_print": "print options of numpy",
    "pandas": "options of pandas",
    "matplotlib": "settings of matplotlib",
}


def _environ_changes(baseline: Baseline) -> dict[str, str | None]:
    present = dict(os.environ)
    changes: dict[str, str | None] = {
        name: value for name, value in present.items() if baseline.environ.get(name) != value and name not in _VOLATILE
    }
    changes.update({name: None for name in baseline.environ if name not in present and name not in _VOLATILE})
    return changes


def _change_environ(changes: dict[str, str | None]) -> None:
    for name, value in changes.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


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


def _numpy_random(baseline: Baseline) -> Any:
    module = sys.modules.get("numpy.random")
    return module.get_state() if module is not None else None


def _set_numpy_random(state: Any) -> None:
    import numpy

    numpy.random.set_state(state)


def _numpy_print(baseline: Baseline) -> Any:
    module = sys.modules.get("numpy")
    return module.get_printoptions() if module is not None else None


def _set_numpy_print(options: Any) -> None:
    import numpy

    known = numpy.get_printoptions().keys() - {"override_repr"}
    numpy.set_printoptions(**{name: value for name, value in options.items() if name in known})


def _pandas(baseline: Baseline) -> Any:
    config = sys.modules.get("pandas._config.config")
    if config is None:
        return None
    found = {}
    for name, option in config._registered_options.items():
        value = config.get_option(name)
        if value is not option.defval and value != option.defval:
            found[name] = value
    return found


def _set_pandas(options: Any) -> None:
    import pandas

    for name, value in options.items():
        pandas.set_option(name, value)


def _matplotlib(baseline: Baseline) -> Any:
    module = sys.modules.get("matplotlib")
    if module is None:
        return None
    present, default = module.rcParams, module.rcParamsDefault
    names = [name for name in present if not name.startswith(("backend", "interactive"))]
    return {name: present._get(name) for name in names if present._get(name) != default._get(name)}


def _set_matplotlib(settings: Any) -> None:
    import matplotlib

    matplotlib.rcParams.update({name: value for name, value in settings.items() if name in matplotlib.rcParams})


_PARTS: dict[str, tuple[Callable[[Baseline], Any], Callable[[Any], None]]] = {
    "folder": (lambda baseline: os.getcwd(), os.chdir),
    "environ": (_environ_changes, _change_environ),
    "path": (_path_additions, _add_to_path),
    "random": (lambda baseline: None, _set_random),
    "numpy_random": (_numpy_random, _set_numpy_random),
    "numpy_print": (_numpy_print, _set_numpy_print),
    "pandas": (_pandas, _set_pandas),
    "matplotlib": (_matplotlib, _set_matplotlib),
}
