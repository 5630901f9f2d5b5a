"""Line magics for transactions, and what makes `%%transaction` cells ordinary ones.

Each magic prints one line. `%%transaction` is read by the gateway before the cell gets here; here its line only becomes
a comment, so that the body is a cell like any other and its line numbers stay right.
"""

from __future__ import annotations

import ast
import functools
import re
import shlex
from collections.abc import Callable, Iterator
from typing import Any, NoReturn, TypeVar, cast

from IPython.core.inputtransformer2 import TransformerManager
from IPython.core.magic import Magics, line_magic, magics_class

from savepoint import SavepointError, begin, release, savepoint, status
from savepoint.transactions import request_commit, request_rollback

from ..serialize.process import note_start

#: Magics after which nothing of the cell is run.
REPLACING = frozenset({"rollback", "restore", "undo", "redo", "branch"})
_REPLACING_LINE = re.compile(r"%\s*(?:rollback|restore|undo|redo|branch)\b|run_line_magic")
_TRANSACTION_LINE = re.compile(r"\s*%%transaction(?:\s|$)")
LINE_CHARACTERS_MAX = 10_000

F = TypeVar("F", bound=Callable[..., Any])


def register(shell: Any) -> None:
    """Make the magics known to `shell`. Once per shell."""
    from .checkpoint_magics import CheckpointMagics
    from .guard_magics import GuardMagics

    shell.register_magics(TransactionMagics, CheckpointMagics, GuardMagics, SubshellMagics)
    shell.input_transformer_manager.cleanup_transforms[:0] = [hide_transaction_line, refuse_misplaced]
    note_start()


# ------------------------------------------------------------------------------------------- before a cell is run


def hide_transaction_line(lines: list[str]) -> list[str]:
    """Turn a leading `%%transaction ...` line into a comment, so that the lines after it keep their numbers."""
    first = next((index for index, line in enumerate(lines) if line.strip()), None)
    if first is None or not _TRANSACTION_LINE.match(lines[first]):
        return lines
    body = lines[first + 1 :]
    if body and body[0].startswith("%%"):
        # Another cell magic is only known in the first line of a cell.
        return body
    return [*lines[:first], "# " + lines[first].lstrip(), *body]


def refuse_misplaced(lines: list[str]) -> list[str]:
    """The same lines. Raises SavepointError (`must_be_last`) if something follows a magic that replaces the state."""
    text = "".join(lines)
    if not _REPLACING_LINE.search(text):
        return lines
    try:
        module = ast.parse(TransformerManager().transform_cell(text))
    except SyntaxError:
        # IPython will say so, better than we could.
        return lines
    for name in _misplaced(module):
        message = f"%{name} replaces the state, so nothing can come after it. Put it into the last line of its cell."
        raise brief(SavepointError("must_be_last", message, {"magic": name}))
    return lines


# IPython then leaves it out when it only wants to know whether a cell is complete.
refuse_misplaced.has_side_effects = True  # type: ignore[attr-defined]


def _misplaced(module: ast.Module) -> Iterator[str]:
    """Names of replacing magics in a cell after whose call the cell would go on."""
    calls = [call for statement in module.body for call in _magic_calls(statement)]
    final = list(_final_expressions(module.body))
    yield from (name for node, name in calls if not any(node is each for each in final))


def _magic_calls(statement: ast.stmt) -> Iterator[tuple[ast.AST, str]]:
    for node in ast.walk(statement):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr == "run_line_magic"
            and isinstance(node.func.value, ast.Call)
            and isinstance(node.func.value.func, ast.Name)
            and node.func.value.func.id == "get_ipython"
            and node.args
            and isinstance(node.args[0], ast.Constant)
            and node.args[0].value in REPLACING
        ):
            yield node, node.args[0].value


def _final_expressions(statements: list[ast.stmt]) -> Iterator[ast.expr]:
    """The expressions one of which is the last thing that a block does, in `if` and `with` as well."""
    last = statements[-1] if statements else None
    if isinstance(last, ast.Expr):
        yield last.value
    elif isinstance(last, ast.If):
        yield from _final_expressions(last.body)
        yield from _final_expressions(last.orelse)
    elif isinstance(last, (ast.With, ast.AsyncWith)):
        yield from _final_expressions(last.body)


# ------------------------------------------------------------------------------------------------------ the magics


def brief(error: SavepointError) -> SavepointError:
    """The same error, shown as one line: where in our code it was raised tells nobody anything."""
    error._render_traceback_ = lambda: [f"{type(error).__name__}: {error}"]  # type: ignore[attr-defined]
    return error


#: How each magic is written.
_usages: dict[str, str] = {}


