"""Small networks, and methods with a planted mistake, for the tests of the oracle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

import xaicore as xc
from xaicore import Builder, Graph
from xaicore.methods.attribution import Attribution
from xaicore.ops import (
    Add,
    Concat,
    Conv,
    Dense,
    Embedding,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    MaxPool,
    Mean,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Sub,
)
from xaicore.oracle.axioms import AXIOMS, Case
from xaicore.oracle.report import Verdict
from xaicore.oracle.strategies import numbers


def cnn(head: bool = False, batch: int | None = None, seed: int = 18) -> Graph:
    """conv - relu - pool - residual - dense - logits (3) on (N, 2, 4, 4), perhaps with a softmax head.

    With the default seed half of the units or more are active on ``image()``, so that gradients and relevances are not 0.
    """
    rng = np.random.default_rng(seed)
    b = Builder("cnn")
    x = b.input("image", (batch, 2, 4, 4))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("k1", numbers(rng, (2, 2, 3, 3))), b.param("c1", numbers(rng, (2,))), name="conv1")
    h = b.add(MaxPool((2, 2)), b.add(ReLU(), h, name="relu1"), name="pool")
    h = b.add(Add(), h, b.add(Conv(pads=((1, 1), (1, 1))), h, b.param("k2", numbers(rng, (2, 2, 3, 3))), name="conv2"), name="skip")
    h = b.add(ReLU(), b.add(Dense(), b.add(Flatten(), h, name="flat"), b.param("w1", numbers(rng, (4, 8))), b.param("b1", numbers(rng, (4,))),
                            name="fc1"), name="relu2")
    y = b.add(Dense(), h, b.param("w2", numbers(rng, (3, 4))), b.param("b2", numbers(rng, (3,))), name="logits")
    return b.build(b.add(Softmax(), y, name="probabilities") if head else y)


def pooled(dtype: str = "float64") -> Graph:
    """conv - relu - global average - dense - logits (3) on (N, 2, 4, 4): the head that CAM is for."""
    rng = np.random.default_rng(5)
    b = Builder("pooled")
    h = b.add(Conv(), b.input("image", (None, 2, 4, 4)), b.param("k", numbers(rng, (3, 2, 2, 2))), b.param("c", numbers(rng, (3,))), name="conv")
    h = b.add(Reshape((3,)), b.add(GlobalAvgPool(), b.add(ReLU(), h, name="maps")))
    return b.build(b.add(Dense(), h, b.param("w", numbers(rng, (3, 3))), b.param("b", numbers(rng, (3,))), name="logits")).astype(dtype)


def image(samples: int = 2, seed: int = 1) -> np.ndarray:
    return numbers(np.random.default_rng(seed), (samples, 2, 4, 4))


def tiny(bias: bool = True) -> Graph:
    """conv - relu - residual - pool - dense (2) on (N, 1, 3, 3), in exact arithmetic, its weights Fractions."""
    rng = np.random.default_rng(48)

    def draw(*shape: int) -> np.ndarray:
        return np.vectorize(lambda k: Fraction(2 * int(k) + 1, 6), otypes=[object])(rng.integers(-4, 4, shape))

    def extra(name: str, size: int) -> tuple[str, ...]:
        return (b.param(name, draw(size)),) if bias else ()

    b = Builder("tiny", "exact")
    x = b.input("x", (None, 1, 3, 3))
    h = b.add(ReLU(), b.add(Conv(), x, b.param("k1", draw(2, 1, 2, 2)), *extra("c1", 2), name="conv1"), name="relu1")
    h = b.add(Add(), h, b.add(ReLU(), b.add(Conv(), h, b.param("k2", draw(2, 2, 1, 1)), *extra("c2", 2), name="conv2"), name="relu2"), name="skip")
    h = b.add(Flatten(), b.add(MaxPool((1, 2)), h, name="pool"), name="flat")
    return b.build(b.add(Dense(), h, b.param("w", draw(2, 4)), *extra("c3", 2), name="logits"))


def tiny_image(samples: int = 1) -> np.ndarray:
    rng = np.random.default_rng(6)
    return np.vectorize(lambda k: Fraction(2 * int(k) + 1, 5), otypes=[object])(rng.integers(-3, 5, (samples, 1, 3, 3)))


def several() -> tuple[Graph, dict[str, np.ndarray]]:
    """Floating inputs x and z, token ids, a switch; two outputs of 3 and 2 entries. And feeds of two samples."""
    rng = np.random.default_rng(2)
    b = Builder("several")
    ids, _ = b.input("ids", (None, 3), "int"), b.input("switch", (None, 1), "bool")
    x, z = b.input("x", (None, 4)), b.input("z", (None, 2))
    words = b.add(Flatten(), b.add(Embedding(), b.param("table", numbers(rng, (5, 2))), ids, name="words"))
    h = b.add(Concat(1), words, x, b.add(ReLU(), z, name="relu_z"), name="all")
    h = b.add(ReLU(), b.add(Dense(), h, b.param("w", numbers(rng, (5, 12))), b.param("c", numbers(rng, (5,))), name="fc"), name="relu")
    one = b.add(Dense(), h, b.param("w1", numbers(rng, (3, 5))), name="one")
    two = b.add(Dense(), h, b.param("w2", numbers(rng, (2, 5))), name="two")
    feeds = {"ids": np.array([[0, 1, 2], [4, 3, 2]]), "switch": np.array([[True], [False]]), "x": numbers(rng, (2, 4)), "z": numbers(rng, (2, 2))}
    return b.build(one, two), feeds


def normed() -> Graph:
    """A network with a normalisation layer and a smooth activation, on (N, 4)."""
    rng = np.random.default_rng(3)
    b = Builder("normed")
    h = b.add(LayerNorm(1), b.input("x", (None, 3, 4)), b.param("g", numbers(rng, (4,))), b.param("beta", numbers(rng, (4,))), name="norm")
    h = b.add(Sigmoid(), b.add(Dense(), h, b.param("w", numbers(rng, (4, 4)))))
    return b.build(b.add(Dense(), b.add(Mean((1,)), h), b.param("v", numbers(rng, (2, 4))), name="out"))


def attending() -> Graph:
    """A softmax in the middle of a network, on (N, 3)."""
    rng = np.random.default_rng(4)
    b = Builder("attending")
    h = b.add(Softmax(-1), b.add(Dense(), b.input("x", (None, 3)), b.param("w", numbers(rng, (4, 3)))))
    return b.build(b.add(Dense(), h, b.param("v", numbers(rng, (2, 4))), name="out"))


def exact(values: Any) -> np.ndarray:
    """The same numbers as Fractions."""
    return np.vectorize(Fraction, otypes=[object])(values)


def saturated() -> Graph:
    """1 - relu(1 - x): 0 at 0, 1 at 2, and the gradient at 2 is 0."""
    b = Builder()
    x = b.input("x", (None, 1))
    return b.build(b.add(Sub(), b.constant(1), b.add(ReLU(), b.add(Sub(), b.constant(1), x))))


# ----- methods with a mistake ---------------------------------------------------------------------------------------

Change = Callable[[np.ndarray, Attribution], Any]


def wrong(change: Change, base: str = "gradient") -> Callable[..., Attribution]:
    """``base`` with its values changed: change(values of one input, attribution) -> values."""
    def run(graph: Graph, x: Any, method: str, target: Any = None, **settings: Any) -> Attribution:
        a = xc.explain(graph, x, base, target, **settings)
        return replace(a, values={k: np.asarray(change(v, a)) for k, v in a.values.items()}, method=method)

    return run


def verdict(axiom: str, run: Callable[..., Attribution], graph: Graph, x: Any, target: Any = 0, method: str = "planted", **settings: Any
            ) -> Verdict:
    """What the axiom's check says about a method that is not in the table."""
    return AXIOMS[axiom].check(Case.of(graph, x, method, target, settings, run))


# ----- asking ---------------------------------------------------------------------------------------------------------

CHEAP = ["gradient", "gradient_x_input", "guided_backprop", "lrp.zero", "lrp.alpha_beta", "lrp.flat", "deep_taylor", "deeplift.rescale",
         "deeplift.reveal_cancel", "integrated_gradients.exact", "occlusion"]
"""Methods of every kind, quick enough for all axioms on many networks."""


def check_one(axiom: str, method: str, graph: Graph, x: Any, target: Any = None, **settings: Any) -> Verdict:
    """What check says of one method and one axiom."""
    report = xc.check(graph, x, method, target, axiom, {method: settings} if settings else None)
    return report.of(method, axiom)
