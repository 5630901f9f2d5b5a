"""The tree of a kernel's checkpoints, and the operations on them: branches, differences, copies, giving one up."""

from __future__ import annotations

from support.case import KernelCase, main
from support.client import start_kernel, stop_kernel
from support.comms import Refused, Target, checkpoints, transactions
from support.subject import ours

#: Its objects cannot be saved.
NEVER = "class Never:\n    def __reduce_ex__(self, protocol): raise TypeError('never')"


class TimelineCase(KernelCase):
    target: Target

    @classmethod
    def setUpClass(cls) -> None:
        cls.manager, cls.client = start_kernel(extra_arguments=["--guard"])
        cls.addClassCleanup(stop_kernel, cls.manager, cls.client)

    def setUp(self) -> None:
        super().setUp()
        self.target = checkpoints(self.client)
        self.addCleanup(self.target.close)
        self.run_ok("%reset -f")

    def saved(self, code: str = "", **fields: object) -> dict[str, object]:
        if code:
            self.run_ok(code)
        return self.target.ask("create", **fields)

    def refused(self, code: str, op: str, **fields: object) -> Refused:
        with self.assertRaises(Refused) as raised:
            self.target.ask(op, **fields)
        self.assertEqual(raised.exception.code, code, raised.exception.message)
        return raised.exception


@ours
class Timeline(TimelineCase):
    def test_a_restore_moves_the_head_and_what_follows_is_its_child(self) -> None:
        first, second = self.saved("value = 1"), self.saved("value = 2")
        self.assertEqual(second["parent_id"], first["checkpoint_id"])
        self.target.ask("restore", checkpoint=first["checkpoint_id"])
        self.assertEqual(self.target.ask("list")["head"], first["checkpoint_id"])
        self.assertEqual(self.saved("value = 3")["parent_id"], first["checkpoint_id"])

    def test_what_was_restored_is_as_it_was_saved(self) -> None:
        for code in (
            "def double(value):\n    'Twice.'\n    return value * 2 + 1000",
            "class Model:\n    'A model.'\n    kind = 'linear'\n    def __init__(self): self.weights = [1.5]\nmodel = Model()",
            "import abc, enum\nclass Shape(abc.ABC):\n    @abc.abstractmethod\n    def area(self): ...\nclass Hue(enum.Enum):\n    RED = 1\n    BLUE = 2",
            "rows = [{'key': str(each), 'value': each} for each in range(100)]",
            "import numpy as np; grid = np.arange(12.0).reshape(3, 4); column = grid[:, 1]",
        ):
            with self.subTest(code):
                saved = self.saved(code)
                self.target.ask("restore", checkpoint=saved["checkpoint_id"])
                changes = self.target.ask("diff", **{"from": saved["checkpoint_id"], "to": None})
                self.assertEqual(changes["changed"], [])
            self.run_ok("%reset -f")

    def test_some_names_alone_move_nothing(self) -> None:
        first, second = self.saved("value = 1; other = 1"), self.saved("value = 2")
        self.target.ask("restore", checkpoint=first["checkpoint_id"], mode="merge", names=["value"])
        self.assertEqual(self.target.ask("list")["head"], second["checkpoint_id"])

    def test_to_and_fro_between_two_branches(self) -> None:
        root = self.saved("value = ['root']")
        went = self.target.ask("branch", checkpoint=root["checkpoint_id"], name="try")
        self.assertEqual((went["checkpoint_id"], went["branch"]), (root["checkpoint_id"], "try"))
        tried = self.saved("value.append('tried')")
        self.assertEqual((tried["branch"], tried["parent_id"]), ("try", root["checkpoint_id"]))
        self.target.ask("restore", checkpoint=root["checkpoint_id"])
        straight = self.saved("value.append('straight')")
        self.assertEqual((straight["branch"], straight["parent_id"]), ("main", root["checkpoint_id"]))
        for record, last in ((tried, "tried"), (straight, "straight"), (tried, "tried")):
            self.target.ask("restore", checkpoint=record["checkpoint_id"])
            self.assertEqual(self.run_ok("value").result, f"['root', '{last}']")
            self.assertEqual(self.saved()["branch"], record["branch"])
        listed = self.target.ask("list", branch="try")["items"]
        self.assertTrue(listed and all(each["branch"] == "try" for each in listed))

    def test_what_is_rolled_back_or_undone_goes_back_on_the_timeline(self) -> None:
        root = self.saved("value = 1")
        target = transactions(self.client)
        target.ask("begin")
        inside = self.saved("value = 2")
        self.assertEqual(inside["parent_id"], root["checkpoint_id"])
        target.ask("rollback")
        self.assertEqual(self.target.ask("list")["head"], root["checkpoint_id"])
        self.assertEqual(self.saved()["parent_id"], root["checkpoint_id"])
        before = self.saved("value = 3")
        self.run_ok("import savepoint\nmade = savepoint.checkpoint()")
        target.ask("undo")
        self.assertEqual(self.target.ask("list")["head"], before["checkpoint_id"])
        target.close()

    def test_unknown_ones_and_bad_fields(self) -> None:
        for op in ("get", "validate", "delete", "restore", "export", "cancel"):
            self.refused("unknown_checkpoint", op, checkpoint="nope")
            self.refused("bad_request", op)
        self.refused("unknown_checkpoint", "branch", checkpoint="nope", name="x")
        self.refused("name_invalid", "branch", checkpoint="nope", name="a/b")
        self.refused("name_invalid", "branch", checkpoint="nope")
        self.refused("unknown_checkpoint", "diff", **{"from": "nope"})
        self.refused("bad_request", "import")


