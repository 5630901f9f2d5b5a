"""Where memory lies that can be looked at as bytes."""

from __future__ import annotations

import ctypes


class SharedMemory:
    """Where other processes may write while we read."""

    def __init__(self) -> None:
        found = []
        with open("/proc/self/maps", "rb") as file:
            for line in file:
                where, permissions, _ = line.split(None, 2)
                if permissions.endswith(b"s"):
                    found.append(tuple(int(part, 16) for part in where.split(b"-")))
        self._ranges = found

    def touches(self, address: int, length: int) -> bool:
        """Is any of it shared with others?"""
        return any(start < address + length and address < end for start, end in self._ranges)


class _View(ctypes.Structure):
    """`Py_buffer` of Python's C API, the same in all versions."""

    _fields_ = (
        ("address", ctypes.c_void_p),
        ("owner", ctypes.py_object),
        ("length", ctypes.c_ssize_t),
        ("item_bytes", ctypes.c_ssize_t),
        ("read_only", ctypes.c_int),
        ("dimensions", ctypes.c_int),
        ("pointers", ctypes.c_void_p * 5),
    )


_get = ctypes.pythonapi.PyObject_GetBuffer
_get.argtypes = (ctypes.py_object, ctypes.POINTER(_View), ctypes.c_int)
_release = ctypes.pythonapi.PyBuffer_Release
_release.argtypes = (ctypes.POINTER(_View),)
_release.restype = None


def address_of(memory: memoryview) -> int:
    """The address of the first byte; unlike `from_buffer`, also of memory that may only be read."""
    view = _View()
    _get(memory, ctypes.byref(view), 0)
    address: int = view.address or 0
    _release(ctypes.byref(view))
    return address
