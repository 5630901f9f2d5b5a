"""The checker: what a kernel was asked for, beside what its journal, its state and its clients say of it.

Everything that may be lost or doubled is named here, and nowhere else: kernel, cell, series, number, and who missed it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from cells import LINE, Cell


class Said(NamedTuple):
    """One message, as far as it matters."""

    id: str
    type: str
    channel: str
    parent: str
    #: Text of a stream or a display, state of a status, code of an execute_input.
    text: str
    status: str = ""


def said(message: dict[str, Any], channel: str) -> Said:
    header, content = message["header"], message["content"]
    kind = header["msg_type"]
    text = ""
    if kind == "stream":
        text = content["text"]
    elif kind == "status":
        text = content["execution_state"]
    elif kind == "execute_input":
        text = content["code"]
    elif kind in ("display_data", "execute_result"):
        text = str(content["data"].get("text/plain", ""))
    elif kind == "input_request":
        text = content["prompt"]
    parent = (message.get("parent_header") or {}).get("msg_id", "")
    return Said(header["msg_id"], kind, channel, parent, text, content.get("status", ""))


@dataclass
class Entry:
    """One request for a cell to be run."""

    cell: Cell
    #: None for executions over REST: the gateway makes it.
    msg_id: str | None
    #: `done`; `gone`: it never arrived, so it must not have run.
    end: str = ""
    #: The count in the kernel's state that it has to have.
    count: int = 1
    status: str = ""


@dataclass
class Findings:
    wrong: list[str] = field(default_factory=list)
    #: Figures that are no failures.
    counts: Counter[str] = field(default_factory=Counter)


def check_journal(where: str, entries: list[Entry], journal: list[Said]) -> Findings:
    """That each request which was begun was finished exactly once, and each line is there exactly once and in order."""
    found = Findings()
    by_parent: dict[str, list[Said]] = defaultdict(list)
    parents_of: dict[str, set[str]] = defaultdict(set)
    ids = Counter(each.id for each in journal)
    tags = {entry.cell.tag for entry in entries}
    for each in journal:
        by_parent[each.parent].append(each)
        if each.type == "execute_input":
            first = each.text.partition("\n")[0]
            tag = first[len("_begin('") : -2] if first.startswith("_begin('") else ""
            if tag in tags:
                parents_of[tag].add(each.parent)
    for message_id, times in ids.items():
        if times > 1:
            found.wrong.append(f"{where}: message {message_id} is in the journal {times} times")
    for entry in entries:
        cell, name = entry.cell, f"{where}, cell {entry.cell.tag} ({entry.cell.kind})"
        parents = set(parents_of[cell.tag]) | ({entry.msg_id} if entry.msg_id in by_parent else set())
        if entry.end == "gone":
            if parents:
                found.wrong.append(f"{name}: its client was told nothing of it, and the journal has {_kinds(by_parent, parents)}")
            found.counts["requests lost before they were begun"] += 1
            continue
        if len(parents) != 1:
            found.wrong.append(f"{name}: begun {len(parents)} times according to the journal")
            continue
        told = by_parent[next(iter(parents))]
        _check_frame(name, told, found)
        _check_lines(name, cell, told, found)
    return found


def _kinds(by_parent: dict[str, list[Said]], parents: set[str]) -> str:
    return ", ".join(each.type for parent in parents for each in by_parent[parent])


def _check_frame(name: str, told: list[Said], found: Findings) -> None:
    states = [each.text for each in told if each.type == "status"]
    if states != ["busy", "idle"]:
        found.wrong.append(f"{name}: its states in the journal are {states}")
    inputs = sum(each.type == "execute_input" for each in told)
    if inputs != 1:
        found.wrong.append(f"{name}: {inputs} times execute_input")
    if told and told[-1].text != "idle":
        found.wrong.append(f"{name}: {told[-1].type} comes after its idle")


def _check_lines(name: str, cell: Cell, told: list[Said], found: Findings) -> None:
    numbers: dict[str, list[int]] = defaultdict(list)
    # A line may be in two pieces; streams of one name are continued, displays are whole.
    streams = "".join(each.text for each in told if each.type == "stream")
    displays = "".join(each.text for each in told if each.type == "display_data")
    for tag, series, number in LINE.findall(streams) + LINE.findall(displays):
        if tag == cell.tag:
            numbers[series].append(int(number))
        else:
            found.wrong.append(f"{name}: it has a line of cell {tag}")
    compare_lines(name, cell, numbers, found)
    found.counts["lines"] += sum(cell.lines.values())


def compare_lines(name: str, cell: Cell, numbers: dict[str, list[int]], found: Findings) -> None:
    """What was printed beside what had to be."""
    for series in {*cell.lines, *numbers}:
        wanted, had = list(range(cell.lines.get(series, 0))), numbers.get(series, [])
        if had == wanted:
            continue
        counted = Counter(had)
        missing = [each for each in wanted if each not in counted]
        doubled = [each for each, times in counted.items() if times > 1]
        if missing:
            found.wrong.append(f"{name}: of {len(wanted)} lines of {series} are missing {missing}")
        if doubled:
            found.wrong.append(f"{name}: lines of {series} came more than once: {doubled}")
        if not missing and not doubled:
            found.wrong.append(f"{name}: lines of {series} came in the order {had}")


def lines_of(text: str) -> dict[str, dict[str, list[int]]]:
    """By tag and series."""
    numbers: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for tag, series, number in LINE.findall(text):
        numbers[tag][series].append(int(number))
    return numbers


def check_state(where: str, entries: list[Entry], ran: dict[str, int]) -> Findings:
    """That each cell has run as often as it should have, and none that nobody asked for."""
    found = Findings()
    for entry in entries:
        wanted = 0 if entry.end == "gone" else entry.count
        had = ran.get(entry.cell.tag, 0)
        if had != wanted:
            found.wrong.append(f"{where}, cell {entry.cell.tag} ({entry.cell.kind}): ran {had} times, should be {wanted}")
    return found


def check_listener(where: str, seen: Counter[str], told: list[Said], journal: list[Said], since: set[str], kills: int) -> Findings:
    """That a WebSocket with a session has seen every message of the journal that came after those in `since`."""
    found = Findings()
    in_journal = {each.id: each for each in journal if each.id not in since}
    for message_id, each in in_journal.items():
        if message_id not in seen:
            found.wrong.append(f"{where}: never saw {each.type} of {each.parent[:8]}: {each.text[:60]!r}")
    doubled = {message_id: times for message_id, times in seen.items() if times > 1}
    found.counts["messages that a WebSocket saw twice"] += sum(times - 1 for times in doubled.values())
    if _writes(journal, seen) > kills:
        kinds = Counter(each.type for each in told if each.id in doubled)
        found.wrong.append(f"{where}: saw {len(doubled)} messages more than once after {kills} kills: {dict(kinds)}")
    parents = {each.parent for each in in_journal.values()}
    for each in told:
        if each.channel == "iopub" and each.parent in parents and each.id not in in_journal and each.id not in since:
            found.wrong.append(f"{where}: saw {each.type}, which is not in the journal: {each.text[:60]!r}")
    found.counts["messages that WebSockets had to see"] += len(in_journal)
    return found


def check_replies(where: str, entries: list[Entry], told: list[Said]) -> Findings:
    """That whoever asked got exactly one reply, with the status that the cell has."""
    found = Findings()
    replies: dict[str, dict[str, str]] = defaultdict(dict)
    for each in told:
        if each.type == "execute_reply":
            replies[each.parent][each.id] = each.status
    for entry in entries:
        if entry.msg_id is None:
            continue
        got = list(replies[entry.msg_id].values())
        wanted = [] if entry.end == "gone" else ["error" if entry.cell.fails else "ok"]
        if got != wanted:
            found.wrong.append(f"{where}, cell {entry.cell.tag} ({entry.cell.kind}): its replies are {got}, should be {wanted}")
    return found


def _writes(journal: list[Said], seen: Counter[str]) -> int:
    """How many writes came again, if messages that follow each other in the journal were one. A kill can repeat one."""
    writes = before = 0
    for each in journal:
        again = max(0, seen[each.id] - 1)
        writes += max(0, again - before)
        before = again
    # Replies are in no order with these: one may have been in the same write as the idle that follows it.
    others = seen.keys() - {each.id for each in journal}
    return max(writes, sum(seen[each] - 1 for each in others))


def self_check() -> None:
    """Raises AssertionError if the checker does not see what is wrong in a journal that somebody has spoilt."""
    cell = Cell("a", "py", "_begin('a')\n", {"py": 3})
    entry = Entry(cell, "m", "done")

    def journal(text: str, *more: Said) -> list[Said]:
        frame = [Said("1", "status", "iopub", "m", "busy"), Said("2", "execute_input", "iopub", "m", "_begin('a')\n")]
        return [*frame, Said("3", "stream", "iopub", "m", text), *more, Said("4", "status", "iopub", "m", "idle")]

    good = journal("a/py/0;\na/py/1;\na/py/2;\n")
    assert not check_journal("k", [entry], good).wrong
    assert [_writes(good, Counter("11234")), _writes(good, Counter("112234")), _writes(good, Counter("112334"))] == [1, 1, 2]
    assert [_writes(good, Counter("1234")), _writes(good, Counter("1112234"))] == [0, 2]
    assert [_writes(good, Counter("12344rr")), _writes(good, Counter("1234rrr"))] == [1, 2]
    assert "missing [1]" in check_journal("k", [entry], journal("a/py/0;a/py/2;")).wrong[0]
    assert "more than once: [1]" in check_journal("k", [entry], journal("a/py/0;a/py/1;a/py/1;a/py/2;")).wrong[0]
    assert "order" in check_journal("k", [entry], journal("a/py/1;a/py/0;a/py/2;")).wrong[0]
    assert check_journal("k", [entry], good + good).wrong and check_journal("k", [entry], good[:-1]).wrong
    assert check_journal("k", [Entry(cell, "m", "gone")], good).wrong and check_journal("k", [entry], []).wrong
    assert check_state("k", [entry], {"a": 2}).wrong and check_state("k", [entry], {}).wrong
    once, twice = Counter("1234"), Counter("12344")
    assert not check_listener("k", once, [], good, set(), 0).wrong
    assert check_listener("k", twice, [], good, set(), 0).wrong and not check_listener("k", twice, [], good, set(), 1).wrong
    assert check_listener("k", Counter("124"), [], good, set(), 9).wrong
    assert check_listener("k", once, [Said("9", "stream", "iopub", "m", "x")], good, set(), 0).wrong
