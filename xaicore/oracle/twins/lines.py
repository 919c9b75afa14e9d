"""Twins of the methods that take the gradient at many points: on a line, on another path, in a cloud."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins import paths
from xaicore.oracle.twins.pieces import pieces_of
from xaicore.oracle.twins.plain import Plain, each, gradient, gradient_step, one_hot, rational, read, target_of
from xaicore.oracle.twins.problems import eighths, like_samples, like_x, on_convolutional, on_perceptron, twins
from xaicore.oracle.twins.twin import Problem

# ----- quadratures: (α, weight) ---------------------------------------------------------------------------------------


def _legendre(n: int) -> list[tuple[Any, Any]]:
    """Newton's method on P_n by its three-term recursion; weights 2 / ((1 - t²) P_n'(t)²), both on [0, 1]."""
    found = []
    for k in range(n):
        t = math.cos(math.pi * (k + 0.75) / (n + 0.5))
        for _ in range(60):
            low, p = 1.0, t
            for m in range(2, n + 1):
                low, p = p, ((2 * m - 1) * t * p - (m - 1) * low) / m
            slope = n * (t * p - low) / (t * t - 1)
            t -= p / slope
        found.append((Fraction((t + 1) / 2), Fraction(1 / ((1 - t * t) * slope * slope))))
    return found


def nodes(quadrature: str, n: int) -> list[tuple[Any, Any]]:
    """Each library's sum, as its papers and code have it."""
    if quadrature == "gauss_legendre":
        return _legendre(n)
    if quadrature.startswith("trapezoid"):
        last = n if quadrature == "trapezoid" else n - 1
        whole = n if quadrature == "trapezoid_captum" else last
        return [(Fraction(k, last), Fraction(1, whole) * (Fraction(1, 2) if k in (0, last) else 1)) for k in range(last + 1)]
    ends = {"left": (Fraction(0), Fraction(n - 1, n)), "right": (Fraction(1, n), Fraction(1)), "inclusive_mean": (Fraction(0), Fraction(1)),
            "midpoint": (Fraction(1, 2 * n), Fraction(2 * n - 1, 2 * n))}
    first, end = ends[quadrature]
    return [(first + (end - first) * Fraction(k, n - 1), Fraction(1, n)) for k in range(n)]


def point(x0: Sequence[Any], x: Sequence[Any], t: Any) -> list[Any]:
    """x0 + t (x - x0)."""
    return [a + t * (b - a) for a, b in zip(x0, x)]


def weighted(rows: Sequence[Sequence[Any]], weights: Sequence[Any]) -> list[Any]:
    """Σ_k weight_k row_k, entry by entry."""
    return [sum((w * v for w, v in zip(weights, column)), Fraction(0)) for column in zip(*rows)]


def start_of(p: Problem, n: int, size: int) -> list[Any]:
    """The baseline of a sample, zeros unless it is given."""
    return list(rational(p.settings["baseline"])[n].reshape(-1)) if "baseline" in p.settings else [Fraction(0)] * size


def mean_gradient(net: Plain, x0: Sequence[Any], x: Sequence[Any], target: int, rule: Sequence[tuple[Any, Any]]) -> list[Any]:
    """Σ w ∇f on the line."""
    return weighted([gradient(net, point(x0, x, t), target) for t, _ in rule], [w for _, w in rule])


def integrated(p: Problem) -> Array:
    """(x - x0) Σ w ∇f; without the factor where multiply is off."""
    rule, bare = nodes(p.settings["quadrature"], p.settings["steps"]), not p.settings.get("multiply", True)

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0 = start_of(p, n, len(x))
        g = mean_gradient(net, x0, x, target_of(p, n), rule)
        return [v if bare else (b - a) * v for a, b, v in zip(x0, x, g)]

    return each(p, one)


def exactly(p: Problem) -> Array:
    """The integral over the pieces of every unit, built forwards."""
    return each(p, lambda net, x, n: pieces_of(net, x, start_of(p, n, len(x)))[net.output][target_of(p, n)].integral())


def interior(p: Problem) -> Array:
    """(x - x0) Σ (α_k - α_{k-1}) ∇f(α_k), a right Riemann sum over given α."""
    alphas = [Fraction(0), *p.settings["alphas"]]
    rule = [(b, b - a) for a, b in pairwise(alphas)]

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0 = start_of(p, n, len(x))
        return [(b - a) * v for a, b, v in zip(x0, x, mean_gradient(net, x0, x, target_of(p, n), rule))]

    return each(p, one)


