"""A program that plays one kernel for the tests: runs cells in its `__main__`, saves or restores a checkpoint, and says
what came of it as JSON. Started with a folder, the path of the checkpoint and "save" or "restore"; cells come on stdin.
"""

from __future__ import annotations

import json
import linecache
import os
import sys
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "src" / "python"))


def run(cells: list[str], namespace: dict[str, Any]) -> list[str | None]:
    """Run each cell as IPython would; for each what it raised, or None."""
    raised: list[str | None] = []
    for number, text in enumerate(cells):
        name = f"/tmp/cell-{number}-{len(text)}.py"
        linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)  # type: ignore[assignment]
        try:
            exec(compile(text, name, "exec", dont_inherit=True), namespace)
        except BaseException as error:
            raised.append(f"{type(error).__name__}: {error}")
        else:
            raised.append(None)
    return raised


def write_in_child(writer: Any, job: Any, stall_timeout_s: float) -> Any:
    """The manifest, written as a worker's writer does it: by a process that can do no harm."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            writer.cut_off(frozenset((writing,)))
            with open(writing, "w") as pipe:
                json.dump(writer.write_watched(job, None, stall_timeout_s), pipe)
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        manifest = json.load(pipe)
    os.waitpid(pid, 0)
    return manifest


def main() -> None:
    folder, path, task = sys.argv[1:4]
    request = json.load(sys.stdin)
    namespace = vars(sys.modules["__main__"])
    own = set(namespace)
    namespace["FOLDER"] = folder
    import checkpoint_files

    from savepoint_worker import checkpoints, writer
    from savepoint_worker.serialize import process

    report: dict[str, Any] = {}
    baseline = process.Baseline(dict(os.environ), list(sys.path), process.settings())
    if task == "restore":
        done = checkpoint_files.restore(path, namespace, request.get("mode", "merge"), request.get("names"))
        report["restore"] = done._asdict()
    report["raised"] = run(request["cells"], namespace)
    if task == "save":
        history = [(number, text) for number, text in request.get("history", [(1, "text")])]
        extras = checkpoints.Extras(baseline, process.before_fork(), history, 7)
        exclude = (*own, *request.get("exclude", ()))
        job = writer.Job(namespace, checkpoint_files.target(path, request.get("known")), exclude, extras)
        report["manifest"] = write_in_child(writer, job, request.get("stall_timeout_s", 20.0))
    sys.stdout.write("\n" + json.dumps(report))


if __name__ == "__main__":
    main()
