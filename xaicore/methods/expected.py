"""Expected gradients: integrated gradients against a whole background instead of one baseline."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import ExactnessError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import backgrounds
from xaicore.methods.paths import QUADRATURES, numbers_of
from xaicore.methods.polyline import between
from xaicore.methods.sweep import chosen, column, quiet, reference, sweep, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, scalar


def expected_gradients(
    task: Task, background: Any = None, baseline: Any = 0, samples: int | None = None, steps: int = 50,
    quadrature: str = "gauss_legendre", seed: int = 0,
) -> Attribution:
    """A = E over x0 in the background, α in [0, 1] of (x - x0) ⊙ ∇f(x0 + α (x - x0)): the mean of integrated gradients.

    background  a set of samples (B, ...), or a mapping by input name; without it the one ``baseline``
    samples     None: every x0 with a quadrature over α, so that A is the mean of B integrated_gradients; a number: that many pairs
                (x0, α), drawn evenly, the same for every sample of a batch
    steps, quadrature    as for integrated_gradients;  seed: of the draws

    Values in the shape of the inputs. ``baseline_output`` (N,) is the mean of f over the background, what A is complete towards, up to
    the quadrature's error or, with samples, the spread of the draws: ``extras["standard_error"]`` of the mean. Raises ShapeError
    for a background that does not fit, ExactnessError in exact mode for draws and irrational nodes. Cost: B times steps (or samples)
    forward and backward passes. Source: erion2021; GradientSHAP without noise. Same as: shap GradientExplainer, captum
    GradientShap (n_samples=5, stdevs=0), which draw.
    """
    steps, seed = whole("steps", steps, 1), whole("seed", seed, 0)
    rule = QUADRATURES[chosen("quadrature", quadrature, QUADRATURES)]
    like = task.feeds[task.wrt[0]]
    if background is None:
        start = reference(task, baseline, "baseline")
        sets = {k: v[None] for k, v in start.items()}
    else:
        sets = backgrounds(task, background, baseline)
    count = len(sets[task.wrt[0]])
    which, alphas, weights = _pairs(count, like, None if samples is None else whole("samples", samples, 1), rule(steps), quadrature, seed)
    rows, k = np.repeat(np.arange(task.size), len(which)), np.tile(np.arange(len(which)), task.size)

    def ends(part: slice, name: str) -> Array:
        return _samples(sets[name], which[k[part]], rows[part])

    def points(part: slice) -> dict[str, Array]:
        return {name: between(ends(part, name), task.feeds[name][rows[part]], alphas[k[part]]) for name in task.wrt}

    sums, squares = ({name: task.feeds[name] * scalar(0, like) for name in task.wrt} for _ in range(2))
    for part, grads, _ in sweep(task, rows, points):
        for name, g in grads.items():
            one = (task.feeds[name][rows[part]] - ends(part, name)) * g
            np.add.at(sums[name], rows[part], column(weights[k[part]], one) * one)
            if samples is not None:
                np.add.at(squares[name], rows[part], one * one)
    extras = {}
    if samples is not None and len(which) > 1:
        m = len(which)
        extras["standard_error"] = {n: np.sqrt(np.maximum(s / m - sums[n] ** 2, 0) / (m - 1)) for n, s in squares.items()}
    return Attribution(sums, task.result, "expected_gradients", task.graph, task.feeds, task.target, {}, task.words,
                       None if background is not None else start, _mean_output(task, sets), extras=extras)


def _pairs(count: int, like: Array, samples: int | None, rule: Any, quadrature: str, seed: int) -> tuple[Array, Array, Array]:
    """(number of the background sample, α, weight) of every point."""
    if samples is None:
        nodes, weights = (numbers_of(v, like, quadrature) for v in rule)
        return np.repeat(np.arange(count), len(nodes)), np.tile(nodes, count), np.tile(weights, count) / scalar(count, like)
    if like.dtype == object:
        raise ExactnessError("drawn α are not rational; leave samples out and use quadrature='midpoint', or graph.astype('float64')")
    rng = np.random.default_rng(seed)
    which, alphas = rng.integers(0, count, samples), rng.uniform(size=samples)
    return which, alphas.astype(like.dtype), np.full(samples, 1 / samples, like.dtype)


def _samples(background: Array, which: Array, rows: Array) -> Array:
    """Background samples for points: of one set for all (B, 1, *S), or of each sample's own (B, N, *S)."""
    return np.asarray(background[which, rows if background.shape[1] > 1 else 0])


def _mean_output(task: Task, sets: dict[str, Array]) -> Array:
    """The mean of f over the background, for each sample's target and other inputs: (N,)."""
    count = len(sets[task.wrt[0]])
    rows, which = np.repeat(np.arange(task.size), count), np.tile(np.arange(count), task.size)
    there = {k: _samples(v, which, rows) for k, v in sets.items()}
    return np.asarray(quiet(task).at(there, rows).reshape(task.size, count).sum(axis=1) / scalar(count, task.weights))
