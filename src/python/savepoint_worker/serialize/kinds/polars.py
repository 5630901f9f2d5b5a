"""polars: frames by their columns.

Its own pickles are made by a pool of threads, which a forked process does not have: it would wait for them for ever.
"""

from __future__ import annotations

import signal
import sys
from typing import Any

from .. import rebuild_polars, surroundings
from ..handlers import register
from ..verdict import EQUAL

#: A plan that takes longer than this waits for threads that are not there.
SECONDS_MAX = 10


@register("polars.dataframe.frame.DataFrame", rank=EQUAL, tier=2)
def frame(pickler: Any, value: Any) -> Any:
    """Its columns."""
    return rebuild_polars.frame, ([_column(each) for each in value.get_columns()], value.height)


@register("polars.series.series.Series", rank=EQUAL, tier=2)
def series(pickler: Any, value: Any) -> Any:
    return rebuild_polars.series, _column(value)


@register("polars.lazyframe.frame.LazyFrame", rank=EQUAL, tier=0)
def plan(pickler: Any, value: Any) -> Any:
    """As polars writes it; if that hangs, it costs this variable, and not a minute."""
    if not surroundings.is_expendable():
        return NotImplemented
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS_MAX)
    try:
        return value.__reduce_ex__(5)
    finally:
        signal.alarm(0)


def _column(value: Any) -> tuple[str, Any, Any]:
    """Name, type and contents: as an array of pyarrow where that is sure to come back as it was."""
    polars, arrow = sys.modules["polars"], _arrow()
    dtype = value.dtype
    is_plain = dtype.is_numeric() or dtype.is_temporal() or dtype in (polars.Boolean, polars.String, polars.Binary)
    if arrow is None or not is_plain or dtype.is_decimal() or "128" in str(dtype):
        return value.name, dtype, value.to_list()
    return value.name, dtype, arrow.chunked_array(value)


def _arrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        return None
    return pyarrow
