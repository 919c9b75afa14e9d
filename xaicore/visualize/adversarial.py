"""Adversarial images, the control of feature visualisation: a change that nobody sees and that the network takes for another class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.methods.task import make_task
from xaicore.numerics import Array, at_least


@dataclass(frozen=True, eq=False)
class Adversarial:
    """images (N, ...) in the shape of the input; before and after (N,): log-probability of the target; largest (N,): max |change|."""

    images: Array
    before: Array
    after: Array
    largest: Array


def adversarial(graph: Graph, x: Any, target: Any, size: float, steps: int = 10, rate: float | None = None,
                bounds: tuple[float, float] | None = None) -> Adversarial:
    """x <- clip(x + rate sign(∂ log p_target / ∂x)), never farther than ``size`` from the start in any entry, nor outside ``bounds``.

    target  the class that the network is to see, or one for each sample
    steps   1 with rate = size is the fast gradient sign method (goodfellow2015); more of ``rate`` (2.5 size / steps) projected descent
            (madry2018)

    Raises InputError for a size that is not above 0. Deterministic: it starts at x. An entry whose gradient is 0 stays.
    """
    at_least("size", size, 0)
    if not size > 0:
        raise InputError("size=0 changes nothing; give the largest change of an entry, such as 8/255 of the range")
    steps = whole("steps", steps, 1)
    task = make_task(graph, x, target, "log_probability")
    step = 2.5 * size / steps if rate is None else at_least("rate", rate, 0)
    start = {k: task.feeds[k] for k in task.wrt}
    here, rows = dict(start), np.arange(task.size)
    for _ in range(steps):
        grads, _ = task.gradients(here, rows)
        for k, g in grads.items():
            moved = np.clip(here[k] + step * np.sign(g), start[k] - size, start[k] + size)
            here[k] = (moved if bounds is None else np.clip(moved, *bounds)).astype(start[k].dtype)
    largest = np.max([np.abs(here[k] - start[k]).reshape(task.size, -1).max(axis=1) for k in here], axis=0)
    return Adversarial(here[task.wrt[0]], task.result, task.at(here, rows), largest)
