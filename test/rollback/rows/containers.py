"""Built-in containers and those of `collections`, `heapq`, `array`, `ctypes`."""

from row import Group, Row

BUILT_IN = Group(
    "Built-in containers",
    imports="import sys",
    rows=(
        Row("list", "x = [1, [2, 3], 4]", "x[1].append(9); x.reverse(); del x[0]; x *= 2", "x == [1, [2, 3], 4]", part="x[1]", works="x.append(5)", brief=True),
        Row("list that holds itself", "x = [1]; x.append(x)", "x[:] = [2, x, x]", "len(x) == 2 and x[0] == 1", part="x[1][1]", works="x.append(3)"),
        Row("dict", "x = {'a': 1, 'b': {'c': 2}}", "x['b']['c'] = 3; x['d'] = x.pop('a')", "x == {'a': 1, 'b': {'c': 2}} and list(x) == ['a', 'b']", part="x['b']", works="x.update(e=5)", brief=True),
        Row("dict, the order of its keys", "x = dict.fromkeys('abc')", "x['a'] = x.pop('a')", "list(x) == ['a', 'b', 'c']", works="x.popitem() == ('c', None)"),
        Row("views of a dict", "d = {'a': 1}; x = d.items(); keys = d.keys()", "d['b'] = 2", "list(x) == [('a', 1)] and list(keys) == ['a'] and x.mapping['a'] == d['a']", works="d.update(z=1) is None and 'z' in keys"),
        Row("set", "x = {1, 2, (3, 4)}", "x ^= {2, 5}; x.discard(1)", "x == {1, 2, (3, 4)}", works="x.add(6)", brief=True),
        Row("set of objects by identity", "class Item: pass\nitem = Item(); x = {item}", "x.clear()", "item in x and len(x) == 1", part="next(iter(x))", works="x.remove(item)"),
        Row("tuple of mutable objects", "x = ([1], {'k': [2]}, bytearray(b'z'))", "x[0].clear(); x[1]['k'] += [3]; x[2][0] = 65", "x == ([1], {'k': [2]}, bytearray(b'z'))", part="x[1]['k']", works="x[0].append(2)", brief=True),
        Row("frozenset of objects that change", "class Item:\n    n = 0\nitem = Item(); x = frozenset([item])", "item.n = 5", "[each.n for each in x] == [0]", part="next(iter(x))", works="item in x"),
        Row("bytearray", "x = bytearray(b'abc')", "x.extend(b'def'); x[0] = 0", "x == b'abc'", works="x.append(1)"),
        Row("bytearray with views", "x = bytearray(8); first = memoryview(x)[:4]", "first[0] = 7; x[5] = 9", "bytes(x) == bytes(8) and first.obj is x", part="first.obj", works="first.__setitem__(0, 3) is None and x[0] == 3", brief=True),
        Row("memoryview, cast and strided", "b = bytearray(range(16)); x = memoryview(b).cast('I'); odd = memoryview(b)[1::2]", "x[0] = 0; odd[7] = 0", "b == bytes(range(16)) and odd.tolist() == list(range(1, 16, 2))", part="x.obj", works="x.__setitem__(1, 5) is None and b[4] == 5", brief=True),
        Row("slice and range holders", "x = {'s': slice(1, [2], None), 'r': range(5)}", "x['s'].stop.append(3); x['r'] = range(6)", "x['s'].stop == [2] and x['r'] == range(5)", part="x['s'].stop", works="list(x['r'])"),
        Row("list of 100000 objects", "x = [[i] for i in range(100000)]", "for each in x: each[0] += 1", "all(each[0] == i for i, each in enumerate(x))", part="x[99999]", works="x.pop()"),
        Row("nested 5000 deep", "x = inner = []\nfor _ in range(5000):\n    inner.append([]); inner = inner[0]", "inner.append('deep')", "inner == []", works="inner.append(1)", brief=True),
    ),
)

