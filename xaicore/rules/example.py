"""One neuron with numbers small enough to work by hand: the worked examples of the rules run through here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xaicore.graph.build import Builder
from xaicore.ops import Dense, Mul
from xaicore.rules.ruleset import Rule
from xaicore.trace import forward


def neuron(rule: Rule, x: Sequence[float], w: Sequence[float], b: float = 0, r: float = 1) -> list[float]:
    """The relevances that ``rule`` gives to the inputs of z = w·x + b for relevance ``r`` at z, rounded to six decimals."""
    g = Builder()
    out = g.add(Dense(), g.input("x", (None, len(x))), g.param("w", [[float(v) for v in w]]), g.param("b", [float(b)]))
    trace = forward(g.build(out), {"x": np.array([x], dtype=float)})
    parts = rule(trace.step(trace.graph.nodes[0]), np.array([[float(r)]]))
    return [round(float(v), 6) + 0.0 for v in parts[0][0]] if parts[0] is not None else []


def product(rule: Rule, a: float, b: float, relevance: float = 1) -> list[float]:
    """The relevances that ``rule`` gives to the factors of y = a b for ``relevance`` at y, rounded to six decimals."""
    g = Builder()
    out = g.add(Mul(), g.input("a", (None,)), g.input("b", (None,)))
    trace = forward(g.build(out), {"a": np.array([float(a)]), "b": np.array([float(b)])})
    parts = rule(trace.step(trace.graph.nodes[0]), np.array([float(relevance)]))
    return [round(float(v[0]), 6) + 0.0 for v in parts if v is not None]
