"""SIGKILL to the gateway at random moments, under load, and a start with the same command: what is lost, what is doubled.

Kernels live through all rounds. In each round every kernel is given cells by its own way (WebSocket v1 and legacy,
ZeroMQ, REST, server-sent events), the gateway is killed at a random moment (now and then a second time, while it takes
up what it finds), and what happened is checked when all cells have ended: ledger.py says how.
"""

from __future__ import annotations

import json
import random
import threading
import time
from typing import Any

import requests

import ledger
from asking import Rest
from cells import KINDS, PRELUDE, STATE, Cell, cell, transaction
from drivers import Driver, RestDriver, SocketDriver, ZmqDriver
from ledger import Entry, Said
from listeners import Gone, SocketClient, journal_of
from service import Home, Service, pss_bytes
from tally import Tally

TAKES_FORM = True
KERNELS_SHORT, KERNELS_LONG = 6, 20
WAYS = ("v1", "legacy", "rest", "zmq", "events")
KILL_WITHIN_S = 4.0
SECOND_KILL = 0.25


class Trial:
    """One kernel, whoever drives it, and whoever only looks on."""

    def __init__(self, service: Service, number: int, seed: int) -> None:
        self.service, self.number = service, number
        self.id = Rest(service).start_kernel()
        self.name = f"kernel {number} ({self.id[:8]})"
        self.chance = random.Random(f"{seed}/kernel {number}")
        self.mark = f"mark {self.chance.random()}"
        way = WAYS[number % len(WAYS)]
        self.driver: Driver = _driver(service, self.id, way)
        self.watcher = SocketClient(service, self.id, v1=way == "legacy")
        # As every front end does first; a session that never said anything counts as new when it comes again.
        self.watcher.send("kernel_info_request", {})
        self.entries: list[Entry] = []
        self.failure: str | None = None
        # Whoever is new gets what runs; these are there from the beginning.
        answer = Rest(service).ask("POST", f"/api/kernels/{self.id}/executions?wait_s=60", {"code": PRELUDE + f"_mark = {self.mark!r}"})
        assert answer.body["status"] == "ok", answer
        self.since = self.ids()

    def ids(self) -> set[str]:
        journal, reader = journal_of(self.service, self.id)
        reader.close()
        return {each.id for each in journal}

    def go(self, round_number: int) -> None:
        """The cells of one round."""
        self.entries = []
        chance = random.Random(f"{self.mark}/{round_number}")
        try:
            for step in range(chance.randint(2, 4)):
                tag = f"r{round_number}k{self.number}s{step}"
                turn = chance.random()
                if turn < 0.25:
                    ending = chance.choice(["rollback", "commit"])
                    entries = self.driver.run(transaction(tag, ending, chance), False)
                elif turn < 0.5:
                    kinds = [chance.choice([kind for kind in KINDS if kind not in ("error", "rolled-back")]) for _ in range(4)]
                    entries = self.driver.run([cell(kind, f"{tag}-{at}", chance) for at, kind in enumerate(kinds)], True)
                else:
                    entries = self.driver.run([cell(chance.choice(KINDS), tag, chance)], False)
                self.entries += entries
        except Gone as gone:
            self.failure = f"{self.name} by {self.driver.way}: {gone}"
        except Exception as error:
            self.failure = f"{self.name} by {self.driver.way}: {error!r}"

    def check(self, tally: Tally, kills: int) -> None:
        where = f"{self.name} by {self.driver.way}"
        if not tally.check(self.failure is None, self.failure or ""):
            self.failure = None
        try:
            journal, state = self._look()
        except (Gone, ValueError, KeyError) as gone:
            tally.check(False, f"{where}: its journal and state cannot be read: {gone!r}; {self._facts()}")
            return
        parts = [
            ledger.check_journal(where, self.entries, journal),
            ledger.check_state(where, self.entries, state["ran"]),
            self.driver.findings(),
        ]
        for client, role in ((self.watcher, "watcher"), (self.driver.client, "driver")):
            if client is None:
                continue
            last = journal[-1].id if journal else ""
            try:
                client.wait_until(lambda: not journal or last in client.seen, 30)  # noqa: B023
            except Gone:
                pass
            parts.append(ledger.check_listener(f"{where}, {role}", client.seen, client.told, journal, self.since, kills))
            tally.check(client.lost is None, f"{where}, {role}: {client.lost}")
        if self.driver.client is not None:
            parts.append(ledger.check_replies(where, self.entries, self.driver.client.told))
            self.driver.client.forget()
        if isinstance(self.driver, ZmqDriver):
            tally.add("messages that ZeroMQ clients missed", self.driver.missed(journal, self.since))
            tally.add("messages that ZeroMQ clients had to see", sum(each.id not in self.since for each in journal))
            self.driver.told.clear()
        self.watcher.forget()
        tally.check(state["mark"] == self.mark, f"{where}: its variables are not those that it had: {state}")
        wrong = [each for part in parts for each in part.wrong]
        for each in wrong:
            tally.check(False, each if each.startswith("kernel") else f"{where}, {each}")
        for part in parts:
            for name, number in part.counts.items():
                tally.add(name, number)
        tally.add("cells", len(self.entries))
        if not wrong:
            tally.check(True, "")
        self.since = {each.id for each in journal}

    def _facts(self) -> object:
        """What the gateway says of it: for whoever looks for the reason."""
        rest = Rest(self.service)
        model = rest.ask("GET", f"/api/kernels/{self.id}").body
        running = rest.ask("GET", f"/api/kernels/{self.id}/executions").body.get("items", [])
        return model, [(each["id"], each["status"], each["input"]) for each in running if each["status"] in ("queued", "running")]

    def _look(self) -> tuple[list[Said], dict[str, Any]]:
        """The journal, and the kernel's state; what asking for them adds is taken off."""
        journal, reader = journal_of(self.service, self.id)
        try:
            probe, _ = reader.send("execute_request", {"code": STATE, "silent": False, "store_history": False})
            if not reader.wait_until(lambda: any(each.parent == probe and each.text == "idle" for each in reader.told), 60):
                raise Gone("the kernel did not tell its state within 60 s")
            text = "".join(each.text for each in reader.told if each.parent == probe and each.type == "stream")
            every = [each for each in reader.told if each.channel == "iopub"]
            return every, json.loads(text[text.index("STATE") + 5 :])
        finally:
            reader.close()

    def close(self) -> None:
        self.driver.close()
        self.watcher.close()


