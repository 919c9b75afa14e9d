"""Second opinions that only evaluate: finite differences, and quadrature with many points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.numerics import Array


def central_differences(graph: Graph, x: Array, score: Callable[[Any], float], h: float = 1e-6) -> Array:
    """∂ score(graph(x)) / ∂x for one sample, one entry at a time."""
    out = np.zeros(x.shape)
    for k in range(x.size):
        up, down = x.copy(), x.copy()
        up.reshape(-1)[k] += h
        down.reshape(-1)[k] -= h
        out.reshape(-1)[k] = (score(graph(up)) - score(graph(down))) / (2 * h)
    return out


def dense_integrated_gradients(grad: Callable[[Array], Array], x: Array, baseline: Array, steps: int) -> Array:
    """(x - x') ⊙ mean of ∇f at the midpoints of ``steps`` equal parts of the straight path."""
    total = np.zeros(x.shape)
    for k in range(steps):
        total += grad(baseline + (x - baseline) * ((k + 0.5) / steps))
    return (x - baseline) * total / steps
