"""Twins of what stands alone: patterns, attention rollout, salient relevance, FullGrad, global saliency."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.graph.blocks import multi_head_attention
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Add, Conv, Dense, Flatten, Mul, ReLU, Softmax, Sub, Sum
from xaicore.oracle.twins.maps import resized
from xaicore.oracle.twins.plain import Layer, Plain, Unit, each, gradient_step, one_hot, rational, read, target_of
from xaicore.oracle.twins.problems import eighths, like_samples, like_x, on_convolutional, on_perceptron, problem_on, twins
from xaicore.oracle.twins.relevance import composite, lrp_step, relevance
from xaicore.oracle.twins.rules import z_plus
from xaicore.oracle.twins.twin import Problem

# ----- patterns -------------------------------------------------------------------------------------------------------


def patterns(net: Plain, samples: Sequence[Sequence[Any]], estimator: str) -> dict[str, list[list[Any]]]:
    """For every layer with weights one pattern for each unit, from all samples, and all places of a convolution (without padding).

    "linear": cov[x, y] / var[y];  "relu": (E+[x y] - E+[x] E[y]) / (wᵀ of it), E+ the mean over y > 0; y is w x without bias.
    """
    found: dict[str, list[list[Any]]] = {}
    values = [net.values(x) for x in samples]
    for layer in net.layers:
        if not layer.weighted:
            continue
        places = len(layer.units) // net.shapes[layer.name][0]
        found[layer.name] = []
        for at in range(0, len(layer.units), places):
            w = layer.units[at].weights
            xs = [[v[k][i] for k, i in u.wires] for v in values for u in layer.units[at:at + places]]
            found[layer.name] += [_pattern(xs, w, estimator)] * places
    return found


def _mean(several: Sequence[Any]) -> Any:
    return sum(several, Fraction(0)) / len(several)


def _pattern(xs: Sequence[Sequence[Any]], w: Sequence[Any], estimator: str) -> list[Any]:
    ys = [sum(a * b for a, b in zip(x, w)) for x in xs]
    chosen = [(x, y) for x, y in zip(xs, ys) if estimator == "linear" or y > 0]
    if not chosen:
        return [Fraction(0)] * len(w)
    covariance = [_mean([x[i] * y for x, y in chosen]) - _mean([x[i] for x, _ in chosen]) * _mean(ys) for i in range(len(w))]
    scale = sum(a * b for a, b in zip(w, covariance))
    return [c / scale if scale != 0 else Fraction(0) for c in covariance]


def through_patterns(times_weight: bool) -> Callable[[Problem], Array]:
    """f(x) carried down through a, or through w a, in place of w."""
    def one(p: Problem, net: Plain, x: list[Any], n: int) -> list[Any]:
        fitted = patterns(net, [list(b.reshape(-1)) for b in rational(p.settings["background"])], p.settings["estimator"])

        def step(layer: Layer, u: Unit, xs: list[Any], y: Any, s: Any) -> list[Any]:
            if not layer.weighted:
                return gradient_step(layer, u, xs, y, s)
            a = fitted[layer.name][next(k for k, other in enumerate(layer.units) if other is u)]
            return [v * (w if times_weight else 1) * s for v, w in zip(a, u.weights)]

        values, t = net.values(x), target_of(p, n)
        z = values[net.output]
        return net.back(values, one_hot(len(z), t, z[t]), step)[net.input]

    return lambda p: each(p, lambda net, x, n: one(p, net, x, n))


def _conv(rng: np.random.Generator) -> Graph:
    b = Builder(dtype="exact")
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 4)), b.param("k", eighths(rng, 3, 2, 2)), b.param("c", eighths(rng, 3))))
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", eighths(rng, 2, 9))))


def _on_conv(rng: np.random.Generator) -> Problem:
    return problem_on(rng, _conv(rng), (2, 2, 4), False, 1, {"background": like_samples(4), "estimator": "relu"})


# ----- attention ------------------------------------------------------------------------------------------------------


def rollout(p: Problem) -> Array:
    """Ã_L ... Ã_1, each a mixture of the identity and the attention, row by row; the maps are what the graph's softmaxes give."""
    names = tuple(n.name for n in p.graph.nodes if isinstance(n.op, Softmax))
    found = replace(p.graph, outputs=names)(p.x)
    maps, share = found if isinstance(found, tuple) else (found,), p.settings["residual"]
    joins: dict[str, Callable[[list[float]], float]] = {"mean": lambda v: sum(v) / len(v), "max": max, "min": min}
    join = joins[p.settings["heads"]]
    out = []
    for n in range(len(p.x)):
        count = maps[0].shape[-1]
        rolled = [[float(i == j) for j in range(count)] for i in range(count)]
        for a in maps:
            joined = [[join([a[n, h, i, j] for h in range(a.shape[1])]) for j in range(count)] for i in range(count)]
            mixed = [[share * (i == j) + (1 - share) * joined[i][j] / sum(joined[i]) for j in range(count)] for i in range(count)]
            rolled = [[sum(mixed[i][k] * rolled[k][j] for k in range(count)) for j in range(count)] for i in range(count)]
        out.append([[v] for v in rolled[p.settings["token"]]])
    return np.array(out)


