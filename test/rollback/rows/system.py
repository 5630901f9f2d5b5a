"""What Python and IPython keep beside the user's objects."""

from row import Group, Row

LIBRARY_STATE = Group(
    "Small things of the standard library",
    imports="import atexit, bdb, calendar, cmd, code, collections.abc, concurrent.futures, cProfile, copyreg, dis, fnmatch, fractions, functools, getopt, gc, importlib, imaplib, inspect, ipaddress, locale, mimetypes, numbers, pdb, pkgutil, platform, plistlib, profile, pstats, pydoc, reprlib, runpy, select, sched, site, stat, symtable, sysconfig, timeit, trace, tracemalloc, types, typing, unittest, unittest.mock, urllib.parse, uuid, warnings, zipimport, sys",
    rows=(
        Row("Mock and what it was called with", "x = unittest.mock.Mock(); x(1)", "x(2); x.side_effect = ValueError; x.reset_mock()", "x.call_args_list == [unittest.mock.call(1)] and x.side_effect is None", part="x.return_value", works="x(3) is alias and x.call_count == 2"),
        Row("patch that was started", "class C: n = 1\np = unittest.mock.patch.object(C, 'n', 2); p.start(); x = C", "p.stop()", "x.n == 2", works="p.stop() in (None, False) and x.n == 1"),
        Row("TestCase and its result", "class T(unittest.TestCase):\n    def test(self): self.assertEqual(1, 1)\nx = unittest.TestResult(); T('test').run(x)", "T('test').run(x); x.stop(); x.failures.append((T('test'), 'spoiled'))", "x.testsRun == 1 and x.wasSuccessful() and not x.shouldStop", part="x.failures", works="T('test').run(x) is x"),
        Row("profiler with results", "x = cProfile.Profile(); x.runcall(sorted, [1])", "x.runcall(sorted, [2]); x.clear()", "len(x.getstats()) >= 1", works="x.runcall(len, []) == 0"),
        Row("interactive interpreter with names of its own", "x = code.InteractiveInterpreter({'a': 1})", "x.runsource('a = 2; b = 3')", "x.locals['a'] == 1 and 'b' not in x.locals", part="x.locals", works="x.runsource('a += 5') is False or x.locals['a'] == 6"),
        Row("network and its caches", "import ipaddress; x = ipaddress.ip_network('10.0.0.0/30'); first = x.broadcast_address", "object.__setattr__(x, '_prefixlen', 8)", "x.prefixlen == 30", part="x.network_address", works="len(list(x.hosts())) == 2"),
        Row("calendar and MIME types", "x = calendar.TextCalendar(); m = mimetypes.MimeTypes()", "x.setfirstweekday(6); m.add_type('a/b', '.zz')", "x.firstweekday == 0 and m.guess_type('f.zz')[0] is None", part="x.firstweekday", works="m.guess_type('f.txt')[0] == 'text/plain'"),
        Row("reducers of copyreg", "class C: pass\nx = copyreg.dispatch_table", "copyreg.pickle(C, lambda c: (C, ()))", "C not in x", works="copyreg.pickle(C, lambda c: (C, ())) is None and C in x"),
        Row("reprlib.Repr", "x = reprlib.Repr()", "x.maxlist = 1; x.repr_int = lambda n, level: 'n'", "x.maxlist == 6 and x.repr(5) == '5'", works="x.repr([1] * 9).count('1') == 6"),
        Row("memory that tracemalloc traced", "tracemalloc.start(); x = [bytearray(1000)]; s = tracemalloc.take_snapshot()", "tracemalloc.stop(); tracemalloc.clear_traces()", "tracemalloc.is_tracing() and tracemalloc.get_object_traceback(alias) is not None", part="x[0]", works="tracemalloc.stop() is None", otherwise="memory is traced"),
        Row("breakpoints of bdb", "x = bdb.Bdb(); before = dict(bdb.Breakpoint.bplist)", "bdb.Breakpoint(x.canonic(copyreg.__file__), 1)", "bdb.Breakpoint.bplist == before", works="x.get_all_breaks() == {}"),
        Row("command interpreter with a queue", "class C(cmd.Cmd):\n    def do_a(self, line): self.lastcmd = 'a ' + line\nx = C(); x.cmdqueue.append('a 1')", "x.onecmd('a 9'); x.cmdqueue.clear()", "x.cmdqueue == ['a 1'] and x.lastcmd == ''", part="x.cmdqueue", works="x.onecmd('a 2') is None and x.lastcmd == 'a 2'"),
    ),
)

GROUPS = (LIBRARY_STATE,)
