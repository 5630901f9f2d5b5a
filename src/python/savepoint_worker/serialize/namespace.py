"""Which names are the user's, and which the engine's own."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import Any

_ENGINE = re.compile(r"_{1,3}|_i{1,3}|_i?\d+|_ih|_oh|_dh|In|Out|_exit_code|_exception|jupyter_session|__\w+__")
#: Names that IPython defines and a user may take for himself.
_GIVEN = ("exit", "quit", "get_ipython", "open")


def given_by_engine(shell: Any) -> dict[str, Any]:
    """What the names hold that are the engine's until the user assigns them."""
    hidden = getattr(shell, "user_ns_hidden", {})
    return {name: hidden[name] for name in _GIVEN if name in hidden}


def user_variables(namespace: dict[str, Any], given: dict[str, Any], exclude: tuple[str, ...] = ()) -> dict[str, Any]:
    """The user's variables in `namespace`, in their order, without those whose name fits a pattern in `exclude`."""
    return {
        name: value
        for name, value in list(namespace.items())
        if isinstance(name, str)
        and not _ENGINE.fullmatch(name)
        and not (name in given and given[name] is value)
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    }


def is_engines(name: str, value: Any, hidden: dict[str, Any]) -> bool:
    """Whether a name is the engine's: one of its own, or one that it gave and that still holds what it gave."""
    if name in hidden and hidden[name] is value:
        return True
    # Most names begin with none of these.
    return name[:1] in ("_", "I", "O", "j") and _ENGINE.fullmatch(name) is not None
