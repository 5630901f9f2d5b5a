"""What is measured of our checkpoints, through real kernels over ZeroMQ, and through a gateway for a failover."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from checkpoint_session import PATIENCE_S, Session, Shelf
from wire import now

AUTO = {"SAVEPOINT_CHECKPOINT_AUTO": "cell"}
#: How long a client thinks between two cells; the other figures are of one that does not.
THINK_S = 0.03
#: Long enough for what a kernel does when it has nothing to do.
REST_S = 3.0
GB, MB = 1 << 30, 1e6
DISK_BYTES = 512 << 20
IMPORT = "import numpy as np"
#: 1 GB that cannot be compressed.
GIGABYTE = f"{IMPORT}\nstate = np.random.default_rng(1).integers(0, 2**63, {GB // 8})"
HUNDRED = f"{IMPORT}\na = np.random.default_rng(1).random(12_500_000)"
DICTS = "L = [{'k': i, 'v': str(i), 'w': [i, i + 1]} for i in range(200_000)]"
SMALL = "x = 1\ny = {'a': [1, 2]}\ndef f(n):\n    return n + x"
PICKLED = "import pickle, time\nt = time.perf_counter()\nd = pickle.dumps(L, 5)\nt = time.perf_counter() - t\nd = len(d)"


class Measures:
    """The figures so far: `samples` are seconds, `values` what else was counted."""

    def __init__(self, quick: bool = False) -> None:
        self.quick = quick
        self.samples: dict[str, list[float]] = {}
        self.values: dict[str, float] = {}

    def sample(self, figure: str, seconds: float) -> None:
        self.samples.setdefault(figure, []).append(seconds)

    @contextmanager
    def session(self, shelf: Shelf | None = None, **settings: str) -> Iterator[Session]:
        """A kernel that is warm, ended afterwards; with a shelf of its own unless one is given."""
        own = Shelf() if shelf is None else None
        try:
            opened = Session(own or shelf, **settings)  # type: ignore[arg-type]
            try:
                for _ in range(10):
                    opened.cell("pass")
                yield opened
            finally:
                opened.close()
        finally:
            if own:
                own.close()

    # ---------------------------------------------------------------------------------------------- a gigabyte

    def gigabyte(self) -> None:
        """Pause, speed of writing and of restoring, of 1 GB in one array."""
        shelf = Shelf()
        try:
            with self.session(shelf) as session:
                session.cell(GIGABYTE)
                time.sleep(REST_S)
                self.values["disk_mb_per_s"] = self._disk(shelf)
                self._save(session, "first")
                for number in range(3 if self.quick else 12):
                    session.cell(f"state[{number} * 1000] = {number}")
                    time.sleep(THINK_S)
                    self._save(session, "one_element")
                self.values["disk_mb_per_s_again"] = self._disk(shelf)
            for _ in range(1 if self.quick else 3):
                self._bring_back(shelf)
        finally:
            shelf.close()

    def _save(self, session: Session, figure: str) -> None:
        record, took = session.op("create")
        self.sample(f"1gb_{figure}_pause", record["pause_ms"] / 1e3)
        self.sample(f"1gb_{figure}_write", record["write_ms"] / 1e3)
        self.sample(f"1gb_{figure}_to_answer", took)
        self.values[f"1gb_{figure}_written_bytes"] = record["written_bytes"]
        if figure == "first":
            self.values["write_mb_per_s"] = GB / MB / (record["write_ms"] / 1e3)

    def _bring_back(self, shelf: Shelf) -> None:
        """In a new kernel."""
        with self.session(shelf) as session:
            newest = session.op("list", limit=1)[0]["items"]
            session.cell(IMPORT)
            begun = now()
            result, took = session.op("restore", checkpoint=newest[0]["checkpoint_id"])
            if result["lost"]:
                raise RuntimeError(f"lost: {result['lost']}")
            session.cell("first = int(state[5])")
            self.sample("1gb_restore_to_first_cell", now() - begun)
            self.sample("1gb_restore", took)
            self.sample("1gb_restore_in_the_worker", result["restore_ms"] / 1e3)

    def _disk(self, shelf: Shelf) -> float:
        """MB a second of a plain write and fsync, of bytes that cannot be compressed."""
        piece = os.urandom(1 << 20)
        path = shelf.path / "plain"
        begun = now()
        with path.open("wb", buffering=0) as file:
            for _ in range(DISK_BYTES // len(piece)):
                file.write(piece)
            os.fsync(file.fileno())
        took = now() - begun
        path.unlink()
        return DISK_BYTES / MB / took

    # ------------------------------------------------------------------------------------ automatic, after each cell

    def tracking(self) -> None:
        """What a cell that does nothing takes longer where a checkpoint is made after each."""
        self._beside("floor", SMALL, "x = 1", 15 if self.quick else 60)

    def read_only(self) -> None:
        """The same of a cell that reads 1 GB."""
        self._beside("read_1gb", f"{IMPORT}\nstate = np.ones({GB // 8})", "total = state.sum()", 5 if self.quick else 12)

    def _beside(self, figure: str, make: str, cell: str, times: int) -> None:
        with self.session() as bare, self.session(**AUTO) as tracked:
            for session in (bare, tracked):
                session.cell(make)
            time.sleep(REST_S)
            tracked.forget()
            # What comes first is not what comes again and again.
            for suffix, think_s in (("_after_30_ms", THINK_S), ("", 0.0)):
                for number in range(times + 2):
                    for name, session in (("bare", bare), ("tracked", tracked)):
                        took = session.cell(cell)
                        time.sleep(think_s)
                        if number > 1:
                            self.sample(f"{figure}_{name}{suffix}", took)
            self.values[f"{figure}_cells"] = 2 * (times + 2)
            self.values[f"{figure}_checkpoints"] = tracked.op("list", limit=1)[0]["total_count"]
            tracked.forget()
            stored = tracked.shelf.stored()
            tracked.cell(cell)
            tracked.wait_stored(30)
            self.values[f"{figure}_bytes_of_one_more"] = tracked.shelf.stored() - stored

    # --------------------------------------------------------------------------------------------------- the rest

    def element(self) -> None:
        """One element of 100 MB: what it takes of the disk, and going to and fro between before and after."""
        with self.session() as session:
            session.cell(HUNDRED)
            before = session.create()
            stored = session.shelf.stored()
            session.cell("a[0] = 5")
            after = session.create()
            self.values["one_element_written_bytes"] = after["written_bytes"]
            self.values["one_element_stored_bytes"] = session.shelf.stored() - stored
            for number in range(7):
                for record in (before, after):
                    result, took = session.op("restore", checkpoint=record["checkpoint_id"])
                    if number:
                        self.sample("between_branches", took)
                        self.sample("between_branches_in_the_worker", result["restore_ms"] / 1e3)
            if session.value("float(a[0])") != 5.0:
                raise RuntimeError("the restored array is another one")

    def dicts(self) -> None:
        """200,000 dicts, beside pickle in C, in the same process, and beside a checkpoint of nothing."""
        with self.session() as session:
            for _ in range(4):
                self.sample("nothing_write", session.create()["write_ms"] / 1e3)
            session.cell(DICTS)
            for number in range(4):
                session.cell(PICKLED)
                self.sample("dicts_pickle", session.value("t"))
                if number:
                    session.cell(f"L[{number}]['k'] = -1")
                self.sample("dicts_write" if number == 0 else "dicts_again_write", session.create()["write_ms"] / 1e3)

    def small(self) -> None:
        """A small session, restored in a new kernel: to the reply of its first cell."""
        shelf = Shelf()
        try:
            with self.session(shelf) as session:
                session.cell(SMALL)
                made = session.create()["checkpoint_id"]
            for _ in range(3 if self.quick else 6):
                with self.session(shelf) as session:
                    begun = now()
                    session.op("restore", checkpoint=made)
                    session.cell("f(2)")
                    self.sample("small_restore_to_first_cell", now() - begun)
        finally:
            shelf.close()

    def thousand(self) -> None:
        """A checkpoint after each of 1000 cells: they must not become slower, nor larger."""
        cells = 200 if self.quick else 1000
        with self.session() as session:
            session.cell(SMALL)
            sizes = {}
            for number in range(1, cells + 1):
                session.cell(f"v{number % 20} = {number}")
                took = session.op("create")[1]
                if 5 <= number < 16:
                    self.sample("commit_10", took)
                if number > cells - 11:
                    self.sample("commit_1000", took)
                if number in (cells // 10, cells // 2, cells):
                    sizes[number] = session.shelf.stored()
            first, half, last = sizes.values()
            self.values["commits"] = cells
            self.values["commit_bytes_second_half"] = (last - half) / (cells - cells // 2)
            self.values["commit_bytes_first_half"] = (half - first) / (cells // 2 - cells // 10)

    def failover(self) -> None:
        """A worker with 1 GB is killed; a cell has run in another one, with the state of the newest checkpoint."""
        from gateways import OURS, Gateway
        from websocket import V1, WebSocket

        shelf = Shelf()
        before = os.environ["SAVEPOINT_DATA_DIR"]
        os.environ["SAVEPOINT_DATA_DIR"] = str(shelf.path)
        gateway = Gateway(OURS)
        try:
            gateway.start()
            asked = {"name": gateway.kernel_name, "savepoint": {"guard": False}}
            status, model = gateway.rest("POST", "/api/kernels", asked)
            if status != 201:
                raise RuntimeError(f"POST /api/kernels: {status} {str(model)[:200]}")
            socket = WebSocket(gateway.rest, model["id"], V1)
            socket.ready()
            _run(socket, GIGABYTE)
            for _ in range(2 if self.quick else 4):
                url = f"/api/kernels/{model['id']}/checkpoints"
                status, made = gateway.rest("POST", url, {"op": "create"}, timeout=PATIENCE_S)
                if status != 201:
                    raise RuntimeError(f"POST checkpoints: {status} {str(made)[:200]}")
                pid = int(_printed(socket, "print(__import__('os').getpid())"))
                begun = now()
                os.kill(pid, signal.SIGKILL)
                while True:
                    try:
                        _run(socket, "assert state.shape")
                        break
                    except RuntimeError:
                        # The reply of a cell that was sent to the one that died.
                        if now() - begun > 30:
                            raise
                        time.sleep(0.005)
                self.sample("1gb_failover_to_next_reply", now() - begun)
                _run(socket, "assert int(state.sum()) is not None")
            socket.close()
        finally:
            gateway.stop()
            shelf.close()
            os.environ["SAVEPOINT_DATA_DIR"] = before


#: In this order: what takes long comes last.
PARTS: tuple[tuple[str, Callable[[Measures], None]], ...] = (
    ("gigabyte", Measures.gigabyte),
    ("element", Measures.element),
    ("small", Measures.small),
    ("dicts", Measures.dicts),
    ("tracking", Measures.tracking),
    ("read_only", Measures.read_only),
    ("failover", Measures.failover),
    ("thousand", Measures.thousand),
)


def _run(socket: Any, code: str) -> None:
    reply = _reply(socket, code)[0]
    if reply["status"] != "ok":
        raise RuntimeError(f"{code[:60]!r}: {reply.get('ename')}: {reply.get('evalue')}")


def _printed(socket: Any, code: str) -> str:
    return _reply(socket, code)[1]


def _reply(socket: Any, code: str) -> tuple[dict[str, Any], str]:
    keep: list[Any] = []
    got = socket.run(code, PATIENCE_S, keep)
    text = "".join(message.content["text"] for message in keep if message.type == "stream")
    return got[0].content, text
