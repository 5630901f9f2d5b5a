"""A gateway whose clock jumps, and whose disk fails or is full: cells run on, what needs the disk is refused by name or done."""

from __future__ import annotations

import random
import threading
import time

from cells import Cell, cell
from faults import ERRORS, Fill, Preloaded, small_disk
from listeners import Gone
from service import Home, Service
from struck import CELL_WITHIN_S, Kernel, check_cell
from tally import Tally


def _ordinary(kernel: Kernel, number: int, chance: random.Random, name: str, tally: Tally) -> None:
    """A cell that has to come off as if nothing were wrong."""
    ran = cell(chance.choice(["py", "both", "c", "child", "display"]), f"o{number}k{kernel.number}{len(kernel.client.told)}", chance)
    try:
        told = kernel.run(ran)
        tally.check(told["status"] == "ok", f"{name}: a cell ended as {told['status']}: {told['text'][-300:]!r}")
        check_cell(name, ran, told, "", tally)
    except Gone as gone:
        tally.check(False, f"{name}: {gone}")


def clock(seed: int, rounds: int, tally: Tally) -> None:
    home = Home()
    try:
        try:
            preloaded = Preloaded(home.path, home.data)
        except RuntimeError as why:
            print(f"process-kill: clocks and disks are not tried: {why}")
            return
        service = Service(home, environment=preloaded.environment)
        service.start()
        kernel = Kernel(service, 0, seed)
        for number in range(rounds):
            chance = random.Random(f"{seed}/clock/{number}")
            thread = threading.Thread(target=_ordinary, args=(kernel, number, chance, f"clock, round {number}", tally))
            thread.start()
            for _ in range(3):
                preloaded.set(clock_s=chance.choice([-86_400, -3_600, -60, 0, 60, 3_600, 86_400, 400 * 86_400]))
                time.sleep(chance.uniform(0.05, 0.4))
            thread.join(CELL_WITHIN_S)
            _ordinary(kernel, 1000 + number, chance, f"after the clock, round {number}", tally)
            tally.add("jumps of the clock", 3)
        preloaded.set()
        kernel.client.close()
        tally.check(service.stop() == 0, "the gateway whose clock had jumped did not end in order")
    finally:
        home.clear()


def disk_errors(seed: int, rounds: int, tally: Tally) -> None:
    home = Home()
    service: Service | None = None
    try:
        try:
            preloaded = Preloaded(home.path, home.data)
        except RuntimeError:
            return
        service = Service(home, environment=preloaded.environment)
        service.start()
        kernel = Kernel(service, 0, seed)
        for number in range(rounds):
            chance = random.Random(f"{seed}/disk/{number}")
            for name, error in ERRORS.items():
                preloaded.set(error=error)
                _with_bad_disk(kernel, number, chance, f"{name}, round {number}", tally)
                preloaded.set()
                _with_good_disk(kernel, number, chance, f"after {name}, round {number}", tally)
                tally.add(f"disks with {name}")
        kernel.client.close()
        tally.check(service.stop() == 0, "the gateway whose disk had failed did not end in order")
    finally:
        if service and tally.failed:
            print(f"---- log of the gateway, its end\n{service.log()[-2000:]}", flush=True)
        home.clear()


def full_disk(seed: int, rounds: int, tally: Tally) -> None:
    home = Home()
    service: Service | None = None
    try:
        try:
            within = small_disk(home.data, 64 + 16 * rounds)
        except RuntimeError as why:
            print(f"process-kill: a disk that is full is not tried: {why}")
            return
        service = Service(home, within=within)
        service.start()
        kernel = Kernel(service, 0, seed)
        fill = Fill(service.pid, home.data)
        for number in range(rounds):
            chance = random.Random(f"{seed}/full/{number}")
            fill.fill(chance.choice([0, 0, 4096, 100_000]))
            _with_bad_disk(kernel, number, chance, f"full disk, round {number}", tally, fails=False)
            fill.free()
            _with_good_disk(kernel, number, chance, f"after the full disk, round {number}", tally)
            tally.add("disks that were full")
        kernel.client.close()
        tally.check(service.stop() == 0, "the gateway whose disk had been full did not end in order")
    finally:
        if service and tally.failed:
            print(f"---- log of the gateway, its end\n{service.log()[-2000:]}", flush=True)
        home.clear()


def _with_bad_disk(kernel: Kernel, number: int, chance: random.Random, name: str, tally: Tally, fails: bool = True) -> None:
    """Cells run; what needs the disk is refused by name, or done."""
    _ordinary(kernel, number, chance, name, tally)
    kernel.run(Cell("big", "big", f"big = _os.urandom({chance.choice([1000, 3_000_000])})"))
    path = f"/api/kernels/{kernel.id}/checkpoints"
    answer = kernel.rest.once("POST", path, {"name": f"bad-{len(kernel.client.told)}"})
    if answer.status == 201 and not fails:
        pass  # There was room enough.
    else:
        code = answer.body.get("code") if isinstance(answer.body, dict) else None
        tally.check(code == "storage_failed", f"{name}: a checkpoint was answered with {answer}")
    _ordinary(kernel, number, chance, name, tally)


def _with_good_disk(kernel: Kernel, number: int, chance: random.Random, name: str, tally: Tally) -> None:
    """All is as before: a checkpoint can be made, and holds."""
    time.sleep(chance.uniform(0, 1.5))
    _ordinary(kernel, number, chance, name, tally)
    checkpoint = f"good-{len(kernel.client.told)}"
    answer = kernel.rest.once("POST", f"/api/kernels/{kernel.id}/checkpoints", {"name": checkpoint})
    if not tally.check(answer.status == 201, f"{name}: a checkpoint was answered with {answer}"):
        return
    found = kernel.rest.once("GET", f"/api/savepoint/checkpoints/{answer.body['checkpoint_id']}/validate")
    tally.check(found.status == 200 and found.body["valid"], f"{name}: the checkpoint does not hold: {found}")
    state = kernel.text("print(globals().get('_mark'))").strip()
    tally.check(state == kernel.mark, f"{name}: its variables are gone: {state!r}")
