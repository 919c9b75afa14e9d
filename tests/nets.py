"""The two networks of the worked numbers, and small helpers that several test files share."""

from collections.abc import Sequence

import numpy as np

from xaicore import Builder, Graph
from xaicore.ops import Dense, ReLU


def mlp(weights: Sequence, biases: Sequence, dtype: str = "float64") -> Graph:
    """Dense layers with ReLU between them; a bias of None is left out. Layers fc1, fc2, ..."""
    b = Builder("mlp", dtype)
    x = b.input("x", (None, len(weights[0][0])))
    for k, (w, bias) in enumerate(zip(weights, biases)):
        extra = () if bias is None else (b.param(f"b{k + 1}", bias),)
        x = b.add(Dense(), x, b.param(f"w{k + 1}", w), *extra, name=f"fc{k + 1}")
        if k + 1 < len(weights):
            x = b.add(ReLU(), x, name=f"relu{k + 1}")
    return b.build(x)


NET_A = mlp([[[1.0, -1.0], [1.0, 2.0], [-1.0, 1.0]], [[3.0, -1.0, 2.0]]], [None, None])
"""No bias, 2-3-1: an inactive unit with a positive outgoing weight, an active one with a negative outgoing weight."""

NET_B = mlp([[[1.0, 1.0], [1.0, -1.0]], [[1.0, 2.0]]], [[-1.0, 0.0], None])
"""Biased, 2-2-1."""

X_A = np.array([[3.0, 1.0]])
X_B = np.array([[2.0, 1.0]])


def close(a, b, tolerance: float = 1e-9, scale: float | None = None) -> bool:
    """max |a - b| <= tolerance * scale, the scale being max |b| unless it is given (where b is 0 or a small rest of large terms).

    1e-9: some 1e6 units of float64 rounding, for nets of about ten nodes whose LRP denominators are at least 1/256 of their terms.
    """
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    size = np.abs(b).max(initial=0) if scale is None else scale
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= tolerance * size)
