"""Packs: files of chunks.

    "SVPK1\n\0\0" | stored chunks back to back | table | u32 BE number of its entries

One entry of the table: digest of the raw bytes | u64 BE offset in the file | u32 BE stored bytes | u32 BE raw bytes |
u8 codec. What follows is the gateway's: a label and a MAC over table and label. Chunks are covered by their digests.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import NamedTuple

from . import sharing_out
from .chunks import DIGEST_BYTES, digest_of
from .container import damaged

MAGIC = b"SVPK1\n\0\0"
RAW, ZLIB = 0, 1
_ENTRY = struct.Struct(">32sQIIB")
_PLACED = struct.Struct(">32sHQIIB")
_COUNT = struct.Struct(">I")
_ZLIB_LEVEL = 1
#: Only what is worth it is compressed: it has to be inflated again before anything can be done with it.
GAIN_MIN = 1.3
_PROBE_BYTES = 64 * 1024
#: What the gateway appends: label, its length, magic, key, MAC; see `read_table`.
_LENGTH = struct.Struct(">I")
_TRAILER = struct.Struct(">4s8s32s")
_TRAILER_MAGIC = b"SVPM"


class Place(NamedTuple):
    """Where a chunk lies."""

    pack: int
    offset: int
    stored: int
    raw: int
    codec: int


class PackWriter:
    """Writes those chunks into a new file that the owner does not have yet. Without such chunks there is no file."""

    def __init__(self, path: str, known: Collection[bytes], tick: Callable[[int], None] = lambda count: None) -> None:
        self._path = path
        self._known = known
        self._tick = tick
        self._lock = threading.Lock()
        self._file = -1
        self._end = len(MAGIC)
        self._own: set[bytes] = set()
        self._entries: list[bytes] = []

    def add(self, chunks: Sequence[bytes | memoryview], compress: bool) -> list[bytes]:
        """The digests of these chunks, which are in this pack or known afterwards. Raises OSError."""
        digests = [b""] * len(chunks)

        def put(index: int) -> None:
            digests[index] = self._put(chunks[index], compress)

        sharing_out.each(len(chunks), put, sum(map(len, chunks)), slow=compress)
        return digests

    def finish(self) -> None:
        """Write the table. Raises OSError."""
        if self._file >= 0:
            # In the order of the file, whichever thread was first.
            self._entries.sort(key=lambda entry: entry[DIGEST_BYTES : DIGEST_BYTES + 8])
            self._write(b"".join(self._entries) + _COUNT.pack(len(self._entries)), self._end)

    def close(self) -> None:
        """Close the file as it is."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _put(self, chunk: bytes | memoryview, compress: bool) -> bytes:
        digest = digest_of(chunk)
        with self._lock:
            new = digest not in self._known and digest not in self._own
            if new:
                self._own.add(digest)
        if new:
            packed = zlib.compress(chunk, _ZLIB_LEVEL) if compress else chunk
            codec = ZLIB
            if not compress or len(packed) >= len(chunk):
                packed, codec = chunk, RAW
            with self._lock:
                if self._file < 0:
                    self._open()
                offset, self._end = self._end, self._end + len(packed)
                self._entries.append(_ENTRY.pack(digest, offset, len(packed), len(chunk), codec))
            self._write(packed, offset)
        self._tick(len(chunk))
        return digest

    def _open(self) -> None:
        # Not through a link that somebody put there, and for no other user's eyes.
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)
        self._write(MAGIC, 0)

    def _write(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:
            written = os.pwrite(self._file, view, offset)
            offset += written
            view = view[written:]


def pays(data: bytes | memoryview, gain: float = GAIN_MIN) -> bool:
    """Is it worth compressing what begins with this?"""
    probe = data[:_PROBE_BYTES]
    return len(probe) > 0 and len(probe) >= gain * len(zlib.compress(probe, _ZLIB_LEVEL))


def read_known(path: str | None) -> Collection[bytes]:
    """The digests in a file that holds nothing else. Raises OSError."""
    if path is None:
        return frozenset()
    with open(path, "rb", opener=_no_link) as file:
        data = file.read()
    whole = len(data) - len(data) % DIGEST_BYTES
    return frozenset(map(itemgetter(0), struct.iter_unpack(f"{DIGEST_BYTES}s", data[:whole])))


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC)


