"""Children that do not lie.

A worker has children that are none of the user's: its frozen copies and checkpoint writers. `os.wait` and its kin must
neither return them nor wait for them. And a worker that was woken has had children that are now the zygote's: the
exit status of those is asked for there, where plain Python would answer 0.

`install` replaces the functions for good. They cost one look at an empty set until there is something to hide.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from .custodian import Custodian, CustodianGone, Status

POLL_S_MIN = 0.0005
POLL_S_MAX = 0.05

_hidden: set[int] = set()
_custodian: Custodian | None = None

_wait = os.wait
_wait3 = os.wait3
_wait4 = os.wait4
_waitpid = os.waitpid
_waitid = os.waitid
_try_wait = subprocess.Popen._try_wait  # type: ignore[attr-defined]
_internal_poll = subprocess.Popen._internal_poll  # type: ignore[attr-defined]


def hide(pid: int) -> None:
    """Keep a child of ours out of the user's sight until `reap`."""
    _hidden.add(pid)


def hidden() -> frozenset[int]:
    """Children that are none of the user's."""
    return frozenset(_hidden)


def reap(pid: int) -> bool:
    """Take leave of a hidden child if it has ended; False if it lives."""
    try:
        ended = _waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        # Somebody ignores SIGCHLD, so the system has reaped it.
        ended = True
    if ended:
        _hidden.discard(pid)
    return ended


def reap_all() -> None:
    """Take leave of every hidden child that has ended."""
    for pid in list(_hidden):
        reap(pid)


def outlive(custodian: Custodian) -> None:
    """From now on the children of the process that this one was copied from are asked about at the zygote."""
    global _custodian
    _custodian = custodian


def _after_fork_in_child() -> None:
    # What was hidden are siblings here, and the connection to the zygote is not this process's to read.
    global _custodian
    _hidden.clear()
    _custodian = None


def install() -> None:
    """Replace the waiting functions of os and of subprocess.Popen. Once per process, and inherited by forks."""
    if os.wait is wait:
        return
    os.register_at_fork(after_in_child=_after_fork_in_child)
    for ours, theirs in ((wait, _wait), (wait3, _wait3), (wait4, _wait4), (waitpid, _waitpid), (waitid, _waitid)):
        ours.__doc__, ours.__module__ = theirs.__doc__, theirs.__module__
        setattr(os, ours.__name__, ours)
    subprocess.Popen._try_wait = _popen_try_wait  # type: ignore[attr-defined]
    subprocess.Popen._internal_poll = _popen_internal_poll  # type: ignore[attr-defined]


# --------------------------------------------------------------------------------------------- in place of os's own


def wait() -> Any:
    if not _hidden:
        return _wait()
    return _collect(os.P_ALL, 0, 0, lambda pid: _waitpid(pid, 0), (0, 0))


def wait3(options: int) -> Any:
    if not _hidden:
        return _wait3(options)
    return wait4(-1, options)


def wait4(pid: int, options: int) -> Any:
    if pid > 0:
        if pid in _hidden:
            _no_child()
        return _of_process(pid, options, lambda: _wait4(pid, options), _with_no_usage)
    if not _hidden:
        return _wait4(pid, options)
    return _collect(*_group(pid), options, lambda found: _wait4(found, options), (0, 0, _no_usage()))


def waitpid(pid: int, options: int, /) -> Any:
    if pid > 0:
        if pid in _hidden:
            _no_child()
        if _custodian is None:
            return _waitpid(pid, options)
        return _of_process(pid, options, lambda: _waitpid(pid, options), lambda *result: result)
    if not _hidden:
        return _waitpid(pid, options)
    return _collect(*_group(pid), options, lambda found: _waitpid(found, options), (0, 0))


def waitid(idtype: int, id: int, options: int, /) -> Any:
    if idtype == os.P_PID and id in _hidden:
        _no_child()
    if idtype not in (os.P_ALL, os.P_PGID) or not _hidden:
        return _waitid(idtype, id, options)
    group = os.getpgrp() if idtype == os.P_PGID and id == 0 else id
    return _collect(idtype, group, options, lambda found: _waitid(os.P_PID, found, options), None, options)


# ---------------------------------------------------------------------------------------------- any of the children


def _group(pid: int) -> tuple[int, int]:
    """Which children a pid of waitpid means that is no process: all, or those of a process group."""
    if pid == -1:
        return os.P_ALL, 0
    return os.P_PGID, os.getpgrp() if pid == 0 else -pid


