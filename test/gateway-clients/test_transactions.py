"""Transactions over HTTP, beside clients on WebSockets."""

from __future__ import annotations

import threading
import time
import unittest
import uuid
from typing import Any

from gateway.client import Answer, Channels, Rest
from support.case import main

PATIENCE_S = 60.0


class TransactionCase(unittest.TestCase):
    def setUp(self) -> None:
        self.rest = Rest()
        self.kernel = self.rest.start_kernel()
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{self.kernel}")
        self.all = f"/api/kernels/{self.kernel}/transactions"

    def ask(self, status: int, method: str, path: str, body: object = None) -> Any:
        answer = self.rest.ask(method, path, body)
        self.assertEqual(answer.status, status, answer.body)
        return answer.body

    def refused(self, status: int, code: str, method: str, path: str, body: object = None) -> Answer:
        answer = self.rest.ask(method, path, body)
        self.assertEqual((answer.status, answer.body["code"]), (status, code), answer.body)
        self.assertLess(len(answer.body["message"]), 1000)
        return answer

    def run_code(self, code: str, **wishes: object) -> Any:
        return self.ask(200, "POST", f"/api/kernels/{self.kernel}/executions", {"code": code, **wishes})

    def outcome(self, policy: str) -> str:
        """What becomes of the transaction of a cell with that policy, which changes x."""
        return str(self.run_code("x.append(2)", transaction=policy)["savepoint"]["transaction"]["outcome"])

    def assert_value(self, expression: str, text: str) -> None:
        self.assertEqual(self.run_code(expression)["result"]["text/plain"], text)

    def channels(self, **options: Any) -> Channels:
        channels = self.rest.channels(self.kernel, **options)
        self.addCleanup(channels.close)
        return channels

    def open_states(self) -> list[str]:
        return [each["state"] for each in self.ask(200, "GET", self.all)["items"]]


def comm(channels: Channels) -> None:
    """Open a comm for transactions, of the id `t`."""
    channels.send("comm_open", {"comm_id": "t", "target_name": "savepoint.transaction", "data": {}})
    channels.until("comm_msg")


def say(channels: Channels, **data: object) -> dict[str, Any]:
    """The answer to a request on it."""
    msg_id = channels.send("comm_msg", {"comm_id": "t", "data": {"id": "1", **data}})
    while True:
        answer = channels.until("comm_msg", msg_id)["content"]["data"]
        if "event" not in answer:
            return dict(answer)


def keep_busy(channels: Channels) -> None:
    """Run a cell that does not end."""
    code = "import time\nprint('in', flush=True)\nwhile True: time.sleep(0.05)"
    channels.until("stream", channels.send("execute_request", {"code": code}))


