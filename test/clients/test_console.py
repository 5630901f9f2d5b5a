"""jupyter console in a pseudo-terminal, used as a person uses it."""

from __future__ import annotations

import sys
import unittest

from support import processes
from support.case import main
from support.console import END_OF_FILE, INTERRUPT, Console
from support.subject import CHECKOUT, IS_ORACLE, KERNEL, ours, scratch

sys.path.insert(0, str(CHECKOUT / "test" / "notebooks"))
import make_notebook  # noqa: E402


class ConsoleCase(unittest.TestCase):
    def console(self) -> Console:
        console = Console()
        self.addCleanup(console.close)
        console.wait_for_prompt(timeout=60)
        return console


class Conversation(ConsoleCase):
    def test_prompts_results_and_errors(self) -> None:
        console = self.console()
        self.assertIn("Out[1]: 42", console.run("6 * 7"))
        self.assertIn("ZeroDivisionError", console.run("def broken():\n    1 / 0\nbroken()"))
        self.assertIn("hello from a child", console.run("!echo hello from a child"))
        self.assertIn(
            "['a', 'b']",
            console.run("import asyncio\nawait asyncio.gather(asyncio.sleep(0, 'a'), asyncio.sleep(0, 'b'))"),
        )

    def test_input_is_asked_and_answered(self) -> None:
        console = self.console()
        console.enter("name = input('Who is it? ')")
        console.wait_for(r"\nWho is it\? ")
        console.type("Ada\r")
        console.wait_for_prompt()
        self.assertIn("'Ada'", console.run("name"))

    def test_control_c_interrupts_the_cell(self) -> None:
        console = self.console()
        for code in (
            "print('now ' + 'in', flush=True)\nwhile True: pass",
            "import time\nprint('now ' + 'in', flush=True)\ntime.sleep(60)",
        ):
            console.enter(code)
            console.wait_for("now in")
            console.type(INTERRUPT)
            self.assertIn("KeyboardInterrupt", console.wait_for_prompt())
        self.assertIn("Out[3]: 42", console.run("6 * 7"))

    def test_exit_ends_the_console_and_the_kernel(self) -> None:
        for how in ("exit\r", END_OF_FILE):
            with self.subTest(how):
                console = self.console()
                family = processes.family(console.terminal.pid)
                self.assertGreater(len(family), 1)
                console.type(how)
                if how == END_OF_FILE:
                    console.wait_for(r"Do you really want to exit|\[y\]")
                    console.type("y\r")
                self.assertEqual(console.wait_for_exit(), 0)
                self.assertEqual([str(p) for p in processes.wait_until_gone(family)], [])

    def test_help_is_paged_and_files_are_loaded_into_the_next_cell(self) -> None:
        console = self.console()
        self.assertIn("Return the number of items in a container", console.run("len?"))
        self.assertIn("Source:", console.run("import json\njson.dumps??"))
        file = scratch("loaded") / "loaded.py"
        file.write_text("loaded = 6 * 7\nprint('it is', loaded)", encoding="utf-8")
        console.run(f"%load {file}")
        console.type("\r")
        self.assertIn("it is 42", console.wait_for_prompt())

    def test_earlier_lines_come_back(self) -> None:
        console = self.console()
        console.run("first = 'one' + 'more'")
        console.run("2 + 2")
        console.type("\x1b[A")
        console.wait_for(r"2 \+ 2")
        console.type("\r")
        self.assertIn("Out[3]: 4", console.wait_for_prompt())
        # Searched backwards.
        console.type("\x12first")
        console.wait_for("'one'")
        console.type("\r\r")
        console.wait_for_prompt()
        self.assertIn("'onemore'", console.run("first"))

    @ours
    def test_a_transaction_cell_that_fails_leaves_no_trace(self) -> None:
        console = self.console()
        console.run("state = [1, 2]")
        self.assertIn("ZeroDivisionError", console.run("%%transaction\nstate.append(3)\n1 / 0"))
        self.assertIn("Out[3]: [1, 2]", console.run("state"))
        console.run("%begin")
        console.run("state.clear()")
        self.assertIn("Rolled back", console.run("%rollback"))
        self.assertIn("[1, 2]", console.run("state"))


