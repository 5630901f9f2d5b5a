"""One kernel becomes several: the same state in each, for exploring alternatives."""

from __future__ import annotations

from . import process


def fork(count: int = 1) -> list[str]:
    """Start `count` (1 to 100) kernels with all that is in this one as of this line, and return their ids.

    They come up idle: in them the rest of the cell that called this is not run, its frames are left (`finally` blocks
    run). Random generators are in the same state in all of them: seed them anew for other numbers. Connections, threads
    and children of this process are not in them; the first reply of each says what it is without. Either all of them
    come up, or none is left.

    Raises SavepointError: `bad_request`, `quota_exceeded`, `snapshot_failed`, or `not_available` outside of a gateway.
    """
    worker = process.worker()
    answer = worker.ask("fork", {"count": count})
    assert answer.permit is not None
    if worker.take(answer.permit) is not None:
        process.leave_cell()
    made = worker.ask("forked", answer.result).result["kernels"]
    return [kernel["id"] for kernel in made]
