"""What user code calls, against a worker that only notes what it is asked."""

from __future__ import annotations

import asyncio
import pickle
import sys
import types
import unittest
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "src" / "python"))

import savepoint  # noqa: E402
from savepoint import RolledBack, SavepointError, carrying  # noqa: E402


class Answer(NamedTuple):
    result: Any
    permit: dict[str, str] | None = None


class Woken(NamedTuple):
    resume: bool
    reason: dict[str, Any]
    parts: list[bytes]


class LeaveCell(BaseException):
    """Stands for the worker's own."""


class Ended(BaseException):
    """The process was rolled back: what was asked never returns."""


class FakeWorker:
    """Answers as the gateway does; `woken` is why the copy that is taken next was woken, if this is that copy."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.parts: tuple[bytes, ...] = ()
        self.woken: Woken | None = None
        self.refusal: SavepointError | None = None
        self.warnings: list[str] = []
        #: The latest value that a rollback carried.
        self.carried = b""

    def ask(self, op: str, args: dict[str, Any], *parts: bytes) -> Answer:
        self.asked.append((op, args))
        self.parts = parts
        self.carried = parts[1] if len(parts) > 1 and parts[1] else self.carried
        if self.refusal is not None and op != "begin":
            raise self.refusal
        if op == "rollback":
            raise Ended
        if op == "fork":
            return Answer({"id": "fk_1"}, {"snapshot": "fk_1", "token": "t", "apart": True})
        if op in ("begin", "savepoint"):
            record = {"id": "tx_1", "name": args["name"], "engine": "fork", "warnings": self.warnings}
            return Answer(record, {"snapshot": "sn_1", "token": "t"})
        record = {"checkpoint_id": "cp_1", "name": args.get("name"), "namespace_size": 3, "unheard_of": 1}
        results: dict[str, Any] = {
            "checkpoint": record,
            "checkpoints": {"items": [record], "total_count": 1, "head": "cp_1"},
            "forked": {"kernels": [{"id": "a"}, {"id": "b"}]},
            "status": {"transactions": [{"id": "tx_0"}, {"id": "tx_1", "begin_ms": 0.7}]},
        }
        return Answer(results.get(op, {"op": op}))

    def take(self, permit: dict[str, str]) -> Woken | None:
        return self.woken

    @property
    def ops(self) -> list[str]:
        return [op for op, _ in self.asked]


class ApiCase(unittest.TestCase):
    def setUp(self) -> None:
        self.worker = FakeWorker()
        worker = types.ModuleType("savepoint_worker.worker")
        worker.Worker = types.SimpleNamespace(current=lambda: self.worker)  # type: ignore[attr-defined]
        execution = types.ModuleType("savepoint_worker.cells.execution")
        execution.LeaveCell = LeaveCell  # type: ignore[attr-defined]
        for module in (worker, execution):
            before = sys.modules.get(module.__name__)
            sys.modules[module.__name__] = module
            self.addCleanup(self.put_back, module.__name__, before)

    @staticmethod
    def put_back(name: str, module: types.ModuleType | None) -> None:
        if module is None:
            del sys.modules[name]
        else:
            sys.modules[name] = module


class Forks(ApiCase):
    def test_the_ids_are_asked_for_after_the_copy_was_taken(self) -> None:
        self.assertEqual(savepoint.fork(2), ["a", "b"])
        self.assertEqual(self.worker.asked, [("fork", {"count": 2}), ("forked", {"id": "fk_1"})])

    def test_in_the_new_kernel_the_cell_is_left(self) -> None:
        self.worker.woken = Woken(False, {"reason": "requested"}, [])
        with self.assertRaises(LeaveCell):
            savepoint.fork()
        self.assertEqual(self.worker.ops, ["fork"])

    def test_a_refusal_is_raised(self) -> None:
        self.worker.refusal = SavepointError("quota_exceeded", "Too many.")
        with self.assertRaises(SavepointError) as raised:
            savepoint.fork()
        self.assertEqual(raised.exception.code, "quota_exceeded")


class Blocks(ApiCase):
    def test_a_good_block_is_committed(self) -> None:
        with savepoint.transaction("mine") as tx:
            self.assertEqual((tx.id, tx.name, tx.engine), ("tx_1", "mine", "fork"))
        self.assertEqual(
            self.worker.asked,
            [
                ("begin", {"name": "mine", "policy": "rollback_on_failure", "engine": "auto", "block": True}),
                ("commit", {"transaction": "tx_1"}),
            ],
        )

    def test_any_failure_is_told_and_ends_this_process(self) -> None:
        for error, reason in (
            (ValueError("because"), "error"),
            (KeyboardInterrupt(), "interrupt"),
            (SystemExit(2), "error"),
        ):
            with self.subTest(error), self.assertRaises(Ended), savepoint.transaction():
                raise error
            op, args = self.worker.asked[-1]
            told = (op, args["transaction"], args["reason"], args["ename"], args["evalue"])
            self.assertEqual(told, ("rollback", "tx_1", reason, type(error).__name__, str(error)))
            self.assertIn("raise error", "".join(args["traceback"]))
            self.assertIs(type(carrying.unpack(self.worker.parts[0])), type(error))

    def test_an_exception_without_a_text_is_told_all_the_same(self) -> None:
        class Silent(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        with self.assertRaises(Ended), savepoint.transaction():
            raise Silent
        self.assertIn("__str__", self.worker.asked[-1][1]["evalue"])

    def test_a_dry_run_is_rolled_back_though_it_was_good(self) -> None:
        with self.assertRaises(Ended), savepoint.transaction(policy="dry_run"):
            self.assertEqual(self.worker.ops, ["begin"])
        self.assertEqual(self.worker.asked[-1][1]["reason"], "requested")

    def test_a_requested_rollback_carries_a_value(self) -> None:
        with self.assertRaises(Ended):
            savepoint.transaction().__enter__().rollback(value={"kept": 5})
        self.assertEqual((self.worker.parts[0], pickle.loads(self.worker.parts[1])), (b"", {"kept": 5}))

    def test_a_value_that_cannot_be_carried_is_refused_before_anything_is_done(self) -> None:
        tx = savepoint.transaction().__enter__()
        with self.assertRaises(SavepointError) as raised:
            tx.rollback(value=(n for n in ()))
        self.assertEqual((raised.exception.code, self.worker.ops), ("bad_request", ["begin"]))

    def test_the_woken_copy_raises_at_its_with_line(self) -> None:
        reason = {"reason": "error", "ename": "ValueError", "evalue": "because", "traceback": ["line"]}
        self.worker.woken = Woken(True, reason, [carrying.pack(ValueError("because")), b""])
        with self.assertRaises(RolledBack) as raised, savepoint.transaction():
            self.fail("the block was entered again")
        error = raised.exception
        self.assertEqual(
            (error.reason, error.ename, error.evalue, error.traceback), ("error", "ValueError", "because", ["line"])
        )
        self.assertEqual((error.effects, error.limits, error.value, error.code), ([], [], None, "rolled_back"))
        self.assertIsInstance(error.original, ValueError)
        self.assertIs(error.__cause__, error.original)
        self.assertIn("because", str(error))

    def test_the_value_of_a_requested_rollback_arrives(self) -> None:
        self.worker.woken = Woken(True, {"reason": "requested"}, [b"", pickle.dumps([5])])
        with self.assertRaises(RolledBack) as raised, savepoint.transaction():
            self.fail("the block was entered again")
        self.assertEqual((raised.exception.value, raised.exception.original, raised.exception.ename), ([5], None, None))

    def test_a_death_arrives_without_an_exception(self) -> None:
        reason = {"reason": "worker_died", "ename": "WorkerDied", "evalue": "SIGSEGV"}
        for parts in ([b"", b""], []):
            self.worker.woken = Woken(True, reason, parts)
            with self.assertRaises(RolledBack) as raised, savepoint.transaction():
                self.fail("the block was entered again")
            self.assertEqual((raised.exception.reason, raised.exception.original), ("worker_died", None))

    def test_a_copy_whose_cell_is_over_leaves_it(self) -> None:
        self.worker.woken = Woken(False, {"reason": "requested"}, [b"", b""])
        with self.assertRaises(LeaveCell), savepoint.transaction():
            self.fail("the block was entered again")
        self.assertEqual(self.worker.ops, ["begin"])

    def test_a_block_that_is_left_silently_keeps_its_effects(self) -> None:
        with self.assertRaises(LeaveCell), savepoint.transaction():
            raise LeaveCell
        self.assertEqual(self.worker.ops, ["begin", "commit"])

    def test_a_block_may_end_its_transaction_itself(self) -> None:
        self.worker.refusal = SavepointError("unknown_transaction", "gone")
        with savepoint.transaction():
            pass
        with self.assertRaises(ZeroDivisionError), savepoint.transaction():
            1 / 0  # noqa: B018

    def test_other_refusals_are_raised(self) -> None:
        self.worker.refusal = SavepointError("snapshot_failed", "gone")
        with self.assertRaises(SavepointError) as raised, savepoint.transaction():
            1 / 0  # noqa: B018
        self.assertEqual(raised.exception.code, "snapshot_failed")
        self.assertIsInstance(raised.exception.__context__, ZeroDivisionError)

    def test_execution_comes_back_to_a_savepoint_with_what_was_carried(self) -> None:
        tx = savepoint.transaction().__enter__()
        self.assertIs(tx.savepoint("a"), False)
        self.assertEqual(self.worker.asked[-1], ("savepoint", {"transaction": "tx_1", "name": "a"}))
        self.worker.woken = Woken(True, {"reason": "requested"}, [b"", pickle.dumps(3)])
        self.assertIs(tx.savepoint("a"), True)
        self.assertEqual(tx.value, 3)
        with self.assertRaises(Ended):
            tx.rollback(to="a", value=4)
        self.assertEqual((self.worker.asked[-1][1]["to"], pickle.loads(self.worker.parts[1])), ("a", 4))

    def test_a_block_whose_copy_could_not_be_made_was_not_entered(self) -> None:
        tx = savepoint.transaction()
        refusal = SavepointError("snapshot_failed", "no memory")
        with mock.patch.object(self.worker, "take", side_effect=refusal), self.assertRaises(SavepointError), tx:
            self.fail("the block was entered")
        self.assertIsNone(tx.id)

    def test_wrong_policies_are_refused_at_once(self) -> None:
        for policy in ("hopeful", "explicit", "commit_always", None):
            with self.subTest(policy), self.assertRaises(SavepointError) as raised:
                savepoint.transaction(policy=policy)  # type: ignore[arg-type]
            self.assertEqual(raised.exception.code, "unknown_policy")

    def test_a_block_is_entered_once_and_rolled_back_only_inside(self) -> None:
        tx = savepoint.transaction()
        with self.assertRaises(SavepointError):
            tx.rollback()
        with tx:
            pass
        with self.assertRaises(SavepointError), tx:
            pass


class Attempts(ApiCase):
    def test_what_goes_well_is_kept(self) -> None:
        out = savepoint.attempt(lambda a, b: a + b, 1, b=2)
        self.assertEqual((out.committed, out.value, out.error, out.engine), (True, 3, None, "fork"))
        self.assertGreaterEqual(out.ms, 0)
        self.assertEqual(self.worker.ops, ["begin", "commit"])

    def test_what_is_not_to_be_kept_carries_its_value_over(self) -> None:
        for keep in ("never", lambda value: value > 5):
            with self.assertRaises(Ended):
                savepoint.attempt(int, "5", keep=keep)
            self.assertEqual(pickle.loads(self.worker.carried).value, 5)
        self.assertEqual(savepoint.attempt(int, "5", keep=lambda value: value == 5).committed, True)

    def test_the_woken_copy_returns_the_value(self) -> None:
        with self.assertRaises(Ended):
            savepoint.attempt(int, "5", keep="never")
        self.worker.woken = Woken(True, {"reason": "requested"}, [b"", self.worker.carried])
        out = savepoint.attempt(int, "5", keep="never")
        self.assertEqual((out.committed, out.value, out.error), (False, 5, None))

    def test_the_woken_copy_tells_of_a_failure(self) -> None:
        reason = {"reason": "error", "ename": "ValueError", "evalue": "because"}
        self.worker.woken = Woken(True, reason, [carrying.pack(ValueError("because")), b""])
        out = savepoint.attempt(self.fail, "it was called")
        self.assertEqual((out.committed, out.value, out.error.ename), (False, None, "ValueError"))
        self.assertIsInstance(out.error.original, ValueError)

    def test_a_rollback_that_the_function_asked_for_is_its_error(self) -> None:
        self.worker.woken = Woken(True, {"reason": "requested"}, [b"", pickle.dumps(7)])
        out = savepoint.attempt(savepoint.rollback)
        self.assertEqual((out.committed, out.value, out.error.reason), (False, None, "requested"))

    def test_a_function_that_ended_its_transaction_and_failed_is_told_of_as_committed(self) -> None:
        self.worker.refusal = SavepointError("unknown_transaction", "gone")
        out = savepoint.attempt(lambda: 1 / 0)
        self.assertEqual((out.committed, out.value, out.error.ename), (True, None, "ZeroDivisionError"))

    def test_async_functions_are_awaited(self) -> None:
        async def double(n: int) -> int:
            return 2 * n

        out = asyncio.run(savepoint.attempt(double, 4))
        self.assertEqual((out.committed, out.value), (True, 8))
        with self.assertRaises(Ended):
            savepoint.attempt(lambda: double(4))
        self.assertIn("coroutine", self.worker.asked[-1][1]["evalue"])

    def test_what_is_wrong_with_the_call_is_raised(self) -> None:
        for arguments, named in (((None,), {}), ((int,), {"keep": "sometimes"}), ((int,), {"keep": None})):
            with self.assertRaises(SavepointError) as raised:
                savepoint.attempt(*arguments, **named)
            self.assertEqual((raised.exception.code, self.worker.asked), ("bad_request", []))
        with mock.patch.object(self.worker, "ask", side_effect=SavepointError("too_deep")):
            with self.assertRaises(SavepointError) as raised:
                savepoint.attempt(int)
        self.assertEqual(raised.exception.code, "too_deep")

    def test_the_end_of_the_cell_is_no_failure(self) -> None:
        def leave() -> None:
            raise LeaveCell

        with self.assertRaises(LeaveCell):
            savepoint.attempt(leave)


class Functions(ApiCase):
    def test_begin_tells_what_the_copy_cost(self) -> None:
        self.assertEqual(savepoint.begin("mine"), {"id": "tx_1", "begin_ms": 0.7})
        begun = {
            "name": "mine",
            "policy": "explicit",
            "engine": "auto",
            "on_disconnect": "keep",
            "timeout_s": None,
            "block": False,
        }
        self.assertEqual(self.worker.asked[0], ("begin", begun))

    def test_begin_warns_of_what_it_cannot_do(self) -> None:
        self.worker.warnings = ["Ignored on_disconnect."]
        with self.assertWarnsRegex(UserWarning, "Ignored on_disconnect"):
            savepoint.begin(on_disconnect="rollback", timeout_s=5)

    def test_savepoints_are_asked_for_in_the_innermost_transaction(self) -> None:
        self.assertIs(savepoint.savepoint("a"), False)
        self.assertEqual(savepoint.release("a"), {"op": "release"})
        asked = [("savepoint", {"transaction": None, "name": "a"}), ("release", {"name": "a"})]
        self.assertEqual(self.worker.asked, asked)

    def test_a_savepoint_whose_cell_is_over_leaves_what_runs(self) -> None:
        self.worker.woken = Woken(False, {"reason": "requested"}, [])
        with self.assertRaises(LeaveCell):
            savepoint.savepoint("a")

    def test_commit_and_status_ask(self) -> None:
        self.assertEqual(savepoint.commit(), {"op": "commit"})
        self.assertEqual(len(savepoint.status()["transactions"]), 2)
        self.assertEqual(self.worker.asked, [("commit", {"transaction": None, "message": False}), ("status", {})])

    def test_a_copy_that_was_woken_at_begin_leaves_its_cell(self) -> None:
        self.worker.woken = Woken(False, {"reason": "requested"}, [])
        with self.assertRaises(LeaveCell):
            savepoint.begin()

    def test_rollback_does_not_return(self) -> None:
        with self.assertRaises(Ended):
            savepoint.rollback()
        args = self.worker.asked[-1][1]
        self.assertEqual(
            (args["transaction"], args["to"], args["reason"], args["message"]), (None, None, "requested", False)
        )

    def test_refusals_come_out_as_they_are(self) -> None:
        self.worker.refusal = SavepointError("no_transaction", "None is open.", {"a": 1})
        for call in (savepoint.rollback, savepoint.commit):
            with self.subTest(call), self.assertRaises(SavepointError) as raised:
                call()
            self.assertEqual(
                (str(raised.exception), raised.exception.details), ("no_transaction: None is open.", {"a": 1})
            )


class Checkpoints(ApiCase):
    def test_a_checkpoint_is_a_record(self) -> None:
        made = savepoint.checkpoint("mine", "note", exclude=("a*",))
        self.assertEqual((made.checkpoint_id, made.name, made.namespace_size, made.lost), ("cp_1", "mine", 3, []))
        self.assertEqual(
            self.worker.asked, [("checkpoint", {"name": "mine", "note": "note", "exclude": ["a*"], "wait": True})]
        )
        with self.assertRaises(AttributeError):
            made.name = "other"  # type: ignore[misc]

    def test_checkpoints_are_listed(self) -> None:
        self.assertEqual([each.checkpoint_id for each in savepoint.checkpoints()], ["cp_1"])

    def test_restore_ends_the_cell(self) -> None:
        for checkpoint in ("cp_1", savepoint.Checkpoint("cp_1")):
            with self.assertRaises(LeaveCell):
                savepoint.restore(checkpoint, names=("a", "b"))
            self.assertEqual(self.worker.asked[-1][1], {"checkpoint": "cp_1", "mode": "clear", "names": ["a", "b"]})

    def test_a_wrong_mode_is_refused(self) -> None:
        with self.assertRaises(SavepointError) as raised:
            savepoint.restore("cp_1", mode="sideways")
        self.assertEqual((raised.exception.code, self.worker.asked), ("bad_request", []))


class Outside(unittest.TestCase):
    def test_every_call_says_that_there_is_no_kernel(self) -> None:
        calls = (
            savepoint.begin, savepoint.rollback, savepoint.commit, savepoint.status, savepoint.checkpoint,
            savepoint.checkpoints, lambda: savepoint.restore("a"), lambda: savepoint.transaction().__enter__(),
            lambda: savepoint.savepoint("a"), lambda: savepoint.release("a"), lambda: savepoint.attempt(int),
        )  # fmt: skip
        for number, call in enumerate(calls):
            with self.subTest(number), self.assertRaises(SavepointError) as raised:
                call()
            self.assertEqual(raised.exception.code, "not_in_kernel")


class Carrying(unittest.TestCase):
    def test_errors_can_be_pickled(self) -> None:
        errors = (
            SavepointError("code", "message", {"a": 1}),
            RolledBack("error", "ValueError", "because", ["line"], ValueError("because"), 5),
            savepoint.LostVariableError("x", "socket", "why"),
        )
        for error in errors:
            copy = pickle.loads(pickle.dumps(error))
            self.assertEqual(
                (type(copy), str(copy), copy.code, copy.details), (type(error), str(error), error.code, error.details)
            )
        self.assertEqual(copy.args, error.args)

    def test_a_class_that_both_sides_know_stays_the_same_class(self) -> None:
        self.assertIs(type(carrying.unpack(carrying.pack(KeyError("k")))), KeyError)

    def test_what_cannot_be_carried_is_none(self) -> None:
        class Local(Exception):
            def __reduce__(self) -> Any:
                raise TypeError

        self.assertEqual(carrying.pack(Local()), b"")
        for packed in (b"", b"short", bytes(8) + b"no pickle", b"\xff" * 20):
            self.assertIsNone(carrying.unpack(packed))


if __name__ == "__main__":
    unittest.main()
