"""Checkpoints over REST, with real kernels: what is kept, compared, sent and taken in, whose it is, and what is refused."""

from __future__ import annotations

import http.client
import os
import shutil
import subprocess
import unittest
import urllib.parse
import uuid
from pathlib import Path
from typing import Any

from gateway.client import Channels, Rest
from gateway.server import command
from support.case import main
from support.subject import scratch

ALL = "/api/savepoint/checkpoints"
WORK = "import numpy as np\nrows = np.arange(500_000, dtype=float)\nnotes = ['loaded']\nview = rows[:10]"


def token_of(subject: str) -> str:
    return subprocess.check_output(command("token", "create", "--subject", subject), text=True).split()[0]


def raw(rest: Rest, method: str, path: str, body: bytes | None = None, length: int | None = None) -> tuple[int, bytes, str]:
    """Status, bytes and media type of the answer; `length` is what the request claims to send."""
    url = urllib.parse.urlsplit(rest.url)
    connection = http.client.HTTPConnection(url.hostname or "", url.port or 80, timeout=60)
    try:
        headers = {"Authorization": f"token {rest.token}", "Content-Type": "application/vnd.savepoint.checkpoint"}
        if length is not None:
            headers["Content-Length"] = str(length)
        connection.request(method, path, body, headers)
        if length is not None and connection.sock is not None:
            # The rest never comes.
            connection.sock.shutdown(1)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers.get("Content-Type", "")
    finally:
        connection.close()


class CheckpointCase(unittest.TestCase):
    rest: Rest
    kernel: str
    channels: Channels

    @classmethod
    def setUpClass(cls) -> None:
        cls.rest = Rest()
        cls.kernel = cls.rest.start_kernel()
        cls.addClassCleanup(cls.rest.ask, "DELETE", f"/api/kernels/{cls.kernel}")
        cls.channels = cls.rest.channels(cls.kernel)
        cls.addClassCleanup(cls.channels.close)

    def run_code(self, code: str, kernel: str | None = None) -> str:
        body = {"code": code}
        done = self.rest.ask("POST", f"/api/kernels/{kernel or self.kernel}/executions?wait_s=60", body).body
        self.assertEqual(done["status"], "ok", done.get("error"))
        return str(done["stdout"] + (done["result"] or {}).get("text/plain", ""))

    def save(self, **fields: Any) -> dict[str, Any]:
        made = self.rest.ask("POST", f"/api/kernels/{self.kernel}/checkpoints", fields)
        self.assertEqual(made.status, 201, made)
        body: dict[str, Any] = made.body
        return body

    def assert_refused(self, answer: Any, status: int, code: str) -> None:
        self.assertEqual((answer.status, answer.body.get("code")), (status, code), answer)


class Timeline(CheckpointCase):
    def test_a_change_costs_what_changed_and_is_told(self) -> None:
        self.run_code(WORK)
        first = self.save(name="first", note="as it was")
        self.run_code("notes.append('marked'); extra = {'a': 1}")
        second = self.save(name="second")
        self.assertEqual(second["parent_id"], first["checkpoint_id"])
        self.assertLess(second["written_bytes"], 100_000)
        self.assertGreater(second["checkpoint_size"], 4_000_000)
        told = self.rest.ask("GET", f"{ALL}/first/diff?to=second").body
        self.assertEqual([each["name"] for each in told["added"]], ["extra"])
        self.assertIn("notes", [each["name"] for each in told["changed"]])
        self.assertNotIn("rows", [each["name"] for each in told["changed"]])
        self.assertIn("notes.append('marked')", "\n".join(told["code"]))
        self.run_code("del extra")
        present = self.rest.ask("GET", f"{ALL}/{second['checkpoint_id']}/diff").body
        self.assertEqual([each["name"] for each in present["removed"]], ["extra"])
        found = self.rest.ask("GET", f"{ALL}?q=as%20it%20was&kernel_id={self.kernel}").body
        self.assertEqual([each["checkpoint_id"] for each in found["items"]], [first["checkpoint_id"]])
        described = self.rest.ask("GET", f"{ALL}/{first['checkpoint_id']}").body
        objects = {each["name"]: each for each in described["objects"]}
        self.assertEqual(objects["rows"]["verdict"], "exact")
        self.assertEqual(self.rest.ask("GET", f"{ALL}/first/validate").body, {"valid": True, "damaged": []})

    def test_a_branch_is_tried_and_dropped(self) -> None:
        self.run_code(WORK)
        base = self.save(name="base")
        ops = f"/api/kernels/{self.kernel}/checkpoints"
        branched = self.rest.ask("POST", ops, {"op": "branch", "checkpoint": "base", "name": "try"})
        self.assertEqual((branched.status, branched.body["branch"]), (200, "try"), branched)
        self.run_code("notes.clear()")
        tried = self.save(name="tried")
        self.assertEqual((tried["branch"], tried["parent_id"]), ("try", base["checkpoint_id"]))
        self.assertEqual(self.rest.ask("GET", f"{ops}?branch=try").body["total_count"], 1)
        restored = self.rest.ask("POST", f"/api/kernels/{self.kernel}/restore", {"checkpoint": "base"})
        self.assertEqual(restored.status, 200, restored)
        self.assertEqual(self.run_code("notes, view.base is rows or (view == rows[:10]).all()"), "(['loaded'], True)")
        self.assertEqual(self.save()["branch"], "main")

    def test_a_new_kernel_begins_with_a_checkpoint(self) -> None:
        self.run_code(WORK + "\nkernel_value = 42")
        self.save(name="to begin with")
        started = self.rest.ask("POST", "/api/kernels", {"savepoint": {"checkpoint": "to begin with"}})
        self.assertEqual(started.status, 201, started)
        kernel = started.body["id"]
        self.addCleanup(self.rest.ask, "DELETE", f"/api/kernels/{kernel}")
        self.assertEqual(self.run_code("kernel_value, float(rows.sum())", kernel), "(42, 124999750000.0)")
        other = Rest(token=token_of(f"eve-{uuid.uuid4().hex}"))
        refused = other.ask("POST", "/api/kernels", {"savepoint": {"checkpoint": "never saved"}})
        self.assert_refused(refused, 404, "unknown_checkpoint")
        self.assertEqual(other.ask("GET", "/api/kernels").body, [])


