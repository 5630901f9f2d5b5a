"""Fresh memory for what workers make, so that they leave alone what they share.

A worker shares each page of its zygote until it writes to it. What is freed while everything is imported leaves holes
in thousands of pages, and what a worker makes would be put into them: each object copies a page. Before the first fork
the holes are therefore filled, once and for all workers; theirs is put side by side, on pages of its own.
"""

from __future__ import annotations

#: Python keeps objects of up to 512 bytes in pools, one size in steps of 16 to a pool.
STEP, LARGEST = 16, 512
#: Bytes of a pool: 16 KiB since CPython 3.10, 4 KiB before, and all of it if in doubt.
POOL = 1 << 14
#: So much of one size is taken at most; there is no end where memory is not kept in pools.
BYTES_MAX = 4 << 20
#: What a worker has room for before it asks the system for more.
RESERVED = 4 << 20
#: Python asks for so much at a time, since CPython 3.10.
ARENA = 1 << 20
_HEAD = b"".__sizeof__()

_kept: list[object] = []


def fill() -> None:
    """Take whatever is free in between. What is freed later, in the zygote or in a worker, leaves holes again."""
    for size in range(2 * STEP, LARGEST + STEP, STEP):
        _kept.append(_fill(size))


def reserve() -> None:
    """Have room for what workers make, mapped already: so it is known which of it they write to all the time."""
    made = [bytes(LARGEST - _HEAD) for _ in range(RESERVED // LARGEST)]
    # One for each arena keeps it there; the rest is free again.
    _kept.append(list({id(each) // ARENA: each for each in made}.values()))


def _fill(size: int) -> list[object]:
    kept: list[object] = []
    in_a_row, before = 0, 0
    pool = (POOL - 48) // size - 1
    # A whole pool of neighbours is one that nobody has anything in.
    while in_a_row < pool and len(kept) * size < BYTES_MAX:
        made: object = bytes(size - _HEAD) if size > _HEAD else float(len(kept))
        kept.append(made)
        in_a_row = in_a_row + 1 if id(made) == before + size else 0
        before = id(made)
    return kept
