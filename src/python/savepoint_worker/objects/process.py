"""State of the process that code depends on: environment, folder, search path, random states, options."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from typing import Any

from .kinds import MISSING, hold


class Process:
    """What is in force now."""

    def __init__(self, streams: tuple[Any, Any] | None = None) -> None:
        self._saved: list[tuple[str, Callable[[Any], None], Any, Callable[[], Any]]] = []
        for words, get, put in _PARTS:
            value = _or_missing(get)
            if value is not MISSING:
                self._saved.append((words, put, value, get))
        #: The kernel's own streams, where they are in use: a stream of the user's that he put there since is removed.
        self._streams = [
            (name, stream)
            for name, stream in zip(("stdout", "stderr"), streams or ())
            if getattr(sys, name, None) is stream
        ]

    def put_back(self) -> list[str]:
        """Put all of it into force again; what did not work, in words."""
        failed = []
        for words, put, value, get in self._saved:
            try:
                if _or_missing(get) != value:
                    put(value)
            except Exception as error:
                failed.append(f"{words} ({type(error).__name__}: {error})")
        for name, stream in self._streams:
            if getattr(sys, name, None) is not stream:
                hold(getattr(sys, name, None))
                setattr(sys, name, stream)
        mutated = getattr(warnings, "_filters_mutated", None) or getattr(warnings, "_filters_mutated_lock_held", None)
        if mutated is warnings.__dict__.get("_filters_mutated"):
            # What the interpreter found in the filters before is no longer right.
            mutated()
        return failed


def _or_missing(get: Callable[[], Any]) -> Any:
    try:
        return get()
    except Exception:
        return MISSING


def _set_environment(before: dict[str, str]) -> None:
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    for name, value in before.items():
        if os.environ.get(name) != value:
            os.environ[name] = value
    if "time" in sys.modules:
        # The library in C looks at the time zone when it is told to.
        sys.modules["time"].tzset()


def _module(name: str) -> Any:
    # The caller is not to import what the user did not.
    return sys.modules[name]


def _print_options() -> Any:
    options = _module("numpy").get_printoptions()
    options.pop("override_repr", None)
    return options


def _loggers() -> Any:
    logging = _module("logging")
    every = [logging.root, *logging.root.manager.loggerDict.values()]
    loggers = [each for each in every if isinstance(each, logging.Logger)]
    found = [
        (each, each.level, each.handlers[:], each.filters[:], each.propagate, each.disabled) for each in loggers
    ]
    return found, logging.root.manager.disable


def _set_loggers(before: Any) -> None:
    found, disable = before
    _module("logging").disable(disable)
    for logger, level, handlers, filters, propagate, disabled in found:
        logger.setLevel(level)
        logger.handlers[:], logger.filters[:] = handlers, filters
        logger.propagate, logger.disabled = propagate, disabled


def _get_locale() -> str:
    found: str = _module("locale").setlocale(_module("locale").LC_ALL, None)
    return found


def _handlers() -> dict[int, Any]:
    # That of SIGINT is the worker's to see to.
    return {number: signal.getsignal(number) for number in _SIGNALS}


def _set_handlers(before: dict[int, Any]) -> None:
    for number, handler in before.items():
        # None: it was set in C.
        if handler is not None and signal.getsignal(number) != handler:
            signal.signal(number, handler)


_SIGNALS = tuple(sorted(map(int, signal.valid_signals() - {signal.SIGINT, signal.SIGKILL, signal.SIGSTOP})))


class _Timer(tuple):  # type: ignore[type-arg]
    """Of a timer the seconds that are left, and its interval. The former pass by themselves."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Timer) and bool(self[0]) == bool(other[0]) and self[1] == other[1]

    __hash__ = None  # type: ignore[assignment]

    def __ne__(self, other: object) -> bool:
        return not self == other


def _resources() -> dict[int, Any]:
    resource = _module("resource")
    return {number: resource.getrlimit(number) for name, number in vars(resource).items() if name.startswith("RLIMIT_")}


