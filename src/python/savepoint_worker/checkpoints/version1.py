"""Files of the first format: one file a checkpoint, with a section for each group of variables.

See `container` for the file itself. The section of a group is: u32 length of a list (JSON), the list with name, length
of the stream and lengths of the buffers of each variable, all streams, all buffers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any


from ..serialize import process
from ..serialize.container import FORMAT_VERSION, Reader, Section, Writer, damaged
from ..serialize.loading import Pickle
from ..serialize.progress import NOTHING, Progress
from ..serialize.saving import Group, save
from . import describing
from .describing import Extras
from .stored import StoredGroup

#: Room for one variable's lines in the manifest; the file is rearranged if it does not suffice.
MANIFEST_BYTES_A_VARIABLE = 768
_GROUP = "variables/"
_PROCESS = "process/"
_COUNT = struct.Struct(">I")


class Version1:
    """A file that the gateway has verified."""

    def __init__(self, path: str) -> None:
        """Raises SavepointError (`damaged_checkpoint`, `format_unsupported`) or OSError."""
        self._file = Reader(path)
        manifest = self._file.manifest
        self.python_version: str = manifest["python_version"]
        self.anchors: list[str] = manifest["anchors"]
        self.kinds = {entry["name"]: entry["type"] for entry in manifest["objects"]}
        self.lost = {entry["name"]: entry["reason"] for entry in manifest["lost"]}
        self.attributes: set[str] = set()
        self.warnings: list[str] = []

    def close(self) -> None:
        self._file.close()

    def groups(self) -> Iterator[StoredGroup]:
        for place in self._file.sections(_GROUP):
            yield StoredGroup(place["variables"], lambda name=place["name"]: _read(self._file.section(name)))

    def history(self) -> list[Any]:
        return list(json.loads(self._file.contents("history")))

    def sources(self) -> dict[str, str]:
        return dict(json.loads(self._file.contents("sources")))

    def process(self) -> dict[str, Callable[[], bytes]]:
        names = [place["name"] for place in self._file.sections(_PROCESS)]
        return {name.removeprefix(_PROCESS): lambda name=name: self._file.contents(name) for name in names}


def _read(section: Section) -> list[Pickle]:
    """The variables of one group. Raises SavepointError (`damaged_checkpoint`)."""
    try:
        (length,) = _COUNT.unpack(section.take(_COUNT.size))
        entries = json.loads(section.take(length))
        streams = [section.take(entry["stream"]) for entry in entries]
        buffers = [[section.take_memory(size) for size in entry["buffers"]] for entry in entries]
    except (ValueError, TypeError, KeyError):
        raise damaged("The list of a section's variables cannot be read.") from None
    section.verify()
    return [Pickle(entry["name"], stream, each) for entry, stream, each in zip(entries, streams, buffers)]


def write(
    namespace: dict[str, Any],
    variables: dict[str, Any],
    path: str,
    extras: Extras,
    progress: Progress,
    skipped: dict[str, str],
) -> dict[str, Any]:
    """Save variables to a new file; the manifest. Raises OSError."""
    saved = save(variables, namespace, progress, skipped)
    kept = [pickled.kept for group in saved.groups for pickled in group.variables]
    everything = {each.name: each for each in (*kept, *saved.lost)}
    objects = [everything[name] for name in variables]
    manifest = {
        "format_version": FORMAT_VERSION,
        **describing.describe(variables, objects, extras),
        "imports": list(describing.imports(variables)),
        "objects": [each.entry() for each in objects],
        "lost": [each.loss() for each in saved.lost],
    }
    room = len(json.dumps(manifest)) + MANIFEST_BYTES_A_VARIABLE * (len(saved.groups) + 8)
    file = Writer(path, room, progress.tick)
    try:
        for group in saved.groups:
            members = [each.kept.name for each in group.variables]
            file.add(_GROUP + members[0], _pieces(group), members)
            # The streams are no longer needed, and may be large.
            group.variables.clear()
        file.add("history", [json.dumps(extras.history).encode()])
        file.add("sources", [json.dumps(saved.sources).encode()])
        for name, part in process.collect(extras.baseline, extras.before_fork).items():
            file.add(_PROCESS + name, [part])
        file.finish(manifest)
    finally:
        file.close()
    progress.begin(NOTHING)
    return {**manifest, "sections": file.sections}


def read_manifest(path: str) -> dict[str, Any]:
    """The manifest of a file. Raises SavepointError or OSError."""
    file = Reader(path)
    file.close()
    return file.manifest


def _pieces(group: Group) -> Iterator[bytes | memoryview]:
    entries = [
        {
            "name": each.kept.name,
            "stream": each.stream.length,
            "buffers": [buffer.raw().nbytes for buffer in each.buffers],
        }
        for each in group.variables
    ]
    head = json.dumps(entries, separators=(",", ":")).encode()
    yield _COUNT.pack(len(head))
    yield head
    for each in group.variables:
        yield from (piece for piece, _ in each.stream.pieces())
    for each in group.variables:
        yield from (buffer.raw() for buffer in each.buffers)
