"""Hypothesis strategies: small random graphs with the constructs that matter, their inputs, baselines and targets.

Weights are odd multiples of 1/256, so that sums are almost never exactly zero (no kink is hit) and exact mode stays small.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from hypothesis import strategies as st

from xaicore.graph import Builder, Graph
from xaicore.numerics import Array
from xaicore.ops import (
    Add,
    AvgPool,
    Concat,
    Conv,
    Dense,
    Flatten,
    GlobalAvgPool,
    LeakyReLU,
    MaxPool,
    Op,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Slice,
    Softplus,
    Tanh,
)

Bias = Literal["none", "any", "nonpositive"]
SMOOTH: tuple[Op, ...] = (Sigmoid(), Tanh(), Softplus(), SiLU())


def numbers(rng: np.random.Generator, shape: tuple[int, ...], scale: int = 256) -> Array:
    """Odd multiples of 1/256 in (-1, 1), never zero."""
    odd = rng.integers(-scale // 2, scale // 2, shape) * 2 + 1
    return odd / scale


def _bias(b: Builder, rng: np.random.Generator, name: str, n: int, bias: Bias) -> tuple[str, ...]:
    if bias == "none":
        return ()
    values = numbers(rng, (n,)) / 2
    return (b.param(name, -abs(values) if bias == "nonpositive" else values),)


@st.composite
def mlps(draw: Any, bias: Bias = "any", activations: tuple[Op, ...] = (ReLU(),), hidden: tuple[int, int] = (1, 3), outputs: int = 3,
         features: tuple[int, int] = (2, 5), reuse: bool = False) -> Graph:
    """A fully connected network: 1 to 3 hidden layers of 2 to 5 units, linear outputs called "logits"."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder("mlp")
    n = draw(st.integers(*features))
    x = b.input("x", (None, n))
    for k in range(draw(st.integers(*hidden))):
        m = n if reuse else draw(st.integers(2, 5))
        x = b.add(Dense(), x, b.param(f"w{k}", numbers(rng, (m, n))), *_bias(b, rng, f"b{k}", m, bias), name=f"fc{k}")
        x = b.add(draw(st.sampled_from(activations)), x, name=f"act{k}")
        n = m
    out = b.add(Dense(), x, b.param("w_out", numbers(rng, (outputs, n))), *_bias(b, rng, "b_out", outputs, bias), name="logits")
    return b.build(out)


@st.composite
def cnns(draw: Any, bias: Bias = "any", activations: tuple[Op, ...] = (ReLU(), LeakyReLU(0.25)), max_pool: bool = True,
         outputs: int = 3) -> Graph:
    """A convolutional network on (N, 2, 4, 4): convolutions, a skip connection, a reused layer, pools, a concatenation."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    b = Builder("cnn")
    x = b.input("x", (None, 2, 4, 4))
    act = draw(st.sampled_from(activations))

    def conv(value: str, name: str, channels: int, into: int, **fields: Any) -> str:
        w = b.param(f"{name}.w", numbers(rng, (into, channels // fields.get("groups", 1), 3, 3)))
        y = b.add(Conv(pads=((1, 1), (1, 1)), **fields), value, w, *_bias(b, rng, f"{name}.b", into, bias), name=name)
        return b.add(act, y, name=f"{name}.act")

    h = conv(x, "conv1", 2, 2, stride=draw(st.sampled_from([(1, 1), (2, 2)])), groups=draw(st.sampled_from([1, 2])))
    if draw(st.booleans()):
        h = b.add(Add(), h, conv(h, "conv2", 2, 2), name="skip")
    if draw(st.booleans()):
        h = b.add(Concat(1), h, b.add(Slice(1, 0, 1), h, name="slice"), name="concat")
        h = conv(h, "conv3", 3, 2, dilation=(1, 1))
    kind = draw(st.sampled_from(["max", "avg", "none"] if max_pool else ["avg", "none"]))
    if kind != "none":
        h = b.add(MaxPool((2, 2)) if kind == "max" else AvgPool((2, 2)), h, name="pool")
    if draw(st.booleans()):
        h = b.add(Reshape((2,)), b.add(GlobalAvgPool(), h, name="gap"), name="flat")
    else:
        h = b.add(Flatten(), h, name="flat")
    size = _width(b, h)
    out = b.add(Dense(), h, b.param("w_out", numbers(rng, (outputs, size))), *_bias(b, rng, "b_out", outputs, bias), name="logits")
    return b.build(out)


def _width(b: Builder, name: str) -> int:
    from xaicore.graph.run import shapes_of

    return int(shapes_of(b.build(name))[name][1])


@st.composite
def inputs_of(draw: Any, graph: Graph, batch: tuple[int, int] = (1, 2), nonnegative: bool = False) -> Array:
    """An input for a graph with one input: odd multiples of 1/256."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    (spec,) = graph.inputs.values()
    shape = (draw(st.integers(*batch)), *(int(n or 1) for n in spec.shape[1:]))
    x = numbers(rng, shape)
    return abs(x) if nonnegative else x


def graphs(bias: Bias = "any", max_pool: bool = True) -> st.SearchStrategy[Graph]:
    """Piecewise-linear networks of both kinds."""
    return st.one_of(mlps(bias), cnns(bias, max_pool=max_pool))