def _set_resources(before: dict[int, Any]) -> None:
    resource = _module("resource")
    for number, limits in before.items():
        if resource.getrlimit(number) != limits:
            resource.setrlimit(number, limits)


def _set_faults(enabled: bool) -> None:
    faulthandler = _module("faulthandler")
    faulthandler.enable() if enabled else faulthandler.disable()


def _set_trace(setter: Callable[[Any], None], getter: Callable[[], Any], before: Any) -> None:
    # That of a debugger is its own affair.
    if not getattr(type(getter()), "__module__", "").startswith(("pydevd", "_pydevd")):
        setter(before)


def _cannot(before: Any) -> None:
    raise RuntimeError("it cannot be put back")


def _attribute(name: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(sys, name), lambda value: setattr(sys, name, value)


def _function(module: str, get: str, put: str) -> tuple[Callable[[], Any], Callable[[Any], None]]:
    return lambda: getattr(_module(module), get)(), lambda value: getattr(_module(module), put)(value)


_PARTS: tuple[tuple[str, Callable[[], Any], Callable[[Any], None]], ...] = (
    ("the environment", lambda: dict(os.environ), _set_environment),
    ("the working folder", os.getcwd, os.chdir),
    ("the recursion limit", sys.getrecursionlimit, sys.setrecursionlimit),
    ("the locale", _get_locale, lambda value: _module("locale").setlocale(_module("locale").LC_ALL, value)),
    ("what numpy does with errors", lambda: _module("numpy").geterr(), lambda value: _module("numpy").seterr(**value)),
    ("print options of numpy", _print_options, lambda value: _module("numpy").set_printoptions(**value)),
    ("what numpy calls for errors", *_function("numpy", "geterrcall", "seterrcall")),
    ("loggers", _loggers, _set_loggers),
    ("the decimal context", *_function("decimal", "getcontext", "setcontext")),
    ("sys.excepthook", *_attribute("excepthook")),
    ("sys.displayhook", *_attribute("displayhook")),
    ("sys.unraisablehook", *_attribute("unraisablehook")),
    ("sys.__stdout__", *_attribute("__stdout__")),
    ("sys.__stderr__", *_attribute("__stderr__")),
    ("the trace function", sys.gettrace, lambda value: _set_trace(sys.settrace, sys.gettrace, value)),
    ("the profile function", sys.getprofile, lambda value: _set_trace(sys.setprofile, sys.getprofile, value)),
    ("the trace function of threads", *_function("threading", "gettrace", "settrace")),
    ("the profile function of threads", *_function("threading", "getprofile", "setprofile")),
    ("signal handlers", _handlers, _set_handlers),
    (
        "the timer",
        lambda: _Timer(signal.getitimer(signal.ITIMER_REAL)),
        lambda value: signal.setitimer(signal.ITIMER_REAL, *value),
    ),
    ("limits of resources", _resources, _set_resources),
    ("the priority of the process", lambda: os.getpriority(0, 0), lambda value: os.setpriority(0, 0, value)),
    ("the processors to be used", lambda: os.sched_getaffinity(0), lambda value: os.sched_setaffinity(0, value)),
    ("whether faults are shown", lambda: _module("faulthandler").is_enabled(), _set_faults),
    ("the switch interval", sys.getswitchinterval, sys.setswitchinterval),
    ("the limit of digits", *_function("sys", "get_int_max_str_digits", "set_int_max_str_digits")),
    ("thresholds of gc", gc.get_threshold, lambda value: gc.set_threshold(*value)),
    ("flags of gc", gc.get_debug, gc.set_debug),
    ("the default time-out of sockets", *_function("socket", "getdefaulttimeout", "setdefaulttimeout")),
    ("the stack size of threads", *_function("threading", "stack_size", "stack_size")),
    ("functions that are called at exit", lambda: _module("atexit")._ncallbacks(), _cannot),
    ("whether memory is traced", lambda: _module("tracemalloc").is_tracing(), _cannot),
    ("threads of pyarrow", *_function("pyarrow", "cpu_count", "set_cpu_count")),
    ("threads of pyarrow for files", *_function("pyarrow", "io_thread_count", "set_io_thread_count")),
)
