"""Classes of scikit-learn, the boosters, torch, keras and what works with language."""

from sample import Group, Sample, kind

_FIT = "np.round(x.predict(X), 12)"

SKLEARN = Group(
    "Classes: scikit-learn",
    package="sklearn",
    imports=(
        "import numpy as np\n"
        "from sklearn import base, calibration, cluster, compose, datasets, decomposition, discriminant_analysis, dummy, ensemble\n"
        "from sklearn import feature_extraction, feature_selection, gaussian_process, isotonic, linear_model, manifold, mixture\n"
        "from sklearn import model_selection, multiclass, naive_bayes, neighbors, neural_network, pipeline, preprocessing\n"
        "from sklearn import random_projection, svm, tree, utils\n"
        "X, y = datasets.make_classification(60, 4, random_state=0)"
    ),
    samples=(
        *(
            kind(name.split("(")[0].split(".")[1], f"{name}.fit(X, y)", _FIT)
            for name in (
                "linear_model.LinearRegression()", "linear_model.LogisticRegression()", "linear_model.Ridge()",
                "linear_model.Lasso(0.01)", "linear_model.ElasticNet(0.01)", "linear_model.SGDClassifier(random_state=0)",
                "linear_model.Perceptron()", "linear_model.BayesianRidge()", "linear_model.HuberRegressor()",
                "svm.SVC()", "svm.LinearSVC()", "svm.SVR()", "svm.OneClassSVM()", "tree.DecisionTreeClassifier()",
                "tree.DecisionTreeRegressor()", "ensemble.RandomForestClassifier(5, random_state=0)",
                "ensemble.ExtraTreesRegressor(5, random_state=0)", "ensemble.GradientBoostingClassifier(n_estimators=3)",
                "ensemble.HistGradientBoostingClassifier(max_iter=3)", "ensemble.AdaBoostClassifier(n_estimators=3)",
                "ensemble.BaggingClassifier(n_estimators=3)", "ensemble.IsolationForest(n_estimators=3, random_state=0)",
                "neighbors.KNeighborsClassifier()", "neighbors.NearestCentroid()", "naive_bayes.GaussianNB()",
                "discriminant_analysis.LinearDiscriminantAnalysis()", "neural_network.MLPClassifier((3,), max_iter=5)",
                "cluster.KMeans(2, n_init=1)", "mixture.GaussianMixture(2)", "gaussian_process.GaussianProcessClassifier()",
                "dummy.DummyClassifier()", "multiclass.OneVsRestClassifier(linear_model.LogisticRegression())",
                "calibration.CalibratedClassifierCV(naive_bayes.GaussianNB(), cv=2)",
                "model_selection.GridSearchCV(linear_model.Ridge(), {'alpha': [1, 2]}, cv=2)",
                "model_selection.TunedThresholdClassifierCV(naive_bayes.GaussianNB(), cv=2)",
                "ensemble.VotingClassifier([('a', naive_bayes.GaussianNB()), ('b', tree.DecisionTreeClassifier())])",
                "ensemble.StackingClassifier([('a', naive_bayes.GaussianNB())], cv=2)",
            )
        ),
        *(
            kind(name.split("(")[0].split(".")[1], f"{name}.fit(X, y)", "np.round(x.transform(X), 12)")
            for name in (
                "preprocessing.StandardScaler()", "preprocessing.MinMaxScaler()", "preprocessing.PolynomialFeatures()",
                "preprocessing.KBinsDiscretizer(3, encode='ordinal', quantile_method='averaged_inverted_cdf')",
                "preprocessing.QuantileTransformer(n_quantiles=5)", "decomposition.PCA(2)", "decomposition.FastICA(2, random_state=0)",
                "feature_selection.SelectKBest(k=2)", "random_projection.GaussianRandomProjection(2, random_state=0)",
                "compose.ColumnTransformer([('a', preprocessing.MinMaxScaler(), [0]), ('b', 'passthrough', [1])])",
                "preprocessing.FunctionTransformer(lambda a: a * 2)",
            )
        ),
        kind("Pipeline with a lambda", "pipeline.make_pipeline(preprocessing.FunctionTransformer(lambda a: a * 2), linear_model.Ridge()).fit(X, y)", _FIT),
        kind("TfidfVectorizer", "feature_extraction.text.TfidfVectorizer().fit(['a cat', 'the dog'])", "x.transform(['cat dog']).toarray()"),
        kind("CountVectorizer with a lambda", "feature_extraction.text.CountVectorizer(tokenizer=lambda t: t.split('-'), token_pattern=None).fit(['p-q'])", "x.vocabulary_"),
        kind("Gaussian process, its kernel", "gaussian_process.GaussianProcessRegressor(1.0 * gaussian_process.kernels.RBF(1.0), optimizer=None).fit(X[:9], y[:9])", "(x.predict(X[:3]), str(x.kernel_))"),
        kind("KDTree and BallTree", "[neighbors.KDTree(X), neighbors.BallTree(X)]", "[each.query(X[:2], 2) for each in x]"),
        kind("Bunch", "datasets.load_iris()", "(x.data, x.target_names)"),
        kind("splitters", "list(model_selection.StratifiedKFold(3).split(X, y))", "x"),
        Sample("split that has not begun", "x = model_selection.KFold(3).split(X)", "len(list(x)) == 3"),
        Sample("estimator of the user's", "class Mean(base.RegressorMixin, base.BaseEstimator):\n    def __init__(self, shift=0): self.shift = shift\n    def fit(self, X, y): self.mean_ = np.mean(y); return self\n    def predict(self, X): return np.full(len(X), self.mean_ + self.shift)\nx = Mean(2).fit(X, y); before = x.predict(X)", "equal(x.predict(X), before) and base.clone(x).shift == 2"),
        Sample("estimators that share one", "inner = linear_model.Ridge().fit(X, y); x = pipeline.Pipeline([('r', inner)]); y2 = [inner]", "x.steps[0][1] is inner and y2[0] is inner", alias=True),
    ),
)

