"""One copy of the user's state: how it is taken, and how it is put back."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Iterator
from typing import Any

from . import arrays, code, containers, files, kinds, libraries, others, process, registers, states
from .descriptors import Descriptors
from .limits import shortened
from .modules import Modules
from .names import Names
from .origin import users_modules
from .walk import Walk

#: They fill the table of kinds.
_TABLE = (arrays, code, containers, files, libraries, others, states)


class Copy:
    """Everything that the variables led to when it was taken. It can be put back any number of times.

    `limits` names what cannot be put back; `ms` is what it took, in milliseconds; `groups` are the co-variables.
    """

    def __init__(self, shell: Any, namespace: dict[str, Any], ignored: tuple[Any, ...] = (), streams: Any = None) -> None:
        """Copies. Raises MemoryError if there is no room for it."""
        started = time.perf_counter()
        # Nothing of what is made here is garbage.
        collects = self._collects = gc.isenabled()
        gc.disable()
        try:
            self._take(shell, namespace, ignored, streams)
        finally:
            if collects:
                gc.enable()
        self.ms = (time.perf_counter() - started) * 1000

    def _take(self, shell: Any, namespace: dict[str, Any], ignored: tuple[Any, ...], streams: Any) -> None:
        users = users_modules()
        self._names = Names(shell, namespace)
        self._process = process.Process(streams)
        self._descriptors = Descriptors()
        ignored = (namespace, sys.modules, vars(sys), *ignored)
        walk = Walk(ignored, frozenset(users))
        for label, value in self._names.items():
            walk.add(label, value)
        for label, value in (*users.items(), *registers.roots().items()):
            walk.add(label, value)
        for value in registers.containers(shell):
            walk.shallow(value)
        walk.copy_buffers()
        self._modules = Modules(namespace, walk.classes(), frozenset(users))
        self._records = walk.records
        self._limits = walk.limits
        self._labels = frozenset(label for label, _ in self._names.items())
        self._groups = walk.groups
        self.limits = walk.limits.words()

    def _in_order(self) -> Iterator[tuple[int, Any]]:
        """The records with their numbers: files last, and those that stand on others after these."""
        later = []
        for number, record in enumerate(self._records):
            layer = files.layer(record[1])
            if layer:
                later.append((layer, number, record))
            else:
                yield number, record
        for _, number, record in sorted(later, key=lambda each: each[:2]):
            yield number, record

    @property
    def groups(self) -> list[list[str]]:
        """The co-variables: names of variables that share objects which can change."""
        found = [[name for name in group if name in self._labels] for group in self._groups.names()]
        return [group for group in found if group]

    def __len__(self) -> int:
        """How many objects it holds the contents of."""
        return len(self._records)

    def put_back(self) -> list[str]:
        """Give every object the contents that it had, and every name its object. What is not as it was, in words.

        Named is also what nobody can look at, and so may have changed.
        """
        failed: dict[str, None] = dict.fromkeys(self._limits.unseen())
        gc.disable()
        try:
            # First, since timers and handlers of signals are among it.
            failed |= dict.fromkeys(self._process.put_back())
            self._names.put_back()
            for number, (put_back, obj, state) in self._in_order():
                try:
                    words = put_back(obj, state)
                except Exception as error:
                    words = f"{kinds.name_of(type(obj))} ({type(error).__name__}: {error})"
                if words is not None:
                    failed[f"{words} in {self._limits.label_of(number)}"] = None
            self._modules.put_back()
            failed |= dict.fromkeys(self._descriptors.put_back(files.descriptors(self._records)))
        finally:
            if self._collects:
                gc.enable()
        kinds.release()
        failed |= dict.fromkeys(code.forget_subclasses())
        return shortened(list(failed))
