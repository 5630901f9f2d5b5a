"""What belongs to a session beside the user's variables: `In`, `Out`, and the names of the last results.

A checkpoint leaves them out, since another session has its own. A process that takes the place of another one in the
same session is given them, too.
"""

from __future__ import annotations

import re
from typing import Any

LATEST = ("_", "__", "___")
_RESULT = re.compile(r"_(\d+)")


def results(shell: Any) -> dict[str, Any]:
    """The results of the cells so far, under the names that IPython gives them."""
    outputs = shell.user_ns.get("_oh", {})
    found = {f"_{number}": value for number, value in list(outputs.items()) if type(number) is int and number > 0}
    found.update({name: shell.user_ns[name] for name in LATEST if name in shell.user_ns})
    return found


def is_result(name: str) -> bool:
    """Is this one of their names?"""
    return name in LATEST or _RESULT.fullmatch(name) is not None


def put_back(shell: Any, values: dict[str, Any]) -> None:
    """Take results out of `values`, as they are loaded, and make them the shell's."""
    found = {name: values.pop(name) for name in list(values) if is_result(name)}
    for name, value in found.items():
        if name in LATEST:
            setattr(shell.displayhook, name, value)
        else:
            shell.user_ns["_oh"][int(name[1:])] = value
    # As names of IPython's own: what it takes for the user's it leaves alone.
    shell.push(found, interactive=False)
