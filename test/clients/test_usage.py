"""What a kernel uses of its machine: `usage_request`, beside ipykernel and psutil."""

from __future__ import annotations

import sys
from typing import Any

import psutil
from jupyter_client.manager import KernelManager
from support.case import KernelCase, main
from support.client import Client, stop_kernel
from support.subject import kernel_log, ours

MIB = 1024 * 1024


def ask(client: Client) -> dict[str, Any]:
    return client.ask("usage_request", channel="control")


class Usage(KernelCase):
    def usage(self) -> dict[str, Any]:
        return ask(self.client)

    def test_the_fields_are_those_of_ipykernel(self) -> None:
        manager = KernelManager(kernel_name="python3")
        manager.kernel_spec.argv[:] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager.start_kernel(stdout=kernel_log(), stderr=kernel_log())
        client = Client(manager.client())
        self.addCleanup(stop_kernel, manager, client)
        client.kc.wait_for_ready(timeout=60)
        # The second answer is the first that can compare the host's times with earlier ones.
        theirs, ours = [(ask(c), c.execute("sum(range(3 * 10**6))"), ask(c))[-1] for c in (client, self.client)]
        ours.pop("savepoint", None)
        self.assertEqual(ours.keys() | {"host_cpu_percent"}, theirs.keys() | {"host_cpu_percent"})
        for key in theirs.keys() & ours.keys():
            self.assertEqual(isinstance(ours[key], (int, float)), isinstance(theirs[key], (int, float)), key)
        for key in ("hostname", "cpu_count"):
            self.assertEqual(ours[key], theirs[key])
        self.assertEqual(ours["host_virtual_memory"].keys(), theirs["host_virtual_memory"].keys())

    def test_the_machine_is_described_as_psutil_does(self) -> None:
        memory = self.usage()["host_virtual_memory"]
        known = psutil.virtual_memory()._asdict()
        self.assertEqual(memory.keys(), known.keys())
        self.assertEqual(memory["total"], known["total"])
        for key, value in known.items():
            # Both were read at different moments on a busy machine.
            limit = 25 if key == "percent" else known["total"] * 0.25
            self.assertLess(abs(memory[key] - value), limit, key)

    def test_memory_and_pid_are_the_workers(self) -> None:
        pid = int(self.client.value("__import__('os').getpid()"))
        usage = self.usage()
        self.assertEqual(usage["pid"], pid)
        known = psutil.Process(pid).memory_full_info().pss
        self.assertLess(abs(usage["kernel_memory"] - known), 8 * MIB)

    def test_memory_grows_with_what_a_cell_keeps(self) -> None:
        before = self.usage()["kernel_memory"]
        self.run_ok(f"kept = b'x' * {200 * MIB}")
        after = self.usage()["kernel_memory"]
        self.assertGreater(after - before, 195 * MIB)
        self.assertLess(after - before, 230 * MIB)
        self.run_ok("del kept")
        self.assertLess(self.usage()["kernel_memory"] - before, 50 * MIB)

    def test_children_count_too(self) -> None:
        self.usage()
        before = self.usage()["kernel_memory"]
        self.run_ok(
            "import subprocess, sys\n"
            f"child = subprocess.Popen([sys.executable, '-c', 'x = b\"x\" * {100 * MIB}; print(1, flush=True); input()'],"
            " stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
            "child.stdout.read(1)"
        )
        self.addCleanup(self.client.execute, "child.kill(); child.wait(); child.stdin.close(); child.stdout.close()")
        self.assertGreater(self.usage()["kernel_memory"] - before, 95 * MIB)

    def test_a_busy_kernel_answers_and_shows_what_it_burns(self) -> None:
        self.usage()
        cell = self.client.start("print('on', flush=True)\nwhile True: pass")
        cell.wait_for_output("on")
        self.usage()
        burnt = 0.0
        # On a machine with other work a loop gets a part of a processor only.
        for _ in range(50):
            self.client.receive(0.1)
            burnt = max(burnt, self.usage()["kernel_cpu"])
            if burnt > 10:
                break
        self.assertFalse(cell.is_done)
        self.client.ask("interrupt_request", channel="control")
        self.assertEqual(cell.wait().content["ename"], "KeyboardInterrupt")
        self.assertGreater(burnt, 10)

    @ours
    def test_a_snapshot_does_not_halve_what_the_worker_has(self) -> None:
        self.run_ok(f"kept = bytearray(b'x' * {100 * MIB})")
        before = self.usage()
        self.assertEqual(before["savepoint"], {"snapshots": 0, "snapshot_bytes": 0})
        self.run_ok("%begin")
        during = self.usage()
        self.assertEqual(during["savepoint"]["snapshots"], 1)
        self.assertLess(abs(during["kernel_memory"] - before["kernel_memory"]), 30 * MIB)
        self.assertLess(during["savepoint"]["snapshot_bytes"], 40 * MIB)
        self.run_ok("for i in range(0, len(kept), 4096): kept[i] = 1")
        self.assertGreater(self.usage()["savepoint"]["snapshot_bytes"], 95 * MIB)
        self.run_ok("%commit")
        self.run_ok("del kept")
        self.assertEqual(self.usage()["savepoint"], {"snapshots": 0, "snapshot_bytes": 0})


if __name__ == "__main__":
    main()
