"""A gateway for tests that is killed, and comes back: it remembers what is safe, and resumes the worker's link."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fake_gateway import TIMEOUT_S, FakeGateway, Frame, Link


class MortalGateway(FakeGateway):
    """One worker that outlives its gateway. What `frames` holds survived each death of the gateway."""

    def __init__(self, orphan_s: float = 60, **options: Any) -> None:
        #: All frames of the worker, in order, each one once if all is well.
        self.frames: list[Frame] = []
        #: Numbered commands that no reply has confirmed, and the number of the last.
        self._unconfirmed: list[tuple[dict[str, Any], tuple[bytes, ...]]] = []
        self._numbers = itertools.count(1)
        super().__init__(pipes=True, orphan_s=orphan_s, **options)

    def command(self, envelope: dict[str, Any], *parts: bytes, lost: bool = False) -> None:
        """Send a numbered command; `lost`: it is noted, and the gateway dies before it is sent."""
        numbered = {**envelope, "n": next(self._numbers)}
        self._unconfirmed.append((numbered, parts))
        if not lost:
            self.link.send(numbered, *parts)

    def welcome(self, link: Link, generation: int = 1, woken: Any = None, *parts: bytes) -> None:
        """Let the process that dialled in begin."""
        self.link = link
        envelope = {"kind": "welcome", "generation": generation, "session": "s1", "woken": woken}
        self.command({**envelope, "execution_count": self.execution_count}, *parts)

    def run(self, code: str, lost: bool = False, **extra: Any) -> int:
        """Tell the worker to run a cell; its seq."""
        seq = next(self._seq)
        header = {"msg_id": f"m{seq}", "session": "c", "username": "u", "date": "2026-01-01T00:00:00Z"}
        header |= {"msg_type": "execute_request", "version": "5.4"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        content |= {"allow_stdin": True, "stop_on_error": False}
        parts = [json.dumps(part).encode() for part in (header, {}, content)]
        request = {"kind": "request", "seq": seq, "type": "execute_request", "execution_count": self.execution_count}
        request |= extra
        self.execution_count += 1
        self.command(request, *parts, lost=lost)
        return seq

    def hear(self, timeout: float = TIMEOUT_S) -> Frame:
        """The next frame of the worker, which is safe from now on."""
        frame = self.link.receive(timeout)
        self.frames.append(frame)
        if frame.envelope["kind"] in ("interrupted", "reply"):
            self._noticed.set()
        if "got" in frame.envelope:
            self._unconfirmed = [each for each in self._unconfirmed if each[0]["n"] > frame.envelope["got"]]
        return frame

    def hear_until(self, fits: Callable[[Frame], Any]) -> Frame:
        """Hear frames until one fits."""
        while not fits(frame := self.hear()):
            pass
        return frame

    def hear_reply(self, seq: int) -> Frame:
        """Hear frames until the reply to this request."""
        return self.hear_until(lambda frame: frame.envelope["kind"] == "reply" and frame.envelope["seq"] == seq)

    def acknowledge(self) -> None:
        """All that was heard is safe."""
        self.link.send({"kind": "ack", "frames": len(self.frames)})

    def die(self) -> None:
        """Be gone, as after SIGKILL: what was not heard is lost here."""
        self.link.close()
        self._server.close()
        os.unlink(self.path)

    def come_back(self, again: bool = False) -> dict[str, Any]:
        """Be there again, for the worker that dials in; its `hello`. `again`: send what it has got already, too."""
        self.listen()
        self.link = self.accept()
        hello = dict(self.hello)
        assert hello["resumed"]["sent"] >= len(self.frames), (hello, len(self.frames))
        self.link.send({"kind": "resume", "frames": len(self.frames)})
        for envelope, parts in self._unconfirmed:
            if again or envelope["n"] > hello["resumed"]["got"]:
                self.link.send(envelope, *parts)
        return hello

    def close(self) -> None:
        """End the worker, which would wait for another gateway, and give everything back."""
        self.kill()
        super().close()

    def kill(self) -> None:
        """End the worker at once."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has ended by itself.
            pass

    @contextmanager
    def ringing(self) -> Iterator[None]:
        """Have the worker look at the link although user code holds its thread.

        Again and again: a signal that comes just before a system call that waits is noticed behind it.
        """
        over = threading.Event()

        def ring() -> None:
            while not over.is_set():
                os.kill(self.pid, signal.SIGURG)
                over.wait(0.2)

        thread = threading.Thread(target=ring)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def text(self, name: str = "stdout", frames: list[Frame] | None = None) -> str:
        """All that was written to a stream."""
        heard = self.frames if frames is None else frames
        streams = (e for e in heard if e.envelope["kind"] == "stream" and e.envelope["name"] == name)
        return "".join(json.loads(b'"' + bytes(e.parts[0]) + b'"') for e in streams)

    def replies(self, frames: list[Frame] | None = None) -> list[int]:
        """Seqs of all replies, in order."""
        heard = self.frames if frames is None else frames
        return [frame.envelope["seq"] for frame in heard if frame.envelope["kind"] == "reply"]


__all__ = ["MortalGateway"]
