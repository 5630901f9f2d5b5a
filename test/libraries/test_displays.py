"""Libraries that show themselves or talk through comms, compared with a real ipykernel."""

from __future__ import annotations

import zipfile

from support.oracle import OracleCase
from support.subject import scratch


class Displays(OracleCase):
    def test_rich(self) -> None:
        self.both_ok(
            "from rich import print as show\nshow('[bold]x[/bold]')",
            "from rich.console import Console\nc = Console()\nc.is_jupyter, c.is_terminal, c.width",
            "from rich.table import Table\nt = Table('a')\nt.add_row('1')\nt",
            "from rich.progress import track\nlist(track(range(2), description='d', disable=True))",
        )

    def test_tables(self) -> None:
        self.both_ok("import polars as pl\npl.DataFrame({'a': [1]})", "pl.DataFrame({'a': [1]}).lazy().collect()")

    def test_charts(self) -> None:
        self.both_ok(
            "import altair, pandas\nchart = altair.Chart(pandas.DataFrame({'a': [1]})).mark_point()",
            "chart.encode(x='a').to_dict()['mark']",
            "altair.renderers.active",
            "import plotly.io as pio\npio.renderers.default",
            "import plotly.graph_objects as go\npio.show(go.Figure(go.Bar(y=[1])), renderer='json')",
        )

    def test_bokeh_pushes_into_a_shown_plot(self) -> None:
        found = []
        for client in (self.client, self.oracle):
            cells = (
                "from bokeh.io import output_notebook, push_notebook, show\nfrom bokeh.plotting import figure\n"
                "import logging; logging.disable()\noutput_notebook(hide_banner=True)",
                "p = figure(); r = p.line([1], [2]); h = show(p, notebook_handle=True)",
                "r.glyph.line_width = 5; push_notebook(handle=h)",
            )
            said = [client.execute(code, timeout=60) for code in cells]
            self.assertEqual([cell.status for cell in said], ["ok"] * 3)
            found.append([[(m["msg_type"], sorted(m["content"].get("data") or {})) for m in c.outputs] for c in said])
        self.assertEqual(found[0], found[1])
        self.assertIn(("display_data", ["application/javascript", "application/vnd.bokehjs_exec.v0+json"]), found[0][1])


class Comms(OracleCase):
    def test_figure_widgets_of_plotly(self) -> None:
        self.both_ok("import plotly.graph_objects as go\nf = go.FigureWidget(go.Bar(y=[1, 2]))", "f.data[0].y = [3, 4]")
        self.assertEqual(self.client.value("f.data[0].y"), "(3, 4)")

    def test_anywidget(self) -> None:
        self.both_ok(
            "import anywidget, traitlets\n"
            "class W(anywidget.AnyWidget):\n"
            "    _esm = 'export default {}'\n"
            "    value = traitlets.Int(0).tag(sync=True)\n"
            "    @anywidget.experimental.command\n"
            "    def add(self, msg, buffers): return msg + 1, buffers\n"
            "w = W(); w.on_msg(lambda w, m, b: w.send({'answer': 1}, [b'q']))\nw"
        )
        self.both_updated("w", {"value": 3})
        self.assertEqual(self.client.value("w.value"), "3")
        self.both_told("comm_msg", "w.comm", {"method": "custom", "content": {"hi": 1}})
        command = {"id": "1", "kind": "anywidget-command", "name": "add", "msg": 4}
        said = self.both_told("comm_msg", "w.comm", {"method": "custom", "content": command})
        self.assertIn("5", str(said))

    def test_interactive_figures(self) -> None:
        found = []
        for client in (self.client, self.oracle):
            client.execute("%matplotlib widget\nimport matplotlib.pyplot as plt", timeout=60)
            client.execute("fig, ax = plt.subplots(); ax.plot([1, 2])", timeout=60)
            comm_id = client.value("fig.canvas.comm.comm_id").strip("'")
            said = []
            for kind in ("initialized", "draw"):
                data = {"method": "custom", "content": {"type": kind}}
                cell = client.request("comm_msg", {"comm_id": comm_id, "data": data})
                client.wait_until(lambda cell=cell: "idle" in cell.states, 30, "idle")
                said.append(
                    [(m["msg_type"], [len(b) > 100 for b in m["buffers"]]) for m in cell.on("iopub", "comm_msg")]
                )
            found.append(said)
        self.assertEqual(found[0], found[1])
        # The picture.
        self.assertIn(("comm_msg", [True]), found[0][1])


class Running(OracleCase):
    def test_other_ways_to_run_coroutines(self) -> None:
        self.both_ok(
            "%autoawait trio\nimport trio",
            "await trio.sleep(0.01)\n'slept'",
            "%autoawait asyncio",
            "import nest_asyncio\nnest_asyncio.apply()",
            "import asyncio\nasyncio.run(asyncio.sleep(0, 5))",
            "asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, 7))",
            "await asyncio.sleep(0, 8)",
        )

    def test_joblib_and_profilers(self) -> None:
        self.both_ok(
            "from joblib import Parallel, delayed\nParallel(2)(delayed(len)([i]) for i in range(3))",
            "%load_ext line_profiler",
            "def f():\n    return 1",
        )
        profile = self.run_ok("r = %lprun -r -f f f()\ntype(r).__name__")
        self.assertEqual(profile.result, "'LineProfiler'")
        self.assertIn("Total time", profile.content["payload"][0]["data"]["text/plain"])


class Packages(OracleCase):
    def test_what_pip_installs_can_be_imported(self) -> None:
        wheel = scratch("wheel") / "savepoint_test_wheel-1.0-py3-none-any.whl"
        facts = "savepoint_test_wheel-1.0.dist-info"
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr("savepoint_test_wheel.py", "answer = 42\n")
            archive.writestr(f"{facts}/METADATA", "Metadata-Version: 2.1\nName: savepoint-test-wheel\nVersion: 1.0\n")
            archive.writestr(
                f"{facts}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            archive.writestr(f"{facts}/RECORD", "")
        for client in (self.client, self.oracle):
            installed = client.execute(f"%pip install -q --no-index {wheel}", timeout=60)
            self.assertIn("you may need to restart the kernel", installed.stdout)
            self.assertEqual(client.execute("import savepoint_test_wheel as w\nw.answer").result, "42")
            client.execute("%pip uninstall -q -y savepoint-test-wheel", timeout=60)


class Cluster(OracleCase):
    def test_a_cluster_of_one_engine_runs_cells(self) -> None:
        for client in (self.client, self.oracle):
            started = client.execute(
                "import ipyparallel as ipp\ncluster = ipp.Cluster(n=1, log_level=40)\n"
                "rc = await cluster.start_and_connect(activate=True)\nrc.ids",
                timeout=120,
            )
            try:
                self.assertEqual((started.status, started.result), ("ok", "[0]"), started.content)
                self.assertEqual(client.execute("rc[0].apply_sync(lambda: 6 * 7)", timeout=60).result, "42")
                cell = client.execute("%%px\nprint('of the engine')\n1 + 1", timeout=60)
                self.assertEqual(cell.status, "ok", cell.content)
                shown = [m["content"]["data"]["text/plain"] for m in cell.on("iopub", "display_data")]
                self.assertIn("[stdout:0] of the engine\n", shown)
            finally:
                client.execute("await cluster.stop_cluster()", timeout=60)
