"""Twins of the methods that compare with a reference: DeepLIFT unit by unit, DeepSHAP, GradientSHAP, Shapley values in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Conv, Dense, Flatten, MaxPool, ReLU
from xaicore.oracle.twins.deeplift import ReluNet
from xaicore.oracle.twins.games import shapley_by_formula
from xaicore.oracle.twins.plain import Layer, Plain, Step, Unit, each, gradient, one_hot, rational, target_of, winner
from xaicore.oracle.twins.problems import eighths, like_samples, like_x, on_convolutional, on_perceptron, problem_on, twins
from xaicore.oracle.twins.twin import Problem


@dataclass(frozen=True)
class Two:
    """Multipliers of Δ+ and of Δ-, which add up like numbers; a single number is both."""

    plus: Any
    minus: Any

    def __add__(self, other: Any) -> Two:
        p, q = halves(other)
        return Two(self.plus + p, self.minus + q)

    __radd__ = __add__


def halves(m: Any) -> tuple[Any, Any]:
    """(m+, m-)."""
    return (m.plus, m.minus) if isinstance(m, Two) else (m, m)


Entry = tuple[Any, Any, Any, Any]
"""What is known of one entry: its value, its value on the reference, Δ+ and Δ-."""


def positive_part(z: Any) -> Any:
    """relu."""
    return z if z > 0 else 0 * z


def slope_at(z: Any) -> Fraction:
    """relu', 0 at 0."""
    return Fraction(1) if z > 0 else Fraction(0)


def entries(net: Plain, x: Sequence[Any], x0: Sequence[Any], reveals: Callable[[Layer], bool]) -> dict[str, list[Entry]]:
    """The forward pass of both inputs, with the positive and the negative part of every difference (Shrikumar et al. 2017, 3.5)."""
    here, there = net.values(x), net.values(x0)
    signs = {k: [_signs(a - b) for a, b in zip(here[k], there[k])] for k in here}
    parts = {net.input: signs[net.input]}
    for layer in net.layers:
        found = []
        for j, u in enumerate(layer.units):
            if layer.kind == "affine":
                effects = [w * (here[k][i] - there[k][i]) for w, (k, i) in zip(u.weights, u.wires)]
                found.append((sum((e for e in effects if e > 0), Fraction(0)), sum((e for e in effects if e < 0), Fraction(0))))
            elif layer.kind == "max":
                found.append(signs[layer.name][j])
            else:
                (k, i), = u.wires
                plus, minus = parts[k][i]
                if layer.kind == "relu":
                    dx, dy = here[k][i] - there[k][i], here[layer.name][j] - there[layer.name][j]
                    plus, minus = _revealed(there[k][i], plus, minus) if reveals(layer) else (
                        (plus * dy / dx, minus * dy / dx) if dx != 0 else (0 * plus, 0 * minus))
                found.append((plus, minus))
        parts[layer.name] = found
    return {k: [(a, b, p, q) for a, b, (p, q) in zip(here[k], there[k], parts[k])] for k in here}


def _signs(d: Any) -> tuple[Any, Any]:
    return max(d, 0 * d), min(d, 0 * d)


def _revealed(z0: Any, up: Any, down: Any) -> tuple[Any, Any]:
    """The mean effect of Δ+ before and after Δ-, and the other way round."""
    none, plus, minus, both = (positive_part(z0 + d) for d in (0 * z0, up, down, up + down))
    return (plus - none + both - minus) / 2, (minus - none + both - plus) / 2


def multiplier_step(reveals: Callable[[Layer], bool]) -> Step:
    """Multipliers from a unit to what it reads, each wire carrying an Entry."""
    def step(layer: Layer, u: Unit, xs: list[Entry], y: Entry, m: Any) -> list[Any]:
        p, q = halves(m)
        if layer.kind == "affine":
            return [w * ((p + q) / 2 if a == b else p if w * (a - b) > 0 else q) for w, (a, b, _, _) in zip(u.weights, xs)]
        if layer.kind == "route":
            return [m]
        if layer.kind == "relu":
            (a, b, up, down), (y1, y0, dp, dm) = xs[0], y
            if reveals(layer):
                limit_up, limit_down = ((slope_at(b) + slope_at(b + other)) / 2 for other in (down, up))
                return [Two(p * (dp / up if up != 0 else limit_up), q * (dm / down if down != 0 else limit_down))]
            ratio = (y1 - y0) / (a - b) if a != b else slope_at(a)
            return [Two(p * ratio, q * ratio) if isinstance(m, Two) else m * ratio]
        y1, y0 = y[:2]
        single = p if y1 > y0 else q if y1 < y0 else (p + q) / 2
        amounts, top = [Fraction(0)] * len(xs), max(y1, y0)
        amounts[winner([v[0] for v in xs])] += single * (top - y0)
        amounts[winner([v[1] for v in xs])] += single * (y1 - top)
        return [v / (a - b) if a != b else 0 * v for v, (a, b, _, _) in zip(amounts, xs)]

    return step


