"""Ways for a change to get past a copy of the variables: through IPython and the libraries."""

from row import Group, Row

IPYTHON = Group(
    "Escapes: IPython",
    imports="import IPython, sys\nip = get_ipython()",
    rows=(
        Row("In and Out", "x = len(In); 'shown'", "In.append('forged'); Out.clear(); Out['k'] = 1; In[0] = 'rewritten'", "In[0] == '' and 'k' not in Out and 'forged' not in In", part="In", works="isinstance(Out, dict)", brief=True),
        Row("_ and __ and ___", "x = 1", "_ = 5; __ = 6; ip.user_ns['_oh'] = {}", "'_' not in globals() or _ != 5", works="_oh is Out"),
        Row("execution_count", "x = ip.execution_count", "ip.execution_count = 999", "x < ip.execution_count < 900", works="len(In) == ip.execution_count or len(In) == ip.execution_count + 1", brief=True),
        Row("magics that were registered", "x = sorted(ip.magics_manager.magics['line'])", "ip.register_magic_function(lambda line: 1, 'line', 'spoiled'); ip.magics_manager.magics['line'].pop('pwd')", "sorted(ip.magics_manager.magics['line']) == x", part="ip.magics_manager", works="ip.run_line_magic('pwd', '')", brief=True),
        Row("aliases and macros", "x = list(ip.alias_manager.aliases)", "ip.alias_manager.define_alias('spoiled', 'echo'); ip.define_macro('rows_macro', 'pass')", "ip.alias_manager.aliases == x and 'rows_macro' not in ip.user_ns", works="'spoiled' not in dict(ip.alias_manager.aliases)"),
        Row("formatters of displays", "class C: pass\nx = ip.display_formatter.formatters['text/html']", "x.for_type(C, lambda o: 'spoiled'); x.enabled = not x.enabled; ip.display_formatter.active_types = []", "C not in x.type_printers and x.enabled and ip.display_formatter.active_types", part="ip.display_formatter.formatters['text/html']", works="x.for_type(C, lambda o: '<b>') is None and x(C()) == '<b>'", brief=True),
        Row("event callbacks", "x = {name: list(found) for name, found in ip.events.callbacks.items()}", "ip.events.register('pre_run_cell', print); ip.events.register('post_execute', lambda: None)", "ip.events.callbacks == x", works="ip.events.trigger('shell_initialized', ip)", brief=True),
        Row("hidden names of the namespace", "x = dict(ip.user_ns_hidden)", "ip.user_ns_hidden['spoiled'] = 1; ip.user_ns_hidden.pop('exit', None)", "'spoiled' not in ip.user_ns_hidden and 'exit' in ip.user_ns_hidden", part="ip.user_ns_hidden", works="'exit' in ip.user_ns"),
        Row("configuration by traits", "x = ip.ast_node_interactivity, ip.colors if hasattr(ip, 'colors') else None", "ip.ast_node_interactivity = 'all'; ip.config.Rows.n = 1", "ip.ast_node_interactivity == x[0] and 'Rows' not in ip.config", works="ip.ast_node_interactivity == 'last_expr'"),
        Row("transformers of input and of syntax trees", "x = list(ip.input_transformers_cleanup), list(ip.ast_transformers)", "ip.input_transformers_cleanup.append(lambda lines: lines); ip.ast_transformers.append(None)", "(ip.input_transformers_cleanup, ip.ast_transformers) == x", works="ip.transform_cell('1\\n') == '1\\n'"),
        Row("exception handlers of cells", "x = ip.custom_exceptions", "ip.set_custom_exc((KeyError,), lambda *a, **k: None); ip.InteractiveTB.set_mode('Verbose')", "ip.custom_exceptions == x and ip.InteractiveTB.mode != 'Verbose'", works="ip.custom_exceptions == ()"),
        Row("extensions that were loaded, user's modules", "x = set(ip.extension_manager.loaded)", "ip.extension_manager.load_extension('autoreload')", "set(ip.extension_manager.loaded) == x", works="ip.extension_manager.load_extension('autoreload') is None"),
        Row("user_ns, replaced", "x = ip.user_ns", "ip.user_ns = {'gone': 1}", "ip.user_ns is x and globals() is x", part="ip.user_ns", works="'x' in ip.user_ns"),
        Row("display hook and publisher", "x = ip.display_pub, ip.displayhook, sys.displayhook", "ip.display_pub.__class__.spoiled = 1; sys.displayhook = print", "(ip.display_pub, ip.displayhook, sys.displayhook) == x and not hasattr(ip.display_pub, 'spoiled')", works="ip.display_pub.publish"),
    ),
)

