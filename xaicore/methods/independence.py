"""Does a trained function use a feature at all? Reimers's criterion: it does where both still go together once the label is known."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations as orders
from itertools import product
from math import atanh, erfc, factorial, prod, sqrt
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.sweep import whole
from xaicore.numerics import Array

TESTS = ("partial_correlation", "permutation")
STATISTICS = ("correlation", "distance", "cmi")
ALL = 50_000
"""Up to so many orders, "all" of them are tried."""


@dataclass(frozen=True)
class Dependence:
    """statistic: the partial correlation, or what the permutation test compares; p: how often chance alone gives as much."""

    statistic: float
    p: float
    test: str

    def relevant(self, alpha: float = 0.05) -> bool:
        """Is independence given the label rejected at level alpha?"""
        return self.p < alpha

    def __str__(self) -> str:
        verdict = "uses" if self.relevant() else "is not shown to use"
        return f"the function {verdict} the feature (given the label: {self.statistic:+.4g}, p = {self.p:.3g} by {self.test})"


def feature_relevance(
    feature: Any, prediction: Any, label: Any, test: str = "partial_correlation", statistic: str = "correlation",
    permutations: int | str = 999, neighbours: int = 3, seed: int = 0,
) -> Dependence:
    """Is X independent of F(I) given L? A feature is used by F if not: F then has more of X than the label explains.

    feature, prediction  X and F(I) (N,), numbers: any property of the inputs, and what the network says, such as graph(x)[:, k]
    label       L: classes (N,) as whole numbers, truth values or words; or numbers (N,) or (N, K) as floats
    test        "partial_correlation": Fisher's z, sqrt(N - K - 3) artanh r is standard normal (linear, Gaussian);
                "permutation": X is shuffled within each class, which is exact whatever the distributions. A label of numbers has no
                classes: only "cmi" serves it, by exchanging X among samples whose labels are near, which is approximate
    statistic   of the permutation test: "correlation" |r| within classes; "distance" Σ_c N_c dCov²(X, F) within classes c, which also
                sees dependence that no line shows; "cmi": the information of X about F given L (``conditional_information``)
    permutations  how many are drawn, p = (1 + as extreme ones) / (1 + drawn); "all": every one (50,000 at most), p = their share
    neighbours  of "cmi"

    What is constant given the label (up to rounding) is independent: r = 0, p = 1. Raises InputError, ShapeError, UnknownName;
    Inapplicable for the other statistics without classes. Source: reimers2020 (the criterion; which battery of tests the paper votes over
    was not at hand: reconstruction), fisher1924 for z, runge2018 for the exchange among near samples.
    """
    for name, value, choices in (("test", test, TESTS), ("statistic", statistic, STATISTICS)):
        if value not in choices:
            raise UnknownName(f"{name}={value!r} does not exist; there are " + ", ".join(map(repr, choices)))
    x, f = _numbers("feature", feature), _numbers("prediction", prediction)
    known, classes = _label(label, len(x))
    if len(f) != len(x):
        raise ShapeError(f"there are {len(x)} features and {len(f)} predictions; one of each for every sample is expected")
    if test == "partial_correlation":
        r, k = partial_correlation(x, f, known), int(np.linalg.matrix_rank(known - known.mean(axis=0))) if known.size else 0
        if len(x) - k <= 3:
            raise InputError(f"{len(x)} samples are too few for Fisher's z with {k} columns of the label; give {k + 4} at least")
        p = 0.0 if abs(r) >= 1 else erfc(abs(atanh(r)) * sqrt(len(x) - k - 3) / sqrt(2))
        return Dependence(r, p, "partial correlation")
    own_count = 0 if permutations == "all" else whole("permutations", permutations, 1)
    if classes is None and (statistic != "cmi" or permutations == "all"):
        raise Inapplicable("a permutation test shuffles within classes, and the label has real numbers; give classes, or use "
                           "statistic='cmi' with a number of permutations, or test='partial_correlation'")
    groups = [] if classes is None else [np.flatnonzero(classes == c) for c in np.unique(classes)]
    of: Callable[[Array], float]
    if statistic == "cmi":
        of = _Information(f, _label_distances(known, classes), whole("neighbours", neighbours, 1))
    else:
        of = _Correlation(f, known) if statistic == "correlation" else _Distance(f, groups)
    own = of(x)
    count, everything = 0, permutations == "all"
    if classes is None:
        draws = _exchanged(x, _label_distances(known, None), own_count, seed)
    else:
        draws = _every(x, groups) if everything else _drawn(x, groups, own_count, seed)
    total = 0
    for shuffled in draws:
        total += 1
        count += of(shuffled) >= own * (1 - 1e-9)                       # equal values, up to the rounding of another order of terms
    return Dependence(own, count / total if everything else (1 + count) / (1 + total), f"permutation, {statistic}")


def partial_correlation(a: Any, b: Any, given: Any) -> float:
    """r of what is left of a and b (N,) after least squares on 1 and the columns of ``given`` (N,) or (N, K).

    For one column: (r_ab - r_ag r_bg) / sqrt((1 - r_ag²)(1 - r_bg²)). 0 where nothing is left of one of them.
    """
    a, b, g = _numbers("a", a), _numbers("b", b), np.asarray(given, dtype=float)
    z = np.column_stack([np.ones(len(a)), g.reshape(len(a), -1)])
    basis, size, _ = np.linalg.svd(z, full_matrices=False)
    basis = basis[:, size > size[0] * 1e-12]
    left = []
    for v in (a, b):
        rest = v - basis @ (basis.T @ v)
        rest = rest - basis @ (basis.T @ rest)                          # once more takes off what rounding left
        norm = float(np.sqrt(rest @ rest))
        if norm <= 1e-12 * float(np.sqrt(v @ v)):
            return 0.0
        left.append(rest / norm)
    return float(np.clip(left[0] @ left[1], -1, 1))


def conditional_information(a: Any, b: Any, given: Any, neighbours: int = 3) -> float:
    """I(A; B | C) in nats: the mean over i of ψ(k_i) - ψ(n_ac) - ψ(n_bc) + ψ(n_c), counts of other samples within ρ_i of sample i.

    a, b   numbers (N,);  given: classes (N,), or numbers (N,) or (N, K) as floats;  ρ_i: the distance to the ``neighbours``-th nearest
           in (a, b, c), the largest of the three distances; k_i: how many are as near, more than ``neighbours`` where values are equal

    An estimate, below 0 by chance where there is none. It tends to the sum of p ln(p(a,b|c) / p(a|c) p(b|c)) where all three are
    discrete, to -1/2 ln(1 - r²) for Gaussians, r the partial correlation, and serves mixtures of both. Samples of different classes are
    infinitely far apart; a class of one tells nothing. Takes N² memory. Raises InputError, ShapeError. Source: mesner2021 after
    frenzel2007 (reconstruction).
    """
    a, b = _numbers("a", a), _numbers("b", b)
    known, classes = _label(given, len(a))
    if len(b) != len(a):
        raise ShapeError(f"there are {len(a)} and {len(b)} numbers; one of each for every sample is expected")
    return _Information(b, _label_distances(known, classes), whole("neighbours", neighbours, 1))(a)


# ----- what the permutation test compares ---------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Correlation:
    f: Array
    known: Array

    def __call__(self, x: Array) -> float:
        return abs(partial_correlation(x, self.f, self.known))


@dataclass(frozen=True, eq=False)
class _Distance:
    f: Array
    groups: Sequence[Array]

    def __call__(self, x: Array) -> float:
        return float(sum(len(g) * (_centred(x[g]) * _centred(self.f[g])).mean() for g in self.groups))


@dataclass(frozen=True, eq=False)
class _Information:
    f: Array
    apart: Array
    neighbours: int

    def __call__(self, x: Array) -> float:
        from scipy.special import digamma

        with_x, with_f = np.maximum(_distances(x), self.apart), np.maximum(_distances(self.f), self.apart)
        joint = np.maximum(with_x, with_f)
        np.fill_diagonal(joint, np.inf)
        ranked = np.sort(joint, axis=1)
        mates = np.isfinite(joint).sum(axis=1)
        here = np.flatnonzero(mates)
        if not here.size:
            return 0.0
        reach = ranked[here, np.minimum(self.neighbours, mates[here]) - 1][:, None]
        near = (joint[here] <= reach).sum(axis=1)
        n_x, n_f, n_l = ((v[here] <= reach).sum(axis=1) - 1 for v in (with_x, with_f, self.apart))
        return float((digamma(near) - digamma(n_x) - digamma(n_f) + digamma(n_l)).sum() / len(x))


def _distances(v: Array) -> Array:
    return np.asarray(abs(v[:, None] - v[None]))


def _label_distances(known: Array, classes: Array | None) -> Array:
    """(N, N): 0 within a class and infinite between two; of numbers the largest difference of a column."""
    if classes is not None:
        return np.where(classes[:, None] == classes[None], 0.0, np.inf)
    return np.asarray(abs(known[:, None] - known[None]).max(axis=2, initial=0))


def _centred(v: Array) -> Array:
    """Distances between all pairs, rows and columns and the whole brought to mean 0."""
    d = _distances(v)
    return np.asarray(d - d.mean(axis=0) - d.mean(axis=1)[:, None] + d.mean())


def _drawn(x: Array, groups: Sequence[Array], count: int, seed: int) -> Iterator[Array]:
    rng = np.random.default_rng(seed)
    for _ in range(count):
        out = x.copy()
        for g in groups:
            out[g] = rng.permutation(x[g])
        yield out


NEAR = 5
"""Among how many samples with the nearest labels X is exchanged, as in runge2018."""


def _exchanged(x: Array, apart: Array, count: int, seed: int) -> Iterator[Array]:
    """x of another sample with a label that is near, each used once as far as that goes."""
    rng = np.random.default_rng(seed)
    near = np.argsort(apart, axis=1, kind="stable")[:, :NEAR]
    for _ in range(count):
        out, used = x.copy(), np.zeros(len(x), dtype=bool)
        for i in rng.permutation(len(x)):
            candidates = rng.permutation(near[i])
            free = candidates[~used[candidates]]
            k = free[0] if free.size else candidates[0]
            out[i], used[k] = x[k], True
        yield out


def _every(x: Array, groups: Sequence[Array]) -> Iterator[Array]:
    total = prod(factorial(len(g)) for g in groups)
    if total > ALL:
        raise InputError(f"there are {total:,} orders within the classes, and permutations='all' tries {ALL:,} at most; draw a number of "
                         f"them instead")
    for chosen in product(*(orders(g) for g in groups)):
        out = x.copy()
        for g, order in zip(groups, chosen):
            out[g] = x[list(order)]
        yield out


# ----- reading what was given ---------------------------------------------------------------------------------------


def _numbers(name: str, value: Any) -> Array:
    v = np.asarray(value)
    if v.ndim != 1 or v.dtype.kind not in "fiub" or not len(v) or not np.isfinite(v.astype(float)).all():
        raise InputError(f"{name} has shape {v.shape} and dtype {v.dtype}; one finite number for each sample, (N,), is expected")
    return v.astype(float)


def _label(label: Any, count: int) -> tuple[Array, Array | None]:
    """(columns to regress on (N, K), classes (N,) or None)."""
    v = np.asarray(label)
    if v.ndim not in (1, 2) or len(v) != count or v.dtype.kind not in "fiubUS":
        raise ShapeError(f"the label has shape {v.shape} and dtype {v.dtype}; classes ({count},) or numbers ({count}, K) are expected")
    if v.dtype.kind == "f":
        if not np.isfinite(v).all():
            raise InputError("the label holds a number that is not finite; leave such samples out")
        return v.reshape(count, -1).astype(float), None
    if v.ndim == 2:
        raise ShapeError(f"classes are one for each sample, ({count},), and {v.shape} came; give one-hot rows as floats")
    return (v[:, None] == np.unique(v)[None, 1:]).astype(float), v
