"""Neuron groups: non-negative matrix factorisation of activations, so that a layer of 512 channels has six things to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.represent.features import activations

TINY = 1e-12
"""Added to denominators of the updates; below any activation that is more than rounding."""


@dataclass(frozen=True, eq=False)
class Groups:
    """A ≈ S @ D: loadings S (M, G) of M samples or positions, directions D (G, C) of channels; both >= 0.

    history  |A|², then |A - S D|² at the start and after each update; from the second on it never grows
    """

    loadings: Array
    directions: Array
    history: tuple[float, ...] = ()

    @property
    def residual(self) -> float:
        """|A - S D|² / |A|², the share that the groups leave out (0 for A = 0)."""
        return self.history[-1] / self.history[0] if self.history and self.history[0] else 0.0

    def transform(self, a: Any) -> Array:
        """The loadings >= 0 that bring other non-negative activations (..., C) nearest to the directions: (..., G).

        Non-negative least squares row by row (Lawson and Hanson), so that the result does not depend on a start or on other rows.
        """
        from scipy.optimize import nnls

        x = nonnegative(a, "the activations")
        if x.shape[-1] != self.directions.shape[1]:
            raise ShapeError(f"the activations have {x.shape[-1]} channels and the groups {self.directions.shape[1]}")
        rows = [nnls(self.directions.T, row)[0] for row in x.reshape(-1, x.shape[-1])]
        return np.asarray(rows).reshape(*x.shape[:-1], len(self.directions))


def nonnegative(a: Any, name: str) -> Array:
    """float64, finite and >= 0; InputError with the first entry that is not."""
    x = np.asarray(a, dtype=float)
    fine = np.isfinite(x) & (x >= 0)
    if not fine.all():
        bad = tuple(int(k) for k in np.argwhere(~fine)[0])
        raise InputError(f"{name} holds {x[bad]} at index {bad}; a factorisation into non-negative parts needs entries >= 0: take a layer "
                         f"behind a ReLU, or split by sign, max(a, 0) and max(-a, 0)")
    return x


def nmf(a: Any, groups: int = 6, steps: int = 200, seed: int = 0, tolerance: float = 1e-6) -> Groups:
    """argmin |A - S D|² over S, D >= 0: the multiplicative updates S <- S ⊙ A Dᵀ / S D Dᵀ, D <- D ⊙ SᵀA / SᵀS D.

    a          (M, C), non-negative, finite
    groups     G, at most min(M, C)
    tolerance  ends when a step gains less than this share of |A|²; 0 runs all steps

    The error never grows, and a local minimum is found that depends on ``seed``. Directions have length 1 and come in the order of their
    share. Raises InputError for negative entries. Source: lee1999, with the updates for squared error of lee2001. Same as:
    scikit-learn NMF(solver="mu") up to start and stopping; lucid's ChannelReducer is scikit-learn's coordinate descent.

    >>> nmf([[2, 4.0], [1, 2.0]], groups=1).residual < 1e-12
    True
    """
    x = nonnegative(a, "the activations")
    if x.ndim != 2 or 0 in x.shape:
        raise ShapeError(f"the activations have shape {x.shape}; one row for each sample or position, (M, C), is expected")
    groups, steps = whole("groups", groups, 1), whole("steps", steps, 1)
    if groups > min(x.shape):
        raise InputError(f"groups={groups}: {x.shape[0]} rows of {x.shape[1]} channels have at most {min(x.shape)}")
    size = float((x**2).sum())
    if size == 0:
        raise Inapplicable("all activations are 0, so there are no groups; take other samples or another layer")
    rng = np.random.default_rng(seed)
    scale = np.sqrt(x.mean() / groups)
    s, d = (np.abs(rng.normal(size=shape)) * scale + TINY for shape in ((len(x), groups), (groups, x.shape[1])))
    history = [size, float(((x - s @ d) ** 2).sum())]
    for _ in range(steps):
        s = s * (x @ d.T) / (s @ (d @ d.T) + TINY * scale)
        d = d * (s.T @ x) / ((s.T @ s) @ d + TINY * scale)
        history.append(float(((x - s @ d) ** 2).sum()))
        if history[-2] - history[-1] < tolerance * size and len(history) > 3:
            break
    norms = np.maximum(np.linalg.norm(d, axis=1), TINY)
    s, d = s * norms, d / norms[:, None]
    order = np.argsort(-np.linalg.norm(s, axis=0), kind="stable")
    return Groups(s[:, order], d[order], tuple(history))


def neuron_groups(graph: Graph, x: Any, layer: str, groups: int = 6, steps: int = 200, seed: int = 0, batch_size: int = 64) -> Groups:
    """The groups of a layer's channels over all samples and positions: loadings (N, *S, G), directions (G, C).

    Groups come from left to right by where they are active (their mean horizontal position), where the layer has positions. Raises
    InputError for a layer with negative values: take the one behind its ReLU. Source: olah2018.
    """
    a = np.moveaxis(activations(graph, x, layer, batch_size)[layer], 1, -1)
    found = nmf(np.asarray(a, dtype=float).reshape(-1, a.shape[-1]), groups, steps, seed)
    loadings = found.loadings.reshape(*a.shape[:-1], groups)
    if a.ndim < 3:
        return Groups(loadings, found.directions, found.history)
    mass = loadings.reshape(-1, a.shape[-2], groups).sum(axis=0)
    order = np.argsort((np.arange(len(mass)) @ mass) / np.maximum(mass.sum(axis=0), TINY), kind="stable")
    return Groups(loadings[..., order], found.directions[order], found.history)