LIBRARIES = Group(
    "Escapes: libraries",
    package="matplotlib",
    imports="import io, logging, os, random, sys\nimport numpy as np, pandas as pd\nimport matplotlib as mpl\nmpl.use('agg')\nimport matplotlib.pyplot as plt",
    rows=(
        Row("numpy's own random state", "np.random.seed(3); np.random.rand(); x = np.random.get_state()", "np.random.rand(); np.random.seed(1)", "all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), x))", works="np.random.rand() < 1", brief=True),
        Row("a Generator in a module", "import types; x = types.ModuleType('lab'); x.rng = np.random.default_rng(4); before = x.rng.bit_generator.state", "x.rng.normal(); x.rng = None", "x.rng.bit_generator.state == before", part="x.rng", works="x.rng.random() < 1", brief=True),
        Row("view of an array in another variable", "x = np.arange(6); y = x[::2]; z = np.asarray(memoryview(x))", "y[:] = -1; z[1] = 9", "x.tolist() == [0, 1, 2, 3, 4, 5] and np.shares_memory(x, y) and np.shares_memory(x, z)", part="y.base", works="z.__setitem__(0, 7) is None and y[0] == 7", brief=True),
        Row("C code that writes through a pointer into an array", "import ctypes; x = np.zeros(4); p = x.ctypes.data_as(ctypes.POINTER(ctypes.c_double))", "p[2] = 5; ctypes.memset(x.ctypes.data, 255, 8)", "not x.any()", works="p.__setitem__(1, 3.0) is None and x[1] == 3"),
        Row("numpy.errstate and error callbacks", "x = np.geterr()", "np.seterr(all='raise'); np.seterrcall(print)", "np.geterr() == x and np.geterrcall() is None", works="np.seterr(divide='ignore') and np.isinf(np.float64(1) / 0)"),
        Row("numpy.set_printoptions, global functions replaced", "x = np.sum", "np.set_printoptions(precision=1); np.sum = None", "np.sum is x and np.get_printoptions()['precision'] == 8", part="np.sum", works="np.sum([1, 2]) == 3"),
        Row("options of pandas", "x = pd.get_option('display.max_columns')", "pd.set_option('display.max_columns', 1); pd.set_option('display.width', 7)", "pd.get_option('display.max_columns') == x and pd.get_option('display.width') == 80", works="pd.get_option('display.width') == 80", brief=True),
        Row("rcParams", "x = dict(mpl.rcParams)", "mpl.rcParams.update({'font.size': 99}); plt.rc('axes', grid=True); plt.style.use('dark_background')", "dict(mpl.rcParams) == x", works="mpl.rcdefaults()", brief=True),
        Row("backend of matplotlib", "x = mpl.get_backend()", "plt.switch_backend('svg')", "mpl.get_backend() == x", works="plt.get_backend() == x", brief=True),
        Row("pyplot's current figure", "plt.close('all'); x = plt.figure(); a = plt.gca()", "plt.figure(); plt.plot([1]); plt.close(x)", "plt.gcf() is x and plt.gca() is a and len(plt.get_fignums()) == 1", part="x.axes[0]", works="plt.close('all')", brief=True),
        Row("frame that another frame was made from", "x = pd.DataFrame({'a': [1, 2]}); y = x; z = x['a']", "y.loc[0, 'a'] = 9; y['b'] = 1; x.index = [7, 8]", "x is y and x.to_dict('list') == {'a': [1, 2]} and z.tolist() == [1, 2] and list(x.index) == [0, 1]", part="x.index", works="x.loc[1, 'a'] == 2"),
        Row("colour maps and converters that were registered", "x = set(mpl.colormaps)", "mpl.colormaps.register(mpl.colors.ListedColormap(['r'], 'spoiled')); mpl.units.registry[str] = None", "set(mpl.colormaps) == x and mpl.units.registry.get(str, 1) is not None", works="'viridis' in mpl.colormaps"),
    ),
)

GROUPS = (IPYTHON, LIBRARIES)
