"""Widgets, displays and traitlets."""

from row import Group, Row

NOTEBOOK = Group(
    "ipywidgets, traitlets, IPython",
    package="ipywidgets",
    imports="import io\nimport ipywidgets as w, traitlets, tqdm\nfrom IPython.display import HTML, DisplayHandle, display\nfrom IPython.utils.capture import capture_output\nimport comm",
    rows=(
        Row("widget and its state", "x = w.IntSlider(3, 0, 10)", "x.value = 7; x.description = 'spoiled'; x.layout.width = '1px'; x.max = 99", "(x.value, x.description, x.layout.width, x.max) == (3, '', None, 10)", part="x.layout", works="setattr(x, 'value', 5) is None and x.value == 5", brief=True),
        Row("box with children, links, observers", "a, b = w.IntText(1), w.IntText(1); link = w.jslink((a, 'value'), (b, 'value')); seen = []; a.observe(lambda c: seen.append(c.new), 'value'); x = w.HBox([a, b])", "a.value = 5; a.unobserve_all(); x.children = (b,); link.unlink()", "x.children == (a, b) and seen == [] and a.value == 1", part="x.children[0]", works="setattr(a, 'value', 2) is None and seen == [2]"),
        Row("widget that the cell closes", "x = w.Button(description='b'); known = x.model_id", "x.close()", "x.model_id == known and x.comm is not None", part="x.comm", works="x.click() is None and x.close() is None"),
        Row("registry of widgets", "x = w.Text('t'); from ipywidgets.widgets import widget; n = len(widget._instances)", "w.Text('new'); x.close()", "len(widget._instances) == n and x.model_id in widget._instances", works="x.close() is None and len(widget._instances) < n"),
        Row("Output that captures", "x = w.Output()\nwith x: print('kept')", "x.clear_output()\nwith x: print('spoiled')\nx.outputs = ()\nx.layout.height = '5px'", "x.layout.height is None", part="x.layout", works="x.close()"),
        Row("traitlets with a default, a validator, observers", "class T(traitlets.HasTraits):\n    n = traitlets.Int(1)\n    items = traitlets.List()\nx = T(); x.items.append(1); seen = []; x.observe(seen.append)", "x.n = 9; x.items.append(2); x.add_traits(extra=traitlets.Int()); x.unobserve_all()", "x.n == 1 and x.items == [1] and not x.has_trait('extra') and seen == []", part="x.items", works="setattr(x, 'n', 3) is None and len(seen) == 1"),
        Row("progress bar", "x = tqdm.tqdm(total=10, file=io.StringIO()); x.update(3)", "x.update(5); x.close(); x.set_description('spoiled')", "x.n == 3 and not x.disable and x.desc in ('', None)", part="x.fp", works="x.update(1) is None or x.n == 4"),
        Row("display handle and displayed object", "x = DisplayHandle('rows'); h = HTML('<b>1</b>')", "x.display_id = 'other'; h.data = 'spoiled'", "x.display_id == 'rows' and h.data == '<b>1</b>'", part="x.display_id", works="x.display(h)"),
        Row("captured output", "with capture_output() as x:\n    print('kept')", "x._stdout.write('spoiled'); x._outputs.append(1)", "x.stdout == 'kept\\n' and x.outputs == []", part="x._stdout", works="x.show()"),
        Row("comm of the user's", "x = comm.create_comm(target_name='nobody'); got = []; x.on_msg(got.append)", "x.on_msg(None); x.close()", "not x._closed and x._msg_callback is not None", part="x._msg_callback", works="x.send({'a': 1}) is None and x.close() is None"),
    ),
)

GROUPS = (NOTEBOOK,)
