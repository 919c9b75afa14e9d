"""t-SNE: points on a plane whose neighbours are the neighbours of the high-dimensional points. The small exact algorithm.

All n² pairs are computed, so it is for up to about 2000 points and to check the large ones: ``engine="sklearn"`` hands over to
scikit-learn's tree-based approximation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import BackendError, Inapplicable, InputError
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array
from xaicore.represent.features import matrix

MOST = 3000
"""Points of the exact algorithm: an (n, n) array of this size takes 72 MB."""
TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Embedding:
    """points (n, dims); kl, the Kullback-Leibler divergence at the end; history, the divergence every 50 steps."""

    points: Array
    kl: float
    history: tuple[float, ...] = ()


def squared_distances(x: Array) -> Array:
    """|x_i - x_j|² for all pairs, (n, n); exactly 0 on the diagonal and for equal rows, exactly symmetric."""
    out = np.zeros((len(x), len(x)))
    for k, row in enumerate(x):                                     # differences, not |x|² + |y|² - 2 x·y, which cancels
        d = x[k:] - row
        out[k, k:] = out[k:, k] = np.einsum("ij,ij->i", d, d)
    return out


def affinities(x: Any, perplexity: float = 30.0, distances: bool = False, tolerance: float = 1e-10) -> Array:
    """P with p_ij = (p_j|i + p_i|j) / 2n, p_j|i ∝ exp(-β_i |x_i - x_j|²), β_i so that 2^H(p_·|i) = perplexity; (n, n), Σ = 1.

    x is (n, units), or with ``distances`` the matrix (n, n) of squared distances. β is found by bisection to ``tolerance`` of the entropy.
    Raises InputError for a perplexity that n points cannot have (at most n - 1, and at least 1). Where a point has more equally
    near neighbours than the perplexity, the nearest perplexity there is is taken. Source: vandermaaten2008, eq. 1 and 2.
    """
    d = np.asarray(x, dtype=float) if distances else squared_distances(matrix(x, name="the points"))
    n = len(d)
    if not 1 <= perplexity <= n - 1:
        raise InputError(f"perplexity={perplexity!r} is an effective number of neighbours: for {n} points at least 1 and at most {n - 1}")
    p = conditional(d, perplexity, tolerance)
    return np.asarray((p + p.T) / (2 * n))


def conditional(d: Array, perplexity: float, tolerance: float = 1e-10) -> Array:
    """p_j|i, rows sum to 1, from squared distances (n, n)."""
    n = len(d)
    if perplexity == n - 1:                                         # all others count alike: β = 0, which bisection only approaches
        return (1 - np.eye(n)) / (n - 1)
    wanted = np.log(perplexity)
    away = d[~np.eye(n, dtype=bool)].reshape(n, n - 1)
    away = away - away.min(axis=1, keepdims=True)                   # the nearest neighbour has exponent 0: no underflow of a whole row
    scale = np.maximum(away.mean(axis=1, keepdims=True), TINY)
    away = away / scale                                             # β in units of the mean distance, so that the scale of x is none
    low, high, beta = np.zeros((n, 1)), np.full((n, 1), np.inf), np.ones((n, 1))
    for _ in range(200):
        e = np.exp(-away * beta)
        z = e.sum(axis=1, keepdims=True)
        entropy = np.log(z) + beta * (away * e).sum(axis=1, keepdims=True) / z
        if (np.abs(entropy - wanted) < tolerance).all():
            break
        wide = entropy > wanted
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(np.isinf(high), np.minimum(beta * 2, 1e300), (low + high) / 2)
    e = np.exp(-away * beta)
    p = np.zeros((n, n))
    p[~np.eye(n, dtype=bool)] = (e / e.sum(axis=1, keepdims=True)).reshape(-1)
    return p


def divergence(p: Array, y: Array) -> float:
    """KL(P | Q) = Σ p_ij ln(p_ij / q_ij), q_ij ∝ 1 / (1 + |y_i - y_j|²)."""
    q = _q(y)[0]
    on = p > 0
    return float((p[on] * np.log(p[on] / q[on])).sum())


def gradient(p: Array, y: Array) -> Array:
    """∂KL/∂y_i = 4 Σ_j (p_ij - q_ij) (y_i - y_j) / (1 + |y_i - y_j|²), (n, dims). Source: vandermaaten2008, eq. 5.

    >>> gradient(np.array([[0, 0.5], [0.5, 0]]), np.array([[0.0], [1.0]])).tolist()      # two points: q = p whatever y is
    [[0.0], [0.0]]
    """
    q, w = _q(y)
    m = (p - q) * w
    return np.asarray(4 * (m.sum(axis=1, keepdims=True) * y - m @ y))


def _q(y: Array) -> tuple[Array, Array]:
    """(q, the unnormalised weights 1 / (1 + d²) with 0 on the diagonal)."""
    w = 1 / (1 + squared_distances(y))
    np.fill_diagonal(w, 0)
    return np.maximum(w / w.sum(), TINY), w


def tsne(
    x: Any, perplexity: float = 30.0, dims: int = 2, steps: int = 500, rate: float | None = None, exaggeration: float = 12.0, seed: int = 0,
    engine: str = "exact", distances: bool = False, progress: Callable[[int, int], None] | None = None,
) -> Embedding:
    """argmin over y of KL(P | Q): gradient descent with momentum and gains from a small random start.

    perplexity    effective number of neighbours; engine="exact" takes at most the largest that n points can have
    steps         of the descent; in the first half-tenth to half (at most 250) P is multiplied by ``exaggeration``, momentum 0.5, then 0.8
    rate          step length; default max(n / exaggeration / 4, 10)
    engine        "exact", or "sklearn" for scikit-learn's Barnes-Hut (large n; needs the extra ``embed``)
    distances     x is a matrix of squared distances (exact alone)

    Equal points come out together up to the rest of the descent. The result depends on the seed, the divergence hardly. Source:
    vandermaaten2008; gains, momentum and exaggeration as in the first author's bhtsne, the rate as in scikit-learn.
    """
    chosen("engine", engine, ("exact", "sklearn"))
    steps, dims = whole("steps", steps, 1), whole("dims", dims, 1)
    points = np.asarray(x, dtype=float) if distances else matrix(x, name="the points")
    n = len(points)
    if n < 3:
        raise InputError(f"t-SNE of {n} points shows nothing; give at least 3")
    if engine == "sklearn":
        return _sklearn(points, perplexity, dims, steps, seed)
    if n > MOST:
        raise Inapplicable(f"the exact t-SNE compares all pairs, and {n:,} points are more than {MOST:,}; use engine='sklearn', or fewer "
                           f"points")
    p = affinities(points, min(perplexity, n - 1), distances)
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, dims)) * 1e-2
    step_length = max(n / exaggeration / 4, 10.0) if rate is None else rate
    moved, gains, history = np.zeros_like(y), np.ones_like(y), []
    early = min(250, steps // 2)
    best, best_kl = y, np.inf
    for k in range(steps):
        g = gradient(p * exaggeration if k < early else p, y)
        same = (g > 0) == (moved > 0)
        gains = np.maximum(np.where(same, gains * 0.8, gains + 0.2), 0.01)
        moved = (0.5 if k < early else 0.8) * moved - step_length * gains * g
        y = y + moved
        y = y - y.mean(axis=0)
        if (k + 1) % 50 == 0 or k + 1 == steps:
            kl = divergence(p, y)
            history.append(kl)
            if kl < best_kl:
                best, best_kl = y, kl
            if progress is not None:
                progress(k + 1, steps)
    return Embedding(best, best_kl, tuple(history))


def _sklearn(points: Array, perplexity: float, dims: int, steps: int, seed: int) -> Embedding:
    try:
        from sklearn.manifold import TSNE
    except ImportError:
        raise BackendError("engine='sklearn' needs scikit-learn: pip install 'xaicore[embed]'; engine='exact' needs nothing") from None
    if not perplexity < len(points):
        raise InputError(f"perplexity={perplexity!r} must be below the number of points, {len(points)}")
    made = TSNE(dims, perplexity=perplexity, max_iter=max(steps, 250), random_state=seed, init="pca")
    return Embedding(np.asarray(made.fit_transform(points), dtype=float), float(made.kl_divergence_))
