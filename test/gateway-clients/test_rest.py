"""Kernels over HTTP and WebSocket, from their start to their end."""

from __future__ import annotations

import unittest
from datetime import datetime

import websocket
from gateway.client import Rest
from support.case import main


class Kernels(unittest.TestCase):
    def setUp(self) -> None:
        self.rest = Rest()

    def kernel(self, **body: object) -> str:
        kernel_id = self.rest.start_kernel(**body)
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{kernel_id}")
        return kernel_id

    def channels(self, kernel_id: str):
        channels = self.rest.channels(kernel_id)
        self.addCleanup(channels.close)
        return channels

    def test_a_kernel_runs_a_cell_and_its_model_follows(self) -> None:
        kernel_id = self.kernel(name="python3")
        model = self.rest.ask("GET", f"/api/kernels/{kernel_id}").body
        # Exactly as jupyter_server's gateway client parses it.
        before = datetime.strptime(model["last_activity"], "%Y-%m-%dT%H:%M:%S.%fZ")
        channels = self.channels(kernel_id)
        self.assertEqual(channels.text("print(6 * 7)"), "42\n")
        model = self.rest.ask("GET", f"/api/kernels/{kernel_id}").body
        self.assertEqual((model["execution_state"], model["connections"]), ("idle", 1))
        self.assertGreater(datetime.strptime(model["last_activity"], "%Y-%m-%dT%H:%M:%S.%fZ"), before)
        self.assertIn(kernel_id, [each["id"] for each in self.rest.ask("GET", "/api/kernels").body])

    def test_an_interrupt_ends_the_running_cell(self) -> None:
        kernel_id = self.kernel()
        channels = self.channels(kernel_id)
        msg_id = channels.send("execute_request", {"code": "print('here')\nwhile True: pass", "silent": False})
        channels.until("stream", msg_id)
        self.assertEqual(self.rest.ask("POST", f"/api/kernels/{kernel_id}/interrupt", {}).status, 204)
        self.assertEqual(channels.until("execute_reply", msg_id)["content"]["ename"], "KeyboardInterrupt")

    def test_whoever_joins_while_a_cell_runs_gets_what_it_printed_so_far(self) -> None:
        kernel = self.kernel()
        first = self.channels(kernel)
        first.send("execute_request", {"code": "print('so far')\nwhile True: pass", "silent": False})
        first.until("stream")
        second = self.channels(kernel)
        self.assertEqual(second.until("stream")["content"]["text"], "so far\n")
        said = [(each["msg_type"], each["content"].get("execution_state")) for each in second.messages]
        self.assertEqual(said, [("status", "busy"), ("execute_input", None), ("stream", None)])

    def test_a_restart_keeps_the_id_and_forgets_the_variables(self) -> None:
        kernel_id = self.kernel()
        channels = self.channels(kernel_id)
        channels.execute("x = 1")
        answer = self.rest.ask("POST", f"/api/kernels/{kernel_id}/restart", {})
        self.assertEqual((answer.status, answer.body["id"]), (200, kernel_id))
        self.assertEqual(self.channels(kernel_id).text("print('x' in globals())"), "False\n")

    def test_environment_and_folder_are_those_that_were_asked_for(self) -> None:
        env = {"KERNEL_USERNAME": "bob", "KERNEL_WORKING_DIR": "/usr", "LD_PRELOAD": "/evil.so"}
        channels = self.channels(self.kernel(env=env))
        code = "import os; print(os.environ.get('KERNEL_USERNAME'), os.getcwd(), os.environ.get('LD_PRELOAD'))"
        self.assertEqual(channels.text(code), "bob /usr None\n")

    def test_the_token_is_nowhere_in_a_kernel(self) -> None:
        channels = self.channels(self.kernel())
        code = f"import os; print([name for name, value in os.environ.items() if {self.rest.token!r} in value])"
        self.assertEqual(channels.text(code), "[]\n")

    def test_a_kernel_that_was_ended_is_gone(self) -> None:
        kernel_id = self.rest.start_kernel()
        self.assertEqual(self.rest.ask("DELETE", f"/api/kernels/{kernel_id}").status, 204)
        self.assertEqual(self.rest.ask("GET", f"/api/kernels/{kernel_id}").status, 404)
        with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
            self.rest.channels(kernel_id)
        self.assertEqual(refused.exception.status_code, 404)

    def test_one_that_its_client_may_have_again_comes_back_with_its_variables(self) -> None:
        lease = {"savepoint": {"lease": {"client": "me"}}}
        kernel_id = self.kernel(**lease)
        self.channels(kernel_id).execute("import os; x = os.getpid()")
        self.assertEqual(self.rest.ask("DELETE", f"/api/kernels/{kernel_id}").status, 204)
        self.assertEqual(self.rest.ask("GET", f"/api/kernels/{kernel_id}").status, 404)
        self.assertEqual(self.kernel(**lease), kernel_id)
        self.assertEqual(self.channels(kernel_id).text("print(x == os.getpid())"), "True\n")

    def test_a_websocket_needs_the_token(self) -> None:
        kernel_id = self.kernel()
        for token in ("", "wrong"):
            with self.assertRaises(websocket.WebSocketBadStatusException) as refused:
                Rest(token=token).channels(kernel_id)
            self.assertEqual(refused.exception.status_code, 401)

    def test_an_execution_that_waits_is_taken_back_before_it_runs(self) -> None:
        kernel_id = self.kernel()
        executions = f"/api/kernels/{kernel_id}/executions"
        asking = self.rest.ask("POST", executions, {"code": "input()"}).body
        queued = self.rest.ask("POST", f"{executions}?wait_s=0", {"code": "x = 1"})
        self.assertEqual((queued.status, queued.body["status"]), (202, "queued"))
        one = f"{executions}/{queued.body['id']}"
        self.assertEqual(self.rest.ask("DELETE", one).status, 204)
        # While the first still runs.
        cancelled = self.rest.ask("GET", one).body
        self.assertEqual((cancelled["status"], cancelled["execution_count"]), ("cancelled", None))
        self.rest.ask("POST", f"{executions}/{asking['id']}/input", {"value": "go on"})
        self.assertEqual(self.rest.ask("GET", f"{executions}/{asking['id']}?wait_s=60").body["status"], "ok")
        after = self.rest.ask("POST", f"{executions}?wait_s=60", {"code": "print('x' in globals())"}).body
        self.assertEqual((after["stdout"], after["execution_count"]), ("False\n", 2))

    def test_what_rest_has_run_is_there_for_a_websocket_that_comes_later(self) -> None:
        kernel_id = self.kernel()
        executions = f"/api/kernels/{kernel_id}/executions?wait_s=60"
        self.assertEqual(self.rest.ask("POST", executions, {"code": "print('of REST')"}).body["status"], "ok")
        channels = self.rest.channels(kernel_id, "new&replay=all")
        self.addCleanup(channels.close)
        self.assertEqual(channels.until("stream")["content"]["text"], "of REST\n")
        asking = self.rest.ask("POST", executions, {"code": "print('it runs', flush=True); input()"}).body
        late = self.rest.channels(kernel_id, "late")
        self.addCleanup(late.close)
        # Of what has ended nothing, unless it is asked for.
        self.assertEqual(late.until("stream")["content"]["text"], "it runs\n")
        self.rest.ask("DELETE", f"/api/kernels/{kernel_id}/executions/{asking['id']}")

    def test_a_session_has_a_kernel_and_ends_with_it(self) -> None:
        wanted = {"path": "work/a.ipynb", "name": "a", "type": "notebook", "kernel": {"name": "python3"}}
        session = self.rest.ask("POST", "/api/sessions", wanted).body
        channels = self.channels(session["kernel"]["id"])
        self.assertEqual(channels.text("print(6 * 7)"), "42\n")
        self.assertEqual(self.rest.ask("DELETE", f"/api/sessions/{session['id']}").status, 204)
        self.assertEqual(self.rest.ask("GET", f"/api/kernels/{session['kernel']['id']}").status, 404)


if __name__ == "__main__":
    main()
