"""Objects that are changed in place, and what has to hold when that was undone.

`make` is a cell; `change` another one, after a copy was taken; `check` raises if the state is not what it was when the
copy was put back. `named`: what the rollback has to say that it could not put back (then `check` is not run).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    name: str
    make: str
    change: str
    check: str = ""
    needs: str | None = None
    named: str | None = None


CASES = [
    # ------------------------------------------------------------------------------------------------------ containers
    Case("list", "x = [1, 2]; y = x", "x.append(3); x[0] = 9", "assert x == [1, 2] and y is x"),
    Case("list in a list", "x = [[1], [2]]; y = x[1]", "y.clear(); x.reverse()", "assert x == [[1], [2]] and x[1] is y"),
    Case("list that holds itself", "x = [1]; x.append(x)", "x.clear()", "assert len(x) == 2 and x[1] is x"),
    Case("dict and its order", "x = {'a': 1, 'b': [2]}", "x.pop('a'); x['c'] = 3; x['a'] = 1; x['b'].append(1)", "assert list(x.items()) == [('a', 1), ('b', [2])]"),
    Case("dict with keys that can be changed", "class K:\n    def __init__(self): self.v = []\nk = K(); x = {k: 1}", "k.v.append(1)", "assert k.v == [] and x[k] == 1"),
    Case("keys whose hash changes", "class K:\n    v = 1\n    def __hash__(self): return self.v\n    def __eq__(self, o): return self is o\nk = K(); x = {k}; y = {k: 1}", "x.clear(); y.clear(); k.v = 2", "assert k.v == 1 and k in x and y[k] == 1"),
    Case("subclass of dict with methods of its own", "class D(dict):\n    def __setitem__(self, k, v): raise TypeError\n    def __iter__(self): raise TypeError\n    def update(self, *a): raise TypeError\nx = D(a=1); x.extra = [1]", "dict.__setitem__(x, 'b', 2); x.extra.append(2); x.more = 1", "assert dict.__len__(x) == 1 and x.extra == [1] and not hasattr(x, 'more')"),
    Case("subclass of list with methods of its own", "class L(list):\n    def __iter__(self): raise TypeError\n    def __len__(self): raise TypeError\nx = L([1, 2])", "x.append(3)", "assert list.__len__(x) == 2"),
    Case("set", "x = {1, 2, (3, 4)}", "x.add(5); x.discard(1)", "assert x == {1, 2, (3, 4)}"),
    Case("frozenset of what can be changed", "class C: pass\nc = C(); c.v = [1]; x = frozenset([c])", "c.v.append(2)", "assert c.v == [1]"),
    Case("tuple of lists", "x = ([1], ([2],))", "x[0].append(1); x[1][0].append(2)", "assert x == ([1], ([2],))"),
    Case("deque", "import collections\nx = collections.deque([1, 2], maxlen=3)", "x.rotate(); x.append(5); x.append(6)", "assert list(x) == [1, 2] and x.maxlen == 3"),
    Case("OrderedDict", "import collections\nx = collections.OrderedDict(a=1, b=2)", "x.move_to_end('a'); x['c'] = 1", "assert list(x.items()) == [('a', 1), ('b', 2)]"),
    Case("defaultdict", "import collections\nx = collections.defaultdict(list, a=[1])", "x['b']; x['a'].append(2); x.default_factory = None", "assert dict(x) == {'a': [1]} and x.default_factory is list"),
    Case("Counter", "import collections\nx = collections.Counter('aab')", "x.update('bbb')", "assert x == {'a': 2, 'b': 1}"),
    Case("ChainMap", "import collections\nx = collections.ChainMap({'a': 1}, {'b': 2})", "x['a'] = 5; x.maps.pop()", "assert dict(x) == {'a': 1, 'b': 2}"),
    Case("bytearray and a view of it", "x = bytearray(b'abc'); y = memoryview(x)", "y[0] = 0", "assert x == b'abc' and bytes(y) == b'abc' and y.obj is x"),
    Case("bytearray that grew", "x = bytearray(b'abc')", "x += b'def'", "assert x == b'abc'"),
    Case("array", "import array\nx = array.array('d', [1, 2])", "x[0] = 5; x.append(1)", "assert list(x) == [1, 2]"),
    Case("StringIO", "import io\nx = io.StringIO('abc'); x.read(1)", "x.read(); x.write('d')", "assert x.read() == 'bc' and x.getvalue() == 'abc'"),
    Case("BytesIO that was closed", "import io\nx = io.BytesIO(b'abc'); x.read(1)", "x.close()", "assert x.read() == b'bc'"),
    Case("BytesIO that is looked at", "import io\nx = io.BytesIO(b'abc'); y = x.getbuffer()", "y[0] = 0", "assert bytes(y) == b'abc'"),
    Case("view of a dict", "d = {'a': 1}; x = d.keys()", "d['b'] = 1", "assert list(x) == ['a']"),
    Case("deep list", "x = []\nfor _ in range(5000): x = [x]\ny = x\nwhile y: y = y[0]", "y.append(1)", "assert y == []"),
    # --------------------------------------------------------------------------------------------- instances and classes
    Case("instance", "class C: pass\nx = C(); x.v = [1]; y = x.__dict__", "x.v.append(2); x.w = 1; del x.v", "assert x.v == [1] and not hasattr(x, 'w') and x.__dict__ is y"),
    Case("instance with another dict", "class C: pass\nx = C(); x.v = 1; d = x.__dict__", "x.__dict__ = {'w': 2}", "assert x.v == 1 and x.__dict__ is d"),
    Case("instance of another class", "class A: pass\nclass B: pass\nx = A()", "x.__class__ = B", "assert type(x) is A"),
    Case("slots", "class C:\n    __slots__ = ('a', 'b')\nx = C(); x.a = [1]", "x.a.append(2); x.b = 1; del x.a", "assert x.a == [1] and not hasattr(x, 'b')"),
    Case("slots of base classes and a dict", "class A:\n    __slots__ = ('a',)\nclass B(A): pass\nx = B(); x.a = 1; x.b = [2]", "x.a = 5; x.b.append(1)", "assert x.a == 1 and x.b == [2]"),
    Case("private slots", "class C:\n    __slots__ = ('__a',)\n    def __init__(self): self.__a = 1\n    def get(self): return self.__a\n    def set(self): self.__a = 2\nx = C()", "x.set()", "assert x.get() == 1"),
    Case("class attributes", "class C:\n    k = [1]\n    n = 1\nx = C()", "C.k.append(2); C.n = 2; C.new = 1; x.n = 5", "assert C.k == [1] and C.n == 1 and not hasattr(C, 'new') and x.n == 1"),
    Case("methods that were replaced", "class C:\n    def f(self): return 1\nx = C()", "C.f = lambda self: 2; x.f = lambda: 3", "assert x.f() == 1"),
    Case("bases that were replaced", "class A: v = 1\nclass B: v = 2\nclass C(A): pass", "C.__bases__ = (B,)", "assert C.v == 1"),
    Case("metaclass with a state", "class M(type):\n    made = []\nclass C(metaclass=M): pass", "M.made.append(1); C.a = 1", "assert M.made == [] and not hasattr(C, 'a')"),
    Case("dataclass", "import dataclasses\n@dataclasses.dataclass\nclass D:\n    a: int\n    b: list\nx = D(1, [2])", "x.a = 5; x.b.append(1)", "assert x == D(1, [2])"),
    Case("named tuple of lists", "import collections\nP = collections.namedtuple('P', 'a b')\nx = P([1], 2)", "x.a.append(2)", "assert x == ([1], 2)"),
    Case("Enum member with a list", "import enum\nclass E(enum.Enum):\n    A = [1]\nx = E.A", "x.value.append(2); x.mark = 1", "assert x.value == [1] and not hasattr(x, 'mark')"),
    Case("instance with __getattr__ and __getattribute__ of its own", "class C:\n    def __getattribute__(self, n): raise RuntimeError(n)\n    def __setattr__(self, n, v): raise RuntimeError(n)\nx = C(); object.__setattr__(x, 'v', [1])", "object.__getattribute__(x, 'v').append(2)", "assert object.__getattribute__(x, 'v') == [1]"),
    Case("SimpleNamespace", "import types\nx = types.SimpleNamespace(a=[1])", "x.a.append(2); x.b = 1", "assert vars(x) == {'a': [1]}"),
    Case("exception", "x = ValueError('a', [1])", "x.args[1].append(2); x.args = (); x.note = 1", "assert x.args == ('a', [1]) and not hasattr(x, 'note')"),
    Case("exception with attributes in C", "x = OSError(2, 'no', 'file')", "x.filename = 'other'", "assert x.filename == 'file'"),
    # ------------------------------------------------------------------------------------------------ functions and cells
    Case("closure", "def make():\n    n = 0\n    def count():\n        nonlocal n\n        n += 1\n        return n\n    return count\nx = make(); x()", "x(); x()", "assert x() == 2"),
    Case("object in a closure", "def make(v):\n    return lambda: v\nd = {'a': [1]}; x = make(d)", "x()['a'].append(2); d['b'] = 1", "assert d == {'a': [1]} and x() is d"),
    Case("function attributes and defaults", "def x(a=[1], *, b={}): return a\nx.n = 1", "x().append(2); x.n = 2; x.m = 1; x.__defaults__ = (5,); x.__kwdefaults__['b']['c'] = 1", "assert x() == [1] and x.n == 1 and not hasattr(x, 'm') and x.__kwdefaults__ == {'b': {}}"),
    Case("function with other code", "def x(): return 1\ndef y(): return 2", "x.__code__ = y.__code__", "assert x() == 1"),
    Case("partial", "import functools\nd = []\nx = functools.partial(print, d, k=d); x.mark = 1", "d.append(1); x.mark = 2", "assert d == [] and x.mark == 1 and x.args[0] is d"),
    Case("bound method", "class C:\n    def f(self): return self.v\nc = C(); c.v = [1]; x = c.f; del c", "x().append(2)", "assert x() == [1]"),
    Case("method of a builtin", "x = [1].append", "x(2)", "assert x.__self__ == [1]"),
    Case("cached function", "import functools\nk = [1]\n@functools.lru_cache\ndef x(a): return (a, k[0])\nx(1)", "k[0] = 2; x(2)", named="the cache of a function"),
    Case("property, staticmethod and classmethod", "class C:\n    s = []\n    @staticmethod\n    def a(): return C.s\n    @classmethod\n    def b(cls): return cls.s\n    p = property(lambda self: self.s)", "C.a().append(1); C.p = 1", "assert C.s == [] and isinstance(vars(C)['p'], property)"),
    Case("global in a function of another namespace", "g = {'n': [1]}\nexec('def f(): n.append(2)', g); x = g['f']; del g", "x()", "assert x.__globals__['n'] == [1]"),
    Case("module made by hand", "import types\nx = types.ModuleType('mine'); x.a = [1]", "x.a.append(2); x.b = 1", "assert x.a == [1] and not hasattr(x, 'b')"),
    # ---------------------------------------------------------------------------------------------- iteration and positions
    Case("list iterator", "x = iter([1, 2, 3]); next(x)", "next(x)", "assert list(x) == [2, 3]"),
    Case("iterator that ended", "x = iter([1, 2]); next(x)", "list(x)", named="list_iterator"),
    Case("iterator that nobody moved", "x = iter({1: 2}); y = enumerate('ab'); z = iter({3})", "pass", "assert list(x) == [1] and list(y) == [(0, 'a'), (1, 'b')] and list(z) == [3]"),
    Case("map over a list iterator", "i = iter([1, 2, 3]); x = map(str, i)", "next(x)", "assert list(x) == ['1', '2', '3']"),
    Case("generator that went on", "x = (n for n in range(3)); next(x)", "next(x)", named="generator"),
    Case("generator that ended", "x = (n for n in range(3))", "list(x)", named="generator"),
    Case("generator that nobody moved", "x = (n for n in range(3)); next(x)", "pass", "assert list(x) == [1, 2]"),
    Case("variables of a generator", "def make():\n    v = [1]\n    yield v\n    yield v\nx = make(); next(x)", "x.gi_frame.f_locals['v'].append(2)", "assert next(x) == [1]"),
    Case("count", "import itertools\nx = itertools.count(5)", "next(x)", named="itertools.count"),
    Case("chain", "import itertools\nx = itertools.chain([1], [2]); next(x)", "next(x)", named="itertools.chain"),
    Case("file that is read", "import tempfile\nf = tempfile.NamedTemporaryFile('w'); f.write('abc'); f.flush()\nx = open(f.name); x.read(1)", "x.read()", "assert x.read() == 'bc'\nx.close()"),
    Case("file that is written", "import tempfile\nx = tempfile.TemporaryFile()", "x.write(b'abc')", named="what was written"),
    Case("file that was closed", "x = open('/dev/zero', 'rb')", "x.close()", named="'/dev/zero', which was closed"),
    Case("socket", "import socket\nx = socket.socketpair()", "x[0].send(b'1')", named="socket.socket"),
    Case("hash", "import hashlib\nx = hashlib.sha256(b'a')", "x.update(b'b')", named="a hash"),
    Case("database in memory", "import sqlite3\nx = sqlite3.connect(':memory:'); x.execute('create table t (a)'); x.commit()", "x.execute('insert into t values (1)'); x.commit()", "assert x.execute('select * from t').fetchall() == []", needs="sqlite3.serialize"),
    Case("lock that was taken", "import threading\nx = threading.Lock()", "x.acquire(False)", named="_thread.lock"),
    Case("queue", "import queue\nx = queue.Queue(); x.put(1)", "x.get(); x.put(2); x.put(3)", "assert x.get(False) == 1 and x.empty()"),
    Case("SimpleQueue", "import queue\nx = queue.SimpleQueue(); x.put([1])", "x.get().append(2); x.put(3)", "assert x.get(False) == [1] and x.empty()"),
    Case("thread", "import threading\nx = threading.Thread(target=print)", "x.ident or (x.start(), x.join())", named="threading.Thread"),
    # ------------------------------------------------------------------------------------------------------- links and state
    Case("weak reference", "import weakref\nclass C: pass\nc = C(); x = weakref.ref(c)", "c.v = 1; del c", "assert x() is c and not hasattr(c, 'v')"),
    Case("weak dictionary", "import weakref\nclass C: pass\nc = C(); x = weakref.WeakValueDictionary(c=c)", "del c, x['c']", "assert x['c'] is c"),
    Case("proxy", "import weakref\nclass C: v = 1\nc = C(); x = weakref.proxy(c)", "x.v = 2", "assert c.v == 1"),
    Case("Random", "import random\nx = random.Random(5); e = random.Random(5).random()", "x.random(); x.gauss(0, 1)", "assert x.random() == e"),
    Case("random module", "import random\nrandom.seed(5); e = random.Random(5).random()", "random.random()", "assert random.random() == e"),
    Case("ContextVar", "import contextvars\nx = contextvars.ContextVar('x'); x.set([1])", "x.get().append(2); x.set(5)", "assert x.get() == [1]"),
    Case("decimal context", "import decimal\nx = decimal.getcontext()", "x.prec = 3; decimal.Decimal(1) / 3", "assert x.prec == 28 and not any(x.flags.values())"),
    Case("threading.local", "import threading\nx = threading.local(); x.a = [1]", "x.a.append(1); x.b = 2", "assert vars(x) == {'a': [1]}"),
    Case("ctypes", "import ctypes\nclass P(ctypes.Structure): _fields_ = [('a', ctypes.c_int)]\nx = P(5); y = (ctypes.c_int * 2)(1, 2)", "x.a = 6; y[0] = 7", "assert x.a == 5 and list(y) == [1, 2]"),
    Case("mmap", "import mmap\nx = mmap.mmap(-1, 10); x[:3] = b'abc'", "x[0] = 0; x.seek(5)", "assert x[:3] == b'abc' and x.tell() == 0"),
    # --------------------------------------------------------------------------------------------------------------- process
    Case("environment", "import os\nos.environ['SAVEPOINT_A'] = '1'", "os.environ['SAVEPOINT_A'] = '2'; os.environ['SAVEPOINT_B'] = '1'", "assert os.environ.pop('SAVEPOINT_A') == '1' and 'SAVEPOINT_B' not in os.environ"),
    Case("working folder", "import os\nd = os.getcwd()", "os.chdir('/')", "assert os.getcwd() == d"),
    Case("search path", "import sys\nn = len(sys.path); p = sys.path", "sys.path.insert(0, '/nowhere'); sys.path = []", "assert sys.path is not p or len(p) == n\nsys.path = p\nassert len(p) == n"),
    Case("warning filters", "import warnings\nn = len(warnings.filters)", "warnings.simplefilter('error')", "assert len(warnings.filters) == n"),
    Case("function of a library that was replaced", "import json\nx = json.dumps", "json.dumps = lambda v: 'mine'", "assert json.dumps is x"),
    Case("constant of a library", "import math\nx = math.pi", "math.pi = 3", "assert math.pi == x"),
    Case("attribute of a library that was removed", "import string\nx = string.digits", "del string.digits", "assert string.digits is x"),
    Case("class of a library that was patched", "import fractions", "fractions.Fraction.mine = lambda self: 1", "assert not hasattr(fractions.Fraction, 'mine')"),
    Case("logger", "import logging\nx = logging.getLogger('mine'); x.setLevel(10)", "x.setLevel(30); x.addHandler(logging.NullHandler())", "assert x.level == 10 and x.handlers == []"),
    Case("hooks and builtins", "import sys, builtins\nx = sys.excepthook, builtins.abs", "sys.excepthook = print; builtins.abs = print; del builtins.oct", "assert x == (sys.excepthook, builtins.abs) and oct(8) == '0o10'"),
    Case("handler of a signal", "import signal\nx = signal.getsignal(signal.SIGUSR1)", "signal.signal(signal.SIGUSR1, print)", "assert signal.getsignal(signal.SIGUSR1) is x"),
    Case("class that others were derived from", "class x: pass", "class y(x): pass\ny.me = y", "assert x.__subclasses__() == []"),
    Case("abstract class with others registered", "import abc\nclass x(abc.ABC): pass\nclass y: pass\nx.register(y)", "x.register(int)", "assert issubclass(y, x) and not issubclass(int, x)"),
    Case("finalizer", "import weakref\nclass C: pass\nc = C(); done = []; x = weakref.finalize(c, done.append, 1)", "x()", "assert x.alive and done == []"),
    Case("descriptor that was closed", "import os\nx = os.open('/dev/zero', os.O_RDONLY)", "try: os.close(x)\nexcept OSError: pass", named="/dev/zero), which was closed"),
    Case("file and what it stands on", "import io\nx = io.BufferedReader(io.BytesIO(b'0123456789'), 4); x.read(2); y = x.raw; z = io.TextIOWrapper(io.BytesIO(b'a\\nb\\n')); z.readline()", "x.read(5); z.read()", "assert x.read(3) == b'234' and z.read() == 'b\\n'"),
    Case("element of XML", "import xml.etree.ElementTree as ET\nx = ET.fromstring('<a k=\"1\">t<b/></a>'); y = x[0]", "x.set('k', '2'); x.text = None; x.clear(); y.tail = 'u'", "assert ET.tostring(x) == b'<a k=\"1\">t<b /></a>' and x[0] is y"),
    # Has a list of its own with places where there is nothing.
    Case("parser in C", "import xml.etree.ElementTree as ET\nx = ET.XMLPullParser(['start']); x.feed('<a><b>')", "pass", named="TreeBuilder"),
    # ---------------------------------------------------------------------------------------------------------------- numpy
    Case("structured type with other names", "import numpy as np\nx = np.zeros(2, dtype=[('a', int)])", "x.dtype.names = ('b',)", "assert x.dtype.names == ('a',) and x['a'].tolist() == [0, 0]", needs="numpy"),
    Case("array of numbers", "import numpy as np\nx = np.arange(6.0)", "x[:] = 0", "assert x.tolist() == [0, 1, 2, 3, 4, 5]", needs="numpy"),
    Case("views of one array", "import numpy as np\nx = np.arange(6); y = x[1:3]; z = x.reshape(2, 3).T", "y += 10; z[0, 0] = 5", "assert x.tolist() == [0, 1, 2, 3, 4, 5] and y.base is x and z.tolist() == [[0, 3], [1, 4], [2, 5]]\nx[1] = 9\nassert y[0] == 9 and z[1, 0] == 9", needs="numpy"),
    Case("view whose base has no name", "import numpy as np\nx = np.arange(6)[2:4]", "x.base[:] = 0", "assert x.tolist() == [2, 3] and x.base.tolist() == [0, 1, 2, 3, 4, 5]", needs="numpy"),
    Case("array with another shape", "import numpy as np\nx = np.arange(6)", "np.ndarray.shape.__set__(x, (2, 3))", "assert x.shape == (6,)", needs="numpy"),
    Case("array that was resized", "import numpy as np\nx = np.arange(4)", "x.resize((9,), refcheck=False); x[:] = 1", "assert x.tolist() == [0, 1, 2, 3]", needs="numpy"),
    Case("read-only array", "import numpy as np\nx = np.arange(3); x.flags.writeable = False", "x.flags.writeable = True; x[0] = 9", "assert x.tolist() == [0, 1, 2] and not x.flags.writeable", needs="numpy"),
    Case("array that became read-only", "import numpy as np\nx = np.arange(3)", "x[0] = 9; x.flags.writeable = False", "assert x.tolist() == [0, 1, 2] and x.flags.writeable", needs="numpy"),
    Case("array of objects", "import numpy as np\nx = np.array([[1], {'a': 1}, None], dtype=object); y = x[0]", "x[0].append(2); x[1]['b'] = 1; x[2] = 5; x[0] = None", "assert x[0] is y and x.tolist() == [[1], {'a': 1}, None]", needs="numpy"),
    Case("structured array and a record of it", "import numpy as np\nx = np.zeros(2, dtype=[('a', int), ('b', 'U3')]); y = x[0]", "y['a'] = 5; x['b'][1] = 'abc'", "assert x.tolist() == [(0, ''), (0, '')] and y['a'] == 0", needs="numpy"),
    Case("array over a bytearray", "import numpy as np\nb = bytearray(8); x = np.frombuffer(b, dtype=np.uint8)", "x[:] = 7", "assert b == bytes(8) and x.sum() == 0\nb[0] = 1\nassert x[0] == 1", needs="numpy"),
    Case("array that Fortran would like", "import numpy as np\nx = np.asfortranarray(np.arange(6).reshape(2, 3))", "x[:] = 0", "assert x.tolist() == [[0, 1, 2], [3, 4, 5]] and x.flags.f_contiguous", needs="numpy"),
    Case("masked array", "import numpy as np\nx = np.ma.array([1, 2, 3], mask=[0, 1, 0])", "x[0] = 9; x.mask[2] = True; x.fill_value = 5", "assert x.sum() == 4 and x.mask.tolist() == [False, True, False]", needs="numpy"),
    Case("array of no dimension, and an empty one", "import numpy as np\nx = np.array(5); y = np.empty((0, 3))", "x[...] = 6", "assert x == 5 and y.shape == (0, 3)", needs="numpy"),
    Case("Generator", "import numpy as np\nx = np.random.default_rng(5); e = np.random.default_rng(5).random()", "x.random(5)", "assert x.random() == e", needs="numpy"),
    Case("RandomState and numpy.random", "import numpy as np\nx = np.random.RandomState(5); np.random.seed(5); e = np.random.RandomState(5).random()", "x.random(); x.randn(); np.random.rand()", "assert x.random_sample() == e and np.random.rand() == e", needs="numpy"),
    Case("options of numpy", "import numpy as np\ne = np.geterr()", "np.seterr(all='raise'); np.set_printoptions(precision=2)", "assert np.geterr() == e and np.get_printoptions()['precision'] == 8", needs="numpy"),
    # --------------------------------------------------------------------------------------------------------------- pandas
    Case("DataFrame that got a column", "import pandas as pd\nx = pd.DataFrame({'a': [1, 2], 'b': ['u', 'v']}); y = x; e = x.copy()", "x['c'] = 1; x.loc[0, 'a'] = 9; x.drop(columns='b', inplace=True)", "pd.testing.assert_frame_equal(x, e); assert y is x", needs="pandas"),
    Case("DataFrame with other rows and names", "import pandas as pd\nx = pd.DataFrame({'a': [2, 1]}, index=['p', 'q']); e = x.copy()", "x.sort_values('a', inplace=True); x.columns = ['z']; x.loc['r'] = 5; x.index.name = 'i'; x.attrs['k'] = 1", "pd.testing.assert_frame_equal(x, e); assert x.index.name is None and x.attrs == {}", needs="pandas"),
    Case("Series of a frame", "import pandas as pd\nx = pd.DataFrame({'a': [1, 2]}); s = x['a']; e = x.copy()", "s[0] = 5; x.iloc[1, 0] = 7; s.name = 'b'", "pd.testing.assert_frame_equal(x, e); assert s.tolist() == [1, 2] and s.name == 'a'", needs="pandas"),
    Case("categories, dates and texts", "import pandas as pd\nx = pd.DataFrame({'c': pd.Categorical(list('aba')), 'd': pd.to_datetime(['2020', '2021', '2022']), 't': ['p', None, 'q'], 'n': pd.array([1, None, 3])}); e = x.copy()", "x.loc[0, 'c'] = 'b'; x.loc[1, 'd'] = pd.Timestamp(0); x.loc[2, 't'] = 'z'; x.loc[1, 'n'] = 5; x['c'] = x['c'].cat.add_categories('z')", "pd.testing.assert_frame_equal(x, e)", needs="pandas"),
    Case("categorical that was changed in place", "import pandas as pd\nx = pd.Categorical(list('aba'))", "x[0] = 'b'", "assert list(x) == ['a', 'b', 'a']", needs="pandas"),
    Case("MultiIndex and a caching index", "import pandas as pd\nx = pd.Series([1, 2], index=pd.MultiIndex.from_tuples([(1, 'a'), (1, 'b')])); e = x.copy()", "x[(1, 'a')] = 5; x.index.names = ['p', 'q']", "pd.testing.assert_series_equal(x, e)", needs="pandas"),
    Case("frame over an array", "import numpy as np, pandas as pd\na = np.zeros((2, 2)); x = pd.DataFrame(a, copy=False)", "a[:] = 1; x.iloc[0, 0] = 5", "assert a.sum() == 0 and x.to_numpy().sum() == 0", needs="pandas"),
    Case("options of pandas", "import pandas as pd\ne = pd.get_option('display.max_rows')", "pd.set_option('display.max_rows', 7)", "assert pd.get_option('display.max_rows') == e", needs="pandas"),
    # ------------------------------------------------------------------------------------------------------- other libraries
    Case("polars DataFrame", "import polars as pl\nx = pl.DataFrame({'a': [1, 2]}); s = x['a']", "x.insert_column(0, pl.Series('b', [3, 4])); x[0, 'a'] = 9; s[0] = 5", "assert x.to_dict(as_series=False) == {'a': [1, 2]} and s.to_list() == [1, 2]", needs="polars"),
    Case("tensors", "import torch\nx = torch.arange(4.); y = x[1:3]; p = torch.nn.Parameter(torch.ones(2)); (p * 2).sum().backward()", "x.zero_(); y.add_(5); p.data.mul_(3); p.grad.zero_(); torch.rand(2)", "assert x.tolist() == [0, 1, 2, 3] and p.tolist() == [1, 1] and p.grad.tolist() == [2, 2]\nx[1] = 9\nassert y[0] == 9", needs="torch"),
    Case("layers and an optimizer", "import torch\nx = torch.nn.Linear(3, 2); o = torch.optim.Adam(x.parameters()); e = {k: v.clone() for k, v in x.state_dict().items()}", "o.zero_grad(); x(torch.ones(1, 3)).sum().backward(); o.step()", "assert all(torch.equal(v, e[k]) for k, v in x.state_dict().items()) and len(o.state) == 0", needs="torch"),
    Case("Figure", "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt\nx, a = plt.subplots(); l, = a.plot([1, 2]); a.set_title('t')", "a.plot([3]); a.set_title('u'); l.set_ydata([5, 6]); plt.figure()", "assert len(a.lines) == 1 and a.get_title() == 't' and l.get_ydata().tolist() == [1, 2] and plt.get_fignums() == [1] and plt.gcf() is x\nx.canvas.draw(); plt.close(x)", needs="matplotlib"),
    Case("rcParams", "import matplotlib\ne = matplotlib.rcParams['lines.linewidth']", "matplotlib.rcParams['lines.linewidth'] = 9", "assert matplotlib.rcParams['lines.linewidth'] == e", needs="matplotlib"),
]  # fmt: skip
