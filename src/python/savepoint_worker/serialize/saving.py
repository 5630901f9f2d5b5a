"""All the user's variables -> groups of variables that share objects, as bytes.

At first each variable is pickled by itself. That shows what cannot be kept, and what it shares with others. Most
variables share nothing that matters, and what was written for them is final; the others are written once more, together
with those that they share something with.
"""

from __future__ import annotations

import hashlib
import pickle
import resource
import sys
import types
from typing import Any, NamedTuple

from . import sharing, sources
from .culprit import path_to_culprit
from .frames import Unframer
from .held import Hold, Stream
from .pickler import BUFFER_BYTES_MIN, make_pickler, memoized
from .progress import NOTHING, Progress
from .verdict import EQUAL, LOST, REASON_LENGTH_MAX, TIERS, VERDICTS, Kept, Unsaveable, reason_of, type_name

#: Nesting at which we give up. CPython's own limit (1000) is meant for mistakes, not for data.
DEPTH_MAX = 60_000
#: What that may take of the main thread's stack, which grows as it is used.
STACK_BYTES = 112 * 1024 * 1024


class Pickled(NamedTuple):
    """One variable of a group as bytes: its stream, and the buffers that it refers to."""

    kept: Kept
    stream: Stream
    buffers: list[pickle.PickleBuffer]
    #: SHA-256 of the stream, and the buffers, that it has when it is pickled by itself: they tell whether it changed,
    #: whatever is in its group.
    own_sum: bytes
    own_buffers: list[pickle.PickleBuffer]


class Group(NamedTuple):
    """Variables that are loaded together, in this order."""

    variables: list[Pickled]


class Saved(NamedTuple):
    """All variables: what is written, and those that are not."""

    groups: list[Group]
    lost: list[Kept]
    #: Files whose source text belongs to the saved functions.
    sources: dict[str, str]


def save(
    variables: dict[str, Any],
    namespace: dict[str, Any],
    progress: Progress,
    skipped: dict[str, str],
    folder: str | None = None,
) -> Saved:
    """Pickle `variables` of `namespace`; those in `skipped` are lost for the reasons given there.

    `folder`: where streams can be put aside that are too large for memory.
    """
    saver = _Saver(variables, namespace, progress, Hold(folder))
    alone: dict[str, Pickled] = {}
    groups = sharing.Groups()
    for name in variables:
        if name in skipped:
            saver.lose(name, Unsaveable(skipped[name]), search=False)
        else:
            for pickled in saver.pickle([name]):
                alone[name] = pickled
                plain = type(variables[name]) in sharing.PLAIN
                groups.add(name, () if plain else saver.shareable())
    written = []
    for names in groups:
        if len(names) == 1:
            written.append(Group([alone.pop(names[0])]))
        else:
            own = {name: alone.pop(name) for name in names}
            for each in own.values():
                each.stream.drop()
            together = saver.pickle(_code_first(names, variables))
            written.append(Group([_with_sum(each, own[each.kept.name]) for each in together]))
    progress.begin(NOTHING)
    return Saved([group for group in written if group.variables], saver.lost, sources.collect(saver.sources))


def _with_sum(pickled: Pickled, own: Pickled) -> Pickled:
    return pickled._replace(own_sum=own.own_sum, own_buffers=own.own_buffers)


def allow_depth() -> None:
    """Let nested data be pickled far beyond what is meant for nested calls. For a process that does nothing else."""
    sys.setrecursionlimit(DEPTH_MAX)
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and soft < STACK_BYTES:
        wanted = STACK_BYTES if hard == resource.RLIM_INFINITY else min(STACK_BYTES, hard)
        resource.setrlimit(resource.RLIMIT_STACK, (wanted, hard))


def _code_first(names: list[str], variables: dict[str, Any]) -> list[str]:
    """Functions and classes go before what is made of them: if the latter cannot be loaded, the former still can."""
    return sorted(names, key=lambda name: not issubclass(type(variables[name]), (type, types.FunctionType)))


class _Saver:
    """Pickles groups of variables, and remembers what is lost."""

    def __init__(
        self, variables: dict[str, Any], namespace: dict[str, Any], progress: Progress, hold: Hold
    ) -> None:
        self.lost: list[Kept] = []
        self.sources: set[str] = set()
        self._variables = variables
        self._indexes = {name: index for index, name in enumerate(variables)}
        self._progress = progress
        self._unframer = Unframer()
        self._hold = hold
        self._stream = Stream(hold)
        self._sum = hashlib.sha256()
        self._buffers: list[pickle.PickleBuffer] = []
        # The second is for what is nested too deeply for C code.
        self._fast, self._slow = (make_pickler(namespace, self, self._keep_buffer, slow) for slow in (False, True))
        self._used = self._fast

    def pickle(self, names: list[str]) -> list[Pickled]:
        """These variables as one group, without those that turn out to be lost."""
        names = list(names)
        while names:
            done: list[Pickled] = []
            try:
                for pickler in (self._fast, self._slow):
                    try:
                        self._pickle_group(pickler, names, done)
                        return done
                    except RecursionError:
                        if pickler is self._slow:
                            raise
                        done.clear()
            except BaseException as error:
                if self._used.may_try_again(error):
                    continue
                # Whatever the user's code raises, SystemExit included, costs only the variable whose code it is.
                self.lose(names.pop(len(done)), error)
        return []

    def _pickle_group(self, pickler: Any, names: list[str], done: list[Pickled]) -> None:
        self._used = pickler
        pickler.begin_group()
        for name in names:
            self._progress.begin(self._indexes[name])
            done.append(self._pickle(pickler, name))

    def _pickle(self, pickler: Any, name: str) -> Pickled:
        value = self._variables[name]
        self._stream, self._sum, self._buffers = Stream(self._hold), hashlib.sha256(), []
        self._unframer.begin()
        pickler.begin_variable()
        pickler.dump(value)
        pickler.last = None
        self.sources |= pickler.sources
        stream, buffers = self._stream, self._buffers
        size = stream.length + sum(buffer.raw().nbytes for buffer in buffers)
        rank = max(pickler.rank, EQUAL) if pickler.notes else pickler.rank
        reason = "; ".join(pickler.notes)[:REASON_LENGTH_MAX] or None
        kept = Kept(name, type_name(value), VERDICTS[rank], TIERS[pickler.tier], size, reason)
        return Pickled(kept, stream, buffers, self._sum.digest(), buffers)

    def shareable(self) -> list[int]:
        """Ids of what the variable that was just pickled may share with others."""
        pickler = self._used
        return sharing.shareable(memoized(pickler), pickler.written_by_value, pickler.machinery())

    def lose(self, name: str, error: BaseException, search: bool = True) -> None:
        """The variable cannot be saved. `search`: find out what it is in it, which pickles parts of it again."""
        value = self._variables[name]
        reason = path_to_culprit(value, self._probe, error) if search else reason_of(error)
        self.lost.append(Kept(name, type_name(value), VERDICTS[LOST], None, 0, reason[:REASON_LENGTH_MAX]))

    def _probe(self, value: Any) -> None:
        self._unframer.begin()
        self._fast.begin_group()
        self._fast.dump(value)

    def write(self, data: bytes) -> None:
        """Called by the pickler."""
        data = self._unframer.strip(data)
        self._sum.update(data)
        self._stream.append(data)
        self._progress.tick()

    def _keep_buffer(self, buffer: pickle.PickleBuffer) -> bool:
        """Called by the pickler; true: the buffer is to be copied into the stream."""
        if buffer.raw().nbytes < BUFFER_BYTES_MIN:
            return True
        self._buffers.append(buffer)
        return False
