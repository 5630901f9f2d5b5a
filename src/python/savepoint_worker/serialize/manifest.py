"""The manifest of a checkpoint: magic, u32 length of the root, root (JSON).

What follows is the gateway's: a label and a MAC. The root is small whatever there is to save; all that grows lies in
chunks that it refers to.
"""

from __future__ import annotations

import json
import os
import struct
from typing import Any

MAGIC = b"SVPT2\n\0\0"
FORMAT_VERSION = 2
_LENGTH = struct.Struct(">I")


def encode(value: Any) -> bytes:
    """JSON without white space."""
    return json.dumps(value, separators=(",", ":")).encode()


def write(path: str, root: dict[str, Any]) -> None:
    """Write a new file. Raises OSError."""
    text = encode(root)
    # Not through a link that somebody put there, and for no other user's eyes.
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with open(os.open(path, flags, 0o600), "wb") as file:
        file.write(MAGIC + _LENGTH.pack(len(text)) + text)


def read(path: str) -> bytes:
    """The root of a file that `write` made, as JSON. Raises OSError or ValueError."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        head = file.read(len(MAGIC) + _LENGTH.size)
        if head[: len(MAGIC)] != MAGIC or len(head) < len(MAGIC) + _LENGTH.size:
            raise ValueError("it is no manifest")
        return file.read(_LENGTH.unpack_from(head, len(MAGIC))[0])
