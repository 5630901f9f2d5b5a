"""Code that is hard on a kernel: whatever it does, there is a reply, and the next cell runs."""

from __future__ import annotations

import unittest

from fake_gateway import FakeGateway


class Hostile(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.gateway = FakeGateway()

    @classmethod
    def tearDownClass(cls) -> None:
        cls.gateway.close()

    def error_of(self, code: str) -> str:
        """The name of the error that the cell ends with."""
        reply = self.gateway.execute(code)
        self.assertEqual(reply.content["status"], "error", code)
        self.assertEqual(len(reply.published("error")), 1, code)
        self.assert_alive()
        return reply.content["ename"]

    def assert_alive(self) -> None:
        reply = self.gateway.execute("'alive'")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "'alive'")

    def test_system_exit_is_an_error(self) -> None:
        self.assertEqual(self.error_of("raise SystemExit(3)"), "SystemExit")
        self.assertEqual(self.error_of("import sys; sys.exit('bye')"), "SystemExit")
        self.assertEqual(self.error_of("import asyncio\nawait asyncio.sleep(0)\nraise SystemExit"), "SystemExit")

    def test_an_exception_without_a_text_is_an_error(self) -> None:
        code = (
            "class E(Exception):\n    def __str__(self): raise RuntimeError('no text')\n    __repr__ = __str__\nraise E"
        )
        self.assertEqual(self.error_of(code), "E")

    def test_an_exception_whose_text_is_no_text_is_an_error(self) -> None:
        self.assertEqual(self.error_of("class E(Exception):\n    def __str__(self): return 5\nraise E"), "E")

    def test_a_base_exception_of_the_users_is_an_error(self) -> None:
        self.assertEqual(self.error_of("class E(BaseException): pass\nraise E"), "E")
        self.assertEqual(self.error_of("raise GeneratorExit"), "GeneratorExit")
        self.assertEqual(self.error_of("raise KeyboardInterrupt"), "KeyboardInterrupt")

    def test_an_exception_group_is_an_error(self) -> None:
        if self.gateway.execute("ExceptionGroup").content["status"] == "ok":
            self.assertEqual(self.error_of("raise ExceptionGroup('g', [ValueError(1), KeyError(2)])"), "ExceptionGroup")

    def test_an_object_without_a_repr_is_an_error(self) -> None:
        self.assertEqual(self.error_of("class A:\n    def __repr__(self): return 5\nA()"), "TypeError")
        self.assertEqual(self.error_of("class A:\n    def __repr__(self): raise KeyError('x')\nA()"), "KeyError")

    def test_a_class_that_answers_every_attribute_is_displayed(self) -> None:
        code = (
            "class A:\n    def __getattr__(self, n): return lambda *a, **k: (_ for _ in ()).throw(ValueError(n))\nA()"
        )
        self.gateway.execute(code)
        self.assert_alive()

    def test_a_custom_display_that_raises_does_not_end_the_cell(self) -> None:
        code = (
            "class A:\n"
            "    def _repr_html_(self): raise ValueError('html')\n"
            "    def __repr__(self): return 'A!'\n"
            "from IPython.display import display\n"
            "display(A())\n"
            "x9 = 1"
        )
        self.gateway.execute(code)
        self.assertEqual(self.gateway.execute("x9").published("execute_result")[0]["data"]["text/plain"], "1")

    def test_a_recursion_error_is_an_error(self) -> None:
        self.assertEqual(self.error_of("def f(): return f()\nf()"), "RecursionError")
        self.assertEqual(self.error_of("class R:\n    def __repr__(self): return repr(self)\nR()"), "RecursionError")

    def test_a_low_recursion_limit_is_survived(self) -> None:
        self.gateway.execute("import sys\nold = sys.getrecursionlimit()\nsys.setrecursionlimit(120)\ndef f(): f()\nf()")
        self.gateway.execute("sys.setrecursionlimit(old)")
        self.assert_alive()

    def test_closed_descriptors_are_survived(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        reply = gateway.execute("import os\nos.close(1); os.close(2)\nprint('still here')\n1/0")
        self.assertEqual((reply.text(), reply.content["ename"]), ("still here\n", "ZeroDivisionError"))
        self.assertEqual(gateway.execute("print('and here')").text(), "and here\n")

    def test_a_closed_stdout_is_survived(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        self.assertEqual(gateway.execute("import sys\nsys.stdout.close()\nprint('x')").content["ename"], "ValueError")
        self.assertEqual(gateway.execute("1 + 1").published("execute_result")[0]["data"]["text/plain"], "2")

    def test_a_replaced_stdout_is_survived(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        for stand_in in ("io.StringIO()", "None", "5", "type('Broken', (), {'write': 1})()"):
            reply = gateway.execute(f"import io, sys\nold = sys.stdout\nsys.stdout = {stand_in}\n1 + 1")
            self.assertIn(reply.content["status"], ("ok", "error"), stand_in)
            gateway.execute("sys.stdout = old")
        self.assertEqual(gateway.execute("print('back')").text(), "back\n")

    def test_warnings_as_errors_are_survived(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute("import warnings\nwarnings.simplefilter('error')")
        self.assertEqual(gateway.request("complete_request", {"code": "pri", "cursor_pos": 3}).content["status"], "ok")
        self.assertEqual(gateway.execute("print(1)").text(), "1\n")

    def test_listeners_that_raise_are_survived(self) -> None:
        code = (
            "def bad(*a): raise ValueError('listener')\n"
            "for e in ('pre_execute', 'pre_run_cell', 'post_execute', 'post_run_cell'):\n"
            "    get_ipython().events.register(e, bad)"
        )
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute(code)
        self.assertEqual(gateway.execute("1 + 1").published("execute_result")[0]["data"]["text/plain"], "2")

    def test_transformers_that_raise_are_errors_of_the_cell(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute(
            "def bad(lines): raise SyntaxError('transformer')\nget_ipython().input_transformers_post.append(bad)"
        )
        self.assertEqual(gateway.execute("1 + 1").content["ename"], "SyntaxError")

    def test_a_handler_of_exceptions_of_the_users_is_used(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute(
            "get_ipython().set_custom_exc((ValueError,), lambda s, t, v, tb, tb_offset=None: print('handled', v))"
        )
        reply = gateway.execute("raise ValueError('v')")
        self.assertEqual(
            (reply.text(), reply.content["status"], reply.content["ename"]), ("handled v\n", "error", "ValueError")
        )

    def test_an_alarm_that_raises_is_an_error_of_the_cell(self) -> None:
        code = (
            "import signal\n"
            "def ring(*a): raise TimeoutError('alarm')\n"
            "signal.signal(signal.SIGALRM, ring)\n"
            "signal.setitimer(signal.ITIMER_REAL, 0.05)\n"
            "while True: print('x' * 10000)"
        )
        reply = self.gateway.execute(code)
        self.assertEqual(reply.content["ename"], "TimeoutError")
        self.assertEqual(set(reply.text().replace("\n", "")), {"x"})
        self.assert_alive()

    def test_numbers_beyond_json_are_displayed(self) -> None:
        reply = self.gateway.execute("10 ** 400")
        self.assertEqual(len(reply.published("execute_result")[0]["data"]["text/plain"]), 401)

    def test_lone_surrogates_arrive_as_replacement_characters(self) -> None:
        reply = self.gateway.execute("'\\udce9'\n")
        self.assertEqual(reply.published("execute_result")[0]["data"]["text/plain"], "'\\udce9'")
        self.assertEqual(self.gateway.execute("print('\\udce9')").text(), "\ufffd\n")

    def test_a_namespace_without_builtins_is_survived(self) -> None:
        self.gateway.execute("print = None; list = 3; len = 'x'; type = 0; str = 1; dict = 2; isinstance = 0")
        self.assert_alive()
        self.gateway.execute("del print, list, len, type, str, dict, isinstance")

    def test_a_deleted_folder_is_survived(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute("import os, tempfile\nd = tempfile.mkdtemp()\nos.chdir(d)\nos.rmdir(d)")
        self.assertEqual(gateway.execute("1 + 1").content["status"], "ok")
        self.assertEqual(gateway.execute("1 / 0").content["ename"], "ZeroDivisionError")

    def test_a_reset_keeps_the_kernel(self) -> None:
        gateway = FakeGateway()
        self.addCleanup(gateway.close)
        gateway.execute("x = 1\n%reset -f")
        self.assertEqual(gateway.execute("x").content["ename"], "NameError")
        self.assertEqual(gateway.execute("_exit_code").content["status"], "ok")


if __name__ == "__main__":
    unittest.main()
