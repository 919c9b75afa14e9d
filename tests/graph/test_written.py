"""Layers that a framework wrote out: recognised as the same function, and explained as the layer itself is."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from tests.nets import close
from xaicore import Builder, Graph
from xaicore.graph.written import fold_bias, recognise_batchnorm, recognise_silu
from xaicore.ops import Add, BatchNorm, Conv, Dense, Flatten, Identity, Mul, ReLU, Sigmoid, SiLU, Sub, Transpose

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
