"""What a checkpoint's bytes call to set up loggers. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import logging
from typing import Any


def set_logger(made: logging.Logger, state: tuple[int, bool, bool, list[logging.Handler], list[Any]]) -> None:
    level, made.propagate, made.disabled, made.handlers, made.filters = state
    made.setLevel(level)


def set_handler(made: logging.Handler, state: dict[str, Any]) -> None:
    vars(made).update(state)
    logging._addHandlerRef(made)  # type: ignore[attr-defined]