class Routes(TransactionCase):
    def test_from_the_begin_to_the_end(self) -> None:
        self.run_code("x = [1]")
        begun = self.ask(201, "POST", self.all, {"name": "mine", "timeout_s": 600})
        one = f"{self.all}/{begun['id']}"
        self.assertEqual((begun["state"], begun["name"], begun["depth"]), ("open", "mine", 1))
        self.run_code("x.append(2)")
        self.assertEqual(self.ask(200, "POST", f"{one}/savepoints", {"name": "a"})["savepoints"], ["a"])
        for _ in range(2):
            self.run_code("x.append(3)")
            told = self.ask(200, "POST", f"{one}/rollback", {"to": "a"})
            self.assertEqual((told["state"], told["savepoints"], told["effects"]), ("open", ["a"], []))
            self.assertGreater(told["rollback_ms"], 0)
            self.assert_value("x", "[1, 2]")
        self.assertEqual(self.ask(200, "GET", one)["savepoints"], ["a"])
        released = self.ask(200, "POST", self.all, {"op": "release", "name": "a", "transaction": begun["id"]})
        self.assertEqual(released["savepoints"], [])
        self.assertEqual(self.ask(200, "DELETE", one)["state"], "rolled_back")
        self.assert_value("x", "[1]")
        for method, path in (("GET", one), ("DELETE", one), ("POST", f"{one}/commit"), ("POST", f"{one}/rollback")):
            self.refused(404, "unknown_transaction", method, path, None if method == "GET" else {})
        self.refused(404, "unknown_transaction", "POST", f"{one}/savepoints", {"name": "a"})
        self.refused(409, "no_transaction", "POST", self.all, {"op": "commit"})
        self.assertEqual(self.ask(200, "GET", self.all), {"items": [], "total_count": 0})

    def test_what_a_client_of_another_kind_began_can_be_ended(self) -> None:
        channels = self.channels()
        comm(channels)
        channels.execute("x = 1")
        begun = say(channels, op="begin")["result"]
        self.assertEqual(begun["opened_by"], channels.session_id)
        self.run_code("x = 2")
        self.assertEqual(self.ask(200, "POST", f"{self.all}/{begun['id']}/commit", {})["state"], "committed")
        event = channels.until("comm_msg")["content"]["data"]
        while event.get("transaction", {}).get("state") != "committed":
            event = channels.until("comm_msg")["content"]["data"]
        self.assertEqual(say(channels, op="rollback")["error"]["code"], "no_transaction")
        self.assert_value("x", "2")

    def test_the_transaction_of_an_execution_reaches_its_cell(self) -> None:
        self.run_code("x = [1]")
        told = self.run_code("x.append(2)\n1 / 0", transaction={"policy": "rollback_on_failure", "name": "try"})
        self.assertEqual(told["status"], "error")
        transaction = told["savepoint"]["transaction"]
        self.assertEqual(
            (transaction["outcome"], transaction["name"], transaction["policy"]),
            ("rolled_back", "try", "rollback_on_failure"),
        )
        self.assertEqual(self.outcome("dry_run"), "rolled_back")
        self.assert_value("x", "[1]")
        self.assertEqual(self.outcome("explicit"), "pending")
        self.ask(200, "POST", self.all, {"op": "rollback"})
        self.assert_value("x", "[1]")
        self.assertIsNone(self.run_code("x", transaction="commit_always")["savepoint"]["transaction"])
        refused = self.run_code("x.append(2)", transaction="sometimes")
        self.assertEqual(refused["error"]["evalue"].split(":")[0], "unknown_policy")
        self.assert_value("x", "[1]")

    def test_the_transaction_of_code_without_a_kernel_reaches_it(self) -> None:
        session = uuid.uuid4().hex
        run = {"session": session}
        self.ask(200, "POST", "/api/execute", {"code": "x = [1]", **run})
        told = self.ask(200, "POST", "/api/execute", {"code": "x.append(2)", "transaction": "dry_run", **run})
        self.assertEqual(told["savepoint"]["transaction"]["outcome"], "rolled_back")
        told = self.ask(200, "POST", "/api/execute", {"code": "x", **run})
        self.assertEqual(told["result"]["text/plain"], "[1]")