COLLECTIONS = Group(
    "collections, heapq, array, ctypes",
    imports="import array, collections, ctypes, heapq, types, weakref, bisect, graphlib, string",
    rows=(
        Row("deque with a bound", "x = collections.deque([[1], 2, 3], maxlen=3)", "x[0].append(1); x.append(4); x.rotate(1)", "list(x) == [[1], 2, 3] and x.maxlen == 3", part="x[0]", works="x.append(9) is None and len(x) == 3", brief=True),
        Row("defaultdict", "x = collections.defaultdict(list, a=[1])", "x['b'].append(2); x['a'].append(3); x.default_factory = int", "dict(x) == {'a': [1]} and x.default_factory is list", part="x['a']", works="x['new'] == []"),
        Row("Counter", "x = collections.Counter('abca')", "x.update('aaa'); x.subtract('b'); del x['c']", "x == {'a': 2, 'b': 1, 'c': 1}", works="x.most_common(1) == [('a', 2)]"),
        Row("OrderedDict", "x = collections.OrderedDict(a=[1], b=2)", "x.move_to_end('a'); x['a'].append(2)", "list(x.items()) == [('a', [1]), ('b', 2)]", part="x['a']", works="x.popitem(last=False)"),
        Row("ChainMap", "base = {'a': 1}; x = collections.ChainMap({}, base)", "x['b'] = 2; base['a'] = 3; x.maps.append({})", "dict(x) == {'a': 1} and len(x.maps) == 2", part="x.maps[1]", works="x.new_child()['a'] == 1"),
        Row("UserDict, UserList", "x = collections.UserDict(a=collections.UserList([1]))", "x['a'].append(2); x.data['b'] = 1", "x.data == {'a': collections.UserList([1])}", part="x['a']", works="x['a'].append(3)"),
        Row("namedtuple of lists", "P = collections.namedtuple('P', 'a b'); x = P([1], {})", "x.a.append(2); x.b['k'] = 1; P.extra = 1", "x == ([1], {}) and not hasattr(P, 'extra')", part="x.a", works="x._replace(a=1).a == 1"),
        Row("heap", "x = [5, 1, 4]; heapq.heapify(x); before = list(x)", "heapq.heappush(x, 0); heapq.heappop(x); heapq.heapreplace(x, 9)", "x == before", works="heapq.heappop(x) == 1"),
        Row("list kept sorted by bisect", "x = [1, 3, 5]", "bisect.insort(x, 4)", "x == [1, 3, 5]", works="bisect.bisect(x, 3) == 2"),
        Row("array.array", "x = array.array('d', [1, 2, 3])", "x[0] = 9; x.byteswap(); x.append(4)", "x.tolist() == [1, 2, 3] and x.typecode == 'd'", works="x.extend([5])", brief=True),
        Row("array with an exported buffer", "x = array.array('i', [1, 2]); view = memoryview(x)", "view[1] = 7", "x.tolist() == [1, 2] and view.tolist() == [1, 2]", part="view.obj", works="view.__setitem__(0, 3) is None and x[0] == 3"),
        Row("ctypes structure", "class S(ctypes.Structure):\n    _fields_ = [('a', ctypes.c_int), ('b', ctypes.c_double * 3)]\nx = S(1, (1.0, 2.0, 3.0)); tail = x.b", "x.a = 9; tail[2] = 0.5", "x.a == 1 and list(x.b) == [1.0, 2.0, 3.0]", works="ctypes.sizeof(x) == 32 and tail.__setitem__(0, 4.0) is None and x.b[0] == 4.0", brief=True),
        Row("ctypes array of structures", "class P(ctypes.Structure):\n    _fields_ = [('n', ctypes.c_short)]\nx = (P * 4)(); third = x[2]", "third.n = 5; x[0].n = 6", "[each.n for each in x] == [0] * 4", works="setattr(third, 'n', 3) is None and x[2].n == 3"),
        Row("ctypes pointer", "n = ctypes.c_int(5); other = ctypes.c_int(7); x = ctypes.pointer(n)", "x.contents.value = 6; x.contents = other", "x.contents.value == 5 and ctypes.addressof(x.contents) == ctypes.addressof(n)", works="setattr(x.contents, 'value', 8) is None and n.value == 8"),
        Row("ctypes union", "class U(ctypes.Union):\n    _fields_ = [('i', ctypes.c_uint32), ('b', ctypes.c_uint8 * 4)]\nx = U(); x.i = 0x01020304", "x.b[0] = 255", "x.i == 0x01020304", works="list(x.b) == [4, 3, 2, 1]"),
        Row("ctypes string buffer", "x = ctypes.create_string_buffer(b'abc', 10)", "x.value = b'changed'; ctypes.memset(x, 0, 3)", "x.value == b'abc'", works="x.raw == b'abc' + bytes(7)"),
        Row("ctypes callback", "calls = []\nx = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda n: calls.append(n) or n + 1)", "x(1)", "calls == []", works="x(4) == 5 and calls == [4]"),
        Row("SimpleNamespace", "x = types.SimpleNamespace(a=[1], b=2)", "x.a.append(2); del x.b; x.c = 1", "x == types.SimpleNamespace(a=[1], b=2)", part="x.a", works="setattr(x, 'c', 1) is None"),
        Row("mappingproxy", "d = {'a': 1}; x = types.MappingProxyType(d)", "d['a'] = 2; d['b'] = 3", "dict(x) == {'a': 1}", works="d.update(c=1) is None and 'c' in x"),
        Row("WeakValueDictionary", "class C: pass\nkept = C(); x = weakref.WeakValueDictionary(k=kept)", "del kept, alias", "dict(x) == {'k': kept}", part="x['k']", works="x.__setitem__('z', kept)"),
        Row("WeakKeyDictionary and WeakSet", "class C: pass\nkept = C(); x = weakref.WeakKeyDictionary({kept: [1]}); s = weakref.WeakSet([kept])", "x[kept].append(2); s.clear()", "x[kept] == [1] and kept in s", part="x[kept]", works="len(x) == 1"),
        Row("weak reference and its callback", "class C: pass\nkept = C(); died = []; x = weakref.ref(kept, died.append)", "del kept, alias", "x() is not None and died == []", part="x()", works="del kept, alias\nassert x() is None and died == [x]", brief=True),
        Row("weakref.finalize", "class C: pass\nkept = C(); done = []; x = weakref.finalize(kept, done.append, 1)", "x()", "x.alive and done == []", works="x() is None and done == [1] and not x.alive"),
        Row("graphlib.TopologicalSorter", "x = graphlib.TopologicalSorter({'b': ['a'], 'c': ['b']}); x.prepare()", "x.done(*x.get_ready())", "x.get_ready() == ('a',)", works="x.done('a') is None and x.get_ready() == ('b',)"),
        Row("string.Template", "x = string.Template('$a and $b')", "x.template = 'gone'; x.extra = 1", "vars(x) == {'template': '$a and $b'}", works="x.substitute(a=1, b=2) == '1 and 2'"),
    ),
)

GROUPS = (BUILT_IN, COLLECTIONS)
