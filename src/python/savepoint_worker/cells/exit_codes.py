"""`_exit_code`: how what a cell ran outside of Python ended, or with what the cell itself wanted to leave.

IPython sets it after `!command`. Here it is also set by script magics (`%%bash`, `%%script`) and by SystemExit. Scripts
whose end nobody looks at (`--bg`, `--no-raise-error`) and `x = !command` leave it as it was.
"""

from __future__ import annotations

import functools
from subprocess import CalledProcessError
from typing import Any

NAME = "_exit_code"
_UNWATCHED = frozenset({"--bg", "--no-raise-error"})


def before_cell(shell: Any, code: str) -> None:
    """Have the script magic that the cell begins with, if any, say how its program ends."""
    if not code.startswith("%%"):
        return
    manager = shell.magics_manager
    magic = manager.magics["cell"].get(code[2:].split(None, 1)[0] if code[2:].strip() else "")
    # Newer versions of IPython load their magics when one is used first; this tells which class it is of.
    if str(getattr(magic, "spec", "")).endswith(":ScriptMagics"):
        _watch(shell, manager.registry["ScriptMagics"])
    elif "ScriptMagics" in manager.registry:
        _watch(shell, manager.registry["ScriptMagics"])


def _watch(shell: Any, magics: Any) -> None:
    if "shebang" in vars(magics):
        return
    shebang = magics.shebang

    @functools.wraps(shebang)
    def watched(line: str, cell: str) -> Any:
        try:
            result = shebang(line, cell)
        except CalledProcessError as error:
            shell.user_ns[NAME] = error.returncode
            raise
        if _UNWATCHED.isdisjoint(line.split()):
            shell.user_ns[NAME] = 0
        return result

    # `%%bash` and its like look it up here, `%%script` in the table.
    magics.shebang = watched
    table = shell.magics_manager.magics["cell"]
    if table.get("script") == shebang:
        table["script"] = watched


def note_exit(shell: Any, error: BaseException | None) -> None:
    """Keep what the cell wanted to leave with: as the interpreter does, words count as 1."""
    if isinstance(error, SystemExit):
        code = error.code
        shell.user_ns[NAME] = 0 if code is None else code if type(code) is int else 1
