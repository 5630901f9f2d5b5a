"""A group of pickled variables -> chunks, and its line in the list of variables; and back.

    {"objects": [{"name", "type", "verdict", "tier", "bytes", "reason", "preview", "digest"}, ...],
     "streams": [bytes of each stream, ...], "stream": reference to the streams, one after the other,
     "joints": {pair: reference to its table}, if there were any (see `joints`),
     "buffers": [[reference to each buffer, ...], ...]}
"""

from __future__ import annotations

import hashlib
import pickle
import struct
from typing import Any

from . import joints, tree
from .addresses import address_of
from .container import damaged, own_memory
from .loading import Pickle
from .manifest import encode
from .packs import PackReader, PackWriter, pays
from .preview import preview
from .saving import Group, Pickled
from .streams import Cutter

#: Buffers are read into place, or even mapped, as they lie in the pack. Only what shrinks this much is compressed.
BUFFER_GAIN_MIN = 8
_SAMPLE_BYTES = 4096
_DIGEST_CHARACTERS = 16


class GroupWriter:
    """Writes groups into a pack."""

    def __init__(self, pack: PackWriter) -> None:
        self._pack = pack
        #: Raw bytes of all that was written.
        self.size = 0

    def write(self, group: Group, values: dict[str, Any]) -> dict[str, Any]:
        """The line of a group; `values`: of the variables, by name. Raises OSError."""
        # By the place of the memory, all of which is there until the group is done.
        refs: dict[tuple[int, int], tree.Ref] = {}
        buffers = [[self._buffer(buffer, refs) for buffer in each.buffers] for each in group.variables]
        line = {
            "objects": [self._object(each, values[each.kept.name], refs) for each in group.variables],
            "streams": [each.stream.length for each in group.variables],
            **self._stream(group),
            "buffers": buffers,
        }
        for each in group.variables:
            each.stream.drop()
        return line

    def _object(self, pickled: Pickled, value: Any, refs: dict[tuple[int, int], tree.Ref]) -> dict[str, Any]:
        found = hashlib.sha256(pickled.own_sum)
        for buffer in pickled.own_buffers:
            found.update(encode(self._buffer(buffer, refs)))
        digest = found.hexdigest()[:_DIGEST_CHARACTERS]
        return {**pickled.kept.entry(), "preview": preview(value), "digest": digest}

    def _stream(self, group: Group) -> dict[str, Any]:
        length = sum(each.stream.length for each in group.variables)
        pieces = (piece for each in group.variables for piece in each.stream.pieces())
        self.size += length
        if length <= tree.INLINE_BYTES_MAX:
            return {"stream": tree.inline(b"".join(piece for piece, _ in pieces))}
        cutter = Cutter(self._pack)
        for piece, is_data in pieces:
            cutter.feed(piece, is_data)
        cutter.finish()
        tables = {pair: self._table(table) for pair, table in cutter.tables().items()}
        found = {"stream": tree.refer(cutter.size, cutter.digests, self._pack)}
        return {**found, "joints": tables} if tables else found

    def _table(self, table: bytes) -> tree.Ref:
        if len(table) <= tree.INLINE_BYTES_MAX:
            return tree.inline(table)
        return tree.add_memory(memoryview(table), self._pack, compress=True)

    def _buffer(self, buffer: pickle.PickleBuffer, refs: dict[tuple[int, int], tree.Ref]) -> tree.Ref:
        memory = buffer.raw()
        place = address_of(memory), len(memory)
        if place not in refs:
            self.size += len(memory)
            refs[place] = tree.add_memory(memory, self._pack, pays(_sample(memory), BUFFER_GAIN_MIN))
        return refs[place]


def _sample(memory: memoryview) -> bytes:
    middle = len(memory) // 2
    places = {0, middle, max(0, len(memory) - _SAMPLE_BYTES)}
    return b"".join(bytes(memory[begin : begin + _SAMPLE_BYTES]) for begin in sorted(places))


def read(line: dict[str, Any], packs: PackReader) -> list[Pickle]:
    """The variables of a group, ready to be loaded. Raises SavepointError (`damaged_checkpoint`)."""
    try:
        names = [entry["name"] for entry in line["objects"]]
        lengths, buffers = line["streams"], line["buffers"]
        stream = memoryview(_stream(line, packs))
    except (KeyError, TypeError, struct.error):
        raise damaged("A line of the list of variables is malformed.") from None
    found, end = [], 0
    for name, length, refs in zip(names, lengths, buffers):
        begin, end = end, end + length
        found.append(Pickle(name, bytes(stream[begin:end]), [_memory(ref, packs) for ref in refs]))
    return found


def _stream(line: dict[str, Any], packs: PackReader) -> bytes:
    stream = tree.content(line["stream"], packs)
    for pair in reversed(joints.PAIRS):
        table = line.get("joints", {}).get(pair.decode())
        if table is not None:
            stream = joints.put_back(stream, pair, tree.content(table, packs))
    return stream


def _memory(ref: tree.Ref, packs: PackReader) -> memoryview:
    digests = tree.digests_of(ref, packs)
    memory = own_memory(ref["bytes"])
    tree.fill(digests, memory, packs)
    return memory
