"""How the hidden units of a recurrent network respond to features of a time series, and which units and features belong together.

Reconstruction: the paper's formula was not at hand. Its abstract measures "how different feature selections affect the hidden unit output
distribution"; here the selections are low and high values of one feature, and the response is the signed distance of the two distributions.
Source: shen2020.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.explain import explain
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array
from xaicore.represent.features import matrix

STATISTICS = ("wasserstein", "mean", "standardized")


def distance(low: Any, high: Any, statistic: str = "wasserstein") -> float:
    """The signed distance of two samples of numbers: positive where ``high`` lies higher.

    "wasserstein": the area between the two quantile functions, with the sign of the difference of the means; "mean": that difference;
    "standardized": the difference divided by the deviation of both together (0 where that is 0).

    >>> round(distance([0, 0.2, 0.4], [0.5, 0.7, 1.2]), 9)              # 0.5 + 0.5 + 0.8 over 3
    0.6
    """
    chosen("statistic", statistic, STATISTICS)
    a, b = np.sort(np.asarray(low, dtype=float).reshape(-1)), np.sort(np.asarray(high, dtype=float).reshape(-1))
    if not len(a) or not len(b):
        raise InputError("two non-empty sets of numbers are compared")
    gap = float(b.mean() - a.mean())
    if statistic == "mean":
        return gap
    if statistic == "standardized":
        spread = float(np.concatenate([a, b]).std())
        return gap / spread if spread else 0.0
    steps = np.unique(np.concatenate([np.arange(len(a) + 1) / len(a), np.arange(len(b) + 1) / len(b)]))
    middles = (steps[:-1] + steps[1:]) / 2
    fa, fb = a[np.minimum((middles * len(a)).astype(int), len(a) - 1)], b[np.minimum((middles * len(b)).astype(int), len(b) - 1)]
    return float(np.sign(gap) * (np.abs(fa - fb) * np.diff(steps)).sum())


def responses(hidden: Any, features: Any, share: float = 0.25, statistic: str = "wasserstein", ranks: bool = False) -> Array:
    """r_kj, how unit k differs between the samples of high and of low feature j: (K, F).

    hidden    (M, K), outputs of hidden units, one row for each sample or time step;  features (M, F), in the same order
    share     of the samples that count as low, and as high: those at or below the ``share`` quantile, at or above the 1 - ``share`` one
    ranks     hidden values are replaced by their ranks in 0 .. 1, so that no increasing transformation of a unit changes its response

    0 where a unit does not depend on the feature at all; turned in sign when the feature is. Raises Inapplicable for a feature that is
    constant.
    """
    h, x = matrix(hidden, name="the hidden units"), matrix(features, name="the features")
    if len(h) != len(x):
        raise ShapeError(f"{len(h)} rows of hidden units and {len(x)} rows of features; one of each for every sample is expected")
    if not 0 < share <= 0.5:
        raise InputError(f"share={share!r} must be above 0 and at most 0.5")
    if ranks:
        h = np.stack([_ranks(column) for column in h.T], axis=1)
    out = np.zeros((h.shape[1], x.shape[1]))
    for j in range(x.shape[1]):
        low, high = np.quantile(x[:, j], [share, 1 - share])
        below, above = x[:, j] <= low, x[:, j] >= high
        if not low < high:
            raise Inapplicable(f"feature {j} has the same value at its {share:g} and {1 - share:g} quantiles: there is no low and no high")
        for k in range(h.shape[1]):
            out[k, j] = distance(h[below, k], h[above, k], statistic)
    return out


def _ranks(v: Array) -> Array:
    """Mean ranks, 0 to 1."""
    s = np.sort(v)
    return np.asarray((np.searchsorted(s, v, "left") + np.searchsorted(s, v, "right") - 1) / 2 / max(len(v) - 1, 1))


@dataclass(frozen=True, eq=False)
class Clusters:
    """Labels of units (K,) and features (F,), and the orders that put like beside like."""

    units: Array
    features: Array
    unit_order: Array
    feature_order: Array


def clusters(r: Any, units: int = 3, features: int = 3) -> Clusters:
    """Hierarchical clustering (mean distance) of the rows and of the columns of a response matrix, each cut into so many clusters."""
    from scipy.cluster.hierarchy import cut_tree, leaves_list, linkage

    a = matrix(r, name="the responses")
    out = []
    for rows, count, what in ((a, units, "units"), (a.T, features, "features")):
        count = whole(what, count, 1)
        if count > len(rows):
            raise InputError(f"{what}={count}: there are {len(rows)}")
        if len(rows) == 1:
            out.append((np.ones(1, int), np.zeros(1, int)))
            continue
        tree = linkage(rows, "average")
        labels = 1 + cut_tree(tree, count).reshape(-1)                  # SciPy 1.11's fcluster makes one cluster of three rows, not two
        out.append((labels, np.asarray(leaves_list(tree))))
    return Clusters(out[0][0], out[1][0], out[0][1], out[1][1])


def importance_over_time(graph: Graph, x: Any, target: Any = None) -> Array:
    """|x_tj ∂y/∂x_tj| for every time step and feature of single sequences, in the shape of the input."""
    return np.asarray(np.abs(np.asarray(explain(graph, x, "gradient_x_input", target))))
