"""KernelSHAP: the weighted linear model of f near x whose weights are the Shapley values."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import Coalitions, few_enough, game, numbers
from xaicore.methods.regression import SELECTIONS, least_squares
from xaicore.methods.shapley import every_coalition
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, scalar

ENDPOINTS = ("constraint", "weight", "none")
HEAVY = 10**6
"""The weight of nobody and of all with endpoints="weight"."""


def kernel_shap(task: Task, samples: int | None = None, mask: Any = None, baseline: Any = 0, background: Any = None, draw: str = "paired",
                endpoints: str = "constraint", features: int | None = None, seed: int = 0, spread: str = "share") -> Attribution:
    """φ = argmin Σ_S π(S) [v(S) - v(∅) - Σ_{i in S} φ_i]² with Σ φ = v(all) - v(∅),  π(S) = (M-1) / (C(M,|S|) |S| (M-|S|)).

    samples    coalitions besides nobody and all, default 2 M + 2048. When there are no more than that (2^M - 2), all are taken, and
               φ are the Shapley values
    draw       "paired": sizes that fit in whole, from the smallest and largest on, then random coalitions, each with its
               complement, of the other sizes; "drawn": all at random, with a size in proportion to (M-1) / (k (M-k))
    endpoints  "constraint": the condition on the sum is eliminated exactly, and so are players that are the same in x and in all of
               the background, who get 0; "weight": nobody and all are rows with weight 10^6 of
               a fit with an intercept, so the sum is right to about 1e-6; "none": a fit without them, not complete
    features   fit only this many players, chosen by the lasso; the others get 0
    mask, baseline, background, seed, spread    as for shapley.sampling

    Values in the shape of the inputs. ``extras``: "players" (N, M), "labels", "exhaustive". Costs (samples + 2) B forward passes
    for each sample. Raises InputError where the coalitions do not determine φ. Rational in exact mode (without ``features``). With few
    players (``mask``), all of whose coalitions are taken, it is the paper's low-order SHAP. Source: lundberg2017, theorem 2. Same as:
    shap KernelExplainer with l1_reg=0, up to the draws; its default keeps 10 players (features=10). Differs: captum draw="drawn",
    endpoints="weight", 25 samples; xplique "drawn", "none", 800.
    """
    chosen("draw", draw, ("paired", "drawn"))
    chosen("endpoints", endpoints, ENDPOINTS)
    g = game(task, mask, baseline, background)
    m = g.count
    samples = 2 * m + 2048 if samples is None else whole("samples", samples, 1)
    few_enough(g, samples, "kernel_shap")
    if features is not None:
        whole("features", features, 1)
        floats_only(task, "features")
    z, weights = coalitions_of(m, samples, draw, np.random.default_rng(seed))
    ends = np.stack([np.zeros(m, dtype=bool), np.ones(m, dtype=bool)])
    v = g.values(np.concatenate([ends, z]))
    empty, full, rest = v[:, 0], v[:, 1], v[:, 2:]
    once = {id(one): scalar(one, v) for one in {id(one): one for one in weights}.values()}     # few numbers, many rows
    w = np.array([once[id(one)] for one in weights], dtype=v.dtype)
    rows, differing = numbers(z, v), g.differing()
    phi = filled((task.size, m), 0, v)
    for n in range(task.size):
        keep = np.flatnonzero(differing[n]) if endpoints == "constraint" else np.arange(m)
        if features is not None and features < len(keep):
            keep = keep[SELECTIONS["lasso"](rows[:, keep], rest[n], w, features)]
        if not len(keep):                                               # x is its own baseline, or the lasso chose nobody
            keep = np.arange(m)[:1]
        if endpoints == "constraint":
            phi[n, keep] = constrained(rows[:, keep], rest[n] - empty[n], w, full[n] - empty[n])
            continue
        if endpoints == "weight":
            each, y = np.concatenate([numbers(ends, v), rows]), np.concatenate([v[n, :2], rest[n]])
            phi[n, keep] = least_squares(each[:, keep], y, np.concatenate([filled((2,), HEAVY, v), w]))[0]
        else:
            phi[n, keep] = least_squares(rows[:, keep], rest[n], w)[0]
    return g.attribution("kernel_shap", phi, spread, empty, {"samples": samples}, exhaustive=len(z) == 2**m - 2 and m < 64)


def coalitions_of(players: int, samples: int, draw: str, rng: np.random.Generator) -> tuple[Coalitions, list[Fraction]]:
    """Coalitions between nobody and all with their weights: every one when they fit, drawn ones otherwise.

    >>> z, w = coalitions_of(4, 100, "paired", np.random.default_rng(0))
    >>> [str(w[k]) for k, row in enumerate(z) if row.tolist() in ([True] + [False] * 3, [True] * 2 + [False] * 2, [True] * 3 + [False])]
    ['1/4', '1/8', '1/4']
    """
    m = players
    if m == 1:
        return np.zeros((0, 1), dtype=bool), []
    if m < 63 and 2**m - 2 <= samples:
        z, of_size = every_coalition(m)[1:-1], [Fraction(0), *(kernel(m, k) for k in range(1, m))]
        return z, [of_size[k] for k in z.sum(axis=1).tolist()]
    sizes, left = list(range(1, m)), samples
    masses = {k: Fraction(m - 1, k * (m - k)) for k in sizes}             # of all coalitions of a size
    mass = sum(masses.values(), Fraction(0))
    rows: list[Array] = []
    weights: list[Fraction] = []
    while draw == "paired" and sizes:
        k = sizes[0]
        both = sorted({k, m - k})
        both_mass = sum((masses[s] for s in both), Fraction(0))
        share = both_mass / mass
        if sum(comb(m, s) for s in both) > left * share:
            break
        for s in both:
            subsets = _subsets(m, s)
            rows.append(subsets)
            weights += [kernel(m, s)] * len(subsets)
            sizes.remove(s)
            left -= len(subsets)
        mass -= both_mass
    count = left // 2 if draw == "paired" else left
    if sizes and count:
        chance = np.array([float(masses[s]) for s in sizes])
        drawn = rng.choice(sizes, size=count, p=chance / chance.sum())[:, None]
        drawn = rng.permuted(np.tile(np.arange(m), (count, 1)), axis=1) < drawn
        if draw == "paired":
            drawn = np.stack([drawn, ~drawn], axis=1).reshape(-1, m)
        rows.append(drawn)
        weights += [mass / len(drawn)] * len(drawn)
    if not rows:
        raise InputError(f"samples={samples} is too few for {m} players; take {2 * m} at least")
    return np.concatenate(rows), weights


def kernel(players: int, size: int) -> Fraction:
    """π = (M-1) / (C(M,k) k (M-k)).

    >>> [str(kernel(4, k)) for k in (1, 2, 3)]
    ['1/4', '1/8', '1/4']
    """
    return Fraction(players - 1, comb(players, size) * size * (players - size))


def constrained(z: Array, y: Array, w: Array, total: Any) -> Array:
    """argmin Σ w (y - z φ)² with Σ φ = total: the last φ is total minus the others, put into every row."""
    if z.shape[1] == 1:
        return np.array([total], dtype=y.dtype)
    last = z[:, -1]
    first, _ = least_squares(z[:, :-1] - last[:, None], y - last * total, w, intercept=False)
    return np.concatenate([first, np.array([total - first.sum()], dtype=y.dtype)])


def _subsets(players: int, size: int) -> Coalitions:
    from itertools import combinations

    out = np.zeros((comb(players, size), players), dtype=bool)
    np.put_along_axis(out, np.array(list(combinations(range(players), size))), True, axis=1)
    return out


def floats_only(task: Task, what: str) -> None:
    if task.graph.dtype == "exact":
        raise ExactnessError(f"{what} has no value in exact mode: it takes square roots; use graph.astype('float64'), or leave it out")
