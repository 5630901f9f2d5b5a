"""Every way to stop a gateway or a kernel, round after round: nothing of ours may be left after five seconds."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from jupyter_client.manager import KernelManager

from asking import Rest
from listeners import SocketClient
from service import PATIENCE_S, Home, Service, command, left_after
from tally import Tally

#: Each has folders of its own, and mostly waits.
AT_ONCE = 4
#: What kernels do when they are stopped.
DEEDS = {
    "rests": "x = 1",
    "loops": "print('on', flush=True)\nwhile True: pass",
    "sleeps in C": "print('on', flush=True)\nimport time; time.sleep(1000)",
    "asks": "print('on', flush=True)\ninput('?')",
    "has children": "import subprocess; p = subprocess.Popen(['sleep', '1000'])\nq = subprocess.Popen(['sh', '-c', 'sleep 1000 & sleep 1000'])",
    "has a transaction": "print('on', flush=True)\n%begin",
    "prints": "import itertools\nfor n in itertools.count(): print('line', n)",
    "ignores signals": "import signal, time\nfor s in (signal.SIGINT, signal.SIGTERM): signal.signal(s, signal.SIG_IGN)\nprint('on', flush=True)\nwhile True: time.sleep(1)",
}
STARTER = """
import sys
from jupyter_client.manager import KernelManager
manager = KernelManager(kernel_name="python3")
manager.kernel_spec_manager.kernel_dirs.insert(0, sys.argv[1])
manager.start_kernel()
client = manager.blocking_client()
client.start_channels()
client.wait_for_ready(timeout=60)
client.execute(sys.argv[2])
print("on", flush=True)
sys.stdin.read()
"""


def run(seed: int, rounds: int, tally: Tally) -> None:
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for number in range(rounds):
            list(pool.map(lambda name: _once(name, number, seed, tally), WAYS))  # noqa: B023
            if number % max(1, rounds // 10) == 0 or number == rounds - 1:
                tally.progress(number + 1, rounds, f"{len(WAYS)} ways each")
    tally.figures["ways"] = ", ".join(WAYS)


def _once(name: str, number: int, seed: int, tally: Tally) -> None:
    chance = random.Random(f"{seed}/{name}/{number}")
    home = Home()
    try:
        what = WAYS[name](home, chance, tally)
        left = home.remains_after()
        tally.check(not left, f"{name}, round {number} ({what}): left after 5 s: {left[:8]}")
    except Exception as error:
        tally.check(False, f"{name}, round {number}: {error!r}")
    finally:
        home.clear()


# ------------------------------------------------------------------------------------------------- the gateway's


def _busy(home: Home, chance: random.Random) -> tuple[Service, str]:
    """A gateway with kernels that do something."""
    service = Service(home)
    service.start()
    rest = Rest(service)
    deeds = chance.sample(list(DEEDS), 3)
    for deed in deeds:
        kernel_id = rest.start_kernel()
        if chance.random() < 0.3:
            rest.ask("PUT", f"/api/kernels/{kernel_id}/connection", {})
        client = SocketClient(service, kernel_id, v1=chance.random() < 0.5)
        home.endings.append(client.close)
        client.send("execute_request", {"code": DEEDS[deed], "silent": False, "allow_stdin": True})
        client.wait_until(lambda: any(each.type in ("stream", "execute_reply") for each in client.told), PATIENCE_S)  # noqa: B023
        if chance.random() < 0.5:
            client.close()
    return service, ", ".join(deeds)


def _signals(*numbers: int) -> Callable[[Home, random.Random, Tally], str]:
    def way(home: Home, chance: random.Random, tally: Tally) -> str:
        service, what = _busy(home, chance)
        time.sleep(chance.uniform(0, 0.5))
        code = service.stop(*numbers)
        tally.check(code is not None, f"{numbers} ({what}): the gateway did not end within {PATIENCE_S:.0f} s")
        return what

    return way


def _early(home: Home, chance: random.Random, tally: Tally) -> str:
    """While it starts."""
    service = Service(home)
    process = subprocess.Popen(
        command("serve", "--port", str(service.port), "--data-dir", str(home.data)),
        env=home.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    time.sleep(chance.uniform(0.05, 1.5))
    process.terminate()
    try:
        process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        tally.check(False, "SIGTERM at its start: the gateway did not end")
    return "at its start"


def _killed_then_ended(home: Home, chance: random.Random, tally: Tally) -> str:
    service, what = _busy(home, chance)
    service.kill()
    time.sleep(chance.uniform(0, 1))
    service.start()
    time.sleep(chance.uniform(0, 1.5))
    code = service.stop()
    tally.check(code == 0, f"SIGKILL, start, SIGTERM ({what}): exit code {code}")
    return what


def _deleted(home: Home, chance: random.Random, tally: Tally) -> str:
    """Kernels one by one, then the gateway: what a kernel had is gone with it, not only with the gateway."""
    service, what = _busy(home, chance)
    rest = Rest(service)
    for model in rest.ask("GET", "/api/kernels").body:
        answer = rest.ask("DELETE", f"/api/kernels/{model['id']}")
        tally.check(answer.status == 204, f"DELETE of a kernel ({what}): {answer}")
    children = left_after(lambda: _users(home))
    tally.check(not children, f"DELETE of all kernels ({what}): what they started lives: {children}")
    service.stop()
    return what


def _users(home: Home) -> list[str]:
    return [line for line in home.processes().values() if line.startswith(("sleep", "sh "))]


# ---------------------------------------------------------------------------------------------- the kernelspec's


def _kernelspec(home: Home) -> Path:
    """The folder of a kernelspec `python3` that is ours."""
    done = subprocess.run(
        command("install", "--prefix", str(home.path / "prefix"), "--name", "python3"),
        env=home.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the kernelspec was not installed: {done.stderr}")
    return home.path / "prefix" / "share" / "jupyter" / "kernels"


def _kernel(home: Home, chance: random.Random) -> tuple[KernelManager, str]:
    deed = chance.choice(list(DEEDS))
    folder = _kernelspec(home)
    manager = KernelManager(kernel_name="python3", connection_file=str(home.path / "jrd" / f"kernel-{os.getpid()}.json"))
    manager.kernel_spec_manager.kernel_dirs.insert(0, str(folder))
    manager.start_kernel(env=home.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=PATIENCE_S)
    msg_id = client.execute(DEEDS[deed], allow_stdin=True)
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE_S)
        ours = message["parent_header"].get("msg_id") == msg_id
        if ours and (message["msg_type"] == "stream" or message["content"].get("execution_state") == "idle"):
            break
    client.stop_channels()
    return manager, deed


def _kernel_ended(how: str) -> Callable[[Home, random.Random, Tally], str]:
    def way(home: Home, chance: random.Random, tally: Tally) -> str:
        manager, deed = _kernel(home, chance)
        if how == "request":
            manager.shutdown_kernel()
        else:
            manager.signal_kernel(getattr(signal, how))
            process = manager.provisioner.process
            process.wait(PATIENCE_S)
            # Whoever started it removes the connection file, as after every kernel that has died.
            manager.cleanup_resources()
        return deed

    return way


def _starter_gone(home: Home, chance: random.Random, tally: Tally) -> str:
    """Who started the kernel is killed, and can tell it nothing."""
    deed = chance.choice([each for each in DEEDS if each != "asks"])
    starter = subprocess.Popen(
        [sys.executable, "-c", STARTER, str(_kernelspec(home)), DEEDS[deed]],
        env=home.environment,
        cwd=home.path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert starter.stdout is not None
    if starter.stdout.readline() != b"on\n":
        raise RuntimeError("the starter did not start")
    starter.kill()
    starter.wait()
    starter.stdout.close()
    for each in Path(home.environment["JUPYTER_RUNTIME_DIR"]).glob("kernel-*.json"):
        # Only its starter knows that nobody needs it any more.
        each.unlink()
    return deed


WAYS: dict[str, Callable[[Home, random.Random, Tally], str]] = {
    "SIGTERM": _signals(signal.SIGTERM),
    "SIGINT": _signals(signal.SIGINT),
    "SIGINT twice": _signals(signal.SIGINT, signal.SIGINT),
    "SIGTERM at the start": _early,
    "SIGKILL, start, SIGTERM": _killed_then_ended,
    "DELETE": _deleted,
    "kernelspec, shutdown_request": _kernel_ended("request"),
    "kernelspec, SIGTERM": _kernel_ended("SIGTERM"),
    "kernelspec, SIGKILL": _kernel_ended("SIGKILL"),
    "kernelspec, starter killed": _starter_gone,
}
