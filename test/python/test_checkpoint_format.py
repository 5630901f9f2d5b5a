"""Format 2: what lies in which file, what is stored again when something changes, and what damage costs."""

from __future__ import annotations

import hashlib
import json
import os
import random
import struct
import unittest
from pathlib import Path
from typing import Any

from checkpoint_case import CheckpointCase, checkpoint_files

from savepoint import SavepointError
from savepoint_worker import checkpoints
from savepoint_worker.serialize import chunks, manifest
from savepoint_worker.serialize.packs import PackWriter

FIXTURE = Path(__file__).with_name("fixtures") / "version1.savepoint"
ENTRY = struct.Struct(">32sQIIB")


def table(pack: Path) -> list[tuple[Any, ...]]:
    """The entries of a pack's table, read as the documentation says."""
    data = pack.read_bytes()
    (count,) = struct.unpack(">I", data[-4:])
    return list(ENTRY.iter_unpack(data[-4 - count * ENTRY.size : -4]))


class PacksCase(CheckpointCase):
    """Several checkpoints in one folder, each of which knows the chunks of those before it."""

    def pack(self) -> Path:
        return Path(f"{self.path}.pack")

    def known(self) -> str:
        """A file of what all packs in the folder hold."""
        path = self.folder / "known"
        path.write_bytes(b"".join(entry[0] for pack in self.folder.glob("*.pack") for entry in table(pack)))
        return str(path)

    def save_next(self, *cells: str, **options: Any) -> int:
        """Save to another manifest and pack; bytes of both."""
        known = self.known()
        self.path = self.folder / f"{self.path.name}.next"
        self.save(*cells, known=known, **options)
        return self.path.stat().st_size + (self.pack().stat().st_size if self.pack().exists() else 0)


class Files(PacksCase):
    def test_they_are_laid_out_as_documented(self) -> None:
        root = self.save("import string\na = 1\nb = [a] * 1000\nmemory = bytearray(1000000)\ndef f(): pass")
        data = self.path.read_bytes()
        (length,) = struct.unpack(">I", data[8:12])
        self.assertEqual((data[:8], json.loads(data[12:])), (b"SVPT2\n\0\0", root))
        self.assertEqual(length, len(data) - 12)
        pack = self.pack().read_bytes()
        self.assertEqual(pack[:8], b"SVPK1\n\0\0")
        end = 8
        for digest, offset, stored, raw, codec in table(self.pack()):
            self.assertEqual(offset, end)
            end += stored
            self.assertIn(codec, (0, 1))
            self.assertLessEqual(raw, chunks.CHUNK_BYTES)
            if codec == 0:
                self.assertEqual(hashlib.sha256(pack[offset:end]).digest(), digest)
        self.assertEqual(end + len(table(self.pack())) * ENTRY.size + 4, len(pack))
        facts = {"format_version": 2, "namespace_size": 6, "function_count": 1, "lost": [], "lost_count": 0}
        self.assertEqual({key: root[key] for key in facts}, facts)
        self.assertGreater(root["total_bytes"], 1000000)
        entry = self.objects()["b"]
        self.assertLessEqual({"name", "type", "verdict", "tier", "bytes", "reason", "preview", "digest"}, set(entry))

    def test_they_are_for_no_other_users_eyes_and_no_link_is_followed(self) -> None:
        self.save("a = 1")
        for path in (self.path, self.pack()):
            self.assertEqual(path.stat().st_mode & 0o777, 0o600)
            elsewhere = self.folder / "elsewhere"
            elsewhere.write_text("precious")
            path.unlink()
            path.symlink_to(elsewhere)
            with self.assertRaises(OSError):
                if path == self.path:
                    manifest.write(str(path), {})
                else:
                    PackWriter(str(path), frozenset()).add([b"chunk"], False)
            self.assertEqual(elsewhere.read_text(), "precious")

    def test_what_follows_is_not_looked_at(self) -> None:
        self.save("a = [1] * 1000")
        label = b'{"checkpoint":"cp"}'
        for path in (self.path, self.pack()):
            with open(path, "ab") as file:
                file.write(label + struct.pack(">I", len(label)) + b"SVPM" + os.urandom(40))
        self.assertEqual(self.restore("assert a == [1] * 1000")["lost"], [])

    def test_an_unchanged_state_costs_next_to_nothing(self) -> None:
        cells = ("import random; random.seed(1)", *(f"v{i} = [{i}, 'text'] * 400" for i in range(1000)))
        self.save(*cells)
        self.assertLess(self.path.stat().st_size, 4096)
        self.assertLess(self.save_next(*cells), 10_000)
        changed = (*cells, "v500 = [500] * 400")
        self.assertLess(self.save_next(*changed), 16_000)

    def test_a_changed_element_costs_one_chunk(self) -> None:
        cell = "import random; random.seed(1); a = bytearray(random.Random(1).randbytes(20_000_000))"
        self.save(cell)
        self.assertLess(self.save_next(cell, "a[0] ^= 1"), chunks.CHUNK_BYTES + 65536)
        self.assertEqual(self.save_next(cell, "a[0] ^= 1; b = bytes(a)[-5:]") > chunks.CHUNK_BYTES, False)


