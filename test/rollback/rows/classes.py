"""Classes, instances, functions, modules and exceptions."""

from row import Group, Row

CLASSES = Group(
    "Classes and their instances",
    imports="import abc, collections, copy, dataclasses, enum, functools, types, typing",
    rows=(
        Row("instance with attributes", "class C: pass\nx = C(); x.a = [1]; x.b = {'k': x}", "x.a.append(2); del x.b; x.c = 1; x.__class__ = type('Other', (), {})", "type(x) is C and x.a == [1] and x.b == {'k': x} and not hasattr(x, 'c')", part="x.a", works="setattr(x, 'c', 1)", brief=True),
        Row("instance with slots", "class S:\n    __slots__ = 'a', 'b'\nx = S(); x.a = [1]", "x.a.append(2); x.b = 3", "x.a == [1] and not hasattr(x, 'b')", part="x.a", works="setattr(x, 'b', 1)", brief=True),
        Row("properties with a store", "class C:\n    _v = 1\n    @property\n    def v(self): return self._v\n    @v.setter\n    def v(self, n): self._v = n\nx = C()", "x.v = 5; C.v = property(lambda self: 'replaced')", "x.v == 1 and vars(x) == {}", works="setattr(x, 'v', 3) is None and x.v == 3"),
        Row("descriptor that keeps values by instance", "class D:\n    def __init__(self): self.kept = {}\n    def __get__(self, one, kind=None): return self.kept.get(id(one), 0)\n    def __set__(self, one, value): self.kept[id(one)] = value\nclass C: d = D()\nx = C(); x.d = 1", "x.d = 2; vars(C)['d'].kept['junk'] = 1", "x.d == 1 and len(vars(C)['d'].kept) == 1", part="vars(C)['d']", works="setattr(x, 'd', 7) is None and x.d == 7", brief=True),
        Row("class attributes", "class x:\n    items = [1]\n    n = 0\n    def f(self): return self.n", "x.items.append(2); x.n = 5; x.extra = 1; x.f = lambda self: 'patched'", "x.items == [1] and x().f() == 0 and not hasattr(x, 'extra')", part="x.items", works="setattr(x, 'n', 4) is None and x().f() == 4", brief=True),
        Row("class with a metaclass that counts", "class M(type):\n    made = []\n    def __init__(cls, *a): M.made.append(cls)\nclass x(metaclass=M): pass", "M.made.clear(); M.limit = 5\nclass Second(x): pass", "M.made == [x] and not hasattr(x, 'limit') and x.__subclasses__() == []", part="M.made", works="type('T', (x,), {}) in M.made", brief=True),
        Row("bases of a class", "class A:\n    def f(self): return 'A'\nclass B:\n    def f(self): return 'B'\nclass C(A): pass\nx = C()", "C.__bases__ = (B,); C.__name__ = 'Renamed'", "x.f() == 'A' and C.__mro__ == (C, A, object) and C.__name__ == 'C'", works="C().f() == 'A'"),
        Row("ABC and its registry", "class x(abc.ABC):\n    @abc.abstractmethod\n    def f(self): ...\nclass Other: pass\nfirst = issubclass(Other, x)", "x.register(Other); x.__abstractmethods__ = frozenset()", "not issubclass(Other, x) and x.__abstractmethods__ == {'f'}", works="x.register(Other) is Other and issubclass(Other, x)"),
        Row("dataclass", "@dataclasses.dataclass\nclass D:\n    a: int\n    b: list = dataclasses.field(default_factory=list)\nx = D(1, [2])", "x.a = 9; x.b.append(3); D.__dataclass_fields__['a'].metadata = {'spoiled': 1}", "x == D(1, [2]) and not dataclasses.fields(x)[0].metadata", part="x.b", works="dataclasses.replace(x, a=4).a == 4", brief=True),
        Row("frozen dataclass", "@dataclasses.dataclass(frozen=True)\nclass F:\n    b: list\nx = F([1])", "object.__setattr__(x, 'b', [2]); alias.append(3)", "x.b == [1]", part="x.b", works="hash(F(())) == hash(F(()))"),
        Row("Enum with members that hold state", "class E(enum.Enum):\n    A = 1\n    B = 2\nE.A.seen = [0]; x = E.A", "x.seen.append(1); x._value_ = 5; E._member_map_['C'] = x", "x.value == 1 and x.seen == [0] and list(E) == [E.A, E.B]", part="x.seen", works="E(1) is x and E['A'] is x"),
        Row("Flag", "class F(enum.Flag):\n    R = 1\n    W = 2\nx = {'mode': F.R}", "x['mode'] |= F.W", "x['mode'] is F.R", works="bool(x['mode'] & F.R)"),
        Row("NamedTuple", "class N(typing.NamedTuple):\n    a: list\n    b: str = 'b'\nx = N([1])", "x.a.append(2); N._field_defaults['b'] = 'c'", "x == ([1], 'b') and N._field_defaults == {'b': 'b'}", part="x.a", works="x._replace(b='c').b == 'c'"),
        Row("cached_property", "class C:\n    @functools.cached_property\n    def p(self): return [1]\nx = C(); x.p", "x.p.append(2); C.p = property(lambda self: 5)", "x.p == [1]", part="x.p", works="C().p == [1]", brief=True),
        Row("instance with __getattr__ and its own store", "class Lazy:\n    def __init__(self): object.__setattr__(self, 'store', {'a': 1})\n    def __getattr__(self, name): return self.store[name]\n    def __setattr__(self, name, value): self.store[name] = value\nx = Lazy()", "x.a = 2; x.b = 3", "x.a == 1 and x.store == {'a': 1}", part="x.store", works="setattr(x, 'c', 1) is None and x.c == 1"),
        Row("subclass of dict with attributes", "class D(dict):\n    pass\nx = D(a=1); x.note = ['n']", "x['b'] = 2; x.note.append('m')", "x == {'a': 1} and x.note == ['n']", part="x.note", works="x.update(z=1)"),
        Row("subclasses of int and str with attributes", "class I(int): pass\nclass T(str): pass\nx = I(5); x.unit = ['m']; t = T('t'); t.x = x", "x.unit[0] = 'km'; t.x = None", "x == 5 and x.unit == ['m'] and t.x is x", part="x.unit", works="x + 1 == 6"),
        Row("instances in a cycle", "class N: pass\nx = N(); x.other = N(); x.other.other = x; x.n = x.other.n = 0", "x.other.n = 1; x.other.other = None", "x.other.other is x and x.other.n == 0", part="x.other", works="setattr(x, 'n', 2)"),
        Row("instance with __del__", "ended = []\nclass D:\n    def __del__(self): ended.append(1)\nx = {'d': D()}", "x.clear(); del alias", "len(x) == 1 and ended == []", part="x['d']", works="x.pop('d')"),
        Row("instance that copies itself wrongly", "class Odd:\n    def __init__(self): self.a = [1]\n    def __deepcopy__(self, memo): return self\n    def __reduce__(self): return (Odd, ())\n    def __eq__(self, other): return True\n    __hash__ = None\nx = Odd(); x.a.append(2)", "x.a.append(3); x.b = 1", "x.a == [1, 2] and not hasattr(x, 'b')", part="x.a", works="x.a.append(9)", brief=True),
        Row("instance that cannot be copied", "class No:\n    def __reduce_ex__(self, p): raise TypeError('no')\n    def __copy__(self): raise TypeError('no')\nx = No(); x.a = [1]", "x.a.append(2)", "x.a == [1]", part="x.a", works="x.a.append(3)", brief=True),
    ),
)

