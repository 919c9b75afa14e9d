"""f when features are taken away or put back in an order: the one place for all perturbation metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.curved import blurred
from xaicore.methods.games import Game, channel_axis, game
from xaicore.methods.sweep import reference, scores, whole
from xaicore.methods.task import Task
from xaicore.metrics.subject import Subject
from xaicore.numerics import Array

FILLS = ("mean", "blur", "uniform", "minimum")


def of_players(s: Subject, g: Game) -> Array:
    """The sum of the map over each player's entries, (N, M)."""
    out = np.zeros((s.size, g.count))
    for k, labels in g.labels.items():
        np.add.at(out.T, labels.reshape(-1), s.values[k].reshape(s.size, -1).T)
    return out


def players(s: Subject, mask: Any, baseline: Any, seed: int = 0) -> Game:
    """The game of a subject: who the features are, and what stands where one is taken away.

    baseline  as for methods (a number, one sample, a batch, a mapping by input name), or a word: "mean" of each channel over the
              sample, "blur" (Gaussian, a tenth of the shorter side), "uniform" noise over the sample's range, drawn by
              default_rng([seed, k]) for the k-th input, the same for all samples; "minimum" of the sample
    """
    return game(s.task, mask, filled_with(s.task, baseline, seed))


def filled_with(task: Task, fill: Any, seed: int = 0) -> Any:
    """A word of FILLS as arrays by input name; anything else as it is."""
    if not isinstance(fill, str):
        return fill
    if fill not in FILLS:
        from xaicore.methods.sweep import chosen

        chosen("baseline", fill, FILLS)
    return {k: _filled(task, k, fill, np.random.default_rng([seed, at])) for at, k in enumerate(task.wrt)}


def _filled(task: Task, name: str, fill: str, rng: np.random.Generator) -> Array:
    x = task.feeds[name]
    if x.dtype.kind != "f":
        raise Inapplicable(f"the filling {fill!r} is for inputs of floats, and {name!r} holds {x.dtype}; give the baseline as an array")
    axis = channel_axis(task, name)
    every = tuple(range(1, x.ndim))
    if fill == "minimum":
        return np.array(np.broadcast_to(x.min(axis=every, keepdims=True), x.shape))
    if fill == "uniform":
        low, high = x.min(axis=every, keepdims=True), x.max(axis=every, keepdims=True)
        return np.asarray((low + (high - low) * rng.random(x.shape[1:])).astype(x.dtype))
    if fill == "mean":
        over = tuple(k for k in every if axis is None or k != axis + 1)
        return np.array(np.broadcast_to(x.mean(axis=over, keepdims=True), x.shape))
    if axis is None or x.ndim != 4:
        raise Inapplicable(f"the filling 'blur' is for images, and input {name!r} has shape {x.shape}; choose 'mean', or give an array")
    first = np.moveaxis(x, axis + 1, 1)
    smooth = blurred(first, min(first.shape[2:]) / 10, "reflect", False)
    return np.ascontiguousarray(np.moveaxis(smooth, 1, axis + 1)).astype(x.dtype)


# ----- f of coalitions that differ between samples --------------------------------------------------------------------


def present(g: Game, count: int, make: Callable[[Array, Array], Array]) -> Array:
    """f of ``count`` coalitions of each sample, (N, count); make(n, k) gives who is there, (points, M), for samples n and numbers k."""
    n, k = np.divmod(np.arange(g.task.size * count), count)
    start = g.start
    assert start is not None

    def inputs(part: slice) -> dict[str, Array]:
        there = make(n[part], k[part])
        return {name: np.where(there[:, labels], g.task.feeds[name][n[part]], start[name][n[part]]) for name, labels in g.labels.items()}

    return np.asarray(scores(g.task, n, inputs), dtype=float).reshape(g.task.size, count)


def places(order: Array) -> Array:
    """The place of each feature in the order: places[n, order[n, k]] = k."""
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.arange(order.shape[1])[None], axis=1)
    return out


def removing(g: Game, order: Array, counts: Array) -> Array:
    """f with the first counts[k] features of each sample's order (N, M) taken away: (N, K)."""
    place = places(order)
    return present(g, len(counts), lambda n, k: place[n] >= counts[k][:, None])


def keeping(g: Game, order: Array, counts: Array) -> Array:
    """f with only the first counts[k] features of each sample's order there: (N, K)."""
    place = places(order)
    return present(g, len(counts), lambda n, k: place[n] < counts[k][:, None])


def counts_of(total: int, steps: int | None) -> Array:
    """0 .. total in so many equal steps, rounded; all of them for None, or where there are fewer."""
    if steps is None:
        return np.arange(total + 1)
    return np.unique(np.rint(np.linspace(0, total, whole("steps", steps, 1) + 1)).astype(int))


def draws(count: int, of: int, size: int, seed: int) -> Array:
    """``count`` random subsets of ``size`` out of ``of`` as booleans (count, of); subset k by default_rng([seed, k])."""
    if not 1 <= size <= of:
        raise InputError(f"a subset of {size} of {of} features was asked for; choose 1 to {of}")
    out = np.zeros((count, of), dtype=bool)
    for k in range(count):
        out[k, np.random.default_rng([seed, k]).permutation(of)[:size]] = True
    return out


def starts(task: Task, baseline: Any, seed: int = 0) -> Mapping[str, Array]:
    """What stands where nothing is there, by explained input."""
    return reference(task, filled_with(task, baseline, seed), "baseline")


__all__ = ["counts_of", "draws", "filled_with", "keeping", "of_players", "places", "players", "present", "removing", "starts"]
