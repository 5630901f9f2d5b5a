"""A worker's cells: results, errors, the reply, history, async cells, completion, comms, its end."""

from __future__ import annotations

import json
import os
import unittest
from itertools import groupby

from fake_gateway import FakeGateway


class WorkerCase(unittest.TestCase):
    """Tests that share one worker."""

    gateway: FakeGateway

    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def execute(self, code: str, **options):
        return self.gateway.execute(code, **options)

    def value(self, expression: str) -> str:
        """The repr of an expression in the worker."""
        reply = self.execute(expression)
        self.assertEqual(reply.content["status"], "ok", reply.content)
        return reply.published("execute_result")[0]["data"]["text/plain"]


class Cells(WorkerCase):
    def test_an_expression_is_published_and_kept(self) -> None:
        reply = self.execute("40 + 2")
        (result,) = reply.published("execute_result")
        self.assertEqual(result["data"], {"text/plain": "42"})
        self.assertEqual(result["execution_count"], reply.content["execution_count"])
        self.assertEqual(self.value("_ + 1"), "43")

    def test_the_reply_says_how_the_cell_ran(self) -> None:
        reply = self.execute("1")
        self.assertEqual(reply.envelope["status"], "ok")
        self.assertEqual(reply.content["user_expressions"], {})
        self.assertEqual(reply.content["payload"], [])
        metadata = reply.metadata
        self.assertTrue(metadata["started"].endswith("Z"))
        self.assertEqual((metadata["status"], metadata["dependencies_met"]), ("ok", True))
        facts = metadata["savepoint"]
        self.assertEqual((facts["mode"], facts["warnings"]), ("simple_sync", []))
        self.assertGreater(facts["execution_time"], 0)

    def test_an_error_is_published_and_in_the_reply(self) -> None:
        reply = self.execute("1 / 0")
        (error,) = reply.published("error")
        self.assertEqual(error["ename"], "ZeroDivisionError")
        self.assertEqual(reply.content["traceback"], error["traceback"])
        self.assertEqual(reply.content["engine_info"]["method"], "execute")
        self.assertEqual((reply.envelope["ename"], reply.envelope["evalue"]), ("ZeroDivisionError", "division by zero"))
        self.assertEqual(self.value("type(_exception).__name__"), "'ZeroDivisionError'")

    def test_code_that_does_not_parse_is_an_error_of_unknown_mode(self) -> None:
        reply = self.execute("x = = 1")
        self.assertEqual(reply.content["ename"], "SyntaxError")
        reply = self.execute("await = 1")
        self.assertEqual(reply.metadata["savepoint"]["mode"], "unknown")

    def test_user_expressions_are_evaluated_after_a_good_cell_only(self) -> None:
        expressions = {"good": "u + 1", "bad": "nonsense"}
        reply = self.execute("u = 1", user_expressions=expressions)
        self.assertEqual(reply.content["user_expressions"]["good"]["data"], {"text/plain": "2"})
        self.assertEqual(reply.content["user_expressions"]["bad"]["ename"], "NameError")
        self.assertEqual(self.execute("1/0", user_expressions=expressions).content["user_expressions"], {})

    def test_payloads_are_returned_once(self) -> None:
        reply = self.execute("get_ipython().set_next_input('next')")
        self.assertEqual(reply.content["payload"], [{"source": "set_next_input", "text": "next", "replace": False}])
        self.assertEqual(self.execute("1").content["payload"], [])
        self.assertEqual(self.execute("print?").content["payload"][0]["source"], "page")

    def test_a_formatter_that_fails_makes_the_cell_fail(self) -> None:
        reply = self.execute("class Bad:\n    def __repr__(self): raise ValueError('no')\nBad()")
        self.assertEqual(reply.content["status"], "error")
        self.assertIn("ValueError", "".join(reply.content["traceback"]))

    def test_silent_cells_leave_no_number_and_no_result(self) -> None:
        before = self.gateway.execution_count
        reply = self.execute("99", silent=True)
        self.assertEqual(reply.published("execute_result"), [])
        self.assertEqual(reply.content["execution_count"], before - 1)
        self.assertEqual(self.value("len(In)"), str(before + 1))

    def test_the_inputs_have_the_numbers_of_their_cells(self) -> None:
        self.gateway.execution_count += 7
        number = self.gateway.execution_count
        self.execute("'numbered'")
        self.assertEqual(
            self.value(f"In[{number}], Out[{number}], _i{number}"), "(\"'numbered'\", 'numbered', \"'numbered'\")"
        )
        self.execute("exit_not = 1")
        self.assertIn("exit_not = 1", self.execute("%history").text())

    def test_the_engine_names_are_there_and_hidden(self) -> None:
        names = "_ __ ___ _i _ii _iii In Out _oh _ih _exit_code".split()
        self.assertEqual(self.value(f"[n for n in {names!r} if n not in globals()]"), "[]")
        self.assertNotIn("_exception", self.execute("%who_ls").published("execute_result")[0]["data"]["text/plain"])
        self.execute("!exit 3")
        self.assertEqual(self.value("_exit_code"), "3")

    def test_a_display_with_a_buffer_of_images_and_an_update(self) -> None:
        code = (
            "from IPython.display import display, Image\nh = display({'text/plain': 'a'}, raw=True, display_id='d')\n"
        )
        reply = self.execute(
            code + ("h.update({'text/plain': 'b'}, raw=True)\ndisplay(Image(data=b'\\x89PNG\\r\\n', format='png'))")
        )
        first, image = reply.published("display_data")
        self.assertEqual(first["transient"], {"display_id": "d"})
        self.assertEqual(reply.published("update_display_data")[0]["data"], {"text/plain": "b"})
        self.assertIsInstance(image["data"]["image/png"], str)

    def test_output_and_displays_come_in_order(self) -> None:
        code = "import sys\nfor i in range(3):\n    print(i); print(-i, file=sys.stderr); display(i, display_id=False)"
        reply = self.execute("from IPython.display import display\n" + code)
        kinds = [e.envelope.get("name") or e.envelope["type"] for e in reply.events]
        # A line may come in two chunks, if the machine is held up in the middle of it.
        self.assertEqual([kind for kind, _ in groupby(kinds)], ["stdout", "stderr", "display_data"] * 3)

    def test_output_and_comm_messages_come_in_order(self) -> None:
        code = (
            "import comm\nc = comm.create_comm(target_name='t')\nfor i in range(3):\n    print(i)\n    c.send({'i': i})"
        )
        kinds = [e.envelope.get("name") or e.envelope["type"] for e in self.execute(code).events]
        self.assertEqual([kind for kind, _ in groupby(kinds)], ["comm_open", *["stdout", "comm_msg"] * 3])

    def test_the_kernel_looks_like_ipykernel_to_third_parties(self) -> None:
        self.assertEqual(self.value("type(get_ipython()).__module__"), "'ipykernel.zmqshell'")
        self.assertEqual(self.value("'IPKernelApp' in get_ipython().config"), "True")
        code = "import ipykernel.kernelapp as a, ipykernel.ipkernel as k\nip = get_ipython()\n"
        code += "(a.IPKernelApp.initialized(), isinstance(ip.kernel, k.IPythonKernel), ip.parent is ip.kernel)"
        self.assertEqual(self.value(code), "(True, True, True)")
        self.assertEqual(self.value("get_ipython().kernel.get_parent()['header']['session']"), "'client'")
        self.assertEqual(self.value("get_ipython().kernel._parent_ident['shell']"), "[b'client']")
        self.assertEqual(self.value("'debugpy' in __import__('sys').modules"), "False")

    def test_there_is_one_thread_at_rest(self) -> None:
        self.execute("print('no newline', end='')")
        self.assertEqual(self.value("__import__('threading').active_count()"), "1")

    def test_a_message_that_a_third_party_sends_is_published(self) -> None:
        code = (
            "k = get_ipython().kernel\n"
            "sent = k.session.send(k.iopub_socket, 'data_pub', {'a': 1}, parent=k.get_parent(), buffers=[b'xyz'])"
        )
        reply = self.execute(code)
        (event,) = [e for e in reply.events if e.envelope.get("type") == "data_pub"]
        self.assertEqual([bytes(p) for p in event.parts], [b'{"a":1}', b"{}", b"xyz"])
        self.assertEqual(event.envelope["parent"], f"m{reply.envelope['seq']}")

    def test_what_is_no_json_is_published_nevertheless(self) -> None:
        reply = self.execute("display({'application/json': {'x': float('nan')}}, raw=True)")
        self.assertEqual(reply.content["status"], "ok")
        self.assertEqual(len(reply.published("display_data")), 1)


