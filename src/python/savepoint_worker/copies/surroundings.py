"""What a copy of the process leaves out, and what goes on beside it: for whoever relies on the copy later.

A copy has one thread, and the ends of its pipes and sockets are dead. Tasks of the event loop are in it, but they go on
in the process that it was copied from, so that the copy is out of date as soon as one of them has changed something.
"""

from __future__ import annotations

import asyncio
import os
import select
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from itertools import filterfalse, islice
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..worker import Worker

#: Names that are told at most, of threads and of connections each.
NAMES_MAX = 20
#: Threads that change nothing of the user's: tqdm's monitor, IPython's history.
HARMLESS = frozenset({"TMonitor", "HistorySavingThread"})


def facts(worker: Worker, streams: Iterable[int]) -> dict[str, Any]:
    """What `taken` tells of the worker at this moment; `streams` are the numbers of the user's pipes and sockets."""
    found: dict[str, Any] = {}
    threads = users_threads(worker)
    absent = [f"thread '{each.name}'" for each in threads[:NAMES_MAX]]
    absent += [named(each) for each in islice(filterfalse(is_dead, streams), NAMES_MAX)]
    if absent:
        found["absent"] = absent
    found["live"] = any(map(is_at_work, threads)) or loop_is_at_work(worker)
    found["comms"] = open_comms()
    return found


def users_threads(worker: Worker) -> list[threading.Thread]:
    """Threads that user code has started, and that may touch something of the user's."""
    if threading.active_count() == 1:
        return []
    ours = {worker.debugger, *(each.thread for each in worker.subshells.all())}
    main = threading.main_thread()
    return [
        each
        for each in threading.enumerate()
        if each is not main and each not in ours and type(each).__name__ not in HARMLESS
    ]


def is_at_work(thread: threading.Thread) -> bool:
    """False for a thread of an executor that waits for work."""
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is None or frame.f_code.co_name != "_worker" or "concurrent" not in frame.f_code.co_filename


def loop_is_at_work(worker: Worker) -> bool:
    """Has the user's code anything in the event loop: tasks, timers, connections?"""
    loop: Any = worker.loop
    here = asyncio.current_task(loop)
    if any(task is not here and task is not worker._server for task in asyncio.all_tasks(loop)):
        return True
    if any(not timer._cancelled and not _is_ours(timer._callback) for timer in loop._scheduled):
        return True
    from .snapshot import own_descriptors

    watched = loop._selector.get_map()
    return len(watched) > 2 and not watched.keys() <= own_descriptors(worker)


def _is_ours(callback: object) -> bool:
    return str(getattr(callback, "__module__", "")).startswith("savepoint_worker")


def open_comms() -> list[str]:
    """Ids of the comms that are open."""
    comm = sys.modules.get("comm")
    if comm is None:
        return []
    return [str(each) for each in comm.get_comm_manager().comms]


def is_dead(stream: int) -> bool:
    """Has the other end hung up? What was cut off in a copy that was woken stays like that."""
    poll = select.poll()
    poll.register(stream, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def named(stream: int) -> str:
    """A pipe or socket, in words."""
    try:
        target = os.readlink(f"/proc/self/fd/{stream}")
        if not target.startswith("socket:"):
            return f"pipe {stream}" if target.startswith("pipe:") else target
        with socket.socket(fileno=os.dup(stream)) as copy:
            try:
                return f"socket {_address(copy.getpeername())}"
            except OSError:
                return f"socket {_address(copy.getsockname())}"
    except OSError:
        return f"connection {stream}"


def _address(address: Any) -> str:
    if isinstance(address, tuple):
        return ":".join(map(str, address[:2]))
    return str(address) or "pair"


def awake(worker: Worker, known: Iterable[str]) -> None:
    """In a woken copy: show clients, which know the comms `known`, the comms and widgets of this process."""
    open_to_clients = set(known)
    for comm_id, comm, widget in list(_comms()):
        try:
            if comm_id not in open_to_clients:
                if comm.primary:
                    # One that a client has opened is the client's to open.
                    _open_again(comm, widget)
            elif widget is not None:
                widget.send_state()
        except Exception as error:
            worker.log("warn", f"A widget could not be shown again: {type(error).__name__}.")


def _comms() -> Iterator[tuple[str, Any, Any]]:
    comm = sys.modules.get("comm")
    if comm is None:
        return
    module = sys.modules.get("ipywidgets.widgets.widget")
    widgets: dict[str, Any] = dict(getattr(module, "_instances", {}))
    for comm_id, each in comm.get_comm_manager().comms.items():
        yield comm_id, each, widgets.get(comm_id)


def _open_again(comm: Any, widget: Any) -> None:
    data: Any = {}
    metadata: Any = None
    buffers: Any = None
    if widget is not None:
        module = sys.modules["ipywidgets.widgets.widget"]
        state, paths, buffers = module._remove_buffers(widget.get_state())
        data = {"state": state, "buffer_paths": paths}
        metadata = {"version": module.__protocol_version__}
    comm.publish_msg(
        "comm_open",
        data=data,
        metadata=metadata,
        buffers=buffers,
        target_name=comm.target_name,
        target_module=comm.target_module,
    )
