"""Frozen copies are invisible while they wait, and whole when they are woken."""

from __future__ import annotations

import os
import signal
import time
import unittest

from zygote_gateway import PYTHONS, WorkerEnd, ZygoteGateway, alive, descendants, wait_until


class SnapshotTest(unittest.TestCase):
    """One zygote for all tests of a class, and a worker for each."""

    gateway: ZygoteGateway
    worker: WorkerEnd
    python = PYTHONS[0]

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = ZygoteGateway(cls.python)
        cls.addClassCleanup(cls.gateway.close)

    def setUp(self) -> None:
        self.worker = self.gateway.fork()
        self.addCleanup(self.end_worker)

    def end_worker(self) -> None:
        if self.worker.frozen:
            self.gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": list(self.worker.frozen)})
        self.gateway.link.send({"kind": "kill", "pid": self.worker.pid, "signal": signal.SIGKILL})


class WhileFrozen(SnapshotTest):
    def test_communicate_ends_when_the_child_does(self) -> None:
        self.worker.run("p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)")
        self.worker.snapshot()
        self.assertEqual(
            self.worker.run("print(p.communicate(b'hello', timeout=5), p.returncode)"), "(b'hello', None) 0\n"
        )

    def test_a_port_can_be_closed_and_bound_again(self) -> None:
        self.worker.run("s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); a = s.getsockname()")
        self.worker.snapshot()
        self.worker.run("s.close(); s = socket.socket(); s.bind(a); s.listen()")

    def test_a_port_can_be_bound_again_right_after_a_begin_in_the_same_cell(self) -> None:
        cell = (
            "s = socket.create_server(('127.0.0.1', 0)); a = s.getsockname(); begin(); s.close(); s = socket.socket()"
        )
        for _ in range(10):
            self.worker.run(f"{cell}; s.bind(a)")

    def test_a_child_may_print_although_nobody_reads_any_more(self) -> None:
        nowhere = os.open(os.devnull, os.O_RDONLY)
        for end in self.gateway.outputs:
            os.dup2(nowhere, end)
        os.close(nowhere)
        self.worker.snapshot()
        self.worker.run("child = subprocess.run(['sh', '-c', 'echo one && echo two >&2 && exit 3'])")
        self.worker.run("assert child.returncode == 3, child.returncode")

    def test_a_lock_is_released(self) -> None:
        self.worker.run(
            "import fcntl, tempfile; f = tempfile.NamedTemporaryFile(); fcntl.flock(f, fcntl.LOCK_EX); begin()"
        )
        self.worker.run("g = open(f.name, 'r+'); f.close(); fcntl.flock(g, fcntl.LOCK_EX | fcntl.LOCK_NB)")

    def test_there_are_no_children_to_wait_for(self) -> None:
        self.worker.snapshot()
        self.worker.snapshot()
        reply = self.worker.execute("os.wait()")
        self.assertEqual(reply.content["ename"], "ChildProcessError")
        self.worker.run("p = subprocess.Popen(['sh', '-c', 'exit 4'])\nassert os.wait() == (p.pid, 4 << 8)")

    def test_signals_to_the_group_neither_wakes_nor_ends_it(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTSTP, signal.SIGUSR1, signal.SIGQUIT):
            with self.subTest(number):
                worker = self.gateway.fork()
                worker.run("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
                worker.run("signal.signal(signal.SIGUSR1, lambda *_: print('!'))")
                cell = "ran = 0\nwoken = begin()\nran += 1\nprint('here', flush=True)\nif woken is None: time.sleep(60)"
                seq = worker.send_execute(cell)
                frame = worker.wait_for("ask")
                worker._grant(frame.envelope)
                worker._note(worker.wait_for("taken"))
                worker.wait_for("stream")
                # Some of these end the worker; the group lives on in the copy.
                group = os.getpgid(worker.pid)
                os.killpg(group, number)
                os.killpg(group, signal.SIGCONT)
                os.kill(worker.frozen[worker.latest], number)
                self.assertTrue(alive(worker.frozen[worker.latest]))
                worker.roll_back(orderly=False)
                self.assertEqual(worker.reply(seq).text(), "here\n")
                self.assertEqual(worker.run("print(ran)"), "1\n")

    def test_discarding_ends_it(self) -> None:
        taken = self.worker.snapshot().envelope
        self.worker.discard(taken["snapshot"])
        wait_until(lambda: not alive(taken["pid"]), "The snapshot lives.")

    def test_one_that_somebody_kills_is_reported_and_leaves_no_zombie(self) -> None:
        taken = self.worker.snapshot().envelope
        os.kill(taken["pid"], signal.SIGKILL)
        self.gateway.wait_for("snapshot_gone", snapshot=taken["snapshot"])
        self.worker.frozen.clear()
        self.worker.link.send({"kind": "forget", "snapshot": taken["snapshot"]})
        wait_until(lambda: not os.path.exists(f"/proc/{taken['pid']}"), "There is a zombie.")

    def test_where_there_are_no_descriptors_left_nothing_is_half_made(self) -> None:
        before = descendants(self.gateway.process.pid)
        self.worker.run(
            """
import resource
limits = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, limits[1]))
taken = [*os.pipe()]
try:
    while True: taken.append(os.open('/dev/null', os.O_RDONLY))
except OSError: pass
            """
        )
        self.assertIn("error", self.worker.snapshot().envelope)
        # Enough for the worker to begin, and too few for the copy.
        self.worker.run("for _ in range(2): os.close(taken.pop())")
        self.assertIn("error", self.worker.snapshot().envelope)
        self.worker.run("while taken: os.close(taken.pop())")
        self.worker.run("resource.setrlimit(resource.RLIMIT_NOFILE, limits)")
        self.assertEqual(descendants(self.gateway.process.pid), before)
        self.assertNotIn("error", self.worker.snapshot().envelope)

    def test_user_threads_do_not_disturb(self) -> None:
        self.worker.run("import threading; e = threading.Event(); t = threading.Thread(target=e.wait); t.start()")
        self.worker.run("import warnings; warnings.simplefilter('error')")
        self.worker.snapshot()
        self.assertEqual(self.worker.run("e.set(); t.join(); x = 1; print(t.is_alive())"), "False\n")
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(t.is_alive(), 'x' in globals())"), "False False\n")


class AfterARollback(SnapshotTest):
    def test_a_sync_cell_goes_on_inside_its_block(self) -> None:
        shown = self.worker.run(
            """
kept = [1]
def deep(n):
    if n: return deep(n - 1)
    woken = begin()
    if woken is None:
        kept.append(2)
        rollback()
    return woken.reason['reason']
print(deep(20), kept)
            """
        )
        self.assertEqual(shown, "requested [1]\n")

    def test_an_async_cell_goes_on_inside_its_block(self) -> None:
        shown = self.worker.run(
            """
import asyncio
kept = [1]
async def deep():
    await asyncio.sleep(0.001)
    woken = begin()
    await asyncio.sleep(0.001)
    if woken is None:
        kept.append(2)
        rollback()
    return await asyncio.wait_for(asyncio.sleep(0.001, kept), 5)
print(await deep(), asyncio.get_running_loop() is asyncio.get_event_loop())
            """
        )
        self.assertEqual(shown, "[1] True\n")

    def test_background_tasks_go_on(self) -> None:
        self.worker.run(
            """
import asyncio
ticks = 0
async def tick():
    global ticks
    while True:
        await asyncio.sleep(0.001)
        ticks += 1
task = asyncio.create_task(tick())
            """
        )
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.worker.run("before = ticks")
        self.worker.run("while ticks < before + 3: await asyncio.sleep(0.001)")
        self.worker.run("loop = asyncio.get_running_loop(); loop.call_soon_threadsafe(task.cancel)")
        self.worker.run("await asyncio.sleep(0.01); assert task.cancelled()")

    def test_interrupts_find_the_woken_cell(self) -> None:
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        for cell in (
            "import asyncio; print('here'); await asyncio.sleep(60)",
            "print('here', flush=True); time.sleep(60)",
        ):
            seq = self.worker.send_execute(cell)
            self.worker.wait_for("stream")
            self.worker.interrupt()
            self.assertEqual(self.worker.reply(seq).content["ename"], "KeyboardInterrupt")

    def test_handlers_and_masks_of_signals_are_as_they_were(self) -> None:
        self.worker.run(
            """
caught = []
signal.signal(signal.SIGUSR1, lambda *_: caught.append(1))
signal.signal(signal.SIGTERM, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
            """
        )
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.worker.run("os.kill(os.getpid(), signal.SIGUSR1); os.kill(os.getpid(), signal.SIGTERM)")
        self.worker.run("assert caught == [1] and signal.pthread_sigmask(signal.SIG_BLOCK, []) == {signal.SIGUSR2}")

    def test_random_numbers_come_again(self) -> None:
        self.worker.run("import random; random.random()")
        self.worker.snapshot()
        first = self.worker.run("print(random.random())")
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(random.random())"), first)

    def test_a_file_is_where_it_was(self) -> None:
        self.worker.run(
            "import tempfile; f = tempfile.TemporaryFile('w+b', buffering=0); f.write(b'0123456789'); f.seek(3)"
        )
        self.worker.snapshot()
        self.worker.run("assert f.read() == b'3456789'")
        self.worker.roll_back(resume=False)
        self.worker.run("assert f.read(2) == b'34' and f.tell() == 5; f.write(b'x')")

    def test_a_pipe_to_a_living_child_still_works(self) -> None:
        self.worker.run("p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)")
        self.worker.snapshot()
        self.worker.run("q = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)")
        self.worker.roll_back(resume=False)
        self.worker.run("p.stdin.write(b'hello'); assert p.stdout.read(5) == b'hello'; assert p.poll() is None")
        self.worker.run("p.stdin.close(); assert p.wait(10) == 0")

    def test_a_pseudo_terminal_still_works(self) -> None:
        self.worker.run(
            "import pty; m, s = pty.openpty(); p = subprocess.Popen(['cat'], stdin=s, stdout=s); os.close(s)"
        )
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.worker.run(
            "os.write(m, b'hello\\n'); assert os.read(m, 7) == b'hello\\r\\n'; p.kill(); assert p.wait() == -9"
        )

    def test_what_was_opened_later_is_not_handed_over(self) -> None:
        self.worker.run("a, b = os.pipe()")
        self.worker.snapshot()
        # Another pipe under the same numbers.
        self.worker.run("c, d = os.pipe(); os.dup2(c, a); os.dup2(d, b); os.write(b, b'later')")
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(os.read(a, 10))"), "b''\n")

    def test_hundreds_of_pipes_are_handed_over(self) -> None:
        self.worker.run("pipes = [os.pipe() for _ in range(240)]")
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.worker.run("for n, (r, w) in enumerate(pipes): os.write(w, b'%d' % n); assert os.read(r, 9) == b'%d' % n")
        self.worker.run("assert len(os.listdir('/proc/self/fd')) < 495")

    def test_after_a_death_pipes_read_as_ended(self) -> None:
        self.worker.run("p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)")
        self.worker.snapshot()
        self.worker.send_execute("os._exit(1)")
        self.gateway.wait_for("died", pid=self.worker.pid)
        self.worker.roll_back(resume=False, orderly=False)
        self.assertEqual(self.worker.run("print(p.stdout.read(), p.wait())"), "b'' 0\n")

    def test_exit_codes_of_earlier_children_are_the_right_ones(self) -> None:
        self.worker.run(
            "p, q, r = (subprocess.Popen(['sh', '-c', f'read x; exit {n}'], stdin=subprocess.PIPE) for n in (3, 4, 5))"
        )
        self.worker.snapshot()
        self.worker.run("p.stdin.close(); assert p.wait() == 3")
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(q.poll()); q.stdin.close(); print(q.wait(10))"), "None\n4\n")
        self.assertEqual(
            self.worker.run("r.stdin.close(); print(os.waitpid(r.pid, 0) == (r.pid, 5 << 8), r.pid > 0)"), "True True\n"
        )

    def test_a_child_that_the_other_process_reaped_is_lost_and_says_so(self) -> None:
        self.worker.run("p = subprocess.Popen(['sh', '-c', 'read x; exit 3'], stdin=subprocess.PIPE)")
        self.worker.snapshot()
        self.worker.run("p.stdin.close(); assert p.wait() == 3")
        self.worker.roll_back(resume=False)
        for call in ("p.wait()", "p.poll()", "p.wait(timeout=1)"):
            content = self.worker.execute(call).content
            self.assertEqual(content.get("ename"), "SavepointError", content)
            self.assertIn("child_lost", content["evalue"])
        self.worker.run("assert subprocess.run(['sh', '-c', 'exit 6']).returncode == 6")

    def test_children_of_asyncio_are_waited_for_on(self) -> None:
        self.worker.run(
            """
import asyncio
p = await asyncio.create_subprocess_exec('sh', '-c', 'read x; exit 7', stdin=subprocess.PIPE)
waiting = asyncio.create_task(p.wait())
await asyncio.sleep(0.05)
            """
        )
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("p.stdin.close(); print(await asyncio.wait_for(waiting, 10))"), "7\n")

    def test_one_can_go_back_to_any_of_several(self) -> None:
        self.worker.run("x = 0")
        names = []
        for n in range(1, 4):
            names.append(self.worker.snapshot().envelope["snapshot"])
            self.worker.run(f"x = {n}")
        self.worker.roll_back(names[2], resume=False)
        self.assertEqual(self.worker.run("print(x)"), "2\n")
        self.worker.roll_back(names[0], resume=False)
        self.assertEqual(self.worker.run("print(x)"), "0\n")
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(x)"), "0\n")
        self.worker.discard(names[1])

    def test_a_rollback_does_not_wait_for_a_worker_that_hangs(self) -> None:
        self.worker.snapshot()
        self.worker.send_execute("print('here', flush=True)\nwhile True: pass")
        self.worker.wait_for("stream")
        self.worker.roll_back(resume=False, orderly=False)
        self.assertEqual(self.worker.run("print(1)"), "1\n")

    def test_a_default_timeout_of_sockets_does_not_matter(self) -> None:
        self.worker.run("socket.setdefaulttimeout(0.05)")
        self.worker.snapshot()
        self.worker.snapshot()
        time.sleep(0.2)
        self.worker.roll_back(resume=False)
        self.worker.run("assert socket.getdefaulttimeout() == 0.05")
        time.sleep(0.1)
        self.worker.run("socket.setdefaulttimeout(None)")


