"""A stored checkpoint, as a restore sees it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from savepoint.errors import SavepointError

from ..serialize import groups, tree
from ..serialize.container import damaged
from ..serialize.index import read_lines
from ..serialize.loading import Pickle
from ..serialize.manifest import FORMAT_VERSION
from ..serialize.packs import PackReader


class StoredGroup(NamedTuple):
    """Variables that are loaded together. `read` raises SavepointError (`damaged_checkpoint`)."""

    names: list[str]
    read: Callable[[], list[Pickle]]


class Stored(Protocol):
    """What both formats have."""

    python_version: str
    #: Names of the anchored containers, in the order in which streams refer to them.
    anchors: list[str]
    #: Types of all variables, in their order, and why those are lost that are.
    kinds: dict[str, str]
    lost: dict[str, str]
    #: Those that are no variables, but attributes of modules (see `serialize.attributes`).
    attributes: set[str]
    #: What could not be read, in words.
    warnings: list[str]

    def close(self) -> None:
        """Done."""

    def groups(self) -> Iterator[StoredGroup]:
        """All groups."""

    def history(self) -> list[Any]:
        """Texts of the cells, [number, text]. Raises SavepointError."""

    def sources(self) -> dict[str, str]:
        """Source texts by file. Raises SavepointError or ValueError."""

    def process(self) -> dict[str, Callable[[], bytes]]:
        """Parts of the state of the process, by name. Each raises SavepointError."""


class Version2:
    """A checkpoint whose root the gateway has verified, with its packs."""

    def __init__(self, root: bytes | memoryview, packs: Sequence[str], places: bytes | memoryview) -> None:
        """Raises SavepointError (`damaged_checkpoint`, `format_unsupported`)."""
        try:
            found = json.loads(bytes(root))
            version = found["format_version"]
            if version != FORMAT_VERSION:
                message = f"The checkpoint has format {version}; this release reads up to {FORMAT_VERSION}."
                raise SavepointError("format_unsupported", message)
            self._parts = found["parts"]
            self.python_version: str = found["python_version"]
            self.anchors: list[str] = found["anchors"]
            count = found["namespace_size"]
        except (ValueError, KeyError, TypeError):
            raise damaged("The manifest of the checkpoint cannot be read.") from None
        self._packs = PackReader(packs, places)
        self.kinds: dict[str, str] = {}
        self.lost: dict[str, str] = {}
        self.attributes: set[str] = set()
        try:
            self._lines, self.warnings = read_lines(self._parts["variables"], self._packs, self._keep)
        except BaseException:
            self._packs.close()
            raise
        missing = count - (len(self.kinds) - len(self.attributes))
        if missing > 0:
            self.warnings.append(f"The list of variables is damaged; {missing} of them cannot be named.")

    def _keep(self, line: dict[str, Any]) -> dict[str, Any]:
        """A line with the names alone of what it says of each variable, which is noted."""
        objects = line.pop("objects")
        for entry in objects:
            name = entry["name"]
            self.kinds[name] = sys.intern(entry["type"])
            if entry["verdict"] == "lost":
                self.lost[name] = entry["reason"]
            if entry.get("attribute"):
                self.attributes.add(name)
        line["names"] = [entry["name"] for entry in objects]
        return line

    def close(self) -> None:
        self._packs.close()

    def groups(self) -> Iterator[StoredGroup]:
        for line in self._lines:
            if "stream" in line:
                yield StoredGroup(line["names"], lambda line=line: self._read(line))

    def _read(self, line: dict[str, Any]) -> list[Pickle]:
        return groups.read(line, self._packs)

    def history(self) -> list[Any]:
        return read_lines(self._parts["history"], self._packs)[0]

    def sources(self) -> dict[str, str]:
        lines, wrong = read_lines(self._parts["sources"], self._packs)
        if wrong:
            self.warnings += wrong
        return {line["file"]: line["text"] for line in lines}

    def process(self) -> dict[str, Callable[[], bytes]]:
        parts = self._parts["process"]
        return {name: lambda ref=ref: tree.content(ref, self._packs) for name, ref in parts.items()}
