"""The user's variables and what belongs to them -> a manifest, and a pack of what its owner did not have yet."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from ..serialize import attributes, manifest, packs, process, session, tree
from ..serialize.index import Lines, ends_chunk
from ..serialize.groups import GroupWriter
from ..serialize.namespace import given_by_engine, user_variables
from ..serialize.preview import preview
from ..serialize.progress import NOTHING, Progress
from ..serialize.saving import save
from . import describing
from .describing import Extras

#: Lost variables that the root names itself; all of them are in its list of variables.
LOST_NAMED_MAX = 100
#: Cells whose texts are one chunk.
HISTORY_A_CHUNK = 32


class Target(NamedTuple):
    """Where a checkpoint is written to."""

    #: The manifest.
    path: str
    #: The new chunks.
    pack: str
    #: File of the digests that are there already.
    known: str | None = None


def write(
    namespace: dict[str, Any],
    target: Target,
    exclude: Iterable[str],
    extras: Extras,
    shell: Any = None,
    progress: Progress | None = None,
    skipped: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Save the user's variables; the root of the manifest.

    Variables in `skipped` are not even looked at: they are lost for the reasons given. Raises OSError.
    """
    progress = progress or Progress()
    variables, added = what_is_saved(namespace, exclude, extras, shell)
    pack = packs.PackWriter(target.pack, packs.read_known(target.known), progress.tick)
    folder = os.path.dirname(target.pack)
    try:
        root = _write(namespace, variables, added, pack, folder, extras, progress, skipped or {})
        pack.finish()
    finally:
        pack.close()
    manifest.write(target.path, root)
    return root


def what_is_saved(
    namespace: dict[str, Any], exclude: Iterable[str], extras: Extras, shell: Any = None
) -> tuple[dict[str, Any], set[str]]:
    """The values that are saved, by name, in the order in which it is done; which of them are no variables."""
    patterns = tuple(exclude)
    variables = user_variables(namespace, given_by_engine(shell), patterns)
    if extras.results:
        variables |= session.results(shell)
    found = attributes.assigned((text for _, text in extras.history), namespace)
    added = {
        name: value
        for name, value in found.items()
        if name not in variables and not any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    return variables | added, set(added)


def read_back(target: Target) -> dict[str, Any]:
    """The root of what another process has written there. Raises OSError."""
    root: dict[str, Any] = json.loads(manifest.read(target.path))
    return root


def _write(
    namespace: dict[str, Any],
    variables: dict[str, Any],
    added: set[str],
    pack: packs.PackWriter,
    folder: str,
    extras: Extras,
    progress: Progress,
    skipped: dict[str, str],
) -> dict[str, Any]:
    saved = save(variables, namespace, progress, skipped, folder)
    writer, lines = GroupWriter(pack), Lines(pack)
    kept = [pickled.kept for group in saved.groups for pickled in group.variables]
    progress.expect(sum(each.bytes for each in kept))
    for group in saved.groups:
        lines.add(_marked(writer.write(group, variables), added), ends_chunk(group.variables[0].kept.name))
        # The streams are no longer needed, and may be large.
        group.variables.clear()
    for each in saved.lost:
        entry = {**each.entry(), "preview": preview(variables[each.name]), "digest": None}
        lines.add(_marked({"objects": [entry]}, added), ends_chunk(each.name))
    progress.begin(NOTHING)
    parts: dict[str, Any] = {
        "variables": lines.finish(),
        "history": _history(extras.history, pack),
        "sources": _sources(saved.sources, pack),
        "imports": _content(manifest.encode(list(describing.imports(variables))), pack),
    }
    state = process.collect(extras.baseline, extras.before_fork)
    parts["process"] = {name: _content(part, pack) for name, part in state.items()}
    withheld = process.withheld(extras.baseline)[:LOST_NAMED_MAX]
    return {
        "format_version": manifest.FORMAT_VERSION,
        **({"withheld": withheld} if withheld else {}),
        **describing.describe({name: value for name, value in variables.items() if name not in added}, [*kept, *saved.lost], extras),
        "lost": [each.loss() for each in saved.lost[:LOST_NAMED_MAX]],
        "lost_count": len(saved.lost),
        "total_bytes": writer.size + sum(part["bytes"] for part in _refs(parts)),
        "parts": parts,
    }


def _marked(line: dict[str, Any], added: set[str]) -> dict[str, Any]:
    for entry in line["objects"]:
        if entry["name"] in added:
            entry["attribute"] = True
    return line


def _history(history: list[tuple[int, str]], pack: packs.PackWriter) -> tree.Ref:
    lines = Lines(pack)
    for number, text in history:
        lines.add([number, text], number % HISTORY_A_CHUNK == HISTORY_A_CHUNK - 1)
    return lines.finish()


def _sources(sources: dict[str, str], pack: packs.PackWriter) -> tree.Ref:
    lines = Lines(pack)
    for file in sorted(sources):
        lines.add({"file": file, "text": sources[file]}, ends_chunk(file))
    return lines.finish()


def _content(content: bytes, pack: packs.PackWriter) -> tree.Ref:
    return tree.add_memory(memoryview(content), pack, packs.pays(content))


def _refs(parts: dict[str, Any]) -> Iterable[tree.Ref]:
    return [part for name, part in parts.items() if name != "process"] + list(parts["process"].values())