class OverAndOver(SnapshotTest):
    def counts(self) -> tuple[int, int, int]:
        """Processes below the zygote, and descriptors of the zygote and of the worker."""
        zygote = self.gateway.process.pid
        return (
            len(descendants(zygote)),
            len(os.listdir(f"/proc/{zygote}/fd")),
            len(os.listdir(f"/proc/{self.worker.pid}/fd")),
        )

    def assert_no_growth(self, before: tuple[int, int, int]) -> None:
        wait_until(lambda: self.counts() <= before, f"{before} became {self.counts()}.")

    def test_three_hundred_snapshots_leave_nothing_behind(self) -> None:
        before = self.counts()
        for _ in range(300):
            self.worker.snapshot()
            self.worker.discard(self.worker.latest)
        self.assert_no_growth(before)

    def test_a_hundred_rollbacks_leave_nothing_behind(self) -> None:
        self.worker.run("depths = []")
        self.worker.snapshot()
        self.worker.roll_back(resume=False)
        before = self.counts()
        depth = self.worker.run("import inspect; print(len(inspect.stack()))")
        for _ in range(100):
            self.worker.snapshot()
            self.worker.roll_back(resume=False)
        self.assertEqual(self.worker.run("print(len(inspect.stack()))"), depth)
        self.assert_no_growth(before)


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None) -> unittest.TestSuite:
    """All of these for every Python there is."""
    suite = unittest.TestSuite()
    for python in PYTHONS:
        for base in (WhileFrozen, AfterARollback, OverAndOver):
            name = f"{base.__name__} with {python}" if len(PYTHONS) > 1 else base.__name__
            suite.addTests(loader.loadTestsFromTestCase(type(name, (base,), {"python": python})))
    return suite


if __name__ == "__main__":
    unittest.main()
