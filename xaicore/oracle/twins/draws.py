"""Random problems for twins: small networks with weights that are odd multiples of 1/256, inputs, and the search for one that tells."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Dense, ReLU, Tanh
from xaicore.oracle.twins.twin import Problem

Rng = np.random.Generator


def odd(rng: Rng, *shape: int) -> Array:
    """Odd multiples of 1/256 in (-1, 1): never 0, and sums of products of them almost never."""
    return (rng.integers(-128, 128, shape) * 2 + 1) / 256


def mlp(rng: Rng, features: int, smooth: bool = False) -> Graph:
    """features - 5 - 3 with ReLU, or with tanh; parameters w1, b1, w2, b2."""
    b = Builder("mlp")
    h = b.add(Dense(), b.input("x", (None, features)), b.param("w1", 2 * odd(rng, 5, features)), b.param("b1", odd(rng, 5)))
    h = b.add(Tanh() if smooth else ReLU(), h)
    return b.build(b.add(Dense(), h, b.param("w2", odd(rng, 3, 5)), b.param("b2", odd(rng, 3))))


def one(graph: Graph, target: int) -> Callable[[Any], float]:
    """f of one sample: the network's output entry, the network being a black box."""
    def f(x: Any) -> float:
        return float(graph(np.asarray(x, dtype=float)[None])[0, target])

    return f


def each(problem: Problem, answer: Callable[[Array], Any]) -> Array:
    """The answers to all samples of a batch, one after the other."""
    return np.array([answer(x) for x in np.asarray(problem.x, dtype=float)], dtype=float)


def telling(rng: Rng, draw: Callable[[Rng], Problem], run: Callable[[Problem], Array | Mapping[str, Array]]) -> Problem:
    """Draws until the twin's answer is not all zeros: a map of a dead layer, cut off at 0, compares nothing."""
    for _ in range(50):
        problem = draw(rng)
        found = run(problem)
        parts: Sequence[Array] = list(found.values()) if isinstance(found, Mapping) else [found]
        if max(float(np.abs(np.asarray(v, dtype=float)).max()) for v in parts) > 1e-3:
            return problem
    raise AssertionError("fifty problems in a row had the answer zero: the twin, or its draw, is wrong")
