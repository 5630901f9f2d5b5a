"""Objects of many libraries that are no more than how they were opened or set up."""

from __future__ import annotations

import os
import ssl
import sys
from typing import Any

from .. import rebuild_libraries, surroundings
from ..handlers import register, register_lost
from ..verdict import EQUAL, Unsaveable

#: A database in memory is kept with up to this many rows.
ROWS_MAX = 1_000_000

register_lost("a compiled template has no text; keep the text", "jinja2.environment.Template")


@register("h5py._hl.files.File")
def h5py_file(pickler: Any, value: Any) -> Any:
    """By its path. One that was written is opened for more, and never emptied."""
    if not value:
        raise Unsaveable("a closed file of h5py cannot be saved", value)
    if value.driver not in ("sec2", "core", "stdio") or not os.path.isfile(value.filename):
        raise Unsaveable("a file of h5py that is not on disk cannot be saved", value)
    if value.mode != "r":
        pickler.note("of a file of h5py, what was not flushed to it is not kept")
    return rebuild_libraries.h5py_file, (os.path.abspath(value.filename), value.mode)


@register("h5py._hl.group.Group", "h5py._hl.dataset.Dataset")
def h5py_object(pickler: Any, value: Any) -> Any:
    """By its file and its name in it."""
    if not value or value.name is None:
        raise Unsaveable("an object of h5py that is closed or has no name cannot be saved", value)
    return rebuild_libraries.h5py_object, (value.file, value.name)


@register("netCDF4._netCDF4.Dataset", "netCDF4.Dataset")
def netcdf_file(pickler: Any, value: Any) -> Any:
    """By its path, for reading."""
    if not value.isopen() or not os.path.isfile(value.filepath()):
        raise Unsaveable("a file of netCDF4 that is closed, or not on disk, cannot be saved", value)
    pickler.note("a file of netCDF4 is opened for reading")
    return rebuild_libraries.netcdf_file, (os.path.abspath(value.filepath()),)


@register("_duckdb.DuckDBPyConnection", "duckdb.duckdb.DuckDBPyConnection", "duckdb.DuckDBPyConnection")
def duckdb_connection(pickler: Any, value: Any) -> Any:
    """One to a file by its path, one in memory with its tables."""
    if not surroundings.is_expendable():
        raise Unsaveable("a connection of duckdb cannot be looked at while it is in use", value)
    try:
        # In a forked process there is but one thread.
        value.execute("SET threads = 1")
        databases = [row for row in value.execute("SELECT database_name, path FROM duckdb_databases() WHERE NOT internal").fetchall()]
        path = databases[0][1] if len(databases) == 1 else None
        if len(databases) != 1:
            raise Unsaveable("a connection of duckdb with attached databases cannot be saved", value)
        if path is not None:
            return rebuild_libraries.duckdb_file, (os.path.abspath(path),)
        pickler.note("functions and settings of a connection of duckdb are not kept")
        return rebuild_libraries.duckdb_memory, _tables(value)
    except Unsaveable:
        raise
    except Exception as error:
        raise Unsaveable(f"the connection cannot be read: {error}", value) from None


def _tables(value: Any) -> tuple[list[str], list[tuple[str, list[Any]]]]:
    """Statements that make the tables and views, and the tables' rows."""
    made = [row[0] for row in value.execute("SELECT sql FROM duckdb_schemas() WHERE NOT internal AND schema_name <> 'main'").fetchall()]
    tables = value.execute("SELECT schema_name, table_name, sql, estimated_size FROM duckdb_tables()").fetchall()
    if sum(row[3] or 0 for row in tables) > ROWS_MAX:
        raise Unsaveable(f"its tables have more than {ROWS_MAX} rows; write them to a file", value)
    views = value.execute("SELECT sql FROM duckdb_views() WHERE NOT internal").fetchall()
    names = [f'"{schema}"."{table}"' for schema, table, *_ in tables]
    rows = [(name, value.execute(f"SELECT * FROM {name}").fetchall()) for name in names]
    return [*made, *(row[2] for row in tables), *(row[0] for row in views)], rows


@register("httpx.Client", "httpx.AsyncClient", "httpx._client.Client", "httpx._client.AsyncClient", subclasses=False)
def httpx_client(pickler: Any, value: Any) -> Any:
    """As it was set up; its connections are new."""
    if value.is_closed:
        raise Unsaveable("a closed client cannot be saved", value)
    if type(value._transport).__name__ not in ("HTTPTransport", "AsyncHTTPTransport") or value._mounts:
        raise Unsaveable("a client with a transport of its own cannot be saved", value)
    given = {
        "headers": list(value.headers.multi_items()), "params": list(value.params.multi_items()),
        "timeout": value.timeout, "base_url": str(value.base_url), "auth": value.auth,
        "follow_redirects": value.follow_redirects, "max_redirects": value.max_redirects,
        "trust_env": value.trust_env, "event_hooks": value.event_hooks,
    }  # fmt: skip
    context = getattr(value._transport._pool, "_ssl_context", None)
    verify = context is None or context.verify_mode != ssl.CERT_NONE
    pickler.note("certificates and limits of a client of httpx are the usual ones")
    cookies = [(each.name, each.value, each.domain, each.path) for each in value.cookies.jar]
    return rebuild_libraries.httpx_client, (type(value), given, verify, cookies)


@register("bokeh.core.property.wrappers.PropertyValueContainer", rank=EQUAL, tier=0)
def bokeh_container(pickler: Any, value: Any) -> Any:
    """With those that are told when it changes, which it needs before its first item."""
    owners = [(owner, descriptor.name) for owner, descriptor in value._owners]
    kinds = (dict, set, list)
    contents = next(kind for kind in kinds if isinstance(value, kind))(value)
    state = (contents, owners)
    return rebuild_libraries.bokeh_container, (type(value),), state, None, None, rebuild_libraries.set_bokeh_container


@register("PIL.ImageDraw.ImageDraw")
def image_draw(pickler: Any, value: Any) -> Any:
    """Draws on its image again."""
    state = {name: getattr(value, name) for name in ("ink", "fill", "fontmode")}
    return rebuild_libraries.image_draw, (value._image, value.mode), state, None, None, rebuild_libraries.set_attributes


@register("PIL.ImageFont.FreeTypeFont", rank=EQUAL, tier=0)
def image_font(pickler: Any, value: Any) -> Any:
    """One that was not read from a path has its bytes."""
    contents = getattr(value, "font_bytes", None)
    if not contents:
        return NotImplemented
    return rebuild_libraries.image_font, (contents, value.size, value.index, value.encoding, value.layout_engine)


@register("numpy.finfo", "numpy._core.getlimits.finfo", rank=EQUAL, tier=0)
def finfo(pickler: Any, value: Any) -> Any:
    return sys.modules["numpy"].finfo, (value.dtype,)


@register("pandas.io.pytables.HDFStore", "pandas.HDFStore")
def hdf_store(pickler: Any, value: Any) -> Any:
    """By its path; one that was written is opened for more, and never emptied."""
    if not value.is_open:
        raise Unsaveable("a closed HDFStore cannot be saved", value)
    return rebuild_libraries.hdf_store, (os.path.abspath(value._path), value._mode)
