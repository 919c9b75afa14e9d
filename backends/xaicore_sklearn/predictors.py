"""Predictors: linear models and multi-layer perceptrons. Each gives its scores (N, K) and the link behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from xaicore.errors import ConversionError, InputError
from xaicore.numerics import Array
from xaicore.ops import Concat, Dense, Div, Exp, Op, ReLU, Reshape, Sigmoid, Softmax, Sum, Tanh
from xaicore_sklearn.place import Place, own_class

Link = Literal["identity", "exp", "softmax", "logistic", "one_vs_rest", "none"]
ACTIVATIONS: Mapping[str, Op | None] = {"identity": None, "logistic": Sigmoid(), "tanh": Tanh(), "relu": ReLU()}


@dataclass(frozen=True)
class Scores:
    """The node with scores (N, K).

    link   what makes predictions of them: "identity" and "exp" for regressors; for classifiers what makes probabilities, "none" where
           there are none. "logistic" with K = 1 is a classifier of two classes
    flat   scikit-learn gives (N,) where K = 1
    share  two classes have the logits -share * z and share * z
    """

    node: str
    link: Link
    flat: bool = False
    share: float = 0.5


Predictor = Callable[[Place, str], Scores]


# ----- linear models ----------------------------------------------------------------------------------------------------


def regressor(p: Place, x: str) -> Scores:
    """x coef_ᵀ + intercept_."""
    return Scores(_affine(p, x), "identity", flat=p.fitted("coef_").ndim == 1)


def log_regressor(p: Place, x: str) -> Scores:
    """exp(x coef_ᵀ + intercept_)."""
    return Scores(_affine(p, x), "exp", flat=True)


def classifier(p: Place, x: str) -> Scores:
    """Scores alone: hinge losses and least squares have no probabilities."""
    return Scores(_affine(p, x), "none", flat=True)


def logistic(p: Place, x: str) -> Scores:
    """Two classes: the log odds. More: a softmax, or one against the rest where that was asked for (or the solver is liblinear)."""
    z = _affine(p, x)
    asked = getattr(p.model, "multi_class", "auto")
    if len(p.model.classes_) <= 2:
        return Scores(z, "logistic", flat=True, share=1.0 if asked == "multinomial" else 0.5)    # before 1.8: softmax(-z, z)
    return Scores(z, "one_vs_rest" if asked == "ovr" or p.model.solver == "liblinear" else "softmax", flat=True)


def discriminant(p: Place, x: str) -> Scores:
    """Linear discriminant analysis."""
    return Scores(_affine(p, x), "logistic" if len(p.model.classes_) == 2 else "softmax", flat=True)


def sgd(p: Place, x: str) -> Scores:
    """Probabilities for the logistic loss alone."""
    link: Link = "none" if p.model.loss != "log_loss" else "logistic" if len(p.model.classes_) == 2 else "one_vs_rest"
    return Scores(_affine(p, x), link, flat=True)


def _affine(p: Place, x: str) -> str:
    """One Dense node; an intercept of zeros, where none was fitted, is left out."""
    w = np.atleast_2d(p.fitted("coef_"))
    shift = np.broadcast_to(np.atleast_1d(p.fitted("intercept_")), (len(w),)) if hasattr(p.model, "intercept_") else np.zeros(len(w))
    bias = [p.param("intercept_", shift)] if shift.any() else []
    return p.add(Dense(), x, p.param("coef_", w), *bias, part="" if p.path else "scores")


# ----- networks, and classifiers of classifiers -------------------------------------------------------------------------


def perceptron(p: Place, x: str) -> Scores:
    """Dense layers with the activation between them; layer k reads coefs_.k and intercepts_.k."""
    last = len(p.model.coefs_) - 1
    activation = ACTIVATIONS[p.model.activation]
    for k in range(last + 1):
        layer = f"layer{k}"
        weights = p.param(f"coefs_.{k}", p.fitted("coefs_", str(k)).T), p.param(f"intercepts_.{k}", p.fitted("intercepts_", str(k)))
        x = p.add(Dense(), x, *weights, layer=layer)
        if k < last:
            x = x if activation is None else p.add(activation, x, part=p.model.activation, layer=layer)
            if hasattr(p.model, "_forward_pass"):                       # without this private function nothing is compared in here
                p.note(x, partial(_hidden, p.model, k))
    link: Link = p.model.out_activation_
    return Scores(x, link, flat=p.model.n_outputs_ == 1)


def _hidden(model: Any, k: int, x: Array) -> Any:
    """What scikit-learn has behind hidden layer k."""
    return model._forward_pass([x] + [None] * (model.n_layers_ - 1))[k + 1]


def one_vs_rest(p: Place, x: str) -> Scores:
    """The scores of one binary classifier for each class."""
    parts, links = [], set()
    for k, one in enumerate(p.model.estimators_):
        name = own_class(one).__name__
        if name not in PREDICTORS or name == "OneVsRestClassifier":
            raise ConversionError(f"{p.where()}: its classifier {k} is a {name}, which has no counterpart; known: "
                                  f"{', '.join(sorted(PREDICTORS))}")
        found = PREDICTORS[name](p.inner(f"estimators_.{k}", one), x)
        parts.append(found.node)
        links.add(found.link)
    if links - {"logistic", "none"}:
        raise ConversionError(f"{p.where()}: its classifiers end in {', '.join(sorted(links))}; logistic ones are known, and ones without "
                              f"probabilities")
    link: Link = "none" if links != {"logistic"} else "logistic" if len(parts) == 1 or p.model.multilabel_ else "one_vs_rest"
    return Scores(parts[0] if len(parts) == 1 else p.add(Concat(1), *parts, part="scores"), link, flat=len(parts) == 1)


# ----- heads ------------------------------------------------------------------------------------------------------------


def head(p: Place, scores: Scores, output: str) -> tuple[str, str]:
    """(the node of what was asked for, the method of scikit-learn that gives the same)."""
    if scores.link in ("identity", "exp"):
        if output not in ("auto", "predict"):
            raise InputError(f"{p.where()} is a regressor: output={output!r} is none of its methods; give 'predict', or nothing")
        node = p.add(Exp(), scores.node, part="exp") if scores.link == "exp" else scores.node
        return _flat(p, node, scores.flat), "predict"
    without = scores.link == "none"
    if output == "predict":
        raise InputError(f"{p.where()}: the label that it predicts is a step function, which nothing can be attributed to; give "
                         f"output='decision_function'{'' if without else ' or predict_proba'}")
    if output == "predict_proba" and without:
        raise InputError(f"{p.where()} has no predict_proba; give output='decision_function'")
    if output == "decision_function" or without:
        return _flat(p, scores.node, scores.flat and _binary(p)), "decision_function"
    return _probabilities(p, scores), "predict_proba"


def _binary(p: Place) -> bool:
    """Are there two classes (and not two labels, each of which may hold)?"""
    several = getattr(p.model, "multilabel_", False) or getattr(p.model, "n_outputs_", 1) > 1
    return len(getattr(p.model, "classes_", ())) <= 2 and not several


def _probabilities(p: Place, scores: Scores) -> str:
    """Two classes: softmax(-z/2, z/2) = (1 - s(z), s(z)), so that each class has a logit, and they differ by the log odds z."""
    z = scores.node
    if scores.link == "softmax":
        return p.add(Softmax(-1), z, part="probabilities", layer="head")
    if scores.link == "one_vs_rest":
        each = p.add(Sigmoid(), z, part="each", layer="head")
        return p.add(Div(), each, p.add(Sum((1,), keepdims=True), each, part="sum", layer="head"), part="probabilities", layer="head")
    if _binary(p):
        both = p.add(Dense(), z, p.param("signs", np.array([[-scores.share], [scores.share]])), part="logits", layer="head")
        return p.add(Softmax(-1), both, part="probabilities", layer="head")
    return p.add(Sigmoid(), z, part="probabilities", layer="head")


def _flat(p: Place, node: str, flat: bool) -> str:
    return p.add(Reshape(()), node, part="flat", layer="head") if flat else node


LINEAR_REGRESSORS = """ARDRegression BayesianRidge ElasticNet ElasticNetCV HuberRegressor Lars LarsCV Lasso LassoCV LassoLars LassoLarsCV
    LassoLarsIC LinearRegression LinearSVR MultiTaskElasticNet MultiTaskElasticNetCV MultiTaskLasso MultiTaskLassoCV
    OrthogonalMatchingPursuit OrthogonalMatchingPursuitCV PassiveAggressiveRegressor QuantileRegressor Ridge RidgeCV SGDRegressor
    TheilSenRegressor""".split()

PREDICTORS: Mapping[str, Predictor] = {
    **dict.fromkeys(LINEAR_REGRESSORS, regressor),
    **dict.fromkeys(("PoissonRegressor", "GammaRegressor"), log_regressor),
    **dict.fromkeys(("LinearSVC", "PassiveAggressiveClassifier", "Perceptron", "RidgeClassifier", "RidgeClassifierCV"), classifier),
    **dict.fromkeys(("LogisticRegression", "LogisticRegressionCV"), logistic),
    "LinearDiscriminantAnalysis": discriminant, "SGDClassifier": sgd,
    "MLPClassifier": perceptron, "MLPRegressor": perceptron, "OneVsRestClassifier": one_vs_rest,
}
"""By the name of scikit-learn's class. To add one: a function (place, input) -> Scores, and a row here."""
