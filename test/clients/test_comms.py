"""Comms and widgets: both ways, with buffers, in order with what a cell prints."""

from __future__ import annotations

import uuid

from support.case import KernelCase, main
from support.client import PATIENCE_S, Cell
from support.subject import IS_ORACLE, ours

ECHO = """
import comm
def echo(channel, opened):
    channel.on_msg(lambda message: channel.send(message['content']['data'], buffers=message['buffers']))
    channel.send({'opened': opened['content']['data']})
comm.get_comm_manager().register_target('echo', echo)
"""


class Comms(KernelCase):
    def open(self, target: str) -> tuple[str, Cell]:
        comm_id = uuid.uuid4().hex
        return comm_id, self.client.request("comm_open", {"comm_id": comm_id, "target_name": target, "data": {"n": 1}})

    def idle(self, request: Cell) -> Cell:
        self.client.wait_until(lambda: request.states == ["busy", "idle"], PATIENCE_S, "busy and idle")
        return request

    def test_a_target_in_the_kernel_answers_with_buffers(self) -> None:
        self.run_ok(ECHO)
        comm_id, opening = self.open("echo")
        opened = opening.wait_for("iopub", "comm_msg")
        self.assertEqual(opened["content"], {"comm_id": comm_id, "data": {"opened": {"n": 1}}})
        buffers = [b"", b"\x00<IDS|MSG>\xff", bytes(300_000)]
        asking = self.client.request("comm_msg", {"comm_id": comm_id, "data": {"é": 2}}, buffers=buffers)
        answer = asking.wait_for("iopub", "comm_msg")
        self.assertEqual(answer["content"], {"comm_id": comm_id, "data": {"é": 2}})
        self.assertEqual([bytes(b) for b in answer["buffers"]], buffers)
        self.idle(asking)

    def test_an_unknown_target_is_closed_at_once(self) -> None:
        comm_id, opening = self.open("nobody home")
        self.assertEqual(opening.wait_for("iopub", "comm_close")["content"]["comm_id"], comm_id)
        self.idle(opening)

    def test_the_kernel_lists_its_open_comms(self) -> None:
        self.run_ok(ECHO)
        comm_id, opening = self.open("echo")
        self.idle(opening)
        self.assertEqual(
            self.client.ask("comm_info_request", {"target_name": "echo"})["comms"][comm_id], {"target_name": "echo"}
        )
        self.assertNotIn(comm_id, self.client.ask("comm_info_request", {"target_name": "other"})["comms"])
        self.idle(self.client.request("comm_close", {"comm_id": comm_id, "data": {}}))
        self.assertNotIn(comm_id, self.client.ask("comm_info_request", {})["comms"])

    @ours  # ipykernel's text comes later than its comms.
    def test_the_kernel_opens_comms_in_order_with_its_output(self) -> None:
        cell = self.run_ok(
            "import comm\n"
            "print('before')\n"
            "line = comm.create_comm(target_name='page', data={'n': 1})\n"
            "print('between')\n"
            "line.send({'n': 2}, buffers=[b'raw'])\n"
            "line.close()"
        )
        kinds = [m["msg_type"] for m in cell.on("iopub") if m["msg_type"] not in ("status", "execute_input")]
        self.assertEqual(kinds, ["stream", "comm_open", "stream", "comm_msg", "comm_close"])
        self.assertEqual([bytes(b) for b in cell.on("iopub", "comm_msg")[0]["buffers"]], [b"raw"])

    def test_a_message_to_a_comm_waits_for_the_running_cell(self) -> None:
        self.run_ok(ECHO)
        comm_id, opening = self.open("echo")
        self.idle(opening)
        cell = self.client.start("input('busy ')")
        cell.wait_for("stdin", "input_request")
        asking = self.client.request("comm_msg", {"comm_id": comm_id, "data": {"queued": True}})
        cell.answer("")
        cell.wait()
        self.assertEqual(asking.wait_for("iopub", "comm_msg")["content"]["data"], {"queued": True})

    def test_an_error_in_a_handler_does_not_end_the_kernel(self) -> None:
        self.run_ok(
            "def faulty(channel, opened): channel.on_msg(lambda message: 1 / 0)\n"
            "import comm\n"
            "comm.get_comm_manager().register_target('faulty', faulty)"
        )
        comm_id, opening = self.open("faulty")
        self.idle(opening)
        self.idle(self.client.request("comm_msg", {"comm_id": comm_id, "data": {}}))
        self.assertEqual(self.run_ok("1").result, "1")


class Widgets(KernelCase):
    def test_a_slider_moves_in_both_directions(self) -> None:
        cell = self.run_ok("import ipywidgets\nslider = ipywidgets.IntSlider(value=3, description='n')\nslider")
        view = cell.on("iopub", "execute_result" if cell.result else "display_data")[0]["content"]["data"]
        model = view["application/vnd.jupyter.widget-view+json"]["model_id"]
        states = {m["content"]["comm_id"]: m["content"]["data"]["state"] for m in cell.on("iopub", "comm_open")}
        self.assertEqual((states[model]["value"], states[model]["_view_name"]), (3, "IntSliderView"))
        self.run_ok("slider.observe(lambda change: print('moved to', change.new), 'value')")
        moving = self.client.request(
            "comm_msg", {"comm_id": model, "data": {"method": "update", "state": {"value": 7}, "buffer_paths": []}}
        )
        self.client.wait_until(lambda: "idle" in moving.states, PATIENCE_S, "idle")
        if IS_ORACLE:
            self.client.wait_until(lambda: moving.stdout, PATIENCE_S, "output of the observer")
        self.assertEqual(moving.stdout, "moved to 7\n")
        self.assertEqual(self.run_ok("slider.value").result, "7")
        update = self.run_ok("slider.value = 5").on("iopub", "comm_msg")[0]["content"]
        self.assertEqual((update["comm_id"], update["data"]["state"]), (model, {"value": 5}))

    def test_an_output_widget_captures_what_is_shown_in_it(self) -> None:
        cell = self.run_ok(
            "import ipywidgets\ncapture = ipywidgets.Output()\nwith capture:\n    print('inside')\nprint('outside')"
        )
        ids = [
            m["content"]["data"]["state"]["msg_id"]
            for m in cell.on("iopub", "comm_msg")
            if "msg_id" in m["content"]["data"].get("state", {})
        ]
        self.assertEqual(ids, [cell.msg_id, ""])
        self.assertIn("outside", cell.stdout)


if __name__ == "__main__":
    main()
