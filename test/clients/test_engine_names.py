"""What the engine keeps in the user's namespace, and what `__main__` is there."""

from __future__ import annotations

import os

from support.case import KernelCase, fresh_kernel, main
from support.subject import ours

NAMES = ["_", "__", "___", "_i", "_ii", "_iii", "In", "Out", "_oh", "_ih", "_exit_code", "_exception"]


class EngineNames(KernelCase):
    @ours
    def test_MG_2_all_twelve_are_there_from_the_start(self) -> None:
        _, client = fresh_kernel(self)
        self.assertEqual(client.execute(f"[n for n in {NAMES} if n not in globals()]").result, "[]")
        self.assertEqual(client.execute("_exit_code, _exception").result, "(0, None)")

    def test_MG_3_the_last_three_results_have_names(self) -> None:
        for code in ("1", "2", "3"):
            self.run_ok(code)
        self.assertEqual(self.run_ok("(_, __, ___)").result, "(3, 2, 1)")

    def test_MG_4_the_last_three_inputs_have_names(self) -> None:
        for code in ("'one'", "'two'", "'three'"):
            self.run_ok(code)
        self.assertEqual(self.run_ok("print(_i, _ii, _iii)").stdout, "'three' 'two' 'one'\n")

    def test_MG_5_history_has_what_In_and_Out_have(self) -> None:
        count = self.run_ok("'kept ' + 'here'").content["execution_count"]
        self.assertEqual(self.run_ok(f"In[{count}], Out[{count}]").result, "(\"'kept ' + 'here'\", 'kept here')")
        history = self.client.ask(
            "history_request", {"hist_access_type": "tail", "n": 2, "raw": True, "output": False, "session": 0}
        )["history"]
        self.assertEqual([source for _, _, source in history], ["'kept ' + 'here'", f"In[{count}], Out[{count}]"])

    @ours
    def test_MG_6_the_exit_code_of_what_ran_last_is_kept(self) -> None:
        for code, expected in (
            ("!false", "1"),
            ("!true", "0"),
            ("!exit 7", "7"),
            ("%%bash\ntrue", "0"),
            ("%%bash\nexit 6", "6"),
            ("%%bash --no-raise-error\nexit 4", "6"),
            ("%%script sh\nexit 8", "8"),
            ("raise SystemExit(5)", "5"),
            ("import sys; sys.exit()", "0"),
            ("raise SystemExit('words')", "1"),
        ):
            with self.subTest(code):
                self.client.execute(code)
                self.assertEqual(self.client.value("_exit_code"), expected)

    @ours
    def test_MG_7_the_last_exception_is_kept(self) -> None:
        self.client.execute("1 / 0")
        self.assertEqual(self.run_ok("type(_exception).__name__").result, "'ZeroDivisionError'")
        self.client.execute("x = = 1")
        self.assertEqual(self.run_ok("type(_exception).__name__").result, "'SyntaxError'")
        self.client.execute("import sys; sys.exit(3)")
        self.assertEqual(self.run_ok("type(_exception).__name__, _exception.code").result, "('SystemExit', 3)")

    def test_MG_11_the_namespace_is_that_of_the_module_main(self) -> None:
        self.assertEqual(
            self.run_ok(
                "import sys\n__name__, sys.modules['__main__'].__dict__ is globals(), __doc__ is not ..."
            ).result,
            "('__main__', True, True)",
        )
        self.run_ok(
            "import pickle\nclass A:\n    def __init__(self, n): self.n = n\n    def __eq__(s, o): return s.n == o.n"
        )
        self.assertEqual(
            self.run_ok("pickle.loads(pickle.dumps(A(5))) == A(5), A.__module__").result, "(True, '__main__')"
        )
        self.assertEqual(self.run_ok("x: int = 5\n__builtins__ is __import__('builtins')").result, "True")
        self.run_ok("def f(): return reached\nreached = 1")
        self.assertEqual(self.run_ok("reached = 2\nf()").result, "2")

    def test_MG_1_MG_12_a_reset_empties_the_dictionary_and_keeps_it(self) -> None:
        identity = self.run_ok("gone = 1\nid(globals())").result
        self.run_ok("%reset -f")
        self.assertEqual(self.run_ok("id(globals())").result, identity)
        self.assertEqual(self.run_ok("'gone' in globals(), __name__").result, "(False, '__main__')")
        self.assertEqual(self.run_ok("1 + 1").result, "2")
        self.assertEqual(self.run_ok("_").result, "2")

    @ours
    def test_MG_2_a_reset_brings_the_engines_names_back(self) -> None:
        self.run_ok("%reset -f")
        # IPython brings `_` back with the next result.
        self.run_ok("1 + 1")
        self.assertEqual(self.run_ok(f"[n for n in {NAMES} if n not in globals()]").result, "[]")


class Persistence(KernelCase):
    def test_NS_2_fifty_cells_and_two_clients_are_served_by_one_process(self) -> None:
        other = self.second_client()
        pids = {client.value("__import__('os').getpid()") for _ in range(25) for client in (self.client, other)}
        self.assertEqual(len(pids), 1)

    def test_NS_5_NS_6_classes_functions_and_imports_last(self) -> None:
        self.run_ok("import math\nclass A: pass\ndef f(x): return x + 1")
        self.assertEqual(self.run_ok("type(A()).__name__, f(1), math.pi > 3").result, "('A', 2, True)")

    def test_NS_8_what_one_kernel_does_to_its_environment_is_not_seen_in_another(self) -> None:
        _, other = fresh_kernel(self)
        self.run_ok("import os\nos.environ['ONLY_IN_ONE'] = '1'\nos.chdir('/')")
        self.assertEqual(
            other.execute("import os\n'ONLY_IN_ONE' in os.environ, os.getcwd() == '/'").result, "(False, False)"
        )
        other.start("import os\nos._exit(1)")
        self.assertEqual(self.run_ok("os.environ['ONLY_IN_ONE']").result, "'1'")

    def test_EX_12_loop_tasks_and_locks_last_from_cell_to_cell(self) -> None:
        self.run_ok(
            "import asyncio\nfirst = id(asyncio.get_running_loop())\nlock = asyncio.Lock()\nawait lock.acquire()"
        )
        self.run_ok("async def later():\n    async with lock: return 'got it'\ntask = asyncio.create_task(later())")
        for _ in range(48):
            self.run_ok("pass")
        self.assertEqual(self.run_ok("lock.release()\nawait task").result, "'got it'")
        self.assertEqual(self.run_ok("id(asyncio.get_running_loop()) == first").result, "True")


if __name__ == "__main__":
    assert os.getcwd() != "/"
    main()