def expected(p: Problem) -> Array:
    """The mean over the background of (x - b) Σ w ∇f."""
    rule = nodes(p.settings["quadrature"], p.settings["steps"])
    sets = [list(b.reshape(-1)) for b in rational(p.settings["background"])]

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        rows = [[(v - a) * g for a, v, g in zip(b, x, mean_gradient(net, b, x, target_of(p, n), rule))] for b in sets]
        return weighted(rows, [Fraction(1, len(sets))] * len(sets))

    return each(p, one)


# ----- at a layer -----------------------------------------------------------------------------------------------------


def _signals(net: Plain, x: Sequence[Any], target: int, at: str) -> tuple[list[Any], dict[str, list[Any]]]:
    values = net.values(x)
    return net.back(values, one_hot(len(values[net.output]), target), gradient_step)[at], values


def conductance(p: Problem) -> dict[str, Array]:
    """Σ_j (h(α_{j+1}) - h(α_j)) ∂f/∂h in the middle of step j, at its start or its end, unit by unit."""
    at, steps, quadrature = p.settings["layer"], p.settings["steps"], p.settings["quadrature"]
    inside = [Fraction(k, 2) for k in {"midpoint": [1], "left": [0], "right": [2], "trapezoid": [0, 2]}[quadrature]]

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0 = start_of(p, n, len(x))
        total = [Fraction(0)] * len(net.values(x)[at])
        for j in range(steps):
            low, high = (net.values(point(x0, x, Fraction(k, steps)))[at] for k in (j, j + 1))
            slopes = [_signals(net, point(x0, x, (j + s) / steps), target_of(p, n), at)[0] for s in inside]
            g = weighted(slopes, [Fraction(1, len(inside))] * len(inside))
            total = [v + (b - a) * s for v, a, b, s in zip(total, low, high, g)]
        return total

    return {at: each(p, one, read(p.graph).shapes[at])}


def through_a_unit(p: Problem) -> Array:
    """(x - x0) Σ w ∂f/∂h_k ∂h_k/∂x: the gradient of one unit times what f makes of it."""
    at, k = p.settings["layer"], p.settings["neuron"]
    rule = nodes(p.settings["quadrature"], p.settings["steps"])

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0, rows = start_of(p, n, len(x)), []
        for t, _ in rule:
            g, values = _signals(net, point(x0, x, t), target_of(p, n), at)
            unit = net.back(values, one_hot(len(values[at]), k), gradient_step, at)[net.input]
            rows.append([g[k] * v for v in unit])
        return [(b - a) * v for a, b, v in zip(x0, x, weighted(rows, [w for _, w in rule]))]

    return each(p, one)


def influence(p: Problem) -> dict[str, Array]:
    """The mean of ∂f/∂h on the line."""
    at, rule = p.settings["layer"], nodes(p.settings["quadrature"], p.settings["steps"])

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0 = start_of(p, n, len(x))
        return weighted([_signals(net, point(x0, x, t), target_of(p, n), at)[0] for t, _ in rule], [w for _, w in rule])

    return {at: each(p, one, read(p.graph).shapes[at])}


# ----- other paths ----------------------------------------------------------------------------------------------------


def _float_gradient(p: Problem, n: int) -> Callable[[Any], list[float]]:
    net = read(p.graph)
    return lambda v: [float(g) for g in gradient(net, list(rational(np.asarray(v).reshape(-1))), target_of(p, n))]


def blurred(p: Problem) -> Array:
    """SciPy's Gaussian at the widths of the path."""
    def at(n: int) -> Callable[[Array], Array]:
        return lambda v: np.array(_float_gradient(p, n)(v)).reshape(v.shape)

    if p.settings.get("quadrature") == "pair":
        return np.stack([paths.blur_ig_by_slopes(at(n), x, p.settings["sigma"], p.settings["steps"]) for n, x in enumerate(p.x)])
    return np.stack([paths.blur_ig(at(n), x, p.settings["sigma"], p.settings["steps"], p.settings.get("border", "constant"))
                     for n, x in enumerate(p.x)])


def guided(p: Problem) -> Array:
    """Shares of the way, entry by entry."""
    s = p.settings
    return np.array([paths.guided_ig(_float_gradient(p, n), list(x), [0.0] * len(x), s["steps"], s["fraction"], s["max_dist"])
                     for n, x in enumerate(p.x)])


# ----- clouds ---------------------------------------------------------------------------------------------------------


def cloud(p: Problem) -> Callable[[Plain, list[Any], int], list[list[Any]]]:
    """The gradients at x + noise_j."""
    noise = rational(p.settings["noise"])
    return lambda net, x, n: [gradient(net, [a + e for a, e in zip(x, one[n].reshape(-1))], target_of(p, n)) for one in noise]


