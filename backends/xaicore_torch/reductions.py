"""ATen operators that reduce axes: sums, means, extremes, variances, norms. The batch is never reduced.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
table at the end says which function lowers which operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout
from xaicore.ops import (
    Abs,
    ArgMax,
    ArgMin,
    LogSumExp,
    Maximum,
    Mean,
    Minimum,
    Norm,
    Op,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    Sqrt,
    Sum,
    ToBool,
    Variance,
)
from xaicore_torch.arithmetic import binary
from xaicore_torch.context import Context, Value, kind_of


def reduction(make: Callable[..., Op], c: Context, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """Over the axes ``dim`` (all if None), which must not hold the batch."""
    x, axes = _reduced(c, x, dim)
    return c.emit(make(axes, keepdim), x, layout=_reduced_layout(c, x, dim, keepdim))


def _reduced(c: Context, x: Any, dim: Any) -> tuple[Value, tuple[int, ...]]:
    value = c.active(x)
    value = c.as_float(value) if kind_of(c.result().dtype) == "float" else c.as_int(value)
    return value, tuple(value.layout.graph_axis(k) for k in _dims(value, dim))


def _dims(x: Value, dim: Any) -> Sequence[int]:
    return [dim] if isinstance(dim, int) else dim or range(len(x.layout.shape))


def _reduced_layout(c: Context, x: Value, dim: Any, keepdim: bool) -> Layout:
    return x.layout.resized(c.shape()) if keepdim else x.layout.without(_dims(x, dim))


def extreme(make: Callable[..., Op], both: Op, c: Context, x: Any, dim: Any = None, keepdim: bool = False, other: Any = None) -> Any:
    """torch.max and min have three forms: of two arrays; over one axis, with positions; over everything."""
    if other is not None:
        return binary(both, c, x, other)
    y = reduction(make, c, x, dim, keepdim)
    if dim is None or 1 not in c.used():
        return y if dim is None else [y, None]
    source, find = c.active(x), ArgMax if make is ReduceMax else ArgMin
    return [y, c.emit(find(source.layout.graph_axis(dim), keepdim), source, layout=y.layout, part="places", kind="int")]


def variance(
    c: Context, x: Any, dim: Any = None, unbiased: bool = True, correction: Any = None, keepdim: bool = False, part: str = ""
) -> Value:
    """The mean square about the mean, divided by n - 1 unless said otherwise."""
    ddof = int(unbiased) if correction is None else c.number(correction)
    x, axes = _reduced(c, x, dim)
    return c.emit(Variance(axes, keepdim, ddof), x, layout=_reduced_layout(c, x, dim, keepdim), part=part)


def deviation(c: Context, **settings: Any) -> Value:
    """The square root of the variance."""
    return c.emit(Sqrt(), variance(c, **settings, part="variance"))


def variance_and_mean(c: Context, x: Any, dim: Any = None, keepdim: bool = False, **settings: Any) -> Any:
    """Both."""
    return [variance(c, x, dim, keepdim=keepdim, part="variance", **settings), reduction(Mean, c, x, dim, keepdim)]


def quantifier(make: Callable[..., Op], c: Context, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """any and all: maximum and minimum of 0 and 1."""
    x = c.active(x)
    truth = x if x.kind == "bool" else c.emit(ToBool(), x, part="bool", kind="bool")
    number, axes = _reduced(c, truth, dim)
    layout = _reduced_layout(c, number, dim, keepdim)
    return c.emit(ToBool(), c.emit(make(axes, keepdim), number, layout=layout, part="extreme"))


def vector_norm(c: Context, x: Any, ord: Any, dim: Any, keepdim: bool) -> Value:
    """(sum |x|^p)^(1/p), or the largest |x|."""
    x, axes = _reduced(c, x, dim)
    layout = _reduced_layout(c, x, dim, keepdim)
    order = c.number(ord)
    if order == math.inf:
        return c.emit(ReduceMax(axes, keepdim), c.emit(Abs(), x, part="sizes"), layout=layout)
    if order < 1:
        raise ConversionError(f"the {order}-norm is not supported; orders from 1 to infinity are")
    return c.emit(Norm(axes, keepdim, float(order)), x, layout=layout)


TABLE: Mapping[str, Callable[..., Any]] = {
    "sum": partial(reduction, Sum), "mean": partial(reduction, Mean), "amax": partial(reduction, ReduceMax),
    "amin": partial(reduction, ReduceMin), "max": partial(extreme, ReduceMax, Maximum()), "min": partial(extreme, ReduceMin, Minimum()),
    "var": variance, "std": deviation, "var_mean": variance_and_mean, "any": partial(quantifier, ReduceMax),
    "all": partial(quantifier, ReduceMin), "linalg_vector_norm": vector_norm, "logsumexp": partial(reduction, LogSumExp),
    "prod": partial(reduction, ReduceProd),
}
