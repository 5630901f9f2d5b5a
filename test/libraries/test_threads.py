"""Libraries that have threads: each is used, used in a transaction, and used again after the rollback.

None may hang, crash, or answer differently. What is not installed is skipped.
"""

from __future__ import annotations

import importlib.util
import unittest
from typing import Any, NamedTuple

from support.case import fresh_kernel, main
from support.client import Client

#: Some take long to be imported, on a machine that has other things to do.
WITHIN_S = 180.0


class Library(NamedTuple):
    """`setup` defines `use`, whose value is always the same; `needs` is imported by it."""

    needs: str
    setup: str
    mode: str = "child"
    awaited: bool = False


ROWS = "import numpy as np\nrandom = np.random.default_rng(0)\nX = random.random((2000, 5)); y = X.sum(1)\n"
FRAME = "import io, polars as pl\ndf = pl.DataFrame({'g': [i % 7 for i in range(50_000)], 's': ['a'] * 50_000})\n"
SUM = (
    "import numpy as np, numba\n{layer}\n"
    "@numba.njit(parallel=True)\n"
    "def total(values):\n"
    "    found = 0.0\n"
    "    for i in numba.prange(values.shape[0]):\n"
    "        found += values[i]\n"
    "    return found\n"
    "values = np.arange(100_000.0)\n"
    "def use(): return total(values)"
)

LIBRARIES = {
    "numpy": Library("numpy", "import numpy as np\na = np.ones((500, 500))\ndef use(): return float((a @ a).sum())"),
    "polars": Library(
        "polars", FRAME + "def use(): return df.group_by('g').agg(pl.len()).sort('g')['len'].to_list()", "transplant"
    ),
    "polars to_arrow": Library("polars", FRAME + "def use(): return df.to_arrow().num_rows", "transplant"),
    "polars write_ipc": Library(
        "polars",
        FRAME + "def use():\n    file = io.BytesIO(); df.write_ipc(file); return len(file.getvalue())",
        "transplant",
    ),
    "pyarrow": Library(
        "pyarrow",
        "import pyarrow as pa\nt = pa.table({'g': [i % 7 for i in range(100_000)]})\n"
        "def use(): return sorted(t.group_by('g').aggregate([('g', 'count')]).to_pydict()['g_count'])",
    ),
    "scikit-learn": Library(
        "sklearn",
        ROWS + "from sklearn.ensemble import HistGradientBoostingRegressor as H\n"
        "def use(): return round(float(H(max_iter=5, random_state=0).fit(X, y).predict(X).sum()), 3)",
    ),
    "lightgbm": Library(
        "lightgbm",
        ROWS + "import lightgbm as lgb\noptions = {'verbose': -1, 'deterministic': True, 'force_row_wise': True}\n"
        "def use(): return round(float(lgb.train(options, lgb.Dataset(X, y), 5).predict(X).sum()), 3)",
    ),
    "xgboost": Library(
        "xgboost",
        ROWS + "import xgboost as xgb\n"
        "def use(): return round(float(xgb.train({}, xgb.DMatrix(X, y), 5).predict(xgb.DMatrix(X)).sum()), 2)",
    ),
    "torch": Library(
        "torch",
        "import torch\na = torch.ones(500, 500)\n"
        "def use(): return float((a @ a).sum()), float(torch.sort(torch.arange(500_000.0) % 977)[0].sum())",
    ),
    "numba": Library("numba", SUM.format(layer="")),
    "numba workqueue": Library("numba", SUM.format(layer="numba.config.THREADING_LAYER = 'workqueue'")),
    "duckdb": Library(
        "duckdb",
        "import duckdb\ndef open():\n    connection = duckdb.connect()\n"
        "    connection.execute('create table t as select i % 7 g from range(500_000) r(i)')\n    return connection\n"
        "connection = open()\n"
        "def use():\n    global connection\n"
        "    rows = connection.execute('select g, count(*) from t group by g order by g').fetchall()\n"
        "    connection.close(); connection = open()\n    return rows",
    ),
    "joblib": Library(
        "joblib", "import joblib\ndef use(): return joblib.Parallel(n_jobs=2)(joblib.delayed(abs)(i) for i in (-1, -2))"
    ),
    "loky": Library(
        "loky", "import loky\ndef use(): return list(loky.get_reusable_executor(max_workers=2).map(abs, [-1, -2]))"
    ),
    "asyncio": Library(
        "asyncio", "import asyncio\nasync def use(): return await asyncio.to_thread(abs, -1)", awaited=True
    ),
    "ThreadPoolExecutor": Library(
        "concurrent.futures",
        "from concurrent.futures import ThreadPoolExecutor\nexecutor = ThreadPoolExecutor(2)\n"
        "def use(): return list(executor.map(abs, [-1, -2]))",
    ),
}


class Libraries(unittest.TestCase):
    def run_ok(self, client: Client, code: str) -> Any:
        cell = client.execute(code, timeout=WITHIN_S)
        self.assertEqual(cell.status, "ok", cell.content.get("evalue"))
        return cell

    def there_and_back(self, library: Library, inside: bool) -> None:
        _, client = fresh_kernel(self)
        use = "await use()" if library.awaited else "use()"
        self.run_ok(client, library.setup)
        before = self.run_ok(client, use).result
        self.assertIsNotNone(before)
        self.run_ok(client, "%begin")
        if inside:
            self.assertEqual(self.run_ok(client, use).result, before)
        told = self.run_ok(client, "import savepoint; savepoint.status()['transactions'][-1]['mode']").result
        self.assertEqual(told, repr(library.mode))
        self.run_ok(client, "%rollback")
        for _ in range(2):
            self.assertEqual(self.run_ok(client, use).result, before)


def _add(name: str, library: Library) -> None:
    def test(self: Libraries) -> None:
        if importlib.util.find_spec(library.needs.partition(".")[0]) is None:
            self.skipTest(f"{library.needs} is not installed")
        for inside in (True, False):
            with self.subTest("used in the transaction, too" if inside else "used before it alone"):
                self.there_and_back(library, inside)

    setattr(Libraries, f"test_{name.replace(' ', '_').replace('-', '_')}", test)


for _name, _library in LIBRARIES.items():
    _add(_name, _library)


if __name__ == "__main__":
    main()
