"""What a checkpoint's bytes call to make frames of polars. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

from typing import Any


def series(name: str, dtype: Any, contents: Any) -> Any:
    import polars

    if isinstance(contents, list):
        return polars.Series(name, contents, dtype=dtype)
    made = polars.Series(name, contents)
    return made if made.dtype == dtype else made.cast(dtype)


def frame(columns: list[tuple[str, Any, Any]], height: int) -> Any:
    import polars

    return polars.DataFrame([series(*each) for each in columns])
