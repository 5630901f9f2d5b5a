"""The audit hook: how effects come to be known.

CPython tells a hook of every file that is opened, every process that is started, and so on, before it is done
(https://docs.python.org/3/library/audit_events.html). A hook cannot be taken away again and is told of everything,
`id()` included, so it is installed only when a process records for the first time, and does as little as it can.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

Handler = Callable[[str, tuple[Any, ...]], None]

#: What is listened for at present.
_active: dict[str, Handler] = {}
_installed = False


def listen(handlers: dict[str, Handler]) -> None:
    """From now on these events are told to these handlers, and no others."""
    global _installed
    _active.clear()
    _active.update(handlers)
    if handlers and not _installed:
        _installed = True
        sys.addaudithook(_hook)


def is_listening() -> bool:
    """Is anything listened for?"""
    return bool(_active)


def stop() -> None:
    """Listen for nothing."""
    _active.clear()


def _hook(event: str, arguments: tuple[Any, ...], find: Callable[[str], Handler | None] = _active.get) -> None:
    handler = find(event)
    if handler is not None:
        handler(event, arguments)
