"""Twins of the gradient and of what is made of it: the chain rule unit by unit, and differences of f."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins.numeric import central_differences
from xaicore.oracle.twins.plain import Layer, Plain, Step, Unit, each, gradient, gradient_step, one_hot, rational, target_of
from xaicore.oracle.twins.problems import as_given, eighths, like_x, on_convolutional, on_perceptron, twins
from xaicore.oracle.twins.twin import Problem


def rectified_step(layer: Layer, u: Unit, xs: list[Any], y: Any, g: Any) -> list[Any]:
    """Zeiler and Fergus: a rectifier hands on what is positive of the signal, whatever its input was."""
    return [max(g, 0 * g)] if layer.kind == "relu" else gradient_step(layer, u, xs, y, g)


def guided_step(layer: Layer, u: Unit, xs: list[Any], y: Any, g: Any) -> list[Any]:
    """Springenberg et al.: only where both the input and the signal are positive."""
    return [g if xs[0] > 0 and g > 0 else 0 * g] if layer.kind == "relu" else gradient_step(layer, u, xs, y, g)


def walked(problem: Problem, step: Step = gradient_step) -> Array:
    """The signal at the input, from 1 at the class."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values = net.values(x)
        return net.back(values, one_hot(len(values[net.output]), target_of(problem, n)), step)[net.input]

    return each(problem, one)


def by_differences(problem: Problem) -> Array:
    """Central differences of f, a sample at a time."""
    return np.stack([central_differences(problem.graph, x[None], lambda y, n=n: y[0, target_of(problem, n)])[0]  # type: ignore[misc]
                     for n, x in enumerate(problem.x)])


def largest_of_channels(g: Array) -> Array:
    """max_c |g_c| of (N, C, H, W), entry by entry."""
    out = np.empty((len(g), 1, *g.shape[2:]), dtype=object)
    for n, i, j in np.ndindex(len(g), *g.shape[2:]):
        out[n, 0, i, j] = max(abs(g[n, c, i, j]) for c in range(g.shape[1]))
    return out


def _taylor(problem: Problem) -> Array:
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        root = list(rational(problem.settings["root"])[n].reshape(-1))
        return [g * (a - r) for g, a, r in zip(gradient(net, root, target_of(problem, n)), x, root)]

    return each(problem, one)


def _smooth(rng: np.random.Generator) -> Problem:
    from xaicore.graph.build import Builder
    from xaicore.ops import Dense, Tanh

    b = Builder()
    h = b.add(Tanh(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", eighths(rng, 4, 3).astype(float))))
    graph = b.build(b.add(Dense(), h, b.param("v", eighths(rng, 2, 4).astype(float))))
    return Problem(graph, as_given(eighths(rng, 2, 3), graph), 1)


WALK = "the chain rule unit by unit over lists, in rationals"

TWINS = {
    "gradient": (
        *twins(WALK, walked, on_perceptron(), on_convolutional()),
        # h = 1e-6: rounding of f near 1 divided by 2h is 1e-10, the third derivative's h² 1e-12
        *twins("central differences of f", by_differences, _smooth, tolerance=1e-7),
    ),
    "saliency": (
        *twins(f"|{WALK}|", lambda p: abs(walked(p)), on_perceptron(), on_convolutional()),
        *twins("the largest |g| over channels, entry by entry", lambda p: largest_of_channels(walked(p)),
               on_convolutional(reduce="max_abs")),
    ),
    "gradient_x_input": twins(f"x times {WALK}", lambda p: walked(p) * rational(p.x), on_perceptron(), on_convolutional()),
    "deconvnet": twins("a walk that rectifies the signal at every ReLU", lambda p: walked(p, rectified_step), on_perceptron(3, 4, 4, 2),
                       on_convolutional()),
    "guided_backprop": twins("a walk masked by both signs at every ReLU", lambda p: walked(p, guided_step), on_perceptron(3, 6, 4, 2),
                             on_convolutional()),
    "guided_saliency": twins("the largest |guided signal| over channels, entry by entry",
                             lambda p: largest_of_channels(walked(p, guided_step)), on_convolutional()),
    "simple_taylor": twins(f"{WALK}, at the root, times (x - root)", _taylor, on_perceptron(root=like_x), on_convolutional(root=like_x)),
}
