"""The scikit-learn backend against scikit-learn: every class of its two tables, heads, pipelines, names, refusals."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn import discriminant_analysis, ensemble, feature_selection, linear_model, multiclass, neighbors, neural_network, svm, tree  # noqa: E402
from sklearn.base import BaseEstimator, TransformerMixin  # noqa: E402
from sklearn.compose import ColumnTransformer  # noqa: E402
from sklearn.decomposition import PCA, IncrementalPCA, TruncatedSVD  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import FeatureUnion, Pipeline, make_pipeline  # noqa: E402
from sklearn.preprocessing import (  # noqa: E402
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    Normalizer,
    OneHotEncoder,
    RobustScaler,
    StandardScaler,
)
from xaicore_sklearn import to_graph  # noqa: E402
from xaicore_sklearn.predictors import PREDICTORS  # noqa: E402
from xaicore_sklearn.transforms import TRANSFORMS  # noqa: E402

import xaicore as xc  # noqa: E402
from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, ShapeError  # noqa: E402
from xaicore.ops import Dense, Softmax  # noqa: E402

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),       # a few iterations are enough to have weights
    pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"), pytest.mark.filterwarnings("ignore::UserWarning"),     # of fits on 40 samples
]
EQUAL = 1e-12
"""Of the largest entry: the same float64 operations, up to the order of sums of six terms and to 1 - s(z) against s(-z)."""

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 6)) * [1, 10, 0.1, 1, 2, 3] + [0, 5, 0, -1, 0, 0]
FRESH = RNG.normal(size=(5, 6)) * [1, 10, 0.1, 1, 2, 3]
Y = X[:, 0] + 0.1 * X[:, 1] - X[:, 3] ** 2
YS = np.stack([Y, X[:, 2] * 10 - X[:, 4]], 1)
TWO = (np.median(Y) < Y).astype(int)
THREE = np.digitize(Y, np.quantile(Y, [0.33, 0.66]))
LABELS = np.stack([TWO, X[:, 4] > 0, X[:, 5] > 1], 1).astype(int)


def close(ours: np.ndarray, theirs: np.ndarray) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= EQUAL * max(1.0, np.abs(theirs).max())


# ----- every class ------------------------------------------------------------------------------------------------------

REGRESSORS = [k for k, f in PREDICTORS.items() if f.__name__ in ("regressor", "log_regressor")]
HERE = {k: getattr(m, k) for m in (linear_model, svm, discriminant_analysis, neural_network, multiclass) for k in PREDICTORS if hasattr(m, k)}
"""The classes that this version of scikit-learn has: the table keeps names of older ones."""


def quick(name: str, **settings: Any) -> Any:
    found = HERE[name]
    settings = {"max_iter": 4 if "Matching" in name else 30, "random_state": 0, "cv": 2, "Cs": 2, "alphas": 3, "n_alphas": 3, "max_subpopulation": 10, **settings}
    if name == "RidgeCV" or name == "RidgeClassifierCV":
        settings["alphas"] = (0.1, 1)
    known = found().get_params()
    known = {k: v for k, v in known.items() if k != "alphas" or v is not None}      # before 1.7 a number of them is n_alphas alone
    return found(**{k: v for k, v in settings.items() if k in known})


@pytest.mark.parametrize("name", sorted(set(REGRESSORS) & set(HERE)))
def test_regressors(name: str) -> None:
    target = YS if name.startswith("MultiTask") else np.exp(Y / 10) if name in ("PoissonRegressor", "GammaRegressor") else Y
    model = quick(name).fit(X, target)
    close(to_graph(model, X[:3])(FRESH), model.predict(FRESH))


@pytest.mark.parametrize("name", ["LinearRegression", "Ridge", "Lasso", "ElasticNet", "MultiTaskLasso", "MLPRegressor", "RidgeCV"])
@pytest.mark.parametrize("target", [YS, Y[:, None]], ids=["two", "column"])
def test_several_targets_at_once(name: str, target: np.ndarray) -> None:
    model = quick(name).fit(X, target)
    close(to_graph(model)(FRESH), model.predict(FRESH))


CLASSIFIERS = sorted(set(HERE) - set(REGRESSORS) - {"OneVsRestClassifier", "MLPRegressor"})


@pytest.mark.parametrize("target", [TWO, THREE, np.array(["no", "yes"])[TWO]], ids=["two", "three", "words"])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifiers(name: str, target: np.ndarray) -> None:
    model = quick(name, loss="log_loss").fit(X, target) if name == "SGDClassifier" else quick(name).fit(X, target)
    graph = to_graph(model, X[:3])
    asked = "predict_proba" if hasattr(model, "predict_proba") else "decision_function"
    close(graph(FRESH), getattr(model, asked)(FRESH))
    scores = to_graph(model, X[:3], output="decision_function")(FRESH)
    if hasattr(model, "decision_function"):
        close(scores, model.decision_function(FRESH))
    else:
        odds = np.log(model.predict_proba(FRESH))
        np.testing.assert_allclose(scores if scores.ndim == 1 else scores - scores[:, :1], odds[:, 1] - odds[:, 0] if scores.ndim == 1 else odds - odds[:, :1],
                                   rtol=1e-9, atol=1e-9)                 # a logarithm of 1 - p loses what p has beyond 1e-16 of 1
    assert graph.meta["classes"] == json.dumps([str(k) for k in model.classes_])


def test_every_class_of_the_tables_that_exists_is_tested() -> None:
    gone = set(PREDICTORS) - set(HERE)
    assert gone <= {"PassiveAggressiveRegressor", "PassiveAggressiveClassifier"}     # removed in some versions
    assert set(TRANSFORMS) == {type(t).__name__ for t in TRANSFORMERS} | {
        "SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe", "SelectFromModel", "RFE", "RFECV", "SequentialFeatureSelector",
        "GenericUnivariateSelect"}


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("hidden", [(), (5,), (7, 4, 5)], ids=str)
def test_perceptrons_with_every_activation(activation: str, hidden: tuple[int, ...]) -> None:
    settings = {"activation": activation, "hidden_layer_sizes": hidden, "max_iter": 30, "random_state": 0}
    for target in (TWO, THREE, LABELS):
        model = neural_network.MLPClassifier(**settings).fit(X, target)
        close(to_graph(model)(FRESH), model.predict_proba(FRESH))
    for target in (Y, YS):
        model = neural_network.MLPRegressor(**settings).fit(X, target)
        close(to_graph(model)(FRESH), model.predict(FRESH))


@pytest.mark.parametrize("inner", [linear_model.LogisticRegression(max_iter=30), svm.LinearSVC(max_iter=30), neural_network.MLPClassifier((4,), max_iter=30, random_state=0)],
                         ids=lambda m: type(m).__name__)
@pytest.mark.parametrize("target", [TWO, THREE, LABELS], ids=["two", "three", "labels"])
def test_one_against_the_rest(inner: Any, target: np.ndarray) -> None:
    model = multiclass.OneVsRestClassifier(inner).fit(X, target)
    graph = to_graph(model)
    close(graph(FRESH), model.predict_proba(FRESH) if hasattr(inner, "predict_proba") else model.decision_function(FRESH))


def test_a_hinge_loss_has_scores_alone() -> None:
    hinge = linear_model.SGDClassifier(random_state=0).fit(X, THREE)
    close(to_graph(hinge)(FRESH), hinge.decision_function(FRESH))


TRANSFORMERS = [
    StandardScaler(), StandardScaler(with_mean=False), StandardScaler(with_std=False), StandardScaler(with_mean=False, with_std=False),
    MinMaxScaler(), MinMaxScaler((-2, 3), clip=True), MaxAbsScaler(), RobustScaler(), RobustScaler(with_centering=False),
    RobustScaler(with_scaling=False), Normalizer("l1"), Normalizer("l2"), Normalizer("max"), PCA(3), PCA(whiten=True), IncrementalPCA(3, whiten=True),
    TruncatedSVD(2), FunctionTransformer(), feature_selection.VarianceThreshold(1.0),
]


@pytest.mark.parametrize("made", TRANSFORMERS, ids=str)
def test_transformers(made: Any) -> None:
    made.fit(X)
    graph = to_graph(made, X[:3])
    rows = np.concatenate([FRESH * 3, np.zeros((1, 6))])
    close(graph(rows), made.transform(rows))


def test_selections_by_a_target() -> None:
    for made in (feature_selection.SelectKBest(k=2), feature_selection.SelectFromModel(linear_model.Lasso(0.1))):
        made.fit(X, TWO)
        close(to_graph(made)(FRESH), made.transform(FRESH))


# ----- pipelines, names, attributions -----------------------------------------------------------------------------------


def pipeline() -> Any:
    steps = [("scale", StandardScaler()), ("skip", "passthrough"), ("reduce", Pipeline([("pca", PCA(4)), ("size", MinMaxScaler())])),
             ("mlp", neural_network.MLPClassifier((5,), max_iter=60, random_state=0))]
    return Pipeline(steps).fit(X, THREE)


def test_a_pipeline_carries_the_names_of_its_steps() -> None:
    model = pipeline()
    graph = to_graph(model, X[:3])
    close(graph(FRESH), model.predict_proba(FRESH))
    assert [n.name for n in graph.nodes] == ["scale.centred", "scale.scaled", "reduce.pca.centred", "reduce.pca.projected", "reduce.size.scaled",
                                             "reduce.size.shifted", "mlp.layer0", "mlp.layer0.relu", "mlp.layer1", "mlp.head.probabilities"]
    assert {"scale.mean_", "reduce.pca.components_", "mlp.coefs_.0", "mlp.intercepts_.1"} < set(graph.params)
    np.testing.assert_array_equal(graph.params["mlp.coefs_.0"], model[-1].coefs_[0].T)
    assert graph.node("mlp.layer0.relu").layer == "mlp.layer0"
    assert graph.node("scale.scaled").origin == "sklearn.preprocessing.StandardScaler"


def test_names_of_features_and_classes_are_kept() -> None:
    model = linear_model.LogisticRegression().fit(X, np.array(["no", "yes"])[TWO])
    model.feature_names_in_ = np.array(["age", "a, b", "größe", "d", "e", "f"], dtype=object)
    graph = to_graph(model)
    assert json.loads(graph.meta["features.x"]) == list(model.feature_names_in_)
    assert json.loads(graph.meta["classes"]) == ["no", "yes"]


def test_two_classes_have_logits_that_differ_by_the_log_odds() -> None:
    model = linear_model.LogisticRegression().fit(X, TWO)
    graph = to_graph(model)
    up, down = (xc.explain(graph, FRESH, "gradient_x_input", target=k) for k in (1, 0))
    np.testing.assert_allclose(np.asarray(up), -np.asarray(down), atol=1e-12)
    np.testing.assert_allclose(np.asarray(up) * 2, FRESH * model.coef_, atol=1e-12)
    assert isinstance(graph.nodes[-1].op, Softmax)


@pytest.mark.parametrize("method", ["gradient", "lrp.epsilon", "deeplift.rescale", "integrated_gradients"])
def test_attributions_through_scalers_and_layers(method: str) -> None:
    settings = {"bias": "ignore"} if method == "lrp.epsilon" else {}
    a = xc.explain(to_graph(pipeline()), FRESH, method, target=1, **settings)
    assert np.asarray(a).shape == FRESH.shape
    if method in ("deeplift.rescale", "integrated_gradients"):
        assert abs(a.gap()).max() < (1e-9 if method == "deeplift.rescale" else 1e-1)    # quadrature of a rectified path: a few per cent


def test_one_number_for_each_sample_needs_no_target() -> None:
    model = linear_model.Ridge().fit(X, Y)
    a = xc.explain(to_graph(model), FRESH, "integrated_gradients")
    np.testing.assert_allclose(np.asarray(a), FRESH * model.coef_, atol=1e-10)
    np.testing.assert_allclose(a.output, model.predict(FRESH), atol=1e-10)


def test_an_intercept_of_zero_is_no_parameter() -> None:
    graph = to_graph(linear_model.Ridge(fit_intercept=False).fit(X, Y))
    assert set(graph.params) == {"coef_"}
    assert isinstance(graph.nodes[0].op, Dense)


# ----- columns ----------------------------------------------------------------------------------------------------------

NAMES = np.array(["a", "b", "c", "d", "e", "f"], dtype=object)
MASK = np.array([True, False, False, True, False, False])


@pytest.mark.parametrize(("first", "second", "remainder"), [
    ([0, 3], [4, 1], "drop"), (slice(0, 2), [-1], "passthrough"), (MASK, slice(4, None), "drop"), ([2], [5, 0], StandardScaler()), ([0, 1, 2], [], "passthrough"),
], ids=str)
def test_column_transformers(first: Any, second: Any, remainder: Any) -> None:
    columns = ColumnTransformer([("s", StandardScaler(), first), ("m", make_pipeline(MinMaxScaler(), PCA(1)), second), ("gone", "drop", [0])], remainder=remainder)
    columns.fit(X)
    close(to_graph(columns, X[:3])(FRESH), columns.transform(FRESH))
    model = make_pipeline(columns, FeatureUnion([("p", PCA(1)), ("same", "passthrough"), ("gone", "drop")]), linear_model.LogisticRegression(max_iter=30)).fit(X, THREE)
    graph = to_graph(model, X[:3])
    close(graph(FRESH), model.predict_proba(FRESH))
    assert {"columntransformer.s.picked", "columntransformer.s.scaled"} <= {n.name for n in graph.nodes}


def test_columns_by_name_are_those_of_the_data_frame() -> None:
    by_number = make_pipeline(ColumnTransformer([("s", StandardScaler(), [1, 3]), ("m", MaxAbsScaler(), slice(4, 6))]), linear_model.Ridge()).fit(X, Y)
    by_word = make_pipeline(ColumnTransformer([("s", StandardScaler(), ["b", "d"]), ("m", MaxAbsScaler(), slice("e", "f"))]), by_number[1])
    fitted = by_word[0]                                                     # what fit on a data frame leaves behind, without pandas
    fitted.transformers_ = [(name, part, key) for (name, part, _), (*_, key) in zip(by_number[0].transformers_, fitted.transformers)]
    fitted.n_features_in_, fitted._n_features, fitted.sparse_output_, fitted._columns = 6, 6, False, [["b", "d"], slice("e", "f")]
    fitted.feature_names_in_ = NAMES
    graph = to_graph(by_word, X[:3])
    close(graph(FRESH), by_number.predict(FRESH))
    assert json.loads(graph.meta["features.x"]) == list(NAMES)


def test_weights_of_parts_are_refused() -> None:
    model = FeatureUnion([("p", PCA(1)), ("s", StandardScaler())], transformer_weights={"p": 2.0}).fit(X)
    with pytest.raises(ConversionError, match=r"FeatureUnion has transformer_weights; multiply"):
        to_graph(model)
    with pytest.raises(ConversionError, match="drops every column"):
        to_graph(ColumnTransformer([("gone", "drop", [0])]).fit(X))


# ----- verification, refusals -------------------------------------------------------------------------------------------


def test_verification_names_the_step_that_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    model = pipeline()
    monkeypatch.setitem(TRANSFORMS, "PCA", lambda p, x: p.add(Dense(), x, p.param("components_", p.fitted("components_")), part="projected"))
    assert abs(model[0].transform(X).mean()) < 1e-12                     # after the scaler PCA's own mean is zero: this is no mistake here
    to_graph(model)
    shifted = make_pipeline(PCA(4), neural_network.MLPClassifier((5,), max_iter=5, random_state=0)).fit(X, THREE)
    with pytest.raises(Mismatch, match=r"node 'pca\.projected' .*sklearn\.decomposition\.PCA\) is the first that differs"):
        to_graph(shifted)


class Own(BaseEstimator, TransformerMixin):
    def fit(self, X: Any, y: Any = None) -> Own:
        self.n_features_in_ = X.shape[1]
        self.fitted_ = True
        return self

    def transform(self, X: Any) -> Any:
        return X


class Louder(linear_model.Ridge):
    def predict(self, X: Any) -> Any:
        return 2 * super().predict(X)


def densified() -> Any:
    return linear_model.SGDClassifier(random_state=0).fit(X, TWO).sparsify()


REFUSED = {
    "tree": (lambda: tree.DecisionTreeRegressor().fit(X, Y), r"sklearn\.tree\.DecisionTreeRegressor has no counterpart: trees are piecewise constant.*only calls"),
    "forest": (lambda: make_pipeline(StandardScaler(), ensemble.RandomForestClassifier(3)).fit(X, TWO), r"RandomForestClassifier \(step 'randomforestclassifier'\).*trees"),
    "kernel": (lambda: svm.SVC().fit(X, TWO), r"sklearn\.svm\.SVC has no counterpart: a kernel compares with stored training samples; fit a LinearSVC"),
    "neighbours": (lambda: neighbors.KNeighborsClassifier().fit(X, TWO), "stored training samples"),
    "search": (lambda: GridSearchCV(linear_model.Ridge(), {"alpha": [1.0]}, cv=2).fit(X, Y), r"GridSearchCV has no counterpart: convert its best_estimator_"),
    "encoder": (lambda: OneHotEncoder().fit(X), "apply it to the data before the model"),
    "function": (lambda: FunctionTransformer(np.log1p).fit(X), r"calls the Python function 'log1p', which cannot be read"),
    "unknown": (lambda: Own().fit(X), r"Own has no counterpart: .*Known: StandardScaler, "),
    "override": (lambda: Louder().fit(X, Y), r"Louder overrides predict of Ridge"),
    "unfitted": (lambda: linear_model.Ridge(), r"sklearn\.linear_model\.Ridge .*call fit\(X, y\) first"),
    "unfitted step": (lambda: Pipeline([("a", StandardScaler().fit(X)), ("b", linear_model.Ridge())]), r"Ridge \(step 'b'\) is not fitted"),
    "sparse": (densified, r"SGDClassifier: coef_ is a sparse matrix; call densify\(\)"),
    "nothing": (lambda: Pipeline([("a", "passthrough")]).fit(X), "no steps but 'passthrough'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals_say_what_and_what_to_do(name: str) -> None:
    make, message = REFUSED[name]
    with pytest.raises(ConversionError, match=message):
        to_graph(make(), X[:3])


@pytest.mark.parametrize(("output", "message"), [
    ("predict", r"step function, .*decision_function' or predict_proba"), ("logits", "did you mean|known: "), ("predict_probas", "did you mean 'predict_proba'"),
])
def test_outputs_of_a_classifier(output: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        to_graph(linear_model.LogisticRegression().fit(X, TWO), output=output)


def test_outputs_that_there_are_not() -> None:
    for model, output, message in (
        (linear_model.Ridge().fit(X, Y), "predict_proba", "is a regressor"), (StandardScaler().fit(X), "predict", "is a transformer"),
        (svm.LinearSVC().fit(X, TWO), "predict_proba", "has no predict_proba; give output='decision_function'"),
    ):
        with pytest.raises(InputError, match=message):
            to_graph(model, output=output)


def test_examples_and_objects_that_cannot_be_used() -> None:
    import scipy.sparse

    model = linear_model.Ridge().fit(X, Y)
    with pytest.raises(InputError, match=r"sparse matrix; give x\.toarray\(\)"):
        to_graph(model, scipy.sparse.csr_matrix(X))
    with pytest.raises(ShapeError, match="5 instead of 6 on axis 1"):
        to_graph(model, X[:, :5])
    with pytest.raises(BackendError, match=r"a fitted scikit-learn estimator is expected, not <class .*\.fit\(X, y\)"):
        to_graph(linear_model.Ridge)
