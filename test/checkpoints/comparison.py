"""Whether two values are equal, by the equality that fits them."""

from __future__ import annotations

import decimal
import fractions
import ipaddress
import pathlib
import sys
import types
from typing import Any

_UNCHANGING = (str, bytes, int, float, complex, tuple, frozenset, type(None), types.CodeType, range, slice)
_UNCHANGING += (decimal.Decimal, fractions.Fraction, pathlib.PurePath)  # type: ignore[assignment]
_UNCHANGING += (ipaddress.IPv4Address, ipaddress.IPv4Network)  # type: ignore[assignment]


def equal(one: Any, other: Any) -> bool:
    """Raises AssertionError, saying what differs, if they are not."""
    for each in (one, other):
        if type(each).__name__ == "LostVariable":
            str(each)
    found = _difference(one, other, "x")
    assert not found, found
    return True


def same(one: Any, other: Any) -> bool:
    """Whether they are one object. If they cannot be changed, it does not matter whether they are one or two."""
    return one is other or (isinstance(other, _UNCHANGING) and type(one) is type(other) and bool(one == other))


equal.same = same  # type: ignore[attr-defined]


def _difference(one: Any, other: Any, path: str) -> str:
    if type(one) is not type(other):
        return f"{path}: {type(one).__name__}, not {type(other).__name__}"
    if isinstance(one, dict):
        if list(one) != list(other):
            return f"{path}: other keys"
        return "".join(_difference(one[key], other[key], f"{path}[{key!r}]") for key in one)
    if isinstance(one, (list, tuple)):
        if len(one) != len(other):
            return f"{path}: {len(one)} items, not {len(other)}"
        return "".join(_difference(a, b, f"{path}[{at}]") for at, (a, b) in enumerate(zip(one, other)))
    return "" if _are_equal(one, other) else f"{path}: {one!r:.80} is not {other!r:.80}"


def _are_equal(one: Any, other: Any) -> bool:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if numpy is not None and isinstance(one, (numpy.ndarray, numpy.generic)):
        if one.dtype != other.dtype:
            return False
        if one.dtype.kind in "fc":
            return bool(numpy.array_equal(one, other, equal_nan=True))
        return bool(numpy.array_equal(one, other))
    if torch is not None and isinstance(one, torch.Tensor):
        return bool(one.dtype == other.dtype and torch.equal(one, other))
    if hasattr(one, "equals") and type(one).__module__.partition(".")[0] in ("pandas", "polars", "pyarrow", "xarray", "geopandas"):
        return bool(one.equals(other))
    return bool(one == other) or (one != one and other != other)
