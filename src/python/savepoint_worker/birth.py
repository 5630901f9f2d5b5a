"""What a worker is told at its birth, and what it makes of its process first."""

from __future__ import annotations

import os
import shutil
from typing import Any, NamedTuple

from . import own_limits


class WorkerSpec(NamedTuple):
    """What a worker is told at birth. `env` is added to the environment (None removes); stdout and stderr are FIFOs."""

    kernel: str
    token: str
    link_path: str
    cwd: str | None
    env: dict[str, str | None]
    stdout: str | None
    stderr: str | None
    custodian_fd: int
    #: File that says what an interrupt is meant for; None: that beside the link.
    interrupts: str | None = None
    #: It is not wanted yet, and waits for a lease.
    ready: bool = False
    #: What `%connect_info` and others take for the kernel's connection file; None: what the zygote was told.
    connection_file: str | None = None
    #: So long it goes on without a gateway; 0: it ends with it.
    orphan_s: float = 0
    #: It keeps at most so much for it on disk.
    spool_bytes_max: int = 1 << 30
    #: See `own_limits`; None: there are none, or they come with the lease.
    limits: dict[str, Any] | None = None


def undo_folder(seat: str) -> str:
    """Where copies of files are kept while a transaction is open; the gateway, which removes it, knows it as well."""
    return os.path.splitext(seat)[0] + ".undo"


def put_on(env: dict[str, str | None], cwd: str | None) -> None:
    """Put on the environment and the folder that the kernel is to have. Raises OSError if there is no such folder."""
    for name, value in env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if cwd is not None:
        os.chdir(cwd)


def enter(spec: WorkerSpec) -> None:
    """Put on everything that the kernel is to have, standard streams included. Raises OSError and ValueError."""
    put_on(spec.env, spec.cwd)
    if spec.stdout is not None and os.path.isdir(undo_folder(spec.stdout)):
        # Of a worker that was lost with its transactions.
        shutil.rmtree(undo_folder(spec.stdout), ignore_errors=True)
    for path, number in ((spec.stdout, 1), (spec.stderr, 2)):
        if path is not None:
            # Open for both, so that there is always a reader and nobody here dies of SIGPIPE.
            descriptor = open_fifo(path)
            os.dup2(descriptor, number)
            os.close(descriptor)
    own_limits.expose(own_limits.WORKER)
    if spec.limits:
        own_limits.put_on(spec.limits)


def open_fifo(path: str) -> int:
    """Open an output pipe, which is made if there is none, so that it always has a reader. Raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        # Who shares a zygote leaves it to the worker to make them.
        os.mkfifo(path, 0o600)
        return os.open(path, flags)
