"""What is told of checkpoints: one of them, all of them, and how two of them differ."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any


@dataclass(frozen=True)
class Checkpoint:
    """A saved state. Sizes are in bytes, durations (`pause_ms`, `write_ms`) in milliseconds.

    `verdicts` counts the variables by how faithfully they are kept (exact, equal, rebuilt, replayed, lost), and `lost`
    names those that are not, with the reason. `checkpoint_size` is what it holds, `written_bytes` what had to be
    written for it: the rest was stored already.
    """

    checkpoint_id: str
    name: str | None = None
    note: str | None = None
    state: str = "stored"
    parent_id: str | None = None
    branch: str | None = None
    kernel_id: str | None = None
    created_at: str | None = None
    execution_count: int | None = None
    namespace_size: int | None = None
    function_count: int | None = None
    class_count: int | None = None
    checkpoint_size: int | None = None
    written_bytes: int | None = None
    data: Any = None
    format_version: int | None = None
    python_version: str | None = None
    pause_ms: float | None = None
    write_ms: float | None = None
    verdicts: dict[str, int] = field(default_factory=dict)
    lost: list[dict[str, str]] = field(default_factory=list)
    in_transaction: bool = False

    @classmethod
    def of(cls, record: dict[str, Any]) -> Checkpoint:
        """The checkpoint that a record describes; what this version does not know of it is left out."""
        known = {each.name for each in fields(cls)}
        return cls(**{key: value for key, value in record.items() if key in known})


class Timeline(list[Checkpoint]):
    """Checkpoints, newest first; shown as the tree that they are. `head` is the id of the one that the state follows."""

    def __init__(self, checkpoints: Iterable[Checkpoint] = (), head: str | None = None, total: int | None = None) -> None:
        super().__init__(checkpoints)
        self.head = head
        #: How many there are, of which this list may be the newest.
        self.total_count = len(self) if total is None else total
        #: What changed with a checkpoint, in words, by its id; as far as anybody looked.
        self.changes: dict[str, str] = {}

    def __repr__(self) -> str:
        from .drawing import timeline_text

        return timeline_text(self)

    def _repr_html_(self) -> str:
        from .timeline_html import timeline_html

        return timeline_html(self)


@dataclass(frozen=True)
class Difference:
    """What a later state has that an earlier one had not, and the other way round.

    `added`, `removed` and `changed` are lists of `{"name", "type", "bytes", "preview"}`; `code` is the text of the cells
    between. False where nothing differs.
    """

    added: list[dict[str, Any]] = field(default_factory=list)
    removed: list[dict[str, Any]] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)
    code: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, record: dict[str, Any]) -> Difference:
        """The difference that an answer describes."""
        return cls(*(list(record.get(each.name) or ()) for each in fields(cls)))

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __repr__(self) -> str:
        from .drawing import difference_text

        return difference_text(self)

    def _repr_html_(self) -> str:
        from .timeline_html import difference_html

        return difference_html(self)
