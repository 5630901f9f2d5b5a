"""pandas, polars and pyarrow."""

from row import Group, Row

PANDAS = Group(
    "pandas",
    package="pandas",
    imports="import io\nimport numpy as np\nimport pandas as pd",
    rows=(
        Row("DataFrame, its values", "x = pd.DataFrame({'a': [1, 2, 3], 'b': [1.5, 2.5, 3.5]}); before = x.copy()", "x.loc[0, 'a'] = 9; x['b'] *= 2; x['c'] = 1; x.drop(columns='a', inplace=True); x.columns = ['p', 'q']", "x.equals(before)", part="x._mgr", works="x['a'].sum() == 6", brief=True),
        Row("DataFrame, its index and names", "x = pd.DataFrame({'a': [1, 2]}, index=['r', 's'])", "x.index = [0, 1]; x.index.name = 'n'; x.rename(columns={'a': 'z'}, inplace=True); x.set_flags(allows_duplicate_labels=False); x.flags.allows_duplicate_labels = False", "list(x.index) == ['r', 's'] and x.index.name is None and list(x) == ['a'] and x.flags.allows_duplicate_labels", part="x.index", works="x.loc['r', 'a'] == 1"),
        Row("attrs of a DataFrame", "x = pd.DataFrame({'a': [1]}); x.attrs['unit'] = ['m']", "x.attrs['unit'].append('km'); x.attrs.clear()", "x.attrs == {'unit': ['m']}", part="x.attrs['unit']", works="x.copy().attrs == x.attrs"),
        Row("DataFrame over the memory of an array", "raw = np.zeros((3, 2)); x = pd.DataFrame(raw, columns=list('ab'), copy=False)", "raw[0] = 9", "not raw.any() and not x.to_numpy().any()", works="raw.__setitem__((1, 1), 4.0) is None and x['b'].sum() in (0, 4)"),
        Row("Series", "x = pd.Series([1, 2, 3], index=list('abc'), name='s')", "x['a'] = 9; x.name = 't'; x.sort_values(ascending=False, inplace=True); x.drop('b', inplace=True)", "x.tolist() == [1, 2, 3] and x.name == 's' and list(x.index) == list('abc')", part="x.index", works="x['b'] == 2", brief=True),
        Row("column that a Series was taken from", "f = pd.DataFrame({'a': [1, 2]}); x = f['a']", "x.iloc[0] = 9; f.loc[1, 'a'] = 8", "x.tolist() == [1, 2] and f['a'].tolist() == [1, 2]", works="f['a'].sum() == 3"),
        Row("column of objects", "item = [1]; x = pd.DataFrame({'o': [item, {'k': 1}]}, dtype=object)", "item.append(2); x.at[1, 'o']['k'] = 5", "item == [1] and x.at[1, 'o'] == {'k': 1}", part="x.at[0, 'o']", works="x.at[0, 'o'].append(3) is None and item == [1, 3]"),
        Row("Categorical", "x = pd.Categorical(['a', 'b', 'a'])", "x[0] = 'b'; x._ndarray[1] = 0", "list(x) == ['a', 'b', 'a']", part="x.dtype", works="list(x.codes) == [0, 1, 0]"),
        Row("text, nullable and boolean columns", "x = pd.DataFrame({'t': ['a', None], 'n': pd.array([1, None], 'Int64'), 'b': pd.array([True, None], 'boolean')}); before = x.copy()", "x.loc[0, 't'] = 'changed'; x['n'] += 1; x.fillna({'b': False}, inplace=True)", "x.equals(before)", works="x['n'].sum() == 1"),
        Row("MultiIndex", "x = pd.DataFrame({'v': [1, 2]}, index=pd.MultiIndex.from_tuples([('a', 1), ('b', 2)], names=['k', 'n']))", "x.index.names = ['p', 'q']; x.loc[('a', 1), 'v'] = 9; x.index = x.index.droplevel(0)", "list(x.index) == [('a', 1), ('b', 2)] and list(x.index.names) == ['k', 'n'] and x['v'].tolist() == [1, 2]", part="x.index", works="x.loc[('b', 2), 'v'] == 2", brief=True),
        Row("DatetimeIndex with a zone, PeriodIndex", "x = pd.date_range('2024-01-01', periods=3, tz='Europe/Berlin'); p = pd.period_range('2024', periods=2, freq='Y')", "x.name = 'n'; p.name = 'm'; x._data._ndarray.setflags(write=True); x._data._ndarray[0] = np.datetime64('1999-01-01')", "x.name is None and p.name is None and x[0] == pd.Timestamp('2024-01-01', tz='Europe/Berlin')", part="x._data", works="x[1].day == 2"),
        Row("RangeIndex and IntervalIndex, their caches", "x = pd.interval_range(0, 3); r = pd.RangeIndex(3); r.get_loc(1)", "x.get_loc(1.5); x.name = 'n'; r.name = 'm'; r._cache.clear()", "x.name is None and r.name is None and len(r._cache) >= 0 and 'm' not in repr(r)", works="x.get_loc(0.5) == 0 and r.get_loc(2) == 2"),
        Row("SparseArray and IntervalArray", "x = pd.arrays.SparseArray([0, 0, 1]); i = pd.arrays.IntervalArray.from_breaks([0.0, 1.0, 2.0])", "x.sp_values[0] = 9; i._left[0] = 5", "list(x) == [0, 0, 1] and i.left[0] == 0", part="x.sp_values", works="x.density > 0.3"),
        Row("GroupBy with what it has cached", "f = pd.DataFrame({'k': ['a', 'b', 'a'], 'v': [1, 2, 3]}); x = f.groupby('k'); x.indices", "f.loc[0, 'v'] = 90; x.groups; x.sort = False", "x['v'].sum().tolist() == [4, 2] and x.sort", part="x.obj", works="x.size().tolist() == [2, 1]", brief=True),
        Row("Rolling, Expanding, Resampler", "s = pd.Series([1.0, 2, 3], index=pd.date_range('2024', periods=3)); x = s.rolling(2); e = s.expanding(); r = s.resample('2D')", "s.iloc[0] = 50; x.window = 3", "x.window == 2 and x.sum().iloc[1] == 3 and e.sum().iloc[2] == 6 and r.sum().iloc[0] == 3", part="x.obj", works="x.max().iloc[2] == 3"),
        Row("Styler", "x = pd.DataFrame({'a': [1]}).style; x.set_caption('c')", "x.set_caption('spoiled'); x.format('{:.3f}'); x.hide(axis='index')", "x.caption == 'c' and 'a' in x.data", part="x.data", works="'<caption>c' in x.to_html()"),
        Row("reader of a text file, in chunks", "x = pd.read_csv(io.StringIO('a,b\\n' + '1,2\\n' * 6), chunksize=2); next(x)", "next(x); next(x); x.close()", "next(x).shape == (2, 2)", works="len(next(x)) == 2"),
        Row("Timestamp, Timedelta, NaT, NA in a holder", "x = [pd.Timestamp('2024'), pd.Timedelta('1h'), pd.NaT, pd.NA]", "x[0] += x[1]; x.reverse()", "x[0] == pd.Timestamp('2024') and x[2] is pd.NaT and x[3] is pd.NA", part="x[0]", works="x[0] + x[1] == pd.Timestamp('2024-01-01 01:00')"),
        Row("accessors that were registered", "x = pd.DataFrame({'a': [1]})", "pd.api.extensions.register_dataframe_accessor('spoiled')(lambda frame: 1); pd.DataFrame.extra = 5; x.spoiled", "not hasattr(x, 'spoiled') and not hasattr(x, 'extra')", works="x.plot is not None"),
        Row("iterator over the rows", "x = pd.DataFrame({'a': [1, 2, 3]}).itertuples(index=False); next(x)", "next(x)", "next(x).a == 2", works="next(x).a == 3"),
        Row("DataFrame of 40 MB", "x = pd.DataFrame(np.zeros((500_000, 10)))", "x += 1; x[3] = 'text'", "not x.to_numpy().any() and (x.dtypes == float).all()", works="x.shape == (500_000, 10)"),
        Row("options", "x = pd.get_option('display.max_rows')", "pd.set_option('display.max_rows', 3); pd.options.display.precision = 1", "pd.get_option('display.max_rows') == x and pd.options.display.precision == 6", works="pd.reset_option('display.max_rows')"),
    ),
)

