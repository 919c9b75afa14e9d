"""How much a map changes when the input hardly does. All of these ask the method again; draw k comes from default_rng([seed, k])."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.run import evaluate
from xaicore.methods.games import channel_axis
from xaicore.methods.maps import last_feature_map
from xaicore.methods.sweep import chosen, whole
from xaicore.metrics.subject import Score, Subject, space_of
from xaicore.numerics import Array

NOISES = ("uniform", "gaussian", "ball")
Moved = dict[str, Array]


def neighbours(s: Subject, radius: float, samples: int, noise: str, seed: int) -> Iterator[Moved]:
    """``samples`` inputs near x: uniform in ±radius, Gaussian of that deviation, or uniform in the Euclidean ball of that radius.

    The same displacement for every sample of the batch, so that a batch gives what its samples give one by one.
    """
    chosen("noise", noise, NOISES)
    if not radius > 0:
        raise InputError(f"radius={radius!r} must be above 0")
    for k in range(whole("samples", samples, 1)):
        if s.task.progress is not None:
            s.task.progress(k, samples)
        rng = np.random.default_rng([seed, k])
        moved = {}
        for name in s.values:
            x = s.task.feeds[name]
            if x.dtype.kind != "f":
                raise Inapplicable(f"robustness moves the input a little, and {name!r} holds {x.dtype}; attribute to an embedding (layer=)")
            moved[name] = (x + displacement(x.shape[1:], radius, noise, rng)).astype(x.dtype)
        yield moved
    if s.task.progress is not None:
        s.task.progress(samples, samples)


def displacement(shape: tuple[int, ...], radius: float, noise: str, rng: np.random.Generator) -> Array:
    """One displacement in the shape of a sample."""
    if noise == "uniform":
        return np.asarray(rng.uniform(-radius, radius, shape))
    d = rng.standard_normal(shape)
    if noise == "gaussian":
        return np.asarray(radius * d)
    size = d.size
    return np.asarray(d / np.sqrt((d * d).sum()) * radius * rng.random() ** (1 / size))


def joined(values: Any, s: Subject) -> Array:
    """All explained inputs of a batch in one row for each sample, float64."""
    return np.concatenate([np.asarray(values[k], dtype=float).reshape(s.size, -1) for k in s.values], axis=1)


def norm(d: Array, p: float = 2) -> Array:
    """(Σ |d|^p)^(1/p) of rows."""
    return np.asarray(np.linalg.norm(d, ord=p, axis=1))


def _changes(s: Subject, near: Iterator[Moved], each: Callable[[Array, Array, Moved], Array]) -> Array:
    """each(e(x), e(x'), x') for all neighbours, (N, K)."""
    a = joined(s.values, s)
    return np.stack([each(a, joined(s.again(moved), s), moved) for moved in near], axis=1)


def local_lipschitz(s: Subject, radius: float = 0.1, samples: int = 20, noise: str = "ball", seed: int = 0) -> Score:
    """max over x' near x of ‖e(x) - e(x')‖₂ / ‖x - x'‖₂.

    A lower bound of the local Lipschitz constant: the maximum over draws. extras: "each" (N, K). Source: alvarezmelis2018robust, eq. 3
    (which searches the ball; here it is sampled). Differs: Quantus draws normal noise of deviation .1 (noise="gaussian"), 200 times.
    """
    x = joined(s.task.feeds, s)
    each = _changes(s, neighbours(s, radius, samples, noise, seed),
                    lambda a, b, moved: norm(a - b) / np.maximum(norm(x - joined(moved, s)), np.finfo(float).tiny))
    return Score(each.max(axis=1), {"each": each})


def max_sensitivity(s: Subject, radius: float = 0.02, samples: int = 10, noise: str = "uniform", relative: bool = True,
                    seed: int = 0) -> Score:
    """max over x' near x of ‖e(x) - e(x')‖₂, relative: / ‖e(x)‖₂.

    relative  False: the paper's definition, whose scale is that of the map, so that methods cannot be compared. The default is what
              the paper's experiments, captum and Quantus do. NaN for a map of zeros then.

    Source: yeh2019, definition 3.1 (SENS_MAX). Same as: captum.metrics.sensitivity_max (its default radius and number), which
    divides by 1 where the norm is 0.
    """
    each = _sensitivities(s, radius, samples, noise, relative, seed)
    return Score(each.max(axis=1), {"each": each})


def avg_sensitivity(s: Subject, radius: float = 0.02, samples: int = 10, noise: str = "uniform", relative: bool = True,
                    seed: int = 0) -> Score:
    """The mean over x' near x of ‖e(x) - e(x')‖₂, relative: / ‖e(x)‖₂. Source: bhatt2020, eq. 3; settings as for max_sensitivity."""
    each = _sensitivities(s, radius, samples, noise, relative, seed)
    return Score(each.mean(axis=1), {"each": each})


def _sensitivities(s: Subject, radius: float, samples: int, noise: str, relative: bool, seed: int) -> Array:
    size = norm(joined(s.values, s)) if relative else np.ones(s.size)
    each = _changes(s, neighbours(s, radius, samples, noise, seed), lambda a, b, moved: norm(a - b))
    return np.asarray(np.where(size[:, None] > 0, each / np.where(size > 0, size, 1)[:, None], np.nan))


def continuity(s: Subject, shifts: int = 4, baseline: float = 0) -> Score:
    """max over pictures x' that are x moved to the right by 1, 2, ... ``shifts`` pixels of ‖e(x) - e(x')‖₁ / ‖x - x'‖₂.

    baseline  what comes in on the left. A movement that changes nothing is left out; NaN where that is all of them

    Needs axes of space. extras: "each" (N, K), NaN where x' = x. Source: montavon2018, section 7.1 (the quotient; the movements
    are its figure's). Differs: Quantus moves to both sides, and fills with the sample's minimum.
    """
    name = s.name
    axis, space = channel_axis(s.task, name), space_of(s.task, name)
    if axis is None:
        raise Inapplicable(f"continuity moves a picture, and input {name!r} has no axes of space")
    if not 1 <= whole("shifts", shifts, 1) < space[-1]:
        raise InputError(f"shifts={shifts} must be below the width, {space[-1]}")
    x = s.task.feeds[name]
    along = x.ndim - 1 if axis == 0 else x.ndim - 2                     # the last axis of space
    moves = []
    for k in range(1, shifts + 1):
        head, tail = [slice(None)] * x.ndim, [slice(None)] * x.ndim
        head[along], tail[along] = slice(k, None), slice(None, -k)
        there = np.full_like(x, baseline)
        there[tuple(head)] = x[tuple(tail)]
        moves.append({name: there})
    flat = joined(s.task.feeds, s)

    def quotient(a: Array, b: Array, moved: Moved) -> Array:
        d = norm(flat - joined(moved, s))
        return np.asarray(np.where(d > 0, norm(a - b, 1) / np.where(d > 0, d, 1), np.nan))

    each = _changes(s, iter(moves), quotient)
    known = ~np.isnan(each)
    return Score(np.where(known.any(axis=1), np.where(known, each, -np.inf).max(axis=1), np.nan), {"each": each})


# ----- relative stabilities ---------------------------------------------------------------------------------------------


def relative_input_stability(s: Subject, radius: float = 0.05, samples: int = 20, noise: str = "gaussian", p: float = 2, eps: float = 1e-6,
                             seed: int = 0) -> Score:
    """max over x' with the same class of ‖(e - e') / e‖_p / max(‖(x - x') / x‖_p, eps), quotients by entry (0 in a denominator: eps).

    NaN where no x' keeps the class. An output that is not classes keeps everything. Source: agarwal2022rethinking, eq. 2.
    Differs: Quantus draws from [.02, .2] on one side, and gives NaN as soon as one x' changes the class.
    """
    x = joined(s.task.feeds, s)
    return _relative(s, neighbours(s, radius, samples, noise, seed), p, eps, lambda moved: norm(_quotient(x, joined(moved, s), eps), p))


def relative_output_stability(s: Subject, radius: float = 0.05, samples: int = 20, noise: str = "gaussian", p: float = 2, eps: float = 1e-6,
                              seed: int = 0) -> Score:
    """max over x' with the same class of ‖(e - e') / e‖_p / max(‖h(x) - h(x')‖_p, eps), h the explained value (logits).

    Source: agarwal2022rethinking, eq. 5. Otherwise as relative_input_stability.
    """
    h = _value(s, {}, s.task.value)
    return _relative(s, neighbours(s, radius, samples, noise, seed), p, eps, lambda moved: norm(h - _value(s, moved, s.task.value), p))


def relative_representation_stability(s: Subject, layer: str | None = None, radius: float = 0.05, samples: int = 20,
                                      noise: str = "gaussian",
                                      p: float = 2, eps: float = 1e-6, seed: int = 0) -> Score:
    """max over x' with the same class of ‖(e - e') / e‖_p / max(‖(L(x) - L(x')) / L(x)‖_p, eps), L the value of a layer.

    layer  default: the last value in front of the last layer with weights; the last feature map where there is none

    Source: agarwal2022rethinking, eq. 3. Otherwise as relative_input_stability.
    """
    name = representation(s) if layer is None else s.task.graph.find(layer)
    h = _value(s, {}, name)
    near = neighbours(s, radius, samples, noise, seed)
    return _relative(s, near, p, eps, lambda moved: norm(_quotient(h, _value(s, moved, name), eps), p))


def representation(s: Subject) -> str:
    """What goes into the last layer with weights."""
    assert s.task.trace is not None
    weighted = [n for n in s.task.graph.nodes if any(i in s.task.graph.params for i in n.inputs) and s.task.trace.carries(n.name)]
    if not weighted:
        return last_feature_map(s.task, "relative_representation_stability")
    return weighted[-1].inputs[0]


def _value(s: Subject, moved: Moved, name: str) -> Array:
    """A value of the graph for other inputs, one row for each sample."""
    value = evaluate(s.task.graph, {**s.task.feeds, **moved}, keep=[name]) if name not in s.task.feeds else {**s.task.feeds, **moved}
    return np.asarray(value[name], dtype=float).reshape(s.size, -1)


def _quotient(a: Array, b: Array, eps: float) -> Array:
    return np.asarray((a - b) / np.where(a == 0, eps, a))


def _relative(s: Subject, near: Iterator[Moved], p: float, eps: float, change: Callable[[Moved], Array]) -> Score:
    def label(value: Array) -> Array:
        return value.argmax(axis=1) if value.shape[1] > 1 else np.zeros(len(value), dtype=int)

    own = label(_value(s, {}, s.task.value))

    def each(a: Array, b: Array, moved: Moved) -> Array:
        ratio = norm(_quotient(a, b, eps), p) / np.maximum(change(moved), eps)
        return np.asarray(np.where(label(_value(s, moved, s.task.value)) == own, ratio, np.nan))

    found = _changes(s, near, each)
    known = ~np.isnan(found)
    return Score(np.where(known.any(axis=1), np.where(known, found, -np.inf).max(axis=1), np.nan), {"each": found})


__all__ = ["avg_sensitivity", "continuity", "displacement", "joined", "local_lipschitz", "max_sensitivity", "neighbours", "norm",
           "relative_input_stability", "relative_output_stability", "relative_representation_stability", "representation"]
