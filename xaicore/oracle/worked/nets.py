"""The networks of the worked examples: a few weights each, all whole numbers or simple fractions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import Add, Conv, Dense, Flatten, GlobalAvgPool, Maximum, Minimum, Mul, ReLU, Reshape, Slice

Net = Callable[[], Graph]


def mlp(weights: Sequence[Any], biases: Sequence[Any] | None = None, name: str = "mlp") -> Graph:
    """Dense layers "fc1", "fc2", ... with ReLU "relu1", ... between them; a bias of None is left out."""
    b = Builder(name)
    x = b.input("x", (None, len(weights[0][0])))
    for k, w in enumerate(weights, start=1):
        bias = None if biases is None else biases[k - 1]
        x = b.add(Dense(), x, b.param(f"w{k}", w), *(() if bias is None else (b.param(f"b{k}", bias),)), name=f"fc{k}")
        if k < len(weights):
            x = b.add(ReLU(), x, name=f"relu{k}")
    return b.build(x)


def net_a() -> Graph:
    """f = 3 relu(x1 - x2) - relu(x1 + 2 x2) + 2 relu(x2 - x1): at (3, 1) z = (2, 5, -2), f = 3·2 - 5 + 2·0 = 1."""
    return mlp([[[1, -1], [1, 2], [-1, 1]], [[3, -1, 2]]], name="net_a")


def net_b() -> Graph:
    """f = relu(x1 + x2 - 1) + 2 relu(x1 - x2): at (2, 1) z = (2, 1), f = 2 + 2·1 = 4; f(0, 0) = 0."""
    return mlp([[[1, 1], [1, -1]], [[1, 2]]], [[-1, 0], None], name="net_b")


def either() -> Graph:
    """f = 1 - relu(1 - x1 - x2): 1 as soon as one of two features is 1."""
    return mlp([[[-1, -1]], [[-1]]], [[1], [1]], name="either")


def both() -> Graph:
    """f = relu(x1 + x2 - 1): of features that are 0 or 1, 1 when both are 1."""
    return mlp([[[1, 1]], [[1]]], [[-1], None], name="both")


def linear(*weights: float, shape: tuple[int, ...] = (), bias: float = 0) -> Net:
    """f = Σ w x + bias, on (N, F), or on (N, *shape)."""
    def build() -> Graph:
        b = Builder("linear")
        x = b.input("x", (None, *(shape or (len(weights),))))
        x = b.add(Flatten(), x) if shape else x
        extra = (b.param("bias", [bias]),) if bias else ()
        return b.build(b.add(Dense(), x, b.param("w", [list(weights)]), *extra, name="f"))

    return build


def gloves() -> Graph:
    """f = min(x1, max(x2, x3)): a left glove, x1, is worth 1 with a right one, x2 or x3, and nothing alone."""
    b = Builder("gloves")
    x = b.input("x", (None, 3))
    left, right, other = (b.add(Slice(1, k, k + 1), x) for k in range(3))
    return b.build(b.add(Minimum(), left, b.add(Maximum(), right, other), name="f"))


def product() -> Graph:
    """f = x1 x2 + x1²."""
    b = Builder("product")
    x = b.input("x", (None, 2))
    first, second = (b.add(Slice(1, k, k + 1), x) for k in range(2))
    return b.build(b.add(Add(), b.add(Mul(), first, second), b.add(Mul(), first, first), name="f"))


def cubic() -> Graph:
    """f = x1 x2²."""
    b = Builder("cubic")
    x = b.input("x", (None, 2))
    first, second = (b.add(Slice(1, k, k + 1), x) for k in range(2))
    return b.build(b.add(Mul(), first, b.add(Mul(), second, second), name="f"))


def head_on_maps(weights: Sequence[Sequence[Any]], bias: float = 0, side: tuple[int, ...] = (2, 2)) -> Net:
    """f = Σ_k Σ_s G_k(s) A_k(s) + bias, A_k channel k of x as it is: the layer "maps" is a 1 x 1 convolution by the identity."""
    def build() -> Graph:
        b = Builder("head_on_maps")
        n = len(weights)
        one = [[[[int(j == k)] for _ in side[1:]] if len(side) == 2 else [int(j == k)] for j in range(n)] for k in range(n)]
        h = b.add(Conv(), b.input("x", (None, n, *side)), b.param("one", one), name="maps")
        extra = (b.param("bias", [bias]),) if bias else ()
        return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("g", [[v for g in weights for v in g]]), *extra, name="f"))

    return build


def pooled_maps(weights: Sequence[Any], bias: float = 0, relu: bool = False) -> Net:
    """f = Σ_k w_k mean(A_k) + bias, A_k channel k of x, 2 x 2 pixels: the layer "maps", then a global average pool and a linear head.

    With ``relu`` the maps are relu(x), the layer "maps" is behind the ReLU.
    """
    def build() -> Graph:
        b = Builder("pooled_maps")
        n = len(weights)
        one = b.param("one", [[[[int(j == k)]] for j in range(n)] for k in range(n)])
        h = b.add(Conv(), b.input("x", (None, n, 2, 2)), one, name="conv" if relu else "maps")
        h = b.add(ReLU(), h, name="maps") if relu else h
        h = b.add(Reshape((n,)), b.add(GlobalAvgPool(), h))
        extra = (b.param("bias", [bias]),) if bias else ()
        return b.build(b.add(Dense(), h, b.param("w", [list(weights)]), *extra, name="f"))

    return build


def strided() -> Graph:
    """f = A_1 + A_2, with A = (x1, x3) the layer "maps", every second entry of x."""
    b = Builder("strided")
    h = b.add(Conv(stride=(2,)), b.input("x", (None, 1, 4)), b.param("one", [[[1]]]), name="maps")
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", [[1, 1]]), name="f"))
