"""Classes of pandas, polars, pyarrow, duckdb, xarray, dask, geopandas and shapely."""

from sample import Group, Sample, kind

PANDAS = Group(
    "Classes: pandas",
    package="pandas",
    imports="import numpy as np, pandas as pd",
    samples=(
        kind("DataFrame of many types", "pd.DataFrame({'i': [1, 2], 's': ['a', None], 'd': pd.to_datetime(['2020', None]), 'c': pd.Categorical(['u', 'v']), 'n': pd.array([1, None], 'Int64'), 'o': [[1], {}]})", "(x.drop(columns='o'), x['o'].tolist(), x.dtypes.astype(str).tolist())", brief=True),
        kind("DataFrame with text of arrow", "pd.DataFrame({'t': pd.array(['a', None], 'string[pyarrow]'), 'l': pd.array([1, 2], 'int64[pyarrow]')})", "(x, str(x.dtypes.tolist()))", package="pyarrow"),
        kind("MultiIndex and attrs", "pd.DataFrame({'a': [1, 2]}, index=pd.MultiIndex.from_product([['u'], [1, 2]], names=['p', 'q'])).assign(); x.attrs['k'] = [1]", "(x, x.attrs, list(x.index.names))"),
        Sample("Series of a frame", "frame = pd.DataFrame({'a': [1, 2]}); x = frame['a']", "frame.loc[0, 'a'] = 9\nassert x.tolist() == [1, 2] and x.name == 'a'"),
        Sample("frame under two names", "x = pd.DataFrame({'a': [1]}); y = {'f': x}", "x['b'] = 2\nassert y['f'] is x and list(y['f'].columns) == ['a', 'b']", alias=True, brief=True),
        Sample("frame and a copy on write of it", "whole = pd.DataFrame({'a': [1, 2, 3]}); x = whole[:2]", "x.iloc[0, 0] = 9\nassert whole['a'].tolist() == [1, 2, 3]", alias=True),
        kind("RangeIndex", "pd.RangeIndex(2, 10, 3, name='r')", "(x, x.name)"),
        kind("DatetimeIndex with a zone", "pd.date_range('2020', periods=3, freq='D', tz='Europe/Berlin')", "(x, str(x.freq), str(x.tz))"),
        kind("PeriodIndex", "pd.period_range('2020', periods=3, freq='M')", "x"),
        kind("IntervalIndex", "pd.interval_range(0, 3)", "x"),
        kind("TimedeltaIndex", "pd.timedelta_range('1h', periods=3)", "x"),
        kind("CategoricalIndex", "pd.CategoricalIndex(list('aba'), ordered=True)", "x"),
        kind("Timestamp, Timedelta, Period, Interval, NaT", "[pd.Timestamp('2020-01-01', tz='UTC'), pd.Timedelta('1h'), pd.Period('2020'), pd.Interval(0, 1), pd.NaT, pd.NA]", "[str(each) for each in x]"),
        kind("Categorical", "pd.Categorical(['a', None, 'b'], categories=['b', 'a'], ordered=True)", "(x.codes, list(x.categories), x.ordered)"),
        kind("SparseArray", "pd.arrays.SparseArray([0, 0, 1])", "(x.to_dense(), x.fill_value)"),
        kind("GroupBy", "pd.DataFrame({'a': [1, 1, 2], 'b': [1, 2, 3]}).groupby('a')", "x.sum()"),
        kind("SeriesGroupBy with a function", "pd.Series([1, 2, 3]).groupby(lambda n: n % 2)", "x.sum()"),
        kind("Rolling", "pd.Series([1.0, 2, 3]).rolling(2)", "x.mean()"),
        kind("Expanding and Ewm", "[pd.Series([1.0, 2, 3]).expanding(), pd.Series([1.0, 2, 3]).ewm(1)]", "[each.mean() for each in x]"),
        kind("Resampler", "pd.Series([1, 2, 3], pd.date_range('2020', periods=3)).resample('2D')", "x.sum()"),
        kind("Styler", "pd.DataFrame({'a': [1]}, index=['r']).style.format('{:.1f}').set_uuid('u')", "x.to_html()"),
        Sample("ExcelFile", "pd.DataFrame({'a': [1]}).to_excel(FOLDER + '/t.xlsx'); x = pd.ExcelFile(FOLDER + '/t.xlsx')", "x.parse()['a'].tolist() == [1]", package="openpyxl"),
        Sample("HDFStore", "pd.DataFrame({'a': [1]}).to_hdf(FOLDER + '/t.h5', key='k'); x = pd.HDFStore(FOLDER + '/t.h5', 'r')", "x['k']['a'].tolist() == [1]\nx.close()", package="tables"),
        kind("offsets and a holiday calendar", "[pd.offsets.BDay(2), pd.offsets.MonthEnd()]", "[str(each) for each in x]"),
        kind("NamedAgg, IndexSlice, Grouper", "pd.Grouper(key='a', freq='D')", "(x.key, str(x.freq))"),
        Sample("extension dtype of the user's", "from pandas.api.extensions import register_dataframe_accessor\n@register_dataframe_accessor('mine')\nclass Mine:\n    def __init__(self, frame): self.frame = frame\n    def size(self): return len(self.frame)\nx = pd.DataFrame({'a': [1, 2]})", "len(x) == 2 and Mine(x).size() == 2"),
    ),
)

