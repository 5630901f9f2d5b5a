"""Copies of files, made before they are changed; where the file system can, they share their blocks."""

from __future__ import annotations

import errno
import fcntl
import os
import posix
import stat
from typing import Any

# User code may put its own in the place of those of `os`.
_ioctl = fcntl.ioctl

#: ioctl(2) FICLONE: linux/fs.h.
FICLONE = 0x40049409
#: What there is nothing at: links that lead in a circle, too.
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
CHUNK_BYTES = 1 << 20
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class State:
    """What is remembered of a file or folder: enough to see that it was changed, and to put it back."""

    __slots__ = ("values",)

    def __init__(self, values: list[int]) -> None:
        #: mode, uid, gid, size, device, inode, times of access, of change and of status change in ns, names.
        self.values = values

    @classmethod
    def of(cls, found: os.stat_result) -> State:
        """From what the system tells."""
        times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
        which = (found.st_size, found.st_dev, found.st_ino)
        return cls([found.st_mode, found.st_uid, found.st_gid, *which, *times, found.st_nlink])

    mode = property(lambda self: self.values[0])
    #: Plain file, directory, symbolic link, ...
    kind = property(lambda self: stat.S_IFMT(self.values[0]))
    owner = property(lambda self: tuple(self.values[1:3]))
    size = property(lambda self: self.values[3])
    #: Which file it is, under whatever name.
    identity = property(lambda self: tuple(self.values[4:6]))
    times = property(lambda self: tuple(self.values[6:8]))
    #: How many names it has.
    links = property(lambda self: self.values[9])

    def is_untouched(self, now: State) -> bool:
        """Is it the same file, and was nothing done to it? The time of status change cannot be set."""
        return bool(self.identity == now.identity and self.values[8] == now.values[8] and self.size == now.size)

    def is_regular(self) -> bool:
        """A plain file."""
        return stat.S_ISREG(self.mode)

    def is_folder(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    def is_link(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.mode)


def words_for(error: OSError) -> str:
    """What went wrong."""
    return (error.strerror or type(error).__name__).lower()


def state_of(path: str) -> State | None:
    """State of what is there, a symbolic link not followed. None: nothing is."""
    try:
        return State.of(posix.lstat(path))
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return None


def copy_to(path: str, target: str) -> int:
    """Copy a file to a new one that is ours alone; its size. Raises OSError."""
    source = open_unseen(path)
    try:
        made = posix.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            return copy_content(source, made)
        except OSError:
            # Half a copy only takes room.
            posix.unlink(target)
            raise
        finally:
            posix.close(made)
    finally:
        posix.close(source)


def open_unseen(path: str) -> int:
    """Open a file for reading, if it may be without a trace of that. Raises OSError."""
    try:
        return posix.open(path, READ | os.O_NOATIME)
    except PermissionError:
        # Only its owner may read it without a trace.
        return posix.open(path, READ)


def copy_content(source: int, target: int) -> int:
    """Make the content of one open file that of another; its size. Raises OSError."""
    size = posix.fstat(source).st_size
    try:
        _ioctl(target, FICLONE, source)
    except OSError:
        # Another file system, or one that shares no blocks.
        size = _copy_by_moving(source, target, size)
    posix.ftruncate(target, size)
    return size


def _copy_by_moving(source: int, target: int, size: int) -> int:
    done = 0
    for move in (_by_range, _by_sendfile, _by_hand):
        try:
            while count := move(source, target):
                done += count
        except OSError:
            # Which of these works depends on the file systems; what was copied so far stays.
            if move is _by_hand:
                raise
        if done >= size:
            break
    return done


def _by_range(source: int, target: int) -> int:
    return posix.copy_file_range(source, target, 1 << 30)


def _by_sendfile(source: int, target: int) -> int:
    return posix.sendfile(target, source, None, 1 << 30)  # type: ignore[arg-type]


def _by_hand(source: int, target: int) -> int:
    data: Any = memoryview(posix.read(source, CHUNK_BYTES))
    count = len(data)
    while data:
        data = data[posix.write(target, data) :]
    return count
