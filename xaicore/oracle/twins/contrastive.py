"""Twins of relevance that speaks for one class, for chosen units, or for pairs: CLRP, SGLRP, excitation backprop, concepts, BiLRP."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins import rules
from xaicore.oracle.twins.plain import Layer, Plain, Step, Unit, each, one_hot, rational, target_of, winner
from xaicore.oracle.twins.problems import like_x, on_convolutional, on_perceptron, twins
from xaicore.oracle.twins.relevance import lrp_step
from xaicore.oracle.twins.twin import Problem
from xaicore.rules import RULE_SETS

TINY = Fraction(1, 10**6)
"""The eps of the rule sets' defaults."""


def _z_plus(dual_of: str = "") -> Step:
    """z+ everywhere, the bias in the denominator; the weights of the layer ``dual_of`` negated."""
    inner = lrp_step(lambda layer, s: rules.z_plus, {"eps": TINY})

    def step(layer: Layer, u: Unit, xs: list[Any], y: Any, r: Any) -> list[Any]:
        if layer.name == dual_of:
            return rules.z_plus(xs, [[-w for w in u.weights]], [u.bias], [r])
        return inner(layer, u, xs, y, r)

    return step


def clrp(p: Problem) -> Array:
    """Gu et al. 2018: max(0, R - R_dual), R_dual scaled to the sum of R."""
    kind, relu = p.settings["dual"], p.settings.get("relu", True)

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values, t = net.values(x), target_of(p, n)
        z = values[net.output]
        start = one_hot(len(z), t, z[t])
        others = {"uniform": [z[t] if k != t else 0 * z[t] for k in range(len(z))],
                  "scores": [abs(z[k]) if k != t else 0 * z[t] for k in range(len(z))]}
        r = net.back(values, start, _z_plus())[net.input]
        dual = net.back(values, others.get(kind, start), _z_plus(net.last() if kind == "negated" else ""))[net.input]
        factor = sum(r) / sum(dual) if sum(dual) != 0 else 0 * sum(r)
        return [max(a - factor * b, 0 * a) if relu else a - factor * b for a, b in zip(r, dual)]

    return each(p, one)


def softmax(z: Sequence[Any]) -> list[Fraction]:
    """In floats, then exactly those numbers."""
    top = max(z)
    powers = [math.exp(v - top) for v in z]
    return [Fraction(v / sum(powers)) for v in powers]


def sglrp(p: Problem) -> Array:
    """Iwana et al. 2019: one walk from p_t (1 - p_t) at the class and one from -p_t p_n at the others."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values, t = net.values(x), target_of(p, n)
        q = softmax(values[net.output])
        up = net.back(values, one_hot(len(q), t, q[t] * (1 - q[t])), _z_plus())[net.input]
        down = net.back(values, [-q[t] * v if k != t else Fraction(0) for k, v in enumerate(q)], _z_plus())[net.input]
        factor = Fraction(1)
        if p.settings.get("rescale", False):
            factor = -sum(up) / sum(down) if sum(down) != 0 else Fraction(0)
        both = [a + factor * b for a, b in zip(up, down)]
        return [max(v, 0 * v) for v in both] if p.settings.get("relu", False) else both

    return each(p, one)


def _winning(dual_of: str = "") -> Step:
    """Zhang et al. 2016: from a unit to what excites it, by x w+; the bias takes no part."""
    def step(layer: Layer, u: Unit, xs: list[Any], y: Any, r: Any) -> list[Any]:
        if layer.kind == "affine":
            return rules.winning_probability(xs, [[-w if layer.name == dual_of else w for w in u.weights]], [r])
        return [r if layer.kind != "max" or i == winner(xs) else 0 * r for i in range(len(xs))]

    return step


def excitation(p: Problem) -> Array:
    """Probabilities from 1 at the class; contrastive: minus those of the class with the weights of the last layer negated."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values = net.values(x)
        start = one_hot(len(values[net.output]), target_of(p, n))
        found = net.back(values, start, _winning())[net.input]
        if not p.settings.get("contrastive", False):
            return found
        return [a - b for a, b in zip(found, net.back(values, start, _winning(net.last()))[net.input])]

    return each(p, one)


def concept(p: Problem) -> Array:
    """Achtibat et al. 2023: the relevance of a layer, all but the chosen channels set to 0, walked on from there; ε in dense layers,
    z+ in convolutions."""
    def choose(layer: Layer, s: Any) -> Any:
        if layer.op == "Conv":
            return rules.z_plus
        return lambda xs, w, b, r: rules.epsilon(xs, w, b, r, TINY)

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values, t, at, step = net.values(x), target_of(p, n), p.settings["layer"], lrp_step(choose, {"eps": TINY})
        z = values[net.output]
        there = net.back(values, one_hot(len(z), t, z[t]), step)[at]
        size = len(there) // net.shapes[at][0]
        passed = [r if i // size in p.settings["units"] else 0 * r for i, r in enumerate(there)]
        return net.back(values, passed, step, at)[net.input]

    return each(p, one)


def bilrp(p: Problem) -> Array:
    """Eberle et al. 2020: R_ii' = Σ_k R_i[φ_k(x)] R_i'[φ_k(x')] for every pair, summed over i'; with LRP-0."""
    other = rational(p.settings["other"])
    step = lrp_step(lambda layer, s: rules.epsilon, {})

    def parts(net: Plain, x: list[Any]) -> list[list[Any]]:
        values = net.values(x)
        z = values[net.output]
        return [net.back(values, one_hot(len(z), k, z[k]), step)[net.input] for k in range(len(z))]

    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        here, there = parts(net, x), parts(net, list(other[n].reshape(-1)))
        pairs = [[sum((a[i] * b[j] for a, b in zip(here, there)), Fraction(0)) for j in range(len(x))] for i in range(len(x))]
        return [sum(row, Fraction(0)) for row in pairs]

    return each(p, one)


def _whole_output(rng: np.random.Generator) -> Problem:
    return on_perceptron(3, 4, 3, target=None, other=like_x, base=RULE_SETS["lrp.zero"]())(rng)


TWINS = {
    "clrp": twins("two walks with z+, the dual one scaled, in rationals", clrp, *(
        make(positive=True, dual=dual, relu=relu) for make in (on_perceptron, on_convolutional)
        for dual, relu in (("negated", False), ("uniform", False), ("scores", True)))),
    "sglrp": twins("two walks with z+ from the softmax gradient", sglrp, on_perceptron(dtype="float64"), on_convolutional(dtype="float64"),
                   on_perceptron(dtype="float64", rescale=True, relu=True)),
    "excitation_backprop": twins("a random walk along x w+ from unit to unit, in rationals", excitation, *(
        make(positive=True, contrastive=c) for make in (on_perceptron, on_convolutional) for c in (False, True))),
    "concept_relevance": twins("a walk to the layer, channels set to 0, a walk on from there, in rationals", concept,
                               on_perceptron(4, 6, 5, 2, layer="relu1", units=(0, 2, 3)), on_convolutional(layer="conv2", units=(1,)),
                               on_convolutional(layer="relu1", units=(0,))),
    "bilrp": twins("the matrix of all pairs of entries, LRP-0 for every output, in rationals", bilrp, _whole_output),
}
