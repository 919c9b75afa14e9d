"""Canonical correlations between two representations: CCA, SVCCA and PWCCA.

Rows are samples and columns are units throughout. A representation here is the space that its units span over the samples, so that
what is compared does not depend on which unit is which. Similarity of the samples' geometry (CKA) is in cka.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.sweep import chosen
from xaicore.numerics import Array
from xaicore.represent.features import centred, matrix, need_variation, pair

RANK = 1e-10
"""Directions whose singular value is below this share of the largest are rounding, some 1e5 units of float64, not representation."""


@dataclass(frozen=True, eq=False)
class CCA:
    """Canonical correlations ρ_1 >= ρ_2 >= ..., in [0, 1], and the directions that attain them.

    x, y     (units, K): x_centred @ x has uncorrelated columns of length 1, and so has y_centred @ y; their products are the ρ
    ranks    how many directions each representation has
    """

    correlations: Array
    x: Array
    y: Array
    ranks: tuple[int, int]

    @property
    def mean(self) -> float:
        """ρ̄, the mean over as many directions as the smaller representation has."""
        return float(self.correlations.mean())


def cca(x: Any, y: Any, positions: str = "units") -> CCA:
    """ρ_k = max corr(X a_k, Y b_k), a_k and b_k uncorrelated with the earlier ones: the singular values of Q_xᵀ Q_y.

    x (N, P), y (N, Q), or feature maps (see ``matrix`` for ``positions``). Q are orthonormal bases of the centred columns, from their
    singular value decomposition, so that dependent units do no harm. Invariant under any invertible affine map of either. Raises
    Inapplicable when a representation has as many directions as N samples leave (N - 1): then every correlation is 1 whatever
    it holds. Source: hotelling1936, in the form of bjorck1973. Same as: the correlations of scikit-learn's CCA (iterative),
    google/svcca's get_cca_similarity (by eigenvalues of covariances, so it needs full rank).
    """
    a, b = pair(x, y, positions)
    return _cca(a, b)


def _cca(a: Array, b: Array) -> CCA:
    (qx, wx), (qy, wy) = _basis(a, "the first representation"), _basis(b, "the second representation")
    u, s, vt = np.linalg.svd(qx.T @ qy, full_matrices=False)
    return CCA(np.clip(s, 0, 1), wx @ u, wy @ vt.T, (qx.shape[1], qy.shape[1]))


def _basis(a: Array, which: str) -> tuple[Array, Array]:
    """(Q, W) with Q = centred(a) W orthonormal columns."""
    need_variation(a, which)
    c = centred(a)
    u, s, vt = np.linalg.svd(c, full_matrices=False)
    rank = int((s > RANK * s[0]).sum())
    if rank >= len(a) - 1:
        raise Inapplicable(f"{which} has {rank} directions for {len(a)} samples, so that any other one correlates with it perfectly; give "
                           f"more samples than units, or reduce it first (svcca with keep below 1, positions='samples' or 'mean')")
    return u[:, :rank], vt[:rank].T / s[:rank]


def reduced(a: Array, keep: float) -> Array:
    """The centred samples in the fewest principal directions that hold the share ``keep`` of the variance: (N, k).

    ``keep`` = 1 keeps every direction that is more than rounding.
    """
    if isinstance(keep, bool) or not isinstance(keep, (int, float, np.number)) or not 0 < keep <= 1:
        raise InputError(f"keep={keep!r} is the share of the variance that is kept: above 0, at most 1")
    u, s, _ = np.linalg.svd(centred(a), full_matrices=False)
    rank = int((s > RANK * s[0]).sum())
    share = np.cumsum(s**2) / (s**2).sum()
    k = rank if keep == 1 else min(rank, int(np.searchsorted(share, keep - 1e-12)) + 1)  # 1e-12: rounding of the running sum
    return np.asarray(u[:, :k] * s[:k])


def svcca(x: Any, y: Any, keep: float = 0.99, positions: str = "units") -> CCA:
    """CCA of the principal directions that hold the share ``keep`` of each representation's variance; ``.mean`` is the similarity.

    Symmetric, in [0, 1]; invariant under rotations, a common scale and a shift of the units, and for ``keep=1`` under every invertible
    affine map. The correlations belong to the reduced matrices, ``x`` and ``y`` of the result are directions in those. Noise of
    N samples has correlations of the size sqrt(k / N), not 0. Source: raghu2017. Differs: google/svcca's notebooks keep a share of Σ s,
    not of the variance Σ s², and want fewer units than samples; ``reduced`` and then ``cca`` gives any other choice.

    >>> x = np.array([[1, 2, 0], [3, 1, 1], [0, 0, 2], [2, 5, 1], [1, 1, 4], [6, 0, 0.]])
    >>> turned = x[:, [2, 0, 1]] * [1, -1, 1] + 7
    >>> svcca(x, turned).correlations.round(9).tolist()
    [1.0, 1.0, 1.0]
    """
    a, b = pair(x, y, positions)
    need_variation(a, "the first representation")
    need_variation(b, "the second representation")
    return _cca(reduced(a, keep), reduced(b, keep))


def pwcca(x: Any, y: Any, weights: str = "smaller", positions: str = "units") -> float:
    """Σ_i α_i ρ_i / Σ_i α_i with α_i = Σ_j |<h_i, x_j>|: correlations weighted by how much of the units each direction accounts for.

    weights  whose canonical variates h_i and units x_j count: "x", "y", or "smaller", the one of lower rank (x when they are equal)

    Not symmetric for "x" and "y". Source: morcos2018, eq. 1 and 2 (reconstruction). Differs: google/svcca takes the rotation
    alone for the directions h_i, without the whitening before it, and units with their means; with both mended it gives our number to
    1e-10. Its branch for the smaller y mixes units of x with an index set of y.
    """
    chosen("weights", weights, ("x", "y", "smaller"))
    a, b = pair(x, y, positions)
    found = _cca(a, b)
    first = weights == "x" or (weights == "smaller" and found.ranks[0] <= found.ranks[1])
    units, directions = (centred(a), found.x) if first else (centred(b), found.y)
    alpha = np.abs((units @ directions).T @ units).sum(axis=1)
    return float((alpha * found.correlations).sum() / alpha.sum())


def svcca_fourier(x: Any, y: Any, keep: float = 0.99) -> Array:
    """The mean correlation at each spatial frequency of two feature maps (N, C, H, W), (N, D, H, W): (H, W), in [0, 1].

    Each channel is Fourier-transformed over space; at each frequency the C and the D complex coefficients are compared by SVCCA. Exact for
    flattened maps of a translation-invariant set of inputs, where frequencies do not mix; far cheaper than the flattened
    comparison, and possible with fewer samples. Its mean is the similarity of the layers. Source: raghu2017, appendix.
    """
    first, second = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if first.ndim != 4 or second.ndim != 4 or first.shape[0] != second.shape[0] or first.shape[2:] != second.shape[2:]:
        raise InputError(f"two feature maps (N, C, H, W) of the same samples and size are compared, not {first.shape} and {second.shape}; "
                         f"resize the larger one first, or use svcca with positions='mean'")
    matrix(first, name="the first representation")
    matrix(second, name="the second representation")
    f, g = np.fft.fft2(first), np.fft.fft2(second)
    out = np.zeros(first.shape[2:])
    for i, j in np.ndindex(*out.shape):
        qs = []
        for one in (f[:, :, i, j], g[:, :, i, j]):
            u, s, _ = np.linalg.svd(one - one.mean(axis=0), full_matrices=False)
            rank = int((s > RANK * max(s[0], 1e-300)).sum())
            k = min(rank, int(np.searchsorted(np.cumsum(s**2) / max((s**2).sum(), 1e-300), keep - 1e-12)) + 1)
            qs.append(u[:, :k])
        out[i, j] = np.clip(np.linalg.svd(qs[0].conj().T @ qs[1], compute_uv=False), 0, 1).mean() if min(q.shape[1] for q in qs) else 0.0
    return out
