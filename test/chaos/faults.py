"""Faults from outside of the processes: a link that is cut in the middle of a frame, a clock that jumps, disks that fail."""

from __future__ import annotations

import errno
import os
import random
import shutil
import socket
import struct
import subprocess
import threading
from pathlib import Path

HERE = Path(__file__).resolve().parent


class Preloaded:
    """What the gateway is started with, so that its clock and its writes to the data folder can be made to fail."""

    def __init__(self, folder: Path, data: Path) -> None:
        """Raises RuntimeError where there is no C compiler."""
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise RuntimeError("there is no C compiler")
        library, self._control = folder / "faults.so", folder / "control"
        subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, HERE / "faults.c", "-ldl"], check=True)
        self.set()
        self.environment = {"LD_PRELOAD": str(library), "CHAOS_CONTROL": str(self._control), "CHAOS_FOLDER": str(data)}

    def set(self, clock_s: int = 0, error: int = 0) -> None:
        """How far the clock is off from now on, and how writes to the data folder end."""
        # In place: the processes see this very file.
        with open(self._control, "r+b" if self._control.exists() else "wb") as control:
            control.write(struct.pack("<qq", clock_s, error))


ERRORS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "EROFS": errno.EROFS}


def small_disk(folder: Path, size_mib: int) -> tuple[str, ...]:
    """A command that runs another one with a folder that is a disk of this size, of its own. Raises RuntimeError where one may not."""
    line = f'mount -t tmpfs -o size={size_mib}m,mode=0700 tmpfs "{folder}" && exec "$@"'
    within = ("unshare", "-m", "sh", "-c", line, "sh")
    try:
        done = subprocess.run([*within, "true"], capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        raise RuntimeError(f"there is no unshare: {error}") from None
    if done.returncode:
        raise RuntimeError(f"no file system may be mounted here: {done.stderr.strip()}")
    return within


class Fill:
    """Fills the disk that a process sees at `folder`, but for some bytes, and frees it again."""

    def __init__(self, pid: int, folder: Path) -> None:
        self._path = Path(f"/proc/{pid}/root{folder}/filler")

    def fill(self, but_bytes: int = 0) -> None:
        with open(self._path, "wb") as file:
            try:
                while True:
                    file.write(b"\0" * 65536)
                    file.flush()
            except OSError:
                pass
        with open(self._path, "r+b") as file:
            file.truncate(max(0, self._path.stat().st_size - but_bytes))

    def free(self) -> None:
        self._path.unlink(missing_ok=True)


class Cutter:
    """Stands between the workers and the gateway's door, and can cut a connection when half of what came is through."""

    def __init__(self, link: Path, seed: int) -> None:
        """Takes the place of the socket `link`, which has to be there. Connections from now on pass through."""
        self._behind = link.with_name("door")
        self._chance = random.Random(seed)
        self._cut_next: set[int] = set()
        self.cuts = 0
        self._closed = False
        link.rename(self._behind)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(link))
        self._listener.listen(64)
        self._link = link
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, pid: int) -> None:
        """The next chunk from this process is passed on by half, then its connection ends."""
        self._cut_next.add(pid)

    def close(self) -> None:
        """New connections reach the door as before; those that there are stay."""
        self._closed = True
        self._listener.close()
        if self._behind.exists():
            os.replace(self._behind, self._link)

    def _accept(self) -> None:
        while not self._closed:
            try:
                worker = self._listener.accept()[0]
            except OSError:
                return
            door = socket.socket(socket.AF_UNIX)
            try:
                door.connect(str(self._behind))
            except OSError:
                worker.close()
                continue
            pid = struct.unpack("3i", worker.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
            for source, target, cuttable in ((worker, door, pid), (door, worker, 0)):
                threading.Thread(target=self._pass_on, args=(source, target, cuttable), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, pid: int) -> None:
        try:
            while data := source.recv(65536):
                if pid in self._cut_next and len(data) > 1:
                    self._cut_next.discard(pid)
                    self.cuts += 1
                    target.sendall(data[: self._chance.randrange(1, len(data))])
                    break
                target.sendall(data)
        except OSError:
            pass
        for each in (source, target):
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            each.close()
