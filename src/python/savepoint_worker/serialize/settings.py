"""Settings of Python and of libraries that code of the user's may have changed: what they are, and putting them back.

Each is read only where its module is there already, and is left out where it is as it was at the beginning.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import Any


def module(name: str) -> Any:
    """The module, if somebody has imported it."""
    return sys.modules.get(name)


def numpy_random() -> Any:
    found = module("numpy.random")
    return found.get_state() if found is not None else None


def set_numpy_random(state: Any) -> None:
    import numpy

    numpy.random.set_state(state)


def numpy_print() -> Any:
    found = module("numpy")
    return found.get_printoptions() if found is not None else None


def set_numpy_print(options: Any) -> None:
    import numpy

    known = numpy.get_printoptions().keys() - {"override_repr"}
    numpy.set_printoptions(**{name: value for name, value in options.items() if name in known})


_NUMPY_ERRORS = {"divide": "warn", "over": "warn", "under": "ignore", "invalid": "warn"}


def numpy_errors() -> Any:
    found = module("numpy")
    present = found.geterr() if found is not None else None
    return present if present != _NUMPY_ERRORS else None


def set_numpy_errors(errors: Any) -> None:
    import numpy

    numpy.seterr(**errors)


def torch_random() -> Any:
    found = module("torch")
    # That of a graphics card is not to be had in a process that was forked.
    return found.get_rng_state().numpy().tobytes() if found is not None else None


def set_torch_random(state: bytes) -> None:
    import torch

    torch.set_rng_state(torch.frombuffer(bytearray(state), dtype=torch.uint8))


def pandas() -> Any:
    config = module("pandas._config.config")
    if config is None:
        return None
    found = {}
    for name, option in config._registered_options.items():
        value = config.get_option(name)
        if value is not option.defval and value != option.defval:
            found[name] = value
    return found


def set_pandas(options: Any) -> None:
    import pandas

    for name, value in options.items():
        pandas.set_option(name, value)


def matplotlib() -> Any:
    found = module("matplotlib")
    if found is None:
        return None
    present, default = found.rcParams, found.rcParamsDefault
    names = [name for name in present if not name.startswith(("backend", "interactive"))]
    return {name: present._get(name) for name in names if present._get(name) != default._get(name)}


def set_matplotlib(settings: Any) -> None:
    import matplotlib

    matplotlib.rcParams.update({name: value for name, value in settings.items() if name in matplotlib.rcParams})


def decimal() -> Any:
    found = module("decimal")
    if found is None:
        return None
    # The flags say what has happened, and are no setting.
    present, usual = found.getcontext().copy(), found.Context()
    present.clear_flags()
    return present if repr(present) != repr(usual) else None


def set_decimal(context: Any) -> None:
    import decimal

    decimal.setcontext(context)


def filters() -> Any:
    """What `warnings.filterwarnings` was told; filters for the user's own classes mean nothing in another process."""
    return [each for each in warnings.filters if getattr(each[2], "__module__", None) != "__main__"]


def set_filters(found: Any) -> None:
    warnings.resetwarnings()
    warnings.filters[:] = found  # type: ignore[index]


def locale() -> Any:
    found = module("locale")
    return found.setlocale(found.LC_ALL, None) if found is not None else None


def set_locale(name: str) -> None:
    import locale

    locale.setlocale(locale.LC_ALL, name)


def loggers() -> Any:
    """How much each logger says, where that was set."""
    logging = module("logging")
    if logging is None:
        return None
    every = {"": logging.root, **logging.root.manager.loggerDict}
    usual = {"": logging.WARNING}
    found = {
        name: (each.level, each.propagate, each.disabled)
        for name, each in every.items()
        if isinstance(each, logging.Logger)
        and (each.level, each.propagate, each.disabled) != (usual.get(name, logging.NOTSET), True, False)
    }
    disabled = logging.root.manager.disable
    return (found, disabled) if found or disabled else None


def set_loggers(state: Any) -> None:
    import logging

    found, disabled = state
    logging.disable(disabled)
    for name, (level, propagate, is_disabled) in found.items():
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.propagate, logger.disabled = propagate, is_disabled


Part = tuple[str, Callable[[], Any], Callable[[Any], None]]

#: In words, how it is read, how it is put back. The names are part of the file format.
SETTINGS: dict[str, Part] = {
    "numpy_random": ("state of numpy.random", numpy_random, set_numpy_random),
    "torch_random": ("state of torch's random numbers", torch_random, set_torch_random),
    "numpy_print": ("print options of numpy", numpy_print, set_numpy_print),
    "numpy_errors": ("what numpy does with errors", numpy_errors, set_numpy_errors),
    "pandas": ("options of pandas", pandas, set_pandas),
    "matplotlib": ("settings of matplotlib", matplotlib, set_matplotlib),
    "decimal": ("decimal context", decimal, set_decimal),
    "warnings": ("filters of warnings", filters, set_filters),
    "locale": ("locale", locale, set_locale),
    "logging": ("levels of loggers", loggers, set_loggers),
    "recursion": ("recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
}
#: These are left out if they are as they were before any code of the user's ran.
COMPARED = ("warnings", "locale", "recursion", "logging")