POLARS = Group(
    "Classes: polars",
    package="polars",
    imports="import polars as pl",
    samples=(
        kind("DataFrame", "pl.DataFrame({'a': [1, 2], 'b': ['u', None], 'l': [[1], []], 's': [{'k': 1}, {'k': 2}]})", "(x, x.schema)"),
        kind("Series", "pl.Series('n', [1.5, None])", "(x, x.name)"),
        kind("LazyFrame", "pl.LazyFrame({'a': [1, 2, 3]}).filter(pl.col('a') > 1).select(pl.col('a') * 2)", "x.collect()"),
        Sample("LazyFrame of a file", "pl.DataFrame({'a': [1, 2]}).write_parquet(FOLDER + '/t.parquet'); x = pl.scan_parquet(FOLDER + '/t.parquet').select(pl.col('a').sum())", "x.collect().item() == 3"),
        kind("Expr", "(pl.col('a') + 1).alias('b')", "pl.DataFrame({'a': [1]}).select(x)"),
        kind("Schema and types", "[pl.Schema({'a': pl.Int8}), pl.Datetime('ms', 'UTC'), pl.Enum(['a', 'b'])]", "[str(each) for each in x]"),
        kind("Categorical and Enum columns", "pl.DataFrame({'c': pl.Series(['a', 'b'], dtype=pl.Categorical), 'e': pl.Series(['u'] * 2, dtype=pl.Enum(['u', 'v']))})", "(x.to_dict(as_series=False), str(x.schema))"),
        kind("GroupBy", "pl.DataFrame({'a': [1, 1, 2]}).group_by('a', maintain_order=True)", "x.len()"),
        kind("Selector", "pl.selectors.numeric()", "pl.DataFrame({'a': [1], 's': ['u']}).select(x)"),
        Sample("column of objects", "x = pl.DataFrame({'o': pl.Series([object, int], dtype=pl.Object)})", "x['o'].to_list() == [object, int]"),
        Sample("SQLContext", "x = pl.SQLContext(t=pl.LazyFrame({'a': [1]}))", "x.execute('select a from t').collect().item() == 1"),
    ),
)