def _transformer(**settings: Any) -> Callable[[np.random.Generator], Problem]:
    def make(rng: np.random.Generator) -> Problem:
        b = Builder()
        h = b.input("x", (None, 3, 4))
        for k in range(2):
            weights = [b.param(f"w{k}{i}", rng.normal(size=(4, 4))) for i in range(4)]
            h = b.add(Add(), h, multi_head_attention(b, h, weights, [None] * 4, heads=2, width=4))
        graph = b.build(b.add(Dense(), b.add(Sum((1,)), h), b.param("head", rng.normal(size=(2, 4)))))
        return Problem(graph, rng.normal(size=(2, 3, 4)), 0, settings)

    return make


# ----- what stands out of a map ---------------------------------------------------------------------------------------


def salient(p: Problem) -> Array:
    """The map of ε and z+, the patches of every scale compared one with one, the distance to the nearest focus."""
    step = lrp_step(composite(lambda s: z_plus)(read(p.graph)), {"eps": Fraction(1, 10**6)})
    s = p.settings

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        channels, rows, columns = np.shape(p.x)[1:]
        r = relevance(net, x, target_of(p, n), step)
        m = [[float(sum(r[(c * rows + i) * columns + j] for c in range(channels))) for j in range(columns)] for i in range(rows)]
        low, high = min(map(min, m)), max(map(max, m))
        if high == low:
            return [0.0] * (rows * columns)
        m = [[(v - low) / (high - low) for v in row] for row in m]
        mean = [[0.0] * columns for _ in range(rows)]
        for scale in (1.0, 0.8, 0.5, 0.3):
            small = shrunk(m, max(1, round(scale * rows)), max(1, round(scale * columns)))
            back = resized(unlike(small, s["window"], s["neighbours"], s["distance"]), rows, columns)
            mean = [[a + b / 4 for a, b in zip(*both)] for both in zip(mean, back)]
        top = max(map(max, mean))
        foci = [(i, j) for i in range(rows) for j in range(columns) if mean[i][j] >= s["threshold"] * top]
        return [mean[i][j] * (1 - min(1.0, min(math.dist((i, j), f) for f in foci) / max(rows, columns)))
                for i in range(rows) for j in range(columns)]

    return each(p, one, (1, *np.shape(p.x)[2:])).astype(float)


def shrunk(m: list[list[float]], rows: int, columns: int) -> list[list[float]]:
    """Along each axis triangles as wide as the shrinking, around the centres of the new pixels, their weights summing to 1."""
    def axis(old: int, new: int) -> list[list[float]]:
        wide, found = max(old / new, 1.0), []
        for i in range(new):
            w = [max(0.0, 1 - abs(j - ((i + 0.5) * old / new - 0.5)) / wide) for j in range(old)]
            found.append([v / sum(w) for v in w])
        return found

    down, across = axis(len(m), rows), axis(len(m[0]), columns)
    return [[sum(a * b * m[i][j] for i, a in enumerate(wi) for j, b in enumerate(wj)) for wj in across] for wi in down]


