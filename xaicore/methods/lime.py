"""LIME: a sparse linear model of f on samples around x, weighted by how near they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import Coalitions, Game, backgrounds, few_enough, game, numbers
from xaicore.methods.regression import SELECTIONS, least_squares, r_squared
from xaicore.methods.regression import lasso as penalised
from xaicore.methods.shapley import every_coalition
from xaicore.methods.sweep import chosen, scores, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, at_least, filled

Kernel = Callable[[Array, float], Array]

KERNELS: Mapping[str, Kernel] = MappingProxyType({
    "paper": lambda d, width: np.exp(-((d / width) ** 2)),
    "library": lambda d, width: np.exp(-((d / width) ** 2) / 2),
    "uniform": lambda d, width: np.ones(d.shape),
})
"""name -> (distances, width) -> weights. The library's own form is sqrt(exp(-d²/width²)), the same as captum's."""

DISTANCES = ("cosine", "euclidean", "input_cosine", "input_euclidean")
DRAWS = ("sizes", "bernoulli", "all")
REPRESENTATIONS = ("players", "numbers", "quartiles")


def lime(task: Task, samples: int = 1000, mask: Any = None, baseline: Any = 0, background: Any = None, representation: str = "players",
         draw: str = "sizes", distance: str = "cosine", kernel: str = "paper", width: float | None = None, features: int | None = None,
         selection: str = "lasso", ridge: float = 0, lasso: float = 0, seed: int = 0, spread: str = "repeat") -> Attribution:
    """β of argmin Σ_z π(z) [f(z) - β z' - c]² + ridge |β|², z drawn around x, z' its simple form, π(z) = exp(-D(x, z)² / width²).

    representation  what z' is. "players": which parts of x are there (image segments, words, features), the others being taken
                    from baseline or background. "numbers": the entries themselves, drawn from a normal distribution with the mean
                    and deviation of ``background`` and standardised. "quartiles": whether an entry, drawn from the column of
                    ``background``, lies in the same quarter of it as x's. The last two need background
    draw            of players: "sizes": how many are there is uniform on 0 .. M, and who then, too; "bernoulli": each with
                    probability 1/2; "all": all 2^M coalitions. The first sample is always x itself
    distance        "cosine" (1 - √(|z'| / M)) or "euclidean" of z' from that of x; "input_cosine", "input_euclidean" of z from x
    kernel, width   π: "paper" exp(-D²/width²); "library" exp(-D²/(2 width²)); "uniform" 1. Default width: 0.25 for cosine
                    distances, else 0.75 √M
    features        how many players the model keeps (None: all), chosen by ``selection``: "lasso", the last kink of the lasso's
                    path with no more of them, "forward", greedily, or "highest", the largest weights of a ridge regression
    ridge, lasso    penalties on β, not on c: as above, or (one of both) Σ π (...)² / (2 Σ π) + lasso |β|_1; with 0 it is least squares
    baseline        what stands for an absent player; "mean": the mean of each of its channels over its own entries
    mask, background, seed, spread    as for shapley.sampling

    Values in the shape of the inputs, a player's weight in each of its entries (spread="share" divides it). ``extras``: "players"
    β (N, M), "labels", "intercept" and "r2" (N,), the weighted R² of the fit: look at it before you believe β. Costs samples (B)
    forward passes for each sample. Another seed gives other weights: their spread is no part of this result. Raises InputError where
    the samples do not determine β, ExactnessError in exact mode unless kernel="uniform" and features=None. Source: ribeiro2016, eqs. 1
    and 2, K-Lasso. Differs: lime's images draw="bernoulli", kernel="library", ridge=1, 1000 samples, baseline="mean"; its texts
    5000, width 0.25 (100 times the distance, width 25); its tables representation="quartiles" (drawn from a normal within each),
    "library", "euclidean", ridge=1, 5000. captum: "bernoulli", "input_cosine", "library", width 1, lasso=0.01, 25.
    xplique: "bernoulli", "input_euclidean", width 45, ridge=2, 150.
    """
    for setting, value, known in (("representation", representation, REPRESENTATIONS), ("draw", draw, DRAWS),
                                  ("distance", distance, DISTANCES), ("kernel", kernel, KERNELS), ("selection", selection, SELECTIONS)):
        chosen(setting, value, known)
    at_least("ridge", ridge, 0)
    if at_least("lasso", lasso, 0) and ridge:
        raise InputError(f"ridge={ridge!r} and lasso={lasso!r} are two penalties for one fit; give one of them")
    if width is not None and at_least("width", width, 0) == 0:
        raise InputError("width=0 gives every sample but x itself the weight 0; give a positive number")
    if features is not None:
        whole("features", features, 1)
    if task.graph.dtype == "exact" and (kernel != "uniform" or features is not None or lasso):
        raise ExactnessError("lime's kernel is an exponential and its choice of features compares roots, which is not rational; use "
                             "kernel='uniform' with features=None, or graph.astype('float64')")
    samples = whole("samples", samples, 2)
    rng = np.random.default_rng(seed)
    if representation == "players":
        g = game(task, mask, baseline, background)
        few_enough(g, samples, "lime")
        z = _coalitions(g.count, samples, draw, rng)
        y, simple = g.values(z), np.repeat(numbers(z, task.weights)[None], task.size, axis=0)
        inputs = _inputs_of(g, z) if distance.startswith("input") else None
    else:
        g, simple, points = _table(task, mask, background, representation, samples, rng)
        flat = {k: v.reshape(-1, *v.shape[2:]) for k, v in points.items()}
        rows = np.repeat(np.arange(task.size), samples)
        y = scores(task, rows, lambda part: {k: v[part] for k, v in flat.items()}).reshape(task.size, samples)
        inputs = None
        if distance.startswith("input"):
            def inputs(n: int) -> Array:
                return np.concatenate([v[n].reshape(samples, -1) for v in points.values()], axis=1)
    size = (0.25 if distance.endswith("cosine") else 0.75 * g.count**0.5) if width is None else float(width)
    beta, intercept, fit = filled((task.size, g.count), 0, y), filled((task.size,), 0, y), filled((task.size,), 0, y)
    for n in range(task.size):
        w = _weights(kernel, distance, size, simple[n] if inputs is None else inputs(n), y)
        told = np.flatnonzero((simple[n, 1:] != simple[n, 1:2]).any(axis=0))      # what no sample but x varies says nothing
        if features is not None and features < len(told):
            told = told[SELECTIONS[selection](simple[n][:, told], y[n], w, features)]
        keep = told.tolist()
        if keep:
            z = simple[n][:, keep]
            beta[n, keep], intercept[n] = penalised(z, y[n], w, lasso) if lasso else least_squares(z, y[n], w, ridge)
        else:
            intercept[n] = (w * y[n]).sum() / w.sum()
        fit[n] = r_squared(simple[n], y[n], w, beta[n], intercept[n])
    return g.attribution("lime", beta, spread, None, {"width": size}, intercept=intercept, r2=fit)


def _coalitions(players: int, samples: int, draw: str, rng: np.random.Generator) -> Coalitions:
    """The coalition of all first, then ``samples`` - 1 that are drawn; or every one."""
    if draw == "all":
        if 2**players > max(samples, 2**10):
            raise InputError(f"draw='all' evaluates the 2^{players} = {2**players:,} coalitions of {players} players, samples={samples}; "
                             f"raise samples to allow it, make the players fewer (mask=...), or draw them (draw='sizes')")
        return every_coalition(players)[::-1]
    z = np.ones((samples, players), dtype=bool)
    for k in range(1, samples):
        z[k] = rng.random(players) < 0.5 if draw == "bernoulli" else rng.permutation(players) < rng.integers(0, players + 1)
    return z


def _weights(kernel: str, distance: str, width: float, z: Array, y: Array) -> Array:
    """π of each sample: distances from the first, which is x."""
    if kernel == "uniform":
        return filled((len(z),), 1, y)
    z = z.astype(float)
    if distance.endswith("cosine"):
        lengths = np.sqrt((z * z).sum(axis=1) * (z[0] @ z[0]))
        d = 1 - np.divide(z @ z[0], lengths, out=np.zeros(len(z)), where=lengths > 0)
    else:
        d = np.sqrt(((z - z[0]) ** 2).sum(axis=1))
    w = KERNELS[kernel](d, width)
    if (d > 0).any() and not w[d > 0].any():
        raise InputError(f"with width={width:g} every sample but x itself has the weight 0 (the nearest is at a distance of "
                         f"{d[d > 0].min():.3g}); give a larger width")
    return np.asarray(w.astype(y.dtype))


def _inputs_of(g: Game, z: Coalitions) -> Callable[[int], Array]:
    """Sample n -> its inputs of f (K, D) under every coalition; of a background set the mean."""
    def made(n: int) -> Array:
        parts = []
        for k, x in g.task.feeds.items():
            if k in g.labels:
                absent = g.absent[k][:, n if g.absent[k].shape[1] > 1 else 0].mean(axis=0)
                parts.append(np.where(z[:, g.labels[k]], x[n], absent).reshape(len(z), -1))
        return np.concatenate(parts, axis=1)

    return made


# ----- tables -----------------------------------------------------------------------------------------------------


def _table(task: Task, mask: Any, background: Any, representation: str, samples: int, rng: np.random.Generator
           ) -> tuple[Game, Array, dict[str, Array]]:
    """Every entry a player: (game, z' (N, K, M), the inputs (N, K, *S) by name), the first sample x itself."""
    if mask not in (None, "entries"):
        raise Inapplicable(f"representation={representation!r} is about single numbers, so every entry is a player; leave mask out")
    if background is None:
        raise InputError(f"representation={representation!r} draws from the distribution of the data; give a set of samples, background=an "
                         f"array of shape (B, ...), best the training data")
    if task.graph.dtype == "exact":
        raise ExactnessError(f"representation={representation!r} draws floats; use representation='players', or graph.astype('float64')")
    sets = backgrounds(task, background)
    if any(v.shape[1] > 1 for v in sets.values()) or any(v.dtype.kind != "f" for v in sets.values()):
        raise Inapplicable(f"representation={representation!r} takes one set of samples (B, ...) of floats for the whole batch")
    g = game(task, "entries")
    data = np.concatenate([sets[k][:, 0].reshape(len(sets[k]), -1) for k in task.wrt], axis=1)
    x = np.concatenate([task.feeds[k].reshape(task.size, -1) for k in task.wrt], axis=1)
    if representation == "numbers":
        mean, deviation = data.mean(axis=0), data.std(axis=0)
        drawn = rng.normal(size=(samples, data.shape[1])).astype(data.dtype) * deviation + mean
    else:
        drawn = np.take_along_axis(data, rng.integers(0, len(data), (samples, data.shape[1])), axis=0)
    points = np.repeat(drawn[None], task.size, axis=0)
    points[:, 0] = x
    if representation == "numbers":
        simple = np.divide(points - mean, deviation, out=np.zeros_like(points), where=deviation > 0)
    else:
        cuts = np.quantile(data, [0.25, 0.5, 0.75], axis=0)
        quarter = (points[..., None] > np.moveaxis(cuts, 0, -1)).sum(axis=-1)
        simple = numbers(quarter == quarter[:, :1], task.weights)
    split = np.cumsum([task.feeds[k][0].size for k in task.wrt])[:-1]
    return g, simple, {k: v.reshape(task.size, samples, *task.feeds[k].shape[1:])
                       for k, v in zip(task.wrt, np.split(points, split, axis=2))}


__all__ = ["DISTANCES", "DRAWS", "KERNELS", "lime"]