@ours
class Operations(TimelineCase):
    def test_one_is_described_checked_and_deleted(self) -> None:
        saved = self.saved(f"{NEVER}\nnumber, line = 1, Never()")["checkpoint_id"]
        objects = {each["name"]: each for each in self.target.ask("get", checkpoint=saved)["objects"]}
        self.assertEqual((objects["number"]["verdict"], objects["line"]["verdict"]), ("exact", "lost"))
        self.assertTrue(objects["line"]["reason"])
        self.assertEqual(self.target.ask("validate", checkpoint=saved), {"valid": True, "damaged": []})
        self.assertEqual(self.target.ask("delete", checkpoint=saved), {"deleted": saved})
        self.refused("unknown_checkpoint", "get", checkpoint=saved)

    def test_two_are_compared_and_one_with_the_present(self) -> None:
        first = self.saved("same = [1]; changed = [1]; gone = 1")["checkpoint_id"]
        second = self.saved("changed.append(2); del gone; new = 'text'")["checkpoint_id"]
        self.run_ok("changed.append(3)")
        for to in (second, None):
            with self.subTest(to=to):
                diff = self.target.ask("diff", **{"from": first, "to": to})
                names = {key: [each["name"] for each in diff[key]] for key in ("added", "removed", "changed")}
                self.assertEqual(names, {"added": ["new"], "removed": ["gone"], "changed": ["changed"]})
                self.assertTrue(any("changed.append(2)" in text for text in diff["code"]), diff["code"])
        # What was written for it is no checkpoint, and no head.
        self.assertEqual(self.target.ask("list")["head"], second)

    def test_one_goes_out_as_bytes_and_comes_in_again(self) -> None:
        saved = self.saved("value = 'carried'", name="carried-away")["checkpoint_id"]
        request = self.target.start("export", checkpoint=saved)
        result = self.target.answer_of(request)["result"]
        (answer,) = [m for m in request.on("iopub", "comm_msg") if "ok" in m["content"]["data"]]
        (data,) = answer["buffers"]
        self.assertEqual(result["bytes"], len(data))
        self.target.ask("delete", checkpoint=saved)
        self.run_ok("value = 'other'")
        content = {"comm_id": self.target.comm_id, "data": {"id": "in", "op": "import"}}
        answer = self.target.answer_of(self.client.request("comm_msg", content, buffers=[bytes(data)]))
        self.assertTrue(answer["ok"], answer)
        self.target.ask("restore", checkpoint=answer["result"]["checkpoint_id"])
        self.assertEqual(self.run_ok("value").result, "'carried'")

    def test_what_is_too_large_for_a_message_is_refused(self) -> None:
        saved = self.saved("import os; large = os.urandom(9_000_000)")["checkpoint_id"]
        self.refused("too_large", "export", checkpoint=saved)

    def test_one_that_is_being_written_is_given_up(self) -> None:
        slow = "class Slow:\n    def __reduce__(self):\n        import time; time.sleep(600)\n        return (list, ())"
        before = self.saved("value = 1")
        self.run_ok(f"{slow}\nslow = Slow()")
        writing = self.saved(wait=False)
        # The kernel goes on meanwhile, and another one waits for its turn to be written.
        self.run_ok("value = 2")
        waiting = self.target.start("create")
        self.assertEqual(self.target.ask("cancel", checkpoint=writing["checkpoint_id"]), {"cancelled": True})
        event = self.target.wait_for_event("checkpoint", checkpoint_id=writing["checkpoint_id"], state="failed")
        self.assertEqual(event["checkpoint"]["error"]["code"], "cancelled")
        self.client.wait_until(lambda: "busy" in waiting.states, 20, "its turn")
        progress = self.target.wait_for_event("checkpoint", state="writing")["checkpoint"]
        self.assertEqual(progress["parent_id"], before["checkpoint_id"])
        self.assertLessEqual({"done_bytes", "total_bytes", "variable"}, set(progress["progress"]))
        self.target.ask("cancel", checkpoint=progress["checkpoint_id"])
        self.assertEqual(self.target.answer_of(waiting)["error"]["code"], "cancelled")
        self.assertEqual(self.target.ask("list")["head"], before["checkpoint_id"])
        self.refused("already_settled", "cancel", checkpoint=before["checkpoint_id"])
        self.run_ok("del slow")
        self.assertEqual(self.saved()["parent_id"], before["checkpoint_id"])


if __name__ == "__main__":
    main()
