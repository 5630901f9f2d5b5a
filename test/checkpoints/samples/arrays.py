"""Classes of numpy and scipy."""

from sample import Group, Sample, kind

NUMPY = Group(
    "Classes: numpy",
    package="numpy",
    imports="import numpy as np",
    samples=(
        kind("ndarray in C order", "np.arange(12.0).reshape(3, 4)", "(x.tolist(), x.flags.c_contiguous, x.dtype)", brief=True),
        kind("ndarray in Fortran order", "np.asfortranarray(np.arange(12).reshape(3, 4))", "(x.tolist(), x.flags.f_contiguous)"),
        Sample("strided view", "base = np.arange(20); x = base[2:15:3]", "base[5] = 99; x.tolist() == [2, 99, 8, 11, 14] and np.shares_memory(x, base)", alias=True, brief=True),
        Sample("view in two variables of a list", "base = np.zeros((4, 4)); x = [base[0], base[:, 0]]; y = base.T", "base[0, 0] = 5; x[0][0] == x[1][0] == y[0, 0] == 5", alias=True),
        Sample("large array and its views", "base = np.arange(3_000_000); x = base[1000:2000]; y = base.reshape(1000, 3000)", "base[1500] = -1; x[500] == -1 and y[0, 1500] == -1 and int(y[999, 2999]) == 2999999", alias=True),
        kind("array of no dimension", "np.array(5.5)", "(x.shape, x.dtype, float(x))"),
        kind("structured array", "np.array([(1, 'a', 2.5)], dtype=[('n', 'i4'), ('s', 'U3'), ('f', 'f8')])", "(x.tolist(), x.dtype)"),
        Sample("array of objects", "inner = [1]; x = np.array([inner, {'a': 1}, None], dtype=object)", "x[0] is inner and x.tolist() == [[1], {'a': 1}, None]", alias=True),
        kind("array of strings of any length", "np.array(['a', 'bb' * 50], dtype=np.dtypes.StringDType())", "(x.tolist(), x.dtype)"),
        kind("masked array", "np.ma.array([1.0, 2, 3], mask=[0, 1, 0], fill_value=9)", "(x.filled().tolist(), x.mask.tolist(), x.sum())"),
        Sample("memmap", "m = np.memmap(FOLDER + '/m', 'i4', 'w+', shape=4); m[:] = 7; m.flush(); x = m", "x.tolist() == [7] * 4 and type(x) is np.memmap"),
        kind("recarray", "np.rec.array([(1, 2.0)], names='a,b')", "(x.a.tolist(), type(x).__name__)"),
        kind("dates", "np.array(['2020-01-01', 'NaT'], dtype='datetime64[D]')", "(x.astype(str).tolist(), x.dtype)"),
        kind("Generator", "np.random.default_rng(5)", "x.bit_generator.state['state']"),
        Sample("Generator that two hold", "x = np.random.default_rng(5); y = [x]", "y[0] is x and x.random() != y[0].random()", alias=True),
        kind("RandomState", "np.random.RandomState(5)", "x.get_state()[1]"),
        kind("bit generator with a seed sequence", "np.random.Generator(np.random.Philox(3)).spawn(2)[1].bit_generator", "str(x.state)"),
        kind("poly1d", "np.poly1d([1, 2, 3])", "(x.c, x(2))"),
        kind("Polynomial", "np.polynomial.Chebyshev([1, 2, 3])", "(x.coef, x(0.5))"),
        kind("vectorize", "np.vectorize(lambda a, b=2: a * b)", "x([1, 2])"),
        kind("finfo and scalars", "[np.finfo('f4'), np.float32(1.5), np.int8(-3), np.datetime64('2020')]", "[str(each) for each in x]"),
    ),
)

SCIPY = Group(
    "Classes: scipy",
    package="scipy",
    imports="import numpy as np\nfrom scipy import interpolate, integrate, linalg, optimize, signal, sparse, spatial, stats\nimport scipy.sparse.linalg\nrng = np.random.default_rng(1)\npoints = rng.random((20, 2))",
    samples=(
        *(kind(f"sparse {each}_array", f"sparse.random_array((5, 5), density=0.4, format='{each}', rng=1)", "x.toarray()") for each in ("csr", "csc", "coo", "lil", "dok", "bsr", "dia")),
        kind("csr_matrix", "sparse.csr_matrix(np.eye(3))", "(x.toarray(), type(x).__name__)"),
        kind("cKDTree", "spatial.cKDTree(points)", "x.query(points[:3], 2)"),
        kind("KDTree", "spatial.KDTree(points)", "x.query_ball_point([0.5, 0.5], 0.3)"),
        kind("Delaunay", "spatial.Delaunay(points)", "(x.simplices, x.find_simplex([[0.5, 0.5]]))"),
        kind("ConvexHull", "spatial.ConvexHull(points)", "(x.vertices, x.area)"),
        kind("Voronoi", "spatial.Voronoi(points)", "(x.vertices, x.regions)"),
        kind("CubicSpline", "interpolate.CubicSpline([0, 1, 2, 3], [0, 1, 4, 9])", "x([0.5, 2.5])"),
        kind("RBFInterpolator", "interpolate.RBFInterpolator(points, points[:, 0])", "x([[0.5, 0.5]])"),
        kind("BSpline", "interpolate.BSpline(np.arange(7.0), [1.0, 2, 3, 4], 2)", "x([2.5])"),
        kind("RegularGridInterpolator", "interpolate.RegularGridInterpolator(([0, 1], [0, 1]), np.eye(2))", "x([[0.2, 0.3]])"),
        kind("PchipInterpolator", "interpolate.PchipInterpolator([0, 1, 2], [0, 1, 0])", "x([0.5])"),
        kind("frozen distribution", "stats.gamma(2, scale=3)", "(x.mean(), x.cdf(4.0))"),
        kind("multivariate normal", "stats.multivariate_normal([0, 1], [[1, 0.2], [0.2, 1]])", "x.pdf([0.1, 0.2])"),
        kind("gaussian_kde", "stats.gaussian_kde(points[:, 0])", "x([0.5])"),
        kind("rv_histogram", "stats.rv_histogram(np.histogram([1, 2, 2, 3]))", "x.cdf(2.0)"),
        kind("lti system", "signal.lti([1.0], [1.0, 2.0])", "(x.num, x.poles)"),
        kind("ShortTimeFFT", "signal.ShortTimeFFT(np.ones(8), 2, fs=10)", "(x.delta_t, x.win)"),
        kind("OptimizeResult", "optimize.minimize(lambda v: (v[0] - 1) ** 2, [5.0])", "(x.x, x.success, x['fun'])"),
        kind("Bounds and LinearConstraint", "[optimize.Bounds([0], [1]), optimize.LinearConstraint([[1, 2]], 0, 5)]", "(x[0].ub, x[1].A)"),
        kind("LinearOperator", "scipy.sparse.linalg.LinearOperator((2, 2), matvec=lambda v: 2 * v)", "x.matvec(np.ones(2))"),
        kind("OdeSolution", "integrate.solve_ivp(lambda t, y: -y, (0, 1), [1.0], dense_output=True)", "(x.y, x.sol(0.5))"),
        kind("Rotation", "spatial.transform.Rotation.from_euler('xz', [[10, 20]], degrees=True)", "x.as_quat()"),
        kind("linkage and dendrogram", "__import__('scipy.cluster.hierarchy').cluster.hierarchy.to_tree(__import__('scipy.cluster.hierarchy').cluster.hierarchy.linkage(points))", "(x.get_count(), x.pre_order())"),
    ),
)  # fmt: skip

GROUPS = (NUMPY, SCIPY)
