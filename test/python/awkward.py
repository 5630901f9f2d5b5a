"""Objects that are hard to save: how each is made, and what has to hold of it in another process.

`make` is a cell that defines `x` (and what it needs); `check` is run after a restore in a fresh process and raises if
`x` is not what it was. Where `x` is lost instead, that is the right answer if `lost` says so. Names that are not `x` are
given the case's own prefix by the reader, through `_` in the text.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Awkward:
    name: str
    make: str
    check: str = ""
    lost: bool = False
    #: A package without which there is no such object.
    needs: str | None = None


def _lost(name: str, make: str, needs: str | None = None) -> Awkward:
    return Awkward(name, make, lost=True, needs=needs)


CASES = [
    # ---------------------------------------------------------------------------------------- functions and classes
    Awkward("lambda", "x = lambda a: a + 1", "assert x(1) == 2"),
    Awkward("function with a global", "_k = 3\ndef x(a): return a * _k", "assert x(2) == 6\n_k = 5\nassert x(2) == 10"),
    Awkward("function that sets a global", "_n = 0\ndef x():\n    global _n\n    _n += 1", "x(); x()\nassert _n == 2"),
    Awkward("recursive function", "def x(n): return 1 if n < 2 else n * x(n - 1)", "assert x(5) == 120"),
    Awkward("closure with a cell", "def _make():\n    n = 0\n    def count():\n        nonlocal n\n        n += 1\n        return n\n    return count\nx = _make(); x()", "assert x() == 2 and x() == 3"),
    Awkward("closures that share a cell", "def _make():\n    n = [0]\n    v = 0\n    def inc():\n        nonlocal v\n        v += 1\n    def get(): return v\n    return inc, get\nx = _make(); _inc, _get = x", "_inc()\nassert _get() == 1 and x[1] is _get"),
    Awkward("function that refers to itself by a cell", "def _make():\n    def f(n): return 1 if n < 2 else n * f(n - 1)\n    return f\nx = _make()", "assert x(4) == 24"),
    Awkward("function with everything", "def x(a, /, b: int = 2, *c, d='d', **e) -> str:\n    'doc'\n    return (a, b, c, d, e)\nx.mark = [1]", "import inspect\nassert x(1) == (1, 2, (), 'd', {}) and x.__doc__ == 'doc' and x.mark == [1] and x.__annotations__['return'] in (str, 'str') and str(inspect.signature(x)).startswith('(a, /, b: ')"),
    Awkward("coroutine function", "async def x(): return 5", "import asyncio\nassert asyncio.run(x()) == 5"),
    Awkward("class", "class x:\n    k = 1\n    def f(self): return self.k", "assert x().f() == 1 and x.__module__ == '__main__'"),
    Awkward("instance in a cycle", "class _C: pass\nx = _C(); x.me = x; x.d = {'x': x}", "assert x.me is x and x.d['x'] is x and type(x) is _C"),
    Awkward("class with super", "class _B:\n    def f(self): return 1\nclass x(_B):\n    def f(self): return super().f() + 1", "assert x().f() == 2 and issubclass(x, _B)"),
    Awkward("bound method", "class _C:\n    def __init__(self): self.n = 7\n    def f(self): return self.n\n_c = _C(); x = _c.f", "assert x() == 7 and x.__self__ is _c"),
    Awkward("dataclass instance", "import dataclasses\n@dataclasses.dataclass\nclass _D:\n    a: int\n    b: list = dataclasses.field(default_factory=list)\nx = _D(1)", "import dataclasses\nassert x == _D(1) and dataclasses.asdict(x) == {'a': 1, 'b': []}"),
    Awkward("Enum member", "import enum\nclass _E(enum.Enum):\n    A = 1\n    B = 2\nx = _E.B", "assert x is _E.B and x.value == 2 and list(_E) == [_E.A, _E.B]"),
    Awkward("NamedTuple", "import typing\nclass _N(typing.NamedTuple):\n    a: int\n    b: str = 'b'\nx = _N(1)", "assert x == (1, 'b') and x.a == 1 and type(x) is _N and x._replace(a=2).a == 2"),
    Awkward("namedtuple", "import collections\n_P = collections.namedtuple('_P', 'a b')\nx = _P(1, 2)", "assert x.b == 2 and type(x) is _P"),
    Awkward("TypedDict class", "import typing\nclass x(typing.TypedDict):\n    a: int", "assert x(a=1) == {'a': 1} and list(x.__annotations__) == ['a']"),
    Awkward("instance with slots", "class _S:\n    __slots__ = ('a', 'b')\nx = _S(); x.a = [1]", "assert x.a == [1] and not hasattr(x, 'b')"),
    Awkward("implementation of an ABC", "import abc\nclass _A(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass _I(_A):\n    def f(self): return 3\nx = _I()", "assert x.f() == 3 and isinstance(x, _A)\ntry: _A()\nexcept TypeError: pass\nelse: raise AssertionError"),
    Awkward("class with a metaclass", "class _M(type):\n    def __len__(cls): return 4\nclass x(metaclass=_M): pass", "assert len(x) == 4 and type(x) is _M"),
    Awkward("class with cached_property", "import functools\nclass _C:\n    @property\n    def p(self): return 1\n    @functools.cached_property\n    def c(self): return [2]\nx = _C(); x.c", "assert x.p == 1 and x.c == [2] and type(x)().c == [2]"),
    Awkward("lru_cache function", "import functools\n@functools.lru_cache(maxsize=10)\ndef x(a): return a * 2\nx(1)", "assert x(3) == 6 and x.cache_parameters()['maxsize'] == 10"),
    Awkward("partial of a lambda", "import functools\nx = functools.partial(lambda a, b: a - b, 5)", "assert x(3) == 2"),
    Awkward("singledispatch function", "import functools\n@functools.singledispatch\ndef x(a): return 'any'\n@x.register\ndef _int(a: int): return 'int'", "assert x(1) == 'int' and x('') == 'any'"),
    Awkward("decorated function", "import functools\ndef _deco(f):\n    @functools.wraps(f)\n    def inner(*a): return f(*a) + 1\n    return inner\n@_deco\ndef x(a): return a", "assert x(1) == 2 and x.__wrapped__(1) == 1 and x.__name__.endswith('x')"),
    Awkward("code object", "x = compile('1 + 1', 'nowhere', 'eval')", "assert eval(x) == 2"),
    Awkward("NewType", "import typing\nx = typing.NewType('x', int)", "assert x(5) == 5 and x.__supertype__ is int"),
    Awkward("TypeVar", "import typing\nx = typing.TypeVar('x', bound=int)", "assert x.__name__ == 'x' and x.__bound__ is int"),
    Awkward("ParamSpec", "import typing\nx = typing.ParamSpec('x')", "assert x.__name__ == 'x'"),
    Awkward("List[int]", "import typing\nx = typing.List[int]", "import typing\nassert x == typing.List[int]"),
    # --------------------------------------------------------------------------------------- iteration and running code
    Awkward("generator that was not started", "def _f(a, *b, k=5):\n    yield from (a, *b, k)\nx = _f(1, 2); _e = (n for n in [7])", "assert list(x) == [1, 2, 5] and x.__name__.endswith('f') and list(_e) == [7]"),
    _lost("generator that was started", "x = (n for n in range(3)); next(x)"),
    Awkward("coroutine", "async def _f(a): return a\nx = _f(3)", "try: x.send(None)\nexcept StopIteration as e: assert e.value == 3\nelse: raise AssertionError"),
    Awkward("event loop", "import asyncio\nx = asyncio.new_event_loop()", "import asyncio, threading\n_r = []\n_t = threading.Thread(target=lambda: _r.append(x.run_until_complete(asyncio.sleep(0, 5))))\n_t.start(); _t.join(); x.close()\nassert _r == [5]"),
    _lost("event loop that has something to do", "import asyncio\nx = asyncio.new_event_loop(); x.call_soon(print)"),
    Awkward("Future", "import asyncio\n_l = asyncio.new_event_loop()\nx = _l.create_future()", "assert x.get_loop() is _l and not x.done()\nx.set_result(5)\nassert x.result() == 5"),
    Awkward("Future that has failed", "import asyncio\n_l = asyncio.new_event_loop()\nx = _l.create_future(); x.set_exception(ValueError(1)); x.exception()", "assert x.done() and type(x.exception()) is ValueError"),
    Awkward("concurrent Future that is done", "import concurrent.futures\nx = concurrent.futures.Future(); x.set_result([1])", "assert x.done() and x.result(0) == [1]"),
    _lost("concurrent Future that is not done", "import concurrent.futures\nx = concurrent.futures.Future()"),
    Awkward("list iterator", "x = iter([1, 2, 3]); next(x)", "assert list(x) == [2, 3]"),
    Awkward("enumerate", "x = enumerate('ab'); next(x)", "assert list(x) == [(1, 'b')]"),
    Awkward("zip", "x = zip([1, 2], 'ab'); next(x)", "assert list(x) == [(2, 'b')]"),
    Awkward("map of a lambda", "x = map(lambda a: a + 1, [1, 2]); next(x)", "assert list(x) == [3]"),
    Awkward("count", "import itertools\nx = itertools.count(5); next(x)", "assert next(x) == 6"),
    Awkward("islice", "import itertools\nx = itertools.islice([1, 2, 3, 4], 1, 3)", "assert list(x) == [2, 3]"),
    Awkward("dict_keys", "_d = {'a': 1}; x = _d.keys()", "_d['b'] = 2\nassert list(x) == ['a', 'b']"),
    _lost("frame", "import sys\nx = sys._getframe()"),
    _lost("traceback", "try: 1 / 0\nexcept ZeroDivisionError as e: x = e.__traceback__"),
    Awkward("exception with a traceback", "try:\n    try: 1 / 0\n    except ZeroDivisionError as e: raise KeyError('k') from e\nexcept KeyError as e: x = e", "assert x.args == ('k',) and type(x.__cause__) is ZeroDivisionError and x.__traceback__ is None"),
    # --------------------------------------------------------------------------------------------------------- modules
    Awkward("module", "import math as x", "import math\nassert x is math"),
    Awkward("module made by hand", "import types\nx = types.ModuleType('x'); x.a = [1]\nexec('def f(): return a', vars(x))", "assert x.a == [1] and x.f() == [1] and x.__name__ == 'x'"),
    # ----------------------------------------------------------------------------------------------- threads and processes
    Awkward("Lock", "import threading\nx = threading.Lock()", "assert x.acquire(False)"),
    Awkward("held Lock", "import threading\nx = threading.Lock(); x.acquire()", "assert x.locked()"),
    Awkward("RLock", "import threading\nx = threading.RLock(); x.acquire()", "assert x._is_owned(); x.release()\nassert not x._is_owned()"),
    Awkward("Event", "import threading\nx = threading.Event(); x.set()", "assert x.is_set() and x.wait(0)"),
    Awkward("Condition", "import threading\nx = threading.Condition()", "with x: x.notify_all()"),
    Awkward("Semaphore", "import threading\nx = threading.Semaphore(2); x.acquire()", "assert x.acquire(False) and not x.acquire(False)"),
    Awkward("Thread", "import threading\n_done = []\nx = threading.Thread(target=_done.append, args=(1,), name='mine', daemon=True)", "assert x.name == 'mine' and x.daemon and not x.is_alive()\nx.start(); x.join(10)\nassert _done == [1] and not x.is_alive()"),
    _lost("Thread that runs", "import threading\n_go = threading.Event()\nx = threading.Thread(target=_go.wait, daemon=True); x.start()"),
    Awkward("threading.local", "import threading\nx = threading.local(); x.a = [1]", "assert x.a == [1]"),
    Awkward("Queue", "import queue\nx = queue.Queue(); x.put(1)", "assert x.get(False) == 1 and x.empty()"),
    Awkward("SimpleQueue", "import queue\nx = queue.SimpleQueue(); x.put(1); x.put(2)", "assert (x.get(False), x.get(False)) == (1, 2)"),
    Awkward("ThreadPoolExecutor", "import concurrent.futures\nx = concurrent.futures.ThreadPoolExecutor(2, 'mine')", "assert x.submit(pow, 2, 3).result(5) == 8 and x._max_workers == 2; x.shutdown()"),
    Awkward("ContextVar", "import contextvars\nx = contextvars.ContextVar('x', default=1); x.set(2)", "import contextvars\nassert x.get() == 2 and contextvars.Context().run(x.get) == 1"),
    Awkward("socket", "import socket\nx = socket.socket(); x.settimeout(3)", "assert x.gettimeout() == 3\nx.bind(('127.0.0.1', 0)); x.listen(); x.close()"),
    _lost("socket that listens", "import socket\nx = socket.socket(); x.bind(('127.0.0.1', 0)); x.listen()"),
    _lost("socket that is connected", "import socket\n_pair = socket.socketpair(); x = _pair[0]"),
    Awkward("Popen", "import subprocess\nx = subprocess.Popen(['sh', '-c', 'exit 3']); x.wait()", "assert x.returncode == x.poll() == x.wait(0) == 3 and x.args[0] == 'sh'"),
    _lost("Popen that was not waited for", "import subprocess\nx = subprocess.Popen(['true'])"),
    # ---------------------------------------------------------------------------------------------------- files and memory
    Awkward("file open for reading", "x = open(FOLDER + '/read.txt'); x.readline()", "assert x.readline() == 'two\\n' and x.name.endswith('read.txt')"),
    Awkward("file open for writing", "x = open(FOLDER + '/write.txt', 'w'); x.write('kept'); x.flush()", "assert open(x.name).read() == 'kept' and x.mode == 'w'\nx.write('!'); x.flush()\nassert open(x.name).read() == 'kept!'"),
    Awkward("file open for update", "x = open(FOLDER + '/update.bin', 'w+b'); x.write(b'abc'); x.flush(); x.seek(1)", "assert x.read() == b'bc' and x.tell() == 3"),
    Awkward("file open for appending", "x = open(FOLDER + '/append.txt', 'a'); x.write('a'); x.flush()", "x.write('b'); x.flush()\nassert open(x.name).read() == 'ab'"),
    Awkward("closed file", "with open(FOLDER + '/read.txt') as x: pass", "assert x.closed and x.name.endswith('read.txt')"),
    Awkward("BytesIO", "import io\nx = io.BytesIO(b'abc'); x.read(1)", "assert x.read() == b'bc'"),
    Awkward("StringIO", "import io\nx = io.StringIO('abc'); x.read(1)", "assert x.read() == 'bc'"),
    Awkward("TemporaryFile", "import tempfile\nx = tempfile.TemporaryFile(); x.write(b'abc'); x.flush(); x.seek(1)", "assert x.read() == b'bc'"),
    _lost("NamedTemporaryFile", "import tempfile\nx = tempfile.NamedTemporaryFile()"),
    Awkward("sqlite connection in memory", "import sqlite3\nx = sqlite3.connect(':memory:'); x.execute('create table t (a)'); x.execute('insert into t values (5)'); x.commit()", "assert x.execute('select a from t').fetchall() == [(5,)]"),
    Awkward("sqlite connection to a file", "import sqlite3\nx = sqlite3.connect(FOLDER + '/db.sqlite'); x.execute('create table t (a)'); x.execute('insert into t values (5)'); x.commit()", "assert x.execute('select a from t').fetchall() == [(5,)]"),
    Awkward("sqlite cursor", "import sqlite3\n_c = sqlite3.connect(':memory:'); x = _c.cursor()", "assert x.connection is _c and x.execute('select 1').fetchall() == [(1,)]"),
    Awkward("mmap", "import mmap\nx = mmap.mmap(-1, 10); x[2:5] = b'abc'; x.seek(3)", "assert len(x) == 10 and x.read(2) == b'bc'\nx[0] = 9"),
    Awkward("mmap of a file", "import mmap\nwith open(FOLDER + '/mapped', 'w+b') as _f:\n    _f.write(b'0123456789'); _f.flush(); x = mmap.mmap(_f.fileno(), 5)", "assert x[:] == b'01234'\nx[0:1] = b'X'; x.flush()\nassert open(FOLDER + '/mapped', 'rb').read() == b'X123456789'"),
    Awkward("memoryview", "_b = bytearray(b'abc'); x = memoryview(_b)", "_b[0] = 0x7a\nassert bytes(x) == b'zbc'"),
    Awkward("array", "import array\nx = array.array('d', [1, 2])", "assert x.typecode == 'd' and list(x) == [1, 2]"),
    Awkward("ctypes value", "import ctypes\nx = ctypes.c_int(5)", "assert x.value == 5"),
    Awkward("ctypes pointer", "import ctypes\n_v = ctypes.c_int(5); x = ctypes.pointer(_v)", "assert x.contents.value == 5\n_v.value = 6\nassert x[0] == 6"),
    _lost("ctypes pointer to what is not kept", "import ctypes\n_v = ctypes.create_string_buffer(8); x = ctypes.cast(_v, ctypes.POINTER(ctypes.c_int))"),
    Awkward("ctypes structure", "import ctypes\n_S = type(ctypes.Structure)('S', (ctypes.Structure,), {'_fields_': [('a', ctypes.c_int), ('b', ctypes.c_double * 2)], 'total': lambda self: self.a + sum(self.b)})\nx = _S(1, (2, 3))", "assert x.total() == 6 and type(x) is _S and _S.a.size == 4"),
    # ----------------------------------------------------------------------------------------------------------- links
    Awkward("weakref", "class _C: pass\n_c = _C()\nimport weakref\nx = weakref.ref(_c)", "assert x() is _c"),
    Awkward("dead weakref", "class _C: pass\nimport weakref\nx = weakref.ref(_C())", "assert x() is None"),
    Awkward("weakref to an item", "class _C: pass\nimport weakref\n_l = [_C()]; x = weakref.ref(_l[0])", "assert x() is _l[0]"),
    Awkward("weak proxy", "class _C: a = 1\n_c = _C()\nimport weakref\nx = weakref.proxy(_c)", "_c.a = 2\nassert x.a == 2"),
    Awkward("WeakValueDictionary", "class _C: pass\n_c = _C()\nimport weakref\nx = weakref.WeakValueDictionary(c=_c)", "assert x['c'] is _c"),
    Awkward("WeakKeyDictionary", "class _C: pass\n_c = _C()\nimport weakref\nx = weakref.WeakKeyDictionary({_c: 1})", "assert x[_c] == 1"),
    Awkward("mappingproxy", "import types\n_d = {'a': 1}; x = types.MappingProxyType(_d)", "_d['b'] = 2\nassert dict(x) == {'a': 1, 'b': 2}"),
    Awkward("SimpleNamespace", "import types\nx = types.SimpleNamespace(a=[1])", "assert x.a == [1]"),
    Awkward("cell", "import types\nx = types.CellType([1])", "assert x.cell_contents == [1]"),
    Awkward("Ellipsis", "x = ...", "assert x is ..."),
    Awkward("NotImplemented", "x = NotImplemented", "assert x is NotImplemented"),
    Awkward("the namespace", "x = globals()", "assert x is globals()"),
    Awkward("the environment", "import os\nx = os.environ", "import os\nassert x is os.environ"),
    Awkward("sys.stdout", "import sys\nx = sys.stdout", "import sys\nassert x is sys.stdout"),
    # ------------------------------------------------------------------------------------------------------- small objects
    Awkward("re.Pattern", "import re\nx = re.compile('a+')", "assert x.match('aa')"),
    Awkward("re.Match", "import re\nx = list(re.finditer(r'(?P<d>\\d)(z)?', 'a1b2c3'))[1]", "assert x['d'] == '2' and x.span() == (3, 4) and x.lastgroup == 'd' and x.pos == 0 and x.expand('-\\\\1') == '-2'"),
    Awkward("Logger", "import logging\nx = logging.getLogger('mine')", "import logging\nassert x is logging.getLogger('mine')"),
    _lost("hash", "import hashlib\nx = hashlib.sha256(b'a')"),
    Awkward("random.Random", "import random\nx = random.Random(1); x.random()", "import random\n_r = random.Random(1); _r.random()\nassert x.random() == _r.random()"),
    Awkward("defaultdict of a lambda", "import collections\nx = collections.defaultdict(lambda: 5)", "assert x['a'] == 5"),
    Awkward("ZoneInfo", "import zoneinfo\nx = zoneinfo.ZoneInfo('UTC')", "import zoneinfo\nassert x is zoneinfo.ZoneInfo('UTC')"),
    Awkward("list 5000 deep", "x = []\nfor _ in range(5000): x = [x]", "n = 0\nwhile x: x, n = x[0], n + 1\nassert n == 5000"),
    Awkward("tuple with itself", "_l = []; x = (_l,); _l.append(x)", "assert x[0][0] is x"),
    # ----------------------------------------------------------------------------------------------------------- numpy
    Awkward("numpy Generator", "import numpy as np\nx = np.random.default_rng(1); x.random()", "import numpy as np\n_r = np.random.default_rng(1); _r.random()\nassert x.random() == _r.random()", needs="numpy"),
    Awkward("memmap", "import numpy as np\nx = np.memmap(FOLDER + '/map.bin', 'i4', 'w+', shape=(3,)); x[:] = 7; x.flush()", "assert x.tolist() == [7, 7, 7] and x.mode == 'r+'", needs="numpy"),
    Awkward("ufunc", "import numpy as np\nx = np.add", "import numpy as np\nassert x is np.add", needs="numpy"),
    Awkward("frompyfunc", "import numpy as np\nx = np.frompyfunc(lambda a, b: a + b, 2, 1)", "assert x([1, 2], 3).tolist() == [4, 5] and x.reduce([1, 2, 3]) == 6", needs="numpy"),
    Awkward("view and base", "import numpy as np\n_base = np.arange(12).reshape(3, 4); x = _base[1]", "_base[1, 0] = 99\nassert x[0] == 99 and x.shape == (4,)", needs="numpy"),
    Awkward("reversed view", "import numpy as np\n_base = np.arange(6); x = _base[::-2]", "_base[5] = 99\nassert x.tolist() == [99, 3, 1]", needs="numpy"),
    Awkward("broadcast view", "import numpy as np\n_base = np.arange(3); x = np.broadcast_to(_base, (2, 3))", "_base[0] = 9\nassert x.tolist() == [[9, 1, 2]] * 2 and not x.flags.writeable", needs="numpy"),
    Awkward("view of a transposed copy", "import numpy as np\n_base = np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0).copy('K'); x = _base[1]", "assert x.tolist() == np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0)[1].tolist()\n_base[1, 0, 0] = 99\nassert x[0, 0] == 99", needs="numpy"),
    Awkward("view of objects", "import numpy as np\n_base = np.array([[1], 'a', None], dtype=object); x = _base[1:]", "_base[1] = 5\nassert x.tolist() == [5, None]", needs="numpy"),
    Awkward("field of a structured array", "import numpy as np\n_base = np.zeros(3, dtype=[('a', 'i4'), ('b', 'f8')]); x = _base['b']", "_base['b'][1] = 2.5\nassert x.tolist() == [0, 2.5, 0]", needs="numpy"),
    Awkward("sliding windows", "import numpy as np\n_base = np.arange(5); x = np.lib.stride_tricks.sliding_window_view(_base, 2)", "_base[1] = 50\nassert x.tolist() == [[0, 50], [50, 2], [2, 3], [3, 4]]", needs="numpy"),
    Awkward("array over a bytearray", "import numpy as np\n_b = bytearray(4); x = np.frombuffer(_b, 'u1')", "_b[2] = 5\nassert x.tolist() == [0, 0, 5, 0]", needs="numpy"),
    Awkward("large array", "import numpy as np\nx = np.arange(1_000_000); _y = x[10:20]", "assert int(x.sum()) == 499999500000\nx[10] = -1\nassert _y[0] == -1", needs="numpy"),
    Awkward("read-only array", "import numpy as np\nx = np.arange(3); x.flags.writeable = False", "assert not x.flags.writeable", needs="numpy"),
    Awkward("masked array", "import numpy as np\nx = np.ma.array([1, 2], mask=[0, 1])", "assert x.sum() == 1", needs="numpy"),
    # ------------------------------------------------------------------------------------------------------- other libraries
    Awkward("DataFrame", "import pandas as pd\nx = pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'c': pd.to_datetime(['2020', '2021'])})", "import pandas as pd\npd.testing.assert_frame_equal(x, pd.DataFrame({'a': [1, 2], 'b': ['x', None], 'c': pd.to_datetime(['2020', '2021'])}))", needs="pandas"),
    Awkward("frames that share a block", "import pandas as pd\n_whole = pd.DataFrame({'a': [1, 2, 3]}); x = _whole[:2]", "x.iloc[0, 0] = 99\nassert _whole['a'].tolist() == [1, 2, 3]\n_whole.iloc[1, 0] = 77\nassert x['a'].tolist() == [99, 2]", needs="pandas"),
    Awkward("GroupBy", "import pandas as pd\nx = pd.DataFrame({'a': [1, 1, 2], 'b': [1, 2, 3]}).groupby('a')", "assert x['b'].sum().tolist() == [3, 3]", needs="pandas"),
    Awkward("Categorical with MultiIndex", "import pandas as pd\nx = pd.DataFrame({'c': pd.Categorical(list('aba')), 'd': 1.5}, index=pd.MultiIndex.from_tuples([(1, 'x'), (1, 'y'), (2, 'x')]))", "assert list(x['c'].cat.categories) == ['a', 'b'] and x.loc[(2, 'x'), 'd'] == 1.5", needs="pandas"),
    Awkward("Figure", "import matplotlib; matplotlib.use('agg')\nimport matplotlib.pyplot as plt\nx, _ax = plt.subplots(); _ax.plot([1, 2])", "assert x.axes[0] is _ax and _ax.lines[0].get_ydata().tolist() == [1, 2]\nx.canvas.draw()", needs="matplotlib"),
    Awkward("Axes", "import matplotlib; matplotlib.use('agg')\nimport matplotlib.figure\nx = matplotlib.figure.Figure().add_subplot(); x.bar([1], [2])", "assert len(x.patches) == 1 and x.figure.axes == [x]", needs="matplotlib"),
    Awkward("pyplot", "import matplotlib.pyplot as x", "import matplotlib.pyplot\nassert x is matplotlib.pyplot", needs="matplotlib"),
    Awkward("polars DataFrame", "import polars as pl\nx = pl.DataFrame({'a': [1, 2]})", "assert x['a'].to_list() == [1, 2]", needs="polars"),
    Awkward("polars LazyFrame", "import polars as pl\nx = pl.LazyFrame({'a': [1, 2]}).filter(pl.col('a') > 1)", "assert x.collect()['a'].to_list() == [2]", needs="polars"),
    Awkward("polars LazyFrame with a function", "import polars as pl\nx = pl.LazyFrame({'a': [1]}).map_batches(lambda f: f)", "assert x.collect()['a'].to_list() == [1]", needs="polars"),
    Awkward("polars expression", "import polars as pl\nx = pl.col('a') + 1", "import polars as pl\nassert pl.DataFrame({'a': [1]}).select(x)['a'].to_list() == [2]", needs="polars"),
    Awkward("polars GroupBy", "import polars as pl\nx = pl.DataFrame({'a': [1, 1]}).group_by('a')", "assert x.len()['len'].to_list() == [2]", needs="polars"),
    Awkward("arrow table", "import pyarrow as pa\nx = pa.table({'a': [1, 2]})", "assert x.column('a').to_pylist() == [1, 2]", needs="pyarrow"),
    Awkward("arrow buffer", "import pyarrow as pa\nx = pa.py_buffer(b'abc')", "assert x.to_pybytes() == b'abc'", needs="pyarrow"),
    Awkward("arrow reader", "import pyarrow as pa\n_t = pa.table({'a': [1, 2, 3]})\nx = pa.RecordBatchReader.from_batches(_t.schema, _t.to_batches(max_chunksize=1)); x.read_next_batch()", "assert x.schema.names == ['a'] and x.read_all()['a'].to_pylist() == [2, 3]", needs="pyarrow"),
    Awkward("arrow file", "import pyarrow as pa\nx = pa.OSFile(FOLDER + '/read.txt'); x.read(4)", "assert x.read(3) == b'two' and not x.writable()", needs="pyarrow"),
    _lost("arrow file that is written", "import pyarrow as pa\nx = pa.OSFile(FOLDER + '/arrow.bin', 'wb')", needs="pyarrow"),
    Awkward("LogisticRegression", "from sklearn.linear_model import LogisticRegression\nx = LogisticRegression().fit([[0], [1]], [0, 1])", "assert x.predict([[5]]).tolist() == [1]", needs="sklearn"),
    Awkward("RandomForest", "from sklearn.ensemble import RandomForestClassifier\nx = RandomForestClassifier(5, random_state=0).fit([[0], [1]] * 5, [0, 1] * 5)", "assert x.predict([[1]]).tolist() == [1]", needs="sklearn"),
    Awkward("pipeline with a lambda", "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import FunctionTransformer\nx = make_pipeline(FunctionTransformer(lambda a: [[v[0] + 1] for v in a]))", "assert x.fit_transform([[1]]) == [[2]]", needs="sklearn"),
]  # fmt: skip
