"""input() and getpass(): who is asked, who may answer, and what happens when nobody does."""

from __future__ import annotations

from support.case import KernelCase, main


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


if __name__ == "__main__":
    main()
