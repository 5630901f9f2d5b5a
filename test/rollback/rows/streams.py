"""Files and what reads and writes them, and databases in memory."""

from row import Group, Row

FILES = Group(
    "Files and streams",
    imports=(
        "import fcntl, subprocess\n"
        "import bz2, codecs, configparser, csv, dbm.dumb, fileinput, gzip, io, json, linecache, lzma, mmap, os, pathlib, pickle\n"
        "import shelve, sqlite3, tarfile, tempfile, wave, zipfile, zlib\n"
        "folder = tempfile.TemporaryDirectory(); place = lambda name: os.path.join(folder.name, name)\n"
        "def written(name, data=b'line one\\nline two\\nline three\\n'):\n"
        "    with open(place(name), 'wb') as file: file.write(data)\n"
        "    return place(name)"
    ),
    rows=(
        Row("file that is read, its position", "x = open(written('read')); x.readline()", "x.readline(); x.seek(0, 2)", "x.tell() == 9", part="x.buffer", works="x.readline() == 'line two\\n'", brief=True),
        Row("file that is iterated over", "x = open(written('lines'), 'rb'); next(x)", "list(x)", "x.tell() == 9", works="next(x) == b'line two\\n'"),
        Row("raw file", "x = open(written('raw'), 'rb', buffering=0); x.read(4)", "x.read(4); x.seek(20)", "x.tell() == 4", works="x.read(4) == b' one'"),
        Row("descriptor of a file", "x = [os.open(written('fd'), os.O_RDONLY)]; os.read(x[0], 5)", "os.lseek(x[0], 0, os.SEEK_END); os.close(x[0])", "os.lseek(x[0], 0, os.SEEK_CUR) == 5", works="os.read(x[0], 3) == b'one' and os.close(x[0]) is None", otherwise=r"descriptor \d+ .*closed"),
        Row("file with text that is not written yet", "x = open(place('buffered'), 'w'); x.write('kept ')", "x.write('gone '); x.mode = 'spoiled'", "x.mode == 'w' and not x.closed", part="x.buffer", works="x.close() is None and open(place('buffered')).read() == 'kept '", brief=True),
        Row("file that the cell closes", "x = open(written('closed'))", "x.read(); x.close()", "not x.closed and x.tell() == 0", works="x.readline() == 'line one\\n'"),
        Row("lock on a file, by flock", "x = open(written('flock')); fcntl.flock(x, fcntl.LOCK_EX); is_free = lambda: subprocess.run(['flock', '-n', x.name, 'true']).returncode == 0", "fcntl.flock(x, fcntl.LOCK_UN)", "not is_free()", works="fcntl.flock(x, fcntl.LOCK_UN) is None and is_free()"),
        Row("lock on a part of a file, by fcntl", "x = open(written('lockf'), 'r+b'); fcntl.lockf(x, fcntl.LOCK_EX, 5, 2); attempt = 'import fcntl, sys; fcntl.lockf(open(sys.argv[1], \"r+b\"), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, int(sys.argv[2]))'; is_free = lambda at: subprocess.run(['python3', '-c', attempt, x.name, str(at)], stderr=subprocess.DEVNULL).returncode == 0", "fcntl.lockf(x, fcntl.LOCK_UN)", "not is_free(3) and is_free(9)", works="fcntl.lockf(x, fcntl.LOCK_UN) is None and is_free(3)"),
        Row("lock that the failed cell took", "x = open(written('newlock')); is_free = lambda: subprocess.run(['flock', '-n', x.name, 'true']).returncode == 0", "fcntl.flock(x, fcntl.LOCK_EX)", "is_free()", works="fcntl.flock(x, fcntl.LOCK_EX) is None and not is_free()"),
        Row("StringIO", "x = io.StringIO('abc'); x.read(1)", "x.read(); x.write('more'); x.truncate(1)", "x.getvalue() == 'abc' and x.tell() == 1", works="x.read() == 'bc'", brief=True),
        Row("BytesIO with an exported buffer", "x = io.BytesIO(b'abc'); b = x.getbuffer()", "b[0] = 90; x.seek(2)", "x.getvalue() == b'abc' and x.tell() == 0", part="b.obj", works="b.__setitem__(0, 65) is None and x.getvalue() == b'Abc'"),
        Row("TextIOWrapper over BytesIO", "raw = io.BytesIO(b'ab\\ncd\\n'); x = io.TextIOWrapper(raw); x.readline()", "x.readline(); x.detach()", "x.readline() == 'cd\\n'", part="x.buffer", works="x.seek(0) == 0"),
        Row("BufferedRWPair and BufferedReader", "x = io.BufferedReader(io.BytesIO(b'0123456789'), 4); x.read(2)", "x.read(5); x.peek()", "x.tell() == 2", part="x.raw", works="x.read(3) == b'234'"),
        Row("TemporaryFile", "x = tempfile.TemporaryFile(); x.write(b'abc'); x.flush(); x.seek(1)", "x.seek(0, 2)", "x.tell() == 1", works="x.read() == b'bc'"),
        Row("SpooledTemporaryFile in memory", "x = tempfile.SpooledTemporaryFile(1000); x.write(b'abc')", "x.write(b'def'); x.seek(0)", "x.tell() == 3 and x._file.getvalue() == b'abc'", part="x._file", works="x.seek(0) == 0 and x.read() == b'abc'"),
        Row("mmap without a file, shared by default", "x = mmap.mmap(-1, 4096); x[:4] = b'kept'; x.seek(2)", "x[:4] = b'gone'; x.seek(9)", "x[:4] == b'kept' and x.tell() == 2", works="x.__setitem__(0, 65) is None and x[:4] == b'Aept'", brief=True),
        Row("memory file and a map of it", "x = os.memfd_create('rows'); os.ftruncate(x, 64); m = mmap.mmap(x, 64); m[:4] = b'kept'", "m[:4] = b'gone'", "m[:4] == b'kept' and os.pread(x, 4, 0) == b'kept'", works="os.pwrite(x, b'via descriptor', 0) == 14 and m[:3] == b'via' and m.close() is os.close(x)"),
        Row("mmap without a file", "x = mmap.mmap(-1, 4096, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS); x[:3] = b'abc'; x.seek(2)", "x[:3] = b'zzz'; x.seek(0)", "x[:3] == b'abc' and x.tell() == 2", works="x.__setitem__(0, 65) is None and x[:2] == b'Ab'", brief=True),
        Row("mmap of a file, copied on write", "f = open(written('map'), 'r+b'); x = mmap.mmap(f.fileno(), 0, access=mmap.ACCESS_COPY)", "x[0:4] = b'ZZZZ'", "x[0:8] == b'line one'", works="x.find(b'two') == 14"),
        Row("csv writer and reader", "out = io.StringIO(); x = csv.writer(out); x.writerow([1, 2]); r = csv.reader(['a,b', 'c,d']); next(r)", "x.writerow([3]); next(r)", "out.getvalue() == '1,2\\r\\n' and r.line_num == 1", works="next(r) == ['c', 'd'] and x.writerow('e') == 3"),
        Row("DictReader", "x = csv.DictReader(['a,b', '1,2', '3,4']); next(x)", "next(x); x.fieldnames.append('c')", "x.line_num == 2 and x.fieldnames == ['a', 'b']", part="x.fieldnames", works="next(x) == {'a': '3', 'b': '4'}"),
        Row("ZipFile and TarFile in memory", "raw = io.BytesIO(); x = zipfile.ZipFile(raw, 'w'); x.writestr('a', 'A'); t = tarfile.open(fileobj=io.BytesIO(), mode='w')", "x.writestr('b', 'B'); t.addfile(tarfile.TarInfo('c'))", "x.namelist() == ['a'] and t.getnames() == []", part="x.filelist", works="x.writestr('c', 'C') is None and x.namelist() == ['a', 'c']"),
        Row("GzipFile, BZ2File, LZMAFile that are read", "x = gzip.GzipFile(fileobj=io.BytesIO(gzip.compress(b'abcdef'))); b = bz2.BZ2File(io.BytesIO(bz2.compress(b'abc'))); z = lzma.LZMAFile(io.BytesIO(lzma.compress(b'abc'))); x.read(2); b.read(1); z.read(1)", "x.read(); b.read(); z.close()", "(x.tell(), b.tell(), z.tell()) == (2, 1, 1)", works="(x.read(), b.read(), z.read()) == (b'cdef', b'bc', b'bc')"),
        Row("compressor and decompressor of zlib", "x = zlib.compressobj(); head = x.compress(b'abc'); packed = zlib.compress(bytes(range(200))); d = zlib.decompressobj(); first = d.decompress(packed[:50])", "x.compress(b'spoiled'); x.flush(); d.decompress(packed[50:])", "zlib.decompress(head + x.flush()) == b'abc' and not d.eof", works="first + d.decompress(packed[50:]) == bytes(range(200)) and d.eof", brief=True),
        Row("incremental decoder and encoder", "x = codecs.getincrementaldecoder('utf-8')(); x.decode(b'\\xe2\\x82'); e = codecs.getincrementalencoder('utf-16')(); e.encode('a')", "x.reset(); e.reset()", "x.getstate()[0] == b'\\xe2\\x82' and e.getstate() != 2", works="x.decode(b'\\xac') == '\\u20ac' and len(e.encode('b')) == 2"),
        Row("wave writer in memory", "raw = io.BytesIO(); x = wave.open(raw, 'wb'); x.setnchannels(1); x.setsampwidth(1); x.setframerate(8)", "x.setnchannels(2); x.writeframes(b'abcd')", "x.getnchannels() == 1 and x.tell() == 0", works="x.writeframes(b'ab') is None and x.tell() == 2"),
        Row("pickler and unpickler with a memo", "raw = io.BytesIO(); x = pickle.Pickler(raw); shared = [1]; x.dump(shared); size = raw.tell()", "x.clear_memo(); x.dump(shared)", "raw.tell() == size", works="x.dump(shared) is None and raw.tell() < 2 * size"),
        Row("linecache", "x = linecache.cache; linecache.getline(written('cached'), 1)", "linecache.clearcache()", "place('cached') in x", works="linecache.getline(place('cached'), 2) == 'line two\\n'"),
        Row("pathlib.Path and its caches", "x = {'p': pathlib.Path(folder.name, 'a', 'b.txt')}; x['p'].parts", "x['p'] = x['p'].with_suffix('.gz')", "x['p'].name == 'b.txt'", part="x['p']", works="x['p'].parent.name == 'a'"),
    ),
)

