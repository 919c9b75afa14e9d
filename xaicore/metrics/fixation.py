"""A map against where people looked: the metrics of saliency prediction, in which "saliency" means eye fixations, not gradients.

``human`` is a density over positions (not negative), ``fixations`` counts the fixations at each position. Both are (*S) for all samples
or (N, *S).  A map is taken as it is (``sign="signed"``), as size or positive part; where a metric needs a density, its
smallest value is subtracted only if it is negative, and it is divided by its sum.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.sweep import whole
from xaicore.metrics.statistics import area, pearson
from xaicore.metrics.subject import Score, Subject, space_of
from xaicore.numerics import Array

EPS = float(np.finfo(float).eps)                      # of KL and information gain: 2.2204e-16, as in the MIT benchmark


def fixations_of(s: Subject, fixations: Any) -> Array:
    """Counts (N, M) of whole numbers, not negative."""
    if fixations is None:
        raise Inapplicable("this metric needs the fixations of people: give fixations=, their number at each position")
    counts = s.about(fixations, "fixations")
    if (counts < 0).any() or (counts != np.rint(counts)).any():
        raise InputError("fixations holds the number of fixations at each position: whole numbers that are not negative")
    return counts


def human_of(s: Subject, human: Any) -> Array:
    """A density (N, M) that sums to 1."""
    if human is None:
        raise Inapplicable("this metric compares with a density of where people looked: give human=, one number for each position")
    q = s.about(human, "human")
    if (q < 0).any() or (q.sum(axis=1) <= 0).any():
        raise InputError("human is a density: its numbers are not negative, and not all 0")
    return np.asarray(q / q.sum(axis=1, keepdims=True))


def density(a: Array) -> Array:
    """A map as a density: minus its smallest value where that is negative, over its sum; uniform for a constant map."""
    p = a - np.minimum(a.min(axis=1, keepdims=True), 0)
    total = p.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1]))


def auc_judd(s: Subject, fixations: Any = None, sign: str = "signed") -> Score:
    """The area under the ROC curve whose thresholds are the map's values at the fixations.

    At each: the share of fixated positions at least so high, against the share of the others at least so high; (0, 0) and (1, 1) added,
    trapezoids between. NaN without fixations, or where all positions are fixated. Source: judd2009, bylinskii2019.
    A position counts once however often it was fixated. Differs: the MIT code first adds noise of 1e-7 against ties.
    """
    a, counts = s.positions(sign), fixations_of(s, fixations)
    return Score(np.array([_judd(row, hits > 0) for row, hits in zip(a, counts)]))


def _judd(row: Array, fixated: Array) -> float:
    n, others = int(fixated.sum()), int((~fixated).sum())
    if n == 0 or others == 0:
        return float("nan")
    levels = np.unique(row[fixated])[::-1]
    tp = np.array([0.0, *((row[fixated] >= t).sum() / n for t in levels), 1.0])
    fp = np.array([0.0, *((row[~fixated] >= t).sum() / others for t in levels), 1.0])
    return float(area(tp, fp))


def auc_borji(s: Subject, fixations: Any = None, splits: int = 100, step: float = 0.1, seed: int = 0, sign: str = "signed") -> Score:
    """The area under the ROC curve against random positions: as many as fixations, drawn anew for each of ``splits``; their mean.

    Thresholds 0, step, 2 step, ... of the map scaled to [0, 1]. Split k is drawn by default_rng([seed, k]), with replacement. NaN
    without fixations, or for a constant map. Source: borji2013, bylinskii2019.
    """
    a, counts = s.positions(sign), fixations_of(s, fixations)
    whole("splits", splits, 1)
    out = []
    for row, hits in zip(a, counts):
        n = int((hits > 0).sum())
        drawn = [np.random.default_rng([seed, k]).integers(0, len(row), n) for k in range(splits)]
        out.append(_against(row, hits > 0, drawn, step))
    return Score(np.array(out))


def auc_shuffled(s: Subject, fixations: Any = None, others: Any = None, splits: int = 100, step: float = 0.1, seed: int = 0,
                 sign: str = "signed") -> Score:
    """The same against positions that were fixated on other images: a map that only knows that people look at the middle gets ½.

    others  the numbers of fixations on other images at each position; default: of the other samples of the batch
    Split k draws as many as there are fixations, without replacement where there are enough. Source: zhang2008, bylinskii2019.
    """
    a, counts = s.positions(sign), fixations_of(s, fixations)
    if others is None:
        if s.size < 2:
            raise Inapplicable("shuffled AUC needs the fixations on other images: give others=, or a batch of several samples")
        elsewhere = counts.sum(axis=0) - counts
    else:
        elsewhere = fixations_of(s, others)
    whole("splits", splits, 1)
    out = []
    for row, hits, pool in zip(a, counts, elsewhere):
        known, n = np.flatnonzero(pool), int((hits > 0).sum())
        if not len(known):
            out.append(float("nan"))
            continue
        rngs = (np.random.default_rng([seed, k]) for k in range(splits))
        out.append(_against(row, hits > 0, [rng.choice(known, n, replace=n > len(known)) for rng in rngs], step))
    return Score(np.array(out))


def _against(row: Array, fixated: Array, drawn: list[Array], step: float) -> float:
    if not 0 < step <= 1:
        raise InputError(f"step={step!r} must be above 0 and at most 1: the distance between thresholds of the map scaled to [0, 1]")
    n, low, high = int(fixated.sum()), row.min(), row.max()
    if n == 0 or low == high:
        return float("nan")
    level = (row - low) / (high - low)
    found = []
    for at in drawn:
        top = max(level[fixated].max(), level[at].max())
        thresholds = np.arange(int(top / step + 1e-9), -1, -1) * step
        tp = np.array([0.0, *((level[fixated] >= t).sum() / n for t in thresholds), 1.0])
        fp = np.array([0.0, *((level[at] >= t).sum() / n for t in thresholds), 1.0])
        found.append(float(area(tp, fp)))
    return float(np.mean(found))


def nss(s: Subject, fixations: Any = None, sign: str = "signed") -> Score:
    """Normalised scan-path saliency: the mean of (map - mean) / standard deviation over the fixations. 0 by chance.

    A position counts as often as it was fixated; the deviation is that of the population (over M). NaN for a constant map or without
    fixations. Source: peters2005, bylinskii2019. Differs: the MIT code divides by the deviation of a sample (over M - 1).
    """
    a, counts = s.positions(sign), fixations_of(s, fixations)
    spread, n = a.std(axis=1, keepdims=True), counts.sum(axis=1)
    flat = a.max(axis=1) == a.min(axis=1)
    z = (a - a.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1)
    return Score(np.where(flat | (n == 0), np.nan, (z * counts).sum(axis=1) / np.maximum(n, 1)))


def cc(s: Subject, human: Any = None, sign: str = "signed") -> Score:
    """Pearson's correlation of the map and the human density over positions; NaN where one of them is constant. Source: bylinskii2019."""
    return Score(pearson(s.positions(sign), human_of(s, human)))


