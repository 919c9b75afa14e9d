"""Path methods whose path is not a straight line: from a blurred image to the sharp one, and along the smallest gradients."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.polyline import STEPS, path_integral
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import chosen, quiet, reference, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, along, at_least, is_exact, scalar

# ----- blur -------------------------------------------------------------------------------------------------------

BORDERS: Mapping[str, Callable[[Array, int], Array]] = MappingProxyType({
    "constant": lambda at, n: at,
    "nearest": lambda at, n: np.clip(at, 0, n - 1),
    "reflect": lambda at, n: np.minimum(at % (2 * n), 2 * n - 1 - at % (2 * n)),
})
"""name -> (places, entries n -> the entries that they read): 0 beyond the border, its outermost entry, or the mirror image."""

PAIR, WIDER = "pair", 0.01
"""The slope of a blur by PAIR: the difference between two blurs whose widths differ by this many pixels, divided by it."""

SPACINGS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({"sigma": lambda t: 1 - t, "variance": lambda t: np.sqrt(1 - t)})


def gaussian_matrix(n: int, sigma: float, border: str) -> Array:
    """The (n, n) matrix that blurs one axis: weights exp(-d²/2σ²) of the entries at distance d <= 4σ, which add up to 1 with those
    beyond the border. σ = 0 is the identity. Same as: scipy.ndimage.gaussian_filter1d, truncate 4."""
    radius = int(4 * sigma + 0.5)
    d = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (d / sigma) ** 2) if sigma > 0 else np.ones(1)
    weights = weights / weights.sum()
    reads = BORDERS[border](np.arange(n)[:, None] + d, n)
    inside = (reads >= 0) & (reads < n)
    out = np.zeros((n, n))
    rows = np.broadcast_to(np.arange(n)[:, None], reads.shape)
    np.add.at(out, (rows[inside], reads[inside]), np.broadcast_to(weights, reads.shape)[inside])
    return out


def blurred(x: Array, sigma: float, border: str, last: bool) -> Array:
    """x (N, C, *S), or (N, *S, C) with ``last``, every axis of space blurred, channels apart."""
    moved = np.moveaxis(x, -1, 1) if last else x
    out = along(moved, [gaussian_matrix(n, sigma, border).astype(x.dtype) for n in moved.shape[2:]])
    return np.moveaxis(out, 1, -1) if last else out


def blur_ig(
    task: Task, sigma: float | None = None, steps: int = 100, border: str = "constant", spacing: str = "sigma",
    quadrature: str = "midpoint",
) -> Attribution:
    """A = Σ_j (B_{j+1} - B_j) ⊙ ∇f at that step: the gradient along the path from x blurred with σ to x itself.

    B_j is x, its channels apart, blurred by a Gaussian of width σ_j, which falls from ``sigma`` to 0.
    sigma       in pixels; default a sixth of the longest axis of the input, which is the paper's 50 for its 299 pixels
    steps       of the path
    border      beyond it stand 0 ("constant"), the outermost pixel ("nearest"), or the mirror image ("reflect")
    spacing     "sigma": equal steps in σ; "variance": in σ²
    quadrature  where in a step the gradient is taken: "midpoint", "left" (blurrier), "right" (sharper), "trapezoid"; "pair": right, and
                in place of B_{j+1} - B_j the slope of the blur at σ_{j+1}, its difference over .01 pixels, times the step in σ

    Values in the shape of the inputs, all of which need axes of space (Inapplicable otherwise). The sum misses f(x) - f(B_0) by the
    quadrature's error, for an affine f (but for "pair") by nothing. ``extras["curve"]`` (N, K) is f along the path, "sigmas" (K,)
    where. Raises ExactnessError in exact mode. Source: xu2020. Same as: PAIR BlurIG with quadrature="pair" and its default sigma=50,
    of whose 100 steps few change anything in a small image; its sqrt=True is spacing="variance" with the root of its max_sigma as sigma.
    """
    steps = whole("steps", steps, 1)
    for setting, value, known in (("border", border, BORDERS), ("spacing", spacing, SPACINGS), ("quadrature", quadrature, (*STEPS, PAIR))):
        chosen(setting, value, known)
    for name in task.wrt:
        if task.feeds[name].ndim < 3:
            raise Inapplicable(f"blur_ig: input {name!r} of shape {task.feeds[name].shape} has no axes of space that could be blurred; use "
                               f"integrated_gradients")
        if is_exact(task.feeds[name]):
            raise ExactnessError("blur_ig: a Gaussian is not rational; use graph.astype('float64')")
    longest = max(n for k in task.wrt for n in _space(task, k))
    widest = float(longest / 6 if sigma is None else at_least("sigma", sigma, 0, "the width of the blur, in pixels"))
    width = SPACINGS[spacing]

    rule = "right" if quadrature == PAIR else quadrature

    def all_blurred(place: float, more: float = 0.0) -> dict[str, Array]:
        at = float(widest * width(np.array(place / steps))) + more
        return {k: blurred(task.feeds[k], at, border, channels_last(task.graph.meta, k)) for k in task.wrt}

    remembered = cache(all_blurred) if task.size * sum(task.feeds[k][0].size for k in task.wrt) * steps < 2**22 else all_blurred

    def gathered(rows: Array, places: Array, at: Callable[[float], Mapping[str, Array]]) -> dict[str, Array]:
        made = {k: np.empty((len(rows), *task.feeds[k].shape[1:]), task.feeds[k].dtype) for k in task.wrt}
        for place in np.unique(places):
            here, there = places == place, at(float(place))
            for k in task.wrt:
                made[k][here] = there[k][rows[here]]
        return made

    def point(rows: Array, places: Array) -> dict[str, Array]:
        return gathered(rows, places, remembered)

    def slope(step: float) -> dict[str, Array]:
        sharp, wider = remembered(step + 1), all_blurred(step + 1, WIDER)
        fall = float(widest * (width(np.array(step / steps)) - width(np.array((step + 1) / steps))))
        return {k: (sharp[k] - wider[k]) * scalar(fall / WIDER, sharp[k]) for k in task.wrt}

    slopes = cache(slope) if remembered is not all_blurred else slope
    moves = (lambda rows, step: gathered(rows, step, slopes)) if quadrature == PAIR else None
    parts, curve = path_integral(task, point, steps, rule, moves)
    start = all_blurred(0.0)
    at = np.array([j + w for j in range(steps) for w in STEPS[rule]])
    return Attribution(parts, task.result, "blur_ig", task.graph, task.feeds, task.target, {"sigma": widest}, task.words, start,
                       quiet(task).at(start, np.arange(task.size)), extras={"curve": curve, "sigmas": widest * width(at / steps)})


def _space(task: Task, name: str) -> tuple[int, ...]:
    x = task.feeds[name]
    return x.shape[1:-1] if channels_last(task.graph.meta, name) else x.shape[2:]


# ----- guided path ------------------------------------------------------------------------------------------------

CLOSE = 1e-9
"""Distances that differ by less, relatively or absolutely, count as equal, as in the authors' code."""


