"""Global saliency of inputs (Mørch et al. 1995): what a cost loses when an input is removed, by several levels of approximation."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.methods.attribution import Attribution
from xaicore.methods.sweep import chosen, reference, scores, sweep
from xaicore.methods.task import Task
from xaicore.numerics import Array, scalar

LEVELS = ("deletion", "first", "second", "sensitivity")


def global_saliency(task: Task, level: str = "second", baseline: Any = 0) -> Attribution:
    """s_i = E(x with x_i removed) - E(x), exactly or by Taylor's series in x_i; over a data set the mean, ``extras["global"]``.

    level     "deletion"     the difference itself, one evaluation for each feature
              "first"        (b_i - x_i) ∂E/∂x_i
              "second"       (b_i - x_i) ∂E/∂x_i + ½ (b_i - x_i)² ∂²E/∂x_i², two gradients more for each feature
              "sensitivity"  (∂E/∂x_i)², the later sensitivity map; no baseline enters
    baseline  b: what a removed feature is replaced by

    E is the explained number: for a cost give a target that builds it, target=lambda b, y: .... The second derivative is a central
    difference of the gradient: exact for quadratic E, 0 for a piecewise-linear one. Then "second" is "deletion" (W51). ``extras``:
    "global" input -> (*S), the mean over the samples. Values in the shape of the inputs. Raises
    UnknownName for a level, ShapeError for a baseline that does not fit. No library has it; feature_ablation is its first level. Source:
    morch1995, who name several levels of approximation; the formulas are those of input deletion in the optimal-brain-damage line
    (reconstruction).
    """
    chosen("level", level, LEVELS)
    start = reference(task, baseline, "baseline")
    grads, _ = task.gradients({k: task.feeds[k] for k in task.wrt}, np.arange(task.size))
    values = {}
    for k in task.wrt:
        x, g, d = task.feeds[k], grads[k], start[k] - task.feeds[k]
        if level == "deletion":
            values[k] = _without_each(task, k, x, start[k]) - task.result.reshape(-1, *(1,) * (x.ndim - 1))
        elif level == "sensitivity":
            values[k] = g * g
        else:
            values[k] = d * g if level == "first" else d * g + d * d * _curvature(task, k, x) / scalar(2, x)
    return Attribution(values, task.result, "global_saliency", task.graph, task.feeds, task.target, {"level": level, "baseline": baseline},
                       task.words, extras={"global": {k: v.sum(axis=0) / scalar(len(v), v) for k, v in values.items()}})


def _one_moved(x: Array, part: slice, to: Array) -> Array:
    """Rows part of (N · F): sample n with its feature f replaced by that of ``to``."""
    width = x[0].size
    rows, features = np.divmod(np.arange(part.start, part.stop), width)
    moved = x[rows].reshape(len(rows), width).copy()
    moved[np.arange(len(rows)), features] = to.reshape(len(x), width)[rows, features]
    return moved.reshape(-1, *x.shape[1:])


def _without_each(task: Task, k: str, x: Array, to: Array) -> Array:
    rows = np.repeat(np.arange(len(x)), x[0].size)
    return scores(task, rows, lambda part: {k: _one_moved(x, part, to)}).reshape(x.shape)


def _curvature(task: Task, k: str, x: Array) -> Array:
    """∂²E/∂x_i² by (g_i(x + h) - g_i(x - h)) / 2h, h about the cube root of the rounding unit, which balances both errors.

    Rationals have no rounding: there h is 2^-40, which does not reach a kink that is not all but at x.
    """
    h = x * scalar(0, x) + scalar(Fraction(1, 2**40), x)
    if x.dtype != object:
        h = np.maximum(abs(x), scalar(1, x)) * x.dtype.type(np.finfo(x.dtype).eps ** (1 / 3))
    rows, width = np.repeat(np.arange(len(x)), x[0].size), x[0].size
    slopes = []
    for to in (x + h, x - h):
        flat = []
        for part, g, _ in sweep(task, rows, lambda part, to=to: {k: _one_moved(x, part, to)}):  # type: ignore[misc]
            at = np.arange(part.start, part.stop) % width
            flat.append(g[k].reshape(len(at), width)[np.arange(len(at)), at])
        slopes.append(np.concatenate(flat).reshape(x.shape))
    return np.asarray((slopes[0] - slopes[1]) / ((x + h) - (x - h)))
