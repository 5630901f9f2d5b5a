"""Exceptions and values that go from a process that is rolled back to the copy that takes its place."""

from __future__ import annotations

import pickle


def text_of(error: BaseException) -> str:
    """`str(error)`, or words about why there is none."""
    try:
        return str(error)
    except BaseException as failure:
        return f"<{type(error).__name__}: its __str__ raised {type(failure).__name__}>"


def pack(error: BaseException) -> bytes:
    """An exception as bytes for `unpack`; empty if it cannot be carried over.

    By reference its class is the very one that the woken copy knows, so `isinstance` holds. What refers to the user's
    own classes is also pickled by value: then it arrives even if its class was defined since the copy was taken.
    """
    try:
        by_reference = pickle.dumps(error, protocol=5)
    except Exception:
        by_reference = b""
    by_value = b"" if by_reference and b"__main__" not in by_reference else _pickled_by_value(error)
    if not by_reference and not by_value:
        return b""
    return len(by_reference).to_bytes(8, "big") + by_reference + by_value


def unpack(packed: bytes) -> BaseException | None:
    """The exception in `packed`, or None if there is none or it cannot be made here."""
    if len(packed) < 8:
        return None
    end = 8 + int.from_bytes(packed[:8], "big")
    for pickled in (packed[8:end], packed[end:]):
        error = value_of(pickled)
        if isinstance(error, BaseException):
            return error
    return None


def value_of(pickled: bytes) -> object:
    """What was pickled, or None if there is nothing or it cannot be made here."""
    if not pickled:
        return None
    try:
        return pickle.loads(pickled)
    except Exception:
        return None


def _pickled_by_value(error: BaseException) -> bytes:
    try:
        # Imported only here: it takes longer than all the rest of a rollback.
        import cloudpickle

        return bytes(cloudpickle.dumps(error, protocol=5))
    except Exception:
        return b""