def _collect(
    idtype: int, id: int, options: int, take: Callable[[int], Any], none: Any, states: int | None = None
) -> Any:
    """`take` the first child of the user's that changes its state; `none` if WNOHANG and there is nothing to take."""
    if states is None:
        stopped = os.WSTOPPED if options & os.WUNTRACED else 0
        states = os.WEXITED | stopped | options & (os.WCONTINUED | os.WNOHANG)
    while True:
        if not _has_others(idtype, id):
            _no_child()
        found = _waitid(idtype, id, states | os.WNOWAIT)
        if found is None:
            return none
        if found.si_pid in _hidden:
            reap(found.si_pid)
            continue
        try:
            return take(found.si_pid)
        except ChildProcessError:
            # Another thread was faster; there may be more.
            continue


def _has_others(idtype: int, id: int) -> bool:
    """Has this process any child besides the hidden ones?"""
    return any(pid not in _hidden and (idtype == os.P_ALL or _group_of(pid) == id) for pid in children_of(os.getpid()))


def children_of(pid: int) -> list[int]:
    """Children of a process, ended but unreaped ones included."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb") as file:
                found.extend(map(int, file.read().split()))
    except FileNotFoundError:
        # A kernel without CONFIG_PROC_CHILDREN, or a thread that ended just now.
        return [child for child, parent in _parents() if parent == pid]
    return found


def _parents() -> list[tuple[int, int]]:
    """Every process of the system that can be seen, and its parent."""
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        parent = parent_of(int(name))
        if parent is not None:
            found.append((int(name), parent))
    return found


def parent_of(pid: int) -> int | None:
    """Parent of a process, None if there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def _group_of(pid: int) -> int:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return -1


def _no_child() -> NoReturn:
    raise ChildProcessError(errno.ECHILD, os.strerror(errno.ECHILD))


# --------------------------------------------------------------------------------- children of an earlier generation


def _of_process(pid: int, options: int, real: Callable[[], Any], shape: Callable[[int, int], Any]) -> Any:
    """Wait for one process, at the zygote if it is no child of this one. Raises ChildProcessError."""
    try:
        return real()
    except ChildProcessError:
        status = _ask(pid, blocking=not options & os.WNOHANG)
        if status.state == "unknown":
            raise
        return shape(pid, status.status) if status.state == "ended" else shape(0, 0)


def _ask(pid: int, blocking: bool) -> Status:
    """How a process ended that the zygote may have adopted. Without `blocking` it may also be running."""
    pause = POLL_S_MIN
    while _custodian is not None:
        try:
            status = _custodian.status(pid)
        except CustodianGone:
            break
        if status.state != "running" or not blocking:
            return status
        # Asking again, as Popen.wait with a timeout does, keeps the connection free for other threads.
        time.sleep(pause)
        pause = min(2 * pause, POLL_S_MAX)
    return Status("unknown")


def _no_usage() -> Any:
    import resource

    return resource.struct_rusage((0.0, 0.0, *[0] * 14))


def _with_no_usage(pid: int, status: int) -> tuple[int, int, Any]:
    return pid, status, _no_usage()


def _popen_try_wait(self: subprocess.Popen[Any], wait_flags: int) -> tuple[int, int]:
    if _custodian is None:
        return _try_wait(self, wait_flags)  # type: ignore[no-any-return]
    try:
        return waitpid(self.pid, wait_flags)  # type: ignore[no-any-return]
    except ChildProcessError:
        if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
            # Then nobody can know, and CPython says 0.
            return self.pid, 0
        from savepoint import SavepointError

        raise SavepointError(
            "child_lost",
            f"Process {self.pid} was started before a rollback, and how it ended is not known. Start it again.",
            {"pid": self.pid},
        ) from None


def _popen_internal_poll(self: subprocess.Popen[Any], _deadstate: int | None = None, *rest: Any) -> int | None:
    if _custodian is None or _deadstate is not None or self.returncode is not None:
        return _internal_poll(self, _deadstate, *rest)  # type: ignore[no-any-return]
    lock: threading.Lock = self._waitpid_lock  # type: ignore[attr-defined]
    if not lock.acquire(blocking=False):
        # Somebody else is waiting for it, so it is running as far as anybody knows.
        return None
    try:
        if self.returncode is None:
            pid, status = _popen_try_wait(self, os.WNOHANG)
            if pid == self.pid:
                self._handle_exitstatus(status)  # type: ignore[attr-defined]
        return self.returncode
    finally:
        lock.release()


def restart_waiters() -> None:
    """In a woken worker: wait again for what asyncio's threads were waiting for. They were not copied."""
    import asyncio

    # CPython up to 3.11, and later ones where the system has no pidfds, keep one thread for each process.
    watcher: Any = getattr(asyncio.get_event_loop_policy(), "_watcher", None)
    waiting: dict[int, threading.Thread] = getattr(watcher, "_threads", {})
    for pid, thread in list(waiting.items()):
        arguments = getattr(thread, "_args", None)
        if arguments and not thread.is_alive():
            waiter = threading.Thread(target=watcher._do_waitpid, args=arguments, name=thread.name, daemon=True)
            waiting[pid] = waiter
            waiter.start()