POLARS = Group(
    "polars",
    package="polars",
    imports="import numpy as np\nimport polars as pl",
    rows=(
        Row("DataFrame", "x = pl.DataFrame({'a': [1, 2, 3], 'b': ['p', 'q', None]}); before = x.clone()", "x[0, 'a'] = 9; x.insert_column(0, pl.Series('z', [0, 0, 0])); x.columns = ['m', 'n', 'o']; x.extend(x.clone())", "x.equals(before)", works="x['a'].to_list() == [1, 2, 3]"),
        Row("Series", "x = pl.Series('s', [3, 1, 2])", "x[0] = 9; x.append(pl.Series([5])); x.sort(in_place=True); x.rename('t')", "x.to_list() == [3, 1, 2] and x.name == 's'", works="x.len() == 3"),
        Row("LazyFrame and an expression", "f = pl.DataFrame({'a': [1, 2]}); e = pl.col('a') * 2; x = f.lazy().select(e)", "f[0, 'a'] = 50; x = x.filter(pl.col('a') > 99)", "x.explain() is not None and 'FILTER' not in x.explain() and f['a'].to_list() == [1, 2]", works="str(e) != ''"),
        Row("columns of lists, structs, categories, objects", "item = [1]; x = pl.DataFrame({'l': [[1], [2, 3]], 's': [{'k': 1}, {'k': 2}], 'c': pl.Series(['a', 'b'], dtype=pl.Categorical), 'o': pl.Series([item, {}], dtype=pl.Object)})", "x.drop_in_place('l'); item.append(2); x.replace_column(0, pl.Series('s', [7, 8]))", "x.columns == ['l', 's', 'c', 'o'] and item == [1] and x['l'].to_list() == [[1], [2, 3]]", part="x['o'][0]", works="x['s'].struct.field('k').to_list() == [1, 2]"),
        Row("GroupBy", "f = pl.DataFrame({'k': [1, 1, 2]}); x = f.group_by('k', maintain_order=True)", "x.maintain_order = False; f[0, 'k'] = 2", "x.maintain_order and f['k'].to_list() == [1, 1, 2]", part="x.df", works="x.df.height == 3"),
        Row("SQLContext", "x = pl.SQLContext(t=pl.DataFrame({'a': [1]}))", "x.register('u', pl.DataFrame({'b': [2]})); x.unregister('t')", "x.tables() == ['t']", works="x.register('w', pl.DataFrame({'c': [1]})) is x and x.tables() == ['t', 'w']"),
        Row("Schema and Config", "x = pl.Schema({'a': pl.Int64}); shown = pl.Config.state().get('POLARS_FMT_MAX_ROWS')", "x['b'] = pl.String; pl.Config.set_tbl_rows(3)", "list(x) == ['a'] and pl.Config.state().get('POLARS_FMT_MAX_ROWS') == shown", part="x['a']", works="x.len() == 1"),
        Row("Series over the memory of an array", "raw = np.arange(4.0); x = pl.Series('v', raw)", "raw[0] = 9; x[1] = 8.0", "raw.tolist() == [0, 1, 2, 3] and x.to_list() == [0, 1, 2, 3]", works="x.len() == 4"),
    ),
)

