"""Writing the user's variables to a file, and merging them back into a namespace.

`write` runs in a process that does nothing else (see `writer`); `restore` runs in the worker, on a file that the
gateway has verified: loading a file can run any code, so nobody else's file ever gets here.
"""

from __future__ import annotations

import json
import platform
import sys
import time
import types
from collections.abc import Iterable, Iterator
from datetime import datetime, timezone
from typing import Any, NamedTuple

from savepoint.errors import SavepointError
from savepoint.lost import Loss, LostVariable

from .ipython import history
from .serialize import anchors, loading, process, session, sources
from .serialize.container import FORMAT_VERSION, Reader, Writer
from .serialize.namespace import given_by_engine, user_variables
from .serialize.progress import NOTHING, Progress
from .serialize.saving import Saved, save
from .serialize.verdict import VERDICTS, Kept, reason_of

#: Room for one variable's lines in the manifest; the file is rearranged if it does not suffice.
MANIFEST_BYTES_A_VARIABLE = 768
_GROUP = "variables/"
_PROCESS = "process/"


class Extras(NamedTuple):
    """What is saved besides the variables."""

    baseline: process.Baseline
    #: State of `random`, taken before any fork.
    random_state: Any
    #: Texts of the cells so far, [number, text].
    history: list[tuple[int, str]]
    execution_count: int
    #: Whether `Out` is saved, too: for another process in the same session.
    results: bool = False


class RestoreReport(NamedTuple):
    """What came of a restore: how many variables are there, which are not, and what else did not work."""

    restored: int
    lost: list[dict[str, str]]
    warnings: list[str]
    ms: float


# --------------------------------------------------------------------------------------------------------- writing


