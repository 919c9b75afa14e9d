"""Soft masks over an image: RISE, which draws them, and meaningful perturbation, which optimises one."""

from __future__ import annotations

from fractions import Fraction
from math import prod
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import channel_axis
from xaicore.methods.sweep import chosen, quiet, reference, scores, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, along, at_least, divide, filled, scalar

NORMS = ("expectation", "mask")
BORDERS = ("constant", "mirror")
VARIANTS = ("deletion", "preservation")


def rise(task: Task, samples: int = 4000, grid: int = 7, probability: float = 0.5, baseline: Any = 0, normalize: str = "expectation",
         border: str = "constant", seed: int = 0) -> Attribution:
    """S = 1 / (M p) Σ_k f(x ⊙ m_k + b ⊙ (1 - m_k)) m_k: the mean of f over random masks, where a place was visible.

    samples      M
    grid         cells along each axis of space (no more than the axis has entries); each is visible with ``probability`` p; the
                 cells, one more along each axis than the image needs, are interpolated linearly and shifted by a random part of a cell
    baseline     b, what stands in masked places: a number, one sample, a batch, a mapping by input name
    normalize    "expectation": as above; "mask": divided by Σ_k m_k at the place instead, which corrects for uneven cover
    border       beyond the middles of the outer cells masks are "constant", or go back inwards: "mirror", as in the authors' code
    seed         of the masks, the same for all samples of a batch

    Values in the shape of the inputs, the same for all channels. ``extras["standard_error"]`` by input, (N, *space), of the form above.
    Costs M forward passes for each sample. Inapplicable without axes of space, InputError for a probability outside (0, 1). Source:
    petsiuk2018, eq. 6 and section 3.2 (explains a probability: output="probability"; 4000 to 8000 masks). Same as: the authors'
    code with border="mirror". Differs: xplique has normalize="mask" with 1e-4 in the denominator and one shift for a whole batch of masks.
    """
    samples, grid = whole("samples", samples, 1), whole("grid", grid, 1)
    chosen("normalize", normalize, NORMS)
    mirror = chosen("border", border, BORDERS) == "mirror"
    if not 0 < at_least("probability", probability, 0) < 1:
        raise InputError(f"probability={probability!r} must lie between 0 and 1: with 0 nothing is ever visible, with 1 everything is")
    start = reference(task, baseline, "baseline")
    rng = np.random.default_rng(seed)
    made = {k: _Masks.drawn(task, k, samples, grid, probability, rng, mirror) for k in task.wrt}
    rows, which = np.tile(np.arange(task.size), samples), np.repeat(np.arange(samples), task.size)

    def visible(part: slice) -> dict[str, Array]:
        out = {}
        for k, masks in made.items():
            x, b = task.feeds[k][rows[part]], start[k][rows[part]]
            m = masks.spread(masks.of(which[part]), x)
            out[k] = np.asarray(m * x + (1 - m) * b)
        return out

    f = scores(task, rows, visible).reshape(samples, task.size)
    p = scalar(Fraction(str(probability)) if task.weights.dtype == object else float(probability), task.weights)
    parts, spreads = {}, {}
    for k, masks in made.items():
        sums, squares, cover = (filled((n, *masks.space), 0, f) for n in (task.size, task.size, 1))
        for at in range(0, samples, 256):
            m, here = masks.of(np.arange(at, min(at + 256, samples))), f[at:at + 256]
            sums = sums + np.tensordot(here.T, m, axes=1)
            squares = squares + np.tensordot((here * here).T, m * m, axes=1)
            cover = cover + m.sum(axis=0)[None]
        found = sums / (scalar(samples, f) * p) if normalize == "expectation" else divide(sums, cover)
        parts[k] = np.array(masks.spread(found, task.feeds[k]) + task.feeds[k] * scalar(0, task.feeds[k]))
        if samples > 1:
            left = np.maximum((squares - sums * sums / scalar(samples, f)).astype(float), 0)
            spreads[k] = np.sqrt(left / (samples - 1) / samples) / float(p)
    extras = {"standard_error": spreads} if samples > 1 else {}
    return Attribution(parts, task.result, "rise", task.graph, task.feeds, task.target, {}, task.words, extras=extras)


