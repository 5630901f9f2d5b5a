"""Work that C code does without the interpreter's lock, shared out to two threads.

Both have ended when `each` returns: no thread of ours is ever left behind in a worker that may be forked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

#: For less than this, starting a thread takes longer than what it saves.
BYTES_MIN = 2 * 1024 * 1024
PIECE_BYTES_MIN = 64 * 1024
SLOWNESS = 8


def each(count: int, work: Callable[[int], None], size: int, slow: bool = False) -> None:
    """Call `work` with each number below `count`, in no order. Raises the first that is raised.

    `size`: bytes in all; `slow`: each byte takes many times as long as reading it does. Two threads only hold each
    other up if a piece of work takes no longer than handing over the interpreter does.
    """
    size *= SLOWNESS if slow else 1
    if size < BYTES_MIN or size < count * PIECE_BYTES_MIN:
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
