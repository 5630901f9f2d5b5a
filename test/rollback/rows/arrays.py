"""numpy."""

from row import Group, Row

ARRAYS = Group(
    "numpy",
    package="numpy",
    imports="import io, os, tempfile, warnings\nimport numpy as np\nfrom numpy.lib import stride_tricks",
    rows=(
        Row("array in C order", "x = np.arange(12.0).reshape(3, 4)", "x += 1; x[0] = 9; x.sort(axis=None if x.ndim == 1 else 0); x.shape = (4, 3)", "np.array_equal(x, np.arange(12.0).reshape(3, 4))", part="x.base", works="x.sum() == 66", brief=True),
        Row("array of 80 MB", "x = np.zeros(10_000_000)", "x += 1; np.negative(x, out=x)", "not x.any()", works="x.fill(2) is None and x[-1] == 2"),
        Row("array in Fortran order and its transpose", "x = np.asfortranarray(np.arange(6).reshape(2, 3)); t = x.T", "t[2] = 0; x.setflags(write=False)", "x.tolist() == [[0, 1, 2], [3, 4, 5]] and x.flags.writeable and np.shares_memory(x, t)", works="t.__setitem__((0, 0), 7) is None and x[0, 0] == 7"),
        Row("strided views of one base", "base = np.arange(10); x = base[::2]; y = base[1::3]", "x[:] = -1; y *= 5", "base.tolist() == list(range(10)) and x.base is base and y.base is base", part="x.base", works="x.__setitem__(1, 50) is None and base[2] == 50", brief=True),
        Row("sliding windows over one buffer", "base = np.arange(6.0); x = stride_tricks.sliding_window_view(base, 3, writeable=True)", "x[0] = 9", "base.tolist() == [0, 1, 2, 3, 4, 5]", works="x.__setitem__((1, 0), 7) is None and base[1] == 7"),
        Row("0-d array", "x = np.array(5)", "x[()] = 6; x += 1", "x == 5 and x.shape == ()", works="int(x) == 5"),
        Row("structured array and a field of it", "x = np.zeros(3, dtype=[('a', 'i4'), ('b', 'f8', 2)]); field = x['b']", "field[1] = 7; x['a'] = [1, 2, 3]; x.dtype.names = ('c', 'd')", "x.dtype.names == ('a', 'b') and not field.any() and not x['a'].any() and np.shares_memory(x, field)", works="field.__setitem__(0, 3) is None and x['b'][0].tolist() == [3, 3]", brief=True),
        Row("array of objects", "x = np.empty(2, object); x[0] = [1]; x[1] = {'k': 2}", "x[0].append(2); x[1] = None", "x[0] == [1] and x[1] == {'k': 2}", part="x[0]", works="x[0].append(3)", brief=True),
        Row("masked array", "x = np.ma.array([1, 2, 3], mask=[0, 1, 0]); shared = x[:2]", "x[1] = 9; x.mask[0] = True; x.fill_value = 77", "x.tolist() == [1, None, 3] and x.fill_value == 999999", works="x.sum() == 4", brief=True),
        Row("recarray", "x = np.rec.array([(1, 'a'), (2, 'b')], names='n,s')", "x.n[0] = 9; x.s = 'z'", "x.n.tolist() == [1, 2] and x.s.tolist() == ['a', 'b']", works="x[0].n == 1"),
        Row("memmap that is copied on write", "f = tempfile.NamedTemporaryFile(); np.arange(8, dtype='u1').tofile(f); f.flush(); x = np.memmap(f.name, 'u1', 'c')", "x[:] = 0", "x.tolist() == list(range(8))", part="x._mmap", works="x.__setitem__(0, 9) is None and x[0] == 9"),
        Row("datetime64, timedelta64", "x = np.array(['2024-01-01', 'NaT'], 'M8[D]'); d = np.array([1, 2], 'm8[h]')", "x += np.timedelta64(1, 'D'); d[:] = 0", "str(x[0]) == '2024-01-01' and np.isnat(x[1]) and d.astype(int).tolist() == [1, 2]", works="str(x[0] + np.timedelta64(2, 'D')) == '2024-01-03'"),
        Row("fixed text, bytes, void, complex, bool", "x = np.array(['ab', 'c']); v = np.zeros(2, 'V3'); c = np.array([1j]); b = np.array([True])", "x[0] = 'zz'; v[0] = b'abc'; c *= 2; b[:] = False", "x.tolist() == ['ab', 'c'] and bytes(v) == bytes(6) and c[0] == 1j and b.all()", works="np.char.upper(x)[0] == 'AB'"),
        Row("array of variable strings", "x = np.array(['short', 'a much longer string than fits inline'], dtype=np.dtypes.StringDType())", "x[1] = 'other ' * 9; x[0] = 'y'", "x.tolist() == ['short', 'a much longer string than fits inline']", works="np.strings.upper(x)[0] == 'SHORT'"),
        Row("read-only array and its writeable base", "base = np.arange(3); x = base.view(); x.flags.writeable = False", "base[0] = 9; x.flags.writeable = True; x[1] = 8", "x.tolist() == [0, 1, 2] and not x.flags.writeable", part="x.base", works="base.__setitem__(0, 5) is None and x[0] == 5"),
        Row("array over a bytearray", "raw = bytearray(16); x = np.frombuffer(raw, 'i4')", "x[0] = 1; raw[4] = 2", "bytes(raw) == bytes(16) and not x.any()", works="raw.__setitem__(0, 3) is None and x[0] == 3"),
        Row("array through __array_interface__ of another", "base = np.arange(4)\nclass Holder: __array_interface__ = base.__array_interface__; keep = base\nx = np.asarray(Holder)", "x[:] = 9", "base.tolist() == [0, 1, 2, 3] and np.shares_memory(x, base)", works="x.__setitem__(0, 4) is None and base[0] == 4"),
        Row("subclass with attributes", "class A(np.ndarray):\n    def __array_finalize__(self, other): self.note = getattr(other, 'note', None)\nx = np.zeros(2).view(A); x.note = ['n']", "x.note.append(1); x[0] = 1", "x.note == ['n'] and x.sum() == 0", part="x.note", works="x[:1].note is x.note"),
        Row("Generator and its bit generator", "x = np.random.default_rng(5); x.random(3); before = x.bit_generator.state", "x.random(); x.shuffle([1, 2]); x.bit_generator.advance(9); x.normal()", "x.bit_generator.state == before", part="x.bit_generator", works="x.integers(10) in range(10)", brief=True),
        Row("RandomState with a spare Gaussian", "x = np.random.RandomState(1); x.standard_normal(); before = x.get_state()", "x.standard_normal(); x.seed(9)", "all(np.array_equal(a, b) for a, b in zip(x.get_state(), before))", works="x.rand() < 1"),
        Row("SeedSequence that was spawned from", "x = np.random.SeedSequence(5); x.spawn(1)", "x.spawn(3)", "x.n_children_spawned == 1", part="x.entropy", works="len(x.spawn(1)) == 1"),
        Row("nditer in the middle", "base = np.arange(4); x = np.nditer(base, op_flags=['readwrite']); next(x)", "next(x)[...] = 9; next(x)", "x.iterindex == 0 and base.tolist() == [0, 1, 2, 3]", works="x.iternext() and x.iterindex == 1"),
        Row("ndenumerate and broadcast", "x = np.broadcast(np.arange(3), 5); next(x)", "next(x)", "x.index == 1", works="next(x) == (1, 5)"),
        Row("poly1d", "x = np.poly1d([1, 2, 3])", "x[0] = 9; x.coeffs[:] = 0", "x.coeffs.tolist() == [1, 2, 3]", part="x.coeffs", works="x(1) == 6"),
        Row("Polynomial", "x = np.polynomial.Polynomial([1, 2])", "x.coef[0] = 5; x.domain[:] = 0", "x.coef.tolist() == [1, 2] and x.domain.tolist() == [-1, 1]", part="x.coef", works="x(1) == 3"),
        Row("vectorize with a cache", "calls = []; x = np.vectorize(lambda n: calls.append(n) or n + 1, otypes=[int])", "x([1, 2]); x.extra = 1; x.__doc__ = 'spoiled'", "calls == [] and not hasattr(x, 'extra')", part="x.pyfunc", works="x([1]).tolist() == [2]"),
        Row("frompyfunc", "calls = []; x = np.frompyfunc(lambda a: calls.append(a), 1, 1)", "x([1, 2])", "calls == []", works="x([3])[0] is None and calls == [3]"),
        Row("matrix", "x = np.matrix([[1, 2]])", "x[0, 0] = 9; x.fill(3)", "x.tolist() == [[1, 2]]", works="(x * x.T)[0, 0] == 5"),
        Row("array that is resized in place", "x = np.arange(4)", "x.resize(8, refcheck=False); x[7] = 1", "x.tolist() == [0, 1, 2, 3]", works="x.max() == 3", brief=True),
        Row("dtype with metadata, as a holder", "x = np.dtype([('a', 'i4')], metadata={'unit': ['m']})", "x.metadata['unit'].append('km'); x.names = ('b',)", "x.names == ('a',) and x.metadata['unit'] == ['m']", part="x.metadata['unit']", works="np.zeros(1, x)['a'][0] == 0"),
        Row("errstate that was entered", "x = np.errstate(all='ignore'); x.__enter__(); before = np.geterr()", "np.seterr(all='raise'); np.seterrcall(print)", "np.geterr() == before and np.geterrcall() is None", works="x.__exit__() is None"),
        Row("printoptions", "x = np.arange(3.0); before = np.get_printoptions()", "np.set_printoptions(precision=1, threshold=2, formatter={'float': str})", "np.get_printoptions() == before", works="str(x) == '[0. 1. 2.]'"),
        Row("bytes written into a buffer by numpy.save", "x = io.BytesIO(); np.save(x, np.arange(3)); size = x.tell()", "np.save(x, np.arange(9))", "x.tell() == size", works="x.seek(0) == 0 and np.load(x).tolist() == [0, 1, 2]"),
    ),
)

GROUPS = (ARRAYS,)