class Async(WorkerCase):
    def test_all_cells_see_one_running_loop(self) -> None:
        self.execute("import asyncio\nl1 = asyncio.get_running_loop()")
        reply = self.execute("await asyncio.sleep(0)\nl2 = asyncio.get_running_loop()")
        self.assertEqual(reply.metadata["savepoint"]["mode"], "top_level_await")
        self.assertEqual(self.value("l1 is l2 and l1 is asyncio.get_running_loop()"), "True")
        code = (
            "from tornado.ioloop import IOLoop\n"
            "IOLoop.current().asyncio_loop is l1, get_ipython().kernel.io_loop is IOLoop.current()"
        )
        self.assertEqual(self.value(code), "(True, True)")

    def test_background_tasks_go_on_between_cells_and_write_for_their_cell(self) -> None:
        code = "import asyncio\nasync def tick():\n    await asyncio.sleep(0.05)\n    print('tick')\n    return 7\n"
        first = self.execute(code + "task = asyncio.create_task(tick())")
        event = self.gateway.wait_for("stream")
        self.assertEqual(event.envelope["parent"], f"m{first.envelope['seq']}")
        self.assertEqual(self.value("task.result()"), "7")

    def test_context_variables_are_those_of_one_context(self) -> None:
        self.execute("import asyncio, contextvars\nv = contextvars.ContextVar('v')\nv.set(1)")
        self.execute("await asyncio.sleep(0)\nv.set(v.get() + 1)")
        self.assertEqual(self.value("v.get()"), "2")

    def test_an_error_after_an_await_is_an_error_of_the_cell(self) -> None:
        reply = self.execute("import asyncio\nawait asyncio.sleep(0)\n1/0")
        self.assertEqual(reply.content["ename"], "ZeroDivisionError")
        self.assertEqual(len(reply.published("error")), 1)

    def test_listeners_hear_of_async_cells(self) -> None:
        code = (
            "heard = []\nip = get_ipython()\nip.events.register('post_run_cell', lambda r: heard.append(r.success))\n"
        )
        self.execute(code + "ip.events.register('post_execute', lambda: heard.append('post'))")
        self.execute("await asyncio.sleep(0)")
        self.assertEqual(self.value("heard[-2:]"), "['post', True]")

    def test_tasks_that_are_cancelled_wholesale_do_not_take_the_kernel_along(self) -> None:
        code = (
            "async def sweep():\n"
            "    for t in asyncio.all_tasks():\n"
            "        if t is not asyncio.current_task(): t.cancel()\n"
        )
        self.execute("import asyncio\n" + code)
        later = "asyncio.get_running_loop().call_later(0.01, lambda: asyncio.create_task(sweep()))"
        self.assertEqual(self.execute(f"{later}\nawait asyncio.sleep(30)").content["ename"], "CancelledError")
        self.assertEqual(self.value("1"), "1")

    def test_an_exception_that_ends_loops_ends_only_its_task(self) -> None:
        self.execute("import asyncio\nasync def leave(): raise SystemExit\nt = asyncio.create_task(leave())")
        self.assertEqual(self.value("t.done()"), "True")

    def test_a_loop_that_is_stopped_goes_on(self) -> None:
        self.execute("asyncio.get_running_loop().stop()")
        self.assertEqual(self.value("1"), "1")


