"""What stays behind: nothing, whoever is killed; and nothing grows with the rounds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import unittest
from pathlib import Path

from jupyter_client.manager import KernelManager
from support import processes
from support.case import fresh_kernel, main
from support.client import Client
from support.comms import transactions
from support.processes import GONE_WITHIN_S, Process
from support.subject import KERNEL, ours

STARTER = f"""
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name={KERNEL!r})
manager.start_kernel()
print(manager.provisioner.pid, manager.connection_file, flush=True)
sys.stdin.read()
"""
"""A client that starts a kernel and then does nothing: it can be killed."""


def zygotes(family: list[Process]) -> list[Process]:
    return [process for process in family if "start_worker.py" in process.command and "zygote" in process.command]


class Kills(unittest.TestCase):
    def check(self, family: list[Process], victim: int) -> None:
        os.kill(victim, signal.SIGKILL)
        left = processes.wait_until_gone(family)
        self.assertEqual([str(process) for process in left], [])

    def busy_kernel(self) -> tuple[KernelManager, Client, list[Process]]:
        """A kernel with an open transaction inside another (frozen copies), in the midst of a cell."""
        manager, client = fresh_kernel(self)
        for _ in range(2):
            self.assertEqual(client.execute("%begin").status, "ok")
        client.start("print('in', flush=True)\nwhile True: pass").wait_for_output("in")
        return manager, client, processes.family(manager.provisioner.pid)

    @ours
    def test_nothing_is_left_when_the_node_process_is_killed(self) -> None:
        manager, _, family = self.busy_kernel()
        self.assertGreaterEqual(len(family), 5, [str(process) for process in family])
        self.check(family, manager.provisioner.pid)

    @ours
    def test_nothing_is_left_when_the_zygote_is_killed(self) -> None:
        _, _, family = self.busy_kernel()
        # Workers and frozen copies were forked from it and have its command line; it is the eldest.
        self.check(family, min(zygotes(family), key=lambda process: process.started).pid)

    @ours
    def test_nothing_is_left_when_the_worker_is_killed(self) -> None:
        manager, client = fresh_kernel(self)
        client.execute("%begin")
        worker = int(client.value("__import__('os').getpid()"))
        self.check(processes.family(manager.provisioner.pid), worker)

    def test_nothing_is_left_when_the_client_is_killed(self) -> None:
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(starter.communicate)
        assert starter.stdout is not None
        pid, connection_file = starter.stdout.readline().split()
        client = Client.connect(connection_file, timeout=60)
        self.addCleanup(client.close)
        self.assertEqual(client.execute("6 * 7").result, "42")
        self.addCleanup(Path(connection_file).unlink, missing_ok=True)
        self.check(processes.family(int(pid)), starter.pid)

    def test_nothing_is_left_after_a_shutdown(self) -> None:
        manager, client = fresh_kernel(self)
        client.execute("import subprocess\nchild = subprocess.Popen(['sleep', '300'])")
        family = processes.family(manager.provisioner.pid)
        manager.shutdown_kernel()
        self.assertEqual([str(process) for process in processes.wait_until_gone(family)], [])

    def test_nothing_of_the_old_life_is_left_after_a_restart(self) -> None:
        manager, client = fresh_kernel(self)
        worker = processes.find(int(client.value("__import__('os').getpid()")))
        manager.restart_kernel(now=False)
        client.kc.wait_for_ready(timeout=60)
        self.assertEqual(processes.wait_until_gone([worker]), [])


@ours
class Rounds(unittest.TestCase):
    WARM_UP = 60
    ROUNDS = 1000 if os.environ.get("RUN_SLOW") else 300
    PYTHON_GROWTH_MIB = 2.0
    NODE_GROWTH_MIB = 64.0
    """Node lets its heap grow by tens of MiB before it collects: this only catches what keeps whole states."""

    def measure(self, root: int, size: int) -> tuple[int, float, float]:
        """Descriptors of all processes, and private memory of Node and of the others in MiB, once they are `size`."""
        # The copy that was given up last may still be about to end, or to be reaped.
        self.assertTrue(processes.wait_for_family_of(size, root, GONE_WITHIN_S), processes.family(root))
        node, *others = [process.pid for process in processes.family(root)]
        descriptors = sum(map(processes.open_descriptors, [node, *others]))
        return descriptors, processes.private_memory_mib([node]), processes.private_memory_mib(others)

    def check(self, round_code: str, ending: str, by_savepoint: bool = False) -> None:
        manager, client = fresh_kernel(self)
        target = transactions(client)
        client.execute("state = [1]")
        # What a process loads for its first error, or when it first has nothing to do, is no growth.
        client.execute("1 / 0")
        self.assertTrue(processes.wait_until_at_rest(manager.provisioner.pid, 1.5, 120))

        def go(rounds: int) -> None:
            for _ in range(rounds):
                target.ask("begin")
                if by_savepoint:
                    target.ask("savepoint", name="a")
                    client.execute(round_code)
                    target.ask("rollback", to="a")
                client.execute(round_code)
                target.ask(ending)
                client.messages.clear()

        root = manager.provisioner.pid
        size = len(processes.family(root))
        go(self.WARM_UP)
        before = self.measure(root, size)
        go(self.ROUNDS)
        after = self.measure(root, size)
        self.assertLessEqual(after[0], before[0] + 2, "descriptors")
        self.assertLess(after[1], before[1] + self.NODE_GROWTH_MIB, "memory of Node in MiB")
        self.assertLess(after[2], before[2] + self.PYTHON_GROWTH_MIB, "memory of the others in MiB")
        kept = 1 if ending == "rollback" else 1 + self.WARM_UP + self.ROUNDS
        self.assertEqual(client.value("len(state)"), str(kept))

    def test_three_hundred_rollbacks_leave_nothing_behind(self) -> None:
        self.check("state.append(1)", "rollback")

    @unittest.skipUnless(os.environ.get("RUN_SLOW"), "takes minutes: npm run test:long")
    def test_rounds_by_way_of_a_savepoint_leave_nothing_behind(self) -> None:
        self.check("state.append(1)", "commit", by_savepoint=True)

    def test_three_hundred_commits_leave_nothing_behind(self) -> None:
        self.check("state.append(1)", "commit")


if __name__ == "__main__":
    main()
