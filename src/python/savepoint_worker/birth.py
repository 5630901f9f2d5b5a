"""What a worker is told at its birth, and what it makes of its process first."""

from __future__ import annotations

import os
from typing import NamedTuple


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


def enter(spec: WorkerSpec) -> None:
    """Put on the environment, folder and standard streams that the kernel is to have."""
    for name, value in spec.env.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    if spec.cwd is not None:
        os.chdir(spec.cwd)
    for path, number in ((spec.stdout, 1), (spec.stderr, 2)):
        if path is not None:
            # Open for both, so that there is always a reader and nobody here dies of SIGPIPE.
            descriptor = _open_fifo(path)
            os.dup2(descriptor, number)
            os.close(descriptor)


def _open_fifo(path: str) -> int:
    flags = os.O_RDWR | os.O_CLOEXEC
    try:
        return os.open(path, flags)
    except FileNotFoundError:
        # Who shares a zygote leaves it to the worker to make them.
        os.mkfifo(path, 0o600)
        return os.open(path, flags)