FUNCTIONS = Group(
    "Functions, modules, exceptions",
    imports="import contextlib, functools, inspect, operator, string, sys, types, typing",
    rows=(
        Row("function with attributes", "def x(a, b=[1]): return a\nx.calls = [0]", "x.calls.append(1); x.__doc__ = 'changed'; x.__name__ = 'y'; x.__kwdefaults__ = {'z': 1}", "x.calls == [0] and x.__doc__ is None and x.__name__ == 'x' and x.__kwdefaults__ is None", part="x.calls", works="x(4) == 4", brief=True),
        Row("mutable default of a function", "def x(a, seen=[]):\n    seen.append(a)\n    return seen\nx(1)", "x(2); x.__defaults__ = ([5],)", "x.__defaults__ == ([1],)", part="x.__defaults__[0]", works="x(2) == [1, 2]"),
        Row("code of a function", "def x(): return 1\ndef other(): return 2", "x.__code__ = other.__code__", "x() == 1", part="x.__code__", works="x() == 1"),
        Row("closure with a cell", "def counter():\n    n = 0\n    def count():\n        nonlocal n\n        n += 1\n        return n\n    return count\nx = counter(); x()", "x(); x.__closure__[0].cell_contents = 99", "x.__closure__[0].cell_contents == 1", part="x.__closure__[0]", works="x() == 2", brief=True),
        Row("closures that share a cell", "def pair():\n    v = []\n    return lambda n: v.append(n), lambda: v\nx, look = pair(); x(1)", "x(2); look().append(3)", "look() == [1]", part="look()", works="x(5) is None and look() == [1, 5]"),
        Row("partial", "x = functools.partial(max, [1], key=len); x.note = []", "x.note.append(1); x.args[0].append(5); x.keywords['default'] = 0", "x.args == ([1],) and x.keywords == {'key': len} and x.note == []", part="x.args[0]", works="x([1, 2, 3]) == [1, 2, 3]"),
        Row("lru_cache and its contents", "calls = []\n@functools.lru_cache(maxsize=3)\ndef x(n): calls.append(n); return [n]\nkept = x(1)", "x(2); x(3); x(4); x.cache_clear()", "x.cache_info().currsize == 1 and calls == [1] and x(1) is kept", part="x(1)", works="x(7) == [7] and calls == [1, 7]", brief=True),
        Row("singledispatch and its registry", "@functools.singledispatch\ndef x(a): return 'any'", "@x.register\ndef _(a: int): return 'int'", "x(1) == 'any' and list(x.registry) == [object]", works="x.register(int, lambda a: 'now') and x(1) == 'now'"),
        Row("bound methods", "class C:\n    def __init__(self): self.n = 0\n    def up(self): self.n += 1; return self.n\nowner = C(); x = owner.up", "x(); owner.n = 50", "owner.n == 0 and x.__self__ is owner", part="x.__self__", works="x() == 1"),
        Row("module made by hand", "x = types.ModuleType('handmade'); exec('a = [1]\\ndef f(): return a', vars(x)); sys.modules['handmade'] = x", "x.a.append(2); x.f = None; x.b = 1; del sys.modules['handmade']", "x.f() == [1] and not hasattr(x, 'b') and sys.modules['handmade'] is x", part="x.a", works="__import__('handmade') is x", brief=True),
        Row("attributes of a module of the standard library", "x = string", "x.digits = 'none'; x.extra = 1; del x.ascii_letters", "x.digits == '0123456789' and not hasattr(x, 'extra') and len(x.ascii_letters) == 52", part="x.punctuation", works="x.capwords('a b') == 'A B'"),
        Row("exception with notes, cause and traceback", "try:\n    try: 1 / 0\n    except ZeroDivisionError as e: raise KeyError([1]) from e\nexcept KeyError as e: x = e", "x.args[0].append(2); x.__cause__ = None; x.__traceback__ = None; x.extra = 1", "x.args == ([1],) and type(x.__cause__) is ZeroDivisionError and x.__traceback__ and not hasattr(x, 'extra')", part="x.__cause__", works="x.with_traceback(None) is x"),
        Row("ExceptionGroup", "x = ExceptionGroup('g', [ValueError([1]), KeyError('k')])", "x.exceptions[0].args[0].append(2); x.add_note('n')", "x.exceptions[0].args == ([1],) and not hasattr(x, '__notes__')", part="x.exceptions[0]", works="x.split(KeyError)[0].exceptions[0].args == ('k',)", needs=(3, 11)),
        Row("frame and its variables", "def stop():\n    local = [1]\n    yield local\n    yield len(local)\ng = stop(); next(g); x = g.gi_frame", "x.f_locals['local'].append(2)", "x.f_locals['local'] == [1]", part="x.f_locals['local']", works="next(g) == 1"),
        Row("annotations and type variables", "T = typing.TypeVar('T')\ndef f(a: int) -> T: ...\nx = f.__annotations__", "x['a'] = str; x['b'] = 1", "x == {'a': int, 'return': T}", works="typing.get_type_hints(f)['a'] is int"),
        Row("ExitStack with callbacks", "done = []; x = contextlib.ExitStack(); x.callback(done.append, 1)", "x.callback(done.append, 2); x.pop_all().close()", "done == [] and len(x._exit_callbacks) == 1", works="x.close() is None and done == [1]"),
        Row("context manager that was entered", "log = []\n@contextlib.contextmanager\ndef span():\n    log.append('in')\n    yield\n    log.append('out')\nx = span(); x.__enter__()", "x.__exit__(None, None, None)", "log == ['in']", part="x.gen", works="x.__exit__(None, None, None) is False or log == ['in', 'out']"),
        Row("inspect.Signature holder", "x = {'s': inspect.signature(lambda a, b=[1]: 0)}", "x['s'].parameters['b'].default.append(2); x['s'] = None", "str(x['s']) == '(a, b=[1])'", part="x['s'].parameters['b'].default", works="x['s'].bind(1).arguments == {'a': 1}"),
    ),
)

GROUPS = (CLASSES, FUNCTIONS)
