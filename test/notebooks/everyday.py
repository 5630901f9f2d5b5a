"""What a person does all day, as notebooks for the browser: single cells, one for Run All, one to debug, one to share, one whose page is loaded anew."""

from __future__ import annotations

import nbformat
from nbformat.v4 import new_code_cell, new_notebook

DAY = {
    "complete": "",
    "tooltip": "",
    "long": 'for line in range(20_000):\n    print(f"line {line} of a long output")',
    "loop": 'import time\nprint("started", flush=True)\nwhile True:\n    time.sleep(0.01)',
    "after-interrupt": 'print("still", "here")',
    "gallery": """
import ipywidgets as widgets
from IPython.display import display

said = widgets.Output()
controls = {
    "slider": widgets.IntSlider(3, 0, 10),
    "range": widgets.FloatRangeSlider(value=[2.0, 5.0], max=10.0),
    "number": widgets.BoundedIntText(4, max=100),
    "text": widgets.Text("abc"),
    "area": widgets.Textarea("several\\nlines"),
    "check": widgets.Checkbox(False, description="a check"),
    "toggle": widgets.ToggleButton(description="a toggle"),
    "choice": widgets.Dropdown(options=["red", "green", "blue"]),
    "radio": widgets.RadioButtons(options=["tea", "coffee"]),
    "many": widgets.SelectMultiple(options=["a", "b", "c"]),
    "date": widgets.DatePicker(),
    "colour": widgets.ColorPicker(value="#336699"),
    "valid": widgets.Valid(True),
    "progress": widgets.IntProgress(7, max=10),
    "button": widgets.Button(description="press me"),
    "tab": widgets.Tab([widgets.Label("first"), widgets.Label("second")], titles=["one", "two"]),
    "accordion": widgets.Accordion([widgets.HTML("<b>inside</b>")], titles=["fold"]),
}

@said.capture()
def heard(change):
    print(change["name"], "is", change["new"])

for control in controls.values():
    if control.has_trait("value"):
        control.observe(heard, "value")

@controls["button"].on_click
def pressed(_):
    with said:
        print("pressed")

display(widgets.VBox([*controls.values(), said]))
""",
    "linked": """
double = widgets.IntSlider(0, 0, 20)
mirror = widgets.IntText(0)
widgets.jslink((double, "value"), (mirror, "value"))

def square(x=3):
    return x * x

display(double, mirror)
widgets.interact(square, x=(0, 9));
""",
    "replaced": """
from IPython.display import clear_output, display
handle = display("first state", display_id=True)
handle.update("second state")
for i in range(5):
    clear_output(wait=True)
    print("pass", i)
""",
    "remember": "kept = 42\nprint(kept)",
    "forgotten": "print('kept' in globals())",
}

RUN_ALL = {
    "before": 'print("ran before")',
    "fails": "raise RuntimeError('in the middle')",
    "after": 'print("ran after")',
    "last": 'print("ran last")',
}

#: For the debugger: the second line of `stops` gets a breakpoint.
DEBUGGED = {
    "stops": "def double(number):\n    result = number * 2\n    return result\n\nprint('doubled:', double(21))",
    "afterwards": "print('went', 'on')",
}

#: For a kernel behind a gateway, and for several clients of one kernel.
REFRESHED = {
    "prints": """
import os
import time

told = 0
while not os.path.exists("go-on"):
    print(f"line {told};", flush=True)
    told += 1
    time.sleep(0.02)
os.remove("go-on")
""",
    "told": 'print("told", told, "lines")',
}

SHARED = {
    "place": "import pathlib\nprint('beside it:', pathlib.Path('shared.ipynb').exists())",
    "picture": """
import struct
import zlib
import ipywidgets

def png(width, height):
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    row = b"\\0" + bytes(n % 256 for x in range(width) for n in (3 * x, 120, 255 - x))
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b"")

image = ipywidgets.Image(value=png(80, 40), format="png")
image
""",
    "upload": """
upload = ipywidgets.FileUpload()
said = ipywidgets.Output()

@said.capture()
def heard(change):
    [file] = change["new"]
    data = bytes(file["content"])
    print(file["name"], "has", len(data), "bytes, their sum is", sum(data))

upload.observe(heard, "value")
ipywidgets.VBox([upload, said])
""",
    "waits": """
import os
import time

print("it has", "begun", flush=True)
while not os.path.exists("go-on"):
    time.sleep(0.02)
os.remove("go-on")
told = "it has " + "ended"
print(told)
""",
    "told": "print(told)",
    "said": 'print("said by", "the notebook")',
}


def build(cells: dict[str, str], kernel: str) -> nbformat.NotebookNode:
    """A notebook of these cells for a kernel."""
    notebook = new_notebook(
        metadata={
            "kernelspec": {"display_name": kernel, "language": "python", "name": kernel},
            "language_info": {"name": "python", "file_extension": ".py"},
        }
    )
    notebook.cells = [new_code_cell(code.strip("\n"), id=name) for name, code in cells.items()]
    return notebook
