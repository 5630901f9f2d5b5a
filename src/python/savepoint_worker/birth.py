"""What a worker is told at its birth, and what it makes of its process first."""

from __future__ import annotations

import os
from typing import NamedTuple


class WorkerSpec(NamedTuple):
    """What a worker is told at birth. `env` is added to the environment (None removes); the paths are FIFOs."""

    kernel: str
    token: str
    link_path: str
    cwd: str | None
    env: dict[str, str | None]
    stdout: str | None
    stderr: str | None
    custodian_fd: int


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
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            os.dup2(descriptor, number)
            os.close(descriptor)
