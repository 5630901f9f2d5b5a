"""Kernels that random steps are done to: one of the kernelspec, or one of a gateway, which can be forked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateway.client import Rest
from gateway.server import Server
from model import CANONICAL
from support.client import Client, start_kernel, stop_kernel
from support.comms import Target, transactions


class Subject:
    """A kernel, a client of it, and its comm for transactions."""

    #: Whether it can be forked.
    forks = False

    def __init__(self, client: Client, guarded: bool) -> None:
        self.client = client
        #: Whether cells can be undone, and a death costs no more than its cell.
        self.guarded = guarded
        self.target: Target = transactions(client)


class GatewayKernel(Subject):
    """A kernel of a gateway, by a client that speaks ZeroMQ."""

    forks = True

    def __init__(self, rest: Rest, kernel_id: str) -> None:
        self._rest = rest
        self.kernel_id = kernel_id
        connection = _done(rest.ask("PUT", f"/api/kernels/{kernel_id}/connection"))
        super().__init__(Client.connect(connection["connection_file"], timeout=60), guarded=True)

    def fork(self) -> GatewayKernel:
        """Another kernel with the same state."""
        kernels = _done(self._rest.ask("POST", f"/api/kernels/{self.kernel_id}/fork", {}))["kernels"]
        return GatewayKernel(self._rest, kernels[0]["id"])

    def end(self) -> None:
        self.client.close()
        self._rest.ask("DELETE", f"/api/kernels/{self.kernel_id}")


def _done(answer: tuple[int, dict, object]) -> dict:
    status, body, _ = answer
    if status >= 300:
        raise AssertionError(f"the gateway answers {status}: {body}")
    return body


@contextmanager
def of_kernelspec(guarded: bool) -> Iterator[Subject]:
    """A kernel as Jupyter starts it."""
    manager, client = start_kernel(extra_arguments=["--guard"] if guarded else [])
    try:
        yield _ready(Subject(client, guarded))
    finally:
        stop_kernel(manager, client)


@contextmanager
def of_gateway() -> Iterator[Subject]:
    """A kernel of a gateway of its own, which is ended with all that came from it."""
    server = Server.start()
    try:
        rest = Rest(server.url, server.token)
        yield _ready(GatewayKernel(rest, rest.start_kernel()))
    finally:
        left = server.stop()
        if left:
            raise AssertionError(f"the gateway left behind: {'; '.join(left)}")


def _ready(subject: Subject) -> Subject:
    # A traceback of the usual kind takes longer than the rest of a cell. This cell does not count, so nothing undoes it.
    code = f"{CANONICAL}\nget_ipython().run_line_magic('xmode', 'Minimal')"
    subject.client.execute(code, timeout=60, store_history=False)
    return subject
