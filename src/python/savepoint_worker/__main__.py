"""The command line of a zygote, which `start_worker.py` runs.

This file decides where modules come from, before any other is imported: what was put on the search path for us must not
be in the user's way later. IPython puts "" there in its own time.
"""

import os
import sys

HOME = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def main(arguments: "list[str]") -> int:
    """Run the command that `arguments` name; the exit code."""
    from argparse import ArgumentParser

    parser = ArgumentParser(prog="savepoint_worker", allow_abbrev=False)
    zygote = parser.add_subparsers(dest="command", required=True).add_parser("zygote", allow_abbrev=False)
    zygote.add_argument("--link", required=True, help="unix socket of the gateway")
    zygote.add_argument("--token", required=True, help="the right to be its zygote; - for that in SAVEPOINT_LINK_TOKEN")
    zygote.add_argument("--kernel", default="", help="id of the kernel")
    zygote.add_argument("--kernel-args", default="[]", help="options for IPython, as a JSON list")
    zygote.add_argument("--stack", help="folder to import IPython and ipykernel from; - for none")
    zygote.add_argument("--rendezvous", help="unix socket to wait at for another gateway")
    zygote.add_argument("--linger", type=float, default=0.0, help="seconds to wait there")
    zygote.add_argument(
        "--settings-follow",
        action="store_true",
        help="the gateway is only starting, and sends the other settings later",
    )
    zygote.add_argument("--starter", type=int, help="pid of the gateway, if that is our parent")
    zygote.add_argument("--confined", action="store_true", help="it runs in a sandbox")
    options = parser.parse_args(arguments)
    # Command lines can be read by everybody on the machine.
    token = os.environ.pop("SAVEPOINT_LINK_TOKEN", "") if options.token == "-" else options.token
    if options.confined:
        from .confinement import confine

        confine()
    stack = None if options.stack == "-" else options.stack
    restore_search_path(stack)
    # The token is nobody's business from here on, and programs that parse their arguments shall find none.
    sys.argv = [""]
    import json

    from .startup import start
    from .zygote import Options

    asked = Options(options.link, token, options.kernel, options.rendezvous, options.linger)
    start(asked, None if options.settings_follow else json.loads(options.kernel_args), stack, options.starter)
    return 0


def restore_search_path(stack: "str | None") -> None:
    """Make the search path and PYTHONPATH the user's: our packages come last, `stack` is first for the time being."""
    inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    if HOME in inherited:
        inherited.remove(HOME)
        if any(inherited):
            os.environ["PYTHONPATH"] = os.pathsep.join(inherited)
        else:
            os.environ.pop("PYTHONPATH", None)
    if HOME in sys.path:
        sys.path.remove(HOME)
    sys.path.append(HOME)
    if stack is not None:
        sys.path.insert(0, stack)