ARROW = Group(
    "Classes: pyarrow",
    package="pyarrow",
    imports="import pyarrow as pa, pyarrow.dataset, pyarrow.parquet, pyarrow.compute as pc",
    samples=(
        kind("Table", "pa.table({'a': [1, None], 'b': ['u', 'v']})", "(x, x.schema)"),
        kind("RecordBatch", "pa.record_batch({'a': [1, 2]})", "x"),
        kind("ChunkedArray", "pa.chunked_array([[1], [2, 3]])", "(x, x.num_chunks)"),
        kind("Array of structs", "pa.array([{'a': 1}, None])", "x"),
        kind("DictionaryArray", "pa.array(['a', 'b', 'a']).dictionary_encode()", "x"),
        kind("Schema with metadata", "pa.schema([('a', pa.int8())], metadata={'k': 'v'})", "(x, x.metadata)"),
        kind("Scalar", "pa.scalar(5, pa.int16())", "x"),
        kind("Buffer", "pa.py_buffer(b'abc')", "x.to_pybytes()"),
        kind("Expression", "(pc.field('a') > 1)", "str(x)"),
        Sample("Dataset", "pa.parquet.write_table(pa.table({'a': [1, 2]}), FOLDER + '/t.parquet'); x = pa.dataset.dataset(FOLDER + '/t.parquet')", "x.to_table()['a'].to_pylist() == [1, 2]"),
        Sample("ParquetFile", "pa.parquet.write_table(pa.table({'a': [1, 2]}), FOLDER + '/t.parquet'); x = pa.parquet.ParquetFile(FOLDER + '/t.parquet')", "x.read()['a'].to_pylist() == [1, 2]"),
        Sample("Scanner", "x = pa.dataset.dataset(pa.table({'a': [1, 2]})).scanner(filter=pc.field('a') > 1)", "x.to_table()['a'].to_pylist() == [2]"),
        Sample("ExtensionArray", "x = pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b'0' * 16], pa.binary(16)))", "x.type == pa.uuid() and x.storage.to_pylist() == [b'0' * 16]"),
    ),
)

OTHERS = Group(
    "Classes: duckdb, xarray, dask, shapely, geopandas",
    samples=(
        Sample("duckdb connection in memory", "import duckdb\nx = duckdb.connect(); x.execute('create table t as select 5 as a')", "x.execute('select a from t').fetchall() == [(5,)]", package="duckdb"),
        Sample("duckdb connection to a file", "import duckdb\nx = duckdb.connect(FOLDER + '/d.db'); x.execute('create table t as select 5 as a'); x.execute('checkpoint')", "x.execute('select a from t').fetchall() == [(5,)]", package="duckdb"),
        Sample("duckdb relation", "import duckdb\nx = duckdb.sql('select 5 as a')", "x.fetchall() == [(5,)]", package="duckdb"),
        Sample("xarray Dataset", "import xarray as xr, numpy as np\nx = xr.Dataset({'a': ('t', np.arange(3.0))}, {'t': [1, 2, 3]}, {'k': 'v'}); before = x.copy(deep=True)", "x.identical(before)", package="xarray"),
        Sample("xarray DataArray", "import xarray as xr, numpy as np\nx = xr.DataArray(np.eye(2), dims=('a', 'b'), name='n'); before = x.copy(deep=True)", "x.identical(before)", package="xarray"),
        Sample("xarray Dataset of a file, lazily", "import xarray as xr, numpy as np\nxr.Dataset({'a': ('t', np.arange(3.0))}).to_netcdf(FOLDER + '/t.nc'); x = xr.open_dataset(FOLDER + '/t.nc')", "x['a'].values.tolist() == [0, 1, 2]", package="netCDF4"),
        Sample("dask array", "import dask.array as da\nx = da.arange(10, chunks=5) * 2", "int(x.sum().compute()) == 90", package="dask"),
        Sample("dask delayed", "import dask\nx = dask.delayed(lambda a: a + 1)(2)", "x.compute(scheduler='sync') == 3", package="dask"),
        Sample("shapely geometry", "import shapely\nx = shapely.Polygon([(0, 0), (0, 1), (1, 0)])", "x.area == 0.5 and x.contains(shapely.Point(0.1, 0.1))", package="shapely"),
        Sample("shapely STRtree", "import shapely\nx = shapely.STRtree([shapely.Point(0, 0), shapely.Point(5, 5)])", "int(x.nearest(shapely.Point(4, 4))) == 1", package="shapely"),
        Sample("GeoDataFrame", "import geopandas, shapely\nx = geopandas.GeoDataFrame({'a': [1]}, geometry=[shapely.Point(1, 2)], crs='EPSG:4326')", "x.crs.to_epsg() == 4326 and x.geometry.x.tolist() == [1.0]", package="geopandas"),
    ),
)  # fmt: skip

GROUPS = (PANDAS, POLARS, ARROW, OTHERS)
