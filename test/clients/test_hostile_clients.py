"""Clients that break everything that a client can break, while a good one works on."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import time
import uuid
from typing import Any

import zmq
from jupyter_client.session import Session
from support.case import KernelCase, fresh_kernel, main
from support.client import Client

DELIMITER = b"<IDS|MSG>"
MIB = 1024 * 1024
MESSAGES = 200_000 if os.environ.get("RUN_SLOW") else 20_000


class Hostile(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.context = zmq.Context()
        self.addCleanup(self.context.destroy, 0)
        self.info = self.manager.get_connection_info()
        self.session = Session(key=self.info["key"], signature_scheme=self.info["signature_scheme"])

    def dealer(self, channel: str, identity: bytes | None = None) -> zmq.Socket:
        peer = self.context.socket(zmq.DEALER)
        peer.linger = 0
        if identity is not None:
            peer.identity = identity
        peer.connect(self.url(channel))
        return peer

    def url(self, channel: str) -> str:
        return f"tcp://{self.info['ip']}:{self.info[f'{channel}_port']}"

    def message(self, kind: str, content: dict[str, Any], **header: Any) -> list[bytes]:
        message = self.session.msg(kind, content)
        message["header"] |= header
        return self.session.serialize(message)

    def answer_of(self, peer: zmq.Socket, timeout_s: float = 20) -> dict[str, Any]:
        self.assertTrue(peer.poll(timeout_s * 1000), "no answer")
        _, frames = self.session.feed_identities(peer.recv_multipart())
        return self.session.deserialize(frames)

    def lives(self) -> None:
        self.assertEqual(self.run_ok("6 * 7").result, "42")

    # ------------------------------------------------------------------------------------------------- messages

    def test_a_good_client_works_on_while_another_sends_rubbish(self) -> None:
        dice = random.Random(20260102)
        peers = {name: self.dealer(name) for name in ("shell", "control", "stdin")}
        for peer in peers.values():
            peer.sndtimeo = 60_000
        sound = self.message("kernel_info_request", {})
        slowest = 0.0
        for n in range(MESSAGES):
            frames = list(sound)
            how = dice.randrange(6)
            if how == 0:
                frames = [dice.randbytes(dice.randrange(60)) for _ in range(dice.randrange(1, 9))]
            elif how == 1:
                del frames[dice.randrange(len(frames))]
            elif how == 2:
                frames[dice.randrange(len(frames))] = dice.randbytes(30)
            elif how == 3:
                parts = [dice.choice((b"{}", b"[", b'{"msg_id": 7}', b"\xff", b"NaN", b"[" * 2000)) for _ in range(4)]
                frames = [DELIMITER, self.session.sign(parts), *parts]
            elif how == 4:
                odd = {
                    "msg_type": dice.choice(("__proto__", "", 7, None, "x" * 500)),
                    "date": dice.choice((None, "x", 1)),
                }
                frames = self.message("made_up", {}, **odd)
            # Blocks while the kernel is behind: all of it arrives.
            peers[dice.choice(("shell", "control", "stdin"))].send_multipart(frames)
            if n % 500 == 0:
                began = time.monotonic()
                self.assertEqual(self.run_ok(f"{n} + 1", timeout=60).result, str(n + 1))
                slowest = max(slowest, time.monotonic() - began)
                self.client.messages.clear()
        self.lives()
        self.assertLess(slowest, 20)

    def test_replayed_and_forged_messages_are_not_run(self) -> None:
        self.run_ok("count = 0")
        peer = self.dealer("shell")
        frames = self.message("execute_request", {"code": "count += 1", "silent": False})
        for _ in range(50):
            peer.send_multipart(frames)
        foreign = Session(key=b"another key")
        peer.send_multipart(foreign.serialize(foreign.msg("execute_request", {"code": "count += 100"})))
        self.answer_of(peer)
        # A message of a second client is behind those of the first in the kernel's queue only if it was read later.
        peer.send_multipart(self.message("is_complete_request", {"code": ""}))
        self.assertEqual(self.answer_of(peer)["msg_type"], "is_complete_reply")
        self.assertEqual(self.client.value("count"), "1")

    def test_odd_contents_are_answered_or_survived(self) -> None:
        deep = '{"code": "1", "x": ' + "[" * 5000 + "]" * 5000 + "}"
        bad_text = b'{"code": "\xff\xfe"}'
        contents = (
            deep.encode(),
            bad_text,
            b'{"code": "1", "user_expressions": NaN}',
            b'{"code": "1", "n": 123456789012345678901234567890, "x": 1e999}',
            b'{"code": "1", "user_expressions": ["a"], "silent": "yes", "store_history": {}}',
            b'{"code": "\\ud800"}',
            b'{"code": "a\\u0000b"}',
        )
        peer = self.dealer("shell")
        for content in contents:
            header = self.message("execute_request", {})[2]
            parts = [header, b"{}", b"{}", content]
            peer.send_multipart([DELIMITER, self.session.sign(parts), *parts])
        for msg_type in ("complete_request", "inspect_request"):
            for position in (-1, 10**6, 2**63, 2**70, 1.5, "x", None, [], True):
                peer.send_multipart(self.message(msg_type, {"code": "pri", "cursor_pos": position}))
        peer.send_multipart(self.message("is_complete_request", {"code": "1"}))
        # All that wants an answer gets one, in order, and the last is that of the sound request.
        for _ in range(60):
            if self.answer_of(peer)["msg_type"] == "is_complete_reply":
                break
        else:
            self.fail("the last request was not answered")
        self.lives()

    def test_large_buffers_go_both_ways_and_memory_comes_back(self) -> None:
        _, client = fresh_kernel(self)
        client.execute(
            "def opened(comm, message):\n"
            "    comm.on_msg(lambda m: comm.send({'bytes': len(m['buffers'][0])}, buffers=m['buffers']))\n"
            "get_ipython().kernel.comm_manager.register_target('large', opened)"
        )
        client.request("comm_open", {"comm_id": "big", "target_name": "large", "data": {}})
        gateway = int(client.value("__import__('psutil').Process().parent().ppid()"))
        buffer = bytes(200 * MIB)
        sent = client.send("shell", "comm_msg", {"comm_id": "big", "data": {}}, buffers=[buffer])
        back = client.wait_for(
            lambda m: m["msg_type"] == "comm_msg" and m["parent_header"].get("msg_id") == sent, timeout=120
        )
        self.assertEqual(back["content"]["data"], {"bytes": len(buffer)})
        self.assertEqual(len(back["buffers"][0]), len(buffer))
        del back
        client.messages.clear()
        self.assertEqual(client.execute("6 * 7").result, "42")
        deadline = time.monotonic() + 20
        while resident(gateway) > 300 * MIB and time.monotonic() < deadline:
            client.receive(0.1)
        self.assertLess(resident(gateway), 300 * MIB)

    def test_ten_thousand_requests_at_once_are_all_answered(self) -> None:
        peer = self.dealer("shell")
        peer.setsockopt(zmq.RCVHWM, 0)
        count = 10_000
        for _ in range(count):
            peer.send_multipart(self.message("comm_info_request", {}))
        self.lives()
        answered = 0
        while answered < count:
            self.assertTrue(peer.poll(60_000), f"{answered} of {count} were answered")
            peer.recv_multipart()
            answered += 1
        self.client.messages.clear()

    # --------------------------------------------------------------------------------------------------- peers

    def test_identities_of_any_length_are_answered(self) -> None:
        for identity in (b"x", b"x" * 255, bytes(range(1, 200)), "é\u4e16".encode(), None):
            with self.subTest(identity):
                peer = self.dealer("shell", identity)
                peer.send_multipart(self.message("is_complete_request", {"code": ""}))
                self.assertEqual(self.answer_of(peer)["msg_type"], "is_complete_reply")
                peer.close()
        # Several frames before the delimiter, one of them empty, come back as they went.
        peer = self.dealer("shell")
        peer.send_multipart([b"", b"inner", *self.message("is_complete_request", {"code": ""})])
        self.assertTrue(peer.poll(20_000))
        self.assertEqual(peer.recv_multipart()[:2], [b"", b"inner"])

    def test_the_later_of_two_clients_with_one_identity_is_answered(self) -> None:
        identity = uuid.uuid4().hex.encode()
        first = self.dealer("shell", identity)
        first.send_multipart(self.message("is_complete_request", {"code": ""}))
        self.answer_of(first)
        second = self.dealer("shell", identity)
        second.send_multipart(self.message("is_complete_request", {"code": "x ="}))
        self.assertEqual(self.answer_of(second)["content"]["status"], "invalid")
        self.lives()

    def test_clients_that_connect_and_go_in_any_state_are_survived(self) -> None:
        greeting = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(16 + 32)
        for channel in ("shell", "iopub", "stdin", "control", "hb"):
            address = (self.info["ip"], self.info[f"{channel}_port"])
            for words in (
                b"",
                b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
                b"\x16\x03\x01\x02\x00\x01",
                greeting,
                b"\xff" * 100_000,
            ):
                for ending in ("close", "reset", "half-open"):
                    peer = socket.create_connection(address, timeout=5)
                    with contextlib.suppress(OSError):
                        peer.sendall(words)
                    if ending == "reset":
                        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    if ending == "half-open":
                        with contextlib.suppress(OSError):
                            peer.shutdown(socket.SHUT_WR)
                        self.addCleanup(peer.close)
                    else:
                        peer.close()
        self.lives()

    def test_a_client_that_goes_while_it_is_asked_leaves_the_kernel_usable(self) -> None:
        peer = Client.connect(self.manager.connection_file)
        cell = peer.start("answer = input('anybody? ')")
        cell.wait_for("stdin", "input_request")
        peer.close()
        waiting = self.client.start("'next'")
        self.assertEqual(self.client.ask("kernel_info_request", channel="control")["status"], "ok")
        self.client.ask("interrupt_request", channel="control")
        # The asking cell failed before this one was sent or after: then it was refused with it.
        self.assertIn(waiting.wait().status, ("ok", "aborted"))
        self.lives()

    def test_subscribers_that_never_read_take_nothing_from_the_others(self) -> None:
        lazy = []
        for _ in range(3):
            sub = self.context.socket(zmq.SUB)
            sub.linger = 0
            sub.rcvhwm = 1
            sub.subscribe(b"")
            sub.connect(self.url("iopub"))
            lazy.append(sub)
        cell = self.client.execute("for i in range(300): print('x' * 10_000)", timeout=60)
        self.assertEqual(len(cell.stdout), 300 * 10_001)
        self.lives()


def resident(pid: int) -> int:
    with open(f"/proc/{pid}/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
