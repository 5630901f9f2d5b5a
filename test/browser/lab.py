"""Starts JupyterLab for the browser test, on a free port of the loopback address, with everything private to this run.

The first line on stdout is JSON: `url`, `token`, `root` (where notebooks are), `notebooks` (of each the ids and tags of its cells, in order).
SIGTERM, and the end of the process that started it, end it, and its kernels with it. Arguments are options of
`jupyter lab`. In a folder `SAVEPOINT_TEST_KEPT` notebooks and saved data outlive it, for the next one.
"""

from __future__ import annotations

import ctypes
import json
import os
import secrets
import signal
import sys
from pathlib import Path

TEST = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TEST / "clients"), str(TEST / "notebooks")]

import everyday  # noqa: E402
import make_notebook  # noqa: E402
import mishaps  # noqa: E402
import nbformat  # noqa: E402
import tomorrow  # noqa: E402
from support.subject import KERNEL, scratch  # noqa: E402

SETTINGS = {
    # Cells outside the window are there for the test to find, too.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    # No questions to the outside, and no notices over the notebook.
    "@jupyterlab/apputils-extension/notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
}


PR_SET_PDEATHSIG = 1


def main() -> None:
    # The test may be killed; then nobody would end this server.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    kept = os.environ.get("SAVEPOINT_TEST_KEPT")
    root = Path(kept, "notebooks") if kept else scratch("lab")
    root.mkdir(exist_ok=True)
    notebooks = {
        "first_slice": make_notebook.build(KERNEL),
        "everyday": everyday.build(everyday.DAY, KERNEL),
        "run_all": everyday.build(everyday.RUN_ALL, KERNEL),
        "debugged": everyday.build(everyday.DEBUGGED, KERNEL),
        "shared": everyday.build(everyday.SHARED, KERNEL),
        "refreshed": everyday.build(everyday.REFRESHED, KERNEL),
        "mishaps": mishaps.build(KERNEL),
        "tomorrow": tomorrow.build(KERNEL),
    }
    for name, notebook in notebooks.items():
        if not (root / f"{name}.ipynb").exists():
            nbformat.write(notebook, root / f"{name}.ipynb")
    settings = Path(os.environ["JUPYTER_CONFIG_DIR"], "lab", "user-settings")
    for plugin, values in SETTINGS.items():
        file = settings / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values), encoding="utf-8")

    from jupyterlab.labapp import LabApp

    token = secrets.token_hex(16)
    server = LabApp.initialize_server(
        argv=[
            "--no-browser",
            "--allow-root",
            "--ServerApp.ip=127.0.0.1",
            "--ServerApp.port=0",
            f"--ServerApp.root_dir={root}",
            f"--IdentityProvider.token={token}",
            "--ServerApp.log_level=ERROR",
            "--LabApp.extension_manager=readonly",
            *sys.argv[1:],
        ]
    )
    cells = {
        name: [{"id": cell.id, "tags": cell.metadata.get("tags", [])} for cell in notebook.cells]
        for name, notebook in notebooks.items()
    }
    url = f"http://127.0.0.1:{server.port}{server.base_url}"
    print(json.dumps({"url": url, "token": token, "root": str(root), "notebooks": cells}), flush=True)
    server.start()


if __name__ == "__main__":
    main()
