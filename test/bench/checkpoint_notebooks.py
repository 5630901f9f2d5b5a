"""The notebooks on which ways to keep a session are compared: each a list of cells, and what has to hold at the end.

They need numpy, pandas, scikit-learn and matplotlib, take seconds, and read nothing but what they wrote themselves.
"""

from __future__ import annotations

from typing import NamedTuple


class Notebook(NamedTuple):
    """Cells, and an expression that is true after the last one, and after they were brought back elsewhere."""

    name: str
    cells: tuple[str, ...]
    check: str


#: The script on which Kishu was measured: cells that make much, change little, or only look. About 215 MB at its end.
SCRIPT = Notebook(
    "script of 26 cells",
    (
        "x = 1",
        "import numpy as np\na = np.random.default_rng(1).random(12_500_000)",
        "s = a.sum()",
        "b = a * 2",
        "a[0] = 5",
        "import pandas as pd\ndf = pd.DataFrame({'i': np.arange(500_000), 'f': np.random.default_rng(2).random(500_000),"
        " 'k': np.arange(500_000, dtype='i4'), 'g': np.ones(500_000, dtype='i2')})",
        "n = len(df)",
        "L = [{'k': i, 'v': str(i)} for i in range(200_000)]",
        "y = L[0]['k']",
        "import threading\nlock = threading.Lock()",
        "x = 2",
        "mean = b.mean()",
        "def scale(values, by=2):\n    return values * by",
        "small = scale(a[:10])",
        "class Run:\n    def __init__(self, name):\n        self.name, self.steps = name, []",
        "run = Run('first')",
        "run.steps.append(len(L))",
        "d = {'a': [1, 2], 'b': 'text'}",
        "e = d['a']",
        "e.append(3)",
        "print(df['f'].max())",
        "L[1]['k'] = 7",
        "top = df.nlargest(5, 'f')",
        "words = 'some words to count, some of them twice'.split()",
        "counts = {word: words.count(word) for word in words}",
        "total = float(s) + float(mean)",
    ),
    "a[0] == 5 and b[0] != 10 and n == 500_000 and L[1]['k'] == 7 and d['a'] is e and e == [1, 2, 3]"
    " and run.steps == [200_000] and counts['some'] == 2 and lock.acquire(False)",
)
#: Cells of it, by number, that only read.
READS = (3, 7, 9, 12, 21)

