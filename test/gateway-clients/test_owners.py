"""Whose checkpoints and whose history: subjects share a gateway and its data folder, and nothing that is kept there."""

from __future__ import annotations

import subprocess
import unittest

from gateway.client import Channels, Rest
from gateway.server import command
from support.case import main
from support.client import start_kernel, stop_kernel


def token_of(subject: str) -> str:
    """A token of the data folder that all tests share, for everything but `admin`."""
    return subprocess.check_output(command("token", "create", "--subject", subject), text=True).split()[0]


class Owners(unittest.TestCase):
    def kernel(self, rest: Rest) -> tuple[str, Channels]:
        kernel_id = rest.start_kernel(argv=command("kernel", "-f", "{connection_file}"))
        self.addCleanup(Rest().ask, "DELETE", f"/api/kernels/{kernel_id}")
        channels = rest.channels(kernel_id)
        self.addCleanup(channels.close)
        return kernel_id, channels

    def refusal(self, channels: Channels, code: str) -> str:
        errors = [each for each in channels.execute(code) if each["msg_type"] == "error"]
        return str(errors[0]["content"]["evalue"]) if errors else ""

    def test_a_subject_finds_its_own_checkpoints_and_history_alone(self) -> None:
        ann, bob = Rest(token=token_of("ann")), Rest(token=token_of("bob"))
        hers, her_kernel = self.kernel(ann)
        her_kernel.execute("secret = 'of ann'")
        made = ann.ask("POST", f"/api/kernels/{hers}/checkpoints", {"name": "shared-name"})
        self.assertEqual(made.status, 201, made)
        checkpoint = made.body["checkpoint_id"]
        self.assertNotIn("owner", made.body)
        self.assertEqual(ann.ask("DELETE", f"/api/kernels/{hers}").status, 204)

        with self.subTest("another subject"):
            his, his_kernel = self.kernel(bob)
            self.assertIn("unknown_checkpoint", self.refusal(his_kernel, "%restore shared-name"))
            self.assertIn("foreign_checkpoint", self.refusal(his_kernel, f"%restore {checkpoint}"))
            restore = f"/api/kernels/{his}/restore"
            self.assertEqual(bob.ask("POST", restore, {"checkpoint": "shared-name"}).body["code"], "unknown_checkpoint")
            refused = bob.ask("POST", restore, {"checkpoint": checkpoint})
            self.assertEqual((refused.status, refused.body["code"]), (403, "foreign_checkpoint"))
            listed = bob.ask("POST", f"/api/kernels/{his}/checkpoints", {"op": "list"}).body
            self.assertEqual((listed["items"], listed["total_count"]), ([], 0))
            self.assertEqual(bob.ask("GET", "/api/savepoint/checkpoints").body["total_count"], 0)
            for method, path in (("GET", ""), ("GET", "/validate"), ("DELETE", "")):
                answer = bob.ask(method, f"/api/savepoint/checkpoints/{checkpoint}{path}")
                self.assertEqual((answer.status, answer.body["code"]), (404, "unknown_checkpoint"))
            self.assertNotIn("of ann", his_kernel.text("%history -g secret"))

        with self.subTest("the same subject, and an administrator"):
            _, her_next = self.kernel(ann)
            her_next.execute("%restore shared-name")
            self.assertEqual(her_next.text("print(secret)"), "of ann\n")
            self.assertIn("of ann", her_next.text("%history -g secret"))
            self.assertEqual(ann.ask("GET", "/api/savepoint/checkpoints").body["total_count"], 1)
            self.assertEqual(Rest().ask("GET", f"/api/savepoint/checkpoints/{checkpoint}").status, 200)
            self.assertEqual(Rest().ask("DELETE", f"/api/savepoint/checkpoints/{checkpoint}").status, 204)

    def test_kernels_with_and_without_a_gateway_find_what_the_other_keeps(self) -> None:
        _, of_gateway = self.kernel(Rest())
        manager, alone = start_kernel(argv=command("kernel", "-f", "{connection_file}"))
        self.addCleanup(stop_kernel, manager, alone)
        of_gateway.execute("x = 1\n%checkpoint by-gateway")
        alone.execute("%restore by-gateway")
        self.assertEqual(alone.value("x"), "1")
        alone.execute("x = 2\n%checkpoint by-kernel")
        of_gateway.execute("%restore by-kernel")
        self.assertEqual(of_gateway.text("print(x)"), "2\n")


if __name__ == "__main__":
    main()
