"""What is printed: in order, soon, complete, for the cell that printed it; and who prints without a link."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from fake_gateway import TIMEOUT_S, FakeGateway

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker import presence  # noqa: E402
from savepoint_worker.ipython import streams  # noqa: E402
from savepoint_worker.ipython.streams import Outlet, OutStream  # noqa: E402
from savepoint_worker.link import FrameReader, Link  # noqa: E402


class Recorder:
    """Stands for a link."""

    def __init__(self) -> None:
        self.frames: list[tuple[dict, bytes]] = []
        self.arrived = threading.Semaphore(0)

    def send(self, envelope: dict, *parts: bytes) -> None:
        self.frames.append((dict(envelope), bytes(parts[0])))
        self.arrived.release()

    def text(self, name: str | None = None) -> str:
        return "".join(json.loads(b'"' + text + b'"') for e, text in self.frames if name in (None, e["name"]))


class Publications(unittest.TestCase):
    """What is published besides text, over a real link."""

    def setUp(self) -> None:
        ours, self.gateway = socket.socketpair()
        self.addCleanup(self.gateway.close)
        self.link = Link(ours)
        self.addCleanup(self.link.close)
        self.outlet = Outlet()
        self.out = OutStream(self.outlet, "stdout")
        self.outlet.attach(self.link)
        self.addCleanup(self.outlet.quiesce)
        self.reader = FrameReader()

    def publish(self, text: str, *buffers: bytes | bytearray) -> None:
        self.outlet.publish({"kind": "publish", "type": "display_data"}, text.encode(), b"{}", *buffers)

    def arrived(self, wait_s: float = 0) -> list[str]:
        """The first part of every frame that has arrived."""
        if not select.select([self.gateway], [], [], wait_s)[0]:
            return []
        frames = self.reader.push(self.gateway.recv(1 << 20))
        return [bytes(frame.parts[0]).decode() for frame in frames]

    def test_the_first_is_sent_at_once_and_the_helper_sends_those_that_closely_follow(self) -> None:
        may_go_on = threading.Event()

        def start_late(run: Callable[..., object], *arguments: object) -> Callable[[], object]:
            return presence.start_thread(lambda *given: (may_go_on.wait(20), run(*given)), *arguments)

        self.publish("first")
        self.assertEqual(self.arrived(), ["first"])
        # However slow this machine is now, it was just sent.
        self.outlet.sent_at = time.monotonic() + 60
        with mock.patch.object(streams, "start_thread", start_late):
            self.publish("second")
            self.publish("third")
        self.assertGreater(self.outlet.held, 0)
        self.assertEqual(self.arrived(), [])
        may_go_on.set()
        self.assertEqual(self.arrived(20), ["second", "third"])

    def test_they_stay_in_order_with_what_is_printed_and_with_what_is_sent_otherwise(self) -> None:
        self.publish("0")
        print("1", file=self.out)
        self.publish("2")
        self.publish("3")
        print("4", file=self.out)
        self.publish("5")
        self.outlet.flush()
        self.publish("6")
        self.link.send({"kind": "reply"}, b"7")
        self.assertEqual([text[0] for text in self.arrived()], list("01234567"))

    def test_who_flushes_waits_for_what_another_thread_is_sending(self) -> None:
        begun, may_go_on, sent = threading.Event(), threading.Event(), []

        def listen(_: str, text: str) -> None:
            begun.set()
            may_go_on.wait(20)
            sent.append(text)

        self.outlet.listener = listen
        self.outlet.sent_at = time.monotonic() + 60
        print("a", file=self.out)
        print("b", file=self.out)
        self.assertTrue(begun.wait(20), "The helper sends nothing.")
        self.assertEqual(self.outlet.pending, [])
        for act in (self.outlet.flush, self.outlet.show, lambda: self.publish("c")):
            threading.Timer(0.05, may_go_on.set).start()
            act()
            self.assertEqual(sent, ["a\nb\n"])

    def test_many_go_out_before_there_are_too_many(self) -> None:
        for n in range(40):
            self.publish(f"{n} " + "x" * 2000)
        self.assertGreater(len(self.arrived()), 10)

    def test_a_buffer_that_is_changed_afterwards_was_sent_as_it_was(self) -> None:
        self.publish("first")
        buffer = bytearray(b"a" * 5000)
        self.publish("second", buffer)
        buffer[:] = b"b" * 5000
        frames = self.reader.push(self.gateway.recv(1 << 20))
        self.assertEqual(bytes(frames[1].parts[2]), b"a" * 5000)


class Streams(unittest.TestCase):
    def setUp(self) -> None:
        self.link = Recorder()
        self.outlet = Outlet()
        self.out, self.err = OutStream(self.outlet, "stdout"), OutStream(self.outlet, "stderr")
        self.outlet.attach(self.link)  # type: ignore[arg-type]
        self.addCleanup(self.outlet.quiesce)

    def test_a_line_is_sent_at_once(self) -> None:
        print("now", file=self.out)
        self.assertEqual(self.link.frames[0][1], b"now\\n")

    def test_what_user_code_flushes_says_so_once_also_where_it_has_been_sent(self) -> None:
        print("sent", file=self.out)
        # However slow this machine is now, it was just sent.
        self.outlet.sent_at = time.monotonic() + 60
        self.out.flush()
        self.outlet.sent_at = time.monotonic() + 60
        print("held back", file=self.out, flush=True)
        self.out.flush()
        said = [(text, envelope.get("flushed", False)) for envelope, text in self.link.frames]
        self.assertEqual(said, [(b"sent\\n", False), (b"", True), (b"held back\\n", True)])

    def test_the_order_of_writing_is_kept_across_streams(self) -> None:
        for n in range(50):
            (self.out if n % 2 else self.err).write(f"{n} ")
        self.outlet.flush()
        self.assertEqual(self.link.text().split(), [str(n) for n in range(50)])

    def test_what_is_left_is_sent_by_the_helper_which_then_ends(self) -> None:
        self.out.write("no newline")
        self.assertTrue(self.link.arrived.acquire(timeout=TIMEOUT_S))
        self.assertEqual(self.link.text(), "no newline")
        deadline = time.monotonic() + TIMEOUT_S
        while self.outlet.helper_runs and time.monotonic() < deadline:
            time.sleep(0.005)
        self.assertFalse(self.outlet.helper_runs)

    def test_quiesce_ends_the_helper(self) -> None:
        self.out.write("x")
        self.outlet.quiesce()
        self.assertEqual(len(os.listdir("/proc/self/task")), 1)

    def test_a_helper_that_died_is_not_waited_for(self) -> None:
        def without_memory() -> int:
            raise MemoryError

        self.addCleanup(setattr, sys, "unraisablehook", sys.unraisablehook)
        sys.unraisablehook = lambda _: None
        with mock.patch.object(threading, "get_native_id", without_memory):
            self.out.write("x")
            deadline = time.monotonic() + TIMEOUT_S
            while len(os.listdir("/proc/self/task")) > 1 and time.monotonic() < deadline:
                time.sleep(0.005)
        self.outlet.quiesce()
        self.assertFalse(self.outlet.helper_runs)
        self.out.write("y")
        self.outlet.flush()
        self.assertEqual(self.link.text(), "xy")

    def test_what_there_is_no_memory_for_is_sent_later(self) -> None:
        class Reluctant(dict):
            willing = False

            def get(self, *arguments: object) -> object:
                if not self.willing:
                    raise MemoryError
                return super().get(*arguments)

        parent = Reluctant(msg_id="m")
        self.outlet.put("stdout", {"msg_id": "l"}, "before ")
        self.outlet.put("stdout", parent, "x ")
        with self.assertRaises(MemoryError):
            self.outlet.flush()
        parent.willing = True
        self.outlet.put("stdout", parent, "behind")
        self.outlet.flush()
        self.assertEqual(self.link.text(), "before x behind")

    def test_writes_in_quick_succession_share_frames(self) -> None:
        for n in range(20_000):
            print(n, file=self.out)
        self.outlet.flush()
        self.assertEqual(self.link.text(), "".join(f"{n}\n" for n in range(20_000)))
        self.assertLess(len(self.link.frames), 2_000)

    def test_a_huge_text_is_cut_into_frames(self) -> None:
        text = "ä\x1b🎉" * 700_000
        self.out.write(text)
        self.outlet.flush()
        self.assertEqual(self.link.text(), text)
        self.assertLessEqual(max(len(part) for _, part in self.link.frames), 1 << 20)

    def test_surrogates_and_quotes_are_escaped(self) -> None:
        self.out.write('\udce9 "\\ \u2028\n')
        self.assertEqual(self.link.frames[0][1], b'\\ufffd \\"\\\\ \\u2028\\n')

    def test_whole_characters_outside_the_first_plane_and_written_out_escapes_stay(self) -> None:
        text = "\U0001f389 \\ud83c \\\\ud83c\n"
        self.out.write(text)
        self.assertEqual(self.link.text(), text)
        self.out.write("\\\ud83c\udf89\udf89\n")
        self.outlet.flush()
        self.assertEqual(self.link.text(), text + "\\\U0001f389\ufffd\n")

    def test_threads_lose_nothing(self) -> None:
        def write(name: int) -> None:
            for n in range(2000):
                self.out.write(f"{name}:{n}\n")

        threads = [threading.Thread(target=write, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.outlet.flush()
        lines = self.link.text().splitlines()
        self.assertEqual(len(lines), 8000)
        for name in range(4):
            self.assertEqual([x for x in lines if x.startswith(f"{name}:")], [f"{name}:{n}" for n in range(2000)])

    def test_text_belongs_to_the_parent_at_the_time(self) -> None:
        self.out.set_parent({"msg_id": "m1"})
        self.out.write("a")
        self.out.set_parent({"msg_id": "m2"})
        self.out.write("b")
        token = self.out.set_thread_parent({"msg_id": "m3"})
        self.out.write("c")
        self.out.reset_thread_parent(token)
        self.out.write("d")
        thread = threading.Thread(target=self.out.write, args=("e",))
        thread.start()
        thread.join()
        self.outlet.flush()
        texts: dict[str, str] = {}
        for envelope, text in self.link.frames:
            texts[envelope["parent"]] = texts.get(envelope["parent"], "") + text.decode()
        self.assertEqual(texts, {"m1": "a", "m2": "bde", "m3": "c"})

    def test_a_finalizer_that_prints_while_text_is_sent_is_heard(self) -> None:
        send = self.link.send

        def sending(envelope: dict, *parts: bytes) -> None:
            send(envelope, *parts)
            if len(self.link.frames) == 1:
                print("inner", file=self.out)

        self.link.send = sending  # type: ignore[method-assign]
        print("outer", file=self.out)
        self.assertEqual(self.link.text(), "outer\ninner\n")

    def test_it_behaves_as_the_stream_of_ipykernel(self) -> None:
        from ipykernel.iostream import OutStream as Original

        self.assertIsInstance(self.out, Original)
        self.assertEqual((self.out.fileno(), self.err.fileno(), self.out.isatty()), (1, 2, False))
        self.assertEqual((self.out.encoding, self.out.writable(), self.out.closed), ("UTF-8", True, False))
        self.assertEqual(self.out.write("four"), 4)
        self.assertTrue(self.out._flush_pending)
        with self.assertRaises(TypeError):
            self.out.write(b"bytes")
        self.out.close()
        self.assertTrue(self.out.closed)
        with self.assertRaises(ValueError):
            self.out.write("x")


class StreamsOfAWorker(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def test_fifty_megabytes_arrive_whole(self) -> None:
        reply = self.gateway.execute("print('x' * 50_000_000)")
        self.assertEqual(sum(len(e.parts[0]) for e in reply.events), 50_000_002)

    def test_output_comes_while_the_cell_runs(self) -> None:
        code = "import os, time\nprint('a', end='')\nwhile not os.path.exists('go'): time.sleep(0.001)\nprint('b')"
        seq = self.gateway.send_execute(code)
        self.gateway.wait_for("stream")
        Path(self.gateway.folder.name, "go").touch()
        self.assertEqual(self.gateway.reply(seq).text(), "b\n")

    def test_all_output_precedes_the_reply(self) -> None:
        reply = self.gateway.execute("import sys\nsys.stdout.write('o'); sys.stderr.write('e'); sys.stdout.write('p');")
        self.assertEqual(
            [(e.envelope["name"], bytes(e.parts[0])) for e in reply.events],
            [("stdout", b"o"), ("stderr", b"e"), ("stdout", b"p")],
        )

    def test_hooks_see_and_may_swallow_what_their_thread_writes(self) -> None:
        code = "import sys\nseen = []\nhook = lambda m: seen.append(m['content']['text'])\n"
        reply = self.gateway.execute(
            code + ("sys.stdout.register_hook(hook)\nprint('hidden')\nsys.stdout.unregister_hook(hook)\nprint(seen)")
        )
        self.assertEqual(reply.text(), "['hidden', '\\n']\n")

    def test_a_stream_in_front_of_ours_is_attributed_to_the_present_cell(self) -> None:
        code = (
            "import sys\n"
            "class Tee:\n"
            "    def __init__(self, s): self.s = s\n"
            "    def write(self, t): return self.s.write(t.upper())\n"
        )
        self.gateway.execute(
            code + ("    def flush(self): self.s.flush()\nold, sys.stdout = sys.stdout, Tee(sys.stdout)")
        )
        reply = self.gateway.execute("print('loud')")
        self.assertEqual(reply.text(), "LOUD\n")
        self.assertEqual(reply.events[0].envelope["parent"], f"m{reply.envelope['seq']}")
        self.gateway.execute("sys.stdout = old")


class StreamsWithoutALink(unittest.TestCase):
    def test_a_process_that_the_user_forks_prints_to_the_descriptor(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        code = (
            "import os, sys\n"
            "print('parent', end='')\n"
            "pid = os.fork()\n"
            "if pid == 0:\n"
            "    print('child'); print('half', end=''); sys.stdout.flush(); os._exit(0)\n"
        )
        reply = gateway.execute(code + "_, status = os.waitpid(pid, 0)")
        self.assertEqual(reply.text(), "parent")
        gateway.link.close()
        out, _ = gateway.process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(out, b"child\nhalf")

    def test_multiprocessing_prints_and_returns(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        code = "import multiprocessing as mp\ndef f(x):\n    print('got', x)\n    return x * 2\n"
        reply = gateway.execute(code + "with mp.get_context('fork').Pool(2) as pool: r = pool.map(f, [1, 2])\nr")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "[2, 4]")
        gateway.link.close()
        out, _ = gateway.process.communicate(timeout=TIMEOUT_S)
        self.assertEqual(sorted(out.split(b"\n")), [b"", b"got 1", b"got 2"])

    def test_a_forked_process_that_reaches_the_end_of_its_cell_ends(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        reply = gateway.execute("import os\npid = os.fork()\nif pid: status = os.waitpid(pid, 0)[1]\nelse: 1/0")
        self.assertEqual((reply.content["status"], len(reply.published("error"))), ("ok", 0))
        reply = gateway.execute("os.waitstatus_to_exitcode(status)")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "1")

    def test_a_fork_after_a_print_gives_no_warning_of_threads(self) -> None:
        script = (
            "import sys, os, warnings; sys.path.insert(0, %r)\n"
            "from savepoint_worker.ipython.streams import Outlet, OutStream\n"
            "class L:\n    def send(self, *a): pass\n"
            "o = Outlet(); s = OutStream(o, 'stdout'); o.attach(L())\n"
            "warnings.simplefilter('error')\n"
            "for n in range(50):\n"
            "    s.write('x')\n"
            "    pid = os.fork()\n"
            "    pid or os._exit(0)\n"
            "    os.waitpid(pid, 0)\n"
        )
        path = str(Path(__file__).resolve().parents[2] / "src" / "python")
        done = subprocess.run([sys.executable, "-c", script % path], capture_output=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, b""))


if __name__ == "__main__":
    unittest.main()
