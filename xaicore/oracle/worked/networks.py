"""More networks of the worked examples, for what layers do: ties, zeros, skips, pools, convolutions, attention, costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    Dense,
    Flatten,
    HardSigmoid,
    LayerNorm,
    MatMul,
    Maximum,
    MaxPool,
    Mul,
    Pow,
    ReduceMax,
    ReLU,
    Sigmoid,
    Slice,
    Softmax,
    Sub,
    Sum,
    Transpose,
)
from xaicore.oracle.worked.nets import Net, mlp

HALF = 0.5


def neuron(bias: float = 0.5) -> Net:
    """f = z = x1 - x2/2 - x3/4 + bias: at (1, -2, 3) the contributions are 1, 1 and -3/4."""
    return lambda: mlp([[[1, -0.5, -0.25]]], [[bias]], name="neuron")


def at_zero() -> Graph:
    """f = 2 relu(x1 - x2) + relu(x1 + x2): at (1, 1) the first ReLU stands on its kink, z = (0, 2), f = 2."""
    return mlp([[[1, -1], [1, 1]], [[2, 1]]], name="at_zero")


def cancelling() -> Graph:
    """f = relu(x1 - x2) + relu(x1 + x2) - relu(x1 - x2) by weights: at (2, 1) z = (1, 3, 1), the first and the last cancel; f = 3."""
    return mlp([[[1, -1], [1, 1], [1, -1]], [[1, 1, -1]]], name="cancelling")


def deep() -> Graph:
    """Three layers without bias: at (1, 2) z1 = (3, -1), h1 = (3, 0), z2 = (3, 6), f = 2·3 - 6 = 0 from two units that disagree."""
    return mlp([[[1, 1], [1, -1]], [[1, 1], [2, -1]], [[2, -1]]], name="deep")


def two_classes() -> Graph:
    """y1 = 3 x1 + x2, y2 = x1 + 3 x2: at (2, 1) y = (7, 5)."""
    return mlp([[[3, 1], [1, 3]]], name="two_classes")


def two_hidden() -> Graph:
    """h = relu(x1, x2), y1 = 2 h1 - h2, y2 = h1 + h2: at (2, 1) y = (3, 3)."""
    return mlp([[[1, 0], [0, 1]], [[2, -1], [1, 1]]], name="two_hidden")


def convolution(bias: float = 0) -> Net:
    """z = (x1 + 2 x2 + bias, x2 + 2 x3 + bias) by one kernel (1, 2), f = 2 relu(z1) + relu(z2); x is (N, 1, 3)."""
    def build() -> Graph:
        b = Builder("convolution")
        extra = (b.param("c", [bias]),) if bias else ()
        h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 1, 3)), b.param("k", [[[1, 2]]]), *extra, name="conv"), name="relu")
        return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", [[2, 1]]), name="fc"))

    return build


def two_convolutions() -> Graph:
    """h = relu(x1 + 2 x2, x2 + 2 x3), u = relu(3 h1 - h2), f = 2 u: at (3, 1, 1) h = (5, 3), u = 12, f = 24; x is (N, 1, 3)."""
    b = Builder("two_convolutions")
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 1, 3)), b.param("k", [[[1, 2]]]), name="conv1"), name="relu1")
    u = b.add(ReLU(), b.add(Conv(), h, b.param("q", [[[3, -1]]]), name="conv2"), name="relu2")
    return b.build(b.add(Dense(), b.add(Flatten(), u), b.param("w", [[2]]), name="fc"))


def padded() -> Graph:
    """z = (x1 + x2, x1 + x2 + x3, x2 + x3): the kernel (1, 1, 1) over x with a 0 at either end; f = z1 + z2 + z3."""
    b = Builder("padded")
    z = b.add(Conv(pads=((1, 1),)), b.input("x", (None, 1, 3)), b.param("k", [[[1, 1, 1]]]), name="conv")
    return b.build(b.add(Dense(), b.add(Flatten(), z), b.param("w", [[1, 1, 1]]), name="fc"))


def pooled(kind: str = "max") -> Net:
    """The pool of the pairs (x1, x2) and (x3, x4), then f = 2 p1 + p2; x is (N, 1, 4)."""
    def build() -> Graph:
        b = Builder("pooled")
        p = b.add((MaxPool if kind == "max" else AvgPool)((2,)), b.input("x", (None, 1, 4)), name="pool")
        return b.build(b.add(Dense(), b.add(Flatten(), p), b.param("w", [[2, 1]]), name="fc"))

    return build


def window() -> Graph:
    """f = max(x1, x2), one window; x is (N, 1, 2), the target (0, 0)."""
    b = Builder("window")
    return b.build(b.add(MaxPool((2,)), b.input("x", (None, 1, 2)), name="pool"))


def largest() -> Graph:
    """f = max(x1, x2, x3)."""
    b = Builder("largest")
    return b.build(b.add(ReduceMax((1,), keepdims=True), b.input("x", (None, 3)), name="max"))


def residual() -> Graph:
    """y = x + relu(x1 - x2, x2 - 2 x1), f = y1 + 2 y2: at (3, 1) z = (2, -5), y = (5, 1), f = 7."""
    b = Builder("residual")
    x = b.input("x", (None, 2))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w1", [[1, -1], [-2, 1]]), name="fc1"), name="relu1")
    return b.build(b.add(Dense(), b.add(Add(), x, h, name="sum"), b.param("w2", [[1, 2]]), name="fc2"))


def reused() -> Graph:
    """One layer W = [[1, 1], [1, -1]] called twice, a ReLU between, f = y1: at (2, 1) z = (3, 1), f = 3 + 1 = 4."""
    b = Builder("reused")
    w = b.param("w", [[1, 1], [1, -1]])
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 2)), w, name="fc", layer="fc"), name="relu")
    return b.build(b.add(Dense(), h, w, name="fc_again", layer="fc"))


def normalised() -> Graph:
    """z = x1 + x2 + 1, f = 3 (z - 2) / 2 + 1 by batch normalisation (mean 2, variance 4, no eps): folded, f = 3/2 x1 + 3/2 x2 - 1/2."""
    b = Builder("normalised")
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1, 1]]), b.param("b", [1]), name="fc")
    return b.build(b.add(BatchNorm(0), z, *(b.param(k, [v]) for k, v in (("gamma", 3), ("beta", 1), ("mean", 2), ("var", 4))), name="bn"))


def colours(second: Sequence[Any] = (-3, 2)) -> Net:
    """f = Σ w x over two channels of one row of two pixels: w = (1, -1) for the first, ``second`` for the other; x is (N, 2, 1, 2)."""
    def build() -> Graph:
        b = Builder("colours")
        return b.build(b.add(Dense(), b.add(Flatten(), b.input("x", (None, 2, 1, 2))), b.param("w", [[1, -1, *second]]), name="f"))

    return build


def mixed_colours() -> Graph:
    """The same Σ w x, w = (1, -1) and (-3, 2), as one convolution over both channels; x is (N, 2, 1, 2)."""
    b = Builder("mixed_colours")
    z = b.add(Conv(), b.input("x", (None, 2, 1, 2)), b.param("k", [[[[1, -1]], [[-3, 2]]]]), name="conv")
    return b.build(b.add(Flatten(), z, name="f"))


def saturating() -> Graph:
    """f = 1 - relu(1 - x): rises to 1 at x = 1 and stays there."""
    return mlp([[[-1]], [[-1]]], [[1], [1]], name="saturating")


def shared_part() -> Graph:
    """f = x1 - relu(x1 - x2), which is min(x1, x2) for x1 > x2."""
    b = Builder("shared_part")
    x = b.input("x", (None, 2))
    d = b.add(ReLU(), b.add(Dense(), x, b.param("w", [[1, -1]]), name="difference"), name="relu")
    return b.build(b.add(Sub(), b.add(Dense(), x, b.param("v", [[1, 0]]), name="first"), d, name="f"))


def rectifier() -> Graph:
    """f = relu(x)."""
    b = Builder("rectifier")
    return b.build(b.add(ReLU(), b.input("x", (None, 1)), name="relu"))


def power(k: int) -> Net:
    """h = x, f = h^k."""
    def build() -> Graph:
        b = Builder("power")
        h = b.add(Dense(), b.input("x", (None, 1)), b.param("one", [[1]]), name="h")
        return b.build(b.add(Pow(k), h, name="f"))

    return build


def half_square() -> Graph:
    """f = x² / 2, whose gradient is x."""
    b = Builder("half_square")
    return b.build(b.add(Mul(), b.add(Pow(2), b.input("x", (None, 1))), b.constant(HALF), name="f"))


def interaction() -> Graph:
    """f = x1 + x1 x2, whose gradient is (1 + x2, x1)."""
    b = Builder("interaction")
    x = b.input("x", (None, 2))
    x1, x2 = (b.add(Slice(1, k, k + 1), x) for k in (0, 1))
    return b.build(b.add(Add(), x1, b.add(Mul(), x1, x2), name="f"))


def cost() -> Graph:
    """E = (2 x1 - 5 x2)² / 2, a cost with the target 0."""
    b = Builder("cost")
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[2, -5]]), name="z")
    return b.build(b.add(Mul(), b.constant(HALF), b.add(Mul(), z, z), name="cost"))


def raised_cost() -> Graph:
    """E = 4096 + (2 x1 - 5 x2)² / 2."""
    b = Builder("raised_cost")
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[2, -5]]), name="z")
    return b.build(b.add(Add(), b.add(Mul(), b.constant(HALF), b.add(Mul(), z, z), name="cost"), b.constant(4096.0), name="raised"))


def filter_of_one() -> Graph:
    """f = x1 - x2: a filter that removes what both entries share."""
    return mlp([[[1, -1]]], name="filter_of_one")


def rectified_filter() -> Graph:
    """f = 2 relu(x1 - x2)."""
    return mlp([[[1, -1]], [[2]]], name="rectified_filter")


def embedding() -> Graph:
    """φ = (x1 + x2, 2 x1 - x2), two numbers that are compared."""
    return mlp([[[1, 1], [2, -1]]], name="embedding")


def attention(*weights: Sequence[Sequence[float]]) -> Net:
    """Layers of attention over two tokens x (N, 2, 2), the scores of a layer x W xᵀ; f sums all. On x = 1 token i scores j W_ji."""
    def build() -> Graph:
        b = Builder("attention")
        x = b.input("x", (None, 2, 2))
        h, keys = x, b.add(Transpose((0, 2, 1)), x)
        for k, w in enumerate(weights):
            q = b.add(Dense(), x, b.param(f"w{k}", w), name=f"query{k}")
            h = b.add(MatMul(), b.add(Softmax(-1), b.add(MatMul(), q, keys), name=f"weights{k}"), h, name=f"mixed{k}")
        return b.build(b.add(Sum((1, 2)), h, name="f"))

    return build


def pixels(*weights: Any, bias: float = 0, kernel: Sequence[Any] = (1,)) -> Net:
    """f = Σ w z with z a convolution by ``kernel`` along one row of pixels, plus ``bias``; x is (N, 1, 1, W)."""
    def build() -> Graph:
        b = Builder("pixels")
        extra = (b.param("c", [bias]),) if bias else ()
        width = len(weights) + len(kernel) - 1
        z = b.add(Conv(), b.input("x", (None, 1, 1, width)), b.param("k", [[[list(kernel)]]]), *extra, name="conv")
        return b.build(b.add(Dense(), b.add(Flatten(), b.add(ReLU(), z, name="relu")), b.param("w", [list(weights)]), name="f"))

    return build


def letters() -> Graph:
    """f = Σ w x over two letters (rows) at two places: w = ((1, 2), (3, -2)); x is (N, 2, 2)."""
    b = Builder("letters")
    return b.build(b.add(Dense(), b.add(Flatten(), b.input("x", (None, 2, 2))), b.param("w", [[1, 2, 3, -2]]), name="f"))


def pair_of_maxima() -> Graph:
    """f = 3 max(x1, x2) - max(x2, x3): windows that overlap; x is (N, 1, 3)."""
    b = Builder("pair_of_maxima")
    p = b.add(MaxPool((2,), (1,)), b.input("x", (None, 1, 3)), name="pool")
    return b.build(b.add(Dense(), b.add(Flatten(), p), b.param("w", [[3, -1]]), name="f"))


def greater() -> Graph:
    """f = max(x1, 2 x1)."""
    b = Builder("greater")
    x = b.input("x", (None, 1))
    return b.build(b.add(Maximum(), x, b.add(Mul(), x, b.constant(2.0)), name="f"))


def around() -> Graph:
    """f = y1 + y2, y = 2 x + relu(3 x1, -5 x2): at (3, -1) the branch holds (9, 5), the way around it (6, -2), f = 18."""
    b = Builder("around")
    x = b.input("x", (None, 2))
    branch = b.add(ReLU(), b.add(Dense(), x, b.param("w", [[3, 0], [0, -5]]), name="lin"), name="branch")
    y = b.add(Add(), b.add(Dense(), x, b.param("skip", [[2, 0], [0, 2]]), name="around"), branch, name="sum")
    return b.build(b.add(Dense(), y, b.param("v", [[1, 1]]), name="y"))


def flooded() -> Graph:
    """h = relu(x1, x2), f = h1 + 2 h2 + 5: at (2, 1) f = 9."""
    return mlp([[[1, 0], [0, 1]], [[1, 2]]], [None, [5]], name="flooded")


def gated() -> Graph:
    """f = x1 g with the gate g = clip(x2 / 6 + 1/2, 0, 1), a hard sigmoid."""
    b = Builder("gated")
    x = b.input("x", (None, 2))
    signal, z = (b.add(Slice(1, k, k + 1), x) for k in (0, 1))
    return b.build(b.add(Mul(), signal, b.add(HardSigmoid(), z, name="gate"), name="f"))


def gated_constant() -> Graph:
    """f = 3 g with the gate g = clip(x / 6 + 1/2, 0, 1)."""
    b = Builder("gated_constant")
    return b.build(b.add(Mul(), b.add(HardSigmoid(), b.input("x", (None, 1)), name="gate"), b.constant(3.0), name="f"))


def mixing() -> Graph:
    """O = A V of two inputs a (N, 1, 2) and v (N, 2, 1)."""
    b = Builder("mixing")
    return b.build(b.add(MatMul(), b.input("a", (None, 1, 2)), b.input("v", (None, 2, 1)), name="mixed"))


def weighing() -> Graph:
    """f = 4 s1 with s the softmax of x."""
    b = Builder("weighing")
    s = b.add(Softmax(-1), b.input("x", (None, 2)), name="softmax")
    return b.build(b.add(Dense(), s, b.param("w", [[4, 0]]), name="f"))


def standardised() -> Graph:
    """y = (x - mean) / deviation, without eps, f = 2 y2 - y1."""
    b = Builder("standardised")
    y = b.add(LayerNorm(1, 0), b.input("x", (None, 2)), name="norm")
    return b.build(b.add(Dense(), y, b.param("w", [[-1, 2]]), name="f"))


def shifted_norm() -> Graph:
    """y = (2, 1) (x - mean) / deviation + (1, 1), without eps, f = 2 y2 - y1."""
    b = Builder("shifted_norm")
    y = b.add(LayerNorm(1, 0), b.input("x", (None, 2)), b.param("scale", [2, 1]), b.param("shift", [1, 1]), name="norm")
    return b.build(b.add(Dense(), y, b.param("w", [[-1, 2]]), name="f"))


def sigmoid() -> Graph:
    """f = 1 / (1 + e^-x)."""
    b = Builder("sigmoid")
    return b.build(b.add(Sigmoid(), b.input("x", (None, 1)), name="f"))


def classifier() -> Graph:
    """Probabilities, the softmax of logits x."""
    b = Builder("classifier")
    logits = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1, 0], [0, 1]]), name="logits")
    return b.build(b.add(Softmax(-1), logits, name="probabilities"))
