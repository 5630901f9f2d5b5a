"""Runs one cell in a kernel through jupyter_client, and says on one line of JSON how that went.

Arguments: the folder of a kernelspec, seconds for the start, seconds for the cell, and optionally a folder to import
jupyter_client from; as an argument, since the kernel would inherit an environment variable.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path

sys.path[:1] = sys.argv[4:5]

from jupyter_client.kernelspec import KernelSpecManager  # noqa: E402
from jupyter_client.manager import KernelManager  # noqa: E402

CELL = "print(6 * 7)"


def try_cell(folder: Path, start_s: float, execute_s: float) -> dict[str, object]:
    specs = KernelSpecManager(kernel_dirs=[str(folder.parent)], ensure_native_kernel=False)
    manager = KernelManager(kernel_name=folder.name, kernel_spec_manager=specs)
    with tempfile.TemporaryFile() as log:
        began = time.perf_counter()
        try:
            manager.start_kernel(stdout=log, stderr=log)
            client = manager.client()
            client.start_channels()
            try:
                client.wait_for_ready(timeout=start_s)
                ready = time.perf_counter()
                text: list[str] = []

                def collect(message: dict) -> None:
                    if message["msg_type"] == "stream":
                        text.append(message["content"]["text"])

                reply = client.execute_interactive(CELL, timeout=execute_s, output_hook=collect, allow_stdin=False)
                done = time.perf_counter()
                right = reply["content"]["status"] == "ok" and "".join(text) == "42\n"
                problem = None if right else f"the cell printed {''.join(text)!r}: {reply['content']}"
                return {
                    "ok": right,
                    "start_ms": (ready - began) * 1e3,
                    "cell_ms": (done - ready) * 1e3,
                    "problem": problem,
                }
            finally:
                client.stop_channels()
        except Exception as error:  # Whatever goes wrong is the answer.
            log.seek(0)
            said = log.read().decode(errors="replace").strip().splitlines()[-5:]
            return {"ok": False, "problem": "\n".join([f"{type(error).__name__}: {error}", *said])}
        finally:
            if manager.has_kernel:
                manager.shutdown_kernel(now=False)


answer = try_cell(Path(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]))
print(json.dumps(answer))
