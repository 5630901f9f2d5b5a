"""What is raised: a code for programs to branch on, a message that tells a person what to do."""

from __future__ import annotations

from typing import Any


class SavepointError(Exception):
    """Something was refused or failed. `code` never changes; `message` is for people; `details` is evidence."""

    def __init__(self, code: str, message: str = "", details: dict[str, Any] | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details: dict[str, Any] = dict(details or {})

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code

    def __reduce__(self) -> tuple[Any, ...]:
        # Subclasses have constructors of their own, so a copy is made past them.
        return _rebuild, (type(self), self.args), self.__dict__


class LostVariableError(SavepointError, NameError):
    """A variable was touched that its checkpoint could not hold. Assign it anew, or delete it."""

    def __init__(self, name: str, type_name: str, reason: str) -> None:
        super().__init__(
            "lost_variable",
            f"'{name}' ({type_name}) could not be brought back: {reason}. Make it again, then assign it.",
            {"name": name, "type": type_name, "reason": reason},
        )


class RolledBack(SavepointError):
    """A block was rolled back: the state is what it was at its `with` line, where this is raised.

    `reason` is "error", "requested", "interrupt", "timeout" or "worker_died"; `ename`, `evalue` and `traceback` (a list
    of str) describe the error, if one was the reason; `original` is that exception itself, also as `__cause__`, or None
    if it could not be carried over. `effects` and `limits` name what could not be taken back. `value` is what
    `tx.rollback(value=...)` was given.
    """

    def __init__(
        self,
        reason: str,
        ename: str | None = None,
        evalue: str | None = None,
        traceback: list[str] | None = None,
        original: BaseException | None = None,
        value: object = None,
        effects: list[dict[str, Any]] | None = None,
        limits: list[str] | None = None,
    ) -> None:
        super().__init__("rolled_back", _why(reason, ename, evalue), {"reason": reason})
        self.reason = reason
        self.ename = ename
        self.evalue = evalue
        self.traceback = list(traceback or [])
        self.original = original
        self.value = value
        self.effects = list(effects or [])
        self.limits = list(limits or [])


def _why(reason: str, ename: str | None, evalue: str | None) -> str:
    if reason == "requested":
        return "The block was rolled back as requested."
    what = ": ".join(text for text in (ename, evalue) if text) or reason
    return f"The block was rolled back after {what}"


def _rebuild(cls: type[SavepointError], arguments: tuple[Any, ...]) -> SavepointError:
    error = cls.__new__(cls)
    Exception.__init__(error, *arguments)
    return error