class Cuts(unittest.TestCase):
    def test_they_come_back_behind_a_change(self) -> None:
        import pickle

        from savepoint_worker.serialize.frames import Unframer
        from savepoint_worker.serialize.joints import PAIRS, Remover, put_back

        def cut(value: Any) -> set[bytes]:
            pieces: list[bytes] = []
            unframer = Unframer()
            removers = [Remover(pair) for pair in PAIRS]

            class Sink:
                def write(self, data: bytes) -> None:
                    pieces.append(unframer.strip(data))

            pickle.Pickler(Sink(), protocol=5).dump(value)
            for remover in removers:
                pieces = [*map(remover.feed, pieces), remover.finish()]
            stream, found, begin = b"".join(pieces), set(), 0
            whole = stream
            for remover, pair in reversed([*zip(removers, PAIRS)]):
                whole = put_back(whole, pair, remover.table())
            self.assertEqual(pickle.loads(whole), value)
            while begin < len(stream):
                end = chunks.next_cut(stream, begin)
                found.add(stream[begin:end])
                begin = end
            return found

        dicts = [{"id": i, "name": f"n{i}", "value": i * 0.5} for i in range(50_000)]
        generator = random.Random(1)
        samples = {
            "dicts": (dicts, {"id": -1, "name": "new", "value": 0.0}),
            "texts": ([f"text {i}" for i in range(200_000)], "new"),
            "floats": ([generator.random() for _ in range(200_000)], 1.5),
            "rows": ([[i, i * 0.25] for i in range(100_000)], [1, 2]),
            "words": (" ".join(str(generator.random()) for _ in range(100_000)), None),
        }
        for name, (value, new) in samples.items():
            before = cut(value)
            half = len(value) // 2
            if isinstance(value, str):
                changed: Any = value[:half] + "new" + value[half:]
            else:
                changed = [*value[:half], new, *value[half:]]
            added = cut(changed) - before
            with self.subTest(name):
                self.assertLessEqual(len(added), 8)
                self.assertGreater(len(before), 16)


class Damage(PacksCase):
    def damage(self, needle: bytes) -> None:
        data = bytearray(self.pack().read_bytes())
        at = data.index(needle)
        data[at] ^= 1
        self.pack().write_bytes(data)

    def test_a_changed_chunk_costs_only_the_variables_that_need_it(self) -> None:
        self.save(
            "import random; r = random.Random(1).randbytes\na = bytearray(r(5000))\nb = bytearray(r(5000))\nc = [b]\n"
            "d = bytearray(r(5000)); del r; start = bytes(b[:20]).hex()"
        )
        generator = random.Random(1)
        generator.randbytes(5000)
        self.damage(generator.randbytes(5000)[:20])
        report = self.restore("assert len(a) == len(d) == 5000")
        self.assertEqual(sorted(self.lost(report)), ["b", "c"])
        self.assertIn("damaged", self.lost(report)["b"])

    def test_a_group_loses_only_what_needs_the_chunk(self) -> None:
        # The bytes of an array lie in a buffer, those of a bytearray in the stream.
        self.save(
            "import array, random; r = random.Random(1).randbytes; shared = ['shared']\nfirst = [shared]\n"
            "gone = [shared, bytearray(r(300_000))]; uses = [gone[1]]; r = None"
        )
        generator = random.Random(1)
        self.damage(generator.randbytes(300_000)[200_000:200_020])
        report = self.restore("assert first[0] is shared == ['shared']")
        self.assertEqual(sorted(self.lost(report)), ["gone", "uses"])

    def test_a_buffer_costs_only_who_needs_it(self) -> None:
        self.save(
            "import random; r = random.Random(1).randbytes; import pickle\n"
            "class Memory:\n"
            "    def __init__(self, data): self.data = data\n"
            "    def __reduce_ex__(self, protocol): return bytearray, (pickle.PickleBuffer(self.data),)\n"
            "shared = ['shared']; gone = [shared, Memory(r(5000))]; later = [shared, 1]; r = None"
        )
        self.damage(random.Random(1).randbytes(5000)[:20])
        report = self.restore("assert later[0] is shared == ['shared']")
        self.assertEqual(sorted(self.lost(report)), ["gone"])

    def test_a_pack_that_is_gone_costs_what_lies_in_it(self) -> None:
        self.save("a = bytearray(b'a' * 5000)")
        first = self.path
        self.save_next("a = bytearray(b'a' * 5000)\nb = bytearray(b'b' * 5000)")
        os.truncate(f"{first}.pack", 100)
        root = manifest.read(str(self.path))
        with self.assertRaises(SavepointError) as raised:
            checkpoints.Version2(root, [str(self.pack()), f"{first}.pack"], b"")
        self.assertEqual(raised.exception.code, "damaged_checkpoint")

    def test_a_damaged_root_changes_nothing(self) -> None:
        self.save("a = [1]")
        root = manifest.read(str(self.path))
        later = root.replace(b'"format_version":2', b'"format_version":3')
        for text in (b"", b"{", b"[]", b"{}", root[:-5], later):
            with self.subTest(text[:20]), self.assertRaises(SavepointError) as raised:
                checkpoints.Version2(text, [str(self.pack())], b"")
            self.assertIn(raised.exception.code, ("damaged_checkpoint", "format_unsupported"))


class Version1(CheckpointCase):
    def test_files_of_the_first_format_still_restore(self) -> None:
        namespace: dict[str, Any] = {}
        folder = os.getcwd()
        try:
            report = checkpoints.restore(str(FIXTURE), namespace, "merge", None)
        finally:
            os.chdir(folder)
            del os.environ["SAVEPOINT_FIXTURE"]
        self.assertEqual([loss["name"] for loss in report.lost], ["lost"])
        self.assertIs(namespace["alias"], namespace["numbers"])
        self.assertIs(namespace["nested"]["numbers"], namespace["numbers"])
        self.assertIs(namespace["view"]["memory"], namespace["memory"])
        self.assertEqual(namespace["double"](2), 4)
        self.assertEqual(namespace["point"], namespace["Point"](5))


if __name__ == "__main__":
    unittest.main()
