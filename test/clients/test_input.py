"""input() and getpass(): who is asked, who may answer, and what happens when nobody does."""

from __future__ import annotations

import os
import signal

from support.case import KernelCase, main
from support.client import Cell, Client
from support.subject import IS_ORACLE, ours, scratch


class Input(KernelCase):
    def test_a_cell_gets_what_the_client_answers(self) -> None:
        cell = self.client.start("name = input('Who? ')\nname[::-1]")
        question = cell.wait_for("stdin", "input_request")
        self.assertEqual(question["content"], {"prompt": "Who? ", "password": False})
        cell.answer("Ada")
        self.assertEqual(cell.wait().result, "'adA'")

    def test_getpass_asks_for_a_password(self) -> None:
        cell = self.client.start("import getpass\ngetpass.getpass('Word: ')")
        self.assertEqual(cell.wait_for("stdin", "input_request")["content"], {"prompt": "Word: ", "password": True})
        cell.answer("sesame")
        self.assertEqual(cell.wait().result, "'sesame'")

    def test_one_cell_may_ask_twice(self) -> None:
        cell = self.client.start("input('a'), input('b')")
        cell.answer("1")
        cell.answer("2", request=2)
        self.assertEqual(cell.wait().result, "('1', '2')")

    def test_what_was_printed_before_is_seen_before_the_question(self) -> None:
        cell = self.client.start("print('read this')\ninput()")
        cell.wait_for_output("read this")
        cell.answer("")
        cell.wait()

    def test_any_text_comes_through(self) -> None:
        cell = self.client.start("text = input()")
        cell.answer('𝒳 "quoted" \\ \t é')
        cell.wait()
        self.assertEqual(self.run_ok("text == '𝒳 \"quoted\" \\\\ \\t é'").result, "True")

    def test_the_end_of_transmission_ends_the_file(self) -> None:
        cell = self.client.start("input()")
        cell.answer("\x04")
        self.assert_error(cell.wait(), "EOFError")

    def test_a_client_that_cannot_answer_is_not_asked(self) -> None:
        for code in ("input('?')", "import getpass; getpass.getpass('?')"):
            with self.subTest(code):
                self.run_error(code, "StdinNotImplementedError", allow_stdin=False)
        self.assertEqual([m for m in self.client.messages if m["channel"] == "stdin"], [])

    def test_a_thread_may_ask(self) -> None:
        code = (
            "import threading\n"
            "heard = []\n"
            "asking = threading.Thread(target=lambda: heard.append(input('thread? ')))\n"
            "asking.start()\n"
            "asking.join()\n"
            "heard"
        )
        cell = self.client.start(code)
        cell.answer("yes")
        self.assertEqual(cell.wait().result, "['yes']")

    def test_only_the_client_that_runs_the_cell_is_asked(self) -> None:
        other = self.second_client()
        cell = other.start("input('for the other? ')")
        cell.answer("mine")
        self.assertEqual(cell.wait().result, "'mine'")
        self.client.receive(0)
        self.assertEqual([m for m in self.client.messages if m["channel"] == "stdin"], [])

    def test_a_late_answer_does_not_feed_the_next_question(self) -> None:
        cell = self.client.start("input('first? ')")
        question = cell.wait_for("stdin", "input_request")
        self.client.request("interrupt_request", {}, channel="control")
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        self.client.send("stdin", "input_reply", {"value": "late"}, parent=question)
        # Answered on another channel, so that the late answer has surely arrived before the next question is asked.
        self.client.ask("kernel_info_request", channel="control")
        following = self.client.start("input('second? ')")
        following.answer("in time")
        self.assertEqual(following.wait().result, "'in time'")

    def test_input_works_in_a_cell_that_awaits(self) -> None:
        cell = self.client.start("import asyncio\nawait asyncio.sleep(0)\ninput('after await? ')")
        cell.answer("yes")
        self.assertEqual(cell.wait().result, "'yes'")

    def interrupt(self, cell: Cell, question: int = 1) -> None:
        """Interrupt a cell that waits for an answer."""
        cell.wait_for("stdin", "input_request", count=question)
        self.client.request("interrupt_request", {}, channel="control")

    def answer_raw(self, cell: Cell, content: object) -> None:
        """Answer with any content at all."""
        question = cell.wait_for("stdin", "input_request")
        self.client.send("stdin", "input_reply", content, parent=question)  # type: ignore[arg-type]

    def test_empty_and_strange_answers_are_taken(self) -> None:
        for content, expected in (
            ({"value": ""}, "''"),
            ({}, "''"),
            ({"value": "a\nb\n"}, repr("a\nb\n")),
            ({"value": "a\x04"}, repr("a\x04")),
        ):
            with self.subTest(content):
                cell = self.client.start("input()")
                self.answer_raw(cell, content)
                self.assertEqual(cell.wait().result, expected)

    @ours  # ipykernel hands on whatever it gets, and input() returns None.
    def test_an_answer_that_is_no_text_is_no_text_either(self) -> None:
        for content, expected in (({"value": None}, "''"), ({"value": 5}, "'5'")):
            with self.subTest(content):
                cell = self.client.start("input()")
                self.answer_raw(cell, content)
                self.assertEqual(cell.wait().result, expected)

    @ours
    def test_an_answer_whose_content_is_no_object_is_an_empty_one(self) -> None:
        """ipykernel takes the first three so, too, and waits on after the rest."""
        session, stdin = self.client.kc.session, self.client.channels["stdin"]
        for content in (b'["a"]', b'"a"', b"7", b"null", b"", b"{", b"no JSON", b"[" * 100_000, b"\xff\xfe"):
            for code in ("input()", "import savepoint\nawait savepoint.await_input('?')"):
                with self.subTest(content[:20], code=code):
                    cell = self.client.start(code)
                    question = cell.wait_for("stdin", "input_request")
                    header = session.msg_header("input_reply")
                    frames = [session.pack(part) for part in (header, question["header"], {})] + [content]
                    stdin.send_multipart([b"<IDS|MSG>", session.sign(frames), *frames])
                    self.assertEqual(cell.wait().result, "''")

    def test_an_answer_of_ten_megabytes_comes_whole(self) -> None:
        cell = self.client.start("text = input()\nlen(text), set(text)")
        cell.answer("x" * 10_000_000)
        self.assertEqual(cell.wait(60).result, "(10000000, {'x'})")

    @ours  # A client of Python cannot send half a character; others can.
    def test_half_a_character_in_an_answer_costs_no_text(self) -> None:
        cell = self.client.start("text = input()\nascii(text)")
        question = cell.wait_for("stdin", "input_request")
        session = self.client.kc.session
        message = session.msg("input_reply", {}, parent=question)
        frames = session.serialize(message)
        # frames: delimiter, signature, header, parent, metadata, content
        frames[5] = b'{"value":"a\\ud800b"}'
        frames[1] = session.sign(frames[2:6])
        self.client.channels["stdin"].send_multipart(frames)
        self.assertEqual(cell.wait().result, repr(r"'a\ud800b'"))

    def test_getpass_asks_as_input_does(self) -> None:
        cell = self.client.start("import getpass, sys\ngetpass.getpass(), getpass.getpass(prompt='again: ')")
        cell.answer("one")
        cell.answer("two", request=2)
        self.assertEqual(cell.wait().result, "('one', 'two')")
        prompts = [m["content"] for m in cell.on("stdin", "input_request")]
        self.assertEqual(prompts, [{"prompt": "", "password": True}, {"prompt": "again: ", "password": True}])

    def test_getpass_ends_and_is_interrupted_as_input_is(self) -> None:
        cell = self.client.start("import getpass; getpass.getpass()")
        cell.answer("\x04")
        self.assert_error(cell.wait(), "EOFError")
        cell = self.client.start("import getpass; getpass.getpass()")
        self.interrupt(cell)
        self.assert_error(cell.wait(), "KeyboardInterrupt")

    def test_an_interrupt_while_waiting_can_be_caught_and_asked_after(self) -> None:
        cell = self.client.start("try: input('a')\nexcept KeyboardInterrupt as e: print(e)\ninput('b')")
        self.interrupt(cell)
        cell.answer("second", request=2)
        self.assertEqual(cell.wait().result, "'second'")
        self.assertEqual(cell.stdout, "Interrupted by user\n")

    def test_an_interrupt_while_a_thread_asks_stops_the_cell_that_joins_it(self) -> None:
        cell = self.client.start(
            "import threading\nheard = []\n"
            "asking = threading.Thread(target=lambda: heard.append(input('thread? ')))\n"
            "asking.start()\nasking.join()"
        )
        self.interrupt(cell)
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        # The thread still waits for its answer, though CPython to 3.12 takes a thread for ended whose `join` was interrupted.
        cell.answer("late but welcome")
        self.run_ok("import time\nlate = time.monotonic() + 10\nwhile not heard and time.monotonic() < late: time.sleep(0.01)")
        self.assertEqual(self.client.value("heard"), "['late but welcome']")

    def test_several_threads_may_ask_at_once(self) -> None:
        cell = self.client.start(
            "import threading\nheard = {}\n"
            "def ask(i): heard[i] = input(f'thread {i}? ')\n"
            "threads = [threading.Thread(target=ask, args=(i,)) for i in range(4)]\n"
            "[t.start() for t in threads]\n[t.join() for t in threads]\nsorted(heard.items())"
        )
        if IS_ORACLE:
            # ipykernel gives an answer to whichever thread takes it first.
            for number in range(4):
                cell.answer("same", request=number + 1)
            self.assertEqual(cell.wait().status, "ok")
            return
        cell.wait_for("stdin", "input_request", count=4)
        for question in reversed(cell.on("stdin", "input_request")):
            number = question["content"]["prompt"].split()[1].rstrip("?")
            self.client.send("stdin", "input_reply", {"value": f"answer {number}"}, parent=question)
        self.assertEqual(cell.wait().result, repr([(i, f"answer {i}") for i in range(4)]))

    def test_threads_and_tasks_are_refused_where_the_client_cannot_answer(self) -> None:
        code = (
            "import threading, getpass, asyncio\nraised = []\n"
            "def ask():\n    for question in (input, getpass.getpass):\n"
            "        try: question('?')\n        except BaseException as e: raised.append(type(e).__name__)\n"
            "thread = threading.Thread(target=ask)\nthread.start()\nthread.join()\n"
            "async def later(): ask()\nawait asyncio.ensure_future(later())\nset(raised), len(raised)"
        )
        self.assertEqual(self.client.execute(code, allow_stdin=False).result, "({'StdinNotImplementedError'}, 4)")

    def test_tasks_and_worker_threads_of_an_async_cell_may_ask(self) -> None:
        cell = self.client.start(
            "import asyncio\nasync def ask(): return input('task? ')\n"
            "await asyncio.ensure_future(ask()), await asyncio.to_thread(input, 'thread? ')"
        )
        cell.answer("a")
        cell.answer("b", request=2)
        self.assertEqual(cell.wait().result, "('a', 'b')")

    @ours  # ipykernel has put the real input back by then.
    def test_callbacks_between_cells_may_ask(self) -> None:
        cell = self.run_ok(
            "import asyncio\nheard = []\n"
            "asyncio.get_running_loop().call_later(0.05, lambda: heard.append(input('when? ')))\nNone"
        )
        cell.answer("between")
        self.assertEqual(self.run_ok("heard").result, "['between']")

    def test_user_expressions_and_reprs_may_ask(self) -> None:
        if not IS_ORACLE:  # In ipykernel, input is no longer the client's by then.
            cell = self.client.start("1", user_expressions={"a": "input('expression? ')"})
            cell.answer("yes")
            self.assertEqual(cell.wait().content["user_expressions"]["a"]["data"]["text/plain"], "'yes'")
        cell = self.client.start("class Asks:\n    def __repr__(self): return 'heard ' + input('repr? ')\nAsks()")
        cell.answer("it")
        self.assertEqual(cell.wait().result, "heard it")

    def test_imported_code_and_scripts_ask_too(self) -> None:
        folder = scratch("asking")
        (folder / "asking_module.py").write_text("def ask(): return input('module? ')\n")
        (folder / "asking_script.py").write_text("print(input('script? '))\n")
        cell = self.client.start(
            f"import sys\nsys.path.insert(0, {str(folder)!r})\nimport asking_module\nasking_module.ask()"
        )
        cell.answer("m")
        self.assertEqual(cell.wait().result, "'m'")
        cell = self.client.start(f"%run {folder}/asking_script.py")
        cell.answer("s")
        self.assertEqual(cell.wait().stdout, "s\n")

    def test_input_is_never_the_real_one_and_can_be_shadowed(self) -> None:
        for _ in range(3):
            self.assertEqual(self.run_ok("input.__name__").result, "'raw_input'")
        cell = self.client.start("input = 'shadow'\ndel input\ninput('x')")
        cell.answer("y")
        self.assertEqual(cell.wait().result, "'y'")

    def test_whatever_a_cell_makes_of_input_is_over_with_it(self) -> None:
        for code in ("builtins.input = None", "del builtins.input", "builtins.input = lambda *_: 'mock'; input()"):
            with self.subTest(code):
                self.run_ok(f"import builtins, getpass\ngetpass.getpass = None\n{code}")
                cell = self.client.start("input('x'), getpass.getpass('y')")
                cell.answer("1")
                cell.answer("2", request=2)
                self.assertEqual(cell.wait().result, "('1', '2')")

    def test_children_find_the_end_of_their_input(self) -> None:
        for code in (
            "import subprocess, sys\n"
            "subprocess.run([sys.executable, '-c', 'import sys; print(repr(sys.stdin.read()))']).returncode",
            "import os\nos.system('read line; echo $?')",
            "import sys\n(sys.stdin.read(), sys.stdin.readline(), list(sys.stdin), os.read(0, 9))",
        ):
            with self.subTest(code):
                cell = self.run_ok(code)
                self.assertEqual(cell.on("stdin"), [])

    @ours  # ipykernel's child waits for ever.
    def test_a_forked_process_is_refused(self) -> None:
        code = (
            "import os\npid = os.fork()\nif pid == 0:\n    try: input('x')\n"
            "    except BaseException as e: print(type(e).__name__, flush=True)\n    os._exit(0)\n"
            "os.waitpid(pid, 0)[1]"
        )
        cell = self.run_ok(code)
        self.assertEqual((cell.stdout, cell.result), ("StdinNotImplementedError\n", "0"))

    def test_debuggers_ask_for_their_commands(self) -> None:
        cell = self.client.start("import pdb\ndef broken(a):\n    pdb.set_trace()\n    return 1 / a\nbroken(0)")
        cell.answer("p a + 41")
        cell.answer("c", request=2)
        self.assert_error(cell.wait(), "ZeroDivisionError")
        self.assertIn("41\n", cell.stdout)
        cell = self.client.start("%debug")
        cell.answer("p a")
        cell.answer("q", request=2)
        self.assertEqual(cell.wait().status, "ok")
        self.assertIn("0\n", cell.stdout)
        self.assertEqual({m["content"]["prompt"] for m in cell.on("stdin", "input_request")}, {"ipdb> "})

    def test_a_debugger_that_waits_is_interrupted(self) -> None:
        cell = self.client.start("import pdb; pdb.set_trace()\nz = 4")
        self.interrupt(cell)
        self.assertTrue(cell.wait().is_done)

    def test_a_question_of_a_client_that_is_gone_can_be_interrupted(self) -> None:
        other = Client.connect(self.manager.connection_file)
        cell = other.start("input('anybody? ')")
        cell.wait_for("stdin", "input_request")
        other.close()
        self.client.request("interrupt_request", {}, channel="control")
        self.client.wait_for(
            lambda m: m["content"].get("execution_state") == "idle" and m["parent_header"].get("msg_id") == cell.msg_id
        )
        self.assertEqual(self.run_ok("'lives'").result, "'lives'")

    def test_another_client_may_answer_a_question_that_it_knows(self) -> None:
        other = self.second_client()
        cell = other.start("input('for the other? ')")
        question = cell.wait_for("stdin", "input_request")
        self.client.send("stdin", "input_reply", {"value": "by another"}, parent=question)
        self.assertEqual(cell.wait().result, "'by another'")


