"""From an empty process to a zygote that serves, and on to the worker that it may become.

What happens before the first fork is what somebody who starts a kernel waits for, so only that is done which the fork
needs; the rest waits for a quiet moment.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import signal
import socket
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

from .copies import hot_pages
from .link import Link, LinkClosed
from .processes import children, lifeline
from .rendezvous import Rendezvous
from .zygote import IGNORED, STOPPED, Options, Zygote

if TYPE_CHECKING:
    from .ipython.kernel import WorkerKernel
    from .birth import WorkerSpec
    from .worker import Worker

SETTINGS_TIMEOUT_S = 10.0


def start(options: Options, arguments: list[str] | None, stack: str | None, starter: int | None = None) -> None:
    """Be a zygote, then perhaps a worker, until this process ends. Raises OSError if the gateway cannot be reached.

    `arguments` are options for IPython; None if the gateway, which starts at the same time as this process, sends them
    and the rest of `options` later. `starter`, our parent, is or becomes the gateway; None: whoever that is now. `stack`,
    first in sys.path now, is where IPython and ipykernel come from.
    """
    if os.getpgrp() != os.getpid():
        os.setsid()
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    if arguments is None:
        starter = starter or os.getppid()
        _import_stack(stack)
        try:
            link = _meet_gateway(options, starter)
            settings = link.receive(SETTINGS_TIMEOUT_S).envelope
        except PermissionError:
            raise
        except OSError:
            # The gateway gave up while it was starting, and has said why.
            sys.exit(1)
        arguments = settings["arguments"]
        named = {name: settings[name] for name in ("kernel", "rendezvous", "linger_s")}
        named |= {name: settings[name] for name in ("orphan_s", "spool_bytes_max") if name in settings}
        options = options._replace(**named)
        preload, warm = settings.get("preload", []), settings.get("warm", False)
    else:
        # Dialled before the long part, so that the gateway knows of this process meanwhile.
        link = Link.dial(options.link, "zygote", options.kernel, options.token)
        _import_stack(stack)
        preload, warm = [], False
    zygote = Zygote(options)
    kernel = _build_kernel(arguments)
    if preload or warm:
        # For those who share it: what it says of itself takes a moment that a single kernel does without.
        from .preload import facts_about

        zygote.facts = facts_about(preload, stack)
    zygote.prepare()
    prepared = None
    if warm:
        prepared = _prepare_for_many(kernel)
    else:
        # What exists now is never collected, so that no collection in a worker copies its pages.
        gc.freeze()
        zygote.when_quiet = partial(_warm_up, kernel)
    pid = os.getpid()
    try:
        zygote.introduce(link, json.dumps({"status": "ok", **kernel.kernel_info}).encode())
    except LinkClosed:
        # The gateway was ended while we started: nobody is left to work for.
        return
    hot_pages.note_mappings()
    spec = _serve_gateways(zygote)
    if spec is None:
        return
    zygote.become_child()
    os.setsid()
    if os.getppid() != pid:
        # The zygote was killed in the meantime.
        os._exit(1)
    lifeline.die_with_parent(pid)
    from . import worker

    worker.Worker.main(spec, kernel, prepared)


def _meet_gateway(options: Options, starter: int) -> Link:
    """Dial the gateway as soon as it listens, in a folder that is this user's alone. Raises OSError.

    Until then there may be nothing, a socket that nobody listens at yet, or one that another process of the same number
    has left, which the gateway is about to remove. The process `starter`, our parent, is or becomes the gateway: when it
    has ended, none will come, and we end too.
    """
    deadline = time.monotonic() + SETTINGS_TIMEOUT_S
    while True:
        try:
            # In a shared temporary folder somebody else might have been first, to be given a Python of ours.
            status = os.stat(os.path.dirname(os.path.dirname(options.link)))
            if status.st_uid != os.getuid() or status.st_mode & 0o077:
                raise PermissionError(f"The folder of {options.link} is open to others.")
            return Link.dial(options.link, "zygote", options.kernel, options.token)
        except (FileNotFoundError, ConnectionRefusedError):
            if os.getppid() != starter or time.monotonic() > deadline:
                sys.exit(1)
        time.sleep(0.002)


def _import_stack(stack: str | None) -> None:
    """Everything that a worker needs, imported now, for all workers: afterwards each of them would pay for it."""
    # What tornado imports when a loop is first asked for: 1.6 MB of each worker.
    import tornado.platform.asyncio  # noqa: F401

    from . import commands, worker  # noqa: F401
    # What one worker imports when it gives way, the next one, which is a copy from before, would import again.
    from .copies import giving_way, snapshot  # noqa: F401
    from .ipython import build  # noqa: F401

    # A copy is taken, or refused, even where there is no descriptor left to import anything with.
    from .objects import uncopyable  # noqa: F401

    if stack is not None:
        # From here on the user's packages win, also over those that ours would like.
        sys.path.remove(stack)
        sys.path.insert(len(sys.path) - 1, stack)


def _build_kernel(arguments: list[str]) -> WorkerKernel:
    import ipykernel

    from .ipython.build import build

    # What programs look at to find out where they are, and what some parse by mistake.
    packages = os.path.dirname(os.path.dirname(ipykernel.__file__))
    sys.argv = [os.path.join(packages, "ipykernel_launcher.py"), *arguments]
    built = build(arguments)
    children.install()
    return built


def _warm_up(built: WorkerKernel) -> None:
    """Use the kernel once, so that later workers find everything imported and cached.

    The first worker does not wait for it: it is what somebody who starts a kernel waits for.
    """
    from . import writer  # noqa: F401
    from .effects import recorder  # noqa: F401
    from .ipython.build import warm_up

    warm_up(built)
    gc.collect()
    gc.freeze()
    hot_pages.note_mappings()


def _prepare_for_many(built: WorkerKernel) -> Worker:
    """What all workers would do first, done once: it is their time, and memory that they share. The worker to be."""
    from . import cold_memory, rehearsal, room, writer  # noqa: F401
    from .cells.warmth import prepare_for_workers
    from .effects import recorder  # noqa: F401
    from .ipython.build import warm_up
    from .worker import Worker

    prepare_for_workers(built.shell)
    warm_up(built)
    prepared = Worker(built)
    rehearsal.rehearse(prepared)
    gc.collect()
    room.fill()
    room.reserve()
    gc.freeze()
    for address in cold_memory.candidates():
        if not cold_memory.condense(address):
            break
    return prepared


def _serve_gateways(zygote: Zygote) -> WorkerSpec | None:
    """Serve one gateway after the other. None at the end; in a forked child, which worker to be."""
    while True:
        ended = zygote.serve()
        if not isinstance(ended, str):
            return ended
        options = zygote.options
        rendezvous = None
        if ended != STOPPED and options.rendezvous is not None and options.linger_s > 0:
            # Open before the slow part: a successor may come at once.
            rendezvous = Rendezvous(options.rendezvous)
        zygote.end_all()
        zygote.close_link()
        if ended != STOPPED:
            _remove_folder_of_the_dead(options.link)
        if rendezvous is None:
            return None
        with rendezvous:
            invitation = rendezvous.wait(options.linger_s)
        if invitation is None:
            return None
        zygote.options = options._replace(link=invitation.link, token=invitation.token)
        try:
            link = Link.dial(invitation.link, "zygote", options.kernel, invitation.token)
            zygote.introduce(link, zygote.info)
        except OSError:
            return None


def _remove_folder_of_the_dead(link_path: str) -> None:
    """A kernel that was killed cannot remove its folder; that of a gateway is the next gateway's."""
    folder = os.path.dirname(link_path)
    name = os.path.basename(folder)
    if name[:1] != "k" or not name[1:].isdigit():
        return
    with socket.socket(socket.AF_UNIX) as caller:
        try:
            caller.connect(link_path)
        except ConnectionRefusedError:
            shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            # It is gone already.
            pass
