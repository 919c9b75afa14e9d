"""Integrals of the gradient along a path that is given by points: A = Σ_j (P_{j+1} - P_j) ⊙ (gradient at that step).

The straight line has its own, better quadratures (paths.py); this is for curved paths.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from xaicore.methods.sweep import column, sweep
from xaicore.methods.task import Task
from xaicore.numerics import Array, scalar

Point = Callable[[Array, Array], dict[str, Array]]
"""The inputs at points of a path: (rows, places) -> {input: (points, ...)}; on a path of n steps place j is P_j, j + 1/2 a middle."""

STEPS: Mapping[str, tuple[float, ...]] = MappingProxyType({"midpoint": (0.5,), "left": (0.0,), "right": (1.0,), "trapezoid": (0.0, 1.0)})
"""name -> where in a step its gradient is taken: the mean over these."""


def path_integral(task: Task, point: Point, steps: int, rule: str, moves: Point | None = None) -> tuple[dict[str, Array], Array]:
    """(A by input name, f at the places of the gradients (N, K)) for a path of each sample from P_0 to P_steps.

    Complete up to the error of the quadrature, and exactly for an affine f, whatever the path. ``moves`` gives what stands for
    P_{j+1} - P_j in place of this difference.
    """
    within = STEPS[rule]
    step = np.tile(np.repeat(np.arange(steps), len(within)), task.size)
    place = step + np.tile(np.array(within), task.size * steps)
    rows = np.repeat(np.arange(task.size), steps * len(within))
    sums = {name: task.feeds[name] * scalar(0, task.feeds[name]) for name in task.wrt}
    values = []
    for part, grads, f in sweep(task, rows, lambda part: point(rows[part], place[part])):
        if moves is None:
            start, end = (point(rows[part], step[part] + at) for at in (0.0, 1.0))
            moved = {name: end[name] - start[name] for name in task.wrt}
        else:
            moved = moves(rows[part], step[part])
        for name, g in grads.items():
            np.add.at(sums[name], rows[part], moved[name] * g / scalar(len(within), g))
        values.append(f)
    return sums, np.concatenate(values).reshape(task.size, -1)


def between(start: Array, end: Array, alphas: Array) -> Array:
    """(1 - α) start + α end, point by point: not start + α (end - start), which may miss the end."""
    a = column(alphas, end)
    return np.asarray((1 - a) * start + a * end).astype(end.dtype)
