"""The history's two halves: IPython's own knows this session, the gateway's all sessions of all kernels.

`%history -g`, `%recall`, `%rerun -g` and ranges such as `~2/1-5` ask IPython's history manager for what others have
typed; it passes that on to the gateway. What the gateway cannot see, a cell's text as IPython transformed it and the
text of its result, is told to it with the cell's reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from savepoint.errors import SavepointError

if TYPE_CHECKING:
    from ..worker import Worker

#: Longer results are not kept, as little as longer texts of magics.
CHARACTERS_MAX = 100_000

Row = tuple[int, int, Any]


def connect(worker: Worker) -> None:
    """Let the history manager of this process ask the gateway. To be called once per process."""
    manager = worker.shell.history_manager
    own = type(manager)

    def asked(**request: Any) -> list[Row]:
        answer = worker.ask("history", request).result
        # So `%history` writes lines of this session without its number.
        manager.session_number = answer["session"]
        return [_row(row) for row in answer["history"]]

    def get_tail(
        n: int | None = 10, raw: bool = True, output: bool = False, include_latest: bool = False
    ) -> Iterable[Row]:
        wanted = (10 if n is None else n) + (not include_latest)
        try:
            rows = asked(hist_access_type="tail", n=wanted, raw=raw, output=output)
        except SavepointError:
            # A thread, or a process that the user forked: what is known here has to do.
            return own.get_tail(manager, n, raw, output, include_latest)
        return rows if include_latest else rows[:-1]

    def search(
        pattern: str = "*",
        raw: bool = True,
        search_raw: bool = True,
        output: bool = False,
        n: int | None = None,
        unique: bool = False,
    ) -> Iterable[Row]:
        try:
            return asked(hist_access_type="search", pattern=pattern, raw=raw, output=output, n=n, unique=unique)
        except SavepointError:
            return own.search(manager, pattern, raw, search_raw, output, n, unique)

    def get_range(
        session: int = 0, start: int = 1, stop: int | None = None, raw: bool = True, output: bool = False
    ) -> Iterator[Row]:
        if session != 0:
            try:
                request = {"session": session, "start": start, "stop": stop, "raw": raw, "output": output}
                return iter(asked(hist_access_type="range", **request))
            except SavepointError:
                pass
        return iter(own.get_range(manager, session, start, stop, raw, output))

    # Attributes of the one instance: the class is IPython's, and code that looks for it finds it unchanged.
    manager.get_tail, manager.search, manager.get_range = get_tail, search, get_range


def _row(row: list[Any]) -> Row:
    session, line, entry = row
    return session, line, tuple(entry) if isinstance(entry, list) else entry


def told(shell: Any, number: int | None) -> dict[str, str]:
    """What the gateway does not know of cell `number`: `source`, if it is not the text as typed, and `output`."""
    if number is None or number <= 0:
        return {}
    manager = shell.history_manager
    found: dict[str, str] = {}
    try:
        raw, source = manager.input_hist_raw[number], manager.input_hist_parsed[number]
        output = manager.output_hist_reprs.get(number)
    except Exception:
        # The cell has no number in the history, or its code has emptied `In`, which is the very list.
        return {}
    if type(source) is str and source != raw and len(source) <= CHARACTERS_MAX:
        found["source"] = source
    if type(output) is str and len(output) <= CHARACTERS_MAX:
        found["output"] = output
    return found


def pad(shell: Any, execution_count: int) -> None:
    """Make `In` as long as the number of the next cell says, so that `In[n]` is cell n."""
    manager = shell.history_manager
    for inputs in (manager.input_hist_parsed, manager.input_hist_raw):
        inputs.extend([""] * (execution_count - len(inputs)))


def remember_input(shell: Any, number: int, code: str) -> None:
    """Put the text of cell `number`, which another process ran, into `In`."""
    manager = shell.history_manager
    pad(shell, number)
    if number < len(manager.input_hist_raw):
        manager.input_hist_raw[number] = manager.input_hist_parsed[number] = code
        shell.user_ns[f"_i{number}"] = code
    else:
        manager.store_inputs(number, code)
