"""A worker whose gateway is killed goes on, and nothing that it says or is told is lost, or there twice."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import time
import unittest
from contextlib import nullcontext, suppress

from fake_gateway import TIMEOUT_S
from mortal_gateway import MortalGateway

from savepoint_worker.link import encode_frame

PRELUDE = """
import os, subprocess, sys, threading, time
from savepoint_worker import lasting
from savepoint_worker.worker import Worker
worker = Worker.current()
link = worker.link
"""
#: `alarmed` is struck by exceptions of a signal handler, but only while it sends.
RESTLESS = """
import signal
lasting.AWAY_BYTES_MAX, lasting.LOOK_BYTES = 20_000, 5_000
class Alarm(Exception): pass
def ring(number, frame):
    while frame is not None:
        if frame.f_code is send.__code__:
            raise Alarm
        frame = frame.f_back
def send(i):
    link.send({'kind': 'log', 'level': 'info', 'text': str(i)}, b'q' * (i * 411 % 90_000))
def alarmed(n):
    signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, 0.0007, 0.0007)
    for i in range(n):
        try:
            send(i)
        except Alarm:
            pass
    signal.setitimer(signal.ITIMER_REAL, 0)
def say(name, n):
    for i in range(n):
        print(f'{name} {i} ' + 'z' * (i * 37 % 3000) + '\\n', end='', flush=True)
