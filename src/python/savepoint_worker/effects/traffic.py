"""What is noted of processes and connections: their names, and nothing that may be a secret."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from .own_fork import own_fork

if TYPE_CHECKING:
    from .recorder import Recorder

SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
#: The first word of a command, if it is nothing but the name of a program.
PROGRAM = re.compile(r"\s*([\w./+-]+)(?:\s|$)")


def program_started(recorder: Recorder, program: Any, arguments: Any, *_: Any) -> None:
    """A program is started, with its arguments as a list or as one text."""
    words = [arguments] if isinstance(arguments, (str, bytes)) else list(arguments or ())
    name = os.path.basename(_text(program or (words[0] if words else "")))
    if name in SHELLS and len(words) == 3 and _text(words[1]) == "-c":
        name = _first_word(words[2]) or name
    recorder.note_once("process", name or "?")


def command_started(recorder: Recorder, command: Any) -> None:
    """A command is given to the shell."""
    recorder.note_once("process", _first_word(command) or "sh")


def forked(recorder: Recorder, *_: Any) -> None:
    """This process is copied."""
    if not own_fork.under_way:
        recorder.note_once("process", "fork")


def socket_opened(recorder: Recorder, address: Any) -> None:
    """A socket is connected or bound, or something is sent from one."""
    target = _address(address)
    assert recorder.places is not None
    if target and not recorder.places.is_ours(target):
        recorder.note_once("socket", target)


def _first_word(command: Any) -> str:
    found = PROGRAM.match(_text(command))
    return os.path.basename(found[1]) if found else ""


def _address(address: Any) -> str:
    if isinstance(address, (str, bytes)):
        text = _text(address)
        return "@" + text[1:] if text.startswith("\0") else text
    if isinstance(address, tuple) and len(address) >= 2:
        host, port = _text(address[0]), address[1]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return "" if address is None else type(address).__name__


def _text(value: Any) -> str:
    try:
        return os.fsdecode(value)
    except TypeError:
        return str(value)[:100]
