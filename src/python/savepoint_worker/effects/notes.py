"""From an event of the interpreter to what is noted of it, before it happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import interrupts
from . import databases, files, traffic
from .hook import Handler

if TYPE_CHECKING:
    from .recorder import Recorder

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

Note = Callable[..., None]


def handlers(recorder: Recorder) -> dict[str, Handler]:
    """What to call for each event that is of interest."""

    def handler(note: Note) -> Handler:
        @interrupts.held
        def whole(event: str, arguments: tuple[Any, ...]) -> None:
            with recorder.at_work():
                try:
                    note(recorder, *arguments)
                except Exception as error:
                    if type(error).__module__ != "builtins" or (isinstance(error, OSError) and error.errno is None):
                        # A signal handler of the user's raised it.
                        raise
                    # The user's call goes on, and if it does what it was to do, that is missed by name.
                    recorder.note({"do": "failed", "event": event}, f"failed {event}")

        def handle(event: str, arguments: tuple[Any, ...]) -> None:
            if not recorder.is_own():
                whole(event, arguments)
                interrupts.deliver()

        return handle

    found = {event: handler(note) for event, note in _NOTES.items()}
    opened = found["open"]

    def handle_open(event: str, arguments: tuple[Any, ...]) -> None:
        # Nearly all are for reading only.
        flags = arguments[2]
        if type(flags) is int and flags & WRITING and type(arguments[0]) is not int:
            opened(event, arguments)

    return {**found, "open": handle_open}


def _open(recorder: Recorder, path: Any, mode: Any, flags: int) -> None:
    if flags & os.O_TMPFILE != os.O_TMPFILE:
        files.written(recorder, path, creates=bool(flags & os.O_CREAT))


def _removed(recorder: Recorder, path: Any, folder: int) -> None:
    files.removed(recorder, path, folder)


def _renamed(recorder: Recorder, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
    files.renamed(recorder, source, target, source_folder, target_folder)


def _linked(recorder: Recorder, source: Any, target: Any, source_folder: int, target_folder: int) -> None:
    files.appears(recorder, target, target_folder)


def _symlinked(recorder: Recorder, source: Any, target: Any, folder: int) -> None:
    files.appears(recorder, target, folder)


def _made(recorder: Recorder, path: Any, mode: int, folder: int) -> None:
    files.folder_made(recorder, path, folder)


def _unmade(recorder: Recorder, path: Any, folder: int) -> None:
    files.folder_removed(recorder, path, folder)


def _truncated(recorder: Recorder, path: Any, length: int) -> None:
    files.written(recorder, path)


def _marked(recorder: Recorder, path: Any, *rest: Any) -> None:
    # The last argument of chmod, chown and utime is the folder. They follow symbolic links unless told not to.
    files.touched(recorder, path, rest[-1] if isinstance(rest[-1], int) else -1)


def _connected(recorder: Recorder, socket: Any, address: Any) -> None:
    traffic.socket_opened(recorder, address)


_NOTES: dict[str, Note] = {
    "open": _open,
    "os.truncate": _truncated,
    "os.remove": _removed,
    "os.rename": _renamed,
    "os.link": _linked,
    "os.symlink": _symlinked,
    "os.mkdir": _made,
    "os.rmdir": _unmade,
    "os.chmod": _marked,
    "os.chown": _marked,
    "os.utime": _marked,
    "subprocess.Popen": traffic.program_started,
    "os.posix_spawn": traffic.program_started,
    "os.exec": traffic.program_started,
    "os.system": traffic.command_started,
    "os.fork": traffic.forked,
    "os.forkpty": traffic.forked,
    "socket.connect": _connected,
    "socket.bind": _connected,
    "socket.sendto": _connected,
    "socket.sendmsg": _connected,
    "sqlite3.connect": databases.opened,
}