class Files(CheckpointCase):
    def test_one_is_sent_deleted_and_taken_in_again(self) -> None:
        self.run_code(WORK + "\nsent = 'over there'")
        made = self.save(name="sent")
        status, content, media_type = raw(self.rest, "GET", f"{ALL}/{made['checkpoint_id']}/data")
        self.assertEqual((status, media_type), (200, "application/vnd.savepoint.checkpoint"))
        self.assertGreater(len(content), 4_000_000)
        self.assertEqual(self.rest.ask("DELETE", f"{ALL}/{made['checkpoint_id']}").status, 204)
        self.assert_refused(self.rest.ask("GET", f"{ALL}/{made['checkpoint_id']}"), 404, "unknown_checkpoint")
        status, _, _ = raw(self.rest, "POST", f"{ALL}/import", content)
        self.assertEqual(status, 201)
        self.run_code("del sent")
        restored = self.rest.ask("POST", f"/api/kernels/{self.kernel}/restore", {"checkpoint": "sent"})
        self.assertEqual(restored.status, 200, restored)
        self.assertEqual(self.run_code("sent"), "'over there'")

    def test_what_is_no_file_of_ours_is_refused_and_nothing_is_taken_in(self) -> None:
        self.run_code("fresh = " + repr(os.urandom(20_000).hex()))
        made = self.save()
        _, content, _ = raw(self.rest, "GET", f"{ALL}/{made['checkpoint_id']}/data")
        self.rest.ask("DELETE", f"{ALL}/{made['checkpoint_id']}")
        mine = f"{ALL}?kernel_id={self.kernel}"
        count = self.rest.ask("GET", mine).body["total_count"]
        flipped = bytearray(content)
        flipped[len(content) - 60] ^= 1
        for body, codes in (
            (b"", ("damaged_checkpoint", "bad_request")),
            (b"no checkpoint", ("damaged_checkpoint",)),
            (content[:-1], ("damaged_checkpoint",)),
            (content + b"x", ("damaged_checkpoint",)),
            (bytes(flipped), ("damaged_checkpoint", "foreign_checkpoint")),
        ):
            with self.subTest(len(body)):
                status, told, _ = raw(self.rest, "POST", f"{ALL}/import", body)
                self.assertIn(status, (400, 403, 422))
                self.assertTrue(any(code.encode() in told for code in codes), told)
        with self.subTest("a trust that is no name"):
            status, told, _ = raw(self.rest, "POST", f"{ALL}/import?trust=..%2F..%2Fcheckpoint", content)
            self.assertIn(status, (400, 403))
        with self.subTest("cut on the way"):
            try:
                status, _, _ = raw(self.rest, "POST", f"{ALL}/import", content[:1000], length=len(content))
                self.assertGreaterEqual(status, 400)
            except (http.client.HTTPException, OSError):
                pass
        self.assertEqual(self.rest.ask("GET", mine).body["total_count"], count)
        self.assertEqual(self.run_code("len(fresh)"), "40000")

    def test_another_gateways_file_needs_a_key_that_is_trusted(self) -> None:
        elsewhere = scratch("elsewhere")
        self.run_code(WORK)
        made = self.save(name="travels")
        _, content, _ = raw(self.rest, "GET", f"{ALL}/{made['checkpoint_id']}/data")
        file = elsewhere / "travels.savepoint"
        file.write_bytes(content)

        def checkpoints(*words: str) -> subprocess.CompletedProcess[str]:
            data = ["--data-dir", str(elsewhere / "data")]
            return subprocess.run(command("checkpoints", *words, *data), capture_output=True, text=True, check=False)

        refused = checkpoints("import", str(file))
        self.assertEqual(refused.returncode, 1, refused)
        trusted = elsewhere / "data" / "keys" / "trusted"
        trusted.mkdir(parents=True, mode=0o700)
        shutil.copy(Path(os.environ["SAVEPOINT_DATA_DIR"], "keys", "checkpoint.key"), trusted / "lab.key")
        taken = checkpoints("import", str(file), "--trust", "lab")
        self.assertEqual(taken.returncode, 0, taken)
        self.assertEqual(checkpoints("validate", "travels").returncode, 0)
        self.assertIn("rows", checkpoints("show", "travels").stdout)