class OtherRequests(WorkerCase):
    def test_completion(self) -> None:
        self.execute("some_long_name = 1")
        reply = self.gateway.request("complete_request", {"code": "x = '🎉'; some_lo", "cursor_pos": None})
        self.assertEqual(reply.content["matches"], ["some_long_name"])
        self.assertEqual((reply.content["cursor_start"], reply.content["cursor_end"]), (9, 16))

    def test_inspection(self) -> None:
        reply = self.gateway.request("inspect_request", {"code": "print", "cursor_pos": 3, "detail_level": 1})
        self.assertTrue(reply.content["found"])
        self.assertIn("text/plain", reply.content["data"])
        reply = self.gateway.request("inspect_request", {"code": "no_such_thing", "cursor_pos": 3})
        self.assertEqual((reply.content["status"], reply.content["found"]), ("ok", False))

    def test_whether_code_is_complete(self) -> None:
        for code, status in (("a = 1", "complete"), ("for i in x:", "incomplete"), ("x = = 1", "invalid")):
            self.assertEqual(self.gateway.request("is_complete_request", {"code": code}).content["status"], status)

    def test_a_request_of_unknown_type_is_answered_with_nothing(self) -> None:
        reply = self.gateway.request("frobnicate_request", {"a": 1})
        self.assertIsNone(reply.envelope["status"])
        self.assertEqual(reply.content, {})

    def test_a_handler_that_somebody_added_is_called(self) -> None:
        code = "k = get_ipython().kernel\nasync def handle(stream, ident, msg):\n"
        code += "    k.session.send(stream, 'own_reply', {'status': 'ok', 'got': msg['content']['a']}, msg, ident)\n"
        self.execute(code + "k.shell_handlers['own_request'] = handle")
        self.assertEqual(self.gateway.request("own_request", {"a": 5}).content, {"status": "ok", "got": 5})

    def test_a_request_without_what_it_needs_is_an_error(self) -> None:
        self.assertEqual(self.gateway.request("complete_request", {}).content["status"], "error")
        self.assertEqual(self.gateway.request("execute_request", {}).content["status"], "error")
        self.assertEqual(self.gateway.request("execute_request", [1]).content["status"], "error")

    def test_comms_with_buffers(self) -> None:
        code = "import comm\ndef opened(c, msg):\n    global C; C = c\n"
        code += (
            "    c.on_msg(lambda m: c.send({'echo': m['content']['data']}, buffers=[bytes(m['buffers'][0])[::-1]]))\n"
        )
        self.execute(code + "comm.get_comm_manager().register_target('t', opened)")
        reply = self.gateway.request("comm_open", {"comm_id": "c1", "target_name": "t", "data": {}})
        self.assertIsNone(reply.envelope["status"])
        reply = self.gateway.request("comm_msg", {"comm_id": "c1", "data": {"n": 1}}, b"abc")
        (event,) = [e for e in reply.events if e.envelope.get("type") == "comm_msg"]
        self.assertEqual(event.envelope["comm_id"], "c1")
        self.assertEqual(json.loads(bytes(event.parts[0]))["data"], {"echo": {"n": 1}})
        self.assertEqual(bytes(event.parts[2]), b"cba")
        self.gateway.request("comm_close", {"comm_id": "c1", "data": {}})
        self.assertEqual(self.value("'c1' in comm.get_comm_manager().comms"), "False")

    def test_a_comm_of_an_unknown_target_is_closed(self) -> None:
        reply = self.gateway.request("comm_open", {"comm_id": "c2", "target_name": "nobody", "data": {}})
        self.assertEqual(
            [e.envelope["comm_id"] for e in reply.events if e.envelope.get("type") == "comm_close"], ["c2"]
        )

    def test_opening_a_comm_names_its_target(self) -> None:
        reply = self.execute("import comm\nc = comm.create_comm(target_name='widget', data={'a': 1})")
        (event,) = [e for e in reply.events if e.envelope.get("type") == "comm_open"]
        self.assertEqual(event.envelope["target_name"], "widget")


