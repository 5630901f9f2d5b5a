"""scipy, scikit-learn and networkx."""

from row import Group, Row

SCIPY = Group(
    "scipy",
    package="scipy",
    imports="import numpy as np\nimport scipy\nfrom scipy import interpolate, optimize, signal, sparse, spatial, stats\nfrom scipy.sparse import linalg",
    rows=(
        Row("sparse matrix by rows", "x = sparse.csr_array(np.eye(3)); before = x.toarray()", "x.data[:] = 9; x[0, 2] = 5; x.indices[0] = 1; x.eliminate_zeros(); x.resize((4, 4))", "np.array_equal(x.toarray(), before)", part="x.data", works="(x @ np.ones(3)).sum() == 3"),
        Row("sparse matrix by columns, coordinates, blocks", "x = sparse.csc_array(np.eye(2)); c = sparse.coo_array(np.eye(2)); b = sparse.bsr_array(np.eye(4), blocksize=(2, 2))", "x.data *= 2; c.sum_duplicates(); c.data[0] = 7; b.data[0] = 3", "x.sum() == 2 and c.sum() == 2 and b.sum() == 4", part="x.indptr", works="x.tocsr().nnz == 2"),
        Row("sparse matrix by keys, by lists", "x = sparse.dok_array((3, 3)); x[0, 1] = 5; l = sparse.lil_array((2, 2)); l[0, 0] = 1", "x[2, 2] = 1; x.clear(); l[1, 1] = 7; l.rows[0].append(1); l.data[0].append(9)", "x.nnz == 1 and x[0, 1] == 5 and l.nnz == 1", part="l.rows", works="x.tocsr().sum() == 5"),
        Row("k-d tree and its data", "points = np.arange(10.0).reshape(5, 2); x = spatial.cKDTree(points, copy_data=False)", "points[0] = 99; x.data[4] = -1 if x.data.flags.writeable else 0", "points[0].tolist() == [0, 1] and x.query([0, 1])[1] == 0", works="x.query_ball_point([2, 3], 1) == [1]"),
        Row("triangulation that is added to", "x = spatial.Delaunay(np.array([[0.0, 0], [0, 1], [1, 0], [0.9, 0.9]]), incremental=True)", "x.add_points([[3.0, 3]]); x.close()", "len(x.points) == 4 and len(x.simplices) == 2", works="x.add_points([[3.0, 3]]) is None and len(x.points) == 5 and x.close() is None"),
        Row("convex hull and Voronoi cells", "x = spatial.ConvexHull(np.array([[0.0, 0], [0, 1], [1, 0], [0.2, 0.2]]), incremental=True); v = spatial.Voronoi(np.random.default_rng(0).random((5, 2)))", "x.add_points([[5.0, 5]]); v.regions.clear()", "len(x.vertices) == 3 and len(v.regions) > 1", works="x.area > 3 and x.close() is None"),
        Row("splines", "x = interpolate.CubicSpline([0, 1, 2, 3], [0, 1, 4, 9]); b = interpolate.BSpline(np.arange(6.0), [1.0, 2, 3], 2)", "x.c[:] = 0; b.c[0] = 50; x.extrapolate = False", "abs(x(2.5) - 6.25) < 0.2 and b.c[0] == 1 and x.extrapolate is True", part="x.c", works="x.derivative()(1) > 0"),
        Row("radial basis interpolation", "x = interpolate.RBFInterpolator(np.arange(4.0)[:, None], np.arange(4.0))", "x._coeffs[:] = 0; x.d[:] = 0; x.epsilon = 9", "abs(x([[2.0]])[0] - 2) < 1e-6", part="x._coeffs", works="x([[1.0]]).shape == (1,)"),
        Row("distribution with its arguments frozen", "x = stats.norm(1, 2); x.random_state = np.random.RandomState(3); before = x.random_state.get_state()[1].copy()", "x.rvs(5); x.kwds['loc'] = 9; x.args = (0, 1)", "np.array_equal(x.random_state.get_state()[1], before) and x.mean() == 1", part="x.random_state", works="x.cdf(1) == 0.5"),
        Row("kernel density estimate", "x = stats.gaussian_kde([1.0, 2, 3]); before = x(2.0)[0]", "x.set_bandwidth(5); x.dataset[0, 0] = 99", "x(2.0)[0] == before", part="x.dataset", works="x.integrate_box_1d(-50, 50) > 0.99"),
        Row("result of an optimization", "x = optimize.minimize(lambda v: (v[0] - 1) ** 2, [5.0])", "x.x[0] = 50; x['success'] = None; del x['fun']", "abs(x.x[0] - 1) < 1e-4 and x.success and x.fun < 1e-6", part="x.x", works="'message' in x"),
        Row("linear systems and filters", "x = signal.lti([1.0], [1.0, 2.0]); s = signal.ShortTimeFFT(np.ones(4), 2, fs=1)", "x.num = [9.0]; s.fs = 50; s.scale_to('magnitude')", "x.num.tolist() == [1.0] and s.fs == 1 and s.scaling is None", works="x.poles.tolist() == [-2]"),
        Row("linear operator and a factorization", "calls = []; x = linalg.LinearOperator((2, 2), matvec=lambda v: calls.append(1) or v); lu = linalg.splu(sparse.csc_array(np.eye(2) * 4))", "x.matvec(np.ones(2)); x.shape = (3, 3); calls.append(5)", "5 not in calls and x.shape == (2, 2)", works="lu.solve(np.ones(2)).tolist() == [0.25, 0.25]"),
        Row("rotation", "x = spatial.transform.Rotation.from_euler('z', [[0], [90]], degrees=True); before = x.as_quat()", "x[0] = spatial.transform.Rotation.from_euler('x', 180, degrees=True)", "np.allclose(x.as_quat(), before)", works="np.allclose(x[1].apply([1, 0, 0]), [0, 1, 0])"),
        Row("quasi-random sequence", "x = stats.qmc.Halton(2, rng=1); x.random(2)", "x.random(5); x.reset()", "x.num_generated == 2", part="x.rng", works="x.random(1).shape == (1, 2)"),
        Row("solver of an equation, step by step", "from scipy.integrate import RK45; x = RK45(lambda t, y: -y, 0, [1.0], 10); x.step(); before = x.t, x.y.copy()", "x.step(); x.step()", "(x.t, x.y[0]) == (before[0], before[1][0])", works="x.step() is None and x.t > before[0]"),
    ),
)