class Refusals(CheckpointCase):
    def test_nothing_that_is_wrong_changes_the_kernel(self) -> None:
        self.run_code("kept = [1, 2, 3]")
        made = self.save(name="whole")
        ops, restore = f"/api/kernels/{self.kernel}/checkpoints", f"/api/kernels/{self.kernel}/restore"
        for path, body, status, code in (
            (ops, {"name": "a/b"}, 400, "name_invalid"),
            (ops, {"name": ""}, 400, "name_invalid"),
            (ops, {"name": "cp_mine"}, 400, "name_invalid"),
            (ops, {"name": "x" * 201}, 400, "name_invalid"),
            (ops, {"name": 7}, 400, "name_invalid"),
            (ops, {"name": "a\nb"}, 400, "name_invalid"),
            (ops, {"exclude": "x"}, 400, "bad_request"),
            (ops, {"op": "sing"}, 400, "unknown_op"),
            (ops, {"op": "branch", "checkpoint": "whole", "name": "a/b"}, 400, "name_invalid"),
            (ops, {"op": "branch", "checkpoint": "none", "name": "b"}, 404, "unknown_checkpoint"),
            (ops, {"op": "cancel", "checkpoint": "none"}, 404, "unknown_checkpoint"),
            (ops, {"op": "cancel", "checkpoint": made["checkpoint_id"]}, 409, "already_settled"),
            (ops, {"op": "diff", "from": 5}, 400, "bad_request"),
            (ops, {"op": "export", "checkpoint": "whole"}, 400, "unknown_op"),
            (restore, {"checkpoint": "none"}, 404, "unknown_checkpoint"),
            (restore, {"checkpoint": "cp_" + "0" * 32}, 404, "unknown_checkpoint"),
            (restore, {"checkpoint": "../../../etc/passwd"}, 404, "unknown_checkpoint"),
            (restore, {"checkpoint": "whole", "mode": "twice"}, 400, "bad_request"),
            (restore, {"checkpoint": "whole", "names": [1]}, 400, "bad_request"),
            (restore, {}, 400, "bad_request"),
        ):
            with self.subTest(body):
                self.assert_refused(self.rest.ask("POST", path, body), status, code)
        for path in ("nope", "cp_" + "0" * 32, "..%2F..%2Fkeys", "%00", "x" * 400):
            for rest in ("", "/validate", "/diff?to=whole", "/data"):
                with self.subTest(path + rest):
                    answer = self.rest.ask("GET", f"{ALL}/{path}{rest}")
                    self.assert_refused(answer, 404, "unknown_checkpoint")
        self.assertEqual(self.run_code("kept"), "[1, 2, 3]")

    def test_another_subjects_are_not_there(self) -> None:
        self.run_code("secret = 'mine'")
        made = self.save(name="not-yours")
        # Of nobody else: other tests share this gateway.
        bob = Rest(token=token_of(f"bob-{uuid.uuid4().hex}"))
        one = f"{ALL}/{made['checkpoint_id']}"
        for method, path in (
            ("GET", one),
            ("GET", f"{one}/validate"),
            ("GET", f"{one}/data"),
            ("GET", f"{one}/diff"),
            ("GET", f"{ALL}/not-yours"),
            ("DELETE", one),
        ):
            with self.subTest(f"{method} {path}"):
                self.assert_refused(bob.ask(method, path), 404, "unknown_checkpoint")
        self.assertEqual(bob.ask("GET", f"{ALL}?q=not-yours").body["total_count"], 0)
        body = {"savepoint": {"checkpoint": made["checkpoint_id"]}}
        refused = bob.ask("POST", "/api/kernels", body)
        self.assertIn(refused.status, (403, 404))
        self.assertIn(refused.body["code"], ("foreign_checkpoint", "unknown_checkpoint"))
        self.assertEqual(bob.ask("GET", "/api/kernels").body, [])
        self.assertEqual(self.rest.ask("GET", one).status, 200)


if __name__ == "__main__":
    main()
