"""The worker's end of the link: framing by the shared vectors, and sending that no signal handler can tear."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import threading
import unittest
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "src" / "python"))

from savepoint_worker.link import BadFrame, FrameReader, Link, LinkClosed, encode_frame, wait_readable  # noqa: E402

VECTORS = json.loads((ROOT / "test" / "vectors" / "link" / "frames.json").read_text())
GOOD = [vector for vector in VECTORS if not vector.get("refused")]
REFUSED = [vector for vector in VECTORS if vector.get("refused")]


class Framing(unittest.TestCase):
    def test_every_vector_is_read_whole_and_byte_by_byte(self) -> None:
        for vector in GOOD:
            data = bytes.fromhex(vector["hex"])
            for size in (len(data), 1):
                with self.subTest(vector["name"], size=size):
                    reader = FrameReader()
                    frames = [f for i in range(0, len(data), size) for f in reader.push(data[i : i + size])]
                    self.assertEqual(len(frames), 1)
                    self.assertEqual(frames[0].envelope, vector["envelope"])
                    self.assertEqual([bytes(part).hex() for part in frames[0].parts], vector["parts"])

    def test_what_is_written_is_read_again(self) -> None:
        for vector in GOOD:
            with self.subTest(vector["name"]):
                parts = tuple(bytes.fromhex(part) for part in vector["parts"])
                data = b"".join(bytes(b) for b in encode_frame(vector["envelope"], parts))
                (frame,) = FrameReader().push(data)
                self.assertEqual(frame.envelope, vector["envelope"])
                self.assertEqual([bytes(part) for part in frame.parts], list(parts))

    def test_PR_5_every_kind_of_message_is_written_and_read_as_the_gateway_does(self) -> None:
        for vector in json.loads((ROOT / "test" / "vectors" / "link" / "kinds.json").read_text()):
            with self.subTest(vector["envelope"]["kind"], to=vector["to"]):
                parts = tuple(bytes.fromhex(part) for part in vector["parts"])
                data = b"".join(bytes(b) for b in encode_frame(vector["envelope"], parts))
                (frame,) = FrameReader().push(data)
                self.assertEqual(frame.envelope, vector["envelope"])
                self.assertEqual([bytes(part) for part in frame.parts], list(parts))

    def test_two_frames_and_a_half_in_one_chunk(self) -> None:
        one = b"".join(encode_frame({"kind": "a"}, (b"xyz",)))
        reader = FrameReader()
        self.assertEqual(len(reader.push(one + one + one[:9])), 2)
        self.assertEqual(len(reader.push(one[9:])), 1)

    def test_large_frames_among_small_ones_however_they_are_chopped(self) -> None:
        large = bytes(range(256)) * 3000
        sent = [(b"a",), (large, b"b"), (large,), (b"c",)]
        data = b"".join(bytes(part) for parts in sent for part in encode_frame({"kind": "x"}, parts))
        for size in (1000, 65_536, 262_144, 768_003, len(data)):
            reader = FrameReader()
            frames = [frame for at in range(0, len(data), size) for frame in reader.push(data[at : at + size])]
            self.assertEqual([tuple(bytes(part) for part in frame.parts) for frame in frames], sent)

    def test_a_large_frame_is_received_in_place_and_cannot_be_changed(self) -> None:
        ours, theirs = socket.socketpair()
        link, other = Link(ours), Link(theirs)
        self.addCleanup(link.close)
        self.addCleanup(other.close)
        large = bytes(range(256)) * 20_000
        sender = threading.Thread(target=lambda: (other.send({"kind": "x"}, large), other.send({"kind": "y"}, b"z")))
        sender.start()
        first, second = link.receive(10), link.receive(10)
        sender.join()
        self.assertEqual((bytes(first.parts[0]), bytes(second.parts[0])), (large, b"z"))
        self.assertTrue(first.parts[0].readonly)

    def test_every_refusal_is_refused(self) -> None:
        for vector in REFUSED:
            with self.subTest(vector["name"]), self.assertRaises(BadFrame):
                FrameReader().push(bytes.fromhex(vector["hex"]))

    def test_an_envelope_over_the_limit_is_not_sent(self) -> None:
        with self.assertRaises(ValueError):
            encode_frame({"kind": "log", "text": "x" * (64 * 1024 * 1024)})


class Connection(unittest.TestCase):
    def setUp(self) -> None:
        ours, self.theirs = socket.socketpair()
        self.link = Link(ours)
        self.addCleanup(self.link.close)
        self.addCleanup(self.theirs.close)

    def _read_frames(self, count: int) -> list:
        peer, frames = Link(self.theirs.dup()), []
        self.addCleanup(peer.close)
        while len(frames) < count:
            frames.append(peer.receive(timeout=20))
        return frames

    def test_frames_of_many_threads_arrive_whole(self) -> None:
        def send(name: int) -> None:
            for n in range(20):
                self.link.send({"kind": "k", "from": name, "n": n}, bytes([name]) * 50_000)

        threads = [threading.Thread(target=send, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        frames = self._read_frames(80)
        for thread in threads:
            thread.join()
        for frame in frames:
            self.assertEqual(bytes(frame.parts[0]), bytes([frame.envelope["from"]]) * 50_000)
        for name in range(4):
            self.assertEqual([f.envelope["n"] for f in frames if f.envelope["from"] == name], list(range(20)))

    def _ring_in_mid_frame(self, handler: Callable[[], None]) -> threading.Thread:
        """Let `handler` be called by a signal while a frame is half sent, and only then be read by a thread."""
        handled = threading.Event()

        def on_signal(*_: object) -> None:
            handled.set()
            handler()

        def ring() -> None:
            # The frame does not fit: once something can be read, and until it is, the sender waits in the middle.
            wait_readable([self.theirs.fileno()], 60)
            os.kill(os.getpid(), signal.SIGALRM)
            handled.wait(60)
            self.received = self._read_frames(2)

        self.addCleanup(signal.signal, signal.SIGALRM, signal.signal(signal.SIGALRM, on_signal))
        ringer = threading.Thread(target=ring)
        ringer.start()
        return ringer

    def test_an_exception_of_a_signal_handler_leaves_the_frame_whole(self) -> None:
        class Alarm(Exception):
            pass

        def fail() -> None:
            raise Alarm

        ringer = self._ring_in_mid_frame(fail)
        big = bytes(range(256)) * 20_000
        with self.assertRaises(Alarm):
            self.link.send({"kind": "big"}, big)
        self.link.send({"kind": "after"})
        ringer.join()
        self.assertEqual([f.envelope["kind"] for f in self.received], ["big", "after"])
        self.assertEqual(bytes(self.received[0].parts[0]), big)

    def test_a_signal_handler_that_sends_waits_for_the_frame_on_its_way(self) -> None:
        ringer = self._ring_in_mid_frame(lambda: self.link.send({"kind": "inner"}))
        self.link.send({"kind": "outer"}, b"x" * 5_000_000)
        ringer.join()
        self.assertEqual([f.envelope["kind"] for f in self.received], ["outer", "inner"])

    def test_what_is_to_be_sent_once_is_sent_once(self) -> None:
        frame = (encode_frame({"kind": "once"}), [])
        self.link.hold(encode_frame({"kind": "before"}))
        for _ in range(3):
            self.link.send_once(frame)
        self.link.send({"kind": "after"})
        self.assertEqual([f.envelope["kind"] for f in self._read_frames(3)], ["before", "once", "after"])

    def test_the_end_of_the_other_side_is_an_error_for_reader_and_sender(self) -> None:
        self.theirs.close()
        with self.assertRaises(LinkClosed):
            self.link.receive(timeout=20)
        with self.assertRaises(LinkClosed):
            self.link.send({"kind": "x"}, b"y" * 10)

    def test_frames_before_the_end_are_still_delivered(self) -> None:
        self.theirs.sendall(b"".join(encode_frame({"kind": "last"})))
        self.theirs.close()
        self.assertEqual([f.envelope["kind"] for f in self.link.receive_ready()], ["last"])
        with self.assertRaises(LinkClosed):
            self.link.receive_ready()

    def test_waiting_has_a_deadline(self) -> None:
        with self.assertRaises(TimeoutError):
            self.link.receive(timeout=0.01)
        self.assertEqual(self.link.receive_ready(), [])

    def test_dialling_says_who_we_are(self) -> None:
        path = f"/tmp/savepoint-test-{os.getpid()}.sock"
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path)
            self.addCleanup(os.unlink, path)
            server.listen()
            link = Link.dial(path, "worker", "k", "t")
            self.addCleanup(link.close)
            connection, _ = server.accept()
            peer = Link(connection)
            self.addCleanup(peer.close)
            hello = {"kind": "hello", "role": "worker", "kernel": "k", "token": "t", "pid": os.getpid()}
            self.assertEqual(peer.receive(timeout=20).envelope, hello)


if __name__ == "__main__":
    unittest.main()
