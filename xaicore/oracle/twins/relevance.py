"""Twins of layer-wise relevance propagation: one neuron after the other hands its relevance to the entries that it reads.

The rules of one neuron stand in rules.py, as the papers have them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins import rules
from xaicore.oracle.twins.cells import THROUGH_TIME
from xaicore.oracle.twins.plain import Layer, Plain, Step, Unit, each, one_hot, read, target_of, winner
from xaicore.oracle.twins.problems import on_convolutional, on_perceptron, twins
from xaicore.oracle.twins.twin import Problem, Twin
from xaicore.rules import RULE_SETS

Neuron = Callable[..., list[Any]]
"""(inputs, one row of weights, one bias, one relevance) -> relevance of the inputs."""
Choose = Callable[[Layer, Mapping[str, Any]], Neuron]
"""(layer with weights, settings) -> its rule."""


def lrp_step(choose: Choose, settings: Mapping[str, Any]) -> Step:
    """The walk of all LRP rule sets: ``choose`` for layers with weights, ε for sums and averages, the winner (or shares) of a maximum."""
    eps, bias = settings.get("eps", Fraction(0)), settings.get("bias", "absorb")
    of_sums = partial(rules.epsilon, eps=eps, bias=bias, stabilizer=settings.get("stabilizer", "sign"))

    def step(layer: Layer, u: Unit, xs: list[Any], y: Any, r: Any) -> list[Any]:
        if layer.kind == "affine":
            rule = choose(layer, settings) if layer.weighted else of_sums
            return rule(xs, [list(u.weights)], [u.bias], [r])
        if layer.kind == "max" and settings.get("pool", "winner") == "proportional":
            return [x / sum(xs) * r if sum(xs) != 0 else 0 * r for x in xs]
        if layer.kind == "max" and settings.get("pool", "winner") == "epsilon":
            below = y + (-eps if y < 0 else eps)
            return [x / below * r if i == winner(xs) and below != 0 else 0 * r for i, x in enumerate(xs)]
        return [r if layer.kind != "max" or i == winner(xs) else 0 * r for i in range(len(xs))]

    return step


def relevance(net: Plain, x: list[Any], target: int, step: Step) -> list[Any]:
    """R at the input, from f(x) at the class."""
    values = net.values(x)
    y = values[net.output]
    return net.back(values, one_hot(len(y), target, y[target]), step)[net.input]


def walk(choose: Callable[[Plain], Choose]) -> Callable[[Problem], Array]:
    """The twin whose layers ``choose`` gives a rule, once it knows the network."""
    def run(problem: Problem) -> Array:
        rule_of = choose(read(problem.graph))
        return each(problem, lambda net, x, n: relevance(net, x, target_of(problem, n), lrp_step(rule_of, problem.settings)))

    return run


# ----- which rule a layer gets ----------------------------------------------------------------------------------------


def _zero(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.epsilon, bias=s.get("bias", "absorb"))


def _epsilon(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.epsilon, eps=s["eps"], bias=s.get("bias", "absorb"), stabilizer=s.get("stabilizer", "sign"))


def _gamma(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.gamma, gamma=s.get("gamma", Fraction(1, 4)), variant=s.get("variant", "generalized"), bias=s.get("bias", "absorb"),
                   eps=s.get("layer_eps", 0))


def _alpha_beta(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.alpha_beta, alpha=s.get("alpha", 2), split=s.get("variant", "contributions"), bias=s.get("bias", "absorb"),
                   eps=s.get("layer_eps", 0))


def _z_plus(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.z_plus, bias=s.get("bias", "absorb"), split=s.get("variant", "contributions"), eps=s.get("layer_eps", 0))


def _z_box(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.z_box, low=s["low"], high=s["high"])


HIDDEN = {"zero": _zero, "epsilon": _epsilon, "z_plus": _z_plus, "gamma": _gamma}


def everywhere(rule: Callable[[Mapping[str, Any]], Neuron]) -> Callable[[Plain], Choose]:
    """One rule for every layer with weights."""
    return lambda net: lambda layer, s: rule(s)


def at_first(rule: Callable[[Mapping[str, Any]], Neuron]) -> Callable[[Plain], Choose]:
    """``rule`` at the first layer with weights, the one that ``hidden`` names above it."""
    return lambda net: lambda layer, s: rule(s) if layer.name == net.first() else HIDDEN[s.get("hidden", "epsilon")](s)


def composite(conv: Callable[[Mapping[str, Any]], Neuron], first: Callable[[Mapping[str, Any]], Neuron] | None = None
              ) -> Callable[[Plain], Choose]:
    """``conv`` at convolutions, ε at dense layers, ``first`` at the first layer."""
    def choose(net: Plain) -> Choose:
        def of(layer: Layer, s: Mapping[str, Any]) -> Neuron:
            if first is not None and layer.name == net.first():
                return first(s)
            return conv(s) if layer.op == "Conv" else _epsilon(s)

        return of

    return choose


def _flat(s: Mapping[str, Any]) -> Neuron:
    return rules.flat


def _w_square(s: Mapping[str, Any]) -> Neuron:
    return partial(rules.w_square, with_bias=s.get("variant") == "with-bias")


def _deep_taylor(net: Plain) -> Choose:
    hidden = partial(rules.z_plus, bias="ignore")

    def of(layer: Layer, s: Mapping[str, Any]) -> Neuron:
        own: dict[str, Callable[[], Neuron]] = {
            "w_square": lambda: rules.w_square, "flat": lambda: rules.flat, "z_plus": lambda: hidden, "z_box": lambda: _z_box(s)}
        return own[s.get("input", "w_square")]() if layer.name == net.first() else hidden

    return of


def _taylor_walk(problem: Problem) -> Array:
    ignored = Problem(problem.graph, problem.x, problem.target, {**problem.settings, "bias": "ignore"})
    return walk(_deep_taylor)(ignored)


# ----- the network restructured to a reference ------------------------------------------------------------------------


def level_of(v: list[Any], a: list[Any], drop: Any) -> Any:
    """The t nearest to 0 with Σ v (a - max(0, a - t)) = drop: the sum is a line between neighbouring activations, and below 0."""
    def sunk(t: Any) -> Any:
        return sum(w * (x - max(x - t, 0 * x)) for w, x in zip(v, a))

    corners = [Fraction(-1), Fraction(0), *sorted({x for x in a if x > 0})]
    found = [Fraction(0)] if drop == 0 else []
    for low, high in pairwise(corners):
        left, right = sunk(low), sunk(high)
        if left != right:
            t = low + (drop - left) / (right - left) * (high - low)
            if (t <= high) and (low <= t or low == -1):                 # below 0 the line goes on for ever
                found.append(t)
    return min(found, key=abs)


def restructured(problem: Problem) -> Array:
    """R_k = v_k (a_k - a_ref,k) at the last rectified layer, then LRP-0 without biases; of a perceptron with one output."""
    def one(net: Plain, x: list[Any], n: int) -> list[Any]:
        values = net.values(x)
        at = net.layers[-2].name
        v, a = list(net.layers[-1].units[0].weights), values[at]
        t = level_of(v, a, values[net.output][0] - problem.settings["reference"][n])
        start = [w * (y - max(y - t, 0 * y)) for w, y in zip(v, a)]
        return net.back(values, start, lrp_step(lambda layer, s: _zero(s), {"bias": "ignore"}), at=at)[net.input]

    return each(problem, one)


def _reference(rng: np.random.Generator) -> Problem:
    found = on_perceptron(3, 4, 5, 1, target=0)(rng)
    net = read(found.graph)
    wanted = []
    for x in found.x:
        values, t = net.values(list(x)), Fraction(int(rng.integers(1, 5)), 16)
        head = net.layers[-1].units[0]
        wanted.append(sum((w * max(a - t, 0 * a) for w, a in zip(head.weights, values[net.layers[-2].name])), head.bias))
    return Problem(found.graph, found.x, 0, {"reference": np.array(wanted, dtype=object), "base": RULE_SETS["lrp.zero"](bias="ignore")})


# ----- the table ------------------------------------------------------------------------------------------------------

E = Fraction(1, 8)
BIASES = ("absorb", "ignore", "distribute", "whole")


def _of(how: str, choose: Callable[[Plain], Choose], *several: dict[str, Any], **common: Any) -> tuple[Twin, ...]:
    """For each of several settings a perceptron and a convolutional network with a skip connection."""
    made = [make(**{**common, **one}) for one in several or ({},) for make in (on_perceptron, on_convolutional)]
    return twins(f"{how}, neuron by neuron over lists, in rationals", walk(choose), *made)


_BIASES = tuple({"bias": b} for b in BIASES)
_FIRST = ({"hidden": "zero"}, {"hidden": "epsilon", "bias": "ignore"}, {"hidden": "z_plus"}, {"hidden": "gamma"})
_BOX = {"low": -1, "high": Fraction(3, 2)}

TWINS = {
    "lrp.zero": (*_of("x w R / z", everywhere(_zero), *_BIASES, {"pool": "proportional"}), *THROUGH_TIME["lrp.zero"]),
    "lrp.epsilon": (
        *_of("x w R / (z + eps sign z)", everywhere(_epsilon), *_BIASES, *({"stabilizer": s} for s in ("plain", "zero", "clip")),
             {"pool": "epsilon"}, eps=E),
        *THROUGH_TIME["lrp.epsilon"]),
    "lrp.gamma": _of("w + gamma w+", everywhere(_gamma), *_BIASES, {"gamma": 2, "variant": "original", "layer_eps": E}, eps=E),
    "lrp.alpha_beta": _of("shares of either sign", everywhere(_alpha_beta), *_BIASES, {"alpha": Fraction(3, 2), "variant": "weights-only"},
                          {"layer_eps": E}, eps=E),
    "lrp.z_plus": _of("shares of what is positive", everywhere(_z_plus), *_BIASES,
                      {"variant": "weights-only", "bias": "whole", "layer_eps": E}, eps=E),
    "lrp.z_box": _of("x w - l w+ - h w- at the first layer", at_first(_z_box), *_FIRST, eps=E, **_BOX),
    "lrp.w_square": _of("shares of w² at the first layer", at_first(_w_square), *_FIRST, {"variant": "with-bias"}, eps=E),
    "lrp.flat": _of("equal shares at the first layer", at_first(_flat), *_FIRST, eps=E),
    "lrp.epsilon_plus": _of("z+ at convolutions, eps else", composite(_z_plus), *_BIASES, eps=E),
    "lrp.epsilon_alpha2_beta1": _of("alpha 2 at convolutions, eps else", composite(_alpha_beta), *_BIASES, eps=E),
    "lrp.epsilon_plus_flat": _of("flat, then z+ or eps", composite(_z_plus, _flat), *_BIASES, eps=E),
    "lrp.epsilon_alpha2_beta1_flat": _of("flat, then alpha 2 or eps", composite(_alpha_beta, _flat), *_BIASES, eps=E),
    "lrp.best_practice": (
        *_of("flat, then alpha 1 or eps", composite(_alpha_beta, _flat), {"alpha": 1}, {"alpha": 2, "bias": "ignore"}, eps=E),
        *_of("alpha 2 or eps", composite(_alpha_beta), {"alpha": 2, "flat_input": False}, eps=E)),
    "lrp.epsilon_gamma_box": _of("a box, then gamma or eps", composite(_gamma, _z_box), {}, {"gamma": 2, "bias": "ignore"}, eps=E, **_BOX),
    "deep_taylor": twins("w², a box or z+ at the first layer, z+ without bias above, in rationals", _taylor_walk, *(
        make(**one, eps=E) for one in ({}, {"input": "z_box", **_BOX}, {"input": "z_plus", "positive": True}, {"input": "flat"})
        for make in (on_perceptron, on_convolutional))),
    "lrp.restructured": twins("flooding solved line by line, v (a - a_ref) at the last ReLU, x w R / z below", restructured, _reference),
}
