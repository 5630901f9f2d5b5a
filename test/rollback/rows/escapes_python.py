"""Ways for a change to get past a copy of the variables: through the language."""

from row import Group, Row

LANGUAGE = Group(
    "Escapes: the language",
    imports="import builtins, ctypes, functools, gc, importlib, json, operator, os, re, string, sys, types, warnings, weakref",
    rows=(
        Row("global store in a function", "x = 1\ndef store():\n    global x, fresh\n    x = 2; fresh = 3", "store()", "x == 1 and 'fresh' not in globals()", works="store() is None and x == 2", brief=True),
        Row("globals()[name] = value", "x = 1", "globals()['x'] = 2; globals().update(young=3); vars(sys.modules['__main__'])['late'] = 4", "x == 1 and 'young' not in globals() and 'late' not in globals()", works="globals() is vars(sys.modules['__main__'])", brief=True),
        Row("exec and eval", "x = [1]; hidden = {}", "exec('x.append(2); y = 3', globals(), hidden); exec('brand_new = 1'); eval('x.pop(0)')", "x == [1] and hidden == {} and 'brand_new' not in globals()", works="eval('x') is x", brief=True),
        Row("write through ctypes into an immutable object", "x = ('a', 'b'); before = tuple(x)", "ctypes.c_ssize_t.from_address(id(x) + tuple.__basicsize__ - 8).value = 1", "len(x) == 2 and x[1] == 'b'", part="x[0]", works="x == before", brief=True),
        Row("write through ctypes into a digit of an int", "x = int('123456789' * 3); y = x", "ctypes.memmove(id(x) + int.__basicsize__, bytes(4), 4)", "x == int('123456789' * 3)", works="x % 10 == 9"),
        Row("pointer from elsewhere into an array", "import array; x = array.array('i', [1, 2]); address, _ = x.buffer_info()", "ctypes.cast(address, ctypes.POINTER(ctypes.c_int))[1] = 99", "x.tolist() == [1, 2]", works="x.append(3)"),
        Row("write through a view of a buffer", "x = bytearray(b'abcd'); view = memoryview(x)[1:3]", "view[0] = 90; view[:] = b'!!'", "x == b'abcd'", part="view.obj", works="view.__setitem__(0, 65) is None and x == b'aAcd'", brief=True),
        Row("element that two containers share", "shared = [1]; x = {'a': shared, 'b': (shared,)}; deep = [[x]]", "deep[0][0]['b'][0].append(2)", "shared == [1] and x['a'] is shared and x['b'][0] is shared and deep[0][0] is x", part="deep[0][0]['a']", works="shared.append(5) is None and x['b'][0] == [1, 5]"),
        Row("patched function of the standard library", "x = json.dumps", "json.dumps = lambda *a: 'patched'; os.getcwd = None; json.encoder.JSONEncoder.default = 5", "json.dumps is x and os.getcwd() and callable(json.JSONEncoder.default)", part="json.dumps", works="json.dumps([1]) == '[1]'", brief=True),
        Row("patched module of the user's", "import tempfile; place = tempfile.mkdtemp(); open(f'{place}/user_rows_module.py', 'w').write('N = [1]\\ndef f(): return N\\n'); sys.path.append(place); import user_rows_module as x", "x.N.append(2); x.f = None; x.extra = 1", "x.f() == [1] and not hasattr(x, 'extra')", part="x.N", works="importlib.reload(x) is x", brief=True),
        Row("class attributes, through an instance's class", "class C:\n    shared = [1]\nx = C()", "type(x).shared = [2]; type(x).method = lambda self: 1; x.shared.append(3)", "x.shared == [1] and not hasattr(x, 'method')", part="x.shared", works="setattr(C, 'n', 1) is None and x.n == 1"),
        Row("attributes of a metaclass", "class M(type):\n    count = 0\nclass x(metaclass=M): pass", "M.count += 1; M.__call__ = lambda cls: 'patched'; type.__setattr__(x, 'new', 1)", "x.count == 0 and type(x()) is x and not hasattr(x, 'new')", part="type(x)", works="setattr(M, 'count', 5) is None and x.count == 5", brief=True),
        Row("cell of a closure, by nonlocal", "def make():\n    n = [0]; total = 0\n    def add():\n        nonlocal total\n        total += 1; n.append(total); return total\n    return add\nx = make()", "x(); x()", "[c.cell_contents for c in x.__closure__] == [[0], 0]", part="x.__closure__[0].cell_contents", works="x() == 1", brief=True),
        Row("default of a function that grew", "def x(seen=[], *, kw={}):\n    seen.append(1); kw[len(seen)] = 1; return len(seen)\nx()", "x(); x(); x.__defaults__ = ()", "x.__defaults__ == ([1],) and x.__kwdefaults__ == {'kw': {1: 1}}", part="x.__defaults__[0]", works="x() == 2", brief=True),
        Row("position of a generator", "x = (n for n in range(9)); next(x)", "next(x); next(x); list(x)", "next(x) == 1", works="next(x) == 2", brief=True),
        Row("position of an iterator that is shared", "x = iter('abcdef'); pairs = zip(x, x); next(pairs)", "next(x); next(pairs)", "next(x) == 'c'", works="next(pairs) == ('d', 'e')"),
        Row("del of a name, of an attribute, of an item", "x = [1]; class_ = type('C', (), {'a': 1}); d = {'k': 1}; gone = 5", "del gone, class_.a, d['k'], x[0]", "gone == 5 and class_.a == 1 and d == {'k': 1} and x == [1]", works="x.append(2)", brief=True),
        Row("imports, and what sys.modules holds", "sys.modules.pop('colorsys', None); x = dict(sys.modules)", "import colorsys, this; sys.modules['json'] = None; sys.modules['invented'] = types.ModuleType('invented')", "sys.modules == x and 'colorsys' not in globals()", part="sys.modules", works="__import__('colorsys').rgb_to_hsv(0, 0, 0) == (0.0, 0.0, 0)", brief=True),
        Row("builtins", "x = builtins.abs", "builtins.abs = lambda n: 99; builtins.spoken = 1; del builtins.oct", "abs is x and abs(-1) == 1 and oct(8) == '0o10' and not hasattr(builtins, 'spoken')", part="builtins.abs", works="abs(-2) == 2", brief=True),
        Row("contents of an lru_cache", "calls = []\n@functools.lru_cache\ndef x(n): calls.append(n); return n\nx(1)", "x(2); x.cache_clear(); x(1)", "x.cache_info()[:2] == (0, 1) and calls == [1]", works="x(2) == 2 and calls == [1, 2]"),
        Row("finalizers that have run", "died = []\nclass C: pass\nx = C(); weakref.finalize(x, died.append, 1); holder = [x]", "globals().pop('x'); globals().pop('alias', None); holder.clear(); gc.collect()", "died == [] and holder == [x]", part="holder[0]", works="holder.pop() is x", brief=True),
        Row("cache of `re`, interned strings", "x = re.compile('row(s)'); word = sys.intern('interned by the rows')", "re.purge(); re.compile('z')", "re.compile('row(s)') is x and sys.intern('interned by ' + 'the rows') is word", part="re.compile('row(s)')", works="x.match('rows')"),
        Row("object that is held by C code alone", "x = []; ctypes.pythonapi.Py_IncRef(ctypes.py_object(x)); address = id(x)", "ctypes.cast(address, ctypes.py_object).value.append('through the address')", "x == []", works="ctypes.cast(address, ctypes.py_object).value is x"),
        Row("threads' shared list, changed by a thread of the cell", "import threading; x = []", "changer = threading.Thread(target=x.append, args=(1,)); changer.start(); changer.join()", "x == [] and 'changer' not in globals()", works="x.append(1)"),
        Row("data descriptor in a base class of a built-in", "class B(list):\n    pass\nx = B([1]); B.total = property(lambda self: sum(self))", "B.total = None; B.__len__ = lambda self: 77; x.append(3)", "x.total == 1 and len(x) == 1", works="x.append(4) is None and x.total == 5"),
    ),
)

GROUPS = (LANGUAGE,)
