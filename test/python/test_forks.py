"""A frozen copy becomes the worker of another kernel: with everything that is in it, and nothing of the first one's."""

from __future__ import annotations

import os
import select
import signal
import time
import unittest

from test_snapshot import SnapshotTest
from zygote_gateway import PYTHONS, WorkerEnd, alive, descendants, wait_until


TICKING = """
import asyncio
ticks = []
async def tick():
    while True:
        ticks.append(os.getpid())
        await asyncio.sleep(0.01)
task = asyncio.ensure_future(tick())
"""


class ForkTest(SnapshotTest):
    def setUp(self) -> None:
        super().setUp()
        self.kernels: list[str] = []

    def end_worker(self) -> None:
        super().end_worker()
        for kernel in self.kernels:
            self.gateway.link.send({"kind": "end", "kernel": kernel})
            self.gateway.wait_for("ended", kernel=kernel)

    def freeze(self, worker: WorkerEnd) -> str:
        """A copy of the worker between two cells, which may become another kernel's."""
        permit = {**worker.permit(), "apart": True}
        worker.link.send({"kind": "snapshot", "permit": permit})
        taken = worker.wait_for("taken", snapshot=permit["snapshot"]).envelope
        self.assertNotIn("error", taken)
        self.assertTrue(alive(taken["pid"]))
        return permit["snapshot"]

    def copy(self, snapshot: str, of: str = "k1") -> tuple[str, int]:
        """A copy of a frozen copy; its name and pid."""
        name = self.gateway.name()
        self.gateway.link.send({"kind": "copy", "kernel": of, "snapshot": snapshot, "name": name})
        copied = self.gateway.wait_for("copied", kernel=of, snapshot=snapshot, name=name).envelope
        self.assertNotIn("error", copied)
        return name, copied["pid"]

    def become(self, snapshot: str, of: str = "k1", **woken: object) -> WorkerEnd:
        """The worker of another kernel, which was the frozen copy `snapshot`."""
        kernel = f"fork-{self.gateway.name()}"
        self.kernels.append(kernel)
        paths = {name: self.path(kernel, name) for name in ("stdout", "stderr", "interrupts")}
        connection_file = f"/nowhere/kernel-{kernel}.json"
        identity = {"kernel": kernel, "token": f"token-{kernel}", **paths, "connection_file": connection_file}
        identity["env"] = {"KERNEL_ID": kernel}
        self.gateway.link.send({"kind": "wake", "kernel": of, "snapshot": snapshot, "as": identity})
        worker = WorkerEnd(self.gateway, *self.gateway.accept())
        self.addCleanup(worker.close)
        self.assertEqual((worker.hello["kernel"], worker.hello["token"]), (kernel, identity["token"]))
        self.gateway.wait_for("forked", kernel=kernel, token=identity["token"], pid=worker.pid)
        worker.welcome(worker.link, 1, {"reason": "requested", "resume": False, "inputs": [], **woken})
        self.left_behind = worker.wait_for("left_behind").envelope["limits"]
        return worker

    def path(self, kernel: str, name: str) -> str:
        return os.path.join(self.gateway.folder.name, f"{kernel}-{name}")

    def printed(self, worker: WorkerEnd) -> str:
        """What is in its pipes."""
        return "".join(
            os.read(self.pipe(worker, name), 65536).decode() for name in ("stdout", "stderr") if self.waits(worker, name)
        )

    def pipe(self, worker: WorkerEnd, name: str) -> int:
        descriptor = os.open(self.path(worker.hello["kernel"], name), os.O_RDONLY | os.O_NONBLOCK)
        self.addCleanup(os.close, descriptor)
        return descriptor

    def waits(self, worker: WorkerEnd, name: str) -> bool:
        return bool(select.select([self.pipe(worker, name)], [], [], 0.2)[0])


