"""Is there room for a copy? A kernel that is killed for its memory has lost more than a transaction."""

from __future__ import annotations

_MEMINFO = "/proc/meminfo"
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)
#: So much is left to everything else, in bytes.
RESERVE_BYTES = 64 << 20


class NoRoom(MemoryError):
    """A copy does not fit into the memory that is left."""


def available_bytes() -> int | None:
    """Memory that can be had without anything being moved out, in bytes. None if that cannot be found out."""
    found = []
    try:
        with open(_MEMINFO, "rb") as file:
            for line in file:
                if line.startswith(b"MemAvailable:"):
                    found.append(int(line.split()[1]) * 1024)
                    break
    except (OSError, ValueError):
        pass
    for limit_path, usage_path in _CGROUPS:
        limit, usage = _number(limit_path), _number(usage_path)
        if limit is not None and usage is not None:
            found.append(limit - usage)
    return min(found, default=None)


def require(size: int) -> None:
    """Raises NoRoom if so many bytes are not to be had."""
    if size <= 1 << 20:
        return
    available = available_bytes()
    if available is not None and size > available - RESERVE_BYTES:
        raise NoRoom(f"a copy of the variables needs {_mb(size)} MB more, and {_mb(max(available, 0))} MB are left")


def _number(path: str) -> int | None:
    try:
        with open(path, "rb") as file:
            return int(file.read())
    except (OSError, ValueError):
        # There is none, or it is "max".
        return None


def _mb(size: int) -> str:
    return f"{size / (1 << 20):.0f}"