def _driver(service: Service, kernel_id: str, way: str) -> Driver:
    if way == "zmq":

        def read() -> list[Said]:
            journal, reader = journal_of(service, kernel_id)
            reader.close()
            return journal

        return ZmqDriver(service, kernel_id, read)
    if way in ("v1", "legacy"):
        return SocketDriver(service, kernel_id, way == "v1")
    return RestDriver(service, kernel_id, way == "events")


def run(seed: int, rounds: int, tally: Tally, long: bool = False, kernels: int = 0, kill: bool = True) -> None:
    ledger.self_check()
    home = Home()
    try:
        _run(home, seed, rounds, tally, kernels or (KERNELS_LONG if long else KERNELS_SHORT), kill)
    finally:
        if tally.failed:
            lines = (home.path / "gateway.log").read_text(errors="replace").splitlines()
            end = [line for line in lines if "code=starting" not in line][-40:]
            print("---- log of the gateway, its end", *end, sep="\n", flush=True)
        home.clear()


def _run(home: Home, seed: int, rounds: int, tally: Tally, kernels: int, kill: bool) -> None:
    chance = random.Random(f"{seed}/kills")
    service = Service(home, "--guard")
    service.start()
    trials = [Trial(service, number, seed) for number in range(kernels)]
    for round_number in range(rounds):
        threads = [threading.Thread(target=trial.go, args=(round_number,), daemon=True) for trial in trials]
        for each in threads:
            each.start()
        kills = _kill(service, chance, tally) if kill else 0
        for each in threads:
            each.join(300)
        stuck = [trial.name for trial, thread in zip(trials, threads, strict=True) if thread.is_alive()]
        tally.check(not stuck, f"round {round_number}: {stuck} did not come to an end")
        listed = {model["id"] for model in Rest(service).ask("GET", "/api/kernels").body}
        lost = [trial.name for trial in trials if trial.id not in listed]
        tally.check(not lost, f"round {round_number}: kernels are lost: {lost}")
        for trial in trials:
            trial.check(tally, kills)
        tally.add("kills", kills)
        more = f"{tally.figures.get('cells', 0)} cells, {tally.failed} failures, gateway {pss_bytes(service.pid) / 2**20:.0f} MiB"
        tally.progress(round_number + 1, rounds, more)
    tally.figures["kernels"] = kernels
    for trial in trials:
        trial.close()
    tally.check(service.stop() == 0, "the gateway did not end in order at the end")
    tally.check(not (left := home.remains_after()), f"left behind at the end: {left[:20]}")


def _kill(service: Service, chance: random.Random, tally: Tally) -> int:
    """Kill it once or twice, and wait until it is ready; the number of kills."""
    kills = 0
    time.sleep(chance.uniform(0.1, KILL_WITHIN_S))
    while True:
        service.kill()
        kills += 1
        killed = time.monotonic()
        time.sleep(chance.choice([0.0, chance.uniform(0, 1.5)]))
        service.start()
        if kills < 3 and chance.random() < SECOND_KILL:
            time.sleep(chance.uniform(0, 1.0))
            continue
        break
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(service.url + "/readyz", timeout=5).status_code == 200:
                break
        except requests.RequestException:
            pass
        time.sleep(0.1)
    else:
        tally.check(False, "the gateway was not ready within 60 s after a kill")
    took = time.monotonic() - killed
    tally.figures["longest from kill to ready, s"] = max(float(tally.figures.get("longest from kill to ready, s", 0)), took)  # type: ignore[arg-type]
    return kills