def smoothed(power: int) -> Callable[[Problem], Array]:
    """The mean of the gradients, or of their squares."""
    def one(rows: list[list[Any]]) -> list[Any]:
        return weighted([[g**power for g in row] for row in rows], [Fraction(1, len(rows))] * len(rows))

    return lambda p: each(p, lambda net, x, n: one(cloud(p)(net, x, n)))


def varied(p: Problem) -> Array:
    """Σ (g - mean)² / (M - ddof)."""
    def one(rows: list[list[Any]]) -> list[Any]:
        m = len(rows)
        mean = weighted(rows, [Fraction(1, m)] * m)
        return weighted([[(g - c) ** 2 for g, c in zip(row, mean)] for row in rows], [Fraction(1, m - p.settings.get("ddof", 0))] * m)

    return each(p, lambda net, x, n: one(cloud(p)(net, x, n)))


def _noise(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return eighths(rng, 4, *shape)


def _off_the_kinks(**settings: Any) -> Callable[[np.random.Generator], Problem]:
    """Inputs of many digits: a point of the path that lies on a kink has the one gradient or the other by rounding alone."""
    def make(rng: np.random.Generator) -> Problem:
        found = on_perceptron(5, 6, 4, 2, dtype="float64", **settings)(rng)
        return replace(found, x=found.x + rng.normal(size=found.x.shape) / 64)

    return make


# ----- the table ------------------------------------------------------------------------------------------------------

QUADRATURES = ("left", "right", "midpoint", "trapezoid", "trapezoid_xplique", "trapezoid_captum", "inclusive_mean")
LOOP = "a loop over the nodes, the gradient unit by unit, in rationals"

TWINS = {
    "integrated_gradients": (
        *twins(LOOP, integrated, *(on_perceptron(quadrature=q, steps=3, baseline=like_x) for q in QUADRATURES),
               on_convolutional(quadrature="midpoint", steps=2, multiply=False)),
        *twins("Gauss-Legendre nodes by Newton's method on the recursion", integrated,
               on_perceptron(quadrature="gauss_legendre", steps=5, dtype="float64", baseline=like_x)),
    ),
    "integrated_gradients.exact": twins("every unit as affine pieces on the line, built forwards, in rationals", exactly,
                                        on_perceptron(baseline=like_x), on_convolutional(skip=False),
                                        on_convolutional(pooling="avg", skip=False)),
    "interior_gradients": twins(LOOP, interior, on_perceptron(alphas=(Fraction(1, 4), Fraction(1, 2), Fraction(1)), baseline=like_x),
                                on_convolutional(alphas=(Fraction(1, 3), Fraction(2, 3)))),
    "expected_gradients": twins(LOOP, expected, on_perceptron(background=like_samples(3), steps=2, quadrature="midpoint"),
                                on_convolutional(background=like_samples(2), steps=2, quadrature="right")),
    # 1e-8: SciPy's truncated Gaussian and ours, and slopes over .01 pixels, 1e-16 / 1e-2 of values near 1, some hundred of them
    "blur_ig": twins("SciPy's blur at every width, the gradient unit by unit", blurred,
                     *(on_convolutional(dtype="float64", sigma=1.5, steps=3, border=b) for b in ("constant", "reflect", "nearest")),
                     on_convolutional(dtype="float64", sigma=1.5, steps=3, quadrature="pair"), tolerance=1e-8),
    # 1e-7: both stop moving at distances of 1e-9 of the whole way, each in its own units
    "guided_ig": twins("shares of the way, entry by entry", guided, *(
        _off_the_kinks(steps=7, fraction=f, max_dist=d) for f, d in ((0.25, 0.02), (0.6, 0.2), (0, 1))), tolerance=1e-7),
    "conductance": (
        *twins(LOOP, conductance, *(on_perceptron(layer="relu1", steps=3, quadrature=q, baseline=like_x)
                                    for q in ("midpoint", "left", "right", "trapezoid")),
               on_convolutional(layer="skip", steps=2, quadrature="midpoint")),
        *twins("the gradient of one unit at every node, in rationals", through_a_unit,
               on_perceptron(3, 4, 4, 2, layer="fc1", neuron=2, steps=3, quadrature="right", baseline=like_x)),
    ),
    "internal_influence": twins(LOOP, influence, on_perceptron(layer="relu1", steps=3, quadrature="midpoint", baseline=like_x),
                                on_convolutional(layer="conv2", steps=2, quadrature="trapezoid")),
    "smoothgrad": twins(LOOP, smoothed(1), on_perceptron(noise=_noise), on_convolutional(noise=_noise)),
    "smoothgrad_squared": twins(LOOP, smoothed(2), on_perceptron(noise=_noise), on_convolutional(noise=_noise)),
    "vargrad": twins(LOOP, varied, on_perceptron(noise=_noise), on_perceptron(noise=_noise, ddof=1), on_convolutional(noise=_noise)),
}
