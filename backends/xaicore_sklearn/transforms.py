"""Transformers: scalers, projections, selections. Each gives the node that has what ``transform`` returns."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import Abs, Add, Clip, Compare, Dense, Div, Gather, Identity, Mul, ReduceMax, Sqrt, Sub, Sum, Where
from xaicore_sklearn.place import Place

Transform = Callable[[Place, str], str]


def standard(p: Place, x: str) -> str:
    """(x - mean_) / scale_, each where it is switched on."""
    return _centred_and_scaled(p, x, "mean_" if p.model.with_mean else "", "scale_" if p.model.with_std else "")


def robust(p: Place, x: str) -> str:
    """(x - center_) / scale_."""
    return _centred_and_scaled(p, x, "center_" if p.model.with_centering else "", "scale_" if p.model.with_scaling else "")


def max_abs(p: Place, x: str) -> str:
    """x / scale_, clipped to [-1, 1] when asked for."""
    y = _centred_and_scaled(p, x, "", "scale_")
    return p.add(Clip(-1.0, 1.0), y, part="clipped") if getattr(p.model, "clip", False) else y


def min_max(p: Place, x: str) -> str:
    """x * scale_ + min_, clipped to feature_range when asked for."""
    y = p.add(Mul(), x, p.param("scale_", p.fitted("scale_")), part="scaled")
    y = p.add(Add(), y, p.param("min_", p.fitted("min_")), part="shifted")
    low, high = p.model.feature_range
    return p.add(Clip(float(low), float(high)), y, part="clipped") if p.model.clip else y


def _centred_and_scaled(p: Place, x: str, centre: str, scale: str) -> str:
    y = x
    if centre:
        y = p.add(Sub(), y, p.param(centre, p.fitted(centre)), part="centred")
    if scale:
        y = p.add(Div(), y, p.param(scale, p.fitted(scale)), part="scaled")
    return y if y != x else identity(p, x)


def normalizer(p: Place, x: str) -> str:
    """x / ||x|| for each sample, by the norm "l2", "l1" or "max"; a norm below 10 roundings counts as 1, as in scikit-learn."""
    tiny = 10 * float(np.finfo(float).eps)
    if p.model.norm == "l2":
        size = p.add(Sum((1,), keepdims=True), p.add(Mul(), x, x, part="squares"), part="sum")
        tiny = tiny**2
    elif p.model.norm == "l1":
        size = p.add(Sum((1,), keepdims=True), p.add(Abs(), x, part="sizes"), part="norm")
    else:
        size = p.add(ReduceMax((1,), keepdims=True), p.add(Abs(), x, part="sizes"), part="norm")
    small = p.add(Compare("lt"), size, p.param("tiny", np.asarray(tiny)), part="is_zero")
    size = p.add(Where(), small, p.param("one", np.asarray(1.0)), size, part="norm_or_1")
    if p.model.norm == "l2":
        size = p.add(Sqrt(), size, part="root")
    return p.add(Div(), x, size, part="normalized")


def pca(p: Place, x: str) -> str:
    """(x - mean_) components_ᵀ, divided by the deviation of each component when whitened."""
    y = x if p.model.mean_ is None else p.add(Sub(), x, p.param("mean_", p.fitted("mean_")), part="centred")
    y = p.add(Dense(), y, p.param("components_", p.fitted("components_")), part="projected")
    if not p.model.whiten:
        return y
    scale = np.maximum(np.sqrt(p.fitted("explained_variance_")), np.finfo(float).eps)
    return p.add(Div(), y, p.param("explained_variance_.root", scale), part="whitened")


def truncated_svd(p: Place, x: str) -> str:
    """x components_ᵀ."""
    return p.add(Dense(), x, p.param("components_", p.fitted("components_")), part="projected")


def selection(p: Place, x: str) -> str:
    """The columns that were selected."""
    return p.add(Gather(1), x, p.param("support", np.asarray(p.model.get_support(indices=True))), part="selected")


def function(p: Place, x: str) -> str:
    """FunctionTransformer without a function, which passes on what it gets."""
    if p.model.func is not None:
        name = getattr(p.model.func, "__name__", type(p.model.func).__name__)
        raise ConversionError(f"{p.where()} calls the Python function {name!r}, which cannot be read; apply it to the data before the "
                              f"model, and convert the steps behind it")
    return identity(p, x)


def identity(p: Place, x: str) -> str:
    """x."""
    return p.add(Identity(), x)


TRANSFORMS: Mapping[str, Transform] = {
    "StandardScaler": standard, "RobustScaler": robust, "MaxAbsScaler": max_abs, "MinMaxScaler": min_max, "Normalizer": normalizer,
    "PCA": pca, "IncrementalPCA": pca, "TruncatedSVD": truncated_svd, "FunctionTransformer": function,
    **dict.fromkeys(("VarianceThreshold", "SelectKBest", "SelectPercentile", "SelectFpr", "SelectFdr", "SelectFwe", "SelectFromModel",
                     "RFE", "RFECV", "SequentialFeatureSelector", "GenericUnivariateSelect"), selection),
}
"""By the name of scikit-learn's class. To add one: a function (place, input) -> node, and a row here."""