BOOSTERS = Group(
    "Classes: boosters, statsmodels",
    imports="import numpy as np\nrng = np.random.default_rng(0)\nX = rng.random((60, 3)); y = (X[:, 0] > 0.5).astype(int)",
    samples=(
        Sample("XGBClassifier", "import xgboost\nx = xgboost.XGBClassifier(n_estimators=3).fit(X, y); before = x.predict_proba(X)", "equal(x.predict_proba(X), before)", package="xgboost"),
        Sample("xgboost Booster", "import xgboost\nd = xgboost.DMatrix(X, y); x = xgboost.train({}, d, 3); before = x.predict(d); del d", "equal(x.predict(xgboost.DMatrix(X)), before)", package="xgboost"),
        Sample("xgboost DMatrix", "import xgboost\nx = xgboost.DMatrix(X, y)", "x.num_row() == 60", package="xgboost"),
        Sample("LGBMClassifier", "import lightgbm\nx = lightgbm.LGBMClassifier(n_estimators=3, verbose=-1).fit(X, y); before = x.predict_proba(X)", "equal(x.predict_proba(X), before)", package="lightgbm"),
        Sample("lightgbm Booster", "import lightgbm\nx = lightgbm.train({'verbose': -1}, lightgbm.Dataset(X, y), 3); before = x.predict(X)", "equal(x.predict(X), before)", package="lightgbm"),
        Sample("lightgbm Dataset", "import lightgbm\nx = lightgbm.Dataset(X, y, params={'verbose': -1}).construct()", "x.num_data() == 60", package="lightgbm"),
        Sample("CatBoostClassifier", "import catboost\nx = catboost.CatBoostClassifier(iterations=3, verbose=0, allow_writing_files=False).fit(X, y); before = x.predict_proba(X)", "equal(x.predict_proba(X), before)", package="catboost"),
        Sample("catboost Pool", "import catboost\nx = catboost.Pool(X, y)", "x.num_row() == 60 and x.get_label()[0] == y[0]", package="catboost"),
        Sample("statsmodels OLS results", "import statsmodels.api as sm\nx = sm.OLS(y, sm.add_constant(X)).fit(); before = x.params.copy()", "equal(x.params, before) and len(x.predict()) == 60", package="statsmodels"),
        Sample("statsmodels formula", "import statsmodels.formula.api as smf, pandas as pd\nx = smf.ols('y ~ a', pd.DataFrame({'a': X[:, 0], 'y': y})).fit(); before = x.params", "x.params.equals(before)", package="statsmodels"),
        Sample("statsmodels ARIMA", "from statsmodels.tsa.arima.model import ARIMA\nx = ARIMA(X[:, 0], order=(1, 0, 0)).fit(); before = x.forecast(2)", "equal(x.forecast(2), before)", package="statsmodels"),
    ),
)