def sim(s: Subject, human: Any = None, sign: str = "signed") -> Score:
    """Σ min(P, Q) of both densities: 1 for equal ones, 0 without overlap. Source: bylinskii2019.

    Differs: the MIT code scales both maps to [0, 1] before it makes densities of them.
    """
    return Score(np.minimum(density(s.positions(sign)), human_of(s, human)).sum(axis=1))


def kl(s: Subject, human: Any = None, eps: float = EPS, sign: str = "signed") -> Score:
    """Σ Q ln(eps + Q / (P + eps)), Q the human density and P the map's: 0 for equal ones, in nats. Source: bylinskii2019."""
    p, q = density(s.positions(sign)), human_of(s, human)
    return Score((q * np.log(eps + q / (p + eps))).sum(axis=1))


def emd(s: Subject, human: Any = None, grid: int = 8, sign: str = "signed") -> Score:
    """The earth mover's distance: the least Σ flow · distance that turns the map's density into the human one, in pixels.

    grid  both densities are first summed over so many parts along each axis (the linear programme has a variable for each pair); the
          distance is the Euclidean one between the middles of parts.

    Exact up to the programme's tolerance (HiGHS, 1e-7). Source: rubner2000, bylinskii2019 (who shrink to 1/32). Refuses more than
    400 parts.
    """
    p, q = density(s.positions(sign)), human_of(s, human)
    space = space_of(s.task, s.name)
    cuts = [np.arange(n) * min(whole("grid", grid, 1), n) // n for n in space]
    label = np.zeros(space, dtype=int)
    for axis, cut in enumerate(cuts):
        label = label * (cut[-1] + 1) + cut.reshape(-1, *(1,) * (len(space) - 1 - axis))
    count = int(label.max()) + 1
    if count > 400:
        raise Inapplicable(f"{count} parts make a linear programme of {count * count:,} variables; "
                           f"choose a smaller grid= (400 parts at most)")
    flat = label.reshape(-1)
    middles = np.stack([np.bincount(flat, weights=np.broadcast_to(v, space).reshape(-1)) / np.bincount(flat)
                        for v in np.meshgrid(*[np.arange(n, dtype=float) for n in space], indexing="ij")], axis=1)
    cost = np.sqrt(((middles[:, None] - middles[None]) ** 2).sum(axis=2))
    coarse = [np.stack([np.bincount(flat, weights=row, minlength=count) for row in d]) for d in (p, q)]
    return Score(np.array([transport(a, b, cost) for a, b in zip(*coarse)]))


def transport(p: Array, q: Array, cost: Array) -> float:
    """min Σ_ij F_ij cost_ij with Σ_j F_ij = p_i, Σ_i F_ij = q_j, F >= 0, by linear programming over the bins that are not empty."""
    from scipy.optimize import linprog
    from scipy.sparse import eye, kron, vstack

    rows, columns = np.flatnonzero(p > 0), np.flatnonzero(q > 0)
    n, m = len(rows), len(columns)
    a, b = p[rows] / p[rows].sum(), q[columns] / q[columns].sum()
    constraints = vstack([kron(eye(n), np.ones((1, m))), kron(np.ones((1, n)), eye(m))]).tocsr()[:-1]   # the last follows from the others
    found = linprog(cost[np.ix_(rows, columns)].reshape(-1), A_eq=constraints, b_eq=np.concatenate([a, b])[:-1], method="highs")
    if found.status != 0:
        raise InputError(f"the linear programme of the earth mover's distance was not solved: {found.message}")
    return float(found.fun)


def information_gain(s: Subject, fixations: Any = None, prior: Any = None, eps: float = EPS, sign: str = "signed") -> Score:
    """(1/n) Σ over fixations of log2(eps + P) - log2(eps + B): bits per fixation that the map's density P tells beyond the prior B.

    prior  a density over positions, such as a centre bias; default the uniform one

    NaN without fixations. Source: kummerer2015, bylinskii2019.
    """
    p, counts = density(s.positions(sign)), fixations_of(s, fixations)
    b = np.full(p.shape, 1 / p.shape[1]) if prior is None else human_of(s, prior)
    n = counts.sum(axis=1)
    bits = (counts * (np.log2(eps + p) - np.log2(eps + b))).sum(axis=1)
    return Score(np.where(n > 0, bits / np.maximum(n, 1), np.nan))


__all__ = ["auc_borji", "auc_judd", "auc_shuffled", "cc", "density", "emd", "information_gain", "kl", "nss", "sim", "transport"]
