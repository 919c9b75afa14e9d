"""scikit-learn as graphs: linear models, multi-layer perceptrons, and pipelines that begin with scalers and projections.

The tables "class -> Builder calls" are in transforms.py and predictors.py.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline

from xaicore.errors import BackendError, ConversionError, InputError, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import prune
from xaicore.graph.run import check_feeds
from xaicore.graph.verify import verify as compare
from xaicore.numerics import Array
from xaicore.ops import Concat, Gather
from xaicore_sklearn.columns import by_name, parts_of
from xaicore_sklearn.place import Place, own_class
from xaicore_sklearn.predictors import PREDICTORS, head
from xaicore_sklearn.transforms import TRANSFORMS

__all__ = ["to_graph"]

OUTPUTS = ("auto", "predict_proba", "decision_function", "predict")

WHY = (
    (("Tree", "Forest", "Boosting", "AdaBoost", "Bagging", "Stacking", "Voting"),
     "trees are piecewise constant, so no gradient and no relevance passes them; use a method that only calls the model"),
    (("SVC", "SVR", "Kernel", "GaussianProcess", "Nystroem", "RBFSampler", "Spectral"),
     "a kernel compares with stored training samples; fit a LinearSVC, LinearSVR or MLP, or use a method that only calls the model"),
    (("Neighbors", "Radius", "NearestCentroid"),
     "it looks up stored training samples; use a method that only calls the model"),
    (("GridSearchCV", "RandomizedSearchCV", "HalvingGridSearchCV"), "convert its best_estimator_"),
    (("CalibratedClassifierCV", "MultiOutput", "ClassifierChain"), "convert each of the models inside"),
    (("Encoder", "Discretizer", "Binarizer", "Imputer", "Vectorizer"), "apply it to the data before the model, and convert what follows"),
)
"""Parts of class names, and what to do."""


def to_graph(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True, output: str = "auto") -> Graph:
    """The graph of a fitted linear model, MLPClassifier, MLPRegressor, or of a Pipeline that ends in one or in a transformer.

    Steps of a pipeline may be pipelines themselves, a ColumnTransformer or a FeatureUnion.

    Its input is called "x", (N, n_features_in_). Its output is what ``output`` names: "predict" for regressors; for classifiers
    "predict_proba", or "decision_function" where there are no probabilities ("auto"). Scores of an MLPClassifier before its last activation
    are its "decision_function", which scikit-learn has not. Probabilities of two classes are a softmax of -z/2 and z/2, so that each class
    has a logit, and the two differ by the log odds z.
    Names of features and classes, where the model knows them, are in ``meta`` as JSON lists ("features.x", "classes").

    With ``verify`` every step's transform, hidden layers and the output are compared on the example (or, without one, on noise).
    BackendError for what is no estimator, ConversionError for what has no counterpart or is not fitted, InputError for an example or
    ``output`` that does not fit, Mismatch where values differ.
    """
    if not isinstance(model, BaseEstimator):
        raise BackendError(f"a fitted scikit-learn estimator is expected, not {model!r:.60}; make one of a class with Class().fit(X, y)")
    if output not in OUTPUTS:
        raise InputError(f"output={output!r}: {nearest(output, OUTPUTS)}")
    b = Builder(type(model).__name__)
    place = Place(b, model)
    asked, known = _lower(place, b.input("x", (None, _width(model, example))), output)
    for key, names in (("features.x", getattr(model, "feature_names_in_", None)), ("classes", getattr(model, "classes_", None))):
        if names is not None:
            b.meta[key] = json.dumps([str(k) for k in np.asarray(names).reshape(-1)], ensure_ascii=False)
    graph = b.build(known)
    if verify:
        _verify(graph, example, place.notes)
    return (graph if asked == known else prune(b.build(asked))).astype(dtype)


def _lower(p: Place, x: str, output: str) -> tuple[str, str]:
    """Adds an estimator; (the node that was asked for, the node that scikit-learn has a method for)."""
    kind = own_class(p.model)
    if issubclass(kind, Pipeline):
        steps = [(k, step) for k, step in p.model.steps if step is not None and step != "passthrough"]
        if not steps:
            raise ConversionError(f"{p.where()} has no steps but 'passthrough', so there is nothing to explain; give a model")
        for k, step in steps[:-1]:
            stage = p.inner(k, step)
            x = _lower(stage, x, "auto")[0]
            p = replace(p, reach=partial(_transformed, step, p.reach))
        k, step = steps[-1]
        return _lower(p.inner(k, step), x, output)
    p.check()
    if kind.__name__ in ("ColumnTransformer", "FeatureUnion"):
        node = _side_by_side(p, x)
        p.note(node, partial(_transformed, p.model, _same))
        return node, node
    if kind.__name__ in TRANSFORMS:
        if output != "auto":
            raise InputError(f"{p.where()} is a transformer: output={output!r} is none of its methods; leave it out")
        node = TRANSFORMS[kind.__name__](p, x)
        p.note(node, p.model.transform)
        return node, node
    if kind.__name__ not in PREDICTORS:
        raise ConversionError(_refusal(p, kind.__name__))
    scores = PREDICTORS[kind.__name__](p, x)
    node, method = head(p, scores, output)
    if hasattr(p.model, method):
        p.note(node, getattr(p.model, method))
        return node, node
    known, method = head(p, scores, "predict_proba")                    # the scores of an MLPClassifier, which scikit-learn does not show
    p.note(known, getattr(p.model, method))
    return node, known


def _side_by_side(p: Place, x: str) -> str:
    """The parts of a ColumnTransformer or a FeatureUnion, each on its columns, and their results joined."""
    found = []
    for name, part, columns in parts_of(p.model, p.where()):
        inner = p.inner(name, part, partial(_picked, p.reach, columns))
        fed = x if columns is None else inner.add(Gather(1), x, inner.param("columns", columns), part="picked")
        found.append(fed if isinstance(part, str) else _lower(inner, fed, "auto")[0])
    if not found:
        raise ConversionError(f"{p.where()} drops every column, so there is nothing to explain")
    return found[0] if len(found) == 1 else p.add(Concat(1), *found, part="joined")


def _same(x: Array) -> Array:
    return x


def _picked(reach: Callable[[Array], Any], columns: Array | None, x: Array) -> Any:
    return reach(x) if columns is None else np.asarray(reach(x))[:, columns]


def _transformed(step: Any, reach: Callable[[Array], Any], x: Array) -> Any:
    """What a step makes of its input. scikit-learn names columns in data frames alone, so such a transformer runs part by part."""
    fed = reach(x)
    if type(step).__name__ == "ColumnTransformer" and any(by_name(key) for _, _, key in step.transformers_):
        fed = np.asarray(fed)
        return np.hstack([fed[:, c] if isinstance(part, str) else part.transform(fed[:, c]) for _, part, c in parts_of(step, "")])
    return step.transform(fed)


def _refusal(p: Place, name: str) -> str:
    """Why a class has no counterpart, and what to do."""
    why = next((text for parts, text in WHY if any(part in name for part in parts)), "")
    known = {**TRANSFORMS, **PREDICTORS}
    return f"{p.where()} has no counterpart: {why or nearest(name, known)}" + (f". Known: {', '.join(known)}" if not why else "")


def _width(model: Any, example: Any) -> int:
    """The number of features: what the model was fitted on, or the example's."""
    if hasattr(example, "toarray"):
        raise InputError("the example is a sparse matrix; give x.toarray()")
    width = getattr(model, "n_features_in_", None)
    if width is None and np.ndim(example) == 2:
        width = np.shape(example)[1]
    if width is None:
        raise ConversionError(f"{Place(Builder(), model).where()} does not say how many features it takes, so it is not fitted; call "
                              f"fit(X, y) first, or give an example (N, features)")
    return int(width)


def _verify(graph: Graph, example: Any, notes: list[tuple[str, Callable[[Array], Any]]]) -> None:
    """Compares every step with scikit-learn, on the example or on noise."""
    drawn = np.random.default_rng(0).standard_normal((2, graph.inputs["x"].shape[1] or 1))
    feeds = check_feeds(graph, drawn if example is None else np.asarray(example))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "X does not have valid feature names")        # arrays are what we have
        expected = {node: np.asarray(function(feeds["x"])) for node, function in notes}
    compare(graph, feeds, expected, "scikit-learn")
