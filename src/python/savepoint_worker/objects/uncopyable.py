"""Can this process be forked, and its copy be used?"""

from __future__ import annotations

import os
import sys

_CUDA = "CUDA is in use here, which does not work in a copy of the process."
#: Libraries that may have opened a device.
_USERS_OF_CUDA = ("torch", "cupy", "numba.cuda", "pycuda.driver", "tensorflow", "jax")


def reason() -> str | None:
    """Why a copy of this process could not be used, as a sentence; None if it can."""
    loaded = [name for name in _USERS_OF_CUDA if name in sys.modules]
    if not loaded:
        return None
    return _CUDA if _torch_uses_it() or _devices_are_open() else None


def _torch_uses_it() -> bool:
    cuda = getattr(sys.modules.get("torch"), "cuda", None)
    try:
        return bool(cuda.is_initialized())  # type: ignore[union-attr]
    except Exception:
        # It is being imported, or is not what it seems.
        return False


def _devices_are_open() -> bool:
    for number in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{number}").startswith("/dev/nvidia"):
                return True
        except OSError:
            # It was closed meanwhile.
            continue
    return False
