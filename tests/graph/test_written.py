"""Layers that a framework wrote out: recognised as the same function, and explained as the layer itself is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import xaicore as xc
from tests.nets import close
from xaicore import Builder, Graph
from xaicore.graph.written import fold_bias, recognise_batchnorm, recognise_rmsnorm, recognise_silu
from xaicore.ops import (
    Add,
    BatchNorm,
    Conv,
    Dense,
    Div,
    Flatten,
    Identity,
    Mean,
    Mul,
    Pow,
    Reciprocal,
    ReLU,
    RMSNorm,
    Rsqrt,
    Sigmoid,
    SiLU,
    Sqrt,
    Sub,
    Transpose,
)

DRAW = np.random.default_rng(3)
W1, W2, HEAD = DRAW.normal(size=(4, 2, 3, 3)), DRAW.normal(size=(5, 4, 1, 1)), DRAW.normal(size=(3, 80))
BIAS, GAMMA, BETA, MEAN, VAR = (*DRAW.normal(size=(4, 4)), DRAW.uniform(0.5, 2, 4))
X = DRAW.normal(size=(2, 2, 6, 6))


def network(last: bool, written: bool, pre: bool) -> Graph:
    """conv, BatchNorm, SiLU, conv, dense; ``written``: bias, BatchNorm and SiLU out of arithmetic; ``last``: that on (N, H, W, C).

    ``pre``: a ReLU stands between the convolution and its BatchNorm, so that nothing can be folded.
    """
    b = Builder()
    h = b.input("x", (None, 2, 6, 6))

    def conv(h: str, name: str, w: np.ndarray, bias: np.ndarray) -> str:
        if not written:
            return b.add(Conv(), h, b.param(f"{name}.w", w), b.param(f"{name}.b", bias), name=name)
        h = b.add(Conv(), h, b.param(f"{name}.w", w), name=f"{name}.plain")
        h = b.add(Transpose((0, 2, 3, 1)), h) if last else h
        return b.add(Add(), h, along(bias), name=name)

    def along(v: np.ndarray) -> str:
        return b.constant(v.reshape(1, 1, 1, -1) if last else v.reshape(1, -1, 1, 1))

    h = conv(h, "one", W1, BIAS)
    if pre:
        h = b.add(ReLU(), h)
    if written:
        h = b.add(Sub(), h, along(MEAN))
        h = b.add(Mul(), along(GAMMA / np.sqrt(VAR + 1e-5)), h)
        h = b.add(Add(), h, along(BETA), name="bn")
        h = b.add(Mul(), h, b.add(Sigmoid(), h), name="silu")
        h = b.add(Transpose((0, 3, 1, 2)), h) if last else h
    else:
        h = b.add(BatchNorm(), h, *(b.param(k, v) for k, v in (("g", GAMMA), ("b", BETA), ("m", MEAN), ("v", VAR))), name="bn")
        h = b.add(SiLU(), h, name="silu")
    h = conv(h, "two", W2, np.ones(5))
    h = b.add(Transpose((0, 3, 1, 2)), h) if written and last else h
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("head", HEAD), name="head"))


RELEVANCE = ["lrp.epsilon", "lrp.epsilon_plus", "lrp.gamma", "lrp.alpha_beta", "lrp.flat", "lrp.w_square", "deep_taylor"]


@pytest.mark.parametrize("pre", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_a_network_that_is_written_out_is_explained_as_the_network(last: bool, pre: bool) -> None:
    """Without the passes all of these differ by 1e-5 (the stabiliser, more often) to 1 (signs that are split, more often)."""
    plain, written = network(last, False, pre), network(last, True, pre)
    assert close(written(X), plain(X), 1e-12)
    for method in RELEVANCE:
        one, two = (xc.explain(g, X, method, 1) for g in (plain, written))
        assert close(two, one, 1e-9), method                            # 1e-9 as everywhere: rounding through ten nodes
    distributed = [xc.explain(g, X, "lrp.epsilon", 1, bias="distribute") for g in (plain, written)]
    assert close(*distributed, 1e-9)
    assert close(written(X), plain(X), 1e-12)


def step(passed: Graph, original: Graph, names: dict[str, type]) -> None:
    """The same function, and these nodes have these operators."""
    assert close(passed(X), original(X), 1e-12)
    assert {k: type(passed.node(k).op) for k in names} == names


def test_each_pass_by_itself() -> None:
    first, last = network(False, True, False), network(True, True, False)
    step(recognise_batchnorm(first), first, {"bn": BatchNorm})
    step(recognise_batchnorm(last), last, {"bn/channels_first": Transpose, "bn/normalized": BatchNorm, "bn": Transpose})
    for graph in (first, last):
        step(fold_bias(graph), graph, {"one": Identity, "two": Identity})
        step(recognise_silu(graph), graph, {"silu": SiLU})
        assert len(fold_bias(graph).node("one.plain").inputs) == 3
        assert not any(isinstance(n.op, Sigmoid) for n in recognise_silu(graph).nodes)
    plain = network(False, False, False)
    assert all(one(plain) is plain for one in (recognise_batchnorm, fold_bias, recognise_silu))


def test_what_is_no_layer_stays() -> None:
    """Constants along two axes, or one for all; a value that others read; a layer that has a bias; a gate by another value."""
    b = Builder()
    x = b.input("x", (None, 4, 3, 3))
    w = b.param("w", np.ones((4, 4, 1, 1)))
    flat = [b.constant(DRAW.normal(size=s)) for s in ((1, 4, 3, 1), (1, 4, 1, 1), (1,), (1, 4, 1, 1))]

    def steps(h: str, mean: str) -> str:
        return b.add(Add(), b.add(Mul(), b.add(Sub(), h, mean), flat[1]), flat[3])

    outputs = [steps(x, flat[0]), b.add(Add(), b.add(Mul(), b.add(Sub(), x, flat[2]), flat[2]), flat[2])]
    read = b.add(Sub(), x, flat[1], name="read")
    outputs += [read, b.add(Add(), b.add(Mul(), read, flat[1]), flat[3])]
    turned = b.add(Add(), b.add(Mul(), b.add(Sub(), flat[1], x), flat[1]), flat[3])         # μ - x
    biased = b.add(Add(), b.add(Conv(), x, w, b.param("b", np.ones(4))), flat[1])
    shared = b.add(Conv(), x, w, name="shared")
    outputs += [turned, biased, shared, b.add(Add(), shared, flat[1]), b.add(Add(), b.add(Conv(), x, w), flat[0])]
    outputs += [b.add(Mul(), x, b.add(Sigmoid(), biased))]
    graph = b.build(*outputs)
    assert all(one(graph) is graph for one in (recognise_batchnorm, fold_bias, recognise_silu))


def test_a_rational_graph_keeps_its_arithmetic() -> None:
    b = Builder("", "exact")
    c = b.constant(np.ones((1, 2, 1), int).astype(object))
    x = b.input("x", (None, 2, 2))
    graph = b.build(b.add(Add(), b.add(Mul(), b.add(Sub(), x, c), c), c))
    assert recognise_batchnorm(graph) is graph
    assert recognise_rmsnorm(graph) is graph


# ----- RMSNorm ----------------------------------------------------------------------------------------------------------


W, ONTO, GAIN, EPS = DRAW.normal(size=(5, 4)), DRAW.normal(size=(3, 5)), DRAW.uniform(0.5, 2, 5), 0.1
TOKENS = DRAW.normal(size=(2, 3, 4))
SQUARES: dict[str, Callable[[Builder, str], str]] = {"power": lambda b, h: b.add(Pow(2.0), h), "product": lambda b, h: b.add(Mul(), h, h)}
SCALES: dict[str, Callable[[Builder, str, str], str]] = {
    "rsqrt": lambda b, h, t: b.add(Mul(), h, b.add(Rsqrt(), t)), "rsqrt first": lambda b, h, t: b.add(Mul(), b.add(Rsqrt(), t), h),
    "reciprocal of sqrt": lambda b, h, t: b.add(Mul(), h, b.add(Reciprocal(), b.add(Sqrt(), t))),
    "one over sqrt": lambda b, h, t: b.add(Mul(), h, b.add(Div(), b.constant(1.0), b.add(Sqrt(), t))),
    "power": lambda b, h, t: b.add(Mul(), h, b.add(Pow(-0.5), t)), "divided": lambda b, h, t: b.add(Div(), h, b.add(Sqrt(), t)),
    "divided by a power": lambda b, h, t: b.add(Div(), h, b.add(Pow(0.5), t)),
    "inverted power": lambda b, h, t: b.add(Mul(), h, b.add(Pow(-1.0), b.add(Pow(0.5), t))),
}


def normalised(square: str = "", scale: str = "", cast: bool = False, gain: bool = True, axis: int = -1) -> Graph:
    """dense, RMSNorm, dense; written out where the name of a square and of a scale are given, and casts in between.

    ``axis`` 1: the same with channels in front of the positions.
    """
    b = Builder()
    h = b.add(Dense(), b.input("x", (None, 3, 4)), b.param("w", W), name="one")
    if not square:
        h = b.add(RMSNorm(1, EPS), h, *([b.param("gain", GAIN)] if gain else []), name="norm")
        return b.build(b.add(Dense(), h, b.param("onto", ONTO), name="two"))
    h = b.add(Transpose((0, 2, 1)), h) if axis == 1 else h
    h = b.add(Identity(), h) if cast else h
    total = b.add(Add(), b.constant(EPS), b.add(Mean((axis,), keepdims=True), SQUARES[square](b, h)))
    h = SCALES[scale](b, h, b.add(Identity(), total) if cast else total)
    h = b.add(Identity(), h) if cast else h
    h = b.add(Mul(), h, b.constant(GAIN[:, None] if axis == 1 else GAIN), name="norm") if gain else h
    h = b.add(Transpose((0, 2, 1)), h) if axis == 1 else h
    return b.build(b.add(Dense(), h, b.param("onto", ONTO), name="two"))


WAYS = [(square, scale, cast, gain, axis) for square in SQUARES for scale in SCALES for cast in (False, True) for gain in (False, True) for axis in (-1, 1)]


@pytest.mark.parametrize("gain", [False, True])
def test_an_rmsnorm_in_every_spelling_is_explained_as_the_layer(gain: bool) -> None:
    """Not recognised, the rules of products and squares send back 0.5 to 3 times as much as arrives, and shares to other inputs."""
    plain = normalised(gain=gain)
    methods = ["lrp.epsilon", "lrp.epsilon_plus", "lrp.gamma"]
    expected = {m: np.asarray(xc.explain(plain, TOKENS, m, (2, 1))) for m in methods}
    for way in (w for w in WAYS if w[3] is gain):
        graph = normalised(*way)
        found = recognise_rmsnorm(graph)
        assert close(graph(TOKENS), plain(TOKENS), 1e-12), way
        assert close(found(TOKENS), plain(TOKENS), 1e-12), way
        assert [type(n.op).__name__ for n in found.nodes if not isinstance(n.op, (Transpose, Identity))] == ["Dense", "RMSNorm", "Dense"], way
        assert all(close(np.asarray(xc.explain(graph, TOKENS, m, (2, 1))), r, 1e-12) for m, r in expected.items()), way


def test_relevance_through_a_written_rmsnorm_by_hand() -> None:
    """The loop of the paper (Ali et al. 2022): the scale is a constant, so the norm hands each entry's relevance on as it is."""
    graph = normalised("power", "reciprocal of sqrt", cast=True)
    eps, found = 1e-9, np.asarray(xc.explain(graph, TOKENS, "lrp.epsilon", (2, 1), eps=1e-9))
    for n in range(2):
        h = [sum(W[j, i] * TOKENS[n, 2, i] for i in range(4)) for j in range(5)]
        scale = 1 / (sum(v * v for v in h) / 5 + EPS) ** 0.5
        z = [GAIN[j] * h[j] * scale for j in range(5)]
        f = sum(ONTO[1, j] * z[j] for j in range(5))
        signed = [v + eps * (1 if v >= 0 else -1) for v in (f, *z, *h)]
        at_h = [ONTO[1, j] * z[j] * f / signed[0] * z[j] / signed[1 + j] for j in range(5)]
        for i in range(4):
            assert close(found[n, 2, i], sum(W[j, i] * TOKENS[n, 2, i] * at_h[j] / signed[6 + j] for j in range(5)), 1e-12)
    assert not found[:, :2].any()


