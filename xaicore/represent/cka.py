"""Centred kernel alignment: do two representations find the same samples alike? Linear and Gaussian kernel, biased and unbiased."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.sweep import chosen
from xaicore.numerics import Array
from xaicore.represent.features import need_variation, pair
from xaicore.represent.tsne import squared_distances

KERNELS = ("linear", "rbf")
MEDIANS = ("pairs", "all")


def cka(x: Any, y: Any, kernel: str = "linear", width: float = 0.5, unbiased: bool = False, positions: str = "units",
        median: str = "pairs") -> float:
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) for the kernel matrices K, L of the samples, (N, N).

    x, y      (N, units) or feature maps; see ``features.matrix`` for ``positions``
    kernel    "linear": K = X Xᵀ;  "rbf": exp(-|x_i - x_j|² / (2 σ²)), σ = ``width`` times the median distance of two samples
    median    "pairs": of two different samples; "all": σ² = width² times the median of all squared distances, zeros of the diagonal among
              them (the authors' demonstration, ckatorch)
    unbiased  HSIC by the estimator without bias; needs 4 samples. The value can then be below 0; the usual one lies in [0, 1], and is
              near 1 for any two representations of more units than samples

    Symmetric; 1 for a rotated, shifted and scaled copy (with either kernel, since σ scales along), and not for an invertible map that
    stretches. Linear and biased it is |YᵀX|² / (|XᵀX| |YᵀY|) of the centred matrices. Raises Inapplicable where a representation is the
    same for all samples, or σ is 0. Source: kornblith2019, eq. 3 and 4; song2012 for the unbiased estimator (checked by enumeration of
    its U-statistic).

    >>> round(cka([[0.0], [1], [2]], [[0.0], [1], [0]]), 9)     # centred (-1, 0, 1) and (-1/3, 2/3, -1/3): their product is 0
    0.0
    >>> round(cka([[0.0], [1], [2]], [[0.0], [1], [3]]), 9)     # 3² / (2 · 14/3)
    0.964285714
    """
    chosen("kernel", kernel, KERNELS)
    chosen("median", median, MEDIANS)
    a, b = pair(x, y, positions)
    need_variation(a, "the first representation")
    need_variation(b, "the second representation")
    if unbiased and len(a) < 4:
        raise Inapplicable(f"the unbiased estimator needs at least 4 samples, and there are {len(a)}")
    k, m = (gram(one, kernel, width, which, median) for one, which in ((a, "first"), (b, "second")))
    hsic = hsic_unbiased if unbiased else hsic_biased
    kk, mm = hsic(k, k), hsic(m, m)
    if not kk > 0 or not mm > 0:
        raise Inapplicable("the unbiased similarity of a representation with itself is not above 0, so nothing can be divided by it; give "
                           "more samples")
    return float(hsic(k, m) / np.sqrt(kk * mm))


def gram(a: Array, kernel: str, width: float = 0.5, which: str = "", median: str = "pairs") -> Array:
    """The kernel matrix (N, N) of centred samples."""
    if kernel == "linear":
        c = a - a.mean(axis=0)
        return np.asarray(c @ c.T)
    if isinstance(width, bool) or not isinstance(width, (int, float, np.number)) or not 0 < width < np.inf:
        raise InputError(f"width={width!r} is a share of the median distance, above 0")
    d = squared_distances(a)
    middle = float(np.median(np.sqrt(d[np.triu_indices(len(d), 1)]))) if median == "pairs" else float(np.sqrt(np.median(d)))
    if not middle > 0:
        raise Inapplicable(f"more than half of the pairs of samples are equal in the {which} representation, so the width of a Gaussian "
                           f"kernel would be 0; use kernel='linear'")
    return np.asarray(np.exp(-d / (2 * (width * middle) ** 2)))


def hsic_biased(k: Array, m: Array) -> float:
    """tr(K H M H) / (N - 1)², H = I - 1/N."""
    c = k - k.mean(axis=0) - k.mean(axis=1, keepdims=True) + k.mean()
    return float((c * m).sum() / (len(k) - 1) ** 2)


def hsic_unbiased(k: Array, m: Array) -> float:
    """(tr(K̃ M̃) + 1ᵀK̃1 1ᵀM̃1 / ((N - 1)(N - 2)) - 2 / (N - 2) 1ᵀK̃M̃1) / (N (N - 3)), K̃ and M̃ with zeros on the diagonal."""
    n = len(k)
    a, b = k.copy(), m.copy()
    np.fill_diagonal(a, 0)
    np.fill_diagonal(b, 0)
    cross = a.sum(axis=0) @ b.sum(axis=1)
    return float(((a * b).sum() + a.sum() * b.sum() / ((n - 1) * (n - 2)) - 2 * cross / (n - 2)) / (n * (n - 3)))