class BadRequests(TransactionCase):
    def test_what_makes_no_sense_is_refused_and_changes_nothing(self) -> None:
        deep: Any = "bottom"
        for _ in range(500):
            deep = [deep]
        long = "x" * 1_000_000
        for status, code, body in (
            (400, "unknown_op", {"op": "dance"}),
            (400, "unknown_op", {"op": long}),
            (400, "bad_request", {"op": 5}),
            (400, "unknown_policy", {"policy": "hopeful"}),
            (400, "unknown_policy", {"policy": "commit_always"}),
            (400, "unknown_policy", {"policy": 5}),
            (400, "unknown_policy", {"policy": long}),
            (400, "unknown_engine", {"engine": "steam"}),
            (400, "unknown_engine", {"engine": deep}),
            (400, "name_invalid", {"name": long}),
            (400, "name_invalid", {"name": "a/b"}),
            (400, "name_invalid", {"name": "a\u0000b"}),
            (400, "name_invalid", {"name": ""}),
            (400, "name_invalid", {"name": deep}),
            (400, "bad_request", {"timeout_s": "5"}),
            (400, "bad_request", {"timeout_s": 0}),
            (400, "bad_request", {"timeout_s": 1e300}),
            (400, "bad_request", {"timeout_s": deep}),
            (400, "bad_request", {"on_disconnect": "vanish"}),
            (400, "bad_request", {"on_disconnect": {"a": 1}}),
            (400, "bad_request", {"op": "commit", "transaction": 5}),
            (404, "unknown_transaction", {"op": "commit", "transaction": long}),
            (400, "name_invalid", {"op": "savepoint"}),
            (400, "name_invalid", {"op": "savepoint", "name": 5}),
            (400, "name_invalid", {"op": "release", "name": long}),
            (400, "bad_request", [{"op": "begin"}]),
            (400, "bad_request", "begin"),
        ):
            with self.subTest(code, body=str(body)[:60]):
                self.refused(status, code, "POST", self.all, body)
        self.assertEqual(self.ask(200, "GET", self.all)["total_count"], 0)
        one = f"{self.all}/{self.ask(201, 'POST', self.all)['id']}"
        for status, code, path, body in (
            (400, "name_invalid", f"{one}/rollback", {"to": long}),
            (404, "unknown_savepoint", f"{one}/rollback", {"to": "nope"}),
            (400, "bad_request", f"{one}/rollback", {"to": 5}),
            (400, "bad_request", f"{one}/savepoints", {}),
            (400, "bad_request", f"{one}/savepoints", {"name": 5}),
            (400, "name_invalid", f"{one}/savepoints", {"name": "a/b"}),
            (404, "unknown_transaction", f"{self.all}/tx_99/commit", {}),
            (404, "unknown_kernel", f"/api/kernels/{uuid.uuid4()}/transactions", {}),
        ):
            with self.subTest(code, path=path):
                self.refused(status, code, "POST", path, body)
        self.refused(400, "bad_request", "POST", f"{self.all}?wait_s=never", {})
        self.assertEqual(self.open_states(), ["open"])

    def test_what_is_not_understood_is_named_as_a_warning(self) -> None:
        many = {f"field {number}": number for number in range(1000)}
        told = self.ask(201, "POST", self.all, {"colour": "red", "on_disconnect": "rollback", **many})
        warnings = told["warnings"]
        for word in ("colour", "on_disconnect"):
            self.assertTrue(any(word in each for each in warnings), warnings)
        self.assertLess(len(warnings), 30)

    def test_an_op_on_a_busy_kernel_waits_its_turn_or_is_not_done(self) -> None:
        channels = self.channels()
        comm(channels)
        keep_busy(channels)
        for body in ({}, {"op": "savepoint", "name": "a"}, {"op": "rollback"}, {"op": "status"}):
            self.refused(409, "kernel_busy", "POST", f"{self.all}?wait_s=0.2", body)
        queued = channels.send("comm_msg", {"comm_id": "t", "data": {"id": "1", "op": "begin", "name": "queued"}})
        answers: list[Answer] = []
        waiting = threading.Thread(target=lambda: answers.append(self.rest.ask("POST", self.all, {"name": "waiting"})))
        waiting.start()
        self.rest.ask("POST", f"/api/kernels/{self.kernel}/interrupt", {})
        self.assertTrue(channels.until("comm_msg", queued)["content"]["data"]["ok"])
        waiting.join(PATIENCE_S)
        self.assertEqual([answer.status for answer in answers], [201])
        names = [each["name"] for each in self.ask(200, "GET", self.all)["items"]]
        self.assertEqual(sorted(names), ["queued", "waiting"])

    def test_a_restart_loses_what_is_open_and_refuses_what_waits(self) -> None:
        self.ask(201, "POST", self.all)
        channels = self.channels()
        keep_busy(channels)
        answers: list[Answer] = []
        waiting = threading.Thread(target=lambda: answers.append(self.rest.ask("POST", self.all)))
        waiting.start()
        end = time.monotonic() + PATIENCE_S
        while self.ask(200, "GET", f"/api/kernels/{self.kernel}")["savepoint"]["queue"] < 1:
            self.assertLess(time.monotonic(), end, "it does not wait")
            time.sleep(0.02)
        self.ask(200, "POST", f"/api/kernels/{self.kernel}/restart", {})
        waiting.join(PATIENCE_S)
        self.assertEqual([(each.status, each.body["code"]) for each in answers], [(503, "kernel_restarting")])
        self.assertEqual(self.ask(200, "GET", self.all)["total_count"], 0)
        self.ask(201, "POST", self.all)

    def test_a_kernel_that_ends_in_the_middle_of_moves_leaves_no_answer_out(self) -> None:
        # Whatever the moment: each request is answered, and the kernel that follows is whole.
        self.run_code("x = list(range(1000))")
        moves = (({}, 0.0), ({"op": "savepoint", "name": "b"}, 0.002), ({"op": "rollback", "to": "a"}, 0.004))
        for body, pause in moves:
            self.ask(201, "POST", self.all)
            self.ask(200, "POST", self.all, {"op": "savepoint", "name": "a"})
            answers: list[Answer] = []

            def ask(body: object = body, answers: list[Answer] = answers) -> None:
                answers.append(self.rest.ask("POST", self.all, body))

            asking = [threading.Thread(target=ask) for _ in range(3)]
            for thread in asking:
                thread.start()
            time.sleep(pause)
            self.ask(200, "POST", f"/api/kernels/{self.kernel}/restart", {})
            for thread in asking:
                thread.join(PATIENCE_S)
            self.assertEqual(len(answers), 3)
            known = ("kernel_restarting", "no_transaction", "kernel_dead")
            wrong = [each for each in answers if each.status >= 300 and each.body["code"] not in known]
            self.assertEqual(wrong, [])
            for each in reversed(self.ask(200, "GET", self.all)["items"]):
                # What was asked for after the restart is the next one's.
                self.ask(200, "POST", f"{self.all}/{each['id']}/commit", {})
            self.assert_value("6 * 7", "42")


