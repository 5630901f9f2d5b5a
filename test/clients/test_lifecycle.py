"""Restart, shutdown, several clients, heartbeat, and what a death looks like from outside."""

from __future__ import annotations

import os
import signal
import unittest

from jupyter_client.manager import KernelManager
from support import processes
from support.case import KernelCase, fresh_kernel, main
from support.client import Client, Gate
from support.subject import ours


class Life(unittest.TestCase):
    def exit_code(self, manager: KernelManager) -> int:
        return manager.provisioner.process.wait(timeout=60)

    def test_a_restart_forgets_names_and_keeps_ports(self) -> None:
        for now in (False, True):
            with self.subTest(now=now):
                manager, client = fresh_kernel(self)
                info = manager.get_connection_info()
                session = client.execute("before = 1").reply["header"]["session"]
                manager.restart_kernel(now=now)
                client.kc.wait_for_ready(timeout=60)
                cell = client.execute("'before' in dir()")
                self.assertEqual(cell.result, "False")
                self.assertEqual(cell.content["execution_count"], 1)
                self.assertNotEqual(cell.reply["header"]["session"], session)
                self.assertEqual(manager.get_connection_info(), info)

    def test_a_shutdown_is_answered_told_to_all_and_done(self) -> None:
        manager, client = fresh_kernel(self)
        family = processes.family(manager.provisioner.pid)
        stopping = client.request("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(stopping.wait_for("control", "shutdown_reply")["content"], {"status": "ok", "restart": False})
        stopping.wait_for("iopub", "shutdown_reply")
        self.assertEqual(self.exit_code(manager), 0)
        self.assertEqual(processes.wait_until_gone(family), [])

    @ours  # ipykernel answers, and then waits for the cell until it is killed.
    def test_a_shutdown_does_not_wait_for_the_running_cell(self) -> None:
        manager, client = fresh_kernel(self)
        client.start("print('in', flush=True)\nwhile True: pass").wait_for_output("in")
        client.request("shutdown_request", {"restart": False}, channel="control")
        self.assertEqual(self.exit_code(manager), 0)

    def test_exit_handlers_run_at_shutdown(self) -> None:
        manager, client = fresh_kernel(self)
        client.execute(
            "import atexit, pathlib, tempfile\n"
            "mark = pathlib.Path(tempfile.mkdtemp()) / 'mark'\n"
            "atexit.register(mark.touch)"
        )
        mark = client.value("str(mark)").strip("'")
        manager.shutdown_kernel()
        self.assertTrue(os.path.exists(mark))

    @ours
    def test_a_worker_that_dies_is_an_error_that_names_the_cause(self) -> None:
        deaths = {
            "import os\nos._exit(3)": (3, "exit code 3"),
            "import os\nos._exit(0)": (1, "exit code 0"),
            "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)": (128 + signal.SIGKILL, "SIGKILL"),
            "import ctypes\nctypes.string_at(0)": (128 + signal.SIGSEGV, "SIGSEGV"),
        }
        for code, (exit_code, cause) in deaths.items():
            with self.subTest(cause):
                manager, client = fresh_kernel(self)
                family = processes.family(manager.provisioner.pid)
                gate = Gate()
                cell = client.start(f"{gate.code}print('last words', flush=True)\n{code}")
                queued = client.start("1")
                client.wait_until_received()
                gate.open()
                cell.wait()
                self.assertEqual((cell.status, cell.content["ename"]), ("error", "WorkerDied"))
                self.assertIn(cause, cell.content["evalue"])
                self.assertEqual(cell.on("iopub", "error")[0]["content"]["ename"], "WorkerDied")
                self.assertEqual(cell.stdout, "last words\n")
                self.assertEqual(queued.wait().status, "aborted")
                code_of_kernel = self.exit_code(manager)
                # Popen gives the death by a signal as its negative number; ours exits with a code.
                self.assertEqual(code_of_kernel, exit_code)
                self.assertEqual(processes.wait_until_gone(family), [])

    @ours
    def test_a_death_between_cells_ends_the_kernel(self) -> None:
        manager, client = fresh_kernel(self)
        client.execute("import os, threading\nthreading.Timer(0.1, os._exit, [4]).start()")
        self.assertEqual(self.exit_code(manager), 4)

    def test_environment_and_folder_are_those_of_the_start(self) -> None:
        _, client = fresh_kernel(self, cwd="/", env={**os.environ, "ONLY_HERE": "yes"})
        self.assertEqual(
            client.value("(__import__('os').getcwd(), __import__('os').environ['ONLY_HERE'])"), "('/', 'yes')"
        )

    def test_a_client_with_the_same_identity_takes_over(self) -> None:
        manager, client = fresh_kernel(self)
        twin = Client(manager.client(session=client.kc.session.clone()))
        self.addCleanup(twin.close)
        self.assertEqual(twin.kc.session.session, client.kc.session.session)
        twin.kc.wait_for_ready(timeout=60)
        self.assertEqual(twin.execute("6 * 7").result, "42")

    def test_a_kernel_over_ipc_sockets_works(self) -> None:
        _, client = fresh_kernel(self, transport="ipc")
        self.assertEqual(client.execute("6 * 7").result, "42")


class Company(KernelCase):
    def test_two_clients_share_the_state_and_see_each_others_cells(self) -> None:
        other = self.second_client()
        self.run_ok("shared = 'from one'")
        cell = other.execute("shared")
        self.assertEqual(cell.result, "'from one'")
        seen = self.client.wait_for(lambda m: m["msg_type"] == "execute_result")
        self.assertEqual(seen["parent_header"]["msg_id"], cell.msg_id)
        self.assertEqual([m for m in self.client.messages if m["channel"] == "shell"][1:], [])

    def test_cells_of_two_clients_take_turns(self) -> None:
        other = self.second_client()
        self.run_ok("turns = []")
        cells = [client.start(f"turns.append({n})") for n in range(20) for client in (self.client, other)]
        for cell in cells:
            cell.wait()
        self.assertEqual(self.run_ok("sorted(turns) == sorted([*range(20)] * 2)").result, "True")

    def test_a_client_that_left_disturbs_nobody(self) -> None:
        leaving = self.second_client()
        gate = Gate()
        leaving.start(f"{gate.code}left = True").wait_for("iopub", "execute_input")
        leaving.kc.stop_channels()
        gate.open()
        self.assertEqual(self.run_ok("left").result, "True")

    def test_the_heart_beats_while_a_cell_holds_everything(self) -> None:
        self.client.kc.hb_channel.unpause()
        gate = Gate()
        cell = self.client.start(f"print('in', flush=True)\n{gate.code}")
        cell.wait_for_output("in")
        self.client.wait_for_echo()
        self.assertFalse(cell.is_done)
        gate.open()
        self.assertEqual(cell.wait().status, "ok")

    @ours
    def test_each_subscriber_is_welcomed(self) -> None:
        for _ in range(2):
            client = self.second_client()
            client.execute("1")
            self.assertEqual(client.kc.is_alive(), True)


if __name__ == "__main__":
    main()