def guided_ig(task: Task, baseline: Any = 0, steps: int = 200, fraction: float = 0.25, max_dist: float = 0.02) -> Attribution:
    """A = Σ_t ∇f(x_t) ⊙ (x_{t+1} - x_t) on a path from x0 to x that goes along the entries with the smallest |∇f| first.

    In step t of ``steps`` the L1 distance to x falls by 1/steps of the whole: the ``fraction`` of entries with the smallest |gradient|
    (at x_t) moves towards x, all of them by the same share of their way, and the next ones when these are not enough. No entry may
    be further than ``max_dist`` (a share of its way) from where the straight line is.

    baseline   x0: a number, one sample, a batch, or a mapping by input name
    fraction   between 0 (one entry at a time) and 1
    max_dist   0: the straight line, integrated_gradients with quadrature="left"; 1: any way that never turns back

    The entries of all explained inputs of a sample are one set. Values in the shape of the inputs; ``extras["curve"]`` (N, steps) is f at
    x_t. The path depends on f, so the method is not linear in it, and on the order of gradients, of which equals move together. The
    path is computed in float64. The sum misses f(x) - f(x0) by the error of this left Riemann sum. Raises InputError for a fraction or
    max_dist outside [0, 1]. Cost: one forward and one backward pass for every step, one after the other. Source: kapishnikov2021, the
    algorithm as in the authors' code. Same as: PAIR GuidedIG, the only library that has it.
    """
    steps = whole("steps", steps, 1)
    for setting, value in (("fraction", fraction), ("max_dist", max_dist)):
        if at_least(setting, value, 0) > 1:
            raise InputError(f"{setting}={value!r} must lie between 0 and 1")
    start, silent = reference(task, baseline, "baseline"), quiet(task)
    end, x0 = _rows(task, task.feeds), _rows(task, start)
    unit, share, far = (scalar(v, end) for v in (1, fraction, max_dist))
    x, total, values = x0.copy(), end * scalar(0, end), []
    every = np.arange(task.size)
    for t in range(steps):
        if task.progress is not None:
            task.progress(t, steps)
        grads, f = silent.gradients(_inputs(task, x), every)
        values.append(f)
        g = _rows(task, grads)
        ahead = unit * (t + 1) / steps if is_exact(end) else np.float64((t + 1) / steps)
        low, high = (x0 + (end - x0) * v for v in (max(ahead - far, 0 * unit), min(ahead + far, unit)))
        for n in range(task.size):
            whole_way = abs(end[n] - x0[n]).sum()
            moved = _step(x[n], g[n], x0[n], end[n], low[n], high[n], whole_way * (unit - ahead), share)
            total[n] += (moved - x[n]) * g[n]
            x[n] = moved
    if task.progress is not None:
        task.progress(steps, steps)
    parts = {k: v.astype(task.feeds[k].dtype) for k, v in _split(task, total).items()}
    return Attribution(parts, task.result, "guided_ig", task.graph, task.feeds, task.target, {}, task.words, start,
                       silent.at(start, every), extras={"curve": np.stack(values, axis=1)})