_NET = (
    "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n        self.a = torch.nn.Linear(3, 4); self.b = torch.nn.Linear(4, 1)\n        self.tied = self.a\n"
    "    def forward(self, v): return self.b(torch.relu(self.a(v)))\n"
)

TORCH = Group(
    "Classes: torch, safetensors, onnxruntime, keras",
    package="torch",
    imports="import torch, numpy as np\ntorch.manual_seed(0)",
    samples=(
        kind("Tensor", "torch.arange(6.).reshape(2, 3)", "(x.tolist(), x.dtype)"),
        Sample("views of one storage", "base = torch.arange(6.); x = base[2:4]; y = base.view(2, 3).t()", "base[2] = 99; x[0] == 99 and y[2, 0] == 99 and x.storage_offset() == 2", alias=True, brief=True),
        Sample("view in another variable's list", "base = torch.zeros(1000, 1000); x = [base[0]]; y = {'c': base[:, 0]}", "base[0, 0] = 5; x[0][0] == 5 and y['c'][0] == 5", alias=True),
        Sample("tensor that wants gradients", "x = torch.ones(2, requires_grad=True); (x * 3).sum().backward()", "x.requires_grad and x.grad.tolist() == [3, 3] and x.is_leaf", alias=True),
        Sample("tensor with a history", "x = torch.ones(2, requires_grad=True) * 2", "x.tolist() == [2, 2]"),
        Sample("bfloat16, complex, bool", "x = [torch.tensor([1.5], dtype=torch.bfloat16), torch.tensor([1j]), torch.tensor([True])]; before = [each.clone() for each in x]", "equal(x, before)"),
        Sample("sparse tensor", "x = torch.eye(3).to_sparse()", "x.to_dense().sum() == 3 and x.is_sparse"),
        Sample("Parameter and its gradient", "x = torch.nn.Parameter(torch.ones(2)); x.sum().backward()", "type(x) is torch.nn.Parameter and x.grad.tolist() == [1, 1]"),
        Sample("Module of the user's", _NET + "x = Net(); v = torch.ones(1, 3); before = x(v).detach()", "equal(x(v).detach(), before) and x.tied is x.a and len(list(x.parameters())) == 4", alias=True, brief=True),
        Sample("Module with a hook that is a lambda", "x = torch.nn.Linear(2, 2); x.register_forward_hook(lambda m, i, o: o * 0)", "x(torch.ones(1, 2)).abs().sum() == 0"),
        Sample("Sequential, BatchNorm, Embedding", "x = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2), torch.nn.Dropout()).eval(); v = torch.ones(3, 2); before = x(v).detach()", "equal(x(v).detach(), before) and not x.training"),
        Sample("LSTM", "x = torch.nn.LSTM(2, 3); v = torch.ones(4, 1, 2); before = x(v)[0].detach()", "equal(x(v)[0].detach(), before)"),
        Sample("Adam, bound to its parameters", _NET + "x = Net(); o = torch.optim.Adam(x.parameters(), lr=0.1); x(torch.ones(1, 3)).sum().backward(); o.step()", "before = x.b.bias.item()\nassert o.param_groups[0]['params'][0] is next(x.parameters())\no.zero_grad(); x(torch.ones(1, 3)).sum().backward(); o.step()\nassert x.b.bias.item() != before", alias=True, brief=True),
        Sample("SGD and a scheduler", "x = torch.nn.Linear(1, 1); o = torch.optim.SGD(x.parameters(), lr=1.0, momentum=0.9); s = torch.optim.lr_scheduler.StepLR(o, 1); o.step(); s.step()", "s.optimizer is o and o.param_groups[0]['lr'] == 0.1\ns.step(); o.param_groups[0]['lr'] < 0.011", alias=True),
        Sample("Dataset, DataLoader, Sampler", "from torch.utils.data import DataLoader, TensorDataset\nd = TensorDataset(torch.arange(6.)); x = DataLoader(d, batch_size=2)", "x.dataset is d and len(list(x)) == 3", alias=True),
        Sample("Generator", "x = torch.Generator(); x.manual_seed(5); torch.rand(1, generator=x); before = x.get_state()", "equal(x.get_state(), before)"),
        Sample("state of the random numbers", "torch.manual_seed(7); torch.rand(3); x = torch.get_rng_state()", "equal(torch.get_rng_state(), x)"),
        Sample("ScriptModule", "x = torch.jit.script(torch.nn.Linear(2, 1)); v = torch.ones(1, 2); before = x(v).detach()", "equal(x(v).detach(), before)"),
        Sample("distribution", "x = torch.distributions.Normal(torch.tensor(1.), torch.tensor(2.))", "x.mean == 1 and x.stddev == 2"),
        Sample("device, dtype, Size", "x = [torch.device('cpu'), torch.float16, torch.Size([1, 2])]", "x == [torch.device('cpu'), torch.float16, torch.Size([1, 2])]"),
        Sample("PackedSequence", "x = torch.nn.utils.rnn.pack_sequence([torch.ones(2), torch.ones(1)])", "x.batch_sizes.tolist() == [2, 1]"),
        Sample("safetensors handle", "from safetensors import safe_open; from safetensors.torch import save_file\nsave_file({'a': torch.ones(2)}, FOLDER + '/t.safetensors'); x = safe_open(FOLDER + '/t.safetensors', 'pt')", "x.get_tensor('a').tolist() == [1, 1]", package="safetensors"),
        Sample("keras model", "import keras\nx = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, 'relu'), keras.layers.Dense(1)]); v = np.ones((2, 3)); before = x.predict(v, verbose=0)", "np.allclose(x.predict(v, verbose=0), before)", package="keras"),
        Sample("keras optimizer", "import keras\nx = keras.optimizers.Adam(0.25)", "abs(float(x.learning_rate.numpy() if hasattr(x.learning_rate, 'numpy') else x.learning_rate) - 0.25) < 1e-6", package="keras"),
    ),
)

