"""References from a manifest to content: the digests of its chunks, or of chunks that list them.

    {"bytes": n, "chunks": [hex, ...]}              these chunks, one after the other
    {"bytes": n, "depth": d, "chunks": [hex, ...]}  these chunks, one after the other, are the raw digests of the next
                                                    level; after d such levels comes the content
    {"bytes": n, "chunks": [], "inline": base64}    the content itself: it is too short for a chunk of its own
"""

from __future__ import annotations

import base64
from typing import Any

from savepoint.errors import SavepointError

from . import chunks, sharing_out
from .chunks import CHUNK_BYTES, DIGEST_BYTES
from .container import damaged
from .packs import PackReader, PackWriter, pays

Ref = dict[str, Any]

#: Chunks that a reference names itself. Few: its line is written anew whenever one of the lines beside it changes, and
#: a digest takes as much room there after compression as it takes in a list, which is written once.
CHUNKS_MAX = 16
#: Digests of one chunk that lists others.
LIST_LENGTH = 2048
#: Content up to this size is kept in the manifest's own lines.
INLINE_BYTES_MAX = 512
DEPTH_MAX = 4


def inline(content: bytes) -> Ref:
    """A reference that holds its content."""
    return {"bytes": len(content), "chunks": [], "inline": base64.b64encode(content).decode()}


def refer(size: int, digests: list[bytes], pack: PackWriter, chunks_max: int = CHUNKS_MAX) -> Ref:
    """The reference to content of `size` bytes in these chunks. Raises OSError."""
    depth = 0
    while len(digests) > chunks_max:
        lists = [b"".join(digests[begin : begin + LIST_LENGTH]) for begin in range(0, len(digests), LIST_LENGTH)]
        digests = pack.add(lists, compress=False)
        depth += 1
    ref: Ref = {"bytes": size}
    if depth:
        ref["depth"] = depth
    return {**ref, "chunks": [digest.hex() for digest in digests]}


def add_memory(memory: memoryview, pack: PackWriter, compress: bool) -> Ref:
    """The reference to memory, which is only looked at. Raises OSError."""
    digests = pack.add([memory[begin:end] for begin, end in chunks.fixed(len(memory))], compress)
    return refer(len(memory), digests, pack)


def digests_of(ref: Ref, packs: PackReader) -> list[bytes]:
    """The chunks of the content of a reference. Raises SavepointError (`damaged_checkpoint`)."""
    try:
        digests = [bytes.fromhex(text) for text in ref["chunks"]]
        depth = ref.get("depth", 0)
        if type(depth) is not int or not 0 <= depth <= DEPTH_MAX:
            raise ValueError
    except (TypeError, KeyError, ValueError):
        raise damaged("A reference to a chunk is malformed.") from None
    for _ in range(depth):
        lists = b"".join(map(packs.read, digests))
        digests = [lists[begin : begin + DIGEST_BYTES] for begin in range(0, len(lists), DIGEST_BYTES)]
    return digests


def content(ref: Ref, packs: PackReader) -> bytes:
    """All that a reference stands for. Raises SavepointError (`damaged_checkpoint`)."""
    if "inline" in ref:
        try:
            return base64.b64decode(ref["inline"], validate=True)
        except (ValueError, TypeError):
            raise damaged("A reference holds no content.") from None
    digests = digests_of(ref, packs)
    if len(digests) == 1 and packs.length(digests[0]) == ref["bytes"]:
        return bytes(packs.read(digests[0]))
    target = bytearray(sum(map(packs.length, digests)))
    fill(digests, memoryview(target), packs)
    if len(target) != ref["bytes"]:
        raise damaged("Some content is not as long as it should be.")
    return bytes(target)


def beginning(ref: Ref, packs: PackReader) -> tuple[bytes, SavepointError | None]:
    """What a reference stands for, as far as it is not damaged, and what is wrong with the rest."""
    try:
        return content(ref, packs), None
    except SavepointError as error:
        found = bytearray()
        try:
            for digest in digests_of(ref, packs):
                found += packs.read(digest)
        except SavepointError:
            # This is where it ends.
            pass
        return bytes(found), error


def fill(digests: list[bytes], target: memoryview, packs: PackReader) -> None:
    """Read chunks into memory that is as long as they are. Raises SavepointError (`damaged_checkpoint`)."""
    offsets, end = [], 0
    for digest in digests:
        offsets.append(end)
        end += packs.length(digest)
    if end != len(target):
        raise damaged("Some content is not as long as it should be.")

    def read(index: int) -> None:
        begin = offsets[index]
        packs.read_into(digests[index], target[begin : begin + packs.length(digests[index])])

    sharing_out.each(len(digests), read, end, slow=bool(digests) and packs.is_compressed(digests[0]))
