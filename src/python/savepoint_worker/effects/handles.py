"""Files that are open in this process, and whose place another file has taken."""

from __future__ import annotations

import os
import posix

from ..copies.freeze import FLAGS_KEPT, open_descriptors


def reopen(replaced: dict[tuple[int, ...], str]) -> None:
    """Let descriptors of files that are gone lead to those that were put in their place, at the same offset.

    `replaced`: paths by (device, inode) of what was there.
    """
    if not replaced:
        return
    for each in open_descriptors():
        path = replaced.get((each.device, each.inode))
        if path is None or not each.target.startswith("/") or each.flags & os.O_PATH:
            continue
        try:
            offset = posix.lseek(each.number, 0, os.SEEK_CUR)
            fresh = posix.open(path, each.flags & FLAGS_KEPT)
        except OSError:
            # It goes on with what it has open, which is the same content.
            continue
        posix.lseek(fresh, offset, os.SEEK_SET)
        posix.dup2(fresh, each.number, inheritable=os.get_inheritable(each.number))
        posix.close(fresh)