LANGUAGE = Group(
    "Classes: spaCy, tokenizers, transformers",
    samples=(
        Sample("spaCy pipeline", "import spacy\nx = spacy.blank('en'); x.add_pipe('sentencizer')", "[s.text for s in x('One. Two.').sents] == ['One.', 'Two.']", package="spacy"),
        Sample("spaCy Doc", "import spacy\nnlp = spacy.blank('en'); x = nlp('One two')", "[t.text for t in x] == ['One', 'two']", package="spacy"),
        Sample("spaCy Matcher", "import spacy; from spacy.matcher import Matcher\nnlp = spacy.blank('en'); x = Matcher(nlp.vocab); x.add('M', [[{'LOWER': 'one'}]])", "len(x(nlp('One two'))) == 1", package="spacy"),
        Sample("Tokenizer", "from tokenizers import Tokenizer, models, pre_tokenizers\nx = Tokenizer(models.WordLevel({'a': 0, 'b': 1, '?': 2}, unk_token='?')); x.pre_tokenizer = pre_tokenizers.Whitespace()", "x.encode('a b z').ids == [0, 1, 2]", package="tokenizers"),
        Sample("tokenizer of transformers", "from tokenizers import Tokenizer, models; from transformers import PreTrainedTokenizerFast\nx = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({'a': 0, '?': 1}, unk_token='?')), unk_token='?')", "x('a')['input_ids'] == [0]", package="transformers"),
        Sample("configuration of transformers", "from transformers import BertConfig\nx = BertConfig(hidden_size=12, num_attention_heads=2)", "x.hidden_size == 12", package="transformers"),
    ),
)  # fmt: skip

GROUPS = (SKLEARN, BOOSTERS, TORCH, LANGUAGE)