"""


def is_kind(kind: str) -> object:
    return lambda frame: frame.envelope["kind"] == kind


def wait_for_file(gateway: MortalGateway, name: str) -> None:
    """Wait until the worker has written this file in its folder, without a word from it."""
    path, deadline = os.path.join(gateway.folder.name, name), time.monotonic() + TIMEOUT_S
    while not os.path.exists(path):
        assert time.monotonic() < deadline, f"The worker does not come to where it writes {name}."
        time.sleep(0.01)


class OneWorker(unittest.TestCase):
    """A worker that outlives its gateway in each of these tests, and is then used by the next."""

    gateway: MortalGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = MortalGateway()
        cls.addClassCleanup(cls.gateway.close)
        cls.gateway.hear_reply(cls.gateway.run(PRELUDE))

    def setUp(self) -> None:
        self.begin = len(self.gateway.frames)

    def text(self) -> str:
        """What this test has made the worker print."""
        return self.gateway.text(frames=self.gateway.frames[self.begin :])

    def replies(self) -> list[int]:
        return self.gateway.replies(self.gateway.frames[self.begin :])

    def finish(self, seq: int) -> None:
        """Hear the reply to this request, and see that it is the only one of this test."""
        self.gateway.hear_reply(seq)
        self.assertEqual(self.replies(), [seq])

    def start(self, code: str) -> int:
        """Run a cell, at least to where it says so."""
        seq = self.gateway.run(f"print('go', flush=True)\n{code}")
        while "go" not in self.text():
            self.gateway.hear()
        return seq

    # ------------------------------------------------------------------------------------- states of the worker

    def test_idle(self) -> None:
        self.gateway.die()
        hello = self.gateway.come_back()
        self.assertEqual((hello["token"], hello["role"], hello["resumed"]["generation"]), ("t1", "worker", 1))
        self.finish(self.gateway.run("print(6 * 7)"))
        self.assertEqual(self.text(), "42\n")

    def test_user_code_that_neither_sends_nor_reads(self) -> None:
        for code in ("time.sleep(600)", "while True: pass", "[sum(range(10**6)) for _ in range(10**6)]"):
            with self.subTest(code):
                self.begin = len(self.gateway.frames)
                seq = self.start(code)
                self.gateway.die()
                with self.gateway.ringing():
                    self.gateway.come_back()
                self.gateway.interrupt_until_noticed(seq)
                self.finish(seq)
                self.assertEqual(self.gateway.frames[-1].envelope["ename"], "KeyboardInterrupt")

    def test_a_cell_prints_on(self) -> None:
        seq = self.start("for i in range(400):\n    print(i, flush=True)\n    time.sleep(0.001)")
        for _ in range(3):
            self.gateway.die()
            self.gateway.come_back()
            self.gateway.hear()
        self.finish(seq)
        self.assertEqual(self.text(), "go\n" + "".join(f"{i}\n" for i in range(400)))

    def test_threads_print_heavily(self) -> None:
        code = "def say(name):\n    for i in range(500): print(f'{name} {i}\\n', end='', flush=True)\n"
        code += "threads = [threading.Thread(target=say, args=(n,)) for n in range(4)]\n"
        seq = self.start(code + "for t in threads: t.start()\nfor t in threads: t.join()")
        for _ in range(3):
            self.gateway.die()
            self.gateway.come_back()
            self.gateway.hear()
        self.finish(seq)
        lines = self.text().splitlines()[1:]
        for name in range(4):
            said = [line for line in lines if line.startswith(f"{name} ")]
            self.assertEqual(said, [f"{name} {i}" for i in range(500)])

    def test_input_is_answered_by_the_next_gateway(self) -> None:
        seq = self.gateway.run("print(input('? '))")
        question = self.gateway.hear_until(is_kind("input_request"))
        self.gateway.die()
        self.gateway.come_back()
        self.gateway.command({"kind": "input", "id": question.envelope["id"]}, b'{"value": "later"}')
        self.finish(seq)
        self.assertEqual(self.text(), "later\n")

    def test_a_question_of_a_thread_is_answered_by_the_next_gateway(self) -> None:
        code = "t = threading.Thread(target=lambda: print(input('? ')))\nt.start()\nt.join()"
        seq = self.gateway.run(code)
        question = self.gateway.hear_until(is_kind("input_request"))
        for _ in range(2):
            self.gateway.die()
            self.gateway.come_back()
        self.gateway.command({"kind": "input", "id": question.envelope["id"]}, b'{"value": "later"}')
        self.finish(seq)
        self.assertEqual(self.text(), "later\n")

    def test_an_operation_is_answered_by_the_next_gateway(self) -> None:
        seq = self.gateway.run("print(worker.ask('status', {}).result)")
        question = self.gateway.hear_until(is_kind("ask"))
        self.gateway.die()
        self.gateway.come_back()
        self.gateway.command({"kind": "answer", "id": question.envelope["id"], "ok": True, "result": "later"})
        self.finish(seq)
        self.assertEqual(self.text(), "later\n")

    def test_an_operation_is_asked_without_a_gateway(self) -> None:
        seq = self.start("time.sleep(0.2)\nprint(worker.ask('status', {}).result)")
        self.gateway.die()
        time.sleep(0.4)
        self.gateway.come_back()
        question = self.gateway.hear_until(is_kind("ask"))
        self.gateway.command({"kind": "answer", "id": question.envelope["id"], "ok": True, "result": "later"})
        self.finish(seq)

    def test_subshells_serve_on(self) -> None:
        self.gateway.command({"kind": "subshell_open", "subshell": "s"})
        self.finish(self.gateway.run("done = threading.Event()"))
        self.begin = len(self.gateway.frames)
        waiting = self.gateway.run("done.wait(60)")
        for n in range(3):
            self.gateway.die()
            with self.gateway.ringing() if n else nullcontext():
                self.gateway.come_back()
            beside = self.gateway.run(f"print({n})", subshell="s")
            self.gateway.hear_reply(beside)
        ended = self.gateway.run("done.set()", subshell="s")
        self.gateway.hear_reply(waiting)
        if ended not in self.replies():
            self.gateway.hear_reply(ended)
        self.assertEqual(self.text(), "0\n1\n2\n")
        self.gateway.command({"kind": "subshell_close", "subshell": "s"})
        self.gateway.hear_until(is_kind("subshell_closed"))

    def test_processes_of_the_users_live_on(self) -> None:
        code = "child = subprocess.Popen(['sleep', '600'])\nforked = os.fork()\nif not forked:\n    time.sleep(600)"
        self.finish(self.gateway.run(code))
        for _ in range(2):
            self.gateway.die()
            self.gateway.come_back()
        self.begin = len(self.gateway.frames)
        code = "print(child.poll())\nchild.kill(); os.kill(forked, 9)\n"
        self.finish(self.gateway.run(code + "print(child.wait(), os.waitpid(forked, 0)[1])"))
        self.assertEqual(self.text(), "None\n-9 9\n")

    def test_a_debugger_ends_with_the_gateway(self) -> None:
        self.gateway.command({"kind": "debug", "token": "d"})
        link, worker = self.gateway.link, self.gateway.pid
        debugger = self.gateway.accept()
        self.assertEqual(self.gateway.hello["role"], "debugger")
        self.gateway.link, self.gateway.pid = link, worker
        debugger.close()
        self.gateway.die()
        self.gateway.come_back()
        code = "deadline = time.monotonic() + 20\nwhile worker.debugger and time.monotonic() < deadline: time.sleep(0.01)\n"
        self.finish(self.gateway.run(code + "print(worker.debugger)"))
        self.assertEqual(self.text(), "None\n")

    # --------------------------------------------------------------------------------------------- the link

    def test_a_frame_that_was_read_in_part_comes_again_whole(self) -> None:
        seq = self.gateway.run("from IPython.display import display\ndisplay({'text/plain': 'x' * 3_000_000}, raw=True)")
        connection = self.gateway.link._socket
        while len(connection.recv(1 << 20, socket.MSG_PEEK)) < 100_000:
            time.sleep(0.001)
        connection.recv(50_000)
        self.gateway.die()
        self.gateway.come_back()
        self.finish(seq)
        shown = [f for f in self.gateway.frames[self.begin :] if f.envelope.get("type") == "display_data"]
        self.assertEqual([len(json.loads(bytes(f.parts[0]))["data"]["text/plain"]) for f in shown], [3_000_000])

    def test_a_command_that_came_in_part_counts_as_not_sent(self) -> None:
        for cut in (1, 5, 40, 400):
            self.begin = len(self.gateway.frames)
            seq = self.gateway.run("print('once' + '!' * len('" + "y" * 500 + "'))", lost=True)
            envelope, parts = self.gateway._unconfirmed[-1]
            data = b"".join(bytes(piece) for piece in encode_frame(envelope, parts))
            self.gateway.link._socket.sendall(data[:cut])
            self.gateway.die()
            self.gateway.come_back()
            self.finish(seq)
            self.assertEqual(self.text().count("once"), 1)

    def test_what_the_gateway_sent_last_is_obeyed_and_not_obeyed_twice(self) -> None:
        self.finish(self.gateway.run("runs = 0"))
        for number in range(1, 4):
            self.begin = len(self.gateway.frames)
            busy = self.start("time.sleep(0.1)")
            # It lies unread in the socket when the gateway dies.
            seq = self.gateway.run("runs += 1\nprint(runs)")
            self.gateway.die()
            self.gateway.come_back(again=number == 2)
            self.gateway.hear_reply(busy)
            self.gateway.hear_reply(seq)
            self.assertEqual(self.replies(), [busy, seq])
            self.assertEqual(self.text(), f"go\n{number}\n")

    def test_a_command_that_was_not_sent_is_obeyed_once(self) -> None:
        seq = self.gateway.run("print('once')", lost=True)
        self.gateway.die()
        self.gateway.come_back()
        self.finish(seq)
        self.assertEqual(self.text(), "once\n")

    def test_replies_say_which_commands_came(self) -> None:
        self.finish(self.gateway.run("pass"))
        self.assertEqual(self.gateway._unconfirmed, [])

    def test_a_gateway_that_is_gone_again_at_once_is_borne(self) -> None:
        seq = self.start("for i in range(50): print(i, flush=True)\ntime.sleep(0.1)")
        self.gateway.die()
        self.gateway.listen()
        for words in ([], [{"kind": "resume", "frames": len(self.gateway.frames)}], [{"kind": "what"}], b"\0\0\0\1x"):
            link = self.gateway.accept()
            if isinstance(words, bytes):
                link._socket.sendall(words)
            for envelope in words if isinstance(words, list) else ():
                link.send(envelope)
            link.close()
        link.close()
        self.gateway.link = link
        self.gateway.die()
        self.gateway.come_back()
        self.finish(seq)
        self.assertEqual(self.text(), "go\n" + "".join(f"{i}\n" for i in range(50)))

    # ------------------------------------------------------------------------------------------ what is kept

    def test_what_is_acknowledged_is_forgotten(self) -> None:
        self.finish(self.gateway.run("print('x' * 100)"))
        self.gateway.acknowledge()
        self.begin = len(self.gateway.frames)
        self.finish(self.gateway.run("print(link._retained.memory, len(link._retained.behind(0)))"))
        self.assertEqual(self.text(), "0 0\n")
        self.gateway.die()
        self.gateway.come_back()

    def test_acknowledgements_are_heard_although_a_cell_holds_the_thread(self) -> None:
        code = "for i in range(20): print('x' * 20_000, flush=True)\n"
        code += "while link._retained.memory > 100_000: print('x' * 1000, flush=True); time.sleep(0.001)"
        seq = self.gateway.run(code)
        while seq not in self.replies():
            self.gateway.hear()
            self.gateway.acknowledge()

    def test_buffers_of_the_users_are_sent_again_as_they_were(self) -> None:
        code = "from comm import create_comm\ndata = bytearray(b'a' * 50_000)\ncomm = create_comm('t')\n"
        code += "comm.send({}, buffers=[data])\ndata[:] = b'b' * 50_000\ndata.append(1)"
        seq = self.gateway.run(code)
        # It waits in the gateway's end of the socket.
        while len(self.gateway.link._socket.recv(1 << 20, socket.MSG_PEEK)) < 50_000:
            time.sleep(0.001)
        self.gateway.die()
        self.gateway.come_back()
        self.finish(seq)
        sent = [f for f in self.gateway.frames[self.begin :] if f.envelope.get("type") == "comm_msg"]
        self.assertEqual([bytes(f.parts[2]) for f in sent], [b"a" * 50_000])


class Spooling(unittest.TestCase):
    def start(self, **options: object) -> MortalGateway:
        gateway = MortalGateway(**options)
        self.addCleanup(gateway.close)
        code = PRELUDE + "lasting.AWAY_BYTES_MAX = 50_000\nlasting.LOOK_BYTES = 5_000\n"
        gateway.hear_reply(gateway.run(code))
        return gateway

    def test_what_is_too_much_for_the_memory_is_on_disk_without_a_name(self) -> None:
        gateway = self.start()
        code = "print('go', flush=True)\ntime.sleep(0.2)\nmost = 0\nfor i in range(3000):\n    print(f'{i:100}', flush=True)\n"
        code += "    most = max(most, link._retained.memory)\nopen('far', 'w').close()\nprint(most < 100_000, bool(link.own()))"
        seq = gateway.run(code)
        gateway.hear_until(is_kind("stream"))
        gateway.die()
        # Of what it sends at first some is lost with the connection, so that frames of a block are cut off, too.
        wait_for_file(gateway, "far")
        gateway.come_back()
        for _ in range(3):
            for _ in range(random.randrange(400, 900)):
                gateway.hear()
            gateway.die()
            gateway.come_back()
        gateway.hear_reply(seq)
        self.assertEqual(gateway.text(), "go\n" + "".join(f"{i:100}\n" for i in range(3000)) + "True True\n")
        self.assertEqual([name for name in os.listdir(gateway.folder.name) if "spool" in name], [])
        gateway.acknowledge()
        gateway.hear_reply(gateway.run("print(link._retained.memory, bool(link.own()))"))
        self.assertTrue(gateway.text().endswith("\n0 False\n"))

    def test_who_has_no_room_waits(self) -> None:
        self.print_without_room(self.start(spool_bytes_max=100_000))

    def print_without_room(self, gateway: MortalGateway, beginning: str = "") -> None:
        code = "print('go', flush=True)\ntime.sleep(0.2)\nfor i in range(5000): print(f'{i:100}', flush=True)"
        seq = gateway.run(beginning + code)
        gateway.hear_until(is_kind("stream"))
        gateway.die()
        time.sleep(1)
        hello = gateway.come_back()
        self.assertLess(hello["resumed"]["sent"], 4000)
        gateway.hear_reply(seq)
        self.assertEqual(gateway.text(), "go\n" + "".join(f"{i:100}\n" for i in range(5000)))

    def test_files_of_the_spool_are_as_small_as_files_of_the_user_must_be(self) -> None:
        gateway = self.start()
        code = "import resource, signal\nresource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))\n"
        code += "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\nprint('go', flush=True)\ntime.sleep(0.2)\nmost = 0\n"
        code += "for i in range(5000):\n    print(f'{i:100}', flush=True)\n    most = max(most, len(link.own()))\n"
        seq = gateway.run(code + "open('far', 'w').close()\nprint(most > 5)")
        gateway.hear_until(is_kind("stream"))
        gateway.die()
        wait_for_file(gateway, "far")
        gateway.come_back()
        gateway.hear_reply(seq)
        self.assertEqual(gateway.text(), "go\n" + "".join(f"{i:100}\n" for i in range(5000)) + "True\n")

    def test_who_may_write_no_file_waits(self) -> None:
        limit = "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))\n"
        fail = "import errno, itertools\nfrom savepoint_worker import spool\nwrite = os.pwrite\n"
        fail += "codes = itertools.cycle([errno.ENOSPC, errno.EFBIG, errno.EIO])\n"
        fail += "def pwrite(descriptor, data, offset):\n    write(descriptor, data[:len(data) // 2], offset)\n"
        fail += "    raise OSError(next(codes), 'no')\nspool.os.pwrite = pwrite\n"
        for beginning in (limit, fail):
            with self.subTest(beginning):
                self.print_without_room(self.start(), beginning)


class TheEnd(unittest.TestCase):
    def start(self, orphan_s: float) -> MortalGateway:
        gateway = MortalGateway(orphan_s)
        self.addCleanup(gateway.close)
        code = "import subprocess\nchild = subprocess.Popen(['sleep', '600'])\n"
        code += "apart = subprocess.Popen(['sleep', '600'], start_new_session=True)\nprint(child.pid, apart.pid)"
        gateway.hear_reply(gateway.run(code))
        self.child, self.apart = map(int, gateway.text().split())
        self.addCleanup(os.kill, self.apart, signal.SIGKILL)
        return gateway

    def test_nobody_knows_the_worker_any_more(self) -> None:
        gateway = self.start(60)
        gateway.die()
        gateway.listen()
        gateway.accept().send({"kind": "dismissed"})
        self.assertEqual(gateway.ended(TIMEOUT_S), 70)
        self.assertRaises(ProcessLookupError, os.kill, self.child, 0)
        os.kill(self.apart, 0)

    def test_nobody_comes(self) -> None:
        gateway = self.start(1)
        gateway.die()
        self.assertEqual(gateway.ended(TIMEOUT_S), 70)
        self.assertRaises(ProcessLookupError, os.kill, self.child, 0)

    def test_a_gateway_that_lacks_what_was_acknowledged_is_not_followed(self) -> None:
        gateway = self.start(60)
        gateway.acknowledge()
        gateway.hear_reply(gateway.run("pass"))
        gateway.die()
        gateway.listen()
        gateway.accept().send({"kind": "resume", "frames": 0})
        self.assertEqual(gateway.ended(TIMEOUT_S), 70)


class AtRandom(unittest.TestCase):
    def test_nothing_is_lost_or_there_twice(self) -> None:
        """The user's signal handler raises in between, threads print, and the gateway dies at any moment."""
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        gateway = MortalGateway()
        self.addCleanup(gateway.close)
        gateway.hear_reply(gateway.run(PRELUDE + RESTLESS))
        with self.subTest(seed=seed):
            seqs = []
            for cell in range(6):
                what = "say('m', 150)" if cell % 2 else "alarmed(150)"
                code = f"t = threading.Thread(target=say, args=('t{cell}', 150)); t.start()\n{what}\nt.join()"
                deaths = chance.randrange(4)
                seqs.append(gateway.run(code, lost=deaths > 0 and chance.random() < 0.5))
                for _ in range(deaths):
                    with suppress(TimeoutError):
                        for _ in range(chance.randrange(40)):
                            gateway.hear(0.1)
                    gateway.die()
                    with gateway.ringing():
                        time.sleep(chance.random() * 0.1)
                        gateway.come_back(again=chance.random() < 0.5)
                    if chance.random() < 0.5:
                        gateway.acknowledge()
            gateway.die()
            gateway.come_back()
            while gateway.replies()[-1] != seqs[-1]:
                gateway.hear()
            self.assertEqual(gateway.replies()[1:], seqs)
            lines = [line.split()[:2] for line in gateway.text().splitlines()]
            for cell in range(6):
                self.assertEqual([n for name, n in lines if name == f"t{cell}"], [str(i) for i in range(150)])
            self.assertEqual([n for name, n in lines if name == "m"], [str(i) for i in range(150)] * 3)
            logs = [int(f.envelope["text"]) for f in gateway.frames if f.envelope["kind"] == "log" and f.envelope["text"].isdecimal()]
            # An alarm before the frame was there keeps it from being sent; none is there twice.
            for part in (logs[:n] for n in range(len(logs))):
                self.assertFalse(len(part) > 1 and part[-1] == part[-2])


if __name__ == "__main__":
    unittest.main()
