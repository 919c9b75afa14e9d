"""Second opinions on path methods: the papers' algorithms in words of one sample, with lists, dictionaries and SciPy's filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xaicore.numerics import Array

Gradient = Callable[[Array], Array]


def guided_ig(grad: Callable[[list[float]], list[float]], x: Sequence[float], x0: Sequence[float], steps: int, fraction: float,
              max_dist: float) -> list[float]:
    """Kapishnikov et al. 2021, in shares of the way: entry i stands at share[i] between x0[i] (0) and x[i] (1).

    Each step brings the summed rest of all ways down to 1 - (t + 1)/steps of the whole.
    """
    way = [abs(a - b) for a, b in zip(x, x0)]
    share = [0.0 if w > 0 else 1.0 for w in way]
    out = [0.0] * len(x)
    for t in range(steps):
        at = [b + s * (a - b) for a, b, s in zip(x, x0, share)]
        g = grad(at)
        top, bottom = min((t + 1) / steps + max_dist, 1.0), max((t + 1) / steps - max_dist, 0.0)
        before = list(share)
        share = [max(s, bottom) if w > 0 else s for s, w in zip(share, way)]
        goal = sum(way) * (1 - (t + 1) / steps)
        while True:
            rest = sum(w * (1 - s) for w, s in zip(way, share))
            free = [i for i in range(len(x)) if way[i] > 0 and share[i] < top - 1e-12]
            if rest <= goal + 1e-9 * max(1.0, goal) or not free:
                break
            order = sorted(free, key=lambda i: abs(g[i]))
            last = order[min(math.floor(fraction * (len(x) - 1)), len(order) - 1)]
            group = [i for i in free if abs(g[i]) <= abs(g[last])]
            reach = sum(way[i] * (top - share[i]) for i in group)
            step = min((rest - goal) / reach, 1.0)
            for i in group:
                share[i] += step * (top - share[i])
        for i in range(len(x)):
            out[i] += (share[i] - before[i]) * (x[i] - x0[i]) * g[i]
    return out


def blur_ig(grad: Gradient, x: Array, sigma: float, steps: int, mode: str) -> Array:
    """Xu et al. 2020 for one sample (C, H, W): Σ of differences of SciPy's blurred images times the gradient half-way in σ."""
    from scipy.ndimage import gaussian_filter

    def blur(width: float) -> Array:
        return np.stack([gaussian_filter(channel, width, mode=mode) if width > 0 else channel for channel in x])

    out = np.zeros(x.shape)
    for j in range(steps):
        wide, narrow = (sigma * (1 - k / steps) for k in (j, j + 1))
        out += (blur(narrow) - blur(wide)) * grad(blur((wide + narrow) / 2))
    return out


def blur_ig_by_slopes(grad: Gradient, x: Array, sigma: float, steps: int) -> Array:
    """The same with the slope of the blur by a difference over .01 pixels, at the sharper end of each step, from sharp to blurred."""
    from scipy.ndimage import gaussian_filter

    out = np.zeros(x.shape)
    for i in range(steps):
        at = sigma * i / steps
        here = np.stack([gaussian_filter(channel, at, mode="constant") if at > 0 else channel for channel in x])
        wider = np.stack([gaussian_filter(channel, at + 0.01, mode="constant") for channel in x])
        out -= sigma / steps * (wider - here) / 0.01 * grad(here)
    return out


def influence(grad: Gradient, points: Sequence[Array]) -> Array:
    """Leino et al. 2018: the mean gradient of a quantity over a distribution of inputs, given by equally likely points.

    With one point it is the gradient, with points on a line internal influence, with points around x SmoothGrad.
    """
    total: Any = 0
    for p in points:
        total = total + grad(p)
    return np.asarray(total / len(points))


def xrai(attribution: Sequence[Sequence[Any]], masks: Sequence[Sequence[Sequence[bool]]], fewest: int, ranked_once: bool = False
         ) -> list[list[Any]]:
    """Kapishnikov et al. 2019 with sets of pixels: the densest new pixels first, or the regions in the order of their own density."""
    everything = {(i, j) for i in range(len(attribution)) for j in range(len(attribution[0]))}
    left = [{(i, j) for i, j in everything if m[i][j]} for m in masks]
    left = [s for s in left if s]

    def density(pixels: set[tuple[int, int]]) -> Any:
        return sum(attribution[i][j] for i, j in pixels) / len(pixels)

    order = sorted(left, key=density, reverse=True) if ranked_once else left
    covered: set[tuple[int, int]] = set()
    value = {}
    while order:
        if ranked_once:
            best = order.pop(0)
        else:
            order = [s for s in order if len(s - covered) >= fewest]
            if not order:
                break
            best = max(order, key=lambda s: density(s - covered))
            order.remove(best)
        new = best - covered
        if len(new) >= fewest:
            value.update(dict.fromkeys(new, density(new)))
            covered |= best
    rest = everything - set(value)
    value.update(dict.fromkeys(rest, density(rest)) if rest else {})
    return [[value[i, j] for j in range(len(attribution[0]))] for i in range(len(attribution))]
