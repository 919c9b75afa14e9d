"""Nearest neighbours in feature space: which samples a layer finds most alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array
from xaicore.represent.features import matrix

METRICS = ("euclidean", "cosine", "correlation")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each query (Q,) its nearest samples: indices (Q, k) and distances (Q, k), the nearest first."""

    indices: Array
    distances: Array


def neighbours(features: Any, queries: Any = None, k: int = 5, metric: str = "euclidean", positions: str = "units") -> Neighbours:
    """The k samples of smallest distance; of equal ones the earlier.

    features  (N, units) or feature maps of a layer, such as ``activations(graph, x, "conv3")["conv3"]`` gives
    queries   the same of other samples; without them every sample is asked for its neighbours among the others
    metric    "euclidean"; "cosine", 1 - cos; "correlation", 1 - cos of the samples minus their own means

    Raises InputError for k beyond what there is, Inapplicable for a sample of length 0, which has no angle. Source: none needed.
    """
    chosen("metric", metric, METRICS)
    k = whole("k", k, 1)
    a = matrix(features, positions, "the features")
    b = a if queries is None else matrix(queries, positions, "the queries")
    if a.shape[1] != b.shape[1]:
        raise ShapeError(f"the samples have {a.shape[1]} features and the queries {b.shape[1]}")
    most = len(a) - (queries is None)
    if k > most:
        raise InputError(f"k={k}: there are {most} samples to be neighbours")
    d = _distances(b, a, metric)
    if queries is None:
        np.fill_diagonal(d, np.inf)
    order = np.argsort(d, axis=1, kind="stable")[:, :k]
    return Neighbours(order, np.take_along_axis(d, order, axis=1))


def _distances(b: Array, a: Array, metric: str) -> Array:
    if metric == "euclidean":
        return np.stack([np.sqrt(((a - row) ** 2).sum(axis=1)) for row in b])
    unit = []
    for x in (b, a):
        c = x - x.mean(axis=1, keepdims=True) if metric == "correlation" else x
        size = np.sqrt((c**2).sum(axis=1, keepdims=True))
        if (size == 0).any():
            raise Inapplicable(f"sample {int(np.argmax(size[:, 0] == 0))} has length 0, so it has no {metric}; use metric='euclidean'")
        unit.append(c / size)
    return np.asarray(1 - unit[0] @ unit[1].T)
