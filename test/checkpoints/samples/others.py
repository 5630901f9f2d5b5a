"""Classes of many other libraries: stores, clients, symbols, graphs, models of data."""

from sample import Group, Sample, kind

STORES = Group(
    "Classes: stores and databases",
    samples=(
        Sample("h5py File that is read", "import h5py, numpy as np\nwith h5py.File(FOLDER + '/t.h5', 'w') as f: f['a'] = np.arange(3)\nx = h5py.File(FOLDER + '/t.h5', 'r'); d = x['a']", "x['a'][:].tolist() == [0, 1, 2] and d[1] == 1 and x.mode == 'r'", package="h5py"),
        Sample("h5py File that is written", "import h5py, numpy as np\nx = h5py.File(FOLDER + '/t.h5', 'w'); x['a'] = np.arange(3); x.flush()", "x['a'][:].tolist() == [0, 1, 2]\nx['b'] = 1", package="h5py"),
        Sample("netCDF4 Dataset", "import netCDF4\nwith netCDF4.Dataset(FOLDER + '/t.nc', 'w') as d:\n    d.createDimension('t', 2); d.createVariable('a', 'f4', ('t',))[:] = [1, 2]\nx = netCDF4.Dataset(FOLDER + '/t.nc')", "x['a'][:].tolist() == [1, 2]", package="netCDF4"),
        Sample("zarr Array in a folder", "import zarr\nx = zarr.create_array(FOLDER + '/t.zarr', shape=3, dtype='i4'); x[:] = 5", "x[:].tolist() == [5] * 3", package="zarr"),
        Sample("zarr Array in memory", "import zarr\nx = zarr.create_array({}, shape=3, dtype='i4'); x[:] = 5", "x[:].tolist() == [5] * 3", package="zarr"),
        Sample("sqlite3 Connection", "import sqlite3\nx = sqlite3.connect(':memory:'); x.row_factory = sqlite3.Row; x.execute('create table t (a)'); x.execute('insert into t values (5)'); x.commit()", "x.execute('select a from t').fetchone()['a'] == 5"),
        Sample("SQLAlchemy engine to a file", "import sqlalchemy as sa\nx = sa.create_engine('sqlite:///' + FOLDER + '/s.db')\nwith x.begin() as c: c.execute(sa.text('create table t (a)')); c.execute(sa.text('insert into t values (5)'))", "with x.connect() as c: assert c.execute(sa.text('select a from t')).scalar() == 5", package="sqlalchemy"),
        Sample("SQLAlchemy engine in memory", "import sqlalchemy as sa\nx = sa.create_engine('sqlite://')\nwith x.begin() as c: c.execute(sa.text('create table t (a)')); c.execute(sa.text('insert into t values (5)'))", "with x.connect() as c: assert c.execute(sa.text('select a from t')).scalar() == 5", package="sqlalchemy"),
        Sample("SQLAlchemy tables and statements", "import sqlalchemy as sa\nm = sa.MetaData(); t = sa.Table('t', m, sa.Column('a', sa.Integer)); x = sa.select(t).where(t.c.a > 1)", "'WHERE t.a >' in str(x) and m.tables['t'] is t", package="sqlalchemy", alias=True),
        Sample("SQLAlchemy declarative class", "import sqlalchemy as sa; from sqlalchemy import orm\nclass Base(orm.DeclarativeBase): pass\nclass User(Base):\n    __tablename__ = 'user'\n    id: orm.Mapped[int] = orm.mapped_column(primary_key=True)\n    name: orm.Mapped[str]\nx = User(id=1, name='ann')", "x.name == 'ann' and type(x) is User and User.__table__.name == 'user'\ne = sa.create_engine('sqlite://'); Base.metadata.create_all(e)\nwith orm.Session(e) as s: s.add(x); s.commit(); assert s.get(User, 1).name == 'ann'", package="sqlalchemy"),
        Sample("SQLAlchemy session", "import sqlalchemy as sa; from sqlalchemy import orm\ne = sa.create_engine('sqlite:///' + FOLDER + '/s.db'); x = orm.Session(e)", "x.execute(sa.text('select 1')).scalar() == 1", package="sqlalchemy"),
    ),
)

