"""Teaching checkpoints to keep objects that they cannot keep by themselves.

    savepoint.register_handler(Client, save=lambda client: client.url, load=Client)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

VERDICTS = ("equal", "rebuilt")


class Handler(NamedTuple):
    """How objects of one class are kept."""

    kind: str
    save: Callable[[Any], Any]
    load: Callable[[Any], Any]
    verdict: str


_handlers: dict[str, Handler] = {}


def register_handler(
    kind: type | str, save: Callable[[Any], Any], load: Callable[[Any], Any], *, verdict: str = "rebuilt"
) -> None:
    """From now on checkpoints keep an object of this class, or of one derived from it, as what `save(object)` returns,
    and make it again with `load` of that.

    `kind`: the class, or its full name ("package.module.Class") if it is not to be imported yet. `save` runs in a copy
    of the kernel that can change nothing outside, and must return something that can be kept; `load` runs when the
    checkpoint is restored. Both are kept with the object, so that another kernel needs to register nothing. If either
    raises, that object's variable is lost, with what was raised as the reason. `verdict`: "rebuilt", or "equal" if
    nobody can tell the new object from the old one. A second handler for a class replaces the first. Raises TypeError
    or ValueError.
    """
    if not isinstance(kind, (type, str)):
        raise TypeError("kind has to be a class or its full name")
    if not callable(save) or not callable(load):
        raise TypeError("save and load have to be functions")
    if verdict not in VERDICTS:
        raise ValueError(f"verdict has to be one of {', '.join(VERDICTS)}")
    name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
    _handlers[name] = Handler(name, save, load, verdict)


def unregister_handler(kind: type | str) -> None:
    """Forget the handler of a class, if it has one."""
    _handlers.pop(kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}", None)


def handler_for(kind: type) -> Handler | None:
    """The handler for objects of this class, the most specific one, or None."""
    if not _handlers:
        return None
    names = (f"{each.__module__}.{each.__qualname__}" for each in kind.__mro__)
    return next((_handlers[name] for name in names if name in _handlers), None)


def take_over(handler: Handler) -> None:
    """Let a handler that came with a checkpoint serve here, unless there is one for its class."""
    _handlers.setdefault(handler.kind, handler)
