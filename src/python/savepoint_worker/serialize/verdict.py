"""How faithfully a variable is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

#: From best to worst; a variable's verdict is that of its worst part. `replayed`: made by running code again.
VERDICTS = ("exact", "equal", "rebuilt", "replayed", "lost")
EXACT, EQUAL, REBUILT, REPLAYED, LOST = range(len(VERDICTS))
#: How it was done, in the order in which it is tried.
TIERS = ("pickle", "by_value", "handler", "dill", "source")
REASON_LENGTH_MAX = 300
TYPE_LENGTH_MAX = 120


class Unsaveable(Exception):
    """An object cannot be kept; the text says why, in words that a user understands. `value`: that object, if known."""

    def __init__(self, reason: str, value: object = None) -> None:
        super().__init__(reason)
        self.value = value


class Unloadable(Exception):
    """An object was kept but cannot be made here; the text says why."""


@dataclass(slots=True)
class Kept:
    """What became of one variable."""

    name: str
    type: str
    verdict: str
    tier: str | None
    bytes: int
    reason: str | None = None

    def entry(self) -> dict[str, Any]:
        """As it stands in the manifest's `objects`."""
        return {name: getattr(self, name) for name in self.__slots__}

    def loss(self) -> dict[str, str]:
        """As it stands in the manifest's `lost`."""
        return {"name": self.name, "type": self.type, "reason": self.reason or "unknown"}


def type_name(value: object) -> str:
    """The qualified name of a value's type, without `builtins`. Runs no code of the user's, nor of his metaclasses."""
    kind = type(value)
    module, name = (type.__dict__[key].__get__(kind) for key in ("__module__", "__qualname__"))
    full: str = name if type(module) is not str or module == "builtins" else f"{module}.{name}"
    return full[:TYPE_LENGTH_MAX]


def reason_of(error: BaseException) -> str:
    """Why something could not be done, from what was raised; in one line."""
    try:
        text = str(error)
    except BaseException as failure:
        text = f"its __str__ raised {type(failure).__name__}"
    if not isinstance(error, (Unsaveable, Unloadable)):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    # A text of the user's may hold half a surrogate pair, which no file can.
    text = " ".join(text.split()).encode("utf-8", "replace").decode()
    return text if len(text) <= REASON_LENGTH_MAX else text[: REASON_LENGTH_MAX - 1] + "…"
