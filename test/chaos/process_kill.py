"""Signals to workers, snapshots and zygotes, links that are cut, clocks that jump, disks that are full or fail.

After each blow: the cell that ran has ended exactly once, with all of its output if it was `ok`, and in an order that
can be; the kernel answers; its variables are back, or it was said what is lost; nothing of the other kernels has changed.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import bad_disks
from asking import Rest
from cells import cell
from drivers import content_of
from faults import Cutter
from listeners import Gone
from service import Home, Service, left_after
from struck import CELL_WITHIN_S, HARMLESS, Kernel, check_cell
from tally import Tally

KERNELS = 4
#: A kernel that loses its Python for the sixth time within a minute is given up, and stays dead.
ZYGOTES_APART_S = 13.0
#: Blows to one kernel.
BLOWS = ("worker SIGKILL", "worker SIGSEGV", "worker SIGSTOP", "snapshot SIGKILL", "snapshot SIGSTOP", "link cut", "worker SIGKILL at rest")


def children_of(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        try:
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        if entry.name.isdigit() and int(fields[1]) == pid:
            found.append(int(entry.name))
    return found


def run(seed: int, rounds: int, tally: Tally) -> None:
    _signals(seed, rounds, tally)
    bad_disks.clock(seed, max(1, rounds // 5), tally)
    bad_disks.disk_errors(seed, max(1, rounds // 5), tally)
    bad_disks.full_disk(seed, max(1, rounds // 10), tally)


# --------------------------------------------------------------------------------------------- signals and links


def _signals(seed: int, rounds: int, tally: Tally) -> None:
    home = Home()
    service = Service(home, "--guard", "--pool-size", "0")
    cutter: Cutter | None = None
    try:
        service.start()
        links = list(Path(home.environment["XDG_RUNTIME_DIR"]).glob("savepoint-*/*/link"))
        tally.check(len(links) == 1, f"there are {len(links)} links to cut")
        cutter = Cutter(links[0], seed) if links else None
        kernels = [Kernel(service, number, seed) for number in range(KERNELS)]
        struck = 0.0
        for number in range(rounds):
            chance = random.Random(f"{seed}/{number}")
            whole = number % 5 == 4
            # The blow to the zygote is to all of them; else each has its own.
            blow = chance.choice(["zygote SIGKILL", "zygote SIGSTOP", "zygote's link cut"]) if whole else None
            if blow:
                time.sleep(max(0.0, struck + ZYGOTES_APART_S - time.monotonic()))
                struck = time.monotonic()
            threads = [
                threading.Thread(target=_blow, args=(kernel, number, blow or chance.choice(BLOWS), seed, cutter, tally))
                for kernel in kernels
            ]
            for each in threads:
                each.start()
            if blow:
                time.sleep(chance.uniform(0.1, 0.6))
                _zygotes(home, service, blow, chance, cutter)
            for each in threads:
                each.join(4 * CELL_WITHIN_S)
            for kernel in kernels if blow else ():
                _after(kernel, f"round {number}, kernel {kernel.number}, {blow}, at rest", tally)
            if number % max(1, rounds // 10) == 0 or number == rounds - 1:
                tally.progress(number + 1, rounds, f"{tally.failed} failures")
            if not tally.check(service.alive, f"round {number}: the gateway has ended"):
                break
        listed = {model["id"] for model in Rest(service).ask("GET", "/api/kernels").body}
        tally.check(all(kernel.id in listed for kernel in kernels), "a kernel is lost")
        if cutter:
            tally.figures["links that were cut in a frame"] = cutter.cuts
        for kernel in kernels:
            kernel.client.close()
        tally.check(service.stop() == 0, "the gateway did not end in order")
        if cutter:
            cutter.close()
            cutter = None
        left = left_after(lambda: [each for each in home.remains() if not _is_cutters(each)])
        tally.check(not left, f"left behind after signals: {left[:8]}")
    finally:
        if tally.failed:
            print(f"---- log of the gateway, its end\n{service.log()[-3000:]}", flush=True)
        if cutter:
            cutter.close()
        home.clear()


def _is_cutters(remains: str) -> bool:
    """May it remain because the cutter stood at that socket?"""
    return remains.endswith(("/link", "/door")) or remains.startswith("runtime folder")


def _zygotes(home: Home, service: Service, blow: str, chance: random.Random, cutter: Cutter | None) -> None:
    """Those that the gateway has started: the children of its process that run our program."""
    found = [pid for pid in children_of(service.pid) if "start_worker" in home.processes().get(pid, "")]
    if not found:
        return
    victim = chance.choice(found)
    if blow.endswith("link cut"):
        if cutter:
            cutter.cut(victim)
    else:
        _strike(victim, blow, chance)


def _strike(pid: int, blow: str, chance: random.Random) -> None:
    try:
        if "SIGSTOP" in blow:
            os.kill(pid, signal.SIGSTOP)
            time.sleep(chance.uniform(0.2, 2.5))
            os.kill(pid, signal.SIGCONT)
        else:
            os.kill(pid, signal.SIGSEGV if "SIGSEGV" in blow else signal.SIGKILL)
    except ProcessLookupError:
        pass


def _blow(kernel: Kernel, number: int, blow: str, seed: int, cutter: Cutter | None, tally: Tally) -> None:
    chance = random.Random(f"{seed}/{number}/{kernel.number}")
    name = f"round {number}, kernel {kernel.number}, {blow}"
    tally.add(blow)
    try:
        worker = kernel.worker()
        tally.check(kernel.guarded(), f"{name}: there is no copy of its state")
        kind = chance.choice(["py", "both", "c", "child", "display"])
        ran = cell(kind, f"r{number}k{kernel.number}", chance)
        # Long enough to be hit.
        ran.code = ran.code.rstrip("\n") + f"\n_time.sleep({chance.choice([0.1, 0.5, 1.0])})\n"
        if blow == "worker SIGKILL at rest":
            _strike(worker, "SIGKILL", chance)
            time.sleep(chance.uniform(0, 0.3))
        began = len(kernel.client.told)
        msg_id, _ = kernel.client.send("execute_request", content_of(ran))
        time.sleep(chance.uniform(0.0, 0.8))
        if blow.startswith("worker") and not blow.endswith("rest"):
            _strike(kernel.worker() or worker, blow, chance)
        elif blow.startswith("snapshot"):
            # Frozen copies are forked from the worker and have its process group.
            now = kernel.worker()
            ours = {pid for pid, line in kernel.service.home.processes().items() if "start_worker" in line}
            frozen = [pid for pid in ours if _group(pid) == _group(now) and pid not in (now, worker)]
            if frozen and now:
                _strike(chance.choice(frozen), blow, chance)
        elif blow == "link cut" and cutter:
            cutter.cut(kernel.worker())
        told = kernel.outcome(msg_id, began, ran.tag)
        check_cell(name, ran, told, blow, tally)
        # What a child of a worker that has died still prints belongs to whatever runs then.
        said = kernel.text(f"print('\\nSTATE', globals().get('_ran', {{}}).get('{ran.tag}', 0), globals().get('_mark'))")
        times, _, mark = said.partition("STATE ")[2].partition("\n")[0].partition(" ")
        if mark != kernel.mark:
            _lost(kernel, name, told, tally)
            kernel.setup()
            return
        # A worker that is struck between the reply and the copy takes what the cell did with it; the kernel says so.
        allowed = {"1"} if told["status"] == "ok" and blow in HARMLESS else {"0", "1"}
        tally.check(times in allowed, f"{name}: the cell, which was {told['status']}, ran {times} times")
    except Gone as gone:
        tally.check(False, f"{name}: {gone}")
    except Exception as error:
        tally.check(False, f"{name}: {error!r}")


def _after(kernel: Kernel, name: str, tally: Tally) -> None:
    """A blow to all that came when this one had ended its cell, and was looked at: it took its variables all the same."""
    try:
        if kernel.text("print(globals().get('_mark'))").strip() != kernel.mark:
            _lost(kernel, name, {"recovery": None, "error": "none"}, tally)
            kernel.setup()
    except Exception as error:
        tally.check(False, f"{name}: {error!r}")


def _lost(kernel: Kernel, name: str, told: dict[str, Any], tally: Tally) -> None:
    """Its variables are gone: that may be, but it must have been said, and why."""
    death = kernel.rest.ask("GET", f"/api/kernels/{kernel.id}").body["savepoint"]["last_death"]
    recovery = told["recovery"] or (death or {}).get("recovery") or death
    tally.add("states that were lost, and it was said")
    if "zygote" in name:
        tally.check(bool(recovery), f"{name}: its variables are gone and nothing says so: {told['error']}, {death}")
    else:
        tally.check(False, f"{name}: its variables are gone: {told['error']}; recovery {told['recovery']}; last death {death}")


def _group(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1
