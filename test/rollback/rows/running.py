"""What goes on from where it stood: generators, coroutines, iterators, and asyncio's objects."""

from row import Group, Row

ITERATION = Group(
    "Generators and iterators",
    imports="import asyncio, csv, io, itertools, sys, types",
    rows=(
        Row("generator that was started", "def count():\n    seen = []\n    while True:\n        got = yield list(seen)\n        seen.append(got)\nx = count(); next(x); x.send(1)", "x.send(2); x.send(3); x.close()", "x.gi_frame.f_locals['seen'] == [1]", part="x.gi_frame.f_locals['seen']", works="x.send(4) == [1, 4]", brief=True),
        Row("generator that was not started", "ran = []\ndef g():\n    ran.append(1)\n    yield 5\nx = g()", "next(x)", "ran == [] and x.gi_frame.f_lasti <= 0 or ran == []", works="next(x) == 5 and ran == [1]"),
        Row("generator that stands in try/finally", "log = []\ndef g():\n    try:\n        yield 1\n        yield 2\n    finally: log.append('finally')\nx = g(); next(x)", "x.close()", "log == [] and x.gi_frame is not None", works="next(x) == 2"),
        Row("yield from, three deep", "def a():\n    for i in range(9): yield i\ndef b(): yield from a()\ndef c(): yield from b()\nx = c(); next(x)", "next(x); next(x); inner = x.gi_yieldfrom; next(inner)", "True if next(x) == 1 else False", part="x.gi_yieldfrom", works="next(x) == 2"),
        Row("coroutine", "class Wait:\n    def __await__(self): return (yield 'waiting')\nasync def work():\n    got = [await Wait()]\n    got.append(await Wait())\n    return got\nx = work(); x.send(None)", "x.send(1)\ntry: x.send(2)\nexcept StopIteration: pass", "x.cr_frame is not None and x.cr_frame.f_locals == {}", works="x.send('a') == 'waiting' and x.cr_frame.f_locals['got'] == ['a'] and x.close() is None", brief=True),
        Row("asynchronous generator", "async def numbers():\n    n = 0\n    while True:\n        n += 1\n        yield n\nx = numbers(); first = await x.__anext__()", "await x.__anext__(); await x.aclose()", "x.ag_frame is not None and x.ag_frame.f_locals == {'n': 1}", works="x.ag_running is False"),
        Row("iterators of a list, a dict and a set", "base = [1, 2, 3, 4]; x = iter(base); d = iter({'a': 1, 'b': 2}); s = iter({7}); next(x); next(d)", "next(x); next(d); next(s); base.append(5)", "x.__length_hint__() == 3 and d.__length_hint__() == 1 and s.__length_hint__() == 1", works="(next(x), next(d), next(s)) == (2, 'b', 7)", brief=True),
        Row("enumerate, zip, map, filter, reversed", "x = enumerate('abc'); z = zip([1, 2], 'ab'); m = map(str, [1, 2]); f = filter(None, [0, 1, 2]); r = reversed([1, 2]); next(x)", "next(x); next(z); next(m); next(f); next(r)", "(next(x), next(z), next(m), next(f), next(r)) == ((1, 'b'), (1, 'a'), '1', 1, 2)", works="next(x) == (2, 'c')"),
        Row("count, cycle, repeat", "x = itertools.count(5); c = itertools.cycle('ab'); r = itertools.repeat('r', 3); next(x); next(c); next(r)", "[(next(x), next(c), next(r)) for _ in range(2)]", "(next(x), next(c), list(r)) == (6, 'b', ['r', 'r'])", works="next(x) == 7"),
        Row("chain, islice, takewhile, accumulate", "x = itertools.chain([1, 2], [3]); i = itertools.islice(range(9), 2, 8, 2); t = itertools.takewhile(bool, [1, 0]); a = itertools.accumulate([1, 2, 3]); next(x); next(i); next(a)", "list(x), list(i), list(t), list(a)", "(list(x), list(i), list(t), list(a)) == ([2, 3], [4, 6], [1], [3, 6])", works="list(x) == []"),
        Row("tee and groupby", "x, second = itertools.tee(iter([1, 2, 3])); next(x); g = itertools.groupby('aab'); key, members = next(g)", "next(x); next(second); next(g)", "(list(x), list(second), list(members), next(g)[0]) == ([2, 3], [1, 2, 3], ['a', 'a'], 'b')", works="list(x) == []"),
        Row("permutations, combinations, product", "x = itertools.permutations('abc'); c = itertools.combinations('abc', 2); p = itertools.product('ab', repeat=2); next(x)", "next(x); next(c); list(p)", "(next(x), next(c), next(p)) == (('a', 'c', 'b'), ('a', 'b'), ('a', 'a'))", works="len(list(p)) == 3"),
        Row("iter with a sentinel", "base = [3, 2, 1, 0]; x = iter(base.pop, 2)", "next(x)", "base == [3, 2, 1, 0]", works="next(x) == 0 and base == [3, 2, 1]"),
        Row("types.coroutine and awaitables by generator", "@types.coroutine\ndef tick():\n    got = yield 1\n    return got\nasync def f(): return await tick() + await tick()\nx = f(); x.send(None)", "x.send(5); x.close()", "x.cr_await is not None", part="x.cr_await", works="x.send(2) == 1 and x.close() is None"),
    ),
)

