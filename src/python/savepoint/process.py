"""The way from user code to the worker that runs it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NoReturn

from .errors import SavepointError

if TYPE_CHECKING:
    from savepoint_worker.worker import Worker


def worker() -> Worker:
    """The worker of this process. Raises SavepointError("not_in_kernel")."""
    # Where there is a worker its module is loaded; nothing is imported in a process that only happens to find us.
    module = sys.modules.get("savepoint_worker.worker")
    found: Worker | None = module.Worker.current() if module is not None else None
    if found is None:
        message = "This works only in the main process of a Savepoint kernel. Run it in a cell."
        raise SavepointError("not_in_kernel", message)
    return found


def leave_cell() -> NoReturn:
    """End the running cell here, silently and with status ok."""
    from savepoint_worker.cells.execution import LeaveCell

    raise LeaveCell()


def is_leaving(error: BaseException) -> bool:
    """Is `error` the silent end of a cell, and no failure?"""
    module = sys.modules.get("savepoint_worker.cells.execution")
    return module is not None and isinstance(error, module.LeaveCell)