NOTEBOOKS = (
    Notebook(
        "array-mutate",
        (
            "import numpy as np",
            "a = np.random.default_rng(3).random((2000, 1000))",
            "row = a[10]",
            "a[10] *= 2",
            "mask = a > 0.5",
            "a[mask] -= 0.5",
            "T = a.T",
            "T[0, :10] = -1",
            "b = a.copy()",
            "b.sort(axis=1)",
            "np.add(a, 1, out=a)",
            "stats = {'mean': a.mean(), 'min': a.min()}",
        ),
        "np.shares_memory(row, a) and np.shares_memory(T, a) and a[0, 0] == 0 and b.shape == (2000, 1000)",
    ),
    Notebook(
        "frame-pipeline",
        (
            "import numpy as np, pandas as pd\nrng = np.random.default_rng(4)",
            "orders = pd.DataFrame({'id': np.arange(100_000), 'who': rng.integers(0, 500, 100_000), 'sum': rng.random(100_000)})",
            "people = pd.DataFrame({'who': np.arange(500), 'city': rng.choice(['Oslo', 'Rome', 'Lima'], 500)})",
            "joined = orders.merge(people, on='who')",
            "joined['month'] = joined['id'] % 12",
            "by_city = joined.groupby('city')['sum'].agg(['mean', 'count'])",
            "pivot = joined.pivot_table(index='month', columns='city', values='sum')",
            "orders.loc[0, 'sum'] = 99.0",
            "joined = joined[joined['sum'] > 0.1]",
            "best = joined.nlargest(10, 'sum')",
            "best.describe()",
        ),
        "orders.loc[0, 'sum'] == 99 and pivot.shape == (12, 3) and by_city['count'].sum() == 100_000 and len(best) == 10",
    ),
    Notebook(
        "dict-heavy ETL",
        (
            "import collections, json",
            "raw = [json.dumps({'id': i, 'tags': [f't{i % 7}', f't{i % 11}'], 'n': i * 3}) for i in range(20_000)]",
            "rows = [json.loads(line) for line in raw]",
            "by_id = {row['id']: row for row in rows}",
            "tags = collections.Counter(tag for row in rows for tag in row['tags'])",
            "index = collections.defaultdict(list)\nfor row in rows:\n    for tag in row['tags']:\n        index[tag].append(row['id'])",
            "by_id[5]['n'] = -1",
            "bad = [row for row in rows if row['n'] < 0]",
            "del raw",
            "summary = {tag: len(ids) for tag, ids in index.items()}",
        ),
        "bad == [rows[5]] and rows[5] is by_id[5] and summary['t0'] == tags['t0'] and index.default_factory is list",
    ),
    Notebook(
        "sklearn search",
        (
            "import numpy as np\nfrom sklearn.datasets import make_classification\n"
            "X, target = make_classification(2000, 20, random_state=5)",
            "from sklearn.model_selection import GridSearchCV, train_test_split\n"
            "parts = train_test_split(X, target, random_state=5)\nX_train, X_test, y_train, y_test = parts",
            "from sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler\n"
            "from sklearn.linear_model import LogisticRegression\n"
            "pipeline = make_pipeline(StandardScaler(), LogisticRegression())",
            "search = GridSearchCV(pipeline, {'logisticregression__C': [0.1, 1, 10]}, cv=3).fit(X_train, y_train)",
            "score = search.score(X_test, y_test)",
            "from sklearn.ensemble import RandomForestClassifier\n"
            "forest = RandomForestClassifier(20, random_state=5).fit(X_train, y_train)",
            "importance = sorted(forest.feature_importances_)[::-1][:5]",
            "results = {'search': score, 'forest': forest.score(X_test, y_test)}",
            "guess = forest.predict(X_test)",
        ),
        "search.score(X_test, y_test) == score and (forest.predict(X_test) == guess).all() and parts[0] is X_train",
    ),
    Notebook(
        "train loop",
        (
            "import numpy as np\nrng = np.random.default_rng(6)",
            "data = rng.random((5000, 64))\nlabels = (data.sum(axis=1) > 32).astype(float)",
            "class Net:\n    def __init__(self):\n        self.w1, self.w2 = rng.normal(0, .1, (64, 128)), rng.normal(0, .1, 128)\n"
            "    def forward(self, x):\n        self.h = np.tanh(x @ self.w1)\n        return 1 / (1 + np.exp(-self.h @ self.w2))",
            "net, losses = Net(), []",
            "class Momentum:\n    def __init__(self, net):\n        self.net, self.v1, self.v2 = net, 0 * net.w1, 0 * net.w2\n"
            "    def step(self, g1, g2, rate=.1):\n        self.v1 *= .9; self.v1 += g1; self.v2 *= .9; self.v2 += g2\n"
            "        self.net.w1 -= rate * self.v1; self.net.w2 -= rate * self.v2",
            "optimizer = Momentum(net)",
            "def epoch():\n    p = net.forward(data); e = (p - labels) / len(labels)\n"
            "    losses.append(float(np.abs(p - labels).mean()))\n"
            "    optimizer.step(data.T @ (np.outer(e, net.w2) * (1 - net.h ** 2)), net.h.T @ e)",
            *("for _ in range(5): epoch()",) * 6,
            "best = {'w1': net.w1.copy(), 'loss': min(losses)}",
        ),
        "optimizer.net is net and len(losses) == 30 and (best['w1'] == net.w1).all() and net.forward(data).shape == (5000,)",
    ),
    Notebook(
        "matplotlib gallery",
        (
            "import matplotlib\nmatplotlib.use('agg')\nimport matplotlib.pyplot as plt\nimport numpy as np",
            "t = np.linspace(0, 6, 500)",
            "figure, axes = plt.subplots(2, 2)",
            "line, = axes[0, 0].plot(t, np.sin(t), label='sin')",
            "axes[0, 1].hist(np.random.default_rng(7).normal(size=1000), bins=30)",
            "image = axes[1, 0].imshow(np.outer(np.sin(t[:100]), np.cos(t[:100])))",
            "axes[1, 1].bar(['a', 'b', 'c'], [3, 1, 2])",
            "axes[0, 0].legend()\naxes[0, 0].set_title('waves')",
            "line.set_ydata(np.cos(t))",
            "figure.tight_layout()",
            "gallery = {'waves': figure}",
        ),
        "gallery['waves'] is figure and axes[0, 0].get_title() == 'waves' and line.get_ydata()[0] == 1"
        " and axes[0, 0] in figure.axes",
    ),
    Notebook(
        "generators and async",
        (
            "import asyncio, itertools",
            "def numbers():\n    n = 0\n    while True:\n        n += 1\n        yield n",
            "stream = numbers()\nfirst = [next(stream) for _ in range(3)]",
            "async def fetch(i):\n    await asyncio.sleep(0)\n    return i * i",
            "async def gather():\n    return await asyncio.gather(*(fetch(i) for i in range(10)))",
            "from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(1) as pool:\n"
            "    squares = pool.submit(asyncio.run, gather()).result()\ndel pool",
            "pairs = itertools.count(5)\nnext(pairs)",
            "log = []\ndef collect(value):\n    log.append(value)\n    return len(log)",
            "collect(squares[3])",
            "fourth = next(stream)",
            "lookup = {square: i for i, square in enumerate(squares)}",
        ),
        "first == [1, 2, 3] and fourth == 4 and lookup[81] == 9 and next(pairs) == 6 and collect(1) == 2",
    ),
    Notebook(
        "files and sqlite",
        (
            "import os, sqlite3, tempfile\nfolder = tempfile.mkdtemp()",
            "path = os.path.join(folder, 'data.csv')\n"
            "with open(path, 'w') as file:\n    file.writelines(f'{i},{i * i}\\n' for i in range(5000))",
            "reader = open(path)\nhead = [reader.readline() for _ in range(3)]",
            "db = sqlite3.connect(':memory:')\n_ = db.execute('create table squares (n integer, s integer)')",
            "rows = [tuple(map(int, line.split(','))) for line in open(path)]",
            "_ = db.executemany('insert into squares values (?, ?)', rows); db.commit()",
            "count = db.execute('select count(*) from squares').fetchone()[0]",
            "_ = db.execute('delete from squares where n > 2500'); db.commit()",
            "left = db.execute('select count(*) from squares').fetchone()[0]",
            "digest = sum(s for n, s in rows)",
        ),
        "count == 5000 and left == 2501 and reader.readline() == '3,9\\n'"
        " and db.execute('select max(n) from squares').fetchone()[0] == 2500",
    ),
    Notebook(
        "class redefinition",
        (
            "class Point:\n    def __init__(self, x, y):\n        self.x, self.y = x, y",
            "old = [Point(i, i) for i in range(1000)]",
            "class Point:\n    def __init__(self, x, y):\n        self.x, self.y = x, y\n    def size(self):\n        return abs(self.x) + abs(self.y)",
            "new = [Point(i, -i) for i in range(1000)]",
            "import dataclasses, enum",
            "@dataclasses.dataclass\nclass Box:\n    corner: Point\n    color: str = 'red'",
            "class Color(enum.Enum):\n    RED = 1\n    BLUE = 2",
            "boxes = [Box(point) for point in new[:10]]",
            "boxes[0].color = Color.BLUE",
            "def area(box, scale=2):\n    return box.corner.size() * scale",
            "areas = [area(box) for box in boxes]",
            "def area(box, scale=3):\n    return box.corner.size() * scale",
        ),
        "new[3].size() == 6 and not hasattr(old[0], 'size') and boxes[0].color is Color.BLUE and area(boxes[1]) == 6"
        " and areas[1] == 4 and boxes[2].corner is new[2] and type(new[0]) is Point",
    ),
    Notebook(
        "200 small cells",
        (
            "notes, seen, plan = [], set(), {'step': 0}",
            *(
                f"plan['step'] = {i}\nnotes.append({{'tool': 'search', 'query': 'q{i}', 'found': list(range({i % 9}))}})\n"
                f"seen.add('q{i}')\nv{i % 12} = len(notes)"
                for i in range(1, 200)
            ),
        ),
        "plan['step'] == 199 and len(notes) == 199 and 'q7' in seen and v7 == 199",
    ),
)