class LifeAndEnd(unittest.TestCase):
    def test_options_and_environment_reach_the_kernel(self) -> None:
        arguments = ["--InteractiveShellApp.exec_lines=prepared = 5", "--HistoryManager.hist_file=:memory:"]
        with FakeGateway(arguments, {"JPY_SESSION_NAME": "nb.ipynb", "GREETING": "hi", "HOME": None}) as gateway:
            code = "import os; prepared, __session__, os.environ['GREETING'], 'HOME' in os.environ, os.getcwd() == %r"
            reply = gateway.execute(code % os.path.realpath(gateway.folder.name))
            text = reply.published("execute_result")[0]["data"]["text/plain"]
            self.assertEqual(text, "(5, 'nb.ipynb', 'hi', False, True)")

    def test_stop_runs_the_exit_handlers(self) -> None:
        with FakeGateway() as gateway:
            gateway.execute("import atexit; atexit.register(print, 'goodbye')")
            gateway.link.send({"kind": "stop"})
            frame = gateway.wait_for("stream")
            self.assertEqual(bytes(frame.parts[0]), b"goodbye\\n")
            self.assertEqual(gateway.ended(), 0)

    def test_stop_does_not_wait_for_ever(self) -> None:
        with FakeGateway() as gateway:
            gateway.execute("import atexit, time; atexit.register(time.sleep, 60)")
            gateway.link.send({"kind": "stop"})
            self.assertEqual(gateway.ended(5), 0)

    def test_the_end_of_the_link_is_the_end(self) -> None:
        with FakeGateway() as gateway:
            gateway.link.close()
            self.assertNotEqual(gateway.ended(5), 0)

    def test_os_exit_ends_the_worker(self) -> None:
        with FakeGateway() as gateway:
            gateway.send_execute("import os; print('last', flush=True); os._exit(7)")
            gateway.wait_for("stream")
            self.assertEqual(gateway.ended(5), 7)

    def test_exit_replies_and_ends_soon(self) -> None:
        with FakeGateway() as gateway:
            reply = gateway.execute("exit")
            self.assertEqual(reply.content["payload"], [{"source": "ask_exit", "keepkernel": False}])
            self.assertEqual(gateway.ended(5), 0)


if __name__ == "__main__":
    unittest.main()
