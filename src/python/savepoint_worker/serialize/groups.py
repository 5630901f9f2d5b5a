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

from savepoint.errors import SavepointError

from . import chunks, joints, tree
from .addresses import SharedMemory, address_of
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
        self._shared = SharedMemory()
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
            add = _add_shared if self._shared.touches(*place) else tree.add_memory
            refs[place] = add(memory, self._pack, pays(_sample(memory), BUFFER_GAIN_MIN))
        return refs[place]


def _add_shared(memory: memoryview, pack: PackWriter, compress: bool) -> tree.Ref:
    """As `tree.add_memory`, piece by piece of a copy: its chunks must not change between hashing and writing."""
    digests = []
    for begin, end in chunks.fixed(len(memory)):
        digests += pack.add([bytes(memory[begin:end])], compress)
    return tree.refer(len(memory), digests, pack)


def _sample(memory: memoryview) -> bytes:
    middle = len(memory) // 2
    places = {0, middle, max(0, len(memory) - _SAMPLE_BYTES)}
    return b"".join(bytes(memory[begin : begin + _SAMPLE_BYTES]) for begin in sorted(places))


def read(line: dict[str, Any], packs: PackReader) -> list[Pickle]:
    """The variables of a group, ready to be loaded, or with what is damaged. `line` has `names` instead of `objects`.

    Raises SavepointError (`damaged_checkpoint`) if that goes for all of them.
    """
    try:
        names = line["names"]
        lengths, buffers = line["streams"], line["buffers"]
        whole, error = tree.beginning(line["stream"], packs)
        stream = memoryview(_with_joints(whole, line.get("joints", {}), packs))
    except (KeyError, TypeError, struct.error):
        raise damaged("A line of the list of variables is malformed.") from None
    found: list[Pickle] = []
    end = 0
    for name, length, refs in zip(names, lengths, buffers):
        begin, end = end, end + length
        if end > len(stream):
            # Nor can those behind it be loaded: how many objects this one has, to which they may refer, is not known.
            found.append(Pickle(name, b"", [], error or damaged("A stream is not as long as it should be.")))
            found += [Pickle(each, b"", [], found[-1].error) for each in names[len(found) :]]
            break
        try:
            found.append(Pickle(name, bytes(stream[begin:end]), [_memory(ref, packs) for ref in refs]))
        except SavepointError as failure:
            found.append(Pickle(name, bytes(stream[begin:end]), [], failure))
    return found


def _with_joints(stream: bytes, tables: dict[str, tree.Ref], packs: PackReader) -> bytes:
    for pair in reversed(joints.PAIRS):
        table = tables.get(pair.decode())
        if table is not None:
            stream = joints.put_back(stream, pair, tree.content(table, packs))
    return stream


def _memory(ref: tree.Ref, packs: PackReader) -> memoryview:
    digests = tree.digests_of(ref, packs)
    memory = own_memory(ref["bytes"])
    tree.fill(digests, memory, packs)
    return memory
