"""Files of the first format, which are read and written no more: one file a checkpoint, a section a group of variables.

See `container` for the file itself. The section of a group is: u32 length of a list (JSON), the list with name, length
of the stream and lengths of the buffers of each variable, all streams, all buffers.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any


from ..serialize.container import Reader, Section, damaged
from ..serialize.loading import Pickle
from .stored import StoredGroup

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
