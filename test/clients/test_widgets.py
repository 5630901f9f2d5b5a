"""ipywidgets, driven from both ends and compared with a real ipykernel."""

from __future__ import annotations

from support.case import main
from support.oracle import OracleCase


class Widgets(OracleCase):
    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        for client in (cls.client, cls.oracle):
            client.execute("import ipywidgets as W\nfrom IPython.display import display\nk = get_ipython().kernel")

    def test_every_widget_can_be_made_and_shows_itself(self) -> None:
        self.both_ok(
            "import inspect\n"
            "def all_widgets():\n"
            "    for name, each in sorted(vars(W).items()):\n"
            "        if inspect.isclass(each) and issubclass(each, W.Widget):\n"
            "            try: yield name, each()\n"
            "            except Exception as error: yield name, type(error).__name__\n"
            "made = dict(all_widgets())\n"
            "len(made), [name for name, widget in made.items() if isinstance(widget, str)]",
            "for widget in made.values():\n    display(widget)",
            "for widget in made.values():\n    if not isinstance(widget, str): widget.close()",
        )

    def test_every_kind_of_control_takes_a_value_from_the_client(self) -> None:
        for expression, state, value in (
            ("IntSlider()", {"value": 7}, "7"),
            ("BoundedIntText()", {"value": 500}, "100"),
            ("FloatRangeSlider()", {"value": [1.5, 20]}, "(1.5, 20.0)"),
            ("FloatLogSlider()", {"value": 10}, "10.0"),
            ("Text()", {"value": "hé"}, "'hé'"),
            ("Textarea()", {"value": "x\ny"}, "'x\\ny'"),
            ("Combobox()", {"value": "zz"}, "'zz'"),
            ("Checkbox()", {"value": True}, "True"),
            ("Dropdown(options=['a', 'b'])", {"index": 1}, "'b'"),
            ("RadioButtons(options=['a', 'b'])", {"index": 1}, "'b'"),
            ("ToggleButtons(options=['x', 'y'])", {"index": 1}, "'y'"),
            ("SelectMultiple(options=[1, 2, 3])", {"index": [0, 2]}, "(1, 3)"),
            ("DatePicker()", {"value": {"year": 2020, "month": 0, "date": 5}}, "datetime.date(2020, 1, 5)"),
            ("ColorPicker()", {"value": "#ff0000"}, "'#ff0000'"),
            ("TagsInput()", {"value": ["p", "q"]}, "['p', 'q']"),
            ("Play()", {"value": 5, "playing": True}, "5"),
            ("Valid()", {"value": True}, "True"),
        ):
            with self.subTest(expression):
                self.both_ok(f"w = W.{expression}\nw.observe(lambda change: print('now', change['new']), 'value')")
                said = self.both_updated("w", state)
                self.assertEqual(said[0][1]["data"]["method"], "echo_update")
                self.assertEqual(said[-1][:2], ["stream", "stdout"])
                self.assertEqual(self.client.value("w.value"), value)
        for container in ("Tab", "Accordion", "Stack"):
            self.both_ok(f"w = W.{container}([W.HTML('1'), W.HTML('2')])")
            self.both_updated("w", {"selected_index": 1})
            self.assertEqual(self.client.value("w.selected_index"), "1")

    def test_a_wrong_value_changes_nothing(self) -> None:
        self.both_ok("w = W.IntSlider(3)")
        self.both_updated("w", {"value": "three"})
        self.assertEqual(self.client.value("w.value"), "3")

    def test_a_button_is_clicked(self) -> None:
        self.both_ok(
            "b = W.Button(description='x')\nb.on_click(lambda button: print('clicked', button.description))\nb"
        )
        data = {"method": "custom", "content": {"event": "click"}}
        self.assertEqual(self.both_told("comm_msg", "b.comm", data), [["stream", "stdout", "clicked x"]])

    def test_buffers_go_both_ways(self) -> None:
        self.both_ok("i = W.Image(value=b'\\x89PNG')\ni", "i.value = b'abc'")
        file = {"name": "f", "type": "t", "size": 2, "last_modified": 1600000000000, "content": None}
        self.both_ok("u = W.FileUpload()")
        self.both_updated("u", {"value": [file]}, [["value", 0, "content"]], buffers=[b"hi"])
        self.assertEqual(self.client.value("[(f.name, bytes(f.content)) for f in u.value]"), "[('f', b'hi')]")

    def test_an_output_widget_captures(self) -> None:
        self.both_ok(
            "out = W.Output()\nwith out:\n    print('inside'); display(5)\nprint('outside')",
            "out",
            "@out.capture()\ndef f():\n    print('captured')\n    1 / 0\nf()",
            "out.append_stdout('appended')",
            "out.append_display_data(W.HTML('x'))",
            "out.clear_output()",
            "with out: 1 / 0",
            "print('after')",
        )
        self.both_updated("out", {"outputs": [{"output_type": "stream", "name": "stdout", "text": "inside\n"}]})
        self.both_ok("out.outputs")

    def test_interact_runs_the_function_again(self) -> None:
        self.both_ok(
            "@W.interact(x=5, y=['a', 'b'], z=True)\ndef g(x, y, z): print(x, y, z)",
            "i = W.interactive(lambda a: a * 2, a=3)\ni",
            "s = W.IntSlider()\no = W.interactive_output(lambda x: print('got', x), {'x': s})\no",
        )
        self.both_updated("i.children[0]", {"value": 4})
        self.assertEqual(self.client.value("i.result"), "8")
        self.both_updated("s", {"value": 4})

    def test_links_and_held_changes(self) -> None:
        self.both_ok(
            "a = W.IntSlider(); b = W.IntText(); l = W.link((a, 'value'), (b, 'value'))",
            "d = W.dlink((a, 'value'), (W.IntText(), 'value')); j = W.jslink((a, 'value'), (b, 'value'))",
        )
        self.both_updated("a", {"value": 5})
        self.both_ok(
            "b.value",
            "l.unlink(); a.value = 6; b.value",
            "with a.hold_sync(): a.value = 1; a.value = 2",
            "with a.hold_trait_notifications(): a.value = 3; a.min = -5",
            "a.send_state('value')",
            "a.send({'own': 1}, [b'buffer'])",
            "a.close()",
            "repr(a), a.comm",
        )

    def test_a_client_that_comes_later_asks_for_all_states(self) -> None:
        self.both_ok(
            "W.Widget.close_all()", "len(k.comm_manager.comms)", "x = W.IntSlider(1); y = W.Image(value=b'zz')"
        )
        self.both_told(
            "comm_open",
            {"comm_id": "control", "target_name": "jupyter.widget.control", "data": {}},
            metadata={"version": "1.0.0"},
        )
        request = {"comm_id": "control", "data": {"method": "request_states"}}
        found = []
        for client in (self.client, self.oracle):
            client.request("comm_msg", request)
            answer = client.wait_for(
                lambda m: m["msg_type"] == "comm_msg" and m["content"]["data"].get("method") == "update_states"
            )
            data = answer["content"]["data"]
            models = sorted(state["model_name"] for state in data["states"].values())
            found.append((models, len(data["buffer_paths"]), [bytes(b) for b in answer["buffers"]]))
        self.assertEqual(found[0], found[1])
        self.assertEqual(found[0][2], [b"zz"])
        self.both_told("comm_msg", "x.comm", {"method": "request_state"})
        self.both_ok("W.Widget.close_all()", "list(k.comm_manager.comms)")

    def test_a_client_makes_a_widget(self) -> None:
        model = {"_model_name": "IntSliderModel", "_view_name": "IntSliderView", "value": 4}
        for kind in ("model", "view"):
            model |= {f"_{kind}_module": "@jupyter-widgets/controls", f"_{kind}_module_version": "2.0.0"}
        self.both_told(
            "comm_open",
            {"comm_id": "of the client", "target_name": "jupyter.widget", "data": {"state": model}},
            metadata={"version": "2.1.0"},
        )
        self.both_ok("W.widgets.widget._instances['of the client'].value")

    def test_progress_bars(self) -> None:
        self.both_ok(
            "from tqdm import tqdm\nfor _ in tqdm(range(3), mininterval=100, bar_format='{n}/{total}'): pass",
            "from tqdm.autonotebook import tqdm as t\nt.__module__",
            "from tqdm.notebook import tqdm as t\n"
            "for _ in t(range(2), mininterval=100, bar_format='{n}/{total}'): pass",
        )


