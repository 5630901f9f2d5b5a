"""A stored checkpoint -> the namespace."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from savepoint.errors import SavepointError
from savepoint.lost import Loss, LostVariable

from ..ipython import history
from ..serialize import attributes, loading, process, session, sources
from ..serialize.namespace import given_by_engine, user_variables
from ..serialize.verdict import reason_of
from .stored import Stored, StoredGroup
from .version1 import Version1


#: Names that a refusal lists.
NAMES_SHOWN_MAX = 10


class RestoreReport(NamedTuple):
    """What came of a restore: how many variables are there, which are not, and what else did not work."""

    restored: int
    lost: list[dict[str, str]]
    warnings: list[str]
    ms: float


def restore(
    path: str,
    namespace: dict[str, Any],
    mode: str,
    names: Iterable[str] | None,
    shell: Any = None,
    whole_session: bool = False,
) -> RestoreReport:
    """Merge the variables of a verified file of the first format into `namespace`; else as `restore_stored`."""
    return restore_stored(Version1(path), namespace, mode, names, shell, whole_session)


def restore_stored(
    stored: Stored,
    namespace: dict[str, Any],
    mode: str,
    names: Iterable[str] | None,
    shell: Any = None,
    whole_session: bool = False,
) -> RestoreReport:
    """Merge the variables of a checkpoint into `namespace`, all or only those in `names`; closes it.

    With mode "clear" the user's other variables are removed, after everything was loaded. Variables that are lost, or
    that cannot be made here, become LostVariables. `whole_session`: this process takes the place of the one that wrote
    the file, and gets its `In` and `Out`, too. Raises SavepointError (`bad_request`: it has none of `names`;
    `damaged_checkpoint`, `format_unsupported`) or OSError; then nothing was changed.
    """
    began = time.perf_counter()
    try:
        wanted = None if names is None else set(names)
        if wanted and wanted.isdisjoint(stored.kinds):
            # With mode "clear" a slip of the pen would cost everything that is there.
            raise SavepointError("bad_request", f"The checkpoint has no variable {_listed(wanted)}. Nothing was restored.")
        warnings = list(_warnings(stored, wanted))
        warnings += _apply(stored, process.BEFORE)
        warnings += _provide_sources(stored)
        values, lost = _load(stored, namespace, wanted)
        if mode == "clear":
            for name in user_variables(namespace, given_by_engine(shell or _shell())):
                del namespace[name]
        restored = len(values)
        if whole_session:
            _take_up_session(stored, shell or _shell(), values)
        lost += _assign(stored, values)
        namespace.update(values)
        for loss in lost:
            if loss.name not in stored.attributes and not (whole_session and session.is_result(loss.name)):
                namespace[loss.name] = LostVariable(loss)
        warnings += _apply(stored, process.AFTER)
        warnings += stored.warnings
    finally:
        stored.close()
    ms = (time.perf_counter() - began) * 1000
    return RestoreReport(restored, [loss._asdict() for loss in lost], warnings, ms)


def _take_up_session(stored: Stored, shell: Any, values: dict[str, Any]) -> None:
    for number, text in stored.history():
        history.remember_input(shell, number, text)
    session.put_back(shell, values)


def _load(stored: Stored, namespace: dict[str, Any], wanted: set[str] | None) -> tuple[dict[str, Any], list[Loss]]:
    """The variables in the order in which they were made, and those that cannot be had."""
    reasons = dict(stored.lost)
    found: dict[str, Any] = {}
    waiting = []
    for group in stored.groups():
        if wanted is not None and wanted.isdisjoint(group.names):
            continue
        failed = _load_group(group, stored, namespace, found)
        reasons.update({name: _reason(error) for name, error in failed.items()})
        if any(isinstance(error, NameError) for error in failed.values()):
            waiting.append(group)
    if waiting:
        # Code of the user's that runs while an object is made has asked for a variable that was not there yet.
        missing = {name: value for name, value in found.items() if name not in namespace}
        namespace.update(missing)
        try:
            for group in waiting:
                failed = _load_group(group, stored, namespace, found)
                reasons.update({name: _reason(error) for name, error in failed.items()})
        finally:
            for name in missing:
                namespace.pop(name, None)
    chosen = [name for name in stored.kinds if wanted is None or name in wanted]
    values = {name: found[name] for name in chosen if name in found}
    lost = [
        Loss(name, stored.kinds[name], reasons.get(name, "it is not in the file"))
        for name in chosen
        if name not in found
    ]
    return values, lost


def _load_group(
    group: StoredGroup, stored: Stored, namespace: dict[str, Any], found: dict[str, Any]
) -> dict[str, BaseException]:
    """Put a group's variables into `found`; what was raised by those that failed."""
    try:
        loaded = loading.load_group(group.read(), namespace, stored.anchors)
    except Exception as error:
        return dict.fromkeys(group.names, error)
    found.update(loaded.values)
    return loaded.failed


def _assign(stored: Stored, values: dict[str, Any]) -> list[Loss]:
    """Take attributes of modules out of `values`, and assign them; those with which that cannot be done."""
    lost = []
    for name in [name for name in values if name in stored.attributes]:
        try:
            attributes.put_back(name, values.pop(name))
        except Exception as error:
            lost.append(Loss(name, stored.kinds[name], reason_of(error)))
    return lost


def _listed(names: set[str]) -> str:
    shown = [f"'{name[:100]}'" for name in sorted(names)[:NAMES_SHOWN_MAX]]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _reason(error: BaseException) -> str:
    if isinstance(error, SavepointError) and error.code == "damaged_checkpoint":
        return f"its part of the checkpoint is damaged ({error.message})"
    return reason_of(error)


def _warnings(stored: Stored, wanted: set[str] | None) -> Iterator[str]:
    then, now = stored.python_version, platform.python_version()
    if then.split(".")[:2] != now.split(".")[:2]:
        yield f"The checkpoint was made by Python {then}, this is {now}: functions are compiled anew from their source."
    for name in sorted((wanted or set()) - stored.kinds.keys()):
        yield f"The checkpoint has no variable '{name}'."


def _apply(stored: Stored, names: tuple[str, ...]) -> list[str]:
    parts, warnings = {}, []
    for name, read in stored.process().items():
        if name in names:
            try:
                parts[name] = read()
            except SavepointError as error:
                warnings.append(error.message)
    return warnings + process.apply(parts, names)


def _provide_sources(stored: Stored) -> list[str]:
    try:
        sources.provide(stored.sources())
    except (SavepointError, ValueError, KeyError, TypeError) as error:
        return [f"The source texts of functions could not be restored: {reason_of(error)}."]
    return []


def _shell() -> Any:
    module = sys.modules.get("IPython.core.getipython")
    return module.get_ipython() if module is not None else None
