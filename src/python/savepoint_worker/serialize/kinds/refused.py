"""What cannot be kept by anybody, and why.

For most of these pickle would also fail, in words that help nobody; for some it would make a thing that looks alive and
is not.
"""

from __future__ import annotations

from typing import Any

from savepoint.lost import LostVariable, loss_of

from ..handlers import full_name, register, register_lost
from ..verdict import Unsaveable

register_lost(
    "where a generator or coroutine stands in its code cannot be saved",
    "builtins.async_generator_asend",
    "builtins.coroutine_wrapper",
)
register_lost("running code cannot be saved", "builtins.frame", "builtins.traceback")
register_lost("the state of an event loop cannot be saved", "asyncio.events.AbstractEventLoop")
register_lost("an executor of processes cannot be saved", "concurrent.futures.process.ProcessPoolExecutor")
register_lost(
    "an open connection cannot be saved", "_socket.socket", "ssl.SSLObject", "selectors.BaseSelector", "select.epoll"
)
register_lost(
    "a process is not part of the kernel's state",
    "asyncio.subprocess.Process",
    "multiprocessing.process.BaseProcess",
    "multiprocessing.pool.Pool",
    "multiprocessing.managers.BaseManager",
)
register_lost("shared memory is not part of the kernel's state", "multiprocessing.shared_memory.SharedMemory")
register_lost("a pointer means nothing in another process", "_ctypes.CFuncPtr", "_ctypes.CField")
register_lost(
    "a live widget is tied to this kernel; run its cell again",
    "ipywidgets.widgets.widget.Widget",
    "comm.base_comm.BaseComm",
)
register_lost(
    "where it stands in what it reads cannot be saved",
    "_csv.reader",
    "builtins.async_generator_athrow",
    "posix.ScandirIterator",
)
register_lost("flags of a decimal context cannot be saved apart from it; keep the context", "decimal.SignalDict")


@register("_csv.writer")
def _writer(pickler: Any, value: Any) -> Any:
    raise Unsaveable("the file that it writes to cannot be had from it")


# Each algorithm is a type of its own, in modules that changed their names between versions.
register_lost(
    "what a hash has taken in so far cannot be saved; hash its input again",
    "_hashlib.HASH",
    "_hashlib.HASHXOF",
    "_hashlib.HMAC",
    "hmac.HMAC",
    "_md5.md5",
    "_sha1.sha1",
    "_sha256.sha256",
    "_sha256.sha224",
    "_sha512.sha512",
    "_sha512.sha384",
    "_sha2.SHA224Type",
    "_sha2.SHA256Type",
    "_sha2.SHA384Type",
    "_sha2.SHA512Type",
    "_sha3.sha3_224",
    "_sha3.sha3_256",
    "_sha3.sha3_384",
    "_sha3.sha3_512",
    "_sha3.shake_128",
    "_sha3.shake_256",
    "_blake2.blake2b",
    "_blake2.blake2s",
)


@register(full_name(LostVariable))
def _lost(pickler: Any, value: LostVariable) -> Any:
    loss = loss_of(value)
    raise Unsaveable(f"'{loss.name}' was lost in an earlier checkpoint: {loss.reason}")