@ours
class AwaitInput(KernelCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.client.execute("import asyncio, savepoint")

    def test_other_tasks_go_on_while_it_waits(self) -> None:
        cell = self.client.start(
            "ticks = 0\nasync def tick():\n    global ticks\n    while ticks < 5:\n"
            "        await asyncio.sleep(0.001)\n        ticks += 1\n    print('ticked')\n"
            "ticking = asyncio.ensure_future(tick())\nawait savepoint.await_input('n? ')"
        )
        self.assertEqual(cell.wait_for("stdin", "input_request")["content"], {"prompt": "n? ", "password": False})
        cell.wait_for_output("ticked")
        cell.answer("7")
        self.assertEqual(cell.wait().result, "'7'")

    def test_two_may_ask_at_once_and_are_answered_in_any_order(self) -> None:
        cell = self.client.start(
            "await asyncio.gather(savepoint.await_input('a'), savepoint.await_input('b', password=True))"
        )
        cell.wait_for("stdin", "input_request", count=2)
        self.assertEqual(cell.on("stdin", "input_request")[1]["content"], {"prompt": "b", "password": True})
        cell.answer("second", request=2)
        cell.answer("first")
        self.assertEqual(cell.wait().result, "['first', 'second']")

    def test_an_interrupt_ends_the_wait_and_a_late_answer_feeds_nobody(self) -> None:
        cell = self.client.start("await savepoint.await_input('first? ')")
        question = cell.wait_for("stdin", "input_request")
        self.client.request("interrupt_request", {}, channel="control")
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        self.client.send("stdin", "input_reply", {"value": "late"}, parent=question)
        self.client.ask("kernel_info_request", channel="control")
        following = self.client.start("await savepoint.await_input('second? ')")
        following.answer("in time")
        self.assertEqual(following.wait().result, "'in time'")

    def test_a_time_limit_may_be_set_around_it(self) -> None:
        self.run_error("await asyncio.wait_for(savepoint.await_input('soon? '), 0.05)", "TimeoutError")
        self.assertEqual(self.run_ok("1 + 1").result, "2")

    def test_the_end_of_transmission_ends_the_file(self) -> None:
        cell = self.client.start("await savepoint.await_input()")
        cell.answer("\x04")
        self.assert_error(cell.wait(), "EOFError")

    def test_it_is_refused_where_nobody_can_answer(self) -> None:
        self.run_error("await savepoint.await_input()", "StdinNotImplementedError", allow_stdin=False)
        cell = self.client.execute(
            "import threading\nraised = []\n"
            "def elsewhere():\n    try: asyncio.run(savepoint.await_input())\n"
            "    except savepoint.SavepointError as e: raised.append(e)\n"
            "thread = threading.Thread(target=elsewhere)\nthread.start()\nthread.join()\nraise raised[0]"
        )
        self.assert_refused(cell, "not_available")

    def test_a_background_task_asks_the_client_that_began_it(self) -> None:
        other = self.second_client()
        cell = other.execute(
            "async def ask(): print('heard', await savepoint.await_input('task? '))\nasyncio.ensure_future(ask())\nNone"
        )
        self.run_ok("'another cell, of another client'")
        cell.answer("still here")
        cell.wait_for_output("heard still here")
        self.assertEqual([m for m in self.client.messages if m["channel"] == "stdin"], [])

    def test_a_cell_that_is_rolled_back_while_it_waits_leaves_no_question(self) -> None:
        self.run_ok("kept = 'before'")
        cell = self.client.start(
            "kept = 'inside'\nawait savepoint.await_input('? ')",
            metadata={"savepoint": {"transaction": "rollback_on_failure"}},
        )
        question = cell.wait_for("stdin", "input_request")
        self.client.request("interrupt_request", {}, channel="control")
        self.assert_error(cell.wait(), "KeyboardInterrupt")
        self.client.send("stdin", "input_reply", {"value": "late"}, parent=question)
        self.assertEqual(self.run_ok("kept").result, "'before'")
        following = self.client.start("await savepoint.await_input('again? ')")
        following.answer("yes")
        self.assertEqual(following.wait().result, "'yes'")

    def test_whoever_waits_when_an_earlier_state_comes_back_is_asked_anew(self) -> None:
        cell = self.run_ok(
            "async def ask(): print('heard', await savepoint.await_input('task? '))\n"
            "asking = asyncio.ensure_future(ask())\nawait asyncio.sleep(0)"
        )
        cell.wait_for("stdin", "input_request")
        self.run_ok("%begin")
        self.run_ok("asking.cancel()")
        self.run_ok("%rollback")
        cell.answer("after the rollback", request=2)
        cell.wait_for_output("heard after the rollback")

    def test_a_block_that_is_rolled_back_by_its_question_goes_on_behind_it(self) -> None:
        for ask in ("input('? ')", "await savepoint.await_input('? ')"):
            with self.subTest(ask):
                cell = self.client.start(
                    "kept = 'before'\ntry:\n    with savepoint.transaction():\n"
                    f"        kept = 'inside'\n        {ask}\n"
                    "except savepoint.RolledBack as rolled_back:\n    why = rolled_back.ename\n"
                    f"kept, why, {ask}"
                )
                cell.answer("\x04")
                cell.answer("behind", request=2)
                self.assertEqual(cell.wait().result, "('before', 'EOFError', 'behind')")


@ours
class WorkerThatDies(KernelCase):
    def test_the_death_of_the_worker_ends_its_questions(self) -> None:
        for ask in ("input('? ')", "import savepoint; await savepoint.await_input('? ')"):
            with self.subTest(ask):
                # A copy may have taken the place of the process before the cell.
                cell = self.client.start(
                    f"import os\nprint(os.getpid(), flush=True)\n{ask}",
                    metadata={"savepoint": {"transaction": "rollback_on_failure"}},
                )
                question = cell.wait_for("stdin", "input_request")
                cell.wait_for_output("\n")
                os.kill(int(cell.stdout), signal.SIGKILL)
                self.assert_error(cell.wait(), "WorkerDied")
                self.client.send("stdin", "input_reply", {"value": "late"}, parent=question)
                following = self.client.start("input('again? ')")
                following.answer("yes")
                self.assertEqual(following.wait().result, "'yes'")


if __name__ == "__main__":
    main()