class Forks(ForkTest):
    def test_it_has_the_state_and_both_go_on_by_themselves(self) -> None:
        self.worker.run("x = [1]; import random; random.seed(5)")
        fork = self.become(self.freeze(self.worker))
        fork.run("x.append(2)")
        self.worker.run("x.append(3)")
        self.assertEqual(fork.run("print(x)"), "[1, 2]\n")
        self.assertEqual(self.worker.run("print(x)"), "[1, 3]\n")
        self.assertEqual(fork.run("print(random.random())"), self.worker.run("print(random.random())"))

    def test_it_is_the_zygotes_child_in_a_group_of_its_own(self) -> None:
        fork = self.become(self.freeze(self.worker))
        facts = "print(os.getppid(), os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid())"
        self.assertEqual(fork.run(facts), f"{self.gateway.process.pid} True True\n")
        reply = self.worker.execute("os.wait()")
        self.assertEqual(reply.content["ename"], "ChildProcessError")

    def test_user_code_sees_the_new_kernels_name(self) -> None:
        fork = self.become(self.freeze(self.worker))
        kernel = fork.hello["kernel"]
        cell = "print(os.environ['KERNEL_ID'], get_ipython().kernel.parent.connection_file)"
        self.assertEqual(fork.run(cell), f"{kernel} /nowhere/kernel-{kernel}.json\n")
        self.assertEqual(self.worker.run("print(os.environ.get('KERNEL_ID'))"), "None\n")

    def test_what_c_code_prints_comes_out_of_its_own_pipes(self) -> None:
        self.worker.run("saved = os.dup(2)")
        fork = self.become(self.freeze(self.worker))
        self.gateway.output()
        cell = "os.write(1, b'one'); os.write(saved, b'two'); subprocess.run(['echo', 'three'])"
        fork.run(f"_ = ({cell.replace('; ', ', ')})")
        self.assertEqual(sorted(self.printed(fork)), sorted("onethree\ntwo"))
        self.assertEqual(self.gateway.output(), "")
        self.worker.run("_ = os.write(1, b'four')")
        self.assertEqual(self.gateway.output(), "four")
        self.assertEqual(self.printed(fork), "")

    def test_it_lives_on_when_the_other_kernel_ends_and_the_other_way_round(self) -> None:
        other = self.gateway.fork(kernel="k2")
        snapshot = self.freeze(other)
        fork = self.become(snapshot, of="k2")
        self.gateway.link.send({"kind": "end", "kernel": "k2"})
        self.gateway.wait_for("ended", kernel="k2")
        self.assertFalse(alive(other.pid))
        second = self.become(self.freeze(fork), of=fork.hello["kernel"])
        self.gateway.link.send({"kind": "end", "kernel": second.hello["kernel"]})
        self.gateway.wait_for("ended", kernel=second.hello["kernel"])
        self.assertFalse(alive(second.pid))
        self.assertEqual(fork.run("print(6 * 7)"), "42\n")

    def test_one_that_is_woken_while_the_other_kernel_ends_is_spared(self) -> None:
        for _ in range(10):
            other = self.gateway.fork(kernel="k2")
            snapshot = self.freeze(other)
            kernel = f"fork-{self.gateway.name()}"
            self.kernels.append(kernel)
            paths = {name: self.path(kernel, name) for name in ("stdout", "stderr", "interrupts")}
            identity = {"kernel": kernel, "token": "t", **paths, "connection_file": None, "env": {}}
            self.gateway.link.send({"kind": "wake", "kernel": "k2", "snapshot": snapshot, "as": identity})
            self.gateway.link.send({"kind": "end", "kernel": "k2"})
            fork = WorkerEnd(self.gateway, *self.gateway.accept())
            self.addCleanup(fork.close)
            self.gateway.wait_for("ended", kernel="k2")
            fork.welcome(fork.link, 1, {"reason": "requested", "resume": False, "inputs": []})
            self.assertEqual(fork.run("print(6 * 7)"), "42\n")

    def test_its_death_is_reported_as_the_new_kernels(self) -> None:
        fork = self.become(self.freeze(self.worker))
        os.kill(fork.pid, signal.SIGKILL)
        self.gateway.wait_for("died", pid=fork.pid, kernel=fork.hello["kernel"], signal=signal.SIGKILL)
        self.assertEqual(self.worker.run("print(1)"), "1\n")

    def test_the_cell_that_it_was_taken_in_is_left(self) -> None:
        cell = "here = []\ntry:\n    begin()\n    here.append(1)\nfinally:\n    here.append(2)"
        seq = self.worker.send_execute(cell)
        ask = self.worker.wait_for("ask").envelope
        permit = {**self.worker.permit(), "apart": True}
        self.worker.link.send({"kind": "answer", "id": ask["id"], "ok": True, "result": {}, "permit": permit})
        self.worker.wait_for("taken")
        self.worker.reply(seq)
        fork = self.become(permit["snapshot"])
        self.assertEqual(self.worker.run("print(here)"), "[1, 2]\n")
        self.assertEqual(fork.run("print(6 * 7)"), "42\n")

    def test_background_tasks_go_on_in_both(self) -> None:
        self.worker.run(TICKING)
        fork = self.become(self.freeze(self.worker))
        for each in (self.worker, fork):
            each.run("await asyncio.sleep(0.05)\nbefore = len(ticks)\nawait asyncio.sleep(0.05)")
            self.assertEqual(each.run("print(len(ticks) > before, ticks[-1] == os.getpid())"), "True True\n")

    def test_timers_have_as_long_to_go_as_they_had(self) -> None:
        self.worker.run("import asyncio; hit = []; loop = asyncio.get_running_loop(); made = loop.time()")
        self.worker.run("timer, later = (loop.call_later(s, hit.append, s) for s in (0.5, 600)); due = later.when()")
        snapshot = self.freeze(self.worker)
        # However long the rest takes: at least this long the copy is frozen, and no timer of it runs.
        time.sleep(0.7)
        self.worker.run("while not hit: await asyncio.sleep(0.01)")
        fork = self.become(snapshot)
        self.assertEqual(fork.run("print(hit in ([], [0.5]), later.when() - due >= 0.7)"), "True True\n")
        fork.run("while not hit: await asyncio.sleep(0.01)")
        self.assertEqual(fork.run("print(hit, timer.when() - made >= 1.2)"), "[0.5] True\n")

    def test_connections_and_threads_stay_behind_and_are_named(self) -> None:
        self.worker.run(
            "import threading\na, b = socket.socketpair()\nr, w = os.pipe()\n"
            "t = threading.Thread(target=time.sleep, args=(60,), name='sleeper', daemon=True); t.start()"
        )
        fork = self.become(self.freeze(self.worker))
        self.assertEqual(sorted(self.left_behind), ["2 open pipes", "2 open sockets", "the thread 'sleeper'"])
        self.assertEqual(fork.run("print(a.recv(10), t.is_alive())"), "b'' False\n")
        self.worker.run("b.send(b'hello')")
        self.assertEqual(self.worker.run("print(a.recv(10))"), "b'hello'\n")

    def test_files_are_read_on_independently(self) -> None:
        self.worker.run("import tempfile\nf = tempfile.TemporaryFile(); f.write(b'abcdef'); f.seek(2)\n_ = f.flush()")
        snapshot = self.freeze(self.worker)
        forks = [self.become(self.copy(snapshot)[0]), self.become(snapshot)]
        self.worker.run("os.lseek(f.fileno(), 5, 0)")
        self.assertEqual([fork.run("print(os.read(f.fileno(), 2))") for fork in forks], ["b'cd'\n"] * 2)

    def test_an_interrupt_stops_the_fork_alone(self) -> None:
        fork = self.become(self.freeze(self.worker))
        for one, other in ((fork, self.worker), (self.worker, fork)):
            seq = one.send_execute("print('in', flush=True)\nwhile True: pass")
            one.wait_for("stream")
            one.interrupt()
            self.assertEqual(one.reply(seq).content["ename"], "KeyboardInterrupt")
            self.assertEqual(other.run("print(1)"), "1\n")


