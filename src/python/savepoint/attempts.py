"""Calling a function so that nothing is left of it unless it went well."""

from __future__ import annotations

import inspect
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple, Union, overload

from . import carrying, process
from .blocks import Transaction
from .errors import RolledBack, SavepointError


#: "on_success", "never", or a function of the value.
Keep = Union[str, Callable[[Any], object]]


@dataclass(frozen=True)
class Outcome:
    """What came of an attempt.

    `committed`: what the function did to the state is kept. `value` is what it returned (by pickle, if it was rolled
    back), or None. `error` says what it raised; None: it returned. `engine` is what was used, `ms` how long it took.
    """

    committed: bool
    value: Any
    error: RolledBack | None
    engine: str
    ms: float


class _Returned(NamedTuple):
    """Carries the value of a function whose effects are not kept."""

    value: object


@overload
def attempt(
    fn: Callable[..., Coroutine[Any, Any, Any]], *args: Any, engine: str = ..., keep: Keep = ..., **kwargs: Any
) -> Coroutine[Any, Any, Outcome]: ...
@overload
def attempt(
    fn: Callable[..., Any], *args: Any, engine: str = ..., keep: Keep = ..., **kwargs: Any
) -> Outcome: ...
def attempt(
    fn: Callable[..., Any], *args: Any, engine: str = "auto", keep: Keep = "on_success", **kwargs: Any
) -> Outcome | Coroutine[Any, Any, Outcome]:
    """Call `fn(*args, **kwargs)` in a transaction, and say what came of it. Never raises what `fn` raised.

    `keep`: "on_success" keeps its effects if it returns, "never" rolls them back in any case, and a function of the
    value decides by whether it returns something true. The value of what is rolled back comes over by pickle; one that
    cannot is an `error`, as is what `keep` raises. An interrupt and SystemExit in `fn` are failures like others: look
    at `error.reason` to tell. With an async function it is to be awaited: `outcome = await attempt(fetch, url)`.
    Raises SavepointError: `bad_request` for a wrong `fn` or `keep`, and what `begin` raises.
    """
    if not callable(fn):
        raise SavepointError("bad_request", f"An attempt needs a function to call, not {type(fn).__name__}.")
    if not callable(keep) and keep not in ("on_success", "never"):
        message = f"keep is 'on_success', 'never' or a function of the value, not {keep!r}."
        raise SavepointError("bad_request", message, {"keep": repr(keep)[:200]})
    tx = Transaction(None, "rollback_on_failure", engine)
    if _is_async(fn):
        return _attempt_async(tx, keep, lambda: fn(*args, **kwargs))
    return _attempt(tx, keep, lambda: fn(*args, **kwargs))


def _attempt(tx: Transaction, keep: Keep, call: Callable[[], Any]) -> Outcome:
    began = time.perf_counter()
    try:
        with tx:
            value = _checked(call())
            _judge(tx, keep, value)
    except BaseException as error:
        return _failed(tx, error, began)
    return _outcome(tx, began, True, value)


async def _attempt_async(
    tx: Transaction, keep: Keep, call: Callable[[], Awaitable[Any]]
) -> Outcome:
    began = time.perf_counter()
    try:
        with tx:
            value = await call()
            _judge(tx, keep, value)
    except BaseException as error:
        return _failed(tx, error, began)
    return _outcome(tx, began, True, value)


def _is_async(fn: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None))


def _checked(value: Any) -> Any:
    if inspect.iscoroutine(value):
        value.close()
        message = "The function returned a coroutine, which was not run. Give attempt the async function itself."
        raise SavepointError("bad_request", message)
    return value


def _judge(tx: Transaction, keep: Keep, value: Any) -> None:
    """Return if the effects are to be kept, else roll the block back and do not return."""
    if keep == "never" or (callable(keep) and not keep(value)):
        tx.rollback(value=_Returned(value))


def _failed(tx: Transaction, error: BaseException, began: float) -> Outcome:
    if isinstance(error, RolledBack) and error is tx.rolled_back:
        if isinstance(error.value, _Returned):
            return _outcome(tx, began, False, error.value.value)
        return _outcome(tx, began, False, error=error)
    if not tx.ended or process.is_leaving(error):
        # It could not be begun or rolled back, or the whole cell ends here.
        raise error
    # The function has ended the transaction itself and failed then: there was nothing to go back to.
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    told = RolledBack("error", type(error).__name__, carrying.text_of(error), lines, error)
    return _outcome(tx, began, True, error=told)


def _outcome(
    tx: Transaction, began: float, committed: bool, value: object = None, error: RolledBack | None = None
) -> Outcome:
    return Outcome(committed, value, error, tx.engine, (time.perf_counter() - began) * 1000)
