"""Where every tolerance comes from: the arithmetic, the depth of the graph, and the size of what is added up."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.numerics import Array

SAFETY = 256
"""Rounding of one node: a sum of n terms in pairwise order loses about log2(n) units in the last place and a division by a
nearly cancelled denominator some more; 256 units cover both for well-conditioned nodes. What exceeds this is reported."""


def unit(graph: Graph) -> float:
    """The unit roundoff of the graph's arithmetic: 0 in exact mode."""
    return 0.0 if graph.dtype == "exact" else float(np.finfo(graph.dtype).eps)


def tolerance(graph: Graph, *amounts: Array) -> float:
    """SAFETY * eps * depth * (largest sum of absolute values per sample among ``amounts``); 0 in exact mode."""
    if graph.dtype == "exact":
        return 0.0
    return SAFETY * unit(graph) * max(len(graph.nodes), 1) * max(_sizes(amounts), default=1.0)


def _sizes(amounts: Iterable[Array]) -> Iterable[float]:
    for a in amounts:
        x = np.abs(np.asarray(a, dtype=float))
        yield float(x.reshape(len(x), -1).sum(axis=1).max()) if x.ndim and x.size else float(x.max(initial=0.0))


def largest(x: Array) -> float:
    """max |x| as a float: 0 for zeros only, infinite where a number is missing."""
    flat = np.asarray(x).reshape(-1)
    if flat.dtype == object:
        return max((abs(float(v)) or (0.0 if v == 0 else 5e-324) for v in flat), default=0.0)  # a rational may be below any float
    top = float(np.abs(flat).max(initial=0))
    return float("inf") if np.isnan(top) else top