class Copies(ForkTest):
    def test_one_snapshot_becomes_many_kernels(self) -> None:
        self.worker.run("x = [0]")
        snapshot = self.freeze(self.worker)
        names = [self.copy(snapshot) for _ in range(5)]
        self.worker.run("x.append('later')")
        forks = [self.become(name) for name, _ in names]
        self.assertEqual([fork.pid for fork in forks], [pid for _, pid in names])
        for number, fork in enumerate(forks):
            fork.run(f"x.append({number})")
        self.assertEqual([fork.run("print(x)") for fork in forks], [f"[0, {n}]\n" for n in range(5)])
        self.assertEqual(self.become(snapshot).run("print(x)"), "[0]\n")

    def test_a_transactions_snapshot_can_be_copied_and_still_be_gone_back_to(self) -> None:
        self.worker.run("x = 1")
        snapshot = self.worker.snapshot().envelope["snapshot"]
        self.worker.run("x = 2")
        fork = self.become(self.copy(snapshot)[0])
        self.worker.roll_back(resume=False)
        self.assertEqual((fork.run("print(x)"), self.worker.run("print(x)")), ("1\n", "1\n"))

    def test_a_copy_can_be_discarded_and_killed(self) -> None:
        snapshot = self.freeze(self.worker)
        first, second = self.copy(snapshot), self.copy(snapshot)
        self.gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": [first[0]]})
        self.gateway.wait_for("snapshot_gone", kernel="k1", snapshot=first[0])
        os.kill(second[1], signal.SIGKILL)
        self.gateway.wait_for("snapshot_gone", kernel="k1", snapshot=second[0])
        wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for _, pid in (first, second)), "A zombie is left.")

    def test_what_is_not_there_cannot_be_copied_or_woken(self) -> None:
        self.gateway.link.send({"kind": "copy", "kernel": "k1", "snapshot": "none", "name": "n"})
        self.assertEqual(self.gateway.wait_for("copied", name="n").envelope["error"], "the snapshot is gone")
        identity = {"kernel": "k9", "token": "t"}
        self.gateway.link.send({"kind": "wake", "kernel": "k1", "snapshot": "none", "as": identity})
        self.gateway.wait_for("snapshot_gone", kernel="k9", snapshot="none")

    def test_a_snapshot_that_is_killed_while_it_is_copied_is_answered(self) -> None:
        name, permit = self.gateway.name(), self.worker.permit() | {"apart": True}
        self.worker.link.send({"kind": "snapshot", "permit": permit})
        pid = self.worker.wait_for("taken").envelope["pid"]
        os.kill(pid, signal.SIGSTOP)
        self.gateway.link.send({"kind": "copy", "kernel": "k1", "snapshot": permit["snapshot"], "name": name})
        os.kill(pid, signal.SIGKILL)
        self.assertIn("error", self.gateway.wait_for("copied", name=name).envelope)

    def test_twenty_rounds_leave_nothing_behind(self) -> None:
        before = sorted(descendants(self.gateway.process.pid))
        descriptors = len(os.listdir(f"/proc/{self.gateway.process.pid}/fd"))
        for _ in range(20):
            snapshot = self.freeze(self.worker)
            fork = self.become(self.copy(snapshot)[0])
            self.assertEqual(fork.run("print(1)"), "1\n")
            self.gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": [snapshot]})
            self.gateway.wait_for("snapshot_gone", snapshot=snapshot)
            self.gateway.link.send({"kind": "end", "kernel": fork.hello["kernel"]})
            self.gateway.wait_for("ended", kernel=fork.hello["kernel"])
        wait_until(lambda: sorted(descendants(self.gateway.process.pid)) == before, "Processes are left.")
        self.assertEqual(len(os.listdir(f"/proc/{self.gateway.process.pid}/fd")), descriptors)


def load_tests(loader: unittest.TestLoader, tests: unittest.TestSuite, pattern: str | None) -> unittest.TestSuite:
    """All of these for every Python there is."""
    suite = unittest.TestSuite()
    for python in PYTHONS:
        for base in (Forks, Copies):
            name = f"{base.__name__} with {python}" if len(PYTHONS) > 1 else base.__name__
            suite.addTests(loader.loadTestsFromTestCase(type(name, (base,), {"python": python})))
    return suite


if __name__ == "__main__":
    unittest.main()