def magic(function: F) -> F:
    """Make a method a line magic whose errors are shown as one line."""
    _usages[function.__name__] = (function.__doc__ or "").partition(":")[0]

    @functools.wraps(function)
    def call(self: Magics, line: str) -> None:
        try:
            function(self, line)
        except SavepointError as error:
            raise brief(error) from None

    return cast(F, line_magic(call))


@magics_class
class TransactionMagics(Magics):
    """%begin, %savepoint, %rollback, %release, %commit, %transaction."""

    @magic
    def begin(self, line: str) -> None:
        """%begin [NAME] [--policy P] [--engine E]: open a transaction."""
        arguments = parse("begin", line, names=1, options=("--policy", "--engine"))
        policy = arguments.options.get("--policy", "explicit")
        record = begin(arguments.name, policy, arguments.options.get("--engine", "auto"))
        print(f"Transaction {_called(record)} is open.")

    @magic
    def savepoint(self, line: str) -> None:
        """%savepoint NAME: a moment in the innermost transaction that one can go back to."""
        name = _named("savepoint", line)
        came_back = savepoint(name)
        print(f"Came back to savepoint '{name}'." if came_back else f"Savepoint '{name}' is set.")

    @magic
    def rollback(self, line: str) -> None:
        """%rollback [NAME]: bring back the state at that savepoint, or at the begin of the innermost transaction."""
        # The kernel prints the line: whoever runs this is gone by then.
        request_rollback(transaction=None, to=parse("rollback", line, names=1).name, message=True)

    @magic
    def release(self, line: str) -> None:
        """%release NAME: forget that savepoint and later ones, and keep the state."""
        name = _named("release", line)
        print(f"Released savepoint '{name}' of transaction {_called(release(name))}.")

    @magic
    def commit(self, line: str) -> None:
        """%commit: keep the state, and end the innermost transaction."""
        parse("commit", line)
        print(f"Committed transaction {_called(request_commit(message=True))}.")

    @magic
    def transaction(self, line: str) -> None:
        """%transaction: the open transactions, outermost first."""
        parse("transaction", line)
        opened = status()["transactions"]
        chain = " > ".join(map(_described, opened))
        print(f"Open transactions: {chain}." if opened else "No transaction is open.")


# ------------------------------------------------------------------------------------------------ words and arguments


class Arguments:
    """What stood in a magic's line."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.second: str | None = None
        self.options: dict[str, str] = {}
        self.flags: set[str] = set()


def parse(
    magic: str, line: str, names: int = 0, options: tuple[str, ...] = (), flags: tuple[str, ...] = ()
) -> Arguments:
    """Read a magic's line: at most `names` (0 to 2) words, options with a value, flags. Raises SavepointError."""
    found = Arguments()
    if len(line) > LINE_CHARACTERS_MAX:
        # Splitting takes time that grows with the square of the length.
        bad_usage(magic, f"a line has at most {LINE_CHARACTERS_MAX} characters")
    try:
        words = iter(shlex.split(line))
    except ValueError as error:
        bad_usage(magic, str(error).rstrip(".").lower())
    for word in words:
        key, equals, value = word.partition("=")
        if key in options:
            given = value if equals else next(words, None)
            if given is None:
                bad_usage(magic, f"{key} needs a value")
            found.options[key] = given
        elif word in flags:
            found.flags.add(word)
        elif word.startswith("--"):
            bad_usage(magic, f"there is no '{word}'")
        elif names > 0 and found.name is None:
            found.name = word
        elif names > 1 and found.second is None:
            found.second = word
        else:
            bad_usage(magic, f"there is no '{word}'")
    return found


def bad_usage(magic: str, what: str) -> NoReturn:
    raise SavepointError("bad_request", f"%{magic}: {what}. Write {_usages[magic]}.", {"magic": magic})


def _called(record: dict[str, Any]) -> str:
    return f"'{record['name']}' ({record['id']})" if record["name"] is not None else record["id"]


def _described(record: dict[str, Any]) -> str:
    savepoints = ", ".join(f"'{name}'" for name in record["savepoints"])
    return f"{_called(record)} ({record['policy']}{f'; savepoints {savepoints}' if savepoints else ''})"


def _named(magic: str, line: str) -> str:
    """The one word that the magic wants. Raises SavepointError."""
    name = parse(magic, line, names=1).name
    if name is None:
        bad_usage(magic, "name the savepoint")
    return name


@magics_class
class SubshellMagics(Magics):
    """ipykernel's magic, which would look for threads that this kernel does not have."""

    @line_magic
    def subshell(self, line: str) -> None:
        """%subshell

        Print which subshell and which thread this is, and the subshells that there are.
        """
        from .. import subshells
        from ..worker import Worker

        worker = Worker.current()
        if worker is not None:
            print(subshells.describe(worker))