def unlike(m: list[list[float]], window: int, neighbours: int, distance: float) -> list[list[float]]:
    """1 - exp(-mean of the smallest d) of every pixel, d = |patch - patch'| / (1 + c |place - place'|)."""
    rows, columns = len(m), len(m[0])
    reach = range(-((window - 1) // 2), window // 2 + 1)

    def patch(i: int, j: int) -> list[float]:
        return [m[min(max(i + a, 0), rows - 1)][min(max(j + b, 0), columns - 1)] for a in reach for b in reach]

    out = [[0.0] * columns for _ in range(rows)]
    for i in range(rows):
        for j in range(columns):
            d = []
            for k in range(rows):
                for n in range(columns):
                    if (k, n) != (i, j):
                        value = math.sqrt(sum((a - b) ** 2 for a, b in zip(patch(i, j), patch(k, n))) / window**2)
                        d.append(value / (1 + distance * math.dist((i, j), (k, n)) / max(rows, columns)))
            nearest = sorted(d)[:neighbours]
            out[i][j] = 1 - math.exp(-sum(nearest) / len(nearest)) if nearest else 0.0
    return out


# ----- all gradients --------------------------------------------------------------------------------------------------


def full(p: Problem) -> Array:
    """Σ_channels |x g| and, for every convolution, Σ_channels |b g| in its own places, which are those of the image."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values = net.values(x)
        signals = net.back(values, one_hot(len(values[net.output]), target_of(p, n)), gradient_step)
        places = len(x) // net.shapes[net.input][0]
        total = [Fraction(0)] * places
        maps = [[a * g for a, g in zip(x, signals[net.input])]]
        maps += [[u.bias * g for u, g in zip(layer.units, signals[layer.name])] for layer in net.layers if layer.op == "Conv"]
        for m in maps:
            every = [abs(v) for v in m]
            for at in range(0, len(m), places):
                size = every[at:at + places]
                if p.settings.get("rescale") is not None:
                    among = size if p.settings["rescale"] == "min_max" else every
                    spread = max(among) - min(among)
                    size = [(v - min(among)) / spread if spread != 0 else 0 * v for v in size]
                total = [a + b for a, b in zip(total, size)]
        return total

    return each(p, one, (1, *np.shape(p.x)[2:]))


# ----- a cost ---------------------------------------------------------------------------------------------------------


def removed(p: Problem) -> Array:
    """By values of the cost alone, which is quadratic, so that differences over 1 are its derivatives."""
    level, x = p.settings["level"], p.x

    def cost(n: int, i: int, to: Any) -> Any:
        one = x[n].copy()
        one[i] = to
        return p.graph(one[None])[0, 0]

    out = np.empty(x.shape, dtype=object)
    for n, i in np.ndindex(*x.shape):
        here, up, down = (cost(n, i, x[n, i] + d) for d in (0, 1, -1))
        d, slope, bend = p.settings["baseline"][n, i] - x[n, i], (up - down) / 2, up - 2 * here + down
        out[n, i] = {"deletion": cost(n, i, x[n, i] + d) - here, "first": d * slope, "second": d * slope + d * d * bend / 2,
                     "sensitivity": slope**2}[level]
    return out


def _cost(level: str) -> Callable[[np.random.Generator], Problem]:
    def make(rng: np.random.Generator) -> Problem:
        b = Builder(dtype="exact")
        z = b.add(Sub(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", eighths(rng, 2, 3))), b.constant(eighths(rng, 1, 2)))
        graph = b.build(b.add(Sum((1,), keepdims=True), b.add(Mul(), z, z)))
        return problem_on(rng, graph, (2, 3), False, 0, {"level": level, "baseline": like_x})

    return make


# ----- the table ------------------------------------------------------------------------------------------------------


def _patterned(times_weight: bool) -> Any:
    return twins("covariances over lists of samples, and a walk through them, in rationals", through_patterns(times_weight), *(
        on_perceptron(3, 4, 3, 2, background=like_samples(6), estimator=e) for e in ("linear", "relu")), _on_conv)


TWINS = {
    "patternnet": _patterned(False),
    "pattern_attribution": _patterned(True),
    "attention_rollout": twins("matrix products row by row over the softmax maps", rollout, *(
        _transformer(heads=h, residual=r, token=k) for h, r, k in (("mean", 0.5, 0), ("max", 0.25, -1), ("min", 0.5, 1)))),
    # 1e-9: relevances of size 1 over denominators of some hundredths, scaled by their spread, then a dozen sums
    "salient_relevance": twins("LRP over lists, every patch against every other", salient, on_convolutional(
        dtype="float64", window=3, neighbours=4, distance=3, threshold=0.8), tolerance=1e-9),
    "fullgrad": twins("the gradient of every unit, times its bias, place by place", full, on_convolutional(), on_convolutional(pooling=""),
                      on_convolutional(rescale="min_max", skip=False), on_convolutional(rescale="layer")),
    "global_saliency": tuple(t for level in ("deletion", "first", "second", "sensitivity")
                             for t in twins("differences of the values of a quadratic cost", removed, _cost(level))),
}
