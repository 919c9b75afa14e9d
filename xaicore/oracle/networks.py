"""Hypothesis draws the networks that people build, small, with what trips explainers: odd windows, shared layers, zeros, ties, dead units.

Weights and inputs are small whole numbers and halves, so that a shrunk network can be worked out by hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from xaicore import ops
from xaicore.graph import Builder, Graph
from xaicore.graph.run import shapes_of
from xaicore.numerics import Array

ACTIVATIONS: dict[str, ops.Op] = {
    "ReLU": ops.ReLU(), "Tanh": ops.Tanh(), "Sigmoid": ops.Sigmoid(), "LeakyReLU": ops.LeakyReLU(0.25), "Softplus": ops.Softplus(),
    "ELU": ops.ELU(), "GELU": ops.GELU(), "SiLU": ops.SiLU(), "ReLU6": ops.ReLU6(),
}
BLOCKS = (*ACTIVATIONS, "Dense", "Conv", "Grouped", "Dilated", "BatchNorm", "MaxPool", "Overlapping", "Padded", "AvgPool", "Residual",
          "Product", "Concat", "Shared", "Softmax")
"""What a network is drawn from; the name is also what a finding's cause is told by."""
SPATIAL = ("Conv", "Grouped", "Dilated", "BatchNorm", "MaxPool", "Overlapping", "Padded", "AvgPool")


@dataclass(frozen=True)
class Drawn:
    """A network with an input: the blocks that it has, its graph, x (N, ...), a baseline (1, ...) and the index of the output explained."""

    blocks: tuple[str, ...]
    graph: Graph
    x: Array
    baseline: Array
    target: int


def _whole(draw: Any, shape: tuple[int, ...], low: int = -3, high: int = 3, scale: float = 1.0) -> Array:
    n = int(np.prod(shape))
    return np.array(draw(st.lists(st.integers(low, high), min_size=n, max_size=n)), dtype=float).reshape(shape) * scale


@st.composite
def networks(draw: Any, allowed: tuple[str, ...] = BLOCKS, bias: bool = True, most: int = 4) -> Drawn:
    """A network of ``allowed`` blocks on a vector or a short signal of one or two channels; two outputs."""
    spatial = draw(st.booleans()) and any(b in SPATIAL for b in allowed)
    b = Builder("net")
    shape: tuple[int, ...] = (draw(st.integers(1, 2)), draw(st.integers(3, 5))) if spatial else (draw(st.integers(1, 3)),)
    x = b.input("x", (None, *shape))
    here = tuple(k for k in allowed if k != "Softmax" and (spatial or k not in SPATIAL or k == "BatchNorm"))
    wanted = draw(st.lists(st.sampled_from(here), min_size=1, max_size=most)) if here else []
    used, h = [], x
    for k, block in enumerate(wanted):
        made = _block(draw, b, block, h, f"n{k}", bias)
        if made is not None:
            used.append(block)
            h = made
    if len(shapes_of(b.build(h))[h]) > 2:
        h = b.add(ops.Flatten(), h, name="flat")
    h = _dense(draw, b, h, "out", 2, bias)
    if "Softmax" in allowed and draw(st.booleans()):
        h = b.add(ops.Softmax(1), h, name="prob")
        used.append("Softmax")
    n = draw(st.integers(1, 2))
    base = _whole(draw, (1, *shape), scale=0.5) if draw(st.booleans()) else np.zeros((1, *shape))
    return Drawn(tuple(used), b.build(h), _whole(draw, (n, *shape), scale=0.5), base, draw(st.integers(0, 1)))


def _dense(draw: Any, b: Builder, h: str, name: str, size: int, bias: bool) -> str:
    n = shapes_of(b.build(h))[h][1]
    extra = (b.param(f"{name}_b", _whole(draw, (size,), -1, 1)),) if bias and draw(st.booleans()) else ()
    return b.add(ops.Dense(), h, b.param(f"{name}_w", _whole(draw, (size, n), -2, 2)), *extra, name=name)


def _conv(draw: Any, b: Builder, h: str, name: str, bias: bool, into: int, kernel: int, **fields: Any) -> str:
    c = shapes_of(b.build(h))[h][1]
    w = b.param(f"{name}_w", _whole(draw, (into, c // fields.get("groups", 1), kernel), -2, 2))
    extra = (b.param(f"{name}_b", _whole(draw, (into,), -1, 1)),) if bias and draw(st.booleans()) else ()
    return b.add(ops.Conv(**fields), h, w, *extra, name=name)


def _block(draw: Any, b: Builder, block: str, h: str, name: str, bias: bool) -> str | None:
    """One block behind h; None where its shape does not allow it."""
    shape = shapes_of(b.build(h))[h][1:]
    length = shape[-1]
    signal = len(shape) == 2
    if block in ACTIVATIONS:
        return b.add(ACTIVATIONS[block], h, name=name)
    if block == "Dense":
        flat = b.add(ops.Flatten(), h, name=f"{name}_flat") if signal else h
        return _dense(draw, b, flat, name, draw(st.integers(1, 3)), bias)
    if block == "Concat":
        return b.add(ops.Concat(1), h, b.add(ops.ReLU(), h, name=f"{name}_part"), name=name)
    if block in ("Residual", "Product", "Shared"):
        return _branch(draw, b, block, h, name, shape, bias)
    if block == "BatchNorm":
        limit = int(bias)                                               # an offset is a bias: none where biases are left out
        fields = [_whole(draw, (shape[0],), 1, 3), _whole(draw, (shape[0],), -limit, limit), _whole(draw, (shape[0],), -limit, limit),
                  _whole(draw, (shape[0],), 1, 4)]
        return b.add(ops.BatchNorm(eps=0.0), h, *(b.param(f"{name}_{k}", v) for k, v in zip("gbmv", fields)), name=name)
    if not signal:
        return None
    if block == "Conv" and length >= 2:
        return _conv(draw, b, h, name, bias, draw(st.integers(1, 2)), 2, pads=((1, 1),) if draw(st.booleans()) else ())
    if block == "Grouped" and shape[0] == 2 and length >= 2:
        return _conv(draw, b, h, name, bias, 2, 2, groups=2)
    if block == "Dilated" and length >= 3:
        return _conv(draw, b, h, name, bias, 1, 2, dilation=(2,))
    pools = {"MaxPool": ops.MaxPool((2,)), "Overlapping": ops.MaxPool((2,), (1,)), "Padded": ops.MaxPool((2,), pads=((1, 1),)),
             "AvgPool": ops.AvgPool((2,))}
    return b.add(pools[block], h, name=name) if block in pools and length >= 2 else None


def _branch(draw: Any, b: Builder, block: str, h: str, name: str, shape: tuple[int, ...], bias: bool) -> str:
    """h + f(h), h * f(h), or one layer twice."""
    if len(shape) == 2:
        inner = b.add(ops.Tanh() if block == "Product" else ops.ReLU(), h, name=f"{name}_inner")
    else:
        inner = _dense(draw, b, h, f"{name}_inner", shape[0], bias)
    if block == "Shared":
        first = b.add(ops.ReLU(), inner, name=f"{name}_act")
        if len(shape) == 2:
            return b.add(ops.Add(), first, b.add(ops.ReLU(), h, name=f"{name}_again"), name=name)
        layer = next(n for n in b.build(inner).nodes if n.name == inner)
        return b.add(layer.op, first, *layer.inputs[1:], name=name)
    return b.add(ops.Add() if block == "Residual" else ops.Mul(), h, inner, name=name)
