"""matplotlib, Pillow, and what a notebook shows."""

from row import Group, Row

MATPLOTLIB = Group(
    "matplotlib",
    package="matplotlib",
    imports=(
        "import io\nimport matplotlib; matplotlib.use('agg')\nimport matplotlib as mpl, matplotlib.pyplot as plt, numpy as np\n"
        "from matplotlib import animation, cm, colors, dates, ticker, transforms, widgets"
    ),
    rows=(
        Row("Figure and its Axes", "x = plt.figure(); a = x.add_subplot(); a.plot([1, 2])", "x.set_size_inches(1, 1); x.suptitle('spoiled'); x.clf(); x.add_axes((0, 0, 1, 1))", "x.get_size_inches().tolist() == [6.4, 4.8] and x._suptitle is None and len(x.axes) == 1 and len(a.lines) == 1", part="x.axes[0]", works="plt.close(x)", brief=True),
        Row("Axes: limits, scale, labels", "f, x = plt.subplots(); x.plot([1, 2, 3])", "x.set_xlim(0, 99); x.set_yscale('log'); x.set_title('spoiled'); x.legend(['l']); x.invert_yaxis()", "x.get_xlim()[1] < 3 and x.get_yscale() == 'linear' and x.get_title() == '' and x.get_legend() is None", part="x.xaxis", works="plt.close(f)"),
        Row("line and its data", "f, a = plt.subplots(); x, = a.plot([0, 1], [2, 3], 'r-')", "x.set_data([5], [6]); x.set_color('blue'); x.remove(); x.get_ydata()", "x.get_xydata().tolist() == [[0, 2], [1, 3]] and x.get_color() == 'r' and x.axes is a", part="x.axes", works="x.set_label('l') is None and plt.close(f) is None", brief=True),
        Row("scatter, image and colorbar", "f, a = plt.subplots(); x = a.imshow(np.arange(4.0).reshape(2, 2)); s = a.scatter([1], [2]); b = f.colorbar(x)", "x.set_data(np.zeros((2, 2))); x.set_cmap('gray'); x.norm.vmax = 99; s.set_offsets([[7, 7]]); b.remove()", "x.get_array().tolist() == [[0, 1], [2, 3]] and x.norm.vmax == 3 and s.get_offsets().tolist() == [[1, 2]] and len(f.axes) == 2", part="x.norm", works="plt.close(f)"),
        Row("norms and colour maps", "x = colors.BoundaryNorm([0, 1, 2], 2); n = colors.Normalize(0, 1); m = colors.ListedColormap(['r', 'g'])", "x.boundaries[0] = -9; n.vmin = -1; m.colors[0] = 'b'; n.callbacks.connect('changed', print)", "x.boundaries[0] == 0 and n.vmin == 0 and m.colors == ['r', 'g']", part="m.colors", works="n(0.5) == 0.5"),
        Row("locators and formatters", "f, a = plt.subplots(); x = ticker.MaxNLocator(5); a.xaxis.set_major_locator(x); d = dates.AutoDateFormatter(dates.AutoDateLocator())", "x.set_params(nbins=2); d.scaled[1.0] = 'spoiled'; a.xaxis.set_major_locator(ticker.NullLocator())", "a.xaxis.get_major_locator() is x and x._nbins == 5 and 'spoiled' not in d.scaled.values()", part="x.axis", works="len(x.tick_values(0, 10)) > 3 and plt.close(f) is None"),
        Row("patches and transforms", "x = transforms.Affine2D().rotate(1); before = x.get_matrix().copy(); p = plt.Rectangle((0, 0), 1, 1)", "x.translate(5, 5); p.set_width(9); p.set_alpha(0.1)", "np.array_equal(x.get_matrix(), before) and p.get_width() == 1 and p.get_alpha() is None", works="x.inverted() is not None"),
        Row("axes in 3-D", "f = plt.figure(); x = f.add_subplot(projection='3d')", "x.view_init(1, 2); x.set_zlim(0, 9); x.plot([1], [1], [1])", "(x.elev, x.azim) == (30, -60) and len(x.lines) == 0", part="x.figure", works="plt.close(f)"),
        Row("figure that was drawn", "x, a = plt.subplots(); a.plot([1, 2]); x.canvas.draw(); before = bytes(x.canvas.buffer_rgba())", "a.plot([2, 1]); x.canvas.draw()", "bytes(x.canvas.buffer_rgba()) == before", part="x.canvas", works="x.savefig(io.BytesIO()) is None and plt.close(x) is None"),
        Row("animation", "f, a = plt.subplots(); x = animation.FuncAnimation(f, lambda n: [], frames=5, cache_frame_data=False); x._draw_was_started = True; before = x.frame_seq; next(x.frame_seq)", "next(x.frame_seq); x._interval = 9", "next(x.frame_seq) == 1 and x._interval == 200", part="x.frame_seq", works="next(x.frame_seq) == 2 and plt.close(f) is None"),
        Row("callbacks of a canvas", "f = plt.figure(); seen = []; x = f.canvas.callbacks; c = f.canvas.mpl_connect('close_event', seen.append)", "f.canvas.mpl_disconnect(c); f.canvas.mpl_connect('key_press_event', print)", "c in x.callbacks['close_event']", part="x.callbacks['close_event']", works="x.process('close_event', 5) is None and seen == [5]"),
        Row("pyplot's figures", "plt.close('all'); x = plt.figure(7); y = plt.figure(8)", "plt.close(7); plt.figure(9)", "plt.get_fignums() == [7, 8] and plt.gcf() is y", part="x.canvas.manager", works="plt.close('all')"),
        Row("rcParams", "x = mpl.rcParams; before = dict(x)", "x['lines.linewidth'] = 99; plt.style.use('ggplot'); mpl.rc('font', size=3)", "dict(x) == before", works="x.update({'lines.linewidth': 3}) is None and mpl.rcParams['lines.linewidth'] == 3", brief=True),
    ),
)

PILLOW = Group(
    "Pillow",
    package="PIL",
    imports="import io\nfrom PIL import Image, ImageDraw, ImagePalette",
    rows=(
        Row("image and what draws on it", "x = Image.new('RGB', (4, 4)); d = ImageDraw.Draw(x)", "d.rectangle((0, 0, 3, 3), fill='red'); x.putpixel((0, 0), (1, 2, 3)); x.info['k'] = 1; x.paste('blue', (0, 0, 4, 4))", "x.getpixel((0, 0)) == (0, 0, 0) and x.info == {}", part="d._image", works="d.point((1, 1), fill='white') is None and x.getpixel((1, 1)) == (255, 255, 255)", brief=True),
        Row("image that is loaded late", "raw = io.BytesIO(); Image.new('L', (2, 2), 7).save(raw, 'PNG'); raw.seek(0); x = Image.open(raw)", "x.load(); x.close()", "x.fp is not None and x.getpixel((0, 0)) == 7", works="x.size == (2, 2)"),
        Row("palette", "x = Image.new('P', (2, 2)); x.putpalette(list(range(9)))", "x.putpalette([9] * 9)", "x.getpalette()[:9] == list(range(9))", works="x.convert('RGB').getpixel((0, 0)) == (0, 1, 2)"),
    ),
)

GROUPS = (MATPLOTLIB, PILLOW)
