"""The names of the namespace, and the engine's own records of inputs and results."""

from __future__ import annotations

import re
from typing import Any

from ..serialize.namespace import is_engines
from .kinds import MISSING, hold

#: Inputs stay as they are: the texts of all cells that were sent are kept, whatever is rolled back.
_INPUTS = re.compile(r"_i{1,3}|_i\d+|_ih|In|jupyter_session")
#: Of what the engine gave, what users fill.
_WALKED = frozenset(["Out", "_oh", "_dh"])
#: Results of earlier cells that the displayhook knows by itself.
_RESULTS = ("_", "__", "___")
#: What the history notes of the results of each cell.
_HISTORY = ("output_hist_reprs", "outputs", "exceptions")


class Names:
    """What each name is bound to; and what the shell knows of results."""

    def __init__(self, shell: Any, namespace: dict[str, Any]) -> None:
        self._namespace = namespace
        self._saved = {name: value for name, value in namespace.copy().items() if not _is_input(name)}
        self._shell = shell
        hook = getattr(shell, "displayhook", None)
        self._results = [getattr(hook, name, MISSING) for name in _RESULTS]
        manager = getattr(shell, "history_manager", None)
        records = [getattr(manager, name, None) for name in _HISTORY]
        self._records = [(record, record.copy()) for record in records if isinstance(record, dict)]

    def items(self) -> list[tuple[str, Any]]:
        """The names and what they are bound to: what the user's variables lead to begins here."""
        hidden = getattr(self._shell, "user_ns_hidden", {})
        named = [
            (name, value)
            for name, value in self._saved.items()
            if isinstance(name, str) and (name in _WALKED or not (name in hidden and hidden[name] is value))
        ]
        # Where a result has a name of the user's, too, it goes by that.
        return sorted(named, key=lambda item: is_engines(item[0], item[1], hidden))

    def put_back(self) -> None:
        """Bind each name to the very object that it was bound to, and unbind those that were bound since."""
        namespace, saved = self._namespace, self._saved
        if self._shell is not None and self._shell.user_ns is not namespace:
            hold(self._shell.user_ns)
            self._shell.user_ns = namespace
        for name, value in list(namespace.items()):
            if name not in saved and not _is_input(name):
                hold(value)
                del namespace[name]
        for name, value in saved.items():
            present = namespace.get(name, MISSING)
            if present is not value:
                hold(present)
                namespace[name] = value
        self._put_back_order()
        hook = getattr(self._shell, "displayhook", None)
        for name, value in zip(_RESULTS, self._results):
            if value is not MISSING:
                setattr(hook, name, value)
        for record, copy in self._records:
            for key in record.keys() - copy.keys():
                hold(record.pop(key))

    def _put_back_order(self) -> None:
        """Names that were removed came back at the end."""
        namespace = self._namespace
        present = [name for name in namespace if name in self._saved]
        before = list(self._saved)
        if present == before:
            return
        # One after the other: at no time is a name missing for longer than that takes.
        first = next(at for at, (one, other) in enumerate(zip(present, before)) if one != other)
        for name in before[first:]:
            namespace[name] = namespace.pop(name)


def _is_input(name: object) -> bool:
    return isinstance(name, str) and _INPUTS.fullmatch(name) is not None