PYARROW = Group(
    "pyarrow",
    package="pyarrow",
    imports="import io\nimport numpy as np\nimport pyarrow as pa\nimport pyarrow.csv, pyarrow.ipc",
    rows=(
        Row("Table and its columns, as a holder", "x = {'t': pa.table({'a': [1, 2]})}", "x['t'] = x['t'].append_column('b', [[3, 4]]).drop_columns('a')", "x['t'].equals(pa.table({'a': [1, 2]}))", part="x['t']", works="x['t'].num_rows == 2"),
        Row("Array over the memory of numpy", "raw = np.arange(4); x = pa.array(raw)", "raw[0] = 9; np.frombuffer(x.buffers()[1], 'i8').base", "raw.tolist() == [0, 1, 2, 3] and x.to_pylist() == [0, 1, 2, 3]", works="len(x) == 4"),
        Row("mutable buffer", "raw = bytearray(8); x = pa.py_buffer(raw); whole = memoryview(x)", "raw[0] = 1", "x.to_pybytes() == bytes(8)", works="raw.__setitem__(0, 5) is None and x[0] == 5"),
        Row("allocated buffer", "x = pa.allocate_buffer(16, resizable=True); whole = memoryview(x).cast('B'); whole[:] = bytes(16)", "whole[0:2] = b'zz'; x.resize(64)", "x.size == 16 and x.to_pybytes() == bytes(16)", works="x.resize(32) is None and x.size == 32"),
        Row("BufferReader, its position", "x = pa.BufferReader(b'0123456789'); x.read(2)", "x.read(5); x.close()", "not x.closed and x.tell() == 2", works="x.read(2) == b'23'"),
        Row("writer of a stream in memory", "sink = pa.BufferOutputStream(); x = pa.ipc.new_stream(sink, pa.schema([('a', 'i8')])); x.write_batch(pa.record_batch({'a': [1]}))", "x.write_batch(pa.record_batch({'a': [2]})); x.close()", "x.stats.num_record_batches == 1", works="x.close() is None and pa.ipc.open_stream(sink.getvalue()).read_all().num_rows == 1"),
        Row("reader of record batches", "x = pa.RecordBatchReader.from_batches(pa.schema([('a', 'i8')]), iter([pa.record_batch({'a': [1]}), pa.record_batch({'a': [2]})])); x.read_next_batch()", "x.read_next_batch(); x.close()", "x.read_next_batch()['a'].to_pylist() == [2]", works="x.close()"),
        Row("builder", "x = pa.lib.StringBuilder(); x.append('a')", "x.append('spoiled'); x.finish()", "len(x) == 1", works="x.finish().to_pylist() == ['a']"),
        Row("registered extension type", "class T(pa.ExtensionType):\n    def __init__(self): super().__init__(pa.int64(), 'rows.t')\n    def __arrow_ext_serialize__(self): return b''\n    @classmethod\n    def __arrow_ext_deserialize__(cls, s, d): return cls()\nx = T(); pa.register_extension_type(x)", "pa.unregister_extension_type('rows.t'); x.extra = 1", "not hasattr(x, 'extra')", works="pa.unregister_extension_type('rows.t') is None"),
        Row("default memory pool and thread counts", "x = pa.cpu_count(), pa.io_thread_count()", "pa.set_cpu_count(1); pa.set_io_thread_count(3)", "(pa.cpu_count(), pa.io_thread_count()) == x", works="pa.default_memory_pool().bytes_allocated() >= 0"),
    ),
)

GROUPS = (PANDAS, POLARS, PYARROW)