def _step(x: Array, g: Array, x0: Array, end: Array, low: Array, high: Array, goal: Any, fraction: Any) -> Array:
    """The next point of one sample (F,): the distance to ``end`` becomes ``goal``, entries stay between low and high on their way."""
    x, size = x.copy(), abs(g)
    behind = abs(x - x0) < abs(low - x0)                                # such an entry is taken to the edge of the band
    x[behind] = low[behind]
    while True:
        left = abs(end - x).sum()
        if abs(left - goal) <= (0 if is_exact(x) else CLOSE * max(abs(left), abs(goal), 1)) or left < goal:
            return x
        open_ = x != high
        if not open_.any():
            return x
        ranked = np.sort(size[open_])
        place = int(fraction * (len(x) - 1))
        limit = ranked[min(place, len(ranked) - 1)]                     # finished entries rank behind all others
        moving = open_ & (size <= limit)
        room = abs(high - x)[moving].sum()
        if room <= left - goal:
            x[moving] = high[moving]
        else:
            x[moving] += (high - x)[moving] * ((left - goal) / room)
            return x


def _rows(task: Task, values: Mapping[str, Array]) -> Array:
    """(N, F): all explained inputs of a sample side by side, in float64 or rationals."""
    flat = np.concatenate([values[k].reshape(task.size, -1) for k in task.wrt], axis=1)
    return flat if is_exact(flat) else flat.astype(np.float64)


def _split(task: Task, rows: Array) -> dict[str, Array]:
    sizes = np.cumsum([task.feeds[k][0].size for k in task.wrt])[:-1]
    return {k: part.reshape(task.feeds[k].shape) for k, part in zip(task.wrt, np.split(rows, sizes, axis=1))}


def _inputs(task: Task, rows: Array) -> dict[str, Array]:
    return {k: v.astype(task.feeds[k].dtype) for k, v in _split(task, rows).items()}
