"""What code in a kernel can reach: two users of one gateway, who are one user of the system.

In a sandbox nothing of the other, and nothing of the gateway. Without one it is as docs/security.md says; what no kernel
gets in either case are the gateway's secrets.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
from pathlib import Path
from typing import Any, ClassVar

from gateway.client import Channels, Rest
from gateway.server import PATIENCE_S, Server, command
from support.case import main

SECRETS = {
    "SAVEPOINT_TOKEN": "secret-of-the-gateway",
    "JUPYTER_TOKEN": "secret-of-jupyter",
    "AWS_SECRET_ACCESS_KEY": "secret-of-the-cloud",
    "GOOGLE_APPLICATION_CREDENTIALS": "/secret/of/google",
}
#: Environment, open files and command lines of the kernel and of whoever is above it, as far as they can be read.
ALL_THAT_IS_SEEN = """
import os
pid, seen = os.getpid(), [repr(dict(os.environ))]
while pid > 1:
    for name in ("environ", "cmdline"):
        try:
            seen.append(f"{pid} {name} {open(f'/proc/{pid}/{name}', errors='replace').read()}")
        except OSError as error:
            seen.append(f"{pid} {name} {error.strerror}")
    if pid == GATEWAY:
        break
    pid = int(open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[1])
for fd in os.listdir("/proc/self/fd"):
    try:
        seen.append(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        pass
print("\\n".join(seen))
"""


def token_of(subject: str) -> str:
    """A token for everything but `admin`."""
    return subprocess.check_output(
        command("token", "create", "--subject", subject), text=True, stderr=subprocess.DEVNULL
    ).split()[0]


def why_not() -> str | None:
    """Why there can be no sandbox on this machine, or None."""
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        return "bubblewrap is not installed"
    tried = subprocess.run(
        [bwrap, "--unshare-user", "--ro-bind", "/", "/", "--", "/bin/true"], capture_output=True, text=True
    )
    return None if tried.returncode == 0 else f"bubblewrap may not work here: {tried.stderr.strip()}"


class Base(unittest.TestCase):
    SETTINGS: ClassVar[dict[str, str]] = {}
    server: ClassVar[Server]
    home: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.home = Path(folder.name)
        cls.server = Server.start(
            SAVEPOINT_KERNELS_ROOT=f"{folder.name}/{{user}}", SAVEPOINT_POOL_SIZE="0", **{**SECRETS, **cls.SETTINGS}
        )
        cls.addClassCleanup(cls.server.stop)

    def kernel_of(self, subject: str) -> tuple[Rest, str, Channels]:
        rest = Rest(self.server.url, token_of(subject))
        kernel_id = rest.start_kernel()
        channels = rest.channels(kernel_id)
        self.addCleanup(rest.ask, "DELETE", f"/api/kernels/{kernel_id}")
        self.addCleanup(channels.close)
        return rest, kernel_id, channels

    def error(self, channels: Channels, code: str) -> str:
        found = [each["content"] for each in channels.execute(code) if each["msg_type"] == "error"]
        return f"{found[0]['ename']}: {found[0]['evalue']}" if found else ""

    def no_secrets_in(self, channels: Channels) -> str:
        seen = channels.text(f"GATEWAY = {self.server.pid}" + ALL_THAT_IS_SEEN)
        mine = [line for line in seen.splitlines() if not line.startswith(f"{self.server.pid} environ")]
        for secret in (*SECRETS.values(), self.server.token):
            self.assertNotIn(secret, "\n".join(mine))
        return seen


class WithoutSandbox(Base):
    """One that is not asked for: a kernel may do what the gateway's user may do, but is given no secrets."""

    def test_the_gateways_secrets_are_not_given_to_a_kernel(self) -> None:
        _, _, ann = self.kernel_of("ann")
        self.assertIn("PATH", self.no_secrets_in(ann))

    def test_each_user_has_a_working_folder(self) -> None:
        _, _, ann = self.kernel_of("ann")
        _, _, evil = self.kernel_of("../ann")
        folder = ann.text("import os; print(os.getcwd())").strip()
        self.assertEqual(folder, f"{self.home}/ann")
        other = evil.text("import os; print(os.getcwd())").strip()
        self.assertEqual(os.path.dirname(other), str(self.home))
        self.assertNotEqual(other, folder)

    def test_only_named_variables_are_given_if_some_are_named(self) -> None:
        server = Server.start(SAVEPOINT_KERNELS_INHERITED_ENVIRONMENT="APP_*", APP_ONE="1", OTHER="2", **SECRETS)
        self.addCleanup(server.stop)
        rest = Rest(server.url, server.token)
        channels = rest.channels(rest.start_kernel())
        self.addCleanup(channels.close)
        said = channels.text("import os; print(os.environ.get('APP_ONE'), os.environ.get('OTHER'), 'PATH' in os.environ)")
        self.assertEqual(said, "1 None True\n")


class Crossing(Base):
    """What the gateway keeps apart whoever asks, with or without a sandbox."""

    def test_nothing_of_another_user_is_there(self) -> None:
        ann, hers, her_kernel = self.kernel_of("ann")
        bob, his, his_kernel = self.kernel_of("bob")
        her_kernel.execute("secret = 'of ann'\n%checkpoint kept")
        began = ann.ask("POST", f"/api/kernels/{hers}/executions?wait_s=30", {"code": "secret"}).body["id"]
        opened = ann.ask("POST", f"/api/kernels/{hers}/transactions", {"op": "begin"}).body["id"]
        ann.ask("PUT", f"/api/kernels/{hers}/connection")
        session = ann.ask("POST", "/api/sessions", {"path": "a.ipynb", "type": "notebook", "name": "", "kernel": {"id": hers}})
        with self.subTest("over REST"):
            of_kernel = f"/api/kernels/{hers}"
            for method, path in (
                ("GET", ""),
                ("DELETE", ""),
                ("POST", "/interrupt"),
                ("POST", "/restart"),
                ("POST", "/executions"),
                ("GET", f"/executions/{began}"),
                ("GET", f"/executions/{began}/outputs"),
                ("GET", f"/executions/{began}/events"),
                ("GET", f"/transactions/{opened}"),
                ("POST", f"/transactions/{opened}/commit"),
                ("GET", "/snapshots"),
                ("POST", "/fork"),
                ("GET", "/checkpoints"),
                ("GET", "/connection"),
                ("PUT", "/connection"),
            ):
                body = {"code": "1"} if path == "/executions" else {"count": 1} if path == "/fork" else None
                answer = bob.ask(method, of_kernel + path, body)
                self.assertEqual((answer.status, answer.body["code"]), (404, "unknown_kernel"), f"{method} {path}")
            self.assertEqual([each["id"] for each in bob.ask("GET", "/api/kernels").body], [his])
            found = bob.ask("GET", f"/api/sessions/{session.body['id']}")
            self.assertEqual(found.status, 404)
            taken = bob.ask("POST", "/api/kernels", {"kernel_id": hers})
            self.assertEqual((taken.status, taken.body["code"]), (409, "already_exists"))
            for name in (began, opened):
                kind = "executions" if name == began else "transactions"
                self.assertEqual(bob.ask("GET", f"/api/kernels/{his}/{kind}/{name}").status, 404)
        with self.subTest("over a WebSocket"):
            with self.assertRaises(Exception) as raised:
                bob.channels(hers)
            self.assertIn("404", str(raised.exception))
        with self.subTest("from code in a kernel"):
            self.assertIn("unknown_checkpoint", self.error(his_kernel, "%restore kept"))
            self.assertNotIn("of ann", his_kernel.text("%history -g secret"))
            self.assertIn("no_transaction", self.error(his_kernel, "%rollback"))
            # Frozen copies are numbered by each kernel, and looked for by the place that asks.
            self.assertEqual(his_kernel.text("%undo 1\nprint('secret' in dir())").count("of ann"), 0)
        with self.subTest("zygotes"):
            parent = "import os; print(os.getppid())"
            self.assertNotEqual(her_kernel.text(parent), his_kernel.text(parent))
            self.assertEqual(her_kernel.text("print(secret)"), "of ann\n")


@unittest.skipIf(why_not(), f"There can be no sandbox here: {why_not()}.")
class InSandbox(Crossing):
    SETTINGS: ClassVar[dict[str, str]] = {"SAVEPOINT_SANDBOX_ENABLED": "on"}

    def test_the_gateways_secrets_are_out_of_reach(self) -> None:
        _, _, ann = self.kernel_of("ann")
        seen = self.no_secrets_in(ann)
        for secret in (*SECRETS.values(), self.server.token):
            self.assertNotIn(secret, seen)
        self.assertNotIn("--token secret", seen)
        data = os.environ["SAVEPOINT_DATA_DIR"]
        self.assertEqual(ann.text(f"import os; print([each for _, _, files in os.walk({data!r}) for each in files])"), "[]\n")

    def test_processes_outside_can_neither_be_read_nor_signalled(self) -> None:
        _, _, ann = self.kernel_of("ann")
        _, _, bob = self.kernel_of("bob")
        his = int(bob.text("import os; print(os.getpid())"))
        for pid in (self.server.pid, his):
            for what in ("environ", "root/etc/passwd", "mem", "maps"):
                self.assertIn("PermissionError", self.error(ann, f"open('/proc/{pid}/{what}', 'rb').read(1)"))
            self.assertIn("PermissionError", self.error(ann, f"import os; os.readlink('/proc/{pid}/fd/0')"))
        if "True" in ann.text("from savepoint_worker import confinement; print(confinement.confine())"):
            for pid in (self.server.pid, his):
                self.assertIn("PermissionError", self.error(ann, f"import os; os.kill({pid}, 0)"))
        else:
            print("Not tested: signals, since this system has no Landlock that scopes them.")

    def test_sockets_pipes_and_files_of_another_user_are_not_there(self) -> None:
        _, _, ann = self.kernel_of("ann")
        _, _, bob = self.kernel_of("bob")
        bob.execute("open('his.txt', 'w').write('of bob')\n%checkpoint his")
        pipe = bob.text("import os; print(os.readlink('/proc/self/fd/1'))").strip()
        self.assertTrue(os.path.exists(pipe), pipe)
        folder = ann.text("import os; print(os.getcwd())").strip()
        look = "import os; print([path for path in {paths!r} if os.path.exists(path)])"
        paths = [pipe, os.path.dirname(pipe), f"{self.home}/bob/his.txt", f"{self.home}/bob", os.path.expanduser("~/.ssh")]
        self.assertEqual(ann.text(look.format(paths=paths)), "[]\n")
        self.assertEqual(folder, f"{self.home}/ann")
        # What is beside its own pipe is its own alone.
        own = ann.text("import os; print(sorted(os.listdir(os.path.dirname(os.readlink('/proc/self/fd/1')))))")
        self.assertNotIn(os.path.basename(pipe), own)

    def test_the_system_is_read_only_and_tmp_is_its_own(self) -> None:
        _, _, ann = self.kernel_of("ann")
        for path in ("/usr/x", "/etc/x", "/proc/sys/kernel/core_pattern"):
            self.assertRegex(self.error(ann, f"open({path!r}, 'w')"), "Read-only|Permission|No such")
        with tempfile.NamedTemporaryFile(dir="/tmp") as file:
            self.assertEqual(ann.text(f"import os; print(os.path.exists({file.name!r}))"), "False\n")
        self.assertEqual(self.error(ann, "open('/tmp/mine', 'w').write('x')"), "")
        self.assertFalse(os.path.exists("/tmp/mine"))

    def test_a_working_folder_that_is_not_there_is_refused(self) -> None:
        rest, _, bob = self.kernel_of("bob")
        bob.execute("import os; os.mkdir('below')")
        for folder in (self.home, Path(__file__).parent):
            refused = rest.ask("POST", "/api/kernels", {"env": {"KERNEL_WORKING_DIR": str(folder)}})
            self.assertEqual((refused.status, refused.body["code"]), (400, "bad_request"), refused)
            self.assertIn(f"a folder below {self.home}/bob", refused.body["message"])
        kernel_id = rest.start_kernel(env={"KERNEL_WORKING_DIR": f"{self.home}/bob/below"})
        self.addCleanup(rest.ask, "DELETE", f"/api/kernels/{kernel_id}")
        channels = rest.channels(kernel_id)
        self.addCleanup(channels.close)
        self.assertEqual(channels.text("import os; print(os.getcwd())"), f"{self.home}/bob/below\n")

    def test_all_that_kernels_do_goes_on_as_ever(self) -> None:
        rest, kernel_id, ann = self.kernel_of("ann")
        ann.execute("x = [1]\n%checkpoint one")
        ann.execute("x = [2]")
        self.assertIn("Restored", ann.text("%restore one"))
        self.assertEqual(ann.text("print(x)"), "[1]\n")
        ann.execute("%%transaction rollback_always\nx.append(3)")
        self.assertEqual(ann.text("import subprocess; print(x, subprocess.check_output(['echo', 'child'], text=True))"), "[1] child\n\n")
        forked = rest.ask("POST", f"/api/kernels/{kernel_id}/fork", {"count": 1})
        self.assertEqual(forked.status, 201, forked)
        copy = rest.channels(forked.body["kernels"][0]["id"])
        self.addCleanup(copy.close)
        self.assertEqual(copy.text("print(x)"), "[1]\n")
        self.assertIn("WorkerDied", self.error(ann, "import os; os.kill(os.getpid(), 11)"))
        self.assertEqual(ann.text("print(x)"), "[1]\n")


@unittest.skipIf(why_not(), f"There can be no sandbox here: {why_not()}.")
class Alone(unittest.TestCase):
    def folder(self) -> str:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def test_without_a_network_there_is_none(self) -> None:
        server = Server.start(
            SAVEPOINT_SANDBOX_ENABLED="on", SAVEPOINT_SANDBOX_NETWORK="off", SAVEPOINT_KERNELS_ROOT=self.folder()
        )
        self.addCleanup(server.stop)
        rest = Rest(server.url, server.token)
        channels = rest.channels(rest.start_kernel())
        self.addCleanup(channels.close)
        port = server.url.rsplit(":", 1)[1].strip("/")
        connect = f"import socket\ntry: socket.create_connection(('127.0.0.1', {port}), 5)"
        said = channels.text(f"{connect}\nexcept OSError as error: print(type(error).__name__)")
        self.assertEqual(said, "ConnectionRefusedError\n")

    def test_kernels_in_a_sandbox_outlive_a_gateway_that_is_killed(self) -> None:
        settings: dict[str, Any] = {"SAVEPOINT_SANDBOX_ENABLED": "on", "SAVEPOINT_POOL_SIZE": "0"}
        settings |= {"SAVEPOINT_DATA_DIR": self.folder(), "SAVEPOINT_KERNELS_ROOT": self.folder()}
        first = Server.start(**settings)
        rest = Rest(first.url, first.token)
        kernel_id = rest.start_kernel()
        channels = rest.channels(kernel_id)
        channels.execute("x = 'from before'")
        pid = channels.text("import os; print(os.getpid())")
        os.kill(first.pid, signal.SIGKILL)
        self.assertEqual(first.exit_code, -signal.SIGKILL)
        second = Server.start(**settings)
        self.addCleanup(second.stop)
        rest = Rest(second.url, second.token)
        deadline = time.monotonic() + PATIENCE_S
        while rest.ask("GET", f"/api/kernels/{kernel_id}").status == 503 and time.monotonic() < deadline:
            time.sleep(0.1)
        channels = rest.channels(kernel_id)
        self.addCleanup(channels.close)
        self.assertEqual(channels.text("print(x, os.getpid())"), f"from before {pid}")
        self.assertIn("Checkpoint", channels.text("%checkpoint after"))

    def test_that_is_missing_keeps_the_gateway_from_starting(self) -> None:
        environment = {**os.environ, "SAVEPOINT_SANDBOX_ENABLED": "on", "PATH": os.path.dirname(shutil.which("node") or "")}
        if shutil.which("bwrap", path=environment["PATH"]):
            environment["PATH"] = "/nowhere"
        refused = subprocess.run(
            [shutil.which("node") or "node", *command("serve", "--port", "0")[1:]],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(refused.returncode, 2, refused)
        self.assertIn("apt-get install bubblewrap", refused.stderr)
        self.assertEqual(refused.stdout, "")



if __name__ == "__main__":
    main()