class PackReader:
    """Reads chunks out of packs, each checked against its digest before anybody sees it."""

    def __init__(self, paths: Sequence[str], places: bytes | memoryview) -> None:
        """`places`: the gateway's list of where each chunk lies; empty: what the packs say themselves.

        Raises SavepointError (`damaged_checkpoint`).
        """
        self._paths = paths
        self._files: dict[int, int] = {}
        self._lock = threading.Lock()
        try:
            self._places = _places(places) if places else self._read_tables()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Done."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def length(self, digest: bytes) -> int:
        """Raw bytes of a chunk. Raises SavepointError (`damaged_checkpoint`)."""
        return self._place(digest).raw

    def is_compressed(self, digest: bytes) -> bool:
        """Does it take a while to read this chunk? Raises SavepointError (`damaged_checkpoint`)."""
        return self._place(digest).codec != RAW

    def read(self, digest: bytes) -> bytes | bytearray:
        """A chunk. Raises SavepointError (`damaged_checkpoint`)."""
        place = self._place(digest)
        target = bytearray(place.raw)
        self.read_into(digest, memoryview(target))
        return target

    def read_into(self, digest: bytes, target: memoryview) -> None:
        """Fill `target`, which is as long as the chunk. Raises SavepointError (`damaged_checkpoint`)."""
        place = self._place(digest)
        if place.raw != len(target):
            raise damaged("A chunk is not as long as it should be.")
        if place.codec == RAW and place.stored == place.raw:
            self._fill(place, target)
        elif place.codec == ZLIB:
            packed = bytearray(place.stored)
            self._fill(place, memoryview(packed))
            unpacker = zlib.decompressobj()
            try:
                # Not a byte more than it should be, whatever the file says.
                raw = unpacker.decompress(packed, place.raw + 1)
            except zlib.error:
                raise damaged("A chunk cannot be inflated.") from None
            if len(raw) != place.raw:
                raise damaged("A chunk inflates to another length.")
            target[:] = raw
        else:
            raise damaged("A chunk is stored in an unknown way.")
        if digest_of(target) != digest:
            raise damaged("A chunk is not as it was written.")

    def _place(self, digest: bytes) -> Place:
        place = self._places.get(digest)
        if place is None:
            raise damaged("A chunk is not there.")
        return place

    def _fill(self, place: Place, target: memoryview) -> None:
        file = self._open(place.pack)
        offset = place.offset
        try:
            while target:
                count = os.preadv(file, [target], offset)
                if count == 0:
                    raise damaged("A pack ends too early.")
                offset += count
                target = target[count:]
        except OSError as error:
            raise damaged(f"A pack cannot be read ({error.strerror}).") from None

    def _open(self, pack: int) -> int:
        with self._lock:
            if pack not in self._files:
                if pack >= len(self._paths):
                    raise damaged("A chunk lies in a pack that is not named.")
                try:
                    self._files[pack] = _no_link(self._paths[pack], os.O_RDONLY)
                except OSError as error:
                    raise damaged(f"A pack cannot be opened ({error.strerror}).") from None
            return self._files[pack]

    def _read_tables(self) -> dict[bytes, Place]:
        found = {}
        for pack, path in enumerate(self._paths):
            if not os.path.lexists(path):
                # Without new chunks no file is written.
                continue
            for digest, offset, stored, raw, codec in _ENTRY.iter_unpack(_read_table(self._open(pack))):
                found[digest] = Place(pack, offset, stored, raw, codec)
        return found


def _places(data: bytes | memoryview) -> dict[bytes, Place]:
    if len(data) % _PLACED.size:
        raise damaged("The list of chunks is malformed.")
    return {digest: Place(*place) for digest, *place in _PLACED.iter_unpack(data)}


def _read_table(file: int) -> bytes:
    """The table of a pack, whether the gateway has sealed it or not. Raises SavepointError (`damaged_checkpoint`)."""
    size = os.fstat(file).st_size
    for end in (size, _end_of_sealed(file, size)):
        if end is not None and end >= len(MAGIC) + _COUNT.size:
            (count,) = _COUNT.unpack(os.pread(file, _COUNT.size, end - _COUNT.size))
            begin = end - _COUNT.size - count * _ENTRY.size
            if begin >= len(MAGIC) and os.pread(file, len(MAGIC), 0) == MAGIC:
                return os.pread(file, count * _ENTRY.size, begin)
    raise damaged("A pack has no table.")


def _end_of_sealed(file: int, size: int) -> int | None:
    """Where the writer's part of a sealed pack ends."""
    if size < _TRAILER.size + _LENGTH.size:
        return None
    magic, _, _ = _TRAILER.unpack(os.pread(file, _TRAILER.size, size - _TRAILER.size))
    if magic != _TRAILER_MAGIC:
        return None
    (length,) = _LENGTH.unpack(os.pread(file, _LENGTH.size, size - _TRAILER.size - _LENGTH.size))
    return int(size - _TRAILER.size - _LENGTH.size - length)
