"""XRAI: attributions of regions, ranked by their density."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.methods.attribution import Attribution
from xaicore.methods.maps import as_fed
from xaicore.methods.paths import integrated_gradients
from xaicore.methods.propagate import channels_last
from xaicore.methods.segments import SIDE, regions
from xaicore.methods.sweep import chosen, quiet, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, at_least, filled, is_exact, scalar


def xrai(
    task: Task, segments: Any = "felzenszwalb", baseline: Any = None, steps: int = 100, quadrature: str = "gauss_legendre",
    reduce: str = "sum", speed: str = "exact", area: float = 1.0, min_pixels: int | None = None, of: Any = None,
) -> Attribution:
    """A is constant on regions: the region with the largest mean attribution first, then the one whose new pixels have the largest, ...

    segments    "felzenszwalb" (six scales, overlapping); a number of parts of a grid along each axis; labels (H, W) or (N, H, W);
                boolean masks (S, H, W) or (N, S, H, W)
    baseline    of integrated_gradients; None: black and white, the smallest and largest value of the sample, and the mean of both
    steps, quadrature    of integrated_gradients
    reduce      "sum" of the channels (the paper), or their "max" (the authors' code)
    speed       "exact": regions are ranked anew after every choice; "fast": once, by their own means
    area        stop when more than this share of the pixels is covered ("exact" only)
    min_pixels  a region that would add fewer is dropped; default 50 on 224 x 224 pixels, scaled by the area, at least 1
    of          the attribution to begin with, in the shape of the input (or with one channel), in place of integrated_gradients

    Every chosen region's new pixels get their mean, the pixels that none covers theirs, so that the sum is that of the
    attribution to begin with. The value has one channel. ``extras``: "attribution" (N, 1, *S) before, and "rank" (N, *S), 1 for the
    region with the largest mean, by input. Inapplicable for inputs without axes of space, ShapeError and InputError for
    segments that do not fit. Cost: two integrated_gradients. Source: kapishnikov2019; regions: felzenszwalb2004. Differs:
    PAIR resizes every image to 224 x 224 pixels for its regions (scikit-image) and has quadrature="inclusive_mean", reduce="max".
    """
    chosen("speed", speed, ("exact", "fast"))
    chosen("reduce", reduce, ("sum", "max"))
    if not at_least("area", area, 0) <= 1:
        raise InputError(f"area={area!r} must lie between 0 and 1")
    least = None if min_pixels is None else whole("min_pixels", min_pixels, 1)
    for k in task.wrt:
        if task.feeds[k].ndim < 3:
            raise Inapplicable(f"xrai: input {k!r} of shape {task.feeds[k].shape} has no axes of space, so it has no regions; use "
                               f"shapley.exact with a mask, or integrated_gradients")
    x = {k: _first(task, k, task.feeds[k]) for k in task.wrt}
    masks = {k: regions(segments, v, k) for k, v in x.items()}          # refuses before the work
    base, start, there = _base(task, baseline, steps, quadrature) if of is None else (_given(task, of), None, None)
    values, before, ranks = {}, {}, {}
    for k in task.wrt:
        attribution = _first(task, k, base[k])
        summed = attribution.sum(axis=1) if reduce == "sum" else attribution.max(axis=1)
        pixels = summed[0].size
        fewest = least if least is not None else max(1, round(50 * pixels / SIDE**2))
        pairs = [_ranked(one, m, fewest, area, speed == "fast") for one, m in zip(summed, masks[k])]
        values[k] = as_fed(task, k, np.stack([v for v, _ in pairs])[:, None])
        before[k], ranks[k] = summed[:, None], np.stack([r for _, r in pairs])
    return Attribution(values, task.result, "xrai", task.graph, task.feeds, task.target, {"min_pixels": least}, task.words, start, there,
                       extras={"attribution": before, "rank": ranks})


def _ranked(attribution: Array, masks: Array, fewest: int, area: float, fast: bool) -> tuple[Array, Array]:
    """One sample's map (*S) made constant on regions (S, *S), and the rank of each region there."""
    out = filled(attribution.shape, 0, attribution)
    covered = np.zeros(attribution.shape, dtype=bool)
    parts: list[tuple[Any, Array]] = []
    waiting = [m for m in masks if m.any()]
    if fast:
        waiting.sort(key=lambda m: -_mean(attribution, m))
    while waiting and (fast or covered.mean() <= area):
        if fast:
            new = waiting.pop(0) & ~covered
            if new.sum() < fewest:
                continue
        else:
            waiting = [m for m in waiting if (m & ~covered).sum() >= fewest]
            if not waiting:
                break
            gains = [_mean(attribution, m & ~covered) for m in waiting]
            new = waiting.pop(gains.index(max(gains))) & ~covered
        gain = _mean(attribution, new)
        out[new], covered = gain, covered | new
        parts.append((gain, new))
    parts.sort(key=lambda pair: -pair[0])
    if not covered.all():
        out[~covered] = _mean(attribution, ~covered)
        parts.append((None, ~covered))
    rank = np.zeros(attribution.shape, dtype=int)
    for place, (_, new) in enumerate(parts, start=1):
        rank[new] = place
    return out, rank


def _mean(attribution: Array, mask: Array) -> Any:
    inside = attribution[mask]
    return inside.sum() / scalar(len(inside), attribution)


def _first(task: Task, name: str, x: Array) -> Array:
    """(N, C, *S) of an array in the user's layout."""
    return np.moveaxis(x, -1, 1) if channels_last(task.graph.meta, name) else x


def _base(task: Task, baseline: Any, steps: int, quadrature: str) -> tuple[Mapping[str, Array], Mapping[str, Array] | None, Array]:
    """Integrated gradients from the baseline, or their mean from black and white; the baseline, and f there (or the mean of both)."""
    if baseline is not None:
        a = integrated_gradients(task, baseline, steps, quadrature)
        assert a.baseline_output is not None
        return a.values, a.baseline, a.baseline_output
    ends = []
    for of in ("min", "max"):
        start = {}
        for k in task.wrt:
            x = task.feeds[k]
            start[k] = np.array(np.broadcast_to(getattr(x, of)(axis=tuple(range(1, x.ndim)), keepdims=True), x.shape))
        one = task if of == "min" or task.progress is None else quiet(task)
        ends.append(integrated_gradients(one, start, steps, quadrature))
    black, white = ends
    assert black.baseline_output is not None
    assert white.baseline_output is not None
    half = {k: (v + white.values[k]) / scalar(2, v) for k, v in black.values.items()}
    return half, None, np.asarray((black.baseline_output + white.baseline_output) / scalar(2, task.weights))


def _given(task: Task, of: Any) -> dict[str, Array]:
    """The user's attribution by input name, with all channels or with one."""
    by_name = dict(of) if isinstance(of, Mapping) else {task.wrt[0]: of}
    out = {}
    for k in task.wrt:
        x = task.feeds[k]
        channel = x.ndim - 1 if channels_last(task.graph.meta, k) else 1
        one = tuple(1 if axis == channel else n for axis, n in enumerate(x.shape))
        v = np.asarray(by_name.get(k))
        if v.shape not in (x.shape, one):
            raise ShapeError(f"of: the attribution of input {k!r} has shape {v.shape}; {x.shape}, or {one}, is expected")
        if v.dtype.kind not in ("O" if is_exact(x) else "fiu"):
            raise InputError(f"of: the attribution of input {k!r} has dtype {v.dtype}; numbers in the arithmetic of the graph are expected")
        out[k] = v if is_exact(x) else v.astype(x.dtype)
    return out