def multipliers(net: Plain, x: Sequence[Any], x0: Sequence[Any], target: int, rule: str) -> tuple[list[Any], list[Entry]]:
    """Multipliers at the input, and its entries. ``rule``: "rescale", "reveal_cancel" or "genomics" (Rescale behind convolutions)."""
    def reveals(layer: Layer) -> bool:
        if rule != "genomics":
            return rule == "reveal_cancel"
        before: Layer | None = layer
        while before is not None and not before.weighted:
            name = before.units[0].wires[0][0]
            before = None if name == net.input else net.layer(name)
        return before is None or before.op != "Conv"

    found = entries(net, x, x0, reveals)
    return net.back(found, one_hot(len(found[net.output]), target), multiplier_step(reveals))[net.input], found[net.input]


def contributions(net: Plain, x: Sequence[Any], x0: Sequence[Any], target: int, rule: str) -> list[Any]:
    """m+ Δ+ + m- Δ- of every entry of the input."""
    ms, found = multipliers(net, x, x0, target, rule)
    return [halves(m)[0] * up + halves(m)[1] * down for m, (_, _, up, down) in zip(ms, found)]


def _rows(problem: Problem, name: str) -> list[list[Any]]:
    return [list(one.reshape(-1)) for one in rational(problem.settings[name])]


def deeplift(rule: str) -> Callable[[Problem], Array]:
    """Against the problem's own baseline for each sample."""
    return lambda p: each(p, lambda net, x, n: contributions(net, x, _rows(p, "baseline")[n], target_of(p, n), rule))


def by_neurons(reveal: bool) -> Callable[[Problem], Array]:
    """Of a perceptron, by the loops of deeplift.py over its matrices."""
    def one(p: Problem, net: Plain, x: list[Any], n: int) -> list[Any]:
        dense = [one for one in net.layers if one.weighted]
        relu_net = ReluNet([[list(u.weights) for u in d.units] for d in dense], [[u.bias for u in d.units] for d in dense])
        return relu_net.deeplift(x, _rows(p, "baseline")[n], target_of(p, n), reveal)

    return lambda p: each(p, lambda net, x, n: one(p, net, x, n))


# ----- several references ---------------------------------------------------------------------------------------------


def _mean(several: list[list[Any]]) -> list[Any]:
    return [sum(column, Fraction(0)) / len(several) for column in zip(*several)]


def deep_shap(p: Problem) -> Array:
    """The mean over the references."""
    rule = p.settings.get("variant", "rescale")
    return each(p, lambda net, x, n: _mean([contributions(net, x, b, target_of(p, n), rule) for b in _rows(p, "background")]))


def hypothetical(p: Problem) -> Array:
    """Σ_c' m_c' (1[c' = c] - b_c') at every place, for every letter c; inputs (N, letters, L)."""
    letters, places = np.shape(p.x)[1:]

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        found = []
        for b in _rows(p, "background"):
            m, _ = multipliers(net, x, b, target_of(p, n), "rescale")
            found.append([sum((m[other * places + at] * ((other == c) - b[other * places + at]) for other in range(letters)), Fraction(0))
                          for c in range(letters) for at in range(places)])
        return _mean(found)

    return each(p, one)


def gradient_shap(p: Problem) -> Array:
    """Σ_k (x + e_k - b_k) ∂f(b_k + α_k (x + e_k - b_k)) / K, with the generator called as the method calls it."""
    sets, samples, sigma = _rows(p, "background"), p.settings["samples"], p.settings.get("sigma", 0)
    rng = np.random.default_rng(p.settings["seed"])
    which, alphas = rng.integers(0, len(sets), samples), [Fraction(float(a)) for a in rng.random(samples)]
    noise = rational(rng.normal(size=(samples, *np.shape(p.x)[1:])) * sigma).reshape(samples, -1)

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        found = []
        for b, t, e in zip((sets[k] for k in which), alphas, noise if sigma else 0 * noise):
            end = [v + d for v, d in zip(x, e)]
            g = gradient(net, [lo + t * (hi - lo) for lo, hi in zip(b, end)], target_of(p, n))
            found.append([(hi - lo) * v for lo, hi, v in zip(b, end, g)])
        return _mean(found)

    return each(p, one)