SKLEARN = Group(
    "scikit-learn",
    package="sklearn",
    imports=(
        "import numpy as np, sklearn\n"
        "from sklearn import base, cluster, compose, datasets, decomposition, ensemble, feature_extraction, gaussian_process\n"
        "from sklearn import linear_model, metrics, model_selection, naive_bayes, neighbors, neural_network, pipeline, preprocessing\n"
        "from sklearn import svm, tree, utils\n"
        "X, y = datasets.make_classification(60, 4, random_state=0)"
    ),
    rows=(
        Row("linear model, fitted anew in place", "x = linear_model.LogisticRegression().fit(X, y); before = x.coef_.copy()", "x.fit(X * 5, 1 - y); x.C = 99; x.coef_[0] = 0", "np.array_equal(x.coef_, before) and x.C == 1.0", part="x.coef_", works="x.predict(X).shape == y.shape"),
        Row("partial_fit", "x = linear_model.SGDClassifier(random_state=0); x.partial_fit(X, y, [0, 1]); before = x.coef_.copy(), x.t_", "x.partial_fit(X, 1 - y); x.partial_fit(X, 1 - y)", "np.array_equal(x.coef_, before[0]) and x.t_ == before[1]", part="x.coef_", works="x.partial_fit(X, y) is x"),
        Row("warm_start: a forest that grows", "x = ensemble.RandomForestClassifier(3, warm_start=True, random_state=0, n_jobs=1).fit(X, y); before = x.predict_proba(X)", "x.n_estimators = 6; x.fit(X, y); x.estimators_.reverse()", "len(x.estimators_) == 3 and np.array_equal(x.predict_proba(X), before)", part="x.estimators_", works="x.set_params(n_estimators=4).fit(X, y) is x and len(x.estimators_) == 4"),
        Row("gradient boosting by histograms", "x = ensemble.HistGradientBoostingClassifier(max_iter=3, warm_start=True, random_state=0).fit(X, y); before = x.predict_proba(X)", "x.max_iter = 6; x.fit(X, y)", "x.n_iter_ == 3 and np.array_equal(x.predict_proba(X), before)", part="x._predictors", works="x.set_params(max_iter=5).fit(X, y) is x and x.n_iter_ == 5"),
        Row("gradient boosting and AdaBoost", "x = ensemble.GradientBoostingClassifier(n_estimators=2, warm_start=True).fit(X, y); a = ensemble.AdaBoostClassifier(n_estimators=2).fit(X, y)", "x.n_estimators = 4; x.fit(X, y); a.estimators_.pop()", "len(x.estimators_) == 2 and len(a.estimators_) == 2", part="a.estimators_", works="x.predict(X).shape == y.shape"),
        Row("isolation forest", "x = ensemble.IsolationForest(n_estimators=3, random_state=0).fit(X); before = x.score_samples(X)", "x.set_params(n_estimators=5).fit(X * 2)", "len(x.estimators_) == 3 and np.array_equal(x.score_samples(X), before)", part="x.estimators_", works="x.predict(X).shape == y.shape"),
        Row("decision tree and its arrays in C", "x = tree.DecisionTreeClassifier(max_depth=2).fit(X, y); before = x.tree_.threshold.copy()", "x.tree_.threshold[0] = 99; x.tree_.value[:] = 0; x.max_depth = 9", "np.array_equal(x.tree_.threshold, before) and x.tree_.value.any() and x.max_depth == 2", part="x.tree_", works="x.predict(X).shape == y.shape"),
        Row("support vectors", "x = svm.SVC().fit(X, y); before = x.decision_function(X)", "x.support_vectors_[:] = 0; x.dual_coef_ = None; x.fit(X[:30], y[:30])", "np.array_equal(x.decision_function(X), before)", part="x.support_vectors_", works="x.score(X, y) > 0.5"),
        Row("neighbours, ball tree, k-d tree", "x = neighbors.KNeighborsClassifier(3).fit(X, y); t = neighbors.BallTree(X); before = x.predict(X), t.query(X[:1], 2)[1].tolist()", "x._fit_X[:] = 0; x.fit(X[:5], y[:5]); t.__setstate__(neighbors.BallTree(X[::-1]).__getstate__())", "np.array_equal(x.predict(X), before[0]) and t.query(X[:1], 2)[1].tolist() == before[1]", part="x._fit_X", works="x.kneighbors(X[:1])[0].shape == (1, 3)"),
        Row("clusters", "x = cluster.MiniBatchKMeans(2, random_state=0, n_init=1).fit(X); before = x.cluster_centers_.copy()", "x.partial_fit(X * 9); x.cluster_centers_[:] = 0", "np.array_equal(x.cluster_centers_, before)", part="x.cluster_centers_", works="x.predict(X).shape == y.shape"),
        Row("neural network, trained on", "x = neural_network.MLPClassifier((3,), max_iter=2, random_state=0); x.partial_fit(X, y, classes=[0, 1]); before = [c.copy() for c in x.coefs_]", "x.partial_fit(X, 1 - y); x.coefs_[0][:] = 0", "all(np.array_equal(a, b) for a, b in zip(x.coefs_, before)) and x.t_ == 60", part="x.coefs_", works="x.partial_fit(X, y) is x"),
        Row("scaler, encoder, imputer", "x = preprocessing.StandardScaler().fit(X); e = preprocessing.OneHotEncoder().fit([['a'], ['b']]); before = x.mean_.copy()", "x.partial_fit(X + 9); e.categories_[0][0] = 'z'; e.fit([['q']])", "np.array_equal(x.mean_, before) and list(e.categories_[0]) == ['a', 'b']", part="x.mean_", works="x.transform(X).shape == X.shape"),
        Row("components", "x = decomposition.IncrementalPCA(2).partial_fit(X); before = x.components_.copy()", "x.partial_fit(X * np.arange(4)); x.components_[:] = 0", "np.array_equal(x.components_, before) and x.n_samples_seen_ == 60", part="x.components_", works="x.transform(X).shape == (60, 2)"),
        Row("pipeline with a lambda", "f = preprocessing.FunctionTransformer(lambda a: a * 2); x = pipeline.make_pipeline(f, linear_model.Ridge()).fit(X, y); before = x.predict(X)", "x.set_params(ridge__alpha=500).fit(X, y); x.steps.pop(0); f.func = None", "np.array_equal(x.predict(X), before) and len(x.steps) == 2", part="x.steps[0][1]", works="x['ridge'].alpha == 1.0"),
        Row("transformer of columns", "x = compose.ColumnTransformer([('a', preprocessing.MinMaxScaler(), [0]), ('b', 'passthrough', [1])]).fit(X)", "x.set_params(a=preprocessing.StandardScaler()); x.transformers_.pop(); x.fit(X * 7)", "type(x.named_transformers_['a']) is preprocessing.MinMaxScaler and len(x.transformers_) >= 2", part="x.transformers", works="x.transform(X).max() <= 10"),
        Row("grid search and its results", "x = model_selection.GridSearchCV(linear_model.Ridge(), {'alpha': [1, 2]}, cv=2).fit(X, y); before = x.best_params_", "x.param_grid['alpha'].append(3); x.fit(X * 2, y); x.cv_results_.clear()", "x.param_grid == {'alpha': [1, 2]} and len(x.cv_results_['params']) == 2 and x.best_params_ == before", part="x.cv_results_", works="x.predict(X).shape == y.shape"),
        Row("vectorizers of text", "x = feature_extraction.text.TfidfVectorizer().fit(['a cat', 'the dog']); c = feature_extraction.text.CountVectorizer(tokenizer=lambda t: t.split(), token_pattern=None).fit(['p q'])", "x.fit(['other words']); c.vocabulary_['new'] = 9", "sorted(x.vocabulary_) == ['cat', 'dog', 'the'] and c.vocabulary_ == {'p': 0, 'q': 1}", part="x.vocabulary_", works="x.transform(['dog']).nnz == 1"),
        Row("Gaussian process and its kernel", "x = gaussian_process.GaussianProcessRegressor(gaussian_process.kernels.RBF(1.0), optimizer=None).fit(X[:9], y[:9]); before = x.predict(X[:3])", "x.kernel_.length_scale = 50; x.alpha_[:] = 0; x.kernel.set_params(length_scale=3)", "np.array_equal(x.predict(X[:3]), before) and x.kernel.length_scale == 1.0", part="x.kernel_", works="x.sample_y(X[:2]).shape == (2, 1)"),
        Row("estimator of the user's", "class Mean(base.BaseEstimator, base.RegressorMixin):\n    def __init__(self, shift=0): self.shift = shift\n    def fit(self, X, y): self.mean_ = [np.mean(y)]; return self\n    def predict(self, X): return np.full(len(X), self.mean_[0] + self.shift)\nx = Mean().fit(X, y)", "x.shift = 9; x.mean_[0] = 7; Mean.predict = None", "x.shift == 0 and x.predict(X[:1])[0] == y.mean()", part="x.mean_", works="base.clone(x).shift == 0"),
        Row("Bunch, splitter, naive Bayes", "x = utils.Bunch(a=[1]); k = iter(model_selection.KFold(3).split(X)); next(k); n = naive_bayes.GaussianNB().partial_fit(X, y, [0, 1]); before = n.theta_.copy()", "x.a.append(2); x.b = 1; next(k); n.partial_fit(X + 5, y)", "dict(x) == {'a': [1]} and np.array_equal(n.theta_, before) and len(list(k)) == 2", part="x.a", works="n.predict(X).shape == y.shape"),
        Row("configuration", "x = sklearn.get_config()", "sklearn.set_config(assume_finite=True, display='text', working_memory=1)", "sklearn.get_config() == x", works="sklearn.config_context(assume_finite=True).__enter__() is None"),
    ),
)