DATABASES = Group(
    "Databases and stores in memory",
    imports=FILES.imports,
    rows=(
        Row("sqlite in memory, committed", "x = sqlite3.connect(':memory:'); x.execute('create table t (n)'); x.execute('insert into t values (1)'); x.commit()", "x.execute('insert into t values (2)'); x.execute('create table u (m)'); x.commit()", "x.execute('select n from t').fetchall() == [(1,)] and x.execute('select count(*) from sqlite_master').fetchone() == (1,)", works="x.execute('insert into t values (5)').rowcount == 1", brief=True),
        Row("sqlite in memory, in the middle of its transaction", "x = sqlite3.connect(':memory:'); x.execute('create table t (n)'); x.commit(); x.execute('insert into t values (1)')", "x.rollback()", "x.in_transaction and x.execute('select n from t').fetchall() == [(1,)]", works="x.commit() is None and not x.in_transaction"),
        Row("cursor in the middle of its rows", "db = sqlite3.connect(':memory:'); x = db.execute('with recursive c(n) as (select 1 union all select n + 1 from c limit 5) select n from c'); x.fetchone()", "x.fetchall(); x.close()", "x.fetchone() == (2,)", part="x.connection", works="x.fetchone() == (3,)"),
        Row("functions and settings of a connection", "x = sqlite3.connect(':memory:'); x.create_function('twice', 1, lambda n: 2 * n)", "x.row_factory = sqlite3.Row; x.create_function('twice', 1, None); x.isolation_level = None", "x.row_factory is None and x.isolation_level == '' and x.execute('select twice(4)').fetchone() == (8,)", works="x.execute('select twice(1)').fetchone() == (2,)"),
        Row("shelf with writeback, over a dict", "base = {}; x = shelve.Shelf(base, writeback=True); x['a'] = [1]; x.sync()", "x['a'].append(2); x['b'] = 1; x.sync()", "x['a'] == [1] and list(base) == [b'a']", part="x['a']", works="x['a'].append(5) is None and x.sync() is None"),
        Row("dbm.dumb, its index in memory", "x = dbm.dumb.open(place('db'), 'n'); x[b'k'] = b'v'; x.sync()", "del x[b'k']", "x.keys() == [b'k']", part="x._index", works="x[b'k'] == b'v'"),
    ),
)

GROUPS = (FILES, DATABASES)
