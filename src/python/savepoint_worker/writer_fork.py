"""Forking the process that writes a checkpoint: all that holds the kernel up. What it takes to write is imported there."""

from __future__ import annotations

import _signal
import fcntl
import io
import os
import stat
from typing import TYPE_CHECKING, Any, NoReturn

from .copies import imports, openmp
from .copies.snapshot import ALL_SIGNALS, fork_quietly
from .serialize import process, surroundings

if TYPE_CHECKING:
    from .worker import Worker

#: With more variables than this it is looked first whether any file is open.
MANY_VARIABLES = 5000
_BUFFERED = (io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom)


def fork_writer(worker: Worker, command: dict[str, Any]) -> int:
    """Fork the writer of a checkpoint; its pid.

    `command` is the gateway's: `checkpoint`, `token`, `path`, `exclude`. Raises OSError if no process can be had.
    """
    _flush_files(worker.shell.user_ns)
    before_fork = process.before_fork()
    surroundings.note_threads()
    # Else a model of a library with such threads waits for ever for them when it is asked what it holds.
    openmp.pause()
    mask = _signal.pthread_sigmask(_signal.SIG_BLOCK, ALL_SIGNALS)
    try:
        pid = fork_quietly(alone=False)
        if pid == 0:
            _be_writer(worker, command, before_fork)
    finally:
        _signal.pthread_sigmask(_signal.SIG_SETMASK, mask)
    worker.snapshots.add_child(pid)
    if worker.recorder is not None:
        worker.recorder.own(pid)
    return pid


def _be_writer(worker: Worker, command: dict[str, Any], before_fork: dict[str, Any]) -> NoReturn:
    try:
        imports.repair()
        from .writer import be_writer

        be_writer(worker, command, before_fork)
    finally:
        # This process must not return into the code that its original was called from, whatever happens.
        os._exit(1)


def _flush_files(namespace: dict[str, Any]) -> None:
    """Write out what the user's files still hold: it is part of the state, and only this process may write it."""
    # With many variables it takes longer to look at each than at what is open.
    if len(namespace) > MANY_VARIABLES and not _writes_to_files():
        return
    for value in list(namespace.values()):
        if type(value) in _BUFFERED:
            try:
                if value.writable() and stat.S_ISREG(os.fstat(value.fileno()).st_mode):
                    value.flush()
            except (OSError, ValueError):
                # Closed, or no file at all, or the disk is full; the user will see when he uses it.
                continue


def _writes_to_files() -> bool:
    """Is there a plain file that this process may write to?"""
    for name in os.listdir("/proc/self/fd"):
        try:
            plain = stat.S_ISREG(os.fstat(int(name)).st_mode)
            if plain and fcntl.fcntl(int(name), fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                return True
        except OSError:
            # That of the listing itself, or one that another thread has closed.
            continue
    return False