class Plots(OracleCase):
    def test_figures_are_shown_when_and_where_they_should(self) -> None:
        self.both_ok(
            "import matplotlib.pyplot as plt\nplt.get_backend()",
            "plt.plot([1]); None",
            "plt.plot([2])\nplt.show()\nprint('shown before')",
            "fig, ax = plt.subplots()\nax.plot([1])",
            "fig",
            "%config InlineBackend.close_figures = False\nplt.plot([1]);",
            "plt.get_fignums()",
            "%config InlineBackend.close_figures = True\nplt.close('all')",
            "for i in range(2):\n    plt.figure(); plt.plot([i])",
            "plt.rcParams['figure.figsize'], plt.rcParams['figure.facecolor']",
            "%matplotlib agg\nplt.get_backend()",
            "%matplotlib",
            "%matplotlib inline",
            "%config InlineBackend.figure_format = 'jpeg'\nplt.plot([1]);",
        )
        self.both("%matplotlib nosuch", "plt.plot([1])\n1 / 0")

    def test_tables_and_arrays(self) -> None:
        self.both_ok(
            "import numpy as np, pandas as pd\npd.DataFrame({'a': [1, 2]})",
            "pd.DataFrame({'a': [1, 2]}).style.set_uuid('u').format('{:.1f}')",
            "np.arange(3), np.float64(1.5)",
        )


if __name__ == "__main__":
    main()
