"""Loggers with what the user has set, and their handlers."""

from __future__ import annotations

import logging
from typing import Any

from .. import rebuild_logs
from ..handlers import full_name, register
from ..verdict import EQUAL

#: Handlers that are no more than a stream.
_KEPT = ("logging.StreamHandler", "logging.FileHandler", "logging.NullHandler", "logging.handlers.MemoryHandler")


@register("logging.Logger", rank=EQUAL, tier=0)
def logger(pickler: Any, value: logging.Logger) -> Any:
    """By its name, with its level and its handlers."""
    if value.manager is not logging.Logger.manager:
        return NotImplemented
    handlers = [each for each in value.handlers if full_name(type(each)) in _KEPT or type(each).__module__ == "__main__"]
    is_plain = value.level == logging.NOTSET and value.propagate and not value.disabled and not value.filters
    if isinstance(value, logging.RootLogger) or (is_plain and not value.handlers):
        return logging.getLogger, (value.name,)
    if len(handlers) < len(value.handlers):
        pickler.note(f"some handlers of the logger {value.name} are not kept")
    state = (value.level, value.propagate, value.disabled, handlers, list(value.filters))
    return logging.getLogger, (value.name,), state, None, None, rebuild_logs.set_logger


@register("logging.Handler", rank=EQUAL, tier=0)
def handler(pickler: Any, value: logging.Handler) -> Any:
    """With its stream; and the module knows it again, to flush it at the end."""
    make, arguments, *rest = value.__reduce_ex__(5)
    state = rest[0] if rest else {}
    return make, arguments, state, None, None, rebuild_logs.set_handler