CLIENTS = Group(
    "Classes: clients, data models, symbols, graphs",
    samples=(
        Sample("requests Session", "import requests\nx = requests.Session(); x.headers['A'] = 'b'; x.cookies.set('c', 'd'); x.auth = ('u', 'p')", "x.headers['A'] == 'b' and x.cookies['c'] == 'd' and x.get_adapter('https://a') is not None", package="requests"),
        Sample("requests Response", "import requests\nx = requests.Response(); x.status_code = 200; x._content = b'{}'", "x.ok and x.json() == {}", package="requests"),
        Sample("httpx Client", "import httpx\nx = httpx.Client(base_url='https://example.org', headers={'A': 'b'}, timeout=3, cookies={'c': 'd'})", "x.headers['A'] == 'b' and x.timeout.read == 3 and str(x.base_url) == 'https://example.org' and x.cookies['c'] == 'd' and not x.is_closed", package="httpx"),
        Sample("httpx AsyncClient", "import httpx\nx = httpx.AsyncClient(headers={'A': 'b'})", "x.headers['A'] == 'b' and not x.is_closed", package="httpx"),
        Sample("pydantic model", "import pydantic\nclass M(pydantic.BaseModel):\n    a: int\n    b: list[str] = []\n    @pydantic.field_validator('a')\n    @classmethod\n    def check(cls, v): assert v > 0; return v\nx = M(a=1)", "x.model_dump() == {'a': 1, 'b': []} and type(x) is M\ntry: M(a=-1)\nexcept pydantic.ValidationError: pass\nelse: raise AssertionError", package="pydantic"),
        Sample("attrs class", "import attr\n@attr.s(auto_attribs=True)\nclass A:\n    n: int = 1\nx = A(5)", "x == A(5) and repr(x) == 'A(n=5)'", package="attr"),
        Sample("regex pattern and match", "import regex\nx = [regex.compile(r'\\p{L}+'), regex.match('a+', 'aa')]", "x[0].match('é') and x[1].span() == (0, 2)", package="regex"),
        Sample("BeautifulSoup", "import bs4\nx = bs4.BeautifulSoup('<p>a<b>c</b></p>', 'html.parser')", "x.b.text == 'c' and x.b.parent is x.p", package="bs4"),
        Sample("sympy expression", "import sympy\na, b = sympy.symbols('a b', positive=True); x = sympy.integrate(a**2 * b, a)", "x.subs({a: 3, b: 1}) == 9 and x.free_symbols == {a, b}", package="sympy"),
        Sample("sympy Matrix and Function", "import sympy\nf = sympy.Function('f'); x = sympy.Matrix([[1, f(2)], [0, 1]])", "x[0, 1] == f(2) and x.det() == 1", package="sympy"),
        Sample("networkx Graph", "import networkx as nx\nx = nx.Graph([(1, 2, {'w': [5]}), (2, 3)])", "nx.shortest_path(x, 1, 3) == [1, 2, 3] and x[1][2] is x[2][1]", package="networkx", alias=True),
        Sample("networkx view", "import networkx as nx\ng = nx.path_graph(4, nx.DiGraph); x = g.subgraph([0, 1, 2])", "g.remove_edge(0, 1)\nassert sorted(x.edges) == [(1, 2)]", package="networkx", alias=True),
        Sample("jinja2 template", "import jinja2\nx = jinja2.Template('Hi {{ n }}')", "x.render(n='a') == 'Hi a'", package="jinja2"),
        Sample("jsonschema validator", "import jsonschema\nx = jsonschema.Draft202012Validator({'type': 'integer'})", "x.is_valid(5) and not x.is_valid('a')", package="jsonschema"),
        Sample("tqdm bar", "import io, tqdm\nx = tqdm.tqdm(total=10, file=io.StringIO()); x.update(3)", "x.n == 3 and x.total == 10", package="tqdm"),
        Sample("joblib Parallel and Memory", "import joblib\nx = joblib.Memory(FOLDER + '/cache', verbose=0)", "x.cache(len)([1, 2]) == 2", package="joblib"),
        Sample("onnxruntime session", "import onnxruntime\nx = onnxruntime.SessionOptions(); x.intra_op_num_threads = 1", "x.intra_op_num_threads == 1", package="onnxruntime"),
        Sample("traitlets object", "import traitlets\nclass T(traitlets.HasTraits):\n    n = traitlets.Int(1)\n    l = traitlets.List()\nx = T(n=5); x.l = [1]", "x.n == 5 and x.l == [1]\ntry: x.n = 'a'\nexcept traitlets.TraitError: pass\nelse: raise AssertionError", package="traitlets"),
        Sample("logger with handlers", "import logging\nx = logging.getLogger('mine'); x.setLevel('DEBUG'); x.propagate = False; x.addHandler(logging.FileHandler(FOLDER + '/l.log')); x.handlers[0].setFormatter(logging.Formatter('%(levelname)s')); x.info('a')", "import logging\nassert x is logging.getLogger('mine') and x.level == 10\nx.info('b')\nassert open(FOLDER + '/l.log').read() == 'INFO\\nINFO\\n' and len(x.handlers) == 1"),
        Sample("Widget", "import ipywidgets\nx = ipywidgets.IntSlider(3, description='d')", "x.value == 3 and x.description == 'd'", package="ipywidgets"),
        Sample("Widgets that share", "import ipywidgets\na = ipywidgets.IntText(1); x = ipywidgets.VBox([a])", "x.children[0] is a\na.value = 7\nassert x.children[0].value == 7", package="ipywidgets", alias=True),
    ),
)  # fmt: skip

GROUPS = (STORES, CLIENTS)
