"""Processes as /proc shows them: who descends from whom, what they hold, and waiting for their end.

A process is known by its pid and its start time together, since pids are used again.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path


#: What is to be gone goes within seconds; on a busy machine it may take longer.
GONE_WITHIN_S = 20.0


@dataclass(frozen=True)
class Process:
    pid: int
    started: int
    """Clock ticks since boot, from /proc/PID/stat."""

    @property
    def command(self) -> str:
        """The command line, or nothing for one that has ended."""
        try:
            return Path(f"/proc/{self.pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except OSError:
            return ""

    def __str__(self) -> str:
        return f"{self.pid} ({self.command[:120] or 'ended'})"


def _stat(pid: int) -> tuple[int, int, str] | None:
    """Parent, start time and state of a process, or None when there is none of that pid."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the name in parentheses, which may hold blanks and parentheses itself.
    fields = text[text.rindex(")") + 2 :].split()
    return int(fields[1]), int(fields[19]), fields[0]


def find(pid: int) -> Process:
    """The living process of that pid. Raises ProcessLookupError."""
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return Process(pid, stat[1])


def kill(members: list[Process]) -> None:
    """SIGKILL for all that are still there."""
    for process in members:
        # Those whose parent has gone may have ended by themselves since they were listed.
        if is_alive(process):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)


def processor_seconds(pid: int) -> float:
    """The time that a process has spent in its own code."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    return int(stat.rpartition(")")[2].split()[11]) / os.sysconf("SC_CLK_TCK")


def family(root: int) -> list[Process]:
    """The process `root` and all that descend from it now, ended ones that nobody has waited for included."""
    stats = {int(p.name): stat for p in Path("/proc").iterdir() if p.name.isdigit() and (stat := _stat(int(p.name)))}
    members = [root] if root in stats else []
    for member in members:  # Grows while it is walked.
        members += [pid for pid, stat in stats.items() if stat[0] == member and pid not in members]
    return [Process(pid, stats[pid][1]) for pid in members]


def is_alive(process: Process) -> bool:
    """Whether it still runs; one that has ended and only waits to be reaped does not."""
    stat = _stat(process.pid)
    return stat is not None and stat[1] == process.started and stat[2] not in "ZX"


def wait_until_gone(processes: list[Process], timeout: float = GONE_WITHIN_S) -> list[Process]:
    """Wait until all have ended; returns those that live on after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    for process in processes:
        try:
            descriptor = os.pidfd_open(process.pid)
        except ProcessLookupError:
            continue
        try:
            # Opened first and compared then: between the two the pid cannot be given to another process unseen.
            if is_alive(process):
                waiting = select.poll()
                waiting.register(descriptor, select.POLLIN)
                waiting.poll(max(0.0, deadline - time.monotonic()) * 1000)
        finally:
            os.close(descriptor)
    return [process for process in processes if is_alive(process)]


def wait_for_family_of(size: int, root: int, timeout: float) -> bool:
    """Wait until `root` and its descendants are at most `size`, ended ones that nobody has waited for included."""
    deadline = time.monotonic() + timeout
    while len(family(root)) > size:
        if time.monotonic() > deadline:
            return False
        # There is no event for "has been reaped"; the family is looked at again after a moment.
        time.sleep(0.02)
    return True


def open_descriptors(pid: int) -> int:
    """How many file descriptors a process has."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def private_memory_mib(pids: list[int]) -> float:
    """The memory that would come back if these processes ended (their private pages), in MiB."""
    kib = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                kib += int(line.split()[1])
    return kib / 1024


def wait_until_at_rest(root: int, rest: float, timeout: float) -> bool:
    """Wait until `root` and its descendants have used no processor time for `rest` seconds. False after `timeout`.

    What a kernel prepares when it has nothing to do is done by then.
    """
    deadline = time.monotonic() + timeout
    used, since = _processor_ticks(root), time.monotonic()
    while time.monotonic() - since < rest:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
        # A timer or two a second is rest.
        if (now := _processor_ticks(root)) > used + 1:
            used, since = now, time.monotonic()
    return True


def _processor_ticks(root: int) -> int:
    total = 0
    for member in family(root):
        try:
            fields = (
                Path(f"/proc/{member.pid}/stat")
                .read_text(encoding="utf-8", errors="replace")
                .rpartition(")")[2]
                .split()
            )
        except OSError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total
