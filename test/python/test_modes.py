"""How cells are classified."""

from __future__ import annotations

import subprocess
import sys
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

from savepoint_worker.cells.modes import classify  # noqa: E402

CASES = [
    ("", "simple_sync"),
    ("x = 1\nfor i in range(3): x += i", "simple_sync"),
    ("'await x'", "simple_sync"),
    ("# import requests", "simple_sync"),
    ("await f()", "top_level_await"),
    ("x = [await f() for f in fs]", "top_level_await"),
    ("if a:\n    async with x: pass", "top_level_await"),
    ("async for x in y: pass", "top_level_await"),
    ("[x async for x in y]", "top_level_await"),
    ("def f(x=await g()): pass", "top_level_await"),
    ("(x async for x in y)", "simple_sync"),
    ("async def f():\n    await g()", "async_def"),
    ("def f():\n    async def g(): await h()", "async_def"),
    ("async def f(): pass\nawait f()", "top_level_await"),
    ("import requests", "blocking_sync"),
    ("import urllib.request as r", "blocking_sync"),
    ("def f():\n    from subprocess import run", "blocking_sync"),
    ("import time\ntime.sleep(1)", "blocking_sync"),
    ("from time import sleep as nap\nnap(1)", "blocking_sync"),
    ("time.sleep(1)", "simple_sync"),
    ("open('x')", "blocking_sync"),
    ("input()", "blocking_sync"),
    ("x.open('y')", "simple_sync"),
    ("await = 3", "unknown"),
    ('print("await")', "simple_sync"),
    ("async_result = 1; awaited = 2", "simple_sync"),
    ("x = await f()", "top_level_await"),
    ("for i in y:\n    with z:\n        await i", "top_level_await"),
    ("f(*[g async for g in h])", "top_level_await"),
    ("{k: await v for k, v in items}", "top_level_await"),
    ("lambda: (await x)", "simple_sync"),
    ("@(await d)\ndef f(): pass", "top_level_await"),
    ("class A(await b): pass", "top_level_await"),
    ("class A:\n    x = await b", "top_level_await"),
    ("try:\n    pass\nfinally:\n    await x", "top_level_await"),
    ("match await x:\n    case 1: pass", "top_level_await"),
    ("while await x: pass", "top_level_await"),
    ("return 1; await x", "top_level_await"),
    ("requests = object()\nrequests.get('x')", "simple_sync"),
    ("def open(path): return path\nopen('x')", "simple_sync"),
    ("for input in range(3): input()", "simple_sync"),
    ("def f(open): return open('x')", "simple_sync"),
    ("import x.requests", "simple_sync"),
    ("from .socket import y", "simple_sync"),
    ("with open('x') as f: pass", "blocking_sync"),
]


class Modes(unittest.TestCase):
    def test_EX_8_every_case(self) -> None:
        for code, mode in CASES:
            with self.subTest(code):
                self.assertEqual(classify(code, {}).name, mode)

    def test_modules_that_the_namespace_holds_count_by_their_own_names(self) -> None:
        self.assertEqual(classify("sp.run(['x'])", {"sp": subprocess}).name, "blocking_sync")
        self.assertEqual(classify("t.sleep(1)", {"t": time}).name, "blocking_sync")
        self.assertEqual(classify("nap(1); sleep", {"nap": time.sleep}).name, "blocking_sync")
        self.assertEqual(classify("sp.run()", {"sp": 5}).name, "simple_sync")

    def test_EX_10_what_the_user_put_in_place_of_it_does_not_count(self) -> None:
        self.assertEqual(classify("requests.get(1)", {"requests": object()}).name, "simple_sync")
        self.assertEqual(classify("subprocess = 5; subprocess.x", {"subprocess": subprocess}).name, "simple_sync")
        self.assertEqual(classify("open('x')", {"open": lambda path: path}).name, "simple_sync")
        self.assertEqual(classify("open('x')", {"open": open}).name, "blocking_sync")

    def test_only_a_top_level_await_needs_the_loop(self) -> None:
        self.assertTrue(classify("await x", {}).awaits)
        self.assertFalse(classify("async def f(): await x", {}).awaits)

    def test_an_object_that_lies_about_its_class_is_not_asked(self) -> None:
        class Liar:
            @property
            def __class__(self) -> type:
                raise AssertionError

        self.assertEqual(classify("liar.x; sleep", {"liar": Liar()}).name, "simple_sync")


if __name__ == "__main__":
    unittest.main()