def test_what_is_no_rmsnorm_stays() -> None:
    """Another value's length, an ε along an axis or none, another exponent, the root itself, a product of two; γ along another axis."""
    b = Builder()
    x = b.input("x", (None, 3, 4))
    y = b.add(Sigmoid(), x, name="y")
    tall, number = b.constant(np.ones((3, 1))), b.constant(0.1)

    def scale(mean: Mean, h: str, eps: str, power: float = 2.0) -> str:
        return b.add(Rsqrt(), b.add(Add(), b.add(mean, b.add(Pow(power), h)), eps))

    last = Mean((2,), keepdims=True)
    refused = [scale(last, y, number), scale(last, x, tall), scale(last, x, number, 4.0)]
    outputs = [b.add(Mul(), x, s) for s in refused]
    outputs.append(b.add(Mul(), x, b.add(Rsqrt(), b.add(Mean((2,), keepdims=True), b.add(Mul(), x, x)))))
    outputs.append(b.add(Mul(), x, b.add(Sqrt(), b.add(Add(), b.add(last, b.add(Mul(), x, x)), number))))
    outputs.append(b.add(Mul(), x, b.add(Rsqrt(), b.add(Add(), b.add(last, b.add(Mul(), x, y)), number))))
    graph = b.build(*outputs)
    assert recognise_rmsnorm(graph) is graph
    b = Builder()
    x = b.input("x", (1, 4, 4))                                         # one sample: a mean without its axis is seen along another one
    lost = b.build(b.add(Mul(), x, b.add(Rsqrt(), b.add(Add(), b.add(Mean((2,)), b.add(Mul(), x, x)), b.constant(0.1)))))
    assert recognise_rmsnorm(lost) is lost
    b = Builder()
    x = b.input("x", (None, 3, 4))
    norm = b.add(Mul(), x, b.add(Rsqrt(), b.add(Add(), b.add(last, b.add(Mul(), x, x)), b.constant(0.1))), name="norm")
    read = b.add(Div(), x, b.add(Sqrt(), b.add(Add(), b.add(last, b.add(Mul(), x, x)), b.constant(0.2))), name="read")
    graph = b.build(b.add(Mul(), norm, b.constant(np.full((3, 1), 2.0)), name="tall"), b.add(Mul(), read, b.constant(GAIN[:4]), name="wide"), read)
    found = recognise_rmsnorm(graph)
    assert {k: found.node(k).op for k in ("norm", "tall", "read", "wide")} == {"norm": RMSNorm(1, 0.1), "tall": Mul(), "read": RMSNorm(1, 0.2), "wide": Mul()}
    assert all(close(*pair, 1e-12) for pair in zip(found(TOKENS), graph(TOKENS)))
