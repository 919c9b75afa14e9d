"""Twins of soft masks, interventions and regions: RISE and meaningful perturbation, ACE, XRAI with its segments."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Dense, Flatten
from xaicore.oracle.twins import maps, paths
from xaicore.oracle.twins.draws import Rng, each, mlp, odd, one, telling
from xaicore.oracle.twins.maps import Map
from xaicore.oracle.twins.plain_cnn import Plain, network
from xaicore.oracle.twins.twin import Problem, Twin

# ----- RISE -----------------------------------------------------------------------------------------------------------------


def _enlarged(m: Map, size: int, mirror: bool) -> Map:
    """Bilinear between the middles of the cells; beyond the outer middles as at them, or as at the mirror image of the place."""
    def place(i: int) -> tuple[int, float]:
        at = (i + 0.5) * len(m) / size - 0.5
        if mirror and at < 0:
            at = -at
        if mirror and at > len(m) - 1:
            at = 2 * (len(m) - 1) - at
        at = min(max(at, 0.0), len(m) - 1.0)
        return int(at), at - int(at)

    def between(row: list[float], j: int) -> float:
        low, part = place(j)
        return row[low] if part == 0 else (1 - part) * row[low] + part * row[low + 1]

    columns = [[between(row, j) for j in range(size)] for row in m]
    return [[between([row[j] for row in columns], i) for j in range(size)] for i in range(size)]


def _rise(problem: Problem) -> Array:
    """Cells and shifts drawn again; every mask resized, cut out and used by itself."""
    own = problem.settings
    samples, grid, p = own["samples"], own["grid"], own["probability"]
    rng = np.random.default_rng(own["seed"])
    cells = rng.random((samples, grid, grid)) < p
    step = math.ceil(6 / grid)
    down, right = (rng.integers(0, step, samples).tolist() for _ in range(2))
    masks = []
    for k in range(samples):
        large = _enlarged(cells[k].astype(float).tolist(), (grid + 1) * step, own["border"] == "mirror")
        masks.append([row[right[k]: right[k] + 6] for row in large[down[k]: down[k] + 6]])

    def answer(x: Array) -> Any:
        f = one(problem.graph, problem.target)
        top, cover = [[0.0] * 6 for _ in range(6)], [[0.0] * 6 for _ in range(6)]
        for m in masks:
            score = f([[[v * h + own["baseline"] * (1 - h) for v, h in zip(*rows)] for rows in zip(channel, m)] for channel in x.tolist()])
            top = [[t + score * h for t, h in zip(*rows)] for rows in zip(top, m)]
            cover = [[c + h for c, h in zip(*rows)] for rows in zip(cover, m)]
        by_place = own["normalize"] == "mask"
        found = [[t / (c if by_place else samples * p) if t else 0.0 for t, c in zip(*rows)] for rows in zip(top, cover)]
        return [found] * 2

    return each(problem, answer)


def _masks(rng: Rng, normalize: str, border: str) -> Problem:
    own = {"samples": 12, "grid": int(rng.integers(1, 6)), "probability": float(rng.choice([0.25, 0.5, 0.75])), "baseline": 0.25,
           "normalize": normalize, "border": border, "seed": int(rng.integers(99))}
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), 1, own)


# ----- meaningful perturbation ------------------------------------------------------------------------------------------------


def _perturbation(problem: Problem) -> Array:
    """The objective and its slope in every cell of the mask, written out; Adam for one cell after the other."""
    own = problem.settings
    plain, grid, sign = Plain(problem.graph, problem.target), own["grid"], 1 if own["variant"] == "deletion" else -1
    cells = [(p, q) for p in range(grid) for q in range(grid)]
    shapes = {c: maps.resized([[float((p, q) == c) for q in range(grid)] for p in range(grid)], 6, 6) for c in cells}

    def answer(x: Array) -> Any:
        fill = own["fill"]
        m, mean, square = dict.fromkeys(cells, 0.5), dict.fromkeys(cells, 0.0), dict.fromkeys(cells, 0.0)

        def wide() -> Map:
            return [[sum(m[c] * shapes[c][i][j] for c in cells) for j in range(6)] for i in range(6)]

        for step in range(1, own["steps"] + 1):
            seen = [[[h * v + (1 - h) * fill for v, h in zip(*rows)] for rows in zip(channel, wide())] for channel in x.tolist()]
            slope = plain.gradient(seen)
            before = dict(m)
            for p, q in cells:
                shape = shapes[p, q]
                pulls = (slope[k][i][j] * (x[k, i, j] - fill) * shape[i][j] for k in range(2) for i in range(6) for j in range(6))
                g = sign * (sum(pulls) - own["sparsity"])
                for beside in ((p - 1, q), (p + 1, q), (p, q - 1), (p, q + 1)):
                    if beside in before:
                        d = before[p, q] - before[beside]
                        g += own["smoothness"] * own["power"] * abs(d) ** (own["power"] - 1) * (1 if d > 0 else -1 if d < 0 else 0)
                mean[p, q] = 0.9 * mean[p, q] + 0.1 * g
                square[p, q] = 0.999 * square[p, q] + 0.001 * g * g
                root = math.sqrt(square[p, q] / (1 - 0.999**step)) + 1e-8
                m[p, q] = min(max(before[p, q] - own["rate"] * mean[p, q] / (1 - 0.9**step) / root, 0.0), 1.0)
        return [[[1 - h if sign > 0 else h for h in row] for row in wide()]] * 2

    return each(problem, answer)


def _descents(rng: Rng, variant: str) -> Problem:
    own = {"steps": 4, "grid": int(rng.integers(2, 5)), "fill": float(rng.choice([0, 0.25])), "rate": float(rng.choice([0.05, 0.2])),
           "variant": variant, "sparsity": 0.01, "smoothness": 0.1, "power": int(rng.choice([2, 3]))}
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), 1, own)


# ----- average causal effects ---------------------------------------------------------------------------------------------------


def nodes(rule: str, steps: int) -> list[tuple[float, float]]:
    """(place in [0, 1], weight) of a quadrature."""
    if rule == "gauss_legendre":
        at, weights = np.polynomial.legendre.leggauss(steps)
        return [((float(a) + 1) / 2, float(w) / 2) for a, w in zip(at, weights)]
    if rule == "midpoint":
        return [((k + 0.5) / steps, 1 / steps) for k in range(steps)]
    return [(k / (steps - 1), 1 / steps) for k in range(steps)]         # inclusive_mean


def _ace(problem: Problem, expectation: Callable[[Array, int, float], float]) -> Array:
    """x (N, F): the expectation at x_i less its mean over the range of the background."""
    own = problem.settings
    data = np.asarray(own["background"])

    def effect(i: int, value: float) -> float:
        low, high = float(data[:, i].min()), float(data[:, i].max())
        parts = (w * expectation(data, i, low + t * (high - low)) for t, w in nodes(own["quadrature"], own["steps"]))
        return expectation(data, i, value) - sum(parts)

    return each(problem, lambda x: [effect(i, float(v)) for i, v in enumerate(x)])


def _by_samples(problem: Problem) -> Array:
    """Order "mc": the mean over the background with one entry set; order 1: f at its mean."""
    f = one(problem.graph, problem.target)

    def expectation(data: Array, i: int, alpha: float) -> float:
        rows = data if problem.settings["order"] == "mc" else data.mean(axis=0, keepdims=True)
        return sum(f([alpha if j == i else v for j, v in enumerate(row)]) for row in rows.tolist()) / len(rows)

    return _ace(problem, expectation)


def _by_curvature(problem: Problem) -> Array:
    """Order 2 of v·tanh(W x + b): its second derivatives are Σ_k v_k tanh''(z_k) W_kj W_kl, and tanh'' = -2 t (1 - t²)."""
    p = {k: np.asarray(v, dtype=float).tolist() for k, v in problem.graph.params.items()}
    head, bias = p["w2"][problem.target], p["b2"][problem.target]

    def expectation(data: Array, i: int, alpha: float) -> float:
        count, width = data.shape
        mean = data.mean(axis=0)
        at = [alpha if j == i else float(mean[j]) for j in range(width)]
        total = bias
        for v, w, b in zip(head, p["w1"], p["b1"]):
            t = math.tanh(sum(a * x for a, x in zip(w, at)) + b)
            others = [j for j in range(width) if j != i]
            spread = sum(w[j] * w[k] * float(((data[:, j] - mean[j]) * (data[:, k] - mean[k])).sum()) for j in others for k in others)
            total += v * (t - t * (1 - t * t) * spread / (count - problem.settings["ddof"]))
        return float(total)

    return _ace(problem, expectation)


def _interventions(rng: Rng, **own: Any) -> Problem:
    rule = str(rng.choice(["gauss_legendre", "midpoint", "inclusive_mean"]))
    chosen = {"background": odd(rng, 5, 4), "steps": int(rng.integers(2, 5)), "quadrature": rule}
    return Problem(mlp(rng, 4, smooth="ddof" in own), odd(rng, 2, 4), int(rng.integers(3)), {**chosen, **own})


# ----- XRAI -----------------------------------------------------------------------------------------------------------------------


def blank(side: int) -> Graph:
    """A linear network: what it says plays no part where the attribution is given."""
    b = Builder("blank")
    return b.build(b.add(Dense(), b.add(Flatten(), b.input("x", (None, 1, side, side))), b.param("w", np.ones((1, side * side)))))


def _given(problem: Problem) -> Array:
    """The attribution and overlapping masks are given: sets of pixels."""
    own = problem.settings
    pairs = zip(np.asarray(own["of"])[:, 0], own["segments"])
    return np.array([[paths.xrai(a.tolist(), m.tolist(), own["min_pixels"], own["speed"] == "fast")] for a, m in pairs])


def _overlapping(rng: Rng, speed: str) -> Problem:
    own = {"of": odd(rng, 2, 1, 5, 5), "segments": rng.uniform(size=(2, 7, 5, 5)) < rng.uniform(0.1, 0.5),
           "min_pixels": int(rng.integers(1, 4)), "speed": speed}
    return Problem(blank(5), odd(rng, 2, 1, 5, 5), 0, own)


def _whole_xrai(problem: Problem) -> Array:
    """Integrated gradients from black and from white on the plain CNN, channels joined, a grid of regions."""
    own = problem.settings
    plain, cuts = Plain(problem.graph, problem.target), own["segments"]

    def answer(x: Array) -> Any:
        total = np.zeros(x.shape)
        for start in (x.min(), x.max()):
            for t, w in nodes("gauss_legendre", own["steps"]):
                total += (x - start) / 2 * w * np.array(plain.gradient((start + t * (x - start)).tolist()))
        joined = total.sum(axis=0) if own["reduce"] == "sum" else total.max(axis=0)
        labels = [[(i * cuts // 6) * cuts + j * cuts // 6 for j in range(6)] for i in range(6)]
        masks = [[[v == k for v in row] for row in labels] for k in range(cuts * cuts)]
        return [paths.xrai(joined.tolist(), masks, 1, own["speed"] == "fast")]

    return each(problem, answer)


def _grids(rng: Rng, reduce: str) -> Problem:
    own = {"segments": int(rng.integers(2, 5)), "steps": 3, "reduce": reduce,
           "speed": str(rng.choice(["exact", "fast"]))}
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), 1, own)


def felzenszwalb(image: Map, scale: float, least: int) -> list[set[tuple[int, int]]]:
    """Felzenszwalb and Huttenlocher 2004 with sets of pixels: edges from the lightest on, the four directions one after the other."""
    size = len(image)
    edges = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        for i in range(size - dy):
            for j in range(max(0, -dx), size - max(0, dx)):
                edges.append((abs(image[i][j] - image[i + dy][j + dx]), (i, j), (i + dy, j + dx)))
    edges.sort(key=lambda e: e[0])
    region = {(i, j): {(i, j)} for i in range(size) for j in range(size)}
    inside = {id(r): 0.0 for r in region.values()}

    def join(a: set[tuple[int, int]], b: set[tuple[int, int]]) -> None:
        a |= b
        for pixel in b:
            region[pixel] = a

    for weight, p, q in edges:
        a, b = region[p], region[q]
        if a is not b and all(weight <= inside[id(r)] + scale / len(r) for r in (a, b)):
            join(a, b)
            inside[id(a)] = weight
    for _, p, q in edges:
        if region[p] is not region[q] and min(len(region[p]), len(region[q])) < least:
            join(region[p], region[q])
    return list({id(r): r for r in region.values()}.values())


def _by_segments(problem: Problem) -> Array:
    """The six scales on an image of 24 x 24, where the blur is a twelfth of a pixel wide and changes nothing; grown by one pixel."""
    of = np.asarray(problem.settings["of"])
    share = 24 * 24 / 224**2

    def regions(image: Array) -> list[Any]:
        level = ((image - image.min()) / (image.max() - image.min()) * 2 - 1).tolist()
        out = []
        for scale in (50, 100, 150, 250, 500, 1200):
            for pixels in felzenszwalb(level, scale / 255 * share, max(1, round(150 * share))):
                grown = pixels | {(i + p, j + q) for i, j in pixels for p, q in ((0, 1), (1, 0), (0, -1), (-1, 0))}
                out.append([[(i, j) in grown for j in range(24)] for i in range(24)])
        return out

    return np.array([[paths.xrai(of[n, 0].tolist(), regions(x[0]), max(1, round(50 * share)), problem.settings["speed"] == "fast")]
                     for n, x in enumerate(np.asarray(problem.x))])


def _pictures(rng: Rng) -> Problem:
    """Four flat patches of random size and brightness with a little noise, so that the scales find different regions."""
    x = np.zeros((1, 1, 24, 24))
    i, j = rng.integers(6, 18, 2)
    x[0, 0, :i, :j], x[0, 0, :i, j:], x[0, 0, i:, :j], x[0, 0, i:, j:] = rng.permutation(4)
    x += 0.01 * rng.normal(size=x.shape)
    return Problem(blank(24), x, 0, {"of": odd(rng, 1, 1, 24, 24), "speed": str(rng.choice(["exact", "fast"]))})


TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    "rise": tuple(
        Twin(f"cells and shifts drawn again (rng.random, rng.integers), masks made and averaged in loops, with {how}, border={border!r}",
             _rise, partial(telling, draw=partial(_masks, normalize=how, border=border), run=_rise))
        for how, border in (("expectation", "constant"), ("mask", "constant"), ("expectation", "mirror"))),
    "meaningful_perturbation": tuple(
        # a step divides a slope by its own size: a slope of 1e-4 carries the rounding 1e-16 of its terms as 1e-12
        Twin(f"the descent to a {variant} mask with the plain CNN's gradient, one cell of the mask after the other", _perturbation,
             partial(telling, draw=partial(_descents, variant=variant), run=_perturbation), 1e-9)
        for variant in ("deletion", "preservation")),
    "ace": (
        *(Twin(f"one input set in {where}, and the mean of f", _by_samples, partial(_interventions, order=order))
          for where, order in (("the mean of the background", 1), ("every sample of the background", "mc"))),
        # the engine takes the curvature of a smooth node from a central difference: eps^(2/3) = 4e-11 of it, and an effect may be a
        # hundredth of the curvature's part in it
        *(Twin(f"the closed form of the second derivatives of a layer of tanh, with ddof={ddof}", _by_curvature,
               partial(_interventions, order=2, ddof=ddof), 4e-9) for ddof in (0, 1))),
    "xrai": (
        *(Twin(f"overlapping masks that are given, as sets of pixels, with speed={speed!r}", _given, partial(_overlapping, speed=speed))
          for speed in ("exact", "fast")),
        *(Twin(f"integrated gradients of the plain CNN from black and white, the {reduce} of channels, sets of pixels of a grid",
               _whole_xrai, partial(telling, draw=partial(_grids, reduce=reduce), run=_whole_xrai))
          for reduce in ("sum", "max")),
        Twin("Felzenszwalb's regions of six scales as sets of pixels, grown, then XRAI on these sets", _by_segments, _pictures)),
})
