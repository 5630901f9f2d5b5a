"""Work that C code does without the interpreter's lock, shared out to two threads.

Both have ended when `each` returns: no thread of ours is ever left behind in a worker that may be forked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: For less than this, starting a thread takes longer than what it saves.
BYTES_MIN = 2 * 1024 * 1024


def each(count: int, work: Callable[[int], None], size: int) -> None:
    """Call `work` with each number below `count`, in no order; `size`: bytes in all. Raises the first that is raised."""
    if size < BYTES_MIN or count < 2:
        for index in range(count):
            work(index)
        return
    numbers, lock = iter(range(count)), threading.Lock()
    failures: list[BaseException] = []

    def some() -> None:
        while not failures:
            with lock:
                index = next(numbers, None)
            if index is None:
                return
            try:
                work(index)
            except BaseException as error:
                failures.append(error)

    helper: threading.Thread | None = threading.Thread(target=some, name="savepoint-chunks", daemon=True)
    try:
        helper.start()
    except RuntimeError:
        # No thread is to be had; then it takes twice as long.
        helper = None
    try:
        some()
    finally:
        if helper is not None:
            helper.join()
    if failures:
        raise failures[0]
