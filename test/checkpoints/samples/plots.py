"""Classes of what draws: matplotlib and its relatives, Pillow."""

from sample import Group, Sample, kind

_PIXELS = "(x.figure.canvas.draw(), np.asarray(x.figure.canvas.buffer_rgba()).sum())[1]"

MATPLOTLIB = Group(
    "Classes: matplotlib",
    package="matplotlib",
    imports="import numpy as np, matplotlib as mpl; mpl.use('agg')\nimport matplotlib.pyplot as plt\nfrom matplotlib import colors, dates, ticker, offsetbox, animation, patches",
    samples=(
        kind("Figure", "plt.figure(); a = x.add_subplot(); a.plot([1, 3, 2]); a.set_title('t')", "(x.canvas.draw(), np.asarray(x.canvas.buffer_rgba()).copy())[1]", brief=True),
        Sample("figures of pyplot and the current one", "plt.close('all'); x = plt.figure(3); y = plt.figure(7); plt.figure(3)", "{3, 7} <= set(plt.get_fignums()) and plt.gcf() is x and plt.figure(7) is y", alias=True),
        Sample("Axes of a figure", "f, x = plt.subplots(); line, = x.plot([1, 2])", "x.figure is f and x.lines[0] is line and f.axes == [x]", alias=True),
        kind("Axes in three dimensions", "plt.figure().add_subplot(projection='3d'); x.scatter([1], [2], [3])", _PIXELS),
        kind("Line2D", "plt.subplots()[1].plot([1, 2], 'r--')[0]", "(x.get_ydata(), x.get_color(), x.get_linestyle())"),
        kind("PathCollection", "plt.subplots()[1].scatter([1, 2], [3, 4], c=[0, 1])", "(np.asarray(x.get_offsets()), x.get_array())"),
        kind("AxesImage", "plt.subplots()[1].imshow(np.eye(4))", "(np.asarray(x.get_array()), x.get_clim())"),
        Sample("Colorbar", "f, a = plt.subplots(); i = a.imshow(np.eye(4)); x = f.colorbar(i)", "x.mappable is i\ni.set_clim(0, 5)\nassert x.vmax == 5 and (f.canvas.draw() is None)", alias=True),
        kind("Normalize and BoundaryNorm", "[colors.Normalize(0, 5), colors.BoundaryNorm([0, 1, 2], 2), colors.LogNorm(1, 10)]", "[float(each(1.5)) for each in x]"),
        kind("colour maps", "[colors.ListedColormap(['r', 'g']), plt.get_cmap('viridis')]", "[each(0.7) for each in x]"),
        kind("locators and formatters", "[ticker.AutoLocator(), ticker.FuncFormatter(lambda v, p: f'{v:.1f}!'), ticker.MaxNLocator(3)]", "(list(x[0].tick_values(0, 1)), x[1](2, 0))"),
        kind("AutoDateFormatter", "dates.AutoDateFormatter(dates.AutoDateLocator())", "x.defaultfmt"),
        kind("AnchoredOffsetbox", "offsetbox.AnchoredText('t', 'upper left')", "x.txt.get_text()"),
        kind("patches", "[patches.Circle((0, 0), 2), patches.FancyArrowPatch((0, 0), (1, 1))]", "x[0].radius"),
        kind("Legend and text", "plt.figure(); a = x.add_subplot(); a.plot([1], label='l'); a.legend(); a.text(0, 0, '$x^2$')", "(x.canvas.draw(), np.asarray(x.canvas.buffer_rgba()).copy())[1]"),
        kind("log axes, twin axes, bars, histogram", "plt.figure(); a = x.add_subplot(); a.set_yscale('log'); a.hist([1, 2, 2]); a.twinx().bar([1], [2])", "(x.canvas.draw(), np.asarray(x.canvas.buffer_rgba()).copy())[1]"),
        Sample("FuncAnimation", "f, a = plt.subplots(); l, = a.plot([0]); x = animation.FuncAnimation(f, lambda n: l.set_ydata([n]), frames=3, cache_frame_data=False)", "x.to_jshtml() is not None"),
        Sample("rcParams", "mpl.rcParams['lines.linewidth'] = 7; x = mpl.rcParams", "mpl.rcParams['lines.linewidth'] == 7 and x is mpl.rcParams", alias=True),
        Sample("SubFigures and GridSpec", "x = plt.figure(); s = x.subfigures(1, 2); a = s[1].add_subplot(); a.plot([1, 2])", "s[1].axes == [a] and x.canvas.draw() is None", alias=True),
    ),
)

OTHERS = Group(
    "Classes: plotly, bokeh, altair, seaborn, wordcloud, Pillow",
    imports="import numpy as np, pandas as pd",
    samples=(
        Sample("plotly Figure", "import json, plotly.graph_objects as go\nx = go.Figure(go.Scatter(y=[1, 2])); before = x.to_json()", "json.loads(x.to_json()) == json.loads(before)", package="plotly"),
        Sample("plotly express", "import json, plotly.express as px\nx = px.bar(x=['a'], y=[1]); before = x.to_json()", "json.loads(x.to_json()) == json.loads(before)", package="plotly"),
        Sample("bokeh figure", "from bokeh.plotting import figure\nfrom bokeh.embed import json_item\nx = figure(title='t'); x.line([1, 2], [3, 4])", "x.title.text == 't' and len(x.renderers) == 1", package="bokeh"),
        Sample("bokeh ColumnDataSource", "from bokeh.models import ColumnDataSource\nx = ColumnDataSource({'a': [1]})", "x.data['a'] == [1]", package="bokeh"),
        Sample("altair Chart", "import altair as alt\nx = alt.Chart(pd.DataFrame({'a': [1], 'b': [2]})).mark_bar().encode(x='a', y='b'); before = x.to_json()", "x.to_json() == before", package="altair"),
        Sample("seaborn FacetGrid", "import matplotlib; matplotlib.use('agg')\nimport seaborn\nx = seaborn.FacetGrid(pd.DataFrame({'a': [1, 2], 'g': ['u', 'v']}), col='g'); x.map(seaborn.histplot, 'a')", "len(x.axes[0]) == 2 and x.figure.canvas.draw() is None", package="seaborn"),
        Sample("seaborn palette", "import seaborn\nx = seaborn.color_palette('deep')", "len(x) == 10", package="seaborn"),
        Sample("WordCloud", "from wordcloud import WordCloud\nx = WordCloud(width=60, height=40, random_state=1).generate('one two two'); before = x.to_array()", "equal(x.to_array(), before)", package="wordcloud"),
        Sample("image", "from PIL import Image\nx = Image.new('RGB', (3, 2), (1, 2, 3)); x.putpixel((0, 0), (9, 9, 9))", "x.getpixel((0, 0)) == (9, 9, 9) and x.size == (3, 2)", package="PIL"),
        Sample("image of a file, not yet read", "from PIL import Image\nImage.new('L', (2, 2), 7).save(FOLDER + '/i.png'); x = Image.open(FOLDER + '/i.png')", "x.getpixel((1, 1)) == 7 and x.size == (2, 2)", package="PIL"),
        Sample("ImageDraw", "from PIL import Image, ImageDraw\ni = Image.new('L', (4, 4)); x = ImageDraw.Draw(i)", "x.point((0, 0), 5)\nassert i.getpixel((0, 0)) == 5", package="PIL", alias=True),
        Sample("ImageFont", "from PIL import ImageFont\nx = ImageFont.load_default(12); before = x.getbbox('abc')", "equal(x.getbbox('abc'), before)", package="PIL"),
    ),
)  # fmt: skip

GROUPS = (MATPLOTLIB, OTHERS)
