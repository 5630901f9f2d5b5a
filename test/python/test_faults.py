"""Whatever is broken on the way to a reply, by user code or in ours: one reply, in time, and a kernel that goes on."""

from __future__ import annotations

import unittest

from fake_gateway import FakeGateway, Reply

#: How a function of ours is broken for one call.
BREAK = """
import sys
def _break(holder, name, error):
    real = getattr(holder, name)
    def broken(*arguments, **options):
        setattr(holder, name, real)
        raise error
    setattr(holder, name, broken)
_module = lambda name: sys.modules["savepoint_worker." + name]
_worker = _module("worker").Worker.current()
"""


class Faults(unittest.TestCase):
    def setUp(self) -> None:
        self.gateway = FakeGateway()
        self.addCleanup(self.gateway.close)
        self.gateway.execute(BREAK)

    def assert_alive(self) -> None:
        """The kernel goes on, and nothing that was answered is answered again."""
        reply = self.gateway.execute("print('alive')\n6 * 7")
        self.assertEqual(reply.content["status"], "ok")
        self.assertEqual(reply.text(), "alive\n")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "42")
        self.assertEqual([e.envelope for e in reply.events if e.envelope["kind"] == "reply"], [])

    def broken(self, holder: str, name: str, error: str = "ValueError('broken')", code: str = "print('said')") -> Reply:
        """Run a cell at whose end a function raises, once."""
        reply = self.gateway.execute(f"_break({holder}, {name!r}, {error})\n{code}")
        self.assert_alive()
        return reply

    def test_a_cell_is_answered_whatever_fails_beside_it(self) -> None:
        """What the history, the streams and the hooks cannot do is left out; the cell itself went well."""
        for holder, name in (
            ("_module('ipython.history')", "told"),
            ("_worker", "flush_streams"),
            ("_worker.link", "send_once"),
            ("_worker.besides", "leave"),
            ("_worker.kernel", "post_handler_hook"),
            ("_worker", "attribute_streams"),
            ("_worker.kernel", "pre_handler_hook"),
        ):
            for error in ("ValueError('broken')", "SystemExit(1)", "RecursionError()"):
                with self.subTest(f"{holder}.{name}", error=error):
                    reply = self.broken(holder, name, error)
                    self.assertEqual(reply.content["status"], "ok", reply.content)
                    self.assertIn("said", reply.text())

    def test_a_cell_is_answered_with_an_error_where_its_own_reply_cannot_be_made(self) -> None:
        for holder, name in (
            ("_module('requests')", "pack"),
            ("_module('cells.execution')", "reply_metadata"),
            ("_module('cells.changes').Watch", "changes"),
            ("get_ipython().payload_manager", "read_payload"),
            ("get_ipython()", "showtraceback"),
        ):
            for error in ("ValueError('broken')", "SystemExit(1)", "KeyboardInterrupt()"):
                with self.subTest(f"{holder}.{name}", error=error):
                    reply = self.broken(holder, name, error, "print('said')\nget_ipython().no_such_name")
                    self.assertEqual(reply.content["status"], "error", reply.content)
                    self.assertTrue(all(type(reply.envelope[key]) is str for key in ("ename", "evalue")))

    def test_what_waits_beside_a_cell_is_given_back_although_the_cell_could_not_give_it_back(self) -> None:
        comm = {"comm_id": "c", "target_name": "nobody", "data": {}}
        seq = self.gateway.send_execute(
            "_break(_worker.besides, 'leave', ValueError())\nprint('in', flush=True)\ninput()"
        )
        question = self.gateway.wait_for("input_request")
        beside = self.gateway.send("comm_open", comm, beside=seq)
        self.gateway.answer_input(question, "on")
        self.assertEqual(self.gateway.reply(seq).content["status"], "ok")
        self.assertEqual(self.gateway.wait_for("returned").envelope["seq"], beside)
        self.assert_alive()

    def test_code_that_empties_what_ipython_keeps_is_answered(self) -> None:
        for code in (
            "In.clear()",
            "Out.clear(); del Out, In, _oh",
            "get_ipython().user_ns['In'] = None; get_ipython().user_ns['Out'] = 3",
            "_real = get_ipython().history_manager; get_ipython().history_manager = None",
            "get_ipython().history_manager = _real",
            "_real = get_ipython().history_manager.input_hist_parsed; get_ipython().history_manager.input_hist_parsed = {}",
            "get_ipython().history_manager.input_hist_parsed = _real",
            "_real = get_ipython().payload_manager; get_ipython().payload_manager = None",
            "get_ipython().payload_manager = _real",
            "_real = get_ipython().displayhook; get_ipython().displayhook = None",
            "get_ipython().displayhook = _real",
            "get_ipython().execution_count = 'many'",
            "_real = get_ipython().user_ns; get_ipython().user_ns = {}",
        ):
            with self.subTest(code):
                self.assertIn(self.gateway.execute(code).content["status"], ("ok", "error"))
        self.gateway.execute("1 + 1")

    def test_user_expressions_that_are_no_json_are_answered(self) -> None:
        self.gateway.execute(
            "class Odd:\n"
            "    def _repr_mimebundle_(self, **_):\n"
            "        d = {}; d['application/json'] = d; d[3] = float('nan'); d[b'x'] = object(); return d\n"
        )
        seq = self.gateway.send_execute("1", user_expressions={"odd": "Odd()", "deep": "Odd"})
        self.assertIn(self.gateway.reply(seq).content["status"], ("ok", "error"))
        self.assert_alive()

    def test_requests_of_other_kinds_are_answered_too(self) -> None:
        for name in ("told", "pack"):
            for kind, content in (
                ("complete_request", {"code": "pri", "cursor_pos": 3}),
                ("inspect_request", {"code": "print", "cursor_pos": 5, "detail_level": 0}),
                ("is_complete_request", {"code": "1"}),
                ("comm_info_request", {}),
            ):
                with self.subTest(kind, name=name):
                    holder = "_module('ipython.history')" if name == "told" else "_module('requests')"
                    self.gateway.execute(f"_late = lambda: _break({holder}, {name!r}, MemoryError())")
                    self.gateway.execute("_worker.loop.call_later(0, _late)\nimport asyncio")
                    self.gateway.request(kind, content)
                    self.gateway.execute("1")
                    self.assert_alive()

    def test_a_stream_of_the_users_that_cannot_be_flushed_keeps_neither_reply_nor_output_back(self) -> None:
        reply = self.gateway.execute(
            "import sys\n"
            "class Broken:\n"
            "    def write(self, text): return len(text)\n"
            "    def flush(self): raise SystemExit('no')\n"
            "print('before', end='')\n"
            "_out, sys.stdout = sys.stdout, Broken()"
        )
        self.assertEqual((reply.content["status"], reply.text()), ("ok", "before"))
        self.assertEqual(self.gateway.execute("sys.stdout = _out").content["status"], "ok")
        self.assert_alive()


if __name__ == "__main__":
    unittest.main()