class EndsByThemselves(TransactionCase):
    def wait_for_none(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while self.open_states():
            self.assertLess(time.monotonic(), end, "it is still open")
            time.sleep(0.1)

    def test_when_the_client_that_began_it_goes(self) -> None:
        self.run_code("x = [1]")
        gone = self.channels()
        comm(gone)
        self.assertTrue(say(gone, op="begin", on_disconnect="rollback")["ok"])
        gone.execute("x.append(2)")
        # Code that the client runs has the same client.
        gone.execute("import savepoint\nsavepoint.begin('inner', on_disconnect='commit')\nx.append(3)")
        self.assertEqual(self.open_states(), ["open", "open"])
        # One that comes back in time was not gone.
        gone.close()
        again = self.channels(session_id=gone.session_id)
        again.execute("x.append(4)")
        self.assertEqual(self.open_states(), ["open", "open"])
        again.close()
        self.wait_for_none()
        self.assert_value("x", "[1]")

    def test_when_its_time_is_over_and_a_cell_runs(self) -> None:
        channels = self.channels()
        channels.execute("import savepoint, time\nx = [1]")
        code = "savepoint.begin(timeout_s=0.5)\nx.append(2)\nwhile True: time.sleep(0.05)"
        cell = channels.send("execute_request", {"code": code})
        reply = channels.until("execute_reply", cell)
        self.assertEqual(reply["content"]["ename"], "KeyboardInterrupt")
        self.assertIn("deadline of transaction", " ".join(reply["metadata"]["savepoint"]["warnings"]))
        self.wait_for_none()
        self.assert_value("x", "[1]")


if __name__ == "__main__":
    main()
