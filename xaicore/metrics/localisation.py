"""Does the map lie where the object is? ``truth`` says for every position whether it belongs to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.games import channel_axis
from xaicore.methods.sweep import chosen, whole
from xaicore.metrics.statistics import descending, roc_auc
from xaicore.metrics.subject import Score, Subject, space_of
from xaicore.numerics import Array

POOLS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({
    "sum_positive": lambda v: np.maximum(v.sum(axis=-1), 0), "positive_sum": lambda v: np.maximum(v, 0).sum(axis=-1),
    "l1": lambda v: np.abs(v).sum(axis=-1), "l2": lambda v: np.sqrt((v * v).sum(axis=-1)), "l2_squared": lambda v: (v * v).sum(axis=-1),
    "max_abs": lambda v: np.abs(v).max(axis=-1), "sum": lambda v: v.sum(axis=-1)})
"""name -> (..., C) to (...)."""


def truth_of(s: Subject, truth: Any) -> Array:
    """The mask as booleans (N, M). InputError for values other than 0 and 1."""
    if truth is None:
        raise Inapplicable("this metric compares with the place of the object: give truth=, an array of 0 and 1 for each position")
    given = s.about(truth, "truth")
    if not np.isin(given, (0, 1)).all():
        raise InputError(f"truth holds {given[~np.isin(given, (0, 1))][0]:g}; it is 1 where the object is and 0 elsewhere")
    return np.asarray(given == 1)


def pooled(s: Subject, pool: str) -> Array:
    """Channels to one number for each position, (N, M): Σ_c then max(0, .) "sum_positive"; Σ_c max(0, .) "positive_sum"; Σ|.| "l1"; the
    Euclidean norm "l2" and its square; max |.| "max_abs"; the signed "sum"."""
    chosen("pool", pool, POOLS)
    parts = []
    for k, a in s.values.items():
        axis = channel_axis(s.task, k)
        v = a[..., None] if axis is None else np.moveaxis(a, axis + 1, -1)
        parts.append(POOLS[pool](v).reshape(len(v), -1))
    return np.concatenate(parts, axis=1)


def pointing_game(s: Subject, truth: Any = None, ties: str = "first", within: int = 0, sign: str = "signed") -> Score:
    """1 where the largest entry of the map lies in the truth, else 0; the mean over a batch is the hit rate.

    ties    several entries are the largest: "first" decides, "any" of them, or their "share" inside
    within  a hit, too, if the truth is at most so many pixels away (in every direction: a square); the paper allows 15 on its photographs
    sign    "signed", "absolute" or "positive" map

    NaN for a sample whose truth is empty. Source: zhang2016, section 4.1 (its tolerance is not our default: an 8 x 8 image has no
    15 pixels). Differs: Quantus counts any tie, and a sample with an empty mask as a hit.
    """
    chosen("ties", ties, ("first", "any", "share"))
    a, inside = s.positions(sign), truth_of(s, truth)
    empty = ~inside.any(axis=1)
    if whole("within", within, 0):
        inside = _grown(s, inside, within)
    top = a == a.max(axis=1, keepdims=True)
    if ties == "first":
        hit = inside[np.arange(len(a)), a.argmax(axis=1)].astype(float)
    else:
        share = (top & inside).sum(axis=1) / top.sum(axis=1)
        hit = (share > 0).astype(float) if ties == "any" else share
    return Score(np.where(empty, np.nan, hit))


def _grown(s: Subject, inside: Array, by: int) -> Array:
    space = space_of(s.task, s.name)
    grid = inside.reshape(-1, *space)
    for axis in range(1, grid.ndim):
        out = grid.copy()
        for d in range(1, min(by, grid.shape[axis] - 1) + 1):
            head, tail = [slice(None)] * grid.ndim, [slice(None)] * grid.ndim
            head[axis], tail[axis] = slice(None, -d), slice(d, None)
            out[tuple(tail)] |= grid[tuple(head)]
            out[tuple(head)] |= grid[tuple(tail)]
        grid = out
    return grid.reshape(inside.shape)


def attribution_localisation(s: Subject, truth: Any = None, weighted: bool = False, sign: str = "positive") -> Score:
    """μ = Σ_inside R+ / Σ R+, between 0 and 1; weighted, μ_w = μ (number of positions) / (number inside): 1 for a uniform map.

    NaN where the truth is empty or nothing is positive. Source: kohlbrenner2020, "inside-total relevance ratio".
    Differs: Quantus takes |R| (sign="absolute"), adds 1e-9 to the denominator, and, weighted, multiplies by the share of the
    area instead of dividing by it, of a size taken from x_batch[2:], so that the weight depends on the batch.
    """
    chosen("sign", sign, ("positive", "absolute"))
    a, inside = s.positions(sign), truth_of(s, truth)
    mu = _share(a, inside)
    if weighted:
        mu = mu * inside.shape[1] / np.maximum(inside.sum(axis=1), 1)
    return Score(mu)


def mu_weighted(s: Subject, truth: Any = None) -> Score:
    """μ_w = (Σ_inside R+ / Σ R+) (number of positions) / (number inside): how many times more than by chance.

    1 for a uniform map, at most the inverse of the object's share of the picture. Source: kohlbrenner2020, weighted inside-total ratio.
    """
    return attribution_localisation(s, truth, weighted=True)


def relevance_mass(s: Subject, truth: Any = None, pool: str = "sum_positive") -> Score:
    """Σ_inside R / Σ R of the map pooled over channels: a map's mass inside the truth, 1 for all of it.

    pool  "sum_positive", "positive_sum", "l1", "l2", "l2_squared", "max_abs"; "sum" keeps signs, may leave [0, 1] and is what
          Quantus does

    NaN where the truth is empty or the mass is 0. Source: arras2022, eq. 2 (their pooling is a table; the default is one of its rows).
    With the default it is μ.
    """
    a, inside = pooled(s, pool), truth_of(s, truth)
    return Score(_share(a, inside))


def relevance_rank(s: Subject, truth: Any = None, pool: str = "sum_positive") -> Score:
    """|top-K positions ∩ truth| / K with K = |truth|: 1 where the K largest entries are exactly the truth.

    Of equal entries the first in row-major order is taken. NaN where the truth is empty. Source: arras2022, eq. 3.
    Differs: Quantus ranks signed sums (pool="sum"), and breaks ties the other way around.
    """
    a, inside = pooled(s, pool), truth_of(s, truth)
    size = inside.sum(axis=1)
    hit = np.take_along_axis(inside, descending(a), axis=1).cumsum(axis=1)[np.arange(len(a)), np.maximum(size, 1) - 1]
    return Score(np.where(size > 0, hit / np.maximum(size, 1), np.nan))


def top_k_intersection(s: Subject, truth: Any = None, k: int | None = None, influence: bool = False, sign: str = "signed") -> Score:
    """|top-k positions ∩ truth| / k.

    k          default: a tenth of the positions (the paper's 1000 of 224 x 224 are a fiftieth; Quantus keeps 1000)
    influence  times (number of positions) / |truth|, the paper's concept influence: 1 by chance

    NaN where the truth is empty. InputError for k larger than the map. Source: theiner2022.
    """
    a, inside = s.positions(sign), truth_of(s, truth)
    k = max(1, a.shape[1] // 10) if k is None else whole("k", k, 1)
    if k > a.shape[1]:
        raise InputError(f"k={k} positions were asked for, and the map has {a.shape[1]}")
    share = np.take_along_axis(inside, descending(a)[:, :k], axis=1).mean(axis=1)
    size = inside.sum(axis=1)
    if influence:
        share = share * a.shape[1] / np.maximum(size, 1)
    return Score(np.where(size > 0, share, np.nan))


def localisation_auc(s: Subject, truth: Any = None, sign: str = "signed") -> Score:
    """The area under the ROC curve of the map as a detector of the truth: P(entry inside > entry outside) + ½ P(equal).

    ½ by chance, invariant under monotone changes of the map. NaN where the truth is nothing or everything. Source: fawcett2006.
    Same as: Quantus AUC (through scikit-learn).
    """
    return Score(roc_auc(s.positions(sign), truth_of(s, truth)))


def _share(a: Array, inside: Array) -> Array:
    total, some = a.sum(axis=1), inside.any(axis=1)
    good = (total != 0) & some
    return np.asarray(np.where(good, (a * inside).sum(axis=1) / np.where(good, total, 1), np.nan))


__all__ = ["attribution_localisation", "localisation_auc", "mu_weighted", "pointing_game", "pooled", "relevance_mass", "relevance_rank",
           "top_k_intersection", "truth_of"]
