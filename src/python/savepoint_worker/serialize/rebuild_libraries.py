"""What a checkpoint's bytes call to make objects of many libraries. As in `rebuild`, names and arguments never change."""

from __future__ import annotations

import io
import os
from typing import Any

from .verdict import Unloadable


def _there(path: str) -> str:
    if not os.path.isfile(path):
        raise Unloadable(f"its file {path} is not there")
    return path


def h5py_file(path: str, mode: str) -> Any:
    import h5py

    return h5py.File(_there(path), "r" if mode == "r" else "r+")


def h5py_object(file: Any, name: str) -> Any:
    return file[name]


def netcdf_file(path: str) -> Any:
    import netCDF4

    return netCDF4.Dataset(_there(path), "r")


def duckdb_file(path: str) -> Any:
    import duckdb

    return duckdb.connect(_there(path))


def duckdb_memory(statements: list[str], tables: list[tuple[str, list[Any]]]) -> Any:
    import duckdb

    made = duckdb.connect()
    for each in statements:
        made.execute(each)
    for name, rows in tables:
        if rows:
            made.executemany(f"INSERT INTO {name} VALUES ({', '.join('?' * len(rows[0]))})", rows)
    return made


def httpx_client(kind: Any, given: dict[str, Any], verify: bool, cookies: list[tuple[str, str, str, str]]) -> Any:
    made = kind(**given, verify=verify)
    for name, value, domain, path in cookies:
        made.cookies.set(name, value, domain, path)
    return made


def bokeh_container(kind: Any) -> Any:
    made = kind.__new__(kind)
    made._owners = set()
    return made


def set_bokeh_container(made: Any, state: tuple[Any, list[tuple[Any, str]]]) -> None:
    contents, owners = state
    # Past its own methods, which would tell everybody.
    if isinstance(contents, dict):
        dict.update(made, contents)
    elif isinstance(contents, set):
        set.update(made, contents)
    else:
        list.extend(made, contents)
    made._owners = {(owner, type(owner).lookup(name)) for owner, name in owners}


def image_draw(image: Any, mode: str) -> Any:
    from PIL import ImageDraw

    return ImageDraw.Draw(image, mode)


def set_attributes(made: Any, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        setattr(made, name, value)


def image_font(contents: bytes, size: float, index: int, encoding: str, engine: Any) -> Any:
    from PIL import ImageFont

    return ImageFont.FreeTypeFont(io.BytesIO(contents), size, index, encoding, engine)


def hdf_store(path: str, mode: str) -> Any:
    import pandas

    return pandas.HDFStore(_there(path), mode="r" if mode == "r" else "r+")
