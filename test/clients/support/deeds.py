"""What a day holds beside cells of the common kinds: the debugger, subshells, variables, checkpoints, deadlines.

Each deed checks what has to come of it. It takes the `Day`, and leaves behind only what the day's model knows of.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .client import Cell
from .comms import Target
from .debugger import Debugger

if TYPE_CHECKING:
    from .disorder import Day

HANG_S = 90.0
COUNT = "n = globals().get('n', 0) + 1"


class Wrong(AssertionError):
    """Something that the kernel must never do."""


def check(condition: object, what: str) -> None:
    """Raise `Wrong` unless the condition holds."""
    if not condition:
        raise Wrong(what)


def debugs(day: Day) -> None:
    """From `initialize` to `disconnect`: a cell stops at a breakpoint, and goes on, fails, is interrupted or dies."""
    debugger, word = Debugger(day.client), day.word()
    ending = day.random.choice(("", "", "1/0", "interrupt", "import os; os._exit(4)"))
    debugger.attach()
    code = f"{COUNT}\nseen = {word!r}\nprint(seen)\n{ending if ending != 'interrupt' else ''}"
    debugger.set_breakpoints(code, 3)
    cell, thread = debugger.run_into(code)
    day.cells.append(cell)
    frame = debugger.frames(thread)[0]
    check(frame["line"] == 3, f"stopped at {frame}")
    value = debugger.body("evaluate", {"expression": "seen", "frameId": frame["id"], "context": "watch"})["result"]
    check(value == repr(word), f"seen is {value}, not {word!r}")
    if ending == "interrupt":
        day.interrupt()
    else:
        debugger.go_on(thread)
    day.wait(cell)
    if ending.endswith("(4)"):
        died(day, cell)
        return
    day.counted(cell, {"1/0": "ZeroDivisionError", "interrupt": "KeyboardInterrupt"}.get(ending))
    check(ending == "interrupt" or cell.stdout == f"{word}\n", f"debugged {cell.stdout!r}")
    refused = day.run(COUNT, metadata=wish(transaction="rollback_on_failure"))
    check(refused.content.get("evalue", "").startswith("engine_unavailable"), f"while debugged: {refused.content}")
    check(refused.content["execution_count"] == day.last_count, "a cell that was not run has a number")
    debugger.detach()


def subshells(day: Day) -> None:
    """Cells beside the main shell, which waits for them, is rolled back under them, or is interrupted."""
    subshell = day.client.request("create_subshell_request", {}, "control").wait(HANG_S).content["subshell_id"]
    listed = day.client.request("list_subshell_request", {}, "control").wait(HANG_S).content["subshell_id"]
    check(listed == [subshell], f"subshells {listed}")
    how = day.random.choice((_beside, _beside, _under_a_rollback, _under_an_interrupt))
    how(day, subshell)
    deleted = day.client.request("delete_subshell_request", {"subshell_id": subshell}, "control").wait(HANG_S)
    check(deleted.status == "ok", f"deleting a subshell: {deleted.content}")
    listed = day.client.request("list_subshell_request", {}, "control").wait(HANG_S).content["subshell_id"]
    check(listed == [], f"subshells {listed}")


def _beside(day: Day, subshell: str) -> None:
    main = day.start(f"{COUNT}\nimport threading\ngate = threading.Event()\nprint('on', flush=True)\ngate.wait(80)")
    main.wait_for_output("on", HANG_S)
    words = [day.word() for _ in range(day.random.randint(1, 8))]
    cells = [start_in(day, subshell, f"{COUNT}\nprint({word!r})") for word in words]
    failing = start_in(day, subshell, "gate.set()\n1/0")
    for word, cell in zip(words, cells, strict=True):
        day.wait(cell)
        check(cell.status == "ok" and cell.stdout == f"{word}\n", f"in a subshell: {cell.content} {cell.stdout!r}")
    day.wait(failing)
    check(failing.content.get("ename") == "ZeroDivisionError", f"in a subshell: {failing.content}")
    day.wait(main)
    check(main.status == "ok" and main.result == "True", f"beside a subshell: {main.content} {main.result}")
    day.n += 1 + len(words)
    counts = [cell.content["execution_count"] for cell in (*cells, failing)]
    check(counts == sorted(set(counts)) and counts[0] > day.last_count, f"{counts} after {day.last_count}")
    # Its number is that of its end, which was at the same time as that of the other.
    day.last_count = max(counts[-1], main.content["execution_count"])


def _under_a_rollback(day: Day, subshell: str) -> None:
    busy = start_in(day, subshell, "print('on', flush=True)\nimport threading; threading.Event().wait(80)")
    busy.wait_for_output("on", HANG_S)
    cell = day.run(f"{COUNT}\n1/0", metadata=wish(transaction="rollback_on_failure"))
    check(cell.content.get("ename") == "ZeroDivisionError", f"rolled back: {cell.content}")
    check(cell.ours["transaction"]["outcome"] == "rolled_back", f"{cell.ours['transaction']}")
    day.wait(busy)
    check(busy.content.get("evalue", "").startswith("subshell_lost"), f"lost: {busy.content}")
    day.last_count = max(day.last_count, *(each.content["execution_count"] for each in (cell, busy)))
    day.forget_echo()
    # It is there in the worker that has come.
    after = start_in(day, subshell, "globals().get('n', 0)")
    day.wait(after)
    day.done(after, "ok")
    check(after.result == str(day.n), f"in a subshell after a rollback: {after.result}, not {day.n}")


def _under_an_interrupt(day: Day, subshell: str) -> None:
    main = day.start(f"{COUNT}\nprint('on', flush=True)\nimport time; time.sleep(600)")
    main.wait_for_output("on", HANG_S)
    word = day.word()
    beside = start_in(day, subshell, f"import time\ntime.sleep(0.05)\nprint({word!r})")
    day.interrupt()
    day.wait(main)
    day.wait(beside)
    check(main.content.get("ename") == "KeyboardInterrupt", f"interrupted: {main.content}")
    check(beside.status == "ok" and beside.stdout == f"{word}\n", f"beside an interrupt: {beside.content}")
    day.n += 1
    day.last_count = max(day.last_count, *(each.content["execution_count"] for each in (main, beside)))


def variables(day: Day) -> None:
    """The comm target for variables: what it lists, sets and removes is what cells see."""
    target, word = Target(day.client, "savepoint.namespace"), day.word()
    day.n += 1
    result = target.ask("set", values={"n": day.n, "given": [word], "Out": 1})
    check(sorted(result["set"]) == ["given", "n"], f"set {result}")
    check([each["name"] for each in result["refused"]] == ["Out"], f"refused {result}")
    names = {item["name"]: item["type"] for item in target.ask("list")["items"]}
    check(names.get("n") == "int" and names.get("given") == "list", f"listed {names}")
    got = target.ask("get", names=["n", "given", "absent"])
    previews = {item["name"]: item["preview"] for item in got["items"]}
    check(previews == {"n": str(day.n), "given": repr([word])}, f"got {previews}")
    check(got["missing"] == ["absent"], f"missing {got}")
    deleted = target.ask("delete", names=["given", "absent"])
    check((deleted["deleted"], deleted["missing"]) == (["given"], ["absent"]), f"deleted {deleted}")
    cell = day.run(f"{COUNT}\n'given' in globals(), n")
    day.n += 1
    day.done(cell, "ok")
    check(cell.result == f"(False, {day.n})", f"after a deletion: {cell.result}")
    changes = target.ask("changes")
    check(changes["execution_count"] == cell.content["execution_count"], f"changes {changes}")
    check("n" in changes["changed"], f"changes {changes}")
    target.close()


def awaits_input(day: Day) -> None:
    """Several ask at once while a task ticks, and are answered in any order; or nobody answers and it is interrupted."""
    count = day.random.randint(1, 3)
    cell = day.start(
        f"{COUNT}\nimport asyncio, savepoint\nasync def tick():\n    while True: await asyncio.sleep(0.001)\n"
        "ticking = asyncio.ensure_future(tick())\ntry:\n"
        f"    print(*await asyncio.gather(*[savepoint.await_input(str(i)) for i in range({count})]))\n"
        "finally: ticking.cancel()"
    )
    question = cell.wait_for("stdin", "input_request", HANG_S, count=count)
    if day.random.random() < 0.3:
        day.interrupt()
        day.wait(cell)
        day.counted(cell, "KeyboardInterrupt")
        day.client.send("stdin", "input_reply", {"value": "late"}, parent=question)
        return
    words = [day.word() for _ in range(count)]
    questions = cell.on("stdin", "input_request")
    for at in day.random.sample(range(count), count):
        place = int(questions[at]["content"]["prompt"])
        day.client.send("stdin", "input_reply", {"value": words[place]}, parent=questions[at])
    day.wait(cell)
    day.counted(cell)
    check(cell.stdout.split() == words, f"awaited {cell.stdout!r}, not {words}")


def buffered(day: Day) -> None:
    """Stream mode `buffered`: one message a stream, in front of the reply, whatever becomes of the cell."""
    lines = [day.word() for _ in range(day.random.randint(1, 80))]
    ending = day.random.choice(("", "1/0", "os.write(1, b'below\\n')", "display(7)"))
    cell = day.run(
        f"{COUNT}\nimport os, sys\nfrom IPython.display import display\n"
        f"for w in {lines}:\n    print(w)\n    print(w[::-1], file=sys.stderr)\n{ending}",
        metadata=wish(stream_mode="buffered"),
    )
    day.counted(cell, "ZeroDivisionError" if ending == "1/0" else None)
    streams = [m["content"]["name"] for m in cell.on("iopub", "stream")]
    check(streams == ["stdout", "stderr"], f"streams of a buffered cell: {streams}")
    # What is written below Python comes in by another way, and may overtake.
    printed = [line for line in cell.stdout.split() if line != "below"]
    check(printed == lines and ("below\n" in cell.stdout) == ("below" in ending), f"buffered {cell.stdout!r}")
    check(cell.stderr.split() == [line[::-1] for line in lines], f"buffered {cell.stderr!r}")
    check(len(cell.on("iopub", "display_data")) == (ending == "display(7)"), "displays of a buffered cell")


def checkpoint(day: Day) -> None:
    """A cell that wishes for a checkpoint, and a way back to it where no transaction is open."""
    name = f"at-{len(day.cells)}"
    cell = day.run(f"{COUNT}\nkept = [n]", metadata=wish(checkpoint={"name": name}))
    day.counted(cell)
    saved = cell.ours.get("checkpoint")
    check(saved is not None and saved["name"] == name, f"checkpoint {saved}: {cell.ours['warnings']}")
    if day.begun or day.random.random() < 0.5:
        return
    n = day.n
    day.counted(day.run(f"{COUNT}\nkept.append(n)"))
    if day.random.random() < 0.5:
        day.done(day.run(f"%restore {name}"), "ok")
    else:
        target = Target(day.client, "savepoint.checkpoint")
        result = target.ask("restore", checkpoint=name)
        check(result["checkpoint_id"] == saved["checkpoint_id"], f"restored {result}")
        target.close()
    day.n = n
    day.forget_echo()
    after = day.run("kept == [n], n")
    day.done(after, "ok")
    check(after.result == f"(True, {n})", f"restored: {after.result}, n was {n}")


def deadline(day: Day) -> None:
    """`timeout_s`: a cell is interrupted at its deadline, and one that keeps it is not."""
    if day.random.random() < 0.5:
        cell = day.run(f"{COUNT}\nprint('done')", metadata=wish(timeout_s=60))
        day.counted(cell)
        check(cell.stdout == "done\n" and cell.ours["warnings"] == [], f"in time: {cell.ours['warnings']}")
        return
    how = day.random.choice(("while True: pass", "import time; time.sleep(600)", "input('never')"))
    policy = day.random.choice((None, "rollback_on_failure"))
    wishes: dict[str, Any] = {"timeout_s": 0.15, **({"transaction": policy} if policy else {})}
    # The wait is longer than any deadline that a loaded machine may make of it.
    cell = day.run(f"print('in', flush=True)\n{COUNT}\n{how}", metadata=wish(**wishes))
    day.done(cell, "error")
    check(cell.content["ename"] == "KeyboardInterrupt", f"late: {cell.content}")
    check("The cell was interrupted at its deadline of 0.15 s." in cell.ours["warnings"], f"{cell.ours}")
    if policy:
        day.forget_echo()
    # Before its second line, on a loaded machine, or after it.
    seen = int(day.client.value("globals().get('n', 0)"))
    check(seen == day.n or (policy is None and seen == day.n + 1), f"n is {seen} after {day.n} and a deadline")
    day.n = seen


def died(day: Day, cell: Cell) -> None:
    """The cell has ended its process, and a new one is there."""
    day.done(cell, "error")
    check(cell.content["ename"] == "WorkerDied", f"{cell.content}")
    check(cell.ours["recovery"] is not None, "no recovery")
    day.n = 0
    day.begun.clear()
    day.forget_echo()


def start_in(day: Day, subshell: str, code: str) -> Cell:
    """Send a cell to a subshell, and do not wait."""
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": True}
    session = day.client.kc.session
    message = session.msg("execute_request", content)
    message["header"]["subshell_id"] = subshell
    session.send(day.client.channels["shell"], message)
    cell = Cell(day.client, message["header"]["msg_id"], "shell")
    day.cells.append(cell)
    return cell


def wish(**wishes: Any) -> dict[str, Any]:
    """The metadata of a cell that wishes for this."""
    return {"savepoint": wishes}