ASYNCIO = Group(
    "asyncio",
    imports="import asyncio, concurrent.futures, contextvars, time",
    rows=(
        Row("Future", "loop = asyncio.get_running_loop(); x = loop.create_future(); seen = []; x.add_done_callback(seen.append)", "x.set_result(1); await asyncio.sleep(0)", "not x.done() and seen == []", part="x.get_loop()", works="x.set_result(2) is None and x.result() == 2", brief=True),
        Row("Event, Lock, Semaphore", "x = asyncio.Event(); lock = asyncio.Lock(); sem = asyncio.Semaphore(2)", "x.set(); await lock.acquire(); await sem.acquire(); await sem.acquire()", "not x.is_set() and not lock.locked() and not sem.locked()", works="x.set() is None and x.is_set()"),
        Row("Queue", "x = asyncio.Queue(3); x.put_nowait([1])", "x._queue[0].append(2); await x.get(); await x.put(5); x.put_nowait(6)", "x.qsize() == 1 and x._queue[0] == [1]", part="x._queue[0]", works="x.get_nowait() == [1]", brief=True),
        Row("PriorityQueue and Condition", "x = asyncio.PriorityQueue(); x.put_nowait((2, 'b')); c = asyncio.Condition()", "x.put_nowait((1, 'a')); await c.acquire(); x.get_nowait()", "x._queue == [(2, 'b')] and not c.locked()", works="x.get_nowait() == (2, 'b')"),
        Row("task that waits for an event", "go = asyncio.Event(); log = []\nasync def waiter():\n    log.append('started'); await go.wait(); log.append('gone on')\nx = asyncio.ensure_future(waiter()); await asyncio.sleep(0)", "go.set(); await asyncio.sleep(0.01)", "log == ['started'] and not x.done()", works="go.set() is None and x.cancel() is True", brief=True),
        Row("task that was cancelled", "async def forever():\n    await asyncio.Future()\nx = asyncio.ensure_future(forever()); await asyncio.sleep(0)", "x.cancel(); await asyncio.sleep(0.01)", "not x.done()", works="x.cancel() is True"),
        Row("timer of the loop", "fired = []; x = asyncio.get_running_loop().call_later(60, fired.append, 1)", "x.cancel(); asyncio.get_running_loop().call_soon(fired.append, 2); await asyncio.sleep(0)", "not x.cancelled() and fired == []", works="x.cancel()"),
        Row("gather of two tasks", "a, b = asyncio.Event(), asyncio.Event(); x = asyncio.gather(a.wait(), b.wait()); await asyncio.sleep(0)", "a.set(); b.set(); await x", "not x.done()", works="x.cancel() is True"),
        Row("StreamReader", "x = asyncio.StreamReader(); x.feed_data(b'one\\ntwo')", "await x.readline(); x.feed_eof()", "bytes(x._buffer) == b'one\\ntwo' and not x.at_eof()", part="x._buffer", works="x.feed_data(b'!')"),
        Row("concurrent.futures.Future", "x = concurrent.futures.Future(); seen = []; x.add_done_callback(seen.append)", "x.set_running_or_notify_cancel(); x.set_result(1)", "not x.done() and seen == []", works="x.set_result(3) is None and x.result() == 3 and seen == [x]"),
        Row("contextvars", "x = contextvars.ContextVar('x', default=0); token = x.set(1)", "x.set(2); x.set(3)", "x.get() == 1", works="x.set(5).old_value == 1"),
        Row("Context", "v = contextvars.ContextVar('v'); x = contextvars.Context(); x.run(v.set, [1])", "x.run(v.set, 2); x[v]", "x[v] == [1]", part="x[v]", works="x.run(v.get) == [1]"),
    ),
)

GROUPS = (ITERATION, ASYNCIO)
