"""What a cell's metadata may wish for beside a transaction: a checkpoint after it, a deadline."""

from __future__ import annotations

import time
from typing import Any

from support.case import KernelCase, main
from support.subject import ours


def wish(**wishes: Any) -> dict[str, Any]:
    return {"savepoint": wishes}


@ours
class CellWishes(KernelCase):
    def test_a_checkpoint_is_there_when_the_reply_is(self) -> None:
        cell = self.run_ok("wished = [1, 2]", metadata=wish(checkpoint={"name": "wished-for"}))
        self.assertEqual(cell.ours["checkpoint"]["name"], "wished-for")
        self.run_ok("wished.append(3)")
        self.run_ok("%restore wished-for")
        self.assertEqual(self.run_ok("wished").result, "[1, 2]")

    def test_a_checkpoint_that_cannot_be_named_so_keeps_the_cell_from_running(self) -> None:
        self.assert_refused(self.client.execute("ran = 1", metadata=wish(checkpoint={"name": "a/b"})), "name_invalid")
        self.assertEqual(self.run_ok("'ran' in dir()").result, "False")

    def test_a_cell_is_interrupted_at_its_deadline(self) -> None:
        begun = time.monotonic()
        for code in ("while True: pass", "import time\ntime.sleep(60)", "import asyncio\nawait asyncio.sleep(60)"):
            with self.subTest(code):
                cell = self.run_error(code, "KeyboardInterrupt", metadata=wish(timeout_s=0.2))
                self.assertEqual(cell.ours["warnings"], ["The cell was interrupted at its deadline of 0.2 s."])
        self.assertLess(time.monotonic() - begun, 30)
        self.assertEqual(self.run_ok("6 * 7", metadata=wish(timeout_s=60)).ours["warnings"], [])

    def test_a_cell_that_is_late_is_rolled_back_even_if_it_caught_the_interrupt(self) -> None:
        self.run_ok("late = 1")
        code = "late = 2\ntry:\n    while True: pass\nexcept KeyboardInterrupt: pass"
        # On a busy machine the interrupt may come twice; the cell catches the first: then it is an error.
        cell = self.client.execute(code, metadata=wish(timeout_s=0.5, transaction="rollback_on_failure"))
        self.assertEqual(cell.ours["transaction"]["outcome"], "rolled_back")
        self.assertEqual(self.run_ok("late").result, "1")

    def test_waiting_for_input_counts(self) -> None:
        cell = self.client.start("input('never answered')", metadata=wish(timeout_s=0.2))
        self.assert_error(cell.wait(), "KeyboardInterrupt")


if __name__ == "__main__":
    main()