@ours
class Tomorrow(ConsoleCase):
    """Saved in one console, gone on with in another after everything was killed."""

    def kill(self, console: Console) -> None:
        family = processes.family(console.terminal.pid)
        processes.kill(family)
        self.assertEqual(processes.wait_until_gone(family), [])

    def test_work_goes_on_and_a_branch_is_tried_and_dropped(self) -> None:
        console = self.console()
        console.run("work = {'rows': [1, 2, 3]}")
        console.run("rows = work['rows']")
        console.run("def total():\n    return sum(rows)\n")
        self.assertRegex(console.run("%checkpoint evening --note 'before the weekend'"), r"Checkpoint 'evening' .*: 3 ")
        self.kill(console)
        console = self.console()
        self.assertRegex(console.run("%restore evening"), r"Restored 3 variables in ")
        self.assertIn("(True, 6)", console.run("work['rows'] is rows, total()"))
        console.run("rows.append(4)")
        self.assertIn("+ ", console.run("new = 1\n%diff evening"))
        console.run("%checkpoint morning")
        self.assertIn("On branch 'try': restored 3", console.run("%branch evening try"))
        console.run("rows.clear()")
        console.run("%checkpoint cleared")
        tree = console.run("%checkpoints")
        self.assertRegex(tree, r"● +cleared +try +← you are here")
        self.assertRegex(tree, r"│ ● +morning +main")
        self.assertIn("├─╯", tree)
        self.assertRegex(tree, r"● +evening: before the weekend +main")
        self.assertIn("Restored", console.run("%restore morning"))
        self.assertIn("([1, 2, 3, 4], 10)", console.run("rows, total()"))
        self.assertIn("unknown_checkpoint", console.run("%restore never-saved"))
        self.assertIn("must_be_last", console.run("%branch evening\n1"))
        self.assertIn("([1, 2, 3, 4], 10)", console.run("rows, total()"))


class Notebook(ConsoleCase):
    """The notebook of the first slice, cell by cell."""

    def run_steps(self, console: Console, second_life: bool) -> dict[str, str]:
        shown = {}
        for cell in make_notebook.build(KERNEL).cells:
            tags = cell.metadata.get("tags", [])
            # A console has no cell metadata to send.
            if cell.cell_type != "code" or "by-metadata" in tags or ("second-life" in tags) != second_life:
                continue
            console.enter(cell.source)
            if "answered" in tags:
                console.wait_for(r"\nWhat is your name\? ")
                console.type("Ada\r")
            shown[cell.id] = console.wait_for_prompt(timeout=60)
        return shown

    def test_every_cell_shows_what_it_should(self) -> None:
        console = self.console()
        shown = self.run_steps(console, second_life=False)
        for step, text in {
            "error": "ZeroDivisionError",
            "input": "Hello, Ada!",
            "progress": "The total is 780.",
            "slider": "IntSlider(value=3",
            "slider-value": "The slider stands at 3.",
            "await": "['first', 'second']",
            "state-after": "[20.5, 21.0, 19.5] {'unit': 'degrees'}",
        }.items():
            self.assertIn(text, shown[step])
        if IS_ORACLE:
            return
        self.assertIn("TypeError", shown["failing-transaction"])
        family = processes.family(console.terminal.pid)
        processes.kill(family)
        self.assertEqual(processes.wait_until_gone(family), [])
        successor = self.console()
        shown = self.run_steps(successor, second_life=True)
        self.assertIn("[20.5, 21.0, 19.5] {'unit': 'degrees'}", shown["restored"])
        self.assertIn("The mean is 20.33, the total was 780.", shown["restored"])


if __name__ == "__main__":
    main()
