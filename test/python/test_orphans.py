"""A zygote whose gateway is killed: it cares on, shows the next one what there is, and ends when none comes."""

from __future__ import annotations

import os
import signal
import unittest

from fake_gateway import TIMEOUT_S
from zygote_gateway import ZygoteGateway, alive, descendants, wait_until


class AZygoteWithoutAGateway(unittest.TestCase):
    def start(self, orphan_s: float = 60) -> ZygoteGateway:
        gateway = ZygoteGateway(orphan_s=orphan_s)
        self.addCleanup(gateway.close)
        return gateway

    def test_it_shows_what_there_is_and_what_has_ended(self) -> None:
        gateway = self.start()
        first, second = gateway.fork(), gateway.fork(kernel="k2")
        first.snapshot()
        gateway.die()
        os.kill(second.pid, signal.SIGKILL)
        # One that has ended but for a last thread still counts as a worker; the zygote reaps it behind that.
        wait_until(lambda: not os.path.exists(f"/proc/{second.pid}"), "The worker is not reaped.")
        inventory, links = gateway.come_back()
        self.assertEqual((gateway.hello["token"], gateway.hello["resumed"]), ("zt", {}))
        self.assertEqual(inventory["ready"]["ipython"], gateway.ready["ipython"])
        place = {"kernel": "k1", "workers": [{"pid": first.pid, "token": first.hello["token"]}]}
        self.assertEqual(inventory["places"], [{**place, "snapshots": [first.latest]}])
        death = {"kernel": "k2", "token": second.hello["token"], "pid": second.pid, "code": None, "signal": 9}
        self.assertEqual(inventory["deaths"], [death])
        first.link = links[first.hello["token"]]
        self.assertEqual(first.run("print(6 * 7)"), "42\n")
        third = gateway.fork()
        self.assertEqual(third.run("print(1)"), "1\n")

    def test_a_frozen_copy_is_woken_by_the_next_gateway_and_counts_anew(self) -> None:
        gateway = self.start()
        worker = gateway.fork()
        worker.run("x = 1")
        worker.snapshot()
        name = worker.latest
        worker.run("x = 2\nprint('y' * 1000)")
        gateway.die()
        _, links = gateway.come_back()
        worker.link = links[worker.hello["token"]]
        os.kill(worker.pid, signal.SIGKILL)
        gateway.wait_for("died", pid=worker.pid)
        gateway.link.send({"kind": "wake", "kernel": "k1", "snapshot": name})
        worker.link, worker.hello = gateway.accept()
        self.assertEqual((worker.hello["token"], worker.hello["pid"]), (worker.tokens[name], worker.frozen[name]))
        self.assertNotIn("resumed", worker.hello)
        woken = {"reason": "requested", "resume": False, "inputs": []}
        worker.welcome(worker.link, 2, woken)
        self.assertEqual(worker.run("print(x, _worker.link._retained.made)"), "1 0\n")

    def test_a_copy_that_is_woken_while_the_gateway_dies_waits_for_the_next(self) -> None:
        gateway = self.start()
        worker = gateway.fork()
        worker.snapshot()
        os.kill(worker.pid, signal.SIGKILL)
        gateway.wait_for("died", pid=worker.pid)
        gateway.stop_listening()
        gateway.link.send({"kind": "wake", "kernel": "k1", "snapshot": worker.latest})
        gateway.die()
        inventory, links = gateway.come_back()
        token = worker.tokens[worker.latest]
        self.assertEqual(inventory["places"][0]["workers"], [{"pid": worker.frozen[worker.latest], "token": token}])
        self.assertEqual(list(links), [token])

    def test_everything_ends_when_no_gateway_comes(self) -> None:
        gateway = self.start(orphan_s=1)
        worker = gateway.fork()
        worker.snapshot()
        worker.run("import subprocess; subprocess.Popen(['sleep', '600'])")
        everybody = [gateway.process.pid, *descendants(gateway.process.pid)]
        self.assertEqual(len(everybody), 4)
        gateway.die()
        gateway.process.wait(TIMEOUT_S)
        for pid in everybody:
            wait_until(lambda pid=pid: not alive(pid), f"{pid} is still there.")


if __name__ == "__main__":
    unittest.main()
