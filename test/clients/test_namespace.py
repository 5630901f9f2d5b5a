"""The comm target savepoint.namespace: the user's variables, asked for and set by clients."""

from __future__ import annotations

from support.case import KernelCase, main
from support.client import Gate
from support.comms import Refused, Target
from support.subject import ours


@ours
class Namespace(KernelCase):
    def setUp(self) -> None:
        super().setUp()
        self.target = Target(self.client, "savepoint.namespace")
        self.addCleanup(self.target.close)

    def test_it_says_what_it_can_do(self) -> None:
        self.assertEqual(self.target.ready["ops"], ["list", "get", "set", "delete", "changes"])

    def test_MG_8_names_of_the_engine_are_refused_and_the_others_set(self) -> None:
        answer = self.target.ask("set", values={"Out": 1, "set_x": {"a": 2**70}})
        self.assertEqual((answer["set"], answer["refused"]), (["set_x"], [{"name": "Out", "reason": "engine_name"}]))
        self.assertEqual(self.run_ok("type(Out).__name__, set_x['a'] == 2**70").result, "('dict', True)")

    def test_it_takes_its_turn_behind_the_cells(self) -> None:
        gate = Gate()
        slow = self.client.start(f"{gate.code}turn = 'first'")
        asking = self.target.start("get", names=["turn"])
        self.client.wait_until_received()
        gate.open()
        shown = self.target.answer_of(asking)["result"]["items"][0]
        self.assertEqual((shown["type"], shown["preview"]), ("str", "'first'"))
        self.assertEqual(slow.status, "ok")

    def test_a_rollback_takes_back_what_was_set(self) -> None:
        self.run_ok("kept = 1\n%begin")
        self.target.ask("set", values={"kept": 2, "fresh": 3})
        self.run_ok("%rollback")
        self.assertEqual(self.run_ok("kept, 'fresh' in dir()").result, "(1, False)")
        self.assertEqual(self.target.ask("delete", names=["kept"])["deleted"], ["kept"])

    def test_a_repr_that_does_not_end_is_stopped_by_an_interrupt(self) -> None:
        self.run_ok(
            "class Endless:\n    def __repr__(self):\n        print('in', flush=True)\n        while True: pass\ne = Endless()"
        )
        request = self.target.start("get", names=["e"])
        self.client.wait_for(lambda m: m["msg_type"] == "stream" and "in" in m["content"]["text"])
        self.client.ask("interrupt_request", channel="control")
        self.assertEqual(self.target.answer_of(request)["error"]["code"], "cancelled")
        self.run_ok("del e")

    def test_nonsense_is_refused(self) -> None:
        with self.assertRaises(Refused) as refused:
            self.target.ask("set", values=5)
        self.assertEqual(refused.exception.code, "bad_request")


if __name__ == "__main__":
    main()
