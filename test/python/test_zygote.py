"""The zygote: forking workers, reporting ends, ending everything, and waiting for another gateway."""

from __future__ import annotations

import ast
import os
import resource
import signal
import socket
import subprocess
import tempfile
import unittest

from fake_gateway import TIMEOUT_S, Link
from zygote_gateway import PYTHONS, ZygoteGateway, alive, descendants, wait_until


class OneZygote(unittest.TestCase):
    """Tests that leave the zygote as it was."""

    gateway: ZygoteGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = ZygoteGateway()
        cls.addClassCleanup(cls.gateway.close)

    def test_it_introduces_itself_with_what_clients_ask_for(self) -> None:
        hello, info = self.gateway.hello, self.gateway.info
        self.assertEqual((hello["role"], hello["token"], hello["kernel"]), ("zygote", "zt", "k1"))
        self.assertEqual(info["status"], "ok")
        self.assertEqual((info["protocol_version"], info["implementation"]), ("5.5", "ipython"))
        self.assertEqual(info["language_info"]["name"], "python")
        self.assertIn("debugger", info["supported_features"])
        self.assertTrue({"python", "ipython", "ipykernel"} <= self.gateway.ready.keys())

    def test_a_worker_has_the_users_search_path_and_arguments(self) -> None:
        worker = self.gateway.fork()
        # ipykernel puts the current folder behind the standard library and before site-packages, and so do we.
        shown = worker.run("print([os.path.basename(p) for p in sys.path], 'PYTHONPATH' in os.environ)")
        self.assertRegex(shown, r"^\['python\d+.zip', .*'lib-dynload', '', 'site-packages'.*, 'python'\] False$")
        # Programs look here for ipykernel's name.
        self.assertRegex(worker.run("print(sys.argv)"), r"^\['[^']*/site-packages/ipykernel_launcher.py'\]$")

    def test_a_worker_has_its_environment_folder_and_output(self) -> None:
        os.environ["SAVEPOINT_TEST_GONE"] = "x"
        self.addCleanup(os.environ.pop, "SAVEPOINT_TEST_GONE")
        with tempfile.TemporaryDirectory() as folder:
            worker = self.gateway.fork(env={"NEW": "1", "HOME": None}, cwd=folder)
            shown = worker.run("print(os.environ['NEW'], 'HOME' in os.environ, os.getcwd())")
            self.assertEqual(shown.split(), ["1", "False", os.path.realpath(folder)])
            self.gateway.output()
            worker.run("os.system('echo from a child; echo for the log >&2')")
            self.assertEqual(self.gateway.output(), "from a child\nfor the log\n")

    def test_a_worker_inherits_nothing_of_the_zygotes(self) -> None:
        other = self.gateway.fork()
        other.snapshot()
        worker = self.gateway.fork()
        shown = worker.run(
            "print([os.readlink(each.path) for each in os.scandir('/proc/self/fd') if os.path.lexists(each.path)])"
        )
        # A new worker's thread may be importing what the first error will need.
        names = [name for name in ast.literal_eval(shown) if not name.endswith((".py", ".pyc"))]
        # 0, 1, 2, the link, the custodian's connection, both ends of the loop's self-pipe, and what looks at them.
        self.assertEqual(len(names), 8, names)
        worker.run(
            "assert {signal.getsignal(n) for n in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)} == {signal.SIG_DFL}"
        )
        worker.run("assert os.getpgrp() == os.getsid(0) == os.getpid()")
        limits = worker.run("import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE))").strip()
        self.assertEqual(limits, str(resource.getrlimit(resource.RLIMIT_NOFILE)))
        other.discard(*other.frozen)

    def test_every_end_is_reported_with_code_or_signal(self) -> None:
        worker = self.gateway.fork()
        worker.send_execute("os._exit(3)")
        self.assertEqual(self.gateway.wait_for("died", pid=worker.pid).envelope["code"], 3)
        worker = self.gateway.fork()
        worker.send_execute("os.kill(os.getpid(), signal.SIGSEGV)")
        died = self.gateway.wait_for("died", pid=worker.pid).envelope
        self.assertEqual((died["code"], died["signal"]), (None, signal.SIGSEGV))

    def test_orphans_of_the_users_are_adopted_and_reported(self) -> None:
        worker = self.gateway.fork()
        child = int(
            worker.run("print(subprocess.Popen(['sh', '-c', 'sleep 0.1; exit 5'], start_new_session=True).pid)")
        )
        self.gateway.link.send({"kind": "kill", "pid": worker.pid, "signal": signal.SIGKILL})
        self.gateway.wait_for("died", pid=worker.pid, signal=signal.SIGKILL)
        self.gateway.wait_for("died", pid=child, code=5)

    def test_only_descendants_are_killed(self) -> None:
        with subprocess.Popen(["sleep", "60"]) as stranger:
            self.gateway.link.send({"kind": "kill", "pid": stranger.pid, "signal": signal.SIGKILL})
            worker = self.gateway.fork()
            self.gateway.link.send({"kind": "kill", "pid": worker.pid, "signal": signal.SIGTERM})
            self.gateway.wait_for("died", pid=worker.pid, signal=signal.SIGTERM)
            self.assertIsNone(stranger.poll())
            stranger.kill()

    def test_a_fork_that_fails_is_reported(self) -> None:
        worker = self.gateway.fork(prelude=False)
        command = {"kernel": "k1", "token": "x", "env": {}, "cwd": "/nonexistent", "stdout": None, "stderr": None}
        self.gateway.link.send({"kind": "fork", **command})
        pid = self.gateway.wait_for("forked", token="x").envelope["pid"]
        self.gateway.wait_for("died", pid=pid)
        self.assertEqual(worker.run("print(1)"), "1\n")

    def test_garbage_on_the_custodians_connection_harms_nobody(self) -> None:
        worker, other = self.gateway.fork(), self.gateway.fork()
        worker.run("os.write(_worker.snapshots.custodian.fileno(), b'garbage')")
        worker.run("print(1)")
        other.snapshot()
        other.discard(*other.frozen)

    def test_signals_that_end_programs_do_not_end_it(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(self.gateway.process.pid, number)
        self.gateway.fork(prelude=False)

    def test_waking_what_is_not_there_is_answered(self) -> None:
        self.gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": ["nothing"]})
        self.gateway.link.send({"kind": "wake", "kernel": "k1", "snapshot": "nothing"})
        self.gateway.wait_for("snapshot_gone", snapshot="nothing")

    def test_a_hundred_workers_leave_nothing_behind(self) -> None:
        number = self.gateway.process.pid
        before = len(os.listdir(f"/proc/{number}/fd"))
        for _ in range(20):
            workers = [self.gateway.fork(prelude=False) for _ in range(5)]
            for worker in workers:
                worker.link.send({"kind": "stop"})
            died = [self.gateway.wait_for("died", code=0).envelope["pid"] for _ in workers]
            self.assertEqual(sorted(died), sorted(worker.pid for worker in workers))
            for worker in workers:
                worker.close()
        # Fewer, if a worker of an earlier test had not quite ended.
        self.assertLessEqual(len(os.listdir(f"/proc/{number}/fd")), before)


class SearchPath(unittest.TestCase):
    def test_files_in_the_working_folder_shadow_nothing_of_ours(self) -> None:
        def prepare(folder: str) -> list[str]:
            for name in ("json", "socket", "argparse", "savepoint"):
                with open(os.path.join(folder, f"{name}.py"), "w") as file:
                    file.write("raise ImportError('This is the user's.')")
            return []

        with ZygoteGateway(prepare=prepare) as gateway:
            self.assertEqual(gateway.fork().run("print(6 * 7)"), "42\n")

    def test_the_stacks_folder_ends_up_behind_the_users_packages(self) -> None:
        def prepare(folder: str) -> list[str]:
            os.mkdir(os.path.join(folder, "stack"))
            return ["--stack", os.path.join(folder, "stack")]

        with ZygoteGateway(prepare=prepare) as gateway:
            shown = gateway.fork().run("print([os.path.basename(p) for p in sys.path][-2:])")
            self.assertEqual(shown, "['stack', 'python']\n")


class Ending(unittest.TestCase):
    def start(self) -> tuple[ZygoteGateway, list[int]]:
        """A zygote with an idle worker, a busy one, one that ignores SIGTERM, children and snapshots; their pids."""
        gateway = ZygoteGateway()
        self.addCleanup(gateway.close)
        worker = gateway.fork()
        worker.snapshot()
        worker.snapshot()
        worker.run("subprocess.Popen(['sleep', '60'])")
        worker.run("subprocess.Popen(['sh', '-c', 'trap : TERM; while :; do sleep 1; done'])")
        busy = gateway.fork()
        busy.send_execute("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('here', flush=True)\nwhile True: pass")
        busy.wait_for("stream")
        return gateway, [gateway.process.pid, *descendants(gateway.process.pid)]

    def assert_gone(self, pids: list[int]) -> None:
        wait_until(lambda: not any(map(alive, pids)), f"Some of {pids} live.")

    def test_stop_ends_everything_and_then_the_zygote(self) -> None:
        gateway, pids = self.start()
        gateway.link.send({"kind": "stop", "linger": False})
        self.assertEqual(gateway.process.wait(TIMEOUT_S), 0)
        self.assert_gone(pids)

    def test_losing_the_gateway_ends_everything(self) -> None:
        gateway, pids = self.start()
        gateway.link.close()
        self.assertEqual(gateway.process.wait(TIMEOUT_S), 0)
        self.assert_gone(pids)

    def test_a_killed_zygote_takes_everything_with_it(self) -> None:
        gateway, pids = self.start()
        # What the user started is not ours; it would be the gateway's to clear up.
        ours = [pid for pid in pids if b"start_worker.py" in _command_line(pid)]
        self.assertEqual(len(ours), 5, [(pid, _command_line(pid)) for pid in pids])
        gateway.process.kill()
        self.assert_gone(ours)
        for pid in set(pids) - set(ours):
            if alive(pid):
                os.kill(pid, signal.SIGKILL)

    def test_a_killed_worker_leaves_its_snapshots_in_care(self) -> None:
        gateway, _ = self.start()
        worker = gateway.fork()
        snapshot = worker.snapshot().envelope
        os.kill(worker.pid, signal.SIGKILL)
        gateway.wait_for("died", pid=worker.pid, signal=signal.SIGKILL)
        self.assertTrue(alive(snapshot["pid"]))
        gateway.link.send({"kind": "discard", "kernel": "k1", "snapshots": [snapshot["snapshot"]]})
        gateway.wait_for("snapshot_gone", snapshot=snapshot["snapshot"])
        gateway.wait_for("died", pid=snapshot["pid"], code=0)

    def test_a_woken_worker_dies_with_the_zygote_too(self) -> None:
        gateway = ZygoteGateway()
        self.addCleanup(gateway.close)
        worker = gateway.fork()
        worker.snapshot()
        worker.roll_back(resume=False)
        worker.send_execute("print('here', flush=True)\nwhile True: pass")
        worker.wait_for("stream")
        gateway.process.kill()
        self.assert_gone([worker.pid])

    def test_processes_in_sessions_of_their_own_are_left_alone(self) -> None:
        gateway = ZygoteGateway()
        self.addCleanup(gateway.close)
        pid = int(gateway.fork().run("print(subprocess.Popen(['sleep', '60'], start_new_session=True).pid)"))
        gateway.link.send({"kind": "stop", "linger": False})
        gateway.process.wait(TIMEOUT_S)
        self.assertTrue(alive(pid))
        os.kill(pid, signal.SIGKILL)


class Lingering(unittest.TestCase):
    def setUp(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.path = os.path.join(self.folder.name, "rendezvous")

    def start(self, linger: float) -> ZygoteGateway:
        gateway = ZygoteGateway(rendezvous=self.path, linger=linger)
        self.addCleanup(gateway.close)
        return gateway

    def test_another_gateway_takes_it_over_again_and_again(self) -> None:
        gateway = self.start(20)
        pid, old = gateway.process.pid, gateway.fork()
        for _ in range(2):
            gateway.succeed()
            self.assertFalse(alive(old.pid))
            self.assertFalse(os.path.exists(self.path))
            self.assertEqual((gateway.hello["pid"], gateway.hello["token"]), (pid, "zt2"))
            old = gateway.fork()
            old.snapshot()
            old.roll_back(resume=False)
            self.assertEqual(old.run("print(6 * 7)"), "42\n")

    def test_stop_can_ask_it_to_linger(self) -> None:
        gateway = self.start(20)
        gateway.link.send({"kind": "stop", "linger": True})
        gateway.succeed()
        gateway.fork()
        gateway.link.send({"kind": "stop", "linger": False})
        self.assertEqual(gateway.process.wait(TIMEOUT_S), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_it_ends_when_nobody_comes(self) -> None:
        gateway = self.start(0.2)
        gateway.link.close()
        self.assertEqual(gateway.process.wait(TIMEOUT_S), 0)
        self.assertFalse(os.path.exists(self.path))

    def test_the_rendezvous_is_private_and_bears_nonsense(self) -> None:
        gateway = self.start(20)
        gateway.link.close()
        wait_until(lambda: os.path.exists(self.path), "The zygote does not linger.")
        self.assertEqual(os.stat(self.path).st_mode & 0o777, 0o600)
        for nonsense in (b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\2\0\0", b""):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(self.path)
                connection.sendall(nonsense)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self.path)
            Link(connection).send({"kind": "adopt", "link": 3})
        gateway.succeed()
        gateway.fork()


class EveryPython(unittest.TestCase):
    def test_a_cell_runs_on_every_python_there_is(self) -> None:
        for python in PYTHONS:
            with self.subTest(python), ZygoteGateway(python) as gateway:
                self.assertEqual(gateway.fork().run("print(6 * 7)"), "42\n")


def _command_line(pid: int) -> bytes:
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read()


if __name__ == "__main__":
    unittest.main()
