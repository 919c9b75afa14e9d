"""f and ∇f at many inputs that are made when they are needed, and the checks of settings that such methods share.

A path, a cloud of noise or a set of occluded images is never in memory as a whole: ``batch_size`` of them are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import InputError, UnknownName, nearest
from xaicore.methods.task import Feeds, Task
from xaicore.methods.workers import in_order
from xaicore.numerics import Array

Make = Callable[[slice], Feeds]
"""The inputs of a range of points: (points, ...) for each input name."""


def sweep(task: Task, rows: Array, make: Make) -> Iterator[tuple[slice, dict[str, Array], Array]]:
    """(range, ∇f, f) for one batch of points after the other; ``rows`` (M,) names the sample whose target counts."""
    silent = quiet(task)
    points = ((part, make(part)) for part in parts_of(task, len(rows)))
    for (part, _), found in in_order(task.workers, lambda point: silent.gradients(point[1], rows[point[0]]), points):
        yield part, *found


def scores(task: Task, rows: Array, make: Make) -> Array:
    """f at M points, shape (M,)."""
    silent = quiet(task)
    points = ((part, make(part)) for part in parts_of(task, len(rows)))
    return np.concatenate([f for _, f in in_order(task.workers, lambda point: silent.at(point[1], rows[point[0]]), points)])


def quiet(task: Task) -> Task:
    """The task without its progress report, for what is a part of something longer."""
    return replace(task, progress=None)


def parts_of(task: Task, count: int) -> Iterator[slice]:
    """Ranges of at most ``batch_size`` points, with the task's progress."""
    for start in range(0, count, task.batch_size):
        if task.progress is not None:
            task.progress(start, count)
        yield slice(start, min(start + task.batch_size, count))
    if task.progress is not None:
        task.progress(count, count)


def column(weights: Array, like: Array) -> Array:
    """(M,) as (M, 1, ..., 1), to multiply ``like`` (M, ...)."""
    return weights.reshape(-1, *(1,) * (like.ndim - 1))


# ----- settings ---------------------------------------------------------------------------------------------------


def whole(setting: str, value: Any, least: int) -> int:
    """A whole number of at least ``least``; InputError otherwise."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise InputError(f"{setting}={value!r} must be a whole number of at least {least}")
    return int(value)


def chosen(setting: str, value: Any, known: Collection[str]) -> str:
    """One of the known names; UnknownName with the nearest otherwise."""
    if not isinstance(value, str) or value not in known:
        raise UnknownName(f"{setting}={value!r} does not exist: {nearest(str(value), known)}")
    return value


def reference(task: Task, value: Any, setting: str) -> dict[str, Array]:
    """A baseline or filling for every explained input, each in the shape of that input.

    InputError for an input that is not explained: it keeps its value, and a baseline for it would go unused.
    """
    if isinstance(value, Mapping):
        for k in value:
            if k in task.feeds and k not in task.wrt:
                raise InputError(f"{setting} names input {k!r}, which is not explained here (only {', '.join(task.wrt)}); leave it out")
    full = task.baseline(value, setting)
    return {k: full[k] for k in task.wrt}