class _Masks:
    """Binary cells and shifts of every mask; the masks themselves are made when they are needed."""

    def __init__(self, task: Task, name: str, cells: Array, shifts: Array, size: tuple[int, ...], mirror: bool):
        self.cells, self.shifts, self.channel = cells, shifts, channel_axis(task, name)
        self.space = tuple(n for k, n in enumerate(task.feeds[name].shape[1:]) if k != self.channel)
        self.matrices = [up(n, (n + 1) * c, task.feeds[name], mirror) for n, c in zip(cells.shape[1:], size)]

    @classmethod
    def drawn(cls, task: Task, name: str, samples: int, grid: int, probability: float, rng: np.random.Generator, mirror: bool
              ) -> _Masks:
        space = _space(task, name, "rise masks regions of an image")
        cells = tuple(min(grid, n) for n in space)
        size = tuple(-(-n // c) for n, c in zip(space, cells))
        there = rng.random((samples, *cells)) < probability
        shifts = np.stack([rng.integers(0, c, samples) for c in size], axis=1)
        like = task.feeds[name]
        return cls(task, name, np.where(there, scalar(1, like), scalar(0, like)).astype(like.dtype), shifts, size, mirror)

    def of(self, which: Array) -> Array:
        """The masks with these numbers, (K, *space)."""
        once, again = np.unique(which, return_inverse=True)
        large = along(self.cells[once], self.matrices)
        out = np.stack([m[tuple(slice(s, s + n) for s, n in zip(shift, self.space))] for m, shift in zip(large, self.shifts[once])])
        return out[again]

    def spread(self, m: Array, like: Array) -> Array:
        """(K, *space) with an axis for the channels of ``like``, where that is."""
        return m if self.channel is None else np.expand_dims(m, self.channel + 1)


def up(n: int, size: int, like: Array, mirror: bool = False) -> Array:
    """The matrix (size, n) of linear interpolation between the middles of n cells, beyond the outer ones constant or mirrored there.

    >>> up(2, 4, np.zeros(1)).tolist()
    [[1.0, 0.0], [0.75, 0.25], [0.25, 0.75], [0.0, 1.0]]
    """
    out = filled((size, n), 0, like)
    for i in range(size):
        place = Fraction((2 * i + 1) * n, 2 * size) - Fraction(1, 2)
        place = n - 1 - abs(n - 1 - abs(place)) if mirror else place
        at = min(max(place, Fraction(0)), Fraction(n - 1))
        low = min(int(at), max(n - 2, 0))
        part = at - low
        for k, w in ((low, 1 - part), (min(low + 1, n - 1), part)):
            out[i, k] += scalar(w if like.dtype == object else float(w), like)
    return out


# ----- meaningful perturbation --------------------------------------------------------------------------------------


def meaningful_perturbation(
    task: Task, variant: str = "deletion", steps: int = 300, grid: int = 28, fill: Any = "blur", sigma: float | None = None,
    sparsity: float = 1e-4, smoothness: float = 1e-2, power: float = 3, rate: float = 0.1,
) -> Attribution:
    """1 - m of argmin over m in [0, 1] of f(m x + (1-m) fill) + sparsity Σ (1-m) + smoothness Σ |∇m|^power.

    variant      "deletion": the smallest region whose loss lowers f most, as above; "preservation": m of argmin -f + sparsity Σ m + ...,
                 the smallest region that keeps f high
    steps, rate  of Adam, from m = 1/2 everywhere (at m = 1 a probability is often flat); m is cut to [0, 1] after every step
    grid         entries of m along each axis of space (no more than the axis has); m is interpolated linearly
    fill         "blur": x under a Gaussian of deviation ``sigma`` (default: the larger side / 22.4, the paper's 10 of 224 pixels); or
                 a number, one sample, a batch, a mapping by input name

    Values in the shape of the inputs, the same for all channels, between 0 and 1: a region, not shares of f. ``extras``: "loss"
    (N, steps), the objective before each step. Costs ``steps`` forward and backward passes. A local optimum: the weights of the three terms
    are the paper's, for f a probability (output="probability"); where f is a logit the first term counts more. Inapplicable without axes
    of space, ExactnessError in exact mode. Source: fong2017, eq. 6, without its jitter of the input and
    with another start (there a circle in the middle). Differs: the authors' code takes |∇m| as the length of the vector of differences
    (here each axis counts by itself, Σ |d|^power), repeats the entries of m and blurs the result, 5 pixels wide; TorchRay's extremal
    perturbation is a later method; captum has none.
    """
    chosen("variant", variant, VARIANTS)
    steps, grid = whole("steps", steps, 1), whole("grid", grid, 1)
    for name, value in (("sparsity", sparsity), ("smoothness", smoothness), ("rate", rate)):
        at_least(name, value, 0)
    at_least("power", power, 1)
    if task.graph.dtype == "exact":
        raise ExactnessError("meaningful_perturbation is a descent with square roots, so it is not rational; use graph.astype('float64')")
    spaces = {k: _space(task, k, "meaningful_perturbation masks regions of an image") for k in task.wrt}
    channels = {k: channel_axis(task, k) for k in task.wrt}
    start = {k: _blurred(task, k, sigma) for k in task.wrt} if _is_blur(fill) else reference(task, fill, "fill")
    matrices = {k: [up(min(grid, n), n, task.feeds[k]) for n in space] for k, space in spaces.items()}
    m = {k: np.full((task.size, *(min(grid, n) for n in space)), 0.5, dtype=task.feeds[k].dtype) for k, space in spaces.items()}
    mean, square = ({k: np.zeros_like(v) for k, v in m.items()} for _ in range(2))
    sign, rows, losses = (1 if variant == "deletion" else -1), np.arange(task.size), []

    def wide(k: str) -> Array:
        large = along(m[k], matrices[k])
        axis = channels[k]
        return large if axis is None else np.expand_dims(large, axis + 1)

    for step in range(1, steps + 1):
        if task.progress is not None:
            task.progress(step - 1, steps)
        grads, f = quiet(task).gradients({k: wide(k) * task.feeds[k] + (1 - wide(k)) * start[k] for k in task.wrt}, rows)
        loss = sign * f
        for k in task.wrt:
            slope = sign * grads[k] * (task.feeds[k] - start[k])
            axis = channels[k]
            slope = slope if axis is None else slope.sum(axis=axis + 1)
            rough, tilt = _roughness(m[k], power)
            loss = loss + sparsity * _total(1 - m[k] if sign > 0 else m[k]) + smoothness * rough
            g = along(slope, [a.T for a in matrices[k]]) - sign * sparsity + smoothness * tilt
            mean[k] = 0.9 * mean[k] + 0.1 * g
            square[k] = 0.999 * square[k] + 0.001 * g * g
            move = (mean[k] / (1 - 0.9**step)) / (np.sqrt(square[k] / (1 - 0.999**step)) + 1e-8)
            m[k] = np.clip(m[k] - rate * move, 0, 1).astype(m[k].dtype)
        losses.append(loss)
    if task.progress is not None:
        task.progress(steps, steps)
    values = {k: np.array(np.broadcast_to(1 - wide(k) if sign > 0 else wide(k), task.feeds[k].shape)) for k in task.wrt}
    return Attribution(values, task.result, "meaningful_perturbation", task.graph, task.feeds, task.target, {}, task.words,
                       extras={"loss": np.stack(losses, axis=1), "masks": m})


def _roughness(m: Array, power: float) -> tuple[Array, Array]:
    """Σ |differences of neighbours|^power for each sample, and its derivative."""
    total, tilt = np.zeros(len(m), dtype=m.dtype), np.zeros_like(m)
    for axis in range(1, m.ndim):
        d = np.diff(m, axis=axis)
        total = total + _total(abs(d) ** power)
        slope = power * abs(d) ** (power - 1) * np.sign(d)
        pads = [(0, 0)] * m.ndim
        pads[axis] = (1, 0)
        tilt += np.pad(slope, pads)
        pads[axis] = (0, 1)
        tilt -= np.pad(slope, pads)
    return total, tilt


def _total(x: Array) -> Array:
    return np.asarray(x.reshape(len(x), -1).sum(axis=1))


def _is_blur(fill: Any) -> bool:
    if isinstance(fill, str):
        chosen("fill", fill, ("blur",))
        return True
    return False


def _blurred(task: Task, name: str, sigma: float | None) -> Array:
    """x under a Gaussian, along the axes of space; at the border the image is mirrored."""
    from scipy.ndimage import gaussian_filter

    x, channel = task.feeds[name], channel_axis(task, name)
    space = _space(task, name, "a blur needs an image")
    width = max(space) / 22.4 if sigma is None else float(at_least("sigma", sigma, 0))
    return np.asarray(gaussian_filter(x, [0.0 if k == 0 or k - 1 == channel else width for k in range(x.ndim)], mode="reflect"))


def _space(task: Task, name: str, what: str) -> tuple[int, ...]:
    shape, channel = task.feeds[name].shape[1:], channel_axis(task, name)
    if channel is None or not prod(shape):
        raise Inapplicable(f"{what}, and input {name!r} of shape {task.feeds[name].shape} has no axes of space; use kernel_shap or lime, "
                           f"whose players may be any features")
    return tuple(n for k, n in enumerate(shape) if k != channel)


