"""Rich output: data of many types, updates by id, clearing, plots."""

from __future__ import annotations

import base64

from support.case import KernelCase, main


class Display(KernelCase):
    def shown(self, code: str) -> list[dict]:
        return [m["content"] for m in self.run_ok(code).on("iopub", "display_data")]

    def test_objects_show_themselves_in_their_types(self) -> None:
        for code, kind, value in (
            ("HTML('<b>x</b>')", "text/html", "<b>x</b>"),
            ("Markdown('*x*')", "text/markdown", "*x*"),
            ("Latex('$x$')", "text/latex", "$x$"),
            ("JSON({'x': [1]})", "application/json", {"x": [1]}),
            (
                "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"></svg>')",
                "image/svg+xml",
                '<svg xmlns="http://www.w3.org/2000/svg"/>',
            ),
            ("Javascript('1')", "application/javascript", "1"),
        ):
            with self.subTest(kind):
                (content,) = self.shown(f"from IPython.display import *\ndisplay({code})")
                data = content["data"]
                self.assertEqual(str(data[kind]).replace("></svg>", "/>"), str(value))
                self.assertIn("text/plain", data)

    def test_a_display_is_updated_by_its_id(self) -> None:
        cell = self.run_ok(
            "from IPython.display import display\nhandle = display('one', display_id='spot')\nhandle.update('two')"
        )
        (first,) = cell.on("iopub", "display_data")
        (update,) = cell.on("iopub", "update_display_data")
        self.assertEqual(first["content"]["transient"]["display_id"], "spot")
        self.assertEqual(update["content"]["transient"]["display_id"], "spot")
        self.assertEqual(update["content"]["data"]["text/plain"], "'two'")
        self.assertEqual(len(self.run_ok("handle.update('three')").on("iopub", "update_display_data")), 1)

    def test_output_is_cleared_in_order(self) -> None:
        cell = self.run_ok(
            "from IPython.display import clear_output\nprint('gone')\nclear_output(wait=True)\nprint('kept')"
        )
        self.assertEqual([m["msg_type"] for m in cell.outputs], ["stream", "clear_output", "stream"])
        self.assertIs(cell.outputs[1]["content"]["wait"], True)

    def test_a_plot_is_a_picture(self) -> None:
        (content,) = self.shown("%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 3, 2]);")
        self.assertTrue(base64.b64decode(content["data"]["image/png"]).startswith(b"\x89PNG"))

    def test_a_class_may_bring_its_own_representations(self) -> None:
        code = (
            "class Own:\n"
            "    def _repr_html_(self): return '<i>own</i>'\n"
            "    def _repr_mimebundle_(self, **k): return {'application/x-own': 'own'}\n"
            "Own()"
        )
        data = self.run_ok(code).on("iopub", "execute_result")[0]["content"]["data"]
        self.assertEqual((data["text/html"], data["application/x-own"]), ("<i>own</i>", "own"))

    def test_raw_data_is_published_as_it_is(self) -> None:
        (content,) = self.shown(
            "from IPython.display import display\n"
            "display({'text/plain': 'raw', 'application/x-raw+json': {'n': 2 ** 60}}, raw=True)"
        )
        self.assertEqual(content["data"], {"text/plain": "raw", "application/x-raw+json": {"n": 2**60}})

    def test_a_table_shows_itself_as_html(self) -> None:
        cell = self.run_ok("import pandas as pd\npd.DataFrame({'a': [1, 2]})")
        self.assertIn("<table", cell.on("iopub", "execute_result")[0]["content"]["data"]["text/html"])


if __name__ == "__main__":
    main()
