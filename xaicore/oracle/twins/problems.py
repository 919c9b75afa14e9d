"""Small random networks on which methods and twins are compared: exact, so that the two must be equal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Add, AvgPool, Conv, Dense, Flatten, MaxPool, ReLU
from xaicore.oracle.twins.twin import Problem, Twin

Make = Callable[[np.random.Generator], Problem]


def eighths(rng: np.random.Generator, *shape: int) -> Array:
    """Multiples of 1/8 from -1 to 1 but 0, as Fractions."""
    signed = rng.integers(1, 9, shape) * (2 * rng.integers(0, 2, shape) - 1)
    return np.asarray(np.vectorize(lambda k: Fraction(int(k), 8), otypes=[object])(signed))


def perceptron(rng: np.random.Generator, sizes: tuple[int, ...] = (3, 4, 3, 2), bias: bool = True, dtype: str = "exact") -> Graph:
    """Dense layers fc1, fc2, ... with ReLUs relu1, ... between them."""
    b = Builder("perceptron", "exact")
    h = b.input("x", (None, sizes[0]))
    for k, (n, m) in enumerate(pairwise(sizes), 1):
        extra = (b.param(f"b{k}", eighths(rng, m)),) if bias else ()
        h = b.add(Dense(), h, b.param(f"w{k}", eighths(rng, m, n)), *extra, name=f"fc{k}")
        if k < len(sizes) - 1:
            h = b.add(ReLU(), h, name=f"relu{k}")
    return b.build(h).astype(dtype)


def convolutional(rng: np.random.Generator, pool: str = "max", skip: bool = True, dtype: str = "exact") -> Graph:
    """On (N, 2, 3, 4): a padded convolution, in groups or not, a dilated one beside a skip connection, a pool with overlap, a head of two
    outputs."""
    groups = int(rng.integers(1, 3))
    b = Builder("convolutional", "exact")

    def conv(value: str, name: str, op: Conv) -> str:
        w = b.param(f"{name}.w", eighths(rng, 2, 2 // op.groups, 2, 2))
        return b.add(op, value, w, b.param(f"{name}.b", eighths(rng, 2)), name=name)

    h = b.add(ReLU(), conv(b.input("x", (None, 2, 3, 4)), "conv1", Conv(pads=((1, 0), (0, 1)), groups=groups)), name="relu1")
    if skip:
        h = b.add(ReLU(), b.add(Add(), conv(h, "conv2", Conv(pads=((1, 1), (1, 0)), dilation=(2, 1))), h, name="skip"), name="relu2")
    if pool:
        h = b.add(MaxPool((2, 2), (1, 2)) if pool == "max" else AvgPool((2, 2), (1, 2)), h, name="pool")
    size = 2 * (2 * 2 if pool else 3 * 4)
    h = b.add(Flatten(), h, name="flat")
    return b.build(b.add(Dense(), h, b.param("w", eighths(rng, 2, size)), b.param("b", eighths(rng, 2)), name="head")).astype(dtype)


def on_perceptron(*sizes: int, count: int = 2, positive: bool = False, bias: bool = True, dtype: str = "exact", target: Any = 1,
                  **settings: Any) -> Make:
    """A problem on a new perceptron, with these settings; a setting that is callable is made anew: (rng, shape of x) -> value."""
    def make(rng: np.random.Generator) -> Problem:
        graph = perceptron(rng, sizes or (3, 4, 3, 2), bias, dtype)
        return problem_on(rng, graph, (count, (sizes or (3,))[0]), positive, target, settings)

    return make


def on_convolutional(count: int = 1, positive: bool = False, pooling: str = "max", skip: bool = True, dtype: str = "exact", target: Any = 1,
                     **settings: Any) -> Make:
    """A problem on a new convolutional network, with these settings."""
    def make(rng: np.random.Generator) -> Problem:
        return problem_on(rng, convolutional(rng, pooling, skip, dtype), (count, 2, 3, 4), positive, target, settings)

    return make


def problem_on(rng: np.random.Generator, graph: Graph, shape: tuple[int, ...], positive: bool, target: Any, settings: dict[str, Any]
               ) -> Problem:
    """A problem on a graph of one input, in eighths; settings as for ``on_perceptron``."""
    x = eighths(rng, *shape)
    x = abs(x) if positive else x
    made = {k: v(rng, shape) if callable(v) else v for k, v in settings.items()}
    return Problem(graph, as_given(x, graph), target, {k: as_given(v, graph) for k, v in made.items()})


def twins(how: str, run: Callable[[Problem], Any], *makes: Make, tolerance: float | None = None) -> tuple[Twin, ...]:
    """One twin for each kind of problem. Problems on which it finds nothing but zeros, of a dead layer, are drawn again."""
    def telling(make: Make) -> Make:
        def again(rng: np.random.Generator) -> Problem:
            while True:
                found = make(rng)
                second = run(found)
                if all(np.any(np.asarray(v, dtype=float)) for v in (second.values() if isinstance(second, Mapping) else [second])):
                    return found

        return again

    return tuple(Twin(how, run, telling(make), tolerance) for make in makes)


def as_given(value: Any, graph: Graph) -> Any:
    """An array of Fractions as the graph takes it: in floats unless it is exact. Eighths lose nothing."""
    return value.astype(float) if isinstance(value, np.ndarray) and value.dtype == object and graph.dtype != "exact" else value


def like_x(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """A setting in the shape of x: a baseline, a root, another input."""
    return eighths(rng, *shape)


def like_samples(count: int) -> Callable[[np.random.Generator, tuple[int, ...]], Array]:
    """A setting of so many samples: a background."""
    return lambda rng, shape: eighths(rng, count, *shape[1:])