def by_coalitions(p: Problem) -> Array:
    """Shapley's formula over all sets of entries, f of every mixture of x and the baseline by the plain network."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        x0 = _mean(_rows(p, "background")) if "background" in p.settings else _rows(p, "baseline")[n]

        def v(who: Any) -> Any:
            return net.values([a if i in who else b for i, (a, b) in enumerate(zip(x, x0))])[net.output][target_of(p, n)]

        return shapley_by_formula(v, len(x))

    return each(p, one)


# ----- problems -------------------------------------------------------------------------------------------------------


def _graph(rng: np.random.Generator, shape: tuple[int, ...], build: Callable[[Builder, str, Callable[..., str]], str]) -> Graph:
    b = Builder(dtype="exact")
    return b.build(build(b, b.input("x", (None, *shape)), lambda name, *size: b.param(name, eighths(rng, *size))))


def _motifs(rng: np.random.Generator) -> Problem:
    """Sequences of one-hot letters (2, 3, 4): a convolution over places, a ReLU, two outputs."""
    graph = _graph(rng, (3, 4), lambda b, x, of: b.add(Dense(), b.add(Flatten(), b.add(ReLU(), b.add(
        Conv(), x, of("k", 2, 3, 2), of("c", 2)))), of("w", 2, 6)))

    def letters(n: int) -> Array:
        return rational(np.moveaxis(np.eye(3, dtype=int)[rng.integers(0, 3, (n, 4))], 2, 1))

    return Problem(graph, letters(2), 1, {"background": letters(3)})


def _affine(setting: str) -> Callable[[np.random.Generator], Problem]:
    def make(rng: np.random.Generator) -> Problem:
        graph = _graph(rng, (1, 4), lambda b, x, of: b.add(Dense(), b.add(Flatten(), b.add(Conv(), x, of("k", 2, 1, 2), of("c", 2))),
                                                           of("w", 2, 6), of("b", 2)))
        return problem_on(rng, graph, (2, 1, 4), False, 1, {setting: like_x if setting == "baseline" else like_samples(3)})

    return make


def _maxima(rng: np.random.Generator) -> Problem:
    """Overlapping maxima of four entries out of six, mixed linearly."""
    graph = _graph(rng, (1, 6), lambda b, x, of: b.add(Dense(), b.add(Flatten(), b.add(MaxPool((4,), (1,)), x)), of("w", 2, 3)))
    return problem_on(rng, graph, (2, 1, 6), False, 1, {"baseline": like_x})


def _deeplift(rule: str, *more: Any) -> Any:
    how = "two forward passes over lists, multipliers from unit to unit, in rationals"
    return (*twins(how, deeplift(rule), on_perceptron(baseline=like_x), on_convolutional(baseline=like_x),
                   on_convolutional(pooling="", baseline=like_x)), *more)


TWINS = {
    "deeplift.rescale": _deeplift("rescale", *twins("loops over the neurons of dense layers", by_neurons(False),
                                                    on_perceptron(baseline=like_x))),
    "deeplift.reveal_cancel": _deeplift("reveal_cancel", *twins("loops over the neurons of dense layers", by_neurons(True),
                                                                on_perceptron(baseline=like_x))),
    "deeplift.genomics": _deeplift("genomics"),
    "deep_shap": twins("the mean of a walk with multipliers for each reference, in rationals", deep_shap, *(
        make(background=like_samples(2), variant=v) for v in ("rescale", "reveal_cancel") for make in (on_perceptron, on_convolutional))),
    "deep_shap.hypothetical": twins("multipliers from unit to unit, every letter put in by hand", hypothetical, _motifs),
    "gradient_shap": twins("a loop over the draws, the gradient unit by unit", gradient_shap,
                           on_perceptron(background=like_samples(3), samples=5, seed=7),
                           on_perceptron(background=like_samples(3), samples=4, seed=1, sigma=0.25, dtype="float64")),
    "linear_shap": twins("Shapley's formula over all sets of entries", by_coalitions, _affine("baseline"), _affine("background")),
    "max_shap": twins("Shapley's formula over all sets of entries", by_coalitions, _maxima),
}