def write(
    namespace: dict[str, Any],
    path: str,
    exclude: Iterable[str],
    extras: Extras,
    shell: Any = None,
    progress: Progress | None = None,
    skipped: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Save the user's variables to a new file at `path`; the manifest.

    Variables in `skipped` are not even looked at: they are lost for the reasons given. Raises OSError.
    """
    progress = progress or Progress()
    variables = user_variables(namespace, given_by_engine(shell), tuple(exclude))
    if extras.results:
        variables |= session.results(shell)
    saved = save(variables, namespace, progress, skipped or {})
    manifest = _describe(variables, saved, extras)
    room = len(json.dumps(manifest)) + MANIFEST_BYTES_A_VARIABLE * (len(saved.groups) + 8)
    file = Writer(path, room, progress.tick)
    try:
        for group in saved.groups:
            members = [each.kept.name for each in group.variables]
            file.add(_GROUP + members[0], loading.pieces(group), members)
            # The streams are no longer needed, and may be large.
            group.variables.clear()
        file.add("history", [json.dumps(extras.history).encode()])
        file.add("sources", [json.dumps(saved.sources).encode()])
        for name, part in process.collect(extras.baseline, extras.random_state).items():
            file.add(_PROCESS + name, [part])
        file.finish(manifest)
    finally:
        file.close()
    progress.begin(NOTHING)
    return {**manifest, "sections": file.sections}


def _describe(variables: dict[str, Any], saved: Saved, extras: Extras) -> dict[str, Any]:
    """The manifest, but for its list of sections."""
    kept = [pickled.kept for group in saved.groups for pickled in group.variables]
    everything = {each.name: each for each in (*kept, *saved.lost)}
    objects = [everything[name] for name in variables]
    return {
        "format_version": FORMAT_VERSION,
        "python_version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "created_at": datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "namespace_size": len(variables),
        "function_count": sum(issubclass(type(value), types.FunctionType) for value in variables.values()),
        "class_count": sum(issubclass(type(value), type) for value in variables.values()),
        "execution_count": extras.execution_count,
        "imports": list(_imports(variables)),
        "objects": [each.entry() for each in objects],
        "lost": [each.loss() for each in saved.lost],
        "verdicts": _counts(objects),
        "anchors": list(anchors.CONTAINER_NAMES),
    }


def _counts(objects: list[Kept]) -> dict[str, int]:
    counts = dict.fromkeys(VERDICTS, 0)
    for each in objects:
        counts[each.verdict] += 1
    return counts


def _imports(variables: dict[str, Any]) -> Iterator[dict[str, str | None]]:
    """The modules that the user has imported under a name of his own, with their versions."""
    for name, value in variables.items():
        if type(value) is types.ModuleType:
            # Not asked of the module itself: some compute it, or fail to.
            version = vars(value).get("__version__")
            yield {"name": name, "module": value.__name__, "version": version if isinstance(version, str) else None}


# ------------------------------------------------------------------------------------------------------- restoring


def restore(
    path: str,
    namespace: dict[str, Any],
    mode: str,
    names: Iterable[str] | None,
    shell: Any = None,
    whole_session: bool = False,
) -> RestoreReport:
    """Merge the variables of a verified file into `namespace`, all or only those in `names`.

    With mode "clear" the user's other variables are removed, after everything was loaded. Variables that are lost, or
    that cannot be made here, become LostVariables. `whole_session`: this process takes the place of the one that wrote
    the file, and gets its `In` and `Out`, too. Raises SavepointError (`damaged_checkpoint`, `format_unsupported`) or
    OSError; then nothing was changed.
    """
    began = time.perf_counter()
    file = Reader(path)
    try:
        wanted = None if names is None else set(names)
        warnings = list(_warnings(file.manifest, wanted))
        warnings += _apply(file, process.BEFORE)
        warnings += _provide_sources(file)
        values, lost = _load(file, namespace, wanted)
        if mode == "clear":
            for name in user_variables(namespace, given_by_engine(shell or _shell())):
                del namespace[name]
        restored = len(values)
        if whole_session:
            _take_up_session(file, shell or _shell(), values)
        namespace.update(values)
        for loss in lost:
            if not (whole_session and session.is_result(loss.name)):
                namespace[loss.name] = LostVariable(loss)
        warnings += _apply(file, process.AFTER)
    finally:
        file.close()
    ms = (time.perf_counter() - began) * 1000
    return RestoreReport(restored, [loss._asdict() for loss in lost], warnings, ms)


def _take_up_session(file: Reader, shell: Any, values: dict[str, Any]) -> None:
    for number, text in json.loads(file.contents("history")):
        history.remember_input(shell, number, text)
    session.put_back(shell, values)


def _load(file: Reader, namespace: dict[str, Any], wanted: set[str] | None) -> tuple[dict[str, Any], list[Loss]]:
    """The variables in the order in which they were made, and those that cannot be had."""
    reasons = {entry["name"]: entry["reason"] for entry in file.manifest["lost"]}
    found: dict[str, Any] = {}
    for place in file.sections(_GROUP):
        members = place["variables"]
        if wanted is not None and wanted.isdisjoint(members):
            continue
        try:
            loaded = loading.load_group(file.section(place["name"]), namespace, file.manifest["anchors"])
        except Exception as error:
            reasons.update({name: f"its part of the file is damaged ({reason_of(error)})" for name in members})
        else:
            found.update(loaded.values)
            reasons.update({name: reason_of(error) for name, error in loaded.failed.items()})
    kinds = {entry["name"]: entry["type"] for entry in file.manifest["objects"]}
    chosen = [name for name in kinds if wanted is None or name in wanted]
    values = {name: found[name] for name in chosen if name in found}
    lost = [Loss(name, kinds[name], reasons.get(name, "it is not in the file")) for name in chosen if name not in found]
    return values, lost


def _warnings(manifest: dict[str, Any], wanted: set[str] | None) -> Iterator[str]:
    then, now = manifest["python_version"], platform.python_version()
    if then.split(".")[:2] != now.split(".")[:2]:
        yield f"The checkpoint was made by Python {then}, this is {now}: functions are compiled anew from their source."
    missing = (wanted or set()) - {entry["name"] for entry in manifest["objects"]}
    for name in sorted(missing):
        yield f"The checkpoint has no variable '{name}'."


def _apply(file: Reader, names: tuple[str, ...]) -> list[str]:
    parts, warnings = {}, []
    for place in file.sections(_PROCESS):
        name = place["name"].removeprefix(_PROCESS)
        if name in names:
            try:
                parts[name] = file.contents(place["name"])
            except SavepointError as error:
                warnings.append(error.message)
    return warnings + process.apply(parts, names)


def _provide_sources(file: Reader) -> list[str]:
    try:
        sources.provide(json.loads(file.contents("sources")))
    except (SavepointError, ValueError) as error:
        return [f"The source texts of functions could not be restored: {reason_of(error)}."]
    return []


def _shell() -> Any:
    module = sys.modules.get("IPython.core.getipython")
    return module.get_ipython() if module is not None else None