NETWORKX = Group(
    "networkx",
    package="networkx",
    imports="import networkx as nx",
    rows=(
        Row("graph with attributes", "x = nx.Graph([(1, 2, {'w': [5]}), (2, 3)]); x.graph['name'] = ['n']", "x.remove_node(2); x.add_edge(7, 8); x.graph['name'].append('m')", "sorted(x.edges) == [(1, 2), (2, 3)] and x[1][2] == {'w': [5]} and x.graph == {'name': ['n']}", part="x[1][2]['w']", works="nx.shortest_path(x, 1, 3) == [1, 2, 3]"),
        Row("directed graph, its two directions", "x = nx.DiGraph([(1, 2)]); x.nodes[1]['k'] = {}", "x[1][2]['w'] = 9; x.nodes[1]['k']['z'] = 1; x.reverse(copy=False)", "x[1][2] == {} and x.nodes[1] == {'k': {}} and x.pred[2][1] is x.succ[1][2]", part="x.succ[1][2]", works="list(x.successors(1)) == [2]"),
        Row("multigraph and its keys", "x = nx.MultiGraph(); x.add_edge(1, 2, 'a', w=1); x.add_edge(1, 2, 'b')", "x.remove_edge(1, 2, 'a'); x.add_edge(1, 2); x[1][2]['b']['w'] = 5", "sorted(x[1][2]) == ['a', 'b'] and x[1][2]['b'] == {}", part="x[1][2]['a']", works="x.number_of_edges() == 2"),
        Row("views: subgraph, reversed, edges", "g = nx.path_graph(4, nx.DiGraph); x = g.subgraph([0, 1, 2]); e = g.edges; r = g.reverse(copy=False)", "g.remove_edge(0, 1); g.add_edge(2, 0)", "sorted(x.edges) == [(0, 1), (1, 2)] and len(e) == 3 and r.has_edge(1, 0)", part="x._graph", works="g.add_edge(2, 1) is None and x.has_edge(2, 1)"),
        Row("search that goes on", "x = nx.bfs_edges(nx.path_graph(5), 0); next(x)", "next(x); list(x)", "next(x) == (1, 2)", works="next(x) == (2, 3)"),
        Row("union-find", "from networkx.utils import UnionFind; x = UnionFind([1, 2, 3]); x.union(1, 2)", "x.union(2, 3); x[9]", "x[1] == x[2] != x[3] and 9 not in x.parents", part="x.parents", works="x.union(1, 3) is None and x[3] == x[1]"),
        Row("configuration and caches of a graph", "x = nx.Graph([(1, 2)]); x.nodes; x.adj", "x.add_edge(2, 3); x.__networkx_cache__['spoiled'] = 1; x.nodes", "'spoiled' not in x.__networkx_cache__ and list(x.nodes) == [1, 2]", part="x.__networkx_cache__", works="len(x.adj) == 2"),
    ),
)

GROUPS = (SCIPY, SKLEARN, NETWORKX)
