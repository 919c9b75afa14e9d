"""Correlations, ranks and areas that several metrics share, for float64 rows."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array


def pearson(a: Array, b: Array) -> Array:
    """Σ (a - ā)(b - b̄) / √(Σ (a - ā)² Σ (b - b̄)²) along the last axis; NaN where a or b does not vary."""
    flat = (a.max(axis=-1) == a.min(axis=-1)) | (b.max(axis=-1) == b.min(axis=-1))
    a, b = _standard(a), _standard(b)
    top = (a * b).sum(axis=-1)
    below = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray(np.where(flat | (below == 0), np.nan, top / np.where(below == 0, 1, below)))


def _standard(a: Array) -> Array:
    """a - ā, in units of its largest entry, so that no product underflows."""
    d = a - a.mean(axis=-1, keepdims=True)
    top = np.abs(d).max(axis=-1, keepdims=True)
    return np.asarray(d / np.where(top == 0, 1, top))


def ranks(a: Array) -> Array:
    """Ranks 1 .. n along the last axis, equal values with the mean of theirs.

    >>> ranks(np.array([0.5, 0.1, 0.5]))
    array([2.5, 1. , 2.5])
    """
    rows = a.reshape(-1, a.shape[-1])
    out = np.empty(rows.shape)
    for k, row in enumerate(rows):
        _, which, count = np.unique(row, return_inverse=True, return_counts=True)
        last = np.cumsum(count)
        out[k] = (last - (count - 1) / 2)[which.reshape(-1)]
    return out.reshape(a.shape)


def spearman(a: Array, b: Array) -> Array:
    """Pearson's correlation of the ranks; NaN where a or b does not vary."""
    return pearson(ranks(a), ranks(b))


def cosine(a: Array, b: Array) -> Array:
    """<a, b> / (|a| |b|) along the last axis; NaN where one of them is 0."""
    size = [np.abs(v).max(axis=-1, keepdims=True) for v in (a, b)]
    a, b = (v / np.where(s == 0, 1, s) for v, s in zip((a, b), size))
    below = np.sqrt((a * a).sum(axis=-1) * (b * b).sum(axis=-1))
    return np.asarray(np.where(below == 0, np.nan, (a * b).sum(axis=-1) / np.where(below == 0, 1, below)))


def roc_auc(score: Array, positive: Array) -> Array:
    """P(score of a positive > score of a negative) + ½ P(equal), for rows (N, M); NaN where one kind is missing."""
    n1 = positive.sum(axis=-1)
    n0 = positive.shape[-1] - n1
    u = (ranks(score) * positive).sum(axis=-1) - n1 * (n1 + 1) / 2
    some = (n1 > 0) & (n0 > 0)
    return np.asarray(np.where(some, u / np.where(some, n1 * n0, 1), np.nan))


def area(curve: Array, x: Array | None = None) -> Array:
    """The area under a curve (N, K) by the trapezoidal rule; over [0, 1] with equal steps where no x (K,) is given."""
    if curve.shape[-1] < 2:
        raise InputError("a curve needs two points at least")
    at = np.linspace(0, 1, curve.shape[-1]) if x is None else x
    return np.asarray((np.diff(at) * (curve[..., 1:] + curve[..., :-1]) / 2).sum(axis=-1))


def descending(a: Array) -> Array:
    """The order from the largest to the smallest along the last axis; of equal values the first comes first."""
    return np.argsort(-a, axis=-1, kind="stable")


def ssim(a: Array, b: Array, window: int = 7) -> Array:
    """Mean structural similarity of two maps (N, *S), over all windows of ``window`` along each axis (at most the axis).

    (2 μa μb + c1)(2 σab + c2) / ((μa² + μb² + c1)(σa² + σb² + c2)), c1 = (.01 L)², c2 = (.03 L)², L the range of both maps together,
    variances with n - 1. Source: wang2004. Same as: skimage.metrics.structural_similarity with data_range=L (it averages over the
    same windows). NaN where both maps are constant.
    """
    axes = tuple(range(1, a.ndim))
    spread = np.maximum(a.max(axis=axes), b.max(axis=axes)) - np.minimum(a.min(axis=axes), b.min(axis=axes))
    windows = [min(window, n) for n in a.shape[1:]]
    count = int(np.prod(windows))

    def mean(v: Array) -> Array:
        views = np.lib.stride_tricks.sliding_window_view(v, windows, axis=axes)
        return np.asarray(views.mean(axis=tuple(range(a.ndim, 2 * a.ndim - 1))))

    scale = np.where(spread == 0, 1, spread).reshape(-1, *(1,) * (a.ndim - 1))
    a, b = a / scale, b / scale                                         # L is 1 then
    ma, mb = mean(a), mean(b)
    unbiased = count / max(count - 1, 1)
    va, vb, vab = (unbiased * (mean(p) - q) for p, q in ((a * a, ma * ma), (b * b, mb * mb), (a * b, ma * mb)))
    c1, c2 = 0.01**2, 0.03**2
    each = (2 * ma * mb + c1) * (2 * vab + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return np.asarray(np.where(spread == 0, np.nan, each.reshape(len(a), -1).mean(axis=1)))


__all__ = ["area", "cosine", "descending", "pearson", "ranks", "roc_auc", "spearman", "ssim"]
