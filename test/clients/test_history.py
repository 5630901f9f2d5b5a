"""The history across kernels: by request, and by IPython's magics."""

from __future__ import annotations

import os
import unittest
import uuid
from concurrent.futures import ThreadPoolExecutor

from support.case import KernelCase, fresh_kernel, main
from support.client import Client
from support.subject import ours, scratch


def rows(client: Client, **request: object) -> list[list[object]]:
    return client.ask("history_request", {"raw": True, "output": False, **request})["history"]


@ours
class OtherSessions(KernelCase):
    """What an earlier kernel ran, seen from a later one with the same data folder."""

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.mark = f"mark_{uuid.uuid4().hex[:8]}"
        for code in (f"{cls.mark} = 1", f"{cls.mark} + 41", "%time 5"):
            cls.client.execute(code)
        cls.session = rows(cls.client, hist_access_type="tail", n=1)[0][0]

    def later(self) -> Client:
        _, client = fresh_kernel(self)
        return client

    def test_magics_show_search_and_repeat_what_another_kernel_ran(self) -> None:
        mark, session = self.mark, self.session
        client = self.later()
        client.execute("own = 1")
        shown = client.execute(f"%history -g {mark}").stdout
        self.assertIn(f"{session}/1: {mark} = 1", shown)
        self.assertIn(f"{session}/2: {mark} + 41", shown)
        # A line of this session has no session's number, here as in IPython.
        self.assertIn("   3: %history -g own", client.execute("%history -g own").stdout)
        self.assertIn("   1: own = 1", client.execute("%history -g own").stdout)
        self.assertEqual(client.execute(f"%history {session}/1-2").stdout, f"{mark} = 1\n{mark} + 41\n")
        self.assertEqual(client.execute(f"%rerun {session}/1-2").result, "42")
        recalled = client.execute(f"%recall {session}/1").content["payload"]
        self.assertEqual([(p["source"], p["text"]) for p in recalled], [("set_next_input", f"{mark} = 1")])

    def test_magics_of_the_present_session_work(self) -> None:
        client = self.later()
        folder = scratch("history")
        for code in ("a = 1", "b = a + 1", "b"):
            client.execute(code)
        self.assertEqual(client.execute("%history 1-3").stdout, "a = 1\nb = a + 1\nb\n")
        self.assertEqual(client.execute("%history -o 3").stdout, "b\n2\n")
        self.assertEqual(
            client.execute("%history -n -l 2").stdout.split(), ["4:", "%history", "1-3", "5:", "%history", "-o", "3"]
        )
        client.execute(f"%save {folder}/saved 1-2")
        self.assertIn("b = a + 1", (folder / "saved.py").read_text())
        client.execute("%macro two 1-2")
        client.execute("a = b = 0")
        client.execute("two")
        self.assertEqual(client.value("b"), "2")
        client.execute(f"%notebook {folder}/all.ipynb")
        self.assertIn("b = a + 1", (folder / "all.ipynb").read_text())

    def test_a_rollback_forgets_no_line(self) -> None:
        client = self.later()
        client.execute("before = 1")
        client.execute("%begin")
        client.execute("inside = 1")
        client.execute("%rollback")
        self.assertEqual(client.execute("%history 1-4").stdout, "before = 1\n%begin\ninside = 1\n%rollback\n")
        self.assertIn("inside = 1", client.execute("%history -g inside").stdout)

    def test_texts_are_kept_as_typed_and_as_run_and_results_with_them(self) -> None:
        asked = {"hist_access_type": "range", "session": self.session, "start": 1, "stop": 4}
        typed = [line[2] for line in rows(self.client, **asked)]
        self.assertEqual(typed, [f"{self.mark} = 1", f"{self.mark} + 41", "%time 5"])
        run = [line[2] for line in rows(self.client, **asked, raw=False)]
        self.assertEqual(run[2], "get_ipython().run_line_magic('time', '5')")
        results = [line[2][1] for line in rows(self.client, **asked, output=True)]
        self.assertEqual(results, [None, "42", "5"])

    def test_cells_may_do_to_in_and_out_what_they_like(self) -> None:
        client = self.later()
        for code in (
            "In[1:] = []",
            "In.clear(); Out.clear()",
            "In[:] = [1, None, object()] * 10",
            "get_ipython().history_manager.output_hist_reprs = None",
            "get_ipython().history_manager.input_hist_raw[:] = [7] * 20",
        ):
            # IPython itself may complain; what matters is that there is an answer.
            self.assertIn(client.execute(code).status, ("ok", "error"))
        self.assertIn(client.execute("1").status, ("ok", "error"))

    def test_threads_are_not_kept_from_the_history(self) -> None:
        cell = self.run_ok(
            "import threading\n"
            "found = []\n"
            "get = get_ipython().history_manager.get_tail\n"
            "thread = threading.Thread(target=lambda: found.extend(get(50)))\n"
            "thread.start(); thread.join()\n"
            f"'{self.mark} = 1' in [line[2] for line in found]"
        )
        self.assertEqual(cell.result, "True")


@ours
class ManyKernels(unittest.TestCase):
    def test_kernels_at_once_have_sessions_of_their_own_and_lose_nothing(self) -> None:
        env = {**os.environ, "SAVEPOINT_DATA_DIR": str(scratch("data"))}
        with ThreadPoolExecutor(3) as pool:
            clients = [client for _, client in pool.map(lambda _: fresh_kernel(self, env=env), range(3))]
        for n in range(20):
            cells = [client.start(f"line_{n} = {k}") for k, client in enumerate(clients)]
            for cell in cells:
                cell.wait()
        for k, client in enumerate(clients):
            own = rows(client, hist_access_type="range", session=0, start=1, stop=None)
            self.assertEqual([line[2] for line in own], [f"line_{n} = {k}" for n in range(20)])
        everything = rows(clients[0], hist_access_type="tail", n=1000)
        self.assertEqual(len(everything), 60)
        self.assertEqual(len({line[0] for line in everything}), 3)
        self.assertEqual(everything[-1][2], "line_19 = 0", "what was typed here comes last")


if __name__ == "__main__":
    main()
